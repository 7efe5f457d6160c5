import { show } from '../../core/internal.ts';
import type { ConfigField } from '../../connect/index.ts';

/** A value with named fields, as the steps of a job file see it. */
export type Fields = Readonly<Record<string, unknown>>;

/** What steps see of a record. */
export interface FieldRecord {
  readonly key: unknown;
  readonly value: Fields;
  readonly timestampMs: number;
}

/** Reads a field; undefined if there is none. */
export type FieldReader = (record: FieldRecord) => unknown;

/** The parts of a record besides its value, by the names that paths have for them. */
const RECORD_PARTS: Readonly<Record<string, FieldReader>> = {
  '@key': ({ key }) => key,
  '@timestampMs': ({ timestampMs }) => timestampMs,
};

/** What reads the field at a path, such as `user.id`, or a part of the record, such as `@key`. */
export function fieldReader(path: string): FieldReader {
  if (Object.hasOwn(RECORD_PARTS, path)) return RECORD_PARTS[path]!;
  const names = path.split('.');
  return ({ value }) => {
    let found: unknown = value;
    for (const name of names) {
      if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) {
        return undefined;
      }
      found = (found as Fields)[name];
    }
    return found;
  };
}

/** The last name of a path: `id` of `user.id`, and `key` of `@key`. */
export function lastName(path: string): string {
  return (path.split('.').at(-1) ?? path).replace(/^@/, '');
}

/** The text of a field that becomes a key; null for one that is missing. @throws TypeError */
export function keyText(path: string, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  const isPlain =
    typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean';
  if (isPlain) return String(value);
  throw new TypeError(`${path} is ${show(value)}, and cannot be a key`);
}

/** The number of a field; undefined for one that is missing. @throws TypeError, RangeError */
export function numberIn(path: string, value: unknown): number | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') {
    if (Number.isSafeInteger(Number(value))) return Number(value);
    throw new RangeError(`${path} is ${value}, and beyond the integers that a number holds`);
  }
  const hint =
    typeof value === 'string'
      ? '; say in the source that it is one, as by formatOptions: { columns: ... }, or by Cast'
      : '';
  throw new TypeError(`${path} is ${show(value)}, and not a number${hint}`);
}

/** Whether a value can be a path. */
export function isPath(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  if (value.startsWith('@')) return Object.hasOwn(RECORD_PARTS, value);
  return value.split('.').every((name) => name !== '');
}

const PATH = `the path of a field, such as user.id, or ${Object.keys(RECORD_PARTS).join(' or ')}`;

interface Described {
  /** What it means, in a sentence. */
  readonly doc: string;
}

function own<T>(
  { doc }: Described,
  allowed: string,
  read: (given: unknown) => T | undefined,
): ConfigField<T> {
  return {
    ...{ type: 'string', doc, allowed, isRequired: true, default: undefined, choices: undefined },
    parse: (given) => {
      const value = read(given);
      return value === undefined ? undefined : { value };
    },
  };
}

/** The same field, which may be left out. */
export function optional<T>(field: ConfigField<T>): ConfigField<T | undefined> {
  return { ...field, isRequired: false };
}

/** The path of a field. */
export function pathField(described: Described): ConfigField<string> {
  return own(described, PATH, (given) => (isPath(given) ? given : undefined));
}

/** Some paths: a list of them, or new names with a path each. */
export function pathsField(described: Described): ConfigField<ReadonlyMap<string, string>> {
  const lists = 'a list of paths whose last names differ, or new names with a path each';
  const allowed = `${lists}; a path is ${PATH}`;
  return own(described, allowed, (given) => {
    if (typeof given !== 'object' || given === null) return undefined;
    const entries: [string, unknown][] = Array.isArray(given)
      ? given.map((path: unknown) => [isPath(path) ? lastName(path) : '', path])
      : Object.entries(given);
    const found = new Map(entries as [string, string][]);
    const areAll = entries.every(([, path]) => isPath(path)) && found.size === entries.length;
    return areAll && entries.length > 0 ? found : undefined;
  });
}

/** New names by old ones. */
export function namesField(described: Described): ConfigField<ReadonlyMap<string, string>> {
  return own(described, 'an object of old names with a new name each', (given) => {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return undefined;
    const entries = Object.entries(given) as [string, unknown][];
    const areAll = entries.every(([, name]) => typeof name === 'string' && name !== '');
    return areAll && entries.length > 0 ? new Map(entries as [string, string][]) : undefined;
  });
}

/** A text, a number, true or false. */
export type Scalar = string | number | boolean;

/** A value to compare with. */
export function scalarField(described: Described): ConfigField<Scalar> {
  return own(described, 'a text, a number, true or false', (given) => {
    return isScalar(given) ? given : undefined;
  });
}

/** Some values to compare with. */
export function scalarsField(described: Described): ConfigField<readonly Scalar[]> {
  return own(described, 'a list of texts, numbers, true or false', (given) => {
    return Array.isArray(given) && given.every(isScalar) ? given : undefined;
  });
}

/** A number or a text, which have an order. */
export function orderedField(described: Described): ConfigField<string | number> {
  return own(described, 'a number or a text', (given) => {
    return typeof given === 'string' || Number.isFinite(given) ? (given as string) : undefined;
  });
}

function isScalar(value: unknown): value is Scalar {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 },
};

/** A duration, in milliseconds. */
export function durationField(described: Described, minMs = 1): ConfigField<number> {
  return own(described, 'a duration such as 250ms, 90s, 5m, 1h or 2d', (given) => {
    const [, count = '', unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(String(given)) ?? [];
    const ms = Number(count) * (UNITS[unit] ?? NaN);
    return Number.isSafeInteger(ms) && ms >= minMs ? ms : undefined;
  });
}
