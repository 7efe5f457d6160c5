import { closest } from 'fastest-levenshtein';
import { LogError } from '../errors.ts';
import { LOG_CONFIG_DEFAULTS, type LogConfig } from '../log/log-config.ts';
import { integer, oneOf, show, type OptionCheck } from '../options.ts';
import { CODECS } from '../record/batch.ts';
import { COMPRESSION_LEVEL_CHECKS } from '../record/compression.ts';
import type { ConfigChange, ConfigEntry } from './topic-requests.ts';

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
  ...COMPRESSION_LEVEL_CHECKS,
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

/** What each setting does, in one line. */
const DOCUMENTATION: { readonly [Name in keyof LogConfig]: string } = {
  cleanupPolicy:
    'what becomes of old segments: removed, compacted to the newest of each key, or both',
  compressionGzipLevel: 'how hard gzip tries where the broker compresses, 1 to 9; -1: its default',
  compressionType: 'the codec of the batches; producer: as they come',
  compressionZstdLevel: 'how hard zstd tries where the broker compresses',
  deleteRetentionMs: 'how long compaction keeps tombstones, in ms',
  fileDeleteDelayMs: 'how long the file of a removed segment stays as .deleted, in ms',
  indexIntervalBytes: 'bytes of batches between two entries of the offset index',
  maxMessageBytes: 'the largest batch, after compression, in bytes',
  maxCompactionLagMs: 'after how long a record is compacted at the latest, in ms',
  messageTimestampAfterMaxMs: 'how far ahead of the clock a record may be stamped, in ms',
  messageTimestampBeforeMaxMs: 'how far behind the clock a record may be stamped, in ms',
  messageTimestampType: 'whose time records bear: that of their producer, or of their append',
  minCleanableDirtyRatio: 'how much of a log is to be uncompacted before compaction begins',
  minCompactionLagMs: 'for how long a record is not compacted, in ms',
  retentionBytes: 'the oldest segments go while a partition is larger, in bytes; -1: no limit',
  retentionMs: 'segments go when their newest record is older, in ms; -1: no limit',
  segmentBytes: 'how large a segment gets, in bytes',
  segmentIndexBytes: 'how large an index of a segment gets, in bytes',
  segmentMs: 'how long a segment is appended to, in ms by the time of its records',
};

const NAMES = Object.keys(CHECKS) as (keyof LogConfig)[];

/** The settings that are lists, for which APPEND and SUBTRACT make sense. */
const LISTS: ReadonlySet<string> = new Set(['cleanup.policy']);

/** `retentionMs` as Kafka writes it: `retention.ms`. */
export function kafkaName(option: string): string {
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
    const option = optionOf(name, value);
    const isNumber = typeof LOG_CONFIG_DEFAULTS[option] === 'number';
    const text = LISTS.has(name) ? [...listed(value)].sort().join(',') : value;
    const parsed = isNumber && value.trim() !== '' ? Number(value) : text;
    const allowed = CHECKS[option](parsed);
    if (allowed !== undefined) {
      const message = `topic setting ${name} must be ${allowed}, not ${JSON.stringify(value)}`;
      throw new LogError('INVALID_CONFIG', message, { name, value });
    }
    values[option] = parsed;
  }
  return values as unknown as LogConfig;
}

/**
 * Checks the requested settings of a topic, each alone and all together. Existing settings are not
 * checked: a topic must always open.
 *
 * @throws LogError INVALID_CONFIG
 */
export function checkTopicConfig(config: TopicConfig): void {
  const { minCompactionLagMs, maxCompactionLagMs, segmentBytes, maxMessageBytes } =
    toLogConfig(config);
  if (minCompactionLagMs > maxCompactionLagMs) {
    throw contradiction('min.compaction.lag.ms', minCompactionLagMs, {
      name: 'max.compaction.lag.ms',
      limit: maxCompactionLagMs,
    });
  }
  const saysBoth = 'max.message.bytes' in config && 'segment.bytes' in config;
  if (saysBoth && maxMessageBytes > segmentBytes) {
    throw contradiction('max.message.bytes', maxMessageBytes, {
      name: 'segment.bytes',
      limit: segmentBytes,
    });
  }
}

function contradiction(
  name: string,
  value: number,
  above: { readonly name: string; readonly limit: number },
): LogError {
  const message = `topic setting ${name} (${value}) must not exceed ${above.name} (${above.limit})`;
  return new LogError('INVALID_CONFIG', message, { name, value: String(value) });
}

/** Every setting of a topic, by name. */
export function describeConfig(config: TopicConfig): ConfigEntry[] {
  return NAMES.map((option): ConfigEntry => {
    const name = kafkaName(option);
    const defaultValue = String(LOG_CONFIG_DEFAULTS[option]);
    const value = config[name] ?? defaultValue;
    return {
      name,
      value,
      defaultValue,
      source: name in config ? 'DYNAMIC_TOPIC_CONFIG' : 'DEFAULT_CONFIG',
      isDefault: !(name in config),
      documentation: DOCUMENTATION[option],
      validValues: CHECKS[option](undefined) ?? '',
    };
  }).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The settings after the changes (Kafka: `ConfigurationControlManager.incrementalAlterConfigs`).
 *
 * @throws LogError INVALID_CONFIG for an unknown name, two changes of one setting, or one that is
 *   not for it; whether the values are good is for `checkTopicConfig` to say.
 */
export function changeConfig(config: TopicConfig, changes: readonly ConfigChange[]): TopicConfig {
  const changed = new Map(Object.entries(config));
  const seen = new Set<string>();
  for (const { name, operation, value = '' } of changes) {
    const option = optionOf(name, value);
    const isList = LISTS.has(name);
    if (seen.has(name)) throw badChange(name, value, 'is changed twice in one request');
    seen.add(name);
    const present = listed(changed.get(name) ?? String(LOG_CONFIG_DEFAULTS[option]));
    if (operation === 'SET') changed.set(name, isList ? [...listed(value)].sort().join() : value);
    else if (operation === 'DELETE') changed.delete(name);
    else if (!isList) throw badChange(name, value, `is no list, so ${operation} is not for it`);
    else {
      for (const item of listed(value)) {
        if (operation === 'APPEND') present.add(item);
        else present.delete(item);
      }
      changed.set(name, [...present].sort().join());
    }
  }
  return Object.fromEntries(changed);
}

/** The items of a list as settings write it. */
function listed(value: string): Set<string> {
  return new Set(
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );
}

function badChange(name: string, value: string, reason: string): LogError {
  return new LogError('INVALID_CONFIG', `topic setting ${name} ${reason}`, { name, value });
}

/** The option of a setting. @throws LogError INVALID_CONFIG with the nearest known name. */
function optionOf(name: string, value: string): keyof LogConfig {
  const option = NAMES.find((known) => kafkaName(known) === name);
  if (option === undefined) throw unknownConfig(name, value);
  return option;
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
  if (typeof topic !== 'string') reason = 'it is no string';
  else if (topic.length === 0) reason = 'it is empty';
  else if (topic === '.' || topic === '..') reason = 'it names a directory';
  else if (topic.length > TOPIC_NAME_CHARS_MAX)
    reason = `it is longer than ${TOPIC_NAME_CHARS_MAX} characters`;
  else if (!/^[\w.-]+$/.test(topic)) reason = 'only a-z A-Z 0-9 . _ - are allowed';
  if (reason === undefined) return;
  const message = `${show(topic)} cannot name a topic: ${reason}`;
  throw new LogError('INVALID_TOPIC', message, { topic, reason });
}
