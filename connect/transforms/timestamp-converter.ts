import { show } from '../../core/internal.ts';
import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET, withPart } from './record-part.ts';

const CONFIG = configSchema({
  field: field.string({ doc: 'The field; without one the whole key or value.', optional: true }),
  targetType: field.choice(['string', 'unix', 'Date'], {
    doc: 'ISO 8601 text, a number since 1970, or a Date.',
  }),
  unixPrecision: field.choice(['seconds', 'milliseconds'], {
    ...{ doc: 'What numbers count.', default: 'milliseconds' },
  }),
  ...TARGET,
});

/** Changes how a time is written: Kafka Connect's `TimestampConverter`. */
export const timestampConverter: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'TimestampConverter',
  doc: 'Changes how a time is written.',
  config: CONFIG,
  create({ field: name, targetType, unixPrecision, target }) {
    const unitMs = unixPrecision === 'seconds' ? 1_000 : 1;
    const convert = (value: unknown): unknown => {
      if (value === null || value === undefined) return value;
      const timeMs = timeOf(value, unitMs);
      if (targetType === 'unix') return Math.floor(timeMs / unitMs);
      return targetType === 'string' ? new Date(timeMs).toISOString() : new Date(timeMs);
    };
    if (name === undefined) {
      return (record) => withPart(record, target, convert(record[target]));
    }
    return (record) =>
      changeFields(record, target, (fields) => {
        return Object.hasOwn(fields, name) ? { ...fields, [name]: convert(fields[name]) } : fields;
      });
  },
};

/** @throws TypeError if it is no time. */
function timeOf(value: unknown, unitMs: number): number {
  const timeMs =
    typeof value === 'number' ? value * unitMs : new Date(value as string | Date).getTime();
  if (Number.isFinite(timeMs) && Math.abs(timeMs) <= 8.64e15) return timeMs;
  throw new TypeError(`${show(value)} is no time`);
}
