import { stringifyJson } from '../../core/internal.ts';
import {
  configSchema,
  field,
  issuesOf,
  withChecks,
  type ConfigOf,
  type FieldsCheck,
} from '../config.ts';
import type { JsonValue, SinkConnector, SourceConnector } from '../connector.ts';
import {
  defined,
  partOf,
  ROW,
  rowFunctions,
  SUNK,
  sunkValue,
  TOPIC,
  TOPIC_CHECKS,
  topicOf,
} from '../plugin-fields.ts';
import type { SinkPlugin, SourcePlugin } from '../plugin.ts';
import { address, checkHeaders } from './http-options.ts';
import { httpSink } from './http-sink.ts';
import type { HttpPage } from './http-source-task.ts';
import { httpSource } from './http-source.ts';

const HTTP = {
  authorization: field.secret({
    doc: 'The header authorization, such as Bearer and a token. It is printed nowhere.',
    optional: true,
  }),
  headers: field.object({ doc: 'More headers of each request, by name.', default: {} }),
  requestTimeoutMs: field.integer({
    ...{ doc: 'How long one request may take.', default: 30_000, min: 1, max: 2 ** 31 - 1 },
  }),
  retryTimeoutMs: field.integer({
    doc: 'How long a request is repeated that the server cannot answer now.',
    default: 300_000,
    min: 0,
  }),
} as const;

const HEADERS_CHECK: FieldsCheck = {
  of: ['headers'],
  check: ({ headers }) =>
    issuesOf('headers', () => checkHeaders('it', headers as Readonly<Record<string, string>>)),
};

/** Stands for the cursor in an address. */
const CURSOR = '{cursor}';

const SOURCE_CONFIG = withChecks(
  configSchema({
    url: field.string({ doc: `What to get; ${CURSOR} in it stands for the cursor.` }),
    ...HTTP,
    ...TOPIC,
    ...ROW,
    rows: field.string({
      doc: 'Where the rows are in the answer, such as data.items; else it is a list.',
      optional: true,
    }),
    cursorField: field.string({
      doc: 'The field of the last row that is the next cursor, such as id.',
      optional: true,
    }),
    cursorPath: field.string({
      doc: 'Where the next cursor is in the answer, such as meta.next.',
      optional: true,
    }),
    cursorStart: field.string({ doc: 'The first cursor; else nothing.', optional: true }),
    follow: field.boolean({ doc: 'Whether to ask again and again.', default: false }),
    pollIntervalMs: field.integer({
      doc: 'With follow, how long to wait before asking again.',
      default: 10_000,
      min: 1,
    }),
    bodyBytesMax: field.integer({
      ...{ doc: 'The largest answer.', default: 2 ** 26, min: 1, max: 2 ** 29 },
    }),
  }),
  [
    ...TOPIC_CHECKS,
    HEADERS_CHECK,
    { of: ['url'], check: ({ url }) => addressIssues(addressOf(url as string, '')) },
    { of: ['url', 'cursorField', 'cursorPath', 'cursorStart'], check: cursorIssues },
  ],
);

const SINK_CONFIG = withChecks(
  configSchema({
    url: field.string({ doc: 'Where every request goes.' }),
    ...HTTP,
    ...TOPIC,
    ...SUNK,
    method: field.choice(['POST', 'PUT', 'PATCH'], { doc: 'Of the requests.', default: 'POST' }),
    batchRecordsMax: field.integer({
      doc: 'How many records a request has, as a list; else one alone.',
      optional: true,
      min: 1,
      max: 100_000,
    }),
  }),
  [
    ...TOPIC_CHECKS,
    HEADERS_CHECK,
    { of: ['url'], check: ({ url }) => addressIssues(url as string) },
  ],
);

function addressIssues(url: string) {
  const allowed = address(url);
  return allowed === undefined ? [] : [{ field: 'url', problem: `it must be ${allowed}` }];
}

function cursorIssues(config: Readonly<Record<string, unknown>>) {
  const { url, cursorField, cursorPath, cursorStart } = config;
  const hasPlace = String(url).includes(CURSOR);
  const found = [cursorField, cursorPath].filter((each) => each !== undefined).length;
  if (found > 1) {
    return [{ field: 'cursorPath', problem: 'it must be left out if there is a cursorField' }];
  }
  if (hasPlace && found === 0) {
    const problem = `it has ${CURSOR}, so there must be a cursorField or a cursorPath`;
    return [{ field: 'url', problem }];
  }
  if (hasPlace || (found === 0 && cursorStart === undefined)) return [];
  return [{ field: 'url', problem: `it must have ${CURSOR}, where the cursor is to stand` }];
}

function addressOf(url: string, cursor: JsonValue | undefined): string {
  const text = typeof cursor === 'string' ? cursor : stringifyJson(cursor ?? '');
  return url.replaceAll(CURSOR, () => encodeURIComponent(text ?? ''));
}

/** The config of `http-source`. */
export type HttpSourceConfig = ConfigOf<typeof SOURCE_CONFIG>;
/** The config of `http-sink`. */
export type HttpSinkConfig = ConfigOf<typeof SINK_CONFIG>;

function headersOf({ authorization, headers }: HttpSinkConfig | HttpSourceConfig) {
  const secret = authorization?.reveal();
  return {
    ...(headers as Readonly<Record<string, string>>),
    ...(secret !== undefined && { authorization: secret }),
  };
}

/** `http-source` for config files: `httpSource`. */
export const httpSourcePlugin: SourcePlugin<HttpSourceConfig> = {
  kind: 'source',
  name: 'http-source',
  doc: 'Reads JSON from an HTTP server into a topic, page by page.',
  config: SOURCE_CONFIG,
  takesConverters: true,
  create(config, { name, converters }): SourceConnector {
    const { url, rows, cursorField, cursorPath, cursorStart } = config;
    const { requestTimeoutMs, retryTimeoutMs, follow, pollIntervalMs, bodyBytesMax } = config;
    const rowsOf = ({ body }: HttpPage): readonly unknown[] => {
      return (rows === undefined ? body : partOf(body, rows)) as readonly unknown[];
    };
    const cursorOf = (page: HttpPage): JsonValue | undefined => {
      const place = cursorPath === undefined ? rowsOf(page).at(-1) : page.body;
      return (partOf(place, cursorPath ?? cursorField ?? '') ?? undefined) as JsonValue | undefined;
    };
    return httpSource<unknown, JsonValue, unknown, unknown>({
      ...{ name, requestTimeoutMs, retryTimeoutMs, follow, pollIntervalMs, bodyBytesMax },
      topic: topicOf(config, converters),
      url: (cursor) => addressOf(url, cursor ?? cursorStart),
      headers: headersOf(config),
      rows: rowsOf,
      ...((cursorField ?? cursorPath) !== undefined && { cursor: cursorOf }),
      ...rowFunctions(config),
    });
  },
};

/** `http-sink` for config files: `httpSink`. */
export const httpSinkPlugin: SinkPlugin<HttpSinkConfig> = {
  kind: 'sink',
  name: 'http-sink',
  doc: 'Sends a topic to an HTTP server, as JSON.',
  config: SINK_CONFIG,
  takesConverters: true,
  create(config, { name, converters }): SinkConnector {
    const { url, method, requestTimeoutMs, retryTimeoutMs, batchRecordsMax } = config;
    return httpSink<unknown, unknown>({
      ...{ name, url, method, requestTimeoutMs, retryTimeoutMs },
      topic: topicOf(config, converters),
      headers: headersOf(config),
      ...defined({ batchRecordsMax }),
      ...sunkValue(config),
    });
  },
};
