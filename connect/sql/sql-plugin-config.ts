import { isJsonSerde } from '../../core/internal.ts';
import { field, issuesOf, type ConfigValues, type FieldsCheck } from '../config.ts';
import { defined, ROW, rowFunctions, TOPIC, TOPIC_CHECKS, topicOf } from '../plugin-fields.ts';
import type { PluginContext } from '../plugin.ts';
import { checkSqlSink, SQL_SINK_CHECKS, type AnySqlSinkOptions } from './sql-sink-options.ts';
import { checkSqlSource, type AnySqlSourceOptions } from './sql-source-options.ts';

/** What the configs of all SQL sinks say. */
export const SQL_SINK_FIELDS = {
  ...TOPIC,
  table: field.string({ doc: 'The table; {topic} stands for the topic.', default: '{topic}' }),
  columns: field.list({ doc: 'The fields that are written; else all.', optional: true }),
  keyColumns: field.list({
    doc: 'The columns that identify a row: records change it, or delete it if their value is null.',
    optional: true,
  }),
  create: field.object({
    doc: 'Columns and their types, with which a missing table is created.',
    optional: true,
  }),
} as const;

/** What the configs of all SQL sources say. */
export const SQL_SOURCE_FIELDS = {
  ...TOPIC,
  ...ROW,
  table: field.string({ doc: 'The table, unless there is a query.', optional: true }),
  query: field.string({ doc: 'A SELECT, unless there is a table.', optional: true }),
  incrementingColumn: field.string({
    doc: 'A column that grows: only larger values are new.',
    optional: true,
  }),
  timestampColumn: field.string({ doc: 'The time of the last change.', optional: true }),
  timestampDelayMs: field.integer({
    ...{ doc: 'How old rows must be before they are read.', optional: true, min: 0 },
  }),
  startAfter: field.object({
    doc: 'Where to begin: values of those columns, incrementing and timestamp.',
    optional: true,
  }),
  follow: field.boolean({ doc: 'Whether to look again and again.', default: false }),
  pollIntervalMs: field.integer({ doc: 'With follow, between looks.', default: 5_000, min: 1 }),
  pageRows: field.integer({
    ...{ doc: 'How many rows a query fetches.', default: 2_000, min: 1, max: 1_000_000 },
  }),
} as const;

type SinkConfig = ConfigValues<typeof SQL_SINK_FIELDS>;
type SourceConfig = ConfigValues<typeof SQL_SOURCE_FIELDS>;

const ANY_TOPIC = { topic: 'any', partitions: undefined, topicConfig: {} };
const ANY = { name: 'any' };

/** The mistakes that fields make together. */
export const SQL_SINK_ISSUES: readonly FieldsCheck[] = [
  ...TOPIC_CHECKS,
  {
    of: ['table', 'columns', 'keyColumns', 'create'],
    check: (config) => {
      const options = sinkOptions({ ...(config as unknown as SinkConfig), ...ANY_TOPIC }, ANY);
      const { create } = options;
      const allowed = create === undefined ? undefined : SQL_SINK_CHECKS.create(create);
      if (allowed !== undefined) return [{ field: 'create', problem: `it must be ${allowed}` }];
      return issuesOf('', () => checkSqlSink('it', options));
    },
  },
];

/** The same of a source. */
export const SQL_SOURCE_ISSUES: readonly FieldsCheck[] = [
  ...TOPIC_CHECKS,
  {
    of: [
      'table',
      'query',
      'incrementingColumn',
      'timestampColumn',
      'timestampDelayMs',
      'startAfter',
    ],
    check: (config) => {
      const options = sourceOptions({ ...(config as unknown as SourceConfig), ...ANY_TOPIC }, ANY);
      return issuesOf('', () => checkSqlSource('it', options));
    },
  },
];

/** The options of a sink that a config describes. */
export function sinkOptions(config: SinkConfig, { name, converters }: PluginContext) {
  const { table, columns, keyColumns, create } = config;
  const options: AnySqlSinkOptions = {
    ...{ name, topic: topicOf(config, converters), table },
    ...defined({ columns, keyColumns, create: create as AnySqlSinkOptions['create'] }),
  };
  return options;
}

/** The options of a source that a config describes. */
export function sourceOptions(config: SourceConfig, { name, converters }: PluginContext) {
  const { table, query, incrementingColumn, timestampColumn, timestampDelayMs } = config;
  const { startAfter, follow, pollIntervalMs, pageRows } = config;
  const topic = topicOf(config, converters);
  const functions = rowFunctions(config);
  const valueOf = functions.value ?? ((row: unknown) => row);
  const options: AnySqlSourceOptions = {
    ...{ name, topic, follow, pollIntervalMs, pageRows },
    ...defined({ table, query, incrementingColumn, timestampColumn, timestampDelayMs }),
    ...defined({ startAfter: startAfter as unknown as AnySqlSourceOptions['startAfter'] }),
    ...functions,
    ...(isJsonSerde(topic.value) && { value: (row: unknown) => withText(valueOf(row)) }),
  };
  return options;
}

/** A value for JSON: bytes are base64, as Kafka Connect has them. */
function withText(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value as Readonly<Record<string, unknown>>);
  if (!entries.some(([, each]) => each instanceof Uint8Array)) return value;
  return Object.fromEntries(
    entries.map(([name, each]) => [name, each instanceof Uint8Array ? withText(each) : each]),
  );
}
