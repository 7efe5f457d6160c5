import { configSchema, field, withChecks, type ConfigOf } from '../config.ts';
import type { SinkPlugin, SourcePlugin } from '../plugin.ts';
import {
  sinkOptions,
  sourceOptions,
  SQL_SINK_FIELDS,
  SQL_SINK_ISSUES,
  SQL_SOURCE_FIELDS,
  SQL_SOURCE_ISSUES,
} from '../sql/sql-plugin-config.ts';
import { BUSY_TIMEOUT_MS } from './sqlite-options.ts';
import { sqliteSink } from './sqlite-sink.ts';
import { sqliteSource } from './sqlite-source.ts';

const SQLITE = {
  path: field.path({ doc: 'The file of the database.' }),
  busyTimeoutMs: field.integer({
    doc: 'How long to wait for others that have it locked.',
    default: BUSY_TIMEOUT_MS,
    min: 0,
    max: 2 ** 31 - 1,
  }),
} as const;

const SINK_CONFIG = withChecks(configSchema({ ...SQLITE, ...SQL_SINK_FIELDS }), SQL_SINK_ISSUES);
const SOURCE_CONFIG = withChecks(
  configSchema({ ...SQLITE, ...SQL_SOURCE_FIELDS }),
  SQL_SOURCE_ISSUES,
);

/** The config of `sqlite-sink`. */
export type SqliteSinkConfig = ConfigOf<typeof SINK_CONFIG>;
/** The config of `sqlite-source`. */
export type SqliteSourceConfig = ConfigOf<typeof SOURCE_CONFIG>;

/** `sqlite-sink` for config files: `sqliteSink`. */
export const sqliteSinkPlugin: SinkPlugin<SqliteSinkConfig> = {
  kind: 'sink',
  name: 'sqlite-sink',
  doc: 'Writes a topic to a table of SQLite.',
  config: SINK_CONFIG,
  takesConverters: true,
  create(config, context) {
    const { path, busyTimeoutMs } = config;
    return sqliteSink({ ...sinkOptions(config, context), path, busyTimeoutMs } as never);
  },
};

/** `sqlite-source` for config files: `sqliteSource`. */
export const sqliteSourcePlugin: SourcePlugin<SqliteSourceConfig> = {
  kind: 'source',
  name: 'sqlite-source',
  doc: 'Reads a table of SQLite, or a query, into a topic.',
  config: SOURCE_CONFIG,
  takesConverters: true,
  create(config, context) {
    const { path, busyTimeoutMs } = config;
    return sqliteSource({ ...sourceOptions(config, context), path, busyTimeoutMs });
  },
};
