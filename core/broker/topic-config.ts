import { LogError } from '../errors.ts';
import { closest } from 'fastest-levenshtein';
import { LOG_CONFIG_DEFAULTS, type LogConfig } from '../log/log-config.ts';
import { integer, oneOf, type OptionCheck } from '../options.ts';
import { CODECS } from '../record/batch.ts';

/**
 * The settings of a topic that differ from the defaults, in Kafka's names: `retention.ms` to
 * `1000`.
 */
export type TopicConfig = Readonly<Record<string, string>>;

const MIB = 1024 * 1024;
const SEGMENT_BYTES_MIN = 1024; // Kafka 4: 1 MiB; tests of rolling want small ones
const INT32_MAX = 0x7fff_ffff;

/** What each setting may be. Times and sizes as Kafka bounds them (`LogConfig.java`). */
const CHECKS: { readonly [Name in keyof LogConfig]: OptionCheck } = {
  cleanupPolicy: oneOf('delete', 'compact', 'compact,delete'),
  compressionType: oneOf('producer', ...CODECS),
  deleteRetentionMs: integer(0),
  fileDeleteDelayMs: integer(0),
  indexIntervalBytes: integer(0, INT32_MAX),
  maxMessageBytes: integer(0, INT32_MAX),
  maxCompactionLagMs: integer(1),
  messageTimestampAfterMaxMs: integer(0),
  messageTimestampBeforeMaxMs: integer(0),
  messageTimestampType: oneOf('CreateTime', 'LogAppendTime'),
  minCleanableDirtyRatio: (value) =>
    typeof value === 'number' && value >= 0 && value <= 1 ? undefined : 'a number, 0 to 1',
  minCompactionLagMs: integer(0),
  retentionBytes: integer(-1),
  retentionMs: integer(-1),
  segmentBytes: integer(SEGMENT_BYTES_MIN, INT32_MAX),
  segmentIndexBytes: integer(12, 100 * MIB),
  segmentMs: integer(1),
};

const NAMES = Object.keys(CHECKS) as (keyof LogConfig)[];

/** `retentionMs` as Kafka writes it: `retention.ms`. */
function kafkaName(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `.${letter.toLowerCase()}`);
}

/** Options in camelCase as a topic's settings. */
export function toTopicConfig(options: Partial<LogConfig>): TopicConfig {
  const entries = Object.entries(options as Record<string, unknown>).filter(
    ([, value]) => value !== undefined,
  );
  return Object.fromEntries(entries.map(([name, value]) => [kafkaName(name), String(value)]));
}

/**
 * The settings of a topic with the defaults filled in.
 *
 * @throws LogError INVALID_CONFIG for an unknown name, with the nearest known one, or a bad value.
 */
export function toLogConfig(config: TopicConfig): LogConfig {
  const values: Record<string, unknown> = { ...LOG_CONFIG_DEFAULTS };
  for (const [name, value] of Object.entries(config)) {
    const option = NAMES.find((known) => kafkaName(known) === name);
    if (option === undefined) throw unknownConfig(name, value);
    const isNumber = typeof LOG_CONFIG_DEFAULTS[option] === 'number';
    const parsed = isNumber && value.trim() !== '' ? Number(value) : value;
    const allowed = CHECKS[option](parsed);
    if (allowed !== undefined) {
      const message = `topic setting ${name} must be ${allowed}, not ${JSON.stringify(value)}`;
      throw new LogError('INVALID_CONFIG', message, { name, value });
    }
    values[option] = parsed;
  }
  return values as unknown as LogConfig;
}

function unknownConfig(name: string, value: string): LogError {
  const nearest = closest(name, NAMES.map(kafkaName));
  const message = `there is no topic setting ${name}; did you mean ${nearest}?`;
  return new LogError('INVALID_CONFIG', message, { name, value, nearest });
}

const TOPIC_NAME_CHARS_MAX = 249;

/**
 * @throws LogError INVALID_TOPIC unless the name is legal in Kafka: 1 to 249 of a-z A-Z 0-9 . _ -
 */
export function checkTopicName(topic: string): void {
  let reason: string | undefined;
  if (topic.length === 0) reason = 'it is empty';
  else if (topic === '.' || topic === '..') reason = 'it names a directory';
  else if (topic.length > TOPIC_NAME_CHARS_MAX)
    reason = `it is longer than ${TOPIC_NAME_CHARS_MAX}`;
  else if (!/^[\w.-]+$/.test(topic)) reason = 'only a-z A-Z 0-9 . _ - are allowed';
  if (reason === undefined) return;
  const message = `${JSON.stringify(topic)} cannot name a topic: ${reason}`;
  throw new LogError('INVALID_TOPIC', message, { topic, reason });
}
