/** What the configs of several plugins have in common. */
import { bytes, topic, type ConsumerRecord, type Topic } from '../core/index.ts';
import { given } from '../core/internal.ts';
import { field, issuesOf, type FieldsCheck } from './config.ts';
import { DEFAULT_CONVERTERS } from './converters/default-converters.ts';
import type { Converters } from './plugin.ts';

/** How a config names a topic, and what it is created with. */
export const TOPIC = {
  topic: field.string({ doc: 'The topic.' }),
  partitions: field.integer({
    doc: 'How many it must have, and is created with.',
    optional: true,
    min: 1,
    max: 10_000,
  }),
  topicConfig: field.object({
    ...{ doc: 'Settings with which it is created, such as retentionMs.', default: {} },
  }),
} as const;

interface TopicConfig {
  readonly topic: string;
  readonly partitions: number | undefined;
  readonly topicConfig: Readonly<Record<string, unknown>>;
}

/** The topic of a config. @throws LogError INVALID_TOPIC, INVALID_CONFIG */
export function topicOf(
  config: TopicConfig,
  converters: Converters = DEFAULT_CONVERTERS,
): Topic<unknown, unknown> {
  const { topic: name, partitions, topicConfig } = config;
  return topic(name, {
    key: converters.key,
    value: converters.value,
    config: topicConfig,
    ...(partitions !== undefined && { partitions }),
  });
}

const OPAQUE = { key: bytes(), value: bytes() };

/** The name of the topic, and its settings. */
export const TOPIC_CHECKS: readonly FieldsCheck[] = [
  {
    of: ['topic'],
    check: ({ topic: name }) => issuesOf('topic', () => topic(name as string, OPAQUE)),
  },
  {
    of: ['topicConfig'],
    check: ({ topicConfig }) =>
      issuesOf('topicConfig', () => topic('any', { ...OPAQUE, config: topicConfig as object })),
  },
];

/** Which fields of a row make its record. */
export const ROW = {
  key: field.string({ doc: 'The field that is the key, such as user.id.', optional: true }),
  value: field.string({ doc: 'The field that is the value; else the row is.', optional: true }),
  timestamp: field.string({
    doc: 'The field that is the event time: milliseconds since 1970, or text as ISO 8601.',
    optional: true,
  }),
} as const;

/** The functions of such a config, as sources take them. */
export function rowFunctions({ key, value, timestamp }: RowConfig): RowFunctions {
  return {
    // Without a parameter, so that rows that are carried are not parsed for it.
    key: key === undefined ? () => null : (row) => partOf(row, key),
    ...(value !== undefined && { value: (row: unknown) => partOf(row, value) }),
    ...(timestamp !== undefined && { timestamp: (row: unknown) => timeOf(partOf(row, timestamp)) }),
  };
}

interface RowConfig {
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly timestamp: string | undefined;
}

interface RowFunctions {
  readonly key: (row: unknown) => unknown;
  readonly value?: (row: unknown) => unknown;
  readonly timestamp?: (row: unknown) => number | Date;
}

/** Which part of a record's value a sink writes. */
export const SUNK = {
  value: field.string({
    doc: 'The field of the value that is written; else all of it is.',
    optional: true,
  }),
} as const;

/** The function of such a config, as sinks take it. */
export function sunkValue({ value }: { readonly value: string | undefined }): {
  readonly value?: (record: ConsumerRecord) => unknown;
} {
  return value === undefined ? {} : { value: (record) => partOf(record.value, value) };
}

/** The part of a row that a path such as `user.id` names; null if there is none. */
export function partOf(row: unknown, path: string): unknown {
  let part = row;
  for (const name of path.split('.')) {
    if (typeof part !== 'object' || part === null || !Object.hasOwn(part, name)) return null;
    part = (part as Readonly<Record<string, unknown>>)[name];
  }
  return part ?? null;
}

/** A time as a row has it: a Date, milliseconds since 1970, or what `Date.parse` reads. */
function timeOf(value: unknown): number | Date {
  if (typeof value === 'number' || value instanceof Date) return value;
  return Date.parse(String(value));
}

/** Those of the options that are not undefined. */
export function defined<Options extends object>(
  options: Options,
): { readonly [Name in keyof Options]?: Exclude<Options[Name], undefined> } {
  return given(options);
}
