import { show } from '../../core/internal.ts';
import { field } from '../config.ts';
import type { ConnectRecord } from '../transform.ts';

/** An object with named fields, as transforms see it. */
export type Fields = Readonly<Record<string, unknown>>;

/** The field of a transform's config that says what it works on: Kafka's `$Key` and `$Value`. */
export const TARGET = {
  target: field.choice(['key', 'value'], {
    ...{ doc: 'Which part of the record it changes.', default: 'value' },
  }),
};
export type Target = 'key' | 'value';

/** The record with another key or value. */
export function withPart(record: ConnectRecord, target: Target, part: unknown): ConnectRecord {
  const { topic, partition, offset, key, value, timestampMs, headers } = record;
  return {
    ...{ topic, partition, offset, timestampMs, headers },
    key: target === 'key' ? part : key,
    value: target === 'value' ? part : value,
  };
}

/** Changes the fields of a key or value; null stays null, as in Kafka Connect. */
export function changeFields(
  record: ConnectRecord,
  target: Target,
  change: (fields: Fields) => unknown,
): ConnectRecord {
  const part = record[target];
  if (part === null || part === undefined) return record;
  return withPart(record, target, change(fieldsOf(part, target)));
}

/** @throws TypeError if it has no named fields. */
export function fieldsOf(part: unknown, target: Target): Fields {
  const isObject = typeof part === 'object' && part !== null && !Array.isArray(part);
  if (isObject && !(part instanceof Uint8Array) && !(part instanceof Date)) return part as Fields;
  throw new TypeError(`the ${target} is ${show(part)}, and not an object`);
}

/** What is found at a path such as `user`, `id`; undefined if there is nothing. */
export function valueAt(part: unknown, path: readonly string[]): unknown {
  let found = part;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) {
      return undefined;
    }
    found = (found as Fields)[name];
  }
  return found;
}
