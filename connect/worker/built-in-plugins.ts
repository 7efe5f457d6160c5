import { avroConverter } from '../converters/avro-converter.ts';
import { jsonConverter } from '../converters/json-converter.ts';
import { PLAIN_CONVERTERS } from '../converters/plain-converters.ts';
import { simpleHeaderConverter } from '../converters/simple-header.ts';
import { fileSinkPlugin, fileSourcePlugin } from '../file/file-plugins.ts';
import { httpSinkPlugin, httpSourcePlugin } from '../http/http-plugins.ts';
import { mirrorPlugin } from '../mirror/mirror-plugin.ts';
import type { ConnectPlugin } from '../plugin.ts';
import { postgresSinkPlugin, postgresSourcePlugin } from '../postgres/postgres-plugins.ts';
import { sqliteSinkPlugin, sqliteSourcePlugin } from '../sqlite/sqlite-plugins.ts';
import { stdinSourcePlugin, stdoutSinkPlugin } from '../stdio/stdio-plugins.ts';
import { cast } from '../transforms/cast.ts';
import { dropHeaders } from '../transforms/drop-headers.ts';
import { extractField } from '../transforms/extract-field.ts';
import { filter } from '../transforms/filter.ts';
import { flatten } from '../transforms/flatten.ts';
import { headerFrom } from '../transforms/header-from.ts';
import { hoistField } from '../transforms/hoist-field.ts';
import { insertField } from '../transforms/insert-field.ts';
import { insertHeader } from '../transforms/insert-header.ts';
import { maskField } from '../transforms/mask-field.ts';
import { hasHeaderKey, recordIsTombstone, topicNameMatches } from '../transforms/predicates.ts';
import { regexRouter } from '../transforms/regex-router.ts';
import { replaceField } from '../transforms/replace-field.ts';
import { timestampConverter } from '../transforms/timestamp-converter.ts';
import { timestampRouter } from '../transforms/timestamp-router.ts';
import { valueToKey } from '../transforms/value-to-key.ts';

/** The plugins that Millrace has: connectors, converters, transforms and predicates. */
export const BUILT_IN_PLUGINS: readonly ConnectPlugin[] = [
  fileSourcePlugin(),
  fileSinkPlugin(),
  ...[httpSourcePlugin, httpSinkPlugin, stdinSourcePlugin(), stdoutSinkPlugin()],
  ...[...PLAIN_CONVERTERS, jsonConverter, avroConverter, simpleHeaderConverter],
  ...[sqliteSourcePlugin, sqliteSinkPlugin, postgresSourcePlugin, postgresSinkPlugin],
  mirrorPlugin,
  ...[cast, dropHeaders, extractField, filter, flatten, headerFrom, hoistField],
  ...[insertField, insertHeader, maskField, regexRouter, replaceField],
  ...[timestampConverter, timestampRouter, valueToKey],
  ...[hasHeaderKey, recordIsTombstone, topicNameMatches],
];
