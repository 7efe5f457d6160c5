import { show } from '../../core/internal.ts';
import { configSchema, field, issuesOf, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { dateFormat, type DateFormat } from './date-format.ts';
import { changeFields, TARGET, withPart } from './record-part.ts';

const CONFIG = configSchema(
  {
    field: field.string({ doc: 'The field; without one the whole key or value.', optional: true }),
    targetType: field.choice(['string', 'unix', 'Date', 'Time', 'Timestamp'], {
      doc: 'Text, a number since 1970, or a Date: its day, its time of the day, or all of it.',
    }),
    format: field.string({
      doc: 'How text is written: of yyyy, MM, dd, HH, mm, ss, SSS, X; else as ISO 8601.',
      optional: true,
    }),
    unixPrecision: field.choice(['seconds', 'milliseconds', 'microseconds', 'nanoseconds'], {
      ...{ doc: 'What numbers count.', default: 'milliseconds' },
    }),
    ...TARGET,
  },
  ({ format }) => (format === undefined ? [] : issuesOf('format', () => dateFormat(format))),
);

type TimeConfig = ConfigOf<typeof CONFIG>;

const DAY_MS = 86_400_000;

/** Changes how a time is written: Kafka Connect's `TimestampConverter`. */
export const timestampConverter: TransformPlugin<TimeConfig> = {
  kind: 'transform',
  name: 'TimestampConverter',
  doc: 'Changes how a time is written.',
  config: CONFIG,
  create(config) {
    const { field: name, target } = config;
    const format = config.format === undefined ? ISO : dateFormat(config.format);
    const convert = (value: unknown): unknown => {
      if (value === null || value === undefined) return null;
      return timeAs(config, format, timeOf(value, config, format));
    };
    if (name === undefined) {
      return (record) => withPart(record, target, convert(record[target]));
    }
    return (record) =>
      changeFields(record, target, (fields) => ({ ...fields, [name]: convert(fields[name]) }));
  },
};

const ISO: DateFormat = {
  format: (timeMs) => new Date(timeMs).toISOString(),
  parse: (text) => Date.parse(text),
};

function timeAs(
  { targetType, unixPrecision }: TimeConfig,
  format: DateFormat,
  timeMs: number,
): unknown {
  const timeOfDayMs = ((timeMs % DAY_MS) + DAY_MS) % DAY_MS;
  switch (targetType) {
    case 'string':
      return format.format(timeMs);
    case 'unix':
      return unixOf(timeMs, unixPrecision);
    case 'Date':
      return new Date(timeMs - timeOfDayMs);
    case 'Time':
      return new Date(timeOfDayMs);
    case 'Timestamp':
      return new Date(timeMs);
  }
}

/** How many of the unit a millisecond has. */
const UNITS = { microseconds: 1_000n, nanoseconds: 1_000_000n } as const;

function unixOf(timeMs: number, precision: TimeConfig['unixPrecision']): number | bigint {
  switch (precision) {
    case 'seconds':
      return Math.trunc(timeMs / 1_000);
    case 'milliseconds':
      return timeMs;
    case 'microseconds':
    case 'nanoseconds': {
      const count = BigInt(timeMs) * UNITS[precision];
      return Number.isSafeInteger(Number(count)) ? Number(count) : count;
    }
  }
}

/** @throws TypeError if it is no time. */
function timeOf(value: unknown, { unixPrecision }: TimeConfig, format: DateFormat): number {
  const timeMs = Math.trunc(msOf(value, unixPrecision, format));
  if (Number.isFinite(timeMs) && Math.abs(timeMs) <= 8.64e15) return timeMs;
  throw new TypeError(`${show(value)} is no time`);
}

function msOf(value: unknown, precision: TimeConfig['unixPrecision'], format: DateFormat): number {
  if (value instanceof Date) return value.getTime();
  if (typeof value === 'string') return format.parse(value);
  if (typeof value !== 'number' && typeof value !== 'bigint') return NaN;
  switch (precision) {
    case 'seconds':
      return Number(value) * 1_000;
    case 'milliseconds':
      return Number(value);
    case 'microseconds':
    case 'nanoseconds':
      return typeof value === 'bigint'
        ? Number(value / UNITS[precision])
        : value / Number(UNITS[precision]);
  }
}
