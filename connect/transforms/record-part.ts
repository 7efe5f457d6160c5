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
  if (hasFields(part)) return part;
  throw new TypeError(`the ${target} is ${show(part)}, and not an object`);
}

function hasFields(part: unknown): part is Fields {
  const isObject = typeof part === 'object' && part !== null && !Array.isArray(part);
  return isObject && !(part instanceof Uint8Array) && !(part instanceof Date);
}

/**
 * What is found at a path such as `user`, `id`; undefined if there is nothing.
 *
 * @throws TypeError if it leads into what has no fields.
 */
export function valueAt(part: Fields, path: readonly string[]): unknown {
  let found: unknown = part;
  for (const name of path) {
    if (found === null || found === undefined) return undefined;
    if (!hasFields(found)) {
      throw new TypeError(`${show(found)} has no field ${name}`);
    }
    found = Object.hasOwn(found, name) ? found[name] : undefined;
  }
  return found;
}
