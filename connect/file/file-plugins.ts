import { topic, type FileSystem, type Topic } from '../../core/index.ts';
import { configSchema, field, type ConfigOf } from '../config.ts';
import type { SinkConnector, SourceConnector } from '../connector.ts';
import { CONVERTERS, converterOf, type ConverterName } from '../converters.ts';
import type { SinkPlugin, SourcePlugin } from '../plugin.ts';
import { csv } from './csv.ts';
import { fileSource } from './file-source.ts';
import type { SourceFormat } from './format.ts';
import { jsonl } from './jsonl.ts';
import { lines } from './lines.ts';
import { parquet } from './parquet.ts';
import { fileSink } from './sink/file-sink.ts';
import type { SinkFormat } from './sink/sink-format.ts';

/** How a config names a topic, and what it is created with. */
const TOPIC = {
  topic: field.string({ doc: 'The topic.' }),
  keyConverter: field.choice(CONVERTERS, { doc: 'How keys are written.', default: 'string' }),
  valueConverter: field.choice(CONVERTERS, { doc: 'How values are written.', default: 'json' }),
  partitions: field.integer({
    doc: 'How many it must have, and is created with.',
    optional: true,
    min: 1,
    max: 10_000,
  }),
  topicConfig: field.object({
    ...{ doc: 'Settings with which it is created, such as retentionMs.', default: {} },
  }),
};

interface TopicConfig {
  readonly topic: string;
  readonly keyConverter: ConverterName;
  readonly valueConverter: ConverterName;
  readonly partitions: number | undefined;
  readonly topicConfig: Readonly<Record<string, unknown>>;
}

function topicOf(config: TopicConfig): Topic<unknown, unknown> {
  const { topic: name, keyConverter, valueConverter, partitions, topicConfig } = config;
  return topic(name, {
    key: converterOf(keyConverter),
    value: converterOf(valueConverter),
    config: topicConfig,
    ...(partitions !== undefined && { partitions }),
  });
}

/** The part of a row that a path such as `user.id` names; null if there is none. */
function partOf(row: unknown, path: string): unknown {
  let part = row;
  for (const name of path.split('.')) {
    if (typeof part !== 'object' || part === null || !Object.hasOwn(part, name)) return null;
    part = (part as Readonly<Record<string, unknown>>)[name];
  }
  return part ?? null;
}

type MakeFormat = (options: never) => unknown;
const SOURCE_FORMATS: Readonly<Record<'lines' | 'csv' | 'jsonl' | 'parquet', MakeFormat>> = {
  ...{ lines, csv, jsonl, parquet },
};

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION: the options are those of the functions. */
function sourceFormat(name: keyof typeof SOURCE_FORMATS, options: object): SourceFormat<unknown> {
  return SOURCE_FORMATS[name](options as never) as SourceFormat<unknown>;
}

function sinkFormat(name: 'csv' | 'jsonl', options: object): SinkFormat<unknown> {
  return name === 'csv' ? csv(options) : jsonl(options);
}

const SOURCE_CONFIG = configSchema({
  path: field.string({ doc: 'A file, or a pattern such as flights/*.csv.' }),
  format: field.choice(['lines', 'csv', 'jsonl', 'parquet'], { doc: 'How it is cut into rows.' }),
  formatOptions: field.object({ doc: 'The options of the format, as in code.', default: {} }),
  ...TOPIC,
  key: field.string({ doc: 'The field that is the key, such as user.id.', optional: true }),
  timestamp: field.string({ doc: 'The field that is the event time.', optional: true }),
  follow: field.boolean({ doc: 'Whether to go on with what is appended.', default: false }),
  pollIntervalMs: field.integer({ doc: 'With follow, between looks.', default: 1_000, min: 1 }),
});

const SINK_CONFIG = configSchema({
  path: field.string({ doc: 'A directory of its own.' }),
  format: field.choice(['csv', 'jsonl'], { doc: 'How rows are written.' }),
  formatOptions: field.object({ doc: 'The options of the format, as in code.', default: {} }),
  ...TOPIC,
  partBytes: field.integer({ doc: 'The size at which a file is full.', default: 2 ** 27, min: 1 }),
});

/** The config of `file-source`. */
export type FileSourceConfig = ConfigOf<typeof SOURCE_CONFIG>;
/** The config of `file-sink`. */
export type FileSinkConfig = ConfigOf<typeof SINK_CONFIG>;

/** `file-source` for config files: `fileSource`. */
export function fileSourcePlugin(
  environment: { readonly fileSystem?: FileSystem } = {},
): SourcePlugin<FileSourceConfig> {
  return {
    kind: 'source',
    name: 'file-source',
    doc: 'Reads files into a topic: lines, CSV, JSON lines or Parquet.',
    config: SOURCE_CONFIG,
    create(config, { name }): SourceConnector {
      const { path, follow, pollIntervalMs, key, timestamp, formatOptions } = config;
      return fileSource<unknown, unknown, unknown>({
        ...{ name, path, follow, pollIntervalMs, topic: topicOf(config), ...environment },
        format: sourceFormat(config.format, formatOptions),
        key: key === undefined ? () => null : (row) => partOf(row, key),
        ...(timestamp !== undefined && { timestamp: (row) => timeOf(partOf(row, timestamp)) }),
      });
    },
  };
}

/** `file-sink` for config files: `fileSink`. */
export function fileSinkPlugin(
  environment: { readonly fileSystem?: FileSystem } = {},
): SinkPlugin<FileSinkConfig> {
  return {
    kind: 'sink',
    name: 'file-sink',
    doc: 'Writes a topic to files: CSV or JSON lines.',
    config: SINK_CONFIG,
    create(config, { name }): SinkConnector {
      const { path, partBytes, formatOptions } = config;
      return fileSink<unknown, unknown, unknown>({
        ...{ name, path, partBytes, topic: topicOf(config), ...environment },
        format: sinkFormat(config.format, formatOptions),
      });
    },
  };
}

/** A time as a row has it: a Date, milliseconds since 1970, or what `Date.parse` reads. */
function timeOf(value: unknown): number | Date {
  if (typeof value === 'number' || value instanceof Date) return value;
  return Date.parse(String(value));
}
