/** The types of Parquet columns, and the values that they take. */
import type { SchemaElement } from 'hyparquet-writer';
import { show } from '../../../core/internal.ts';
import { isWellFormed } from './text-encoders.ts';

/**
 * The type of a column in a Parquet file. Each may be null. `timestamp` has milliseconds, and
 * `json` any value, as text.
 */
export type ParquetColumnType =
  | 'boolean'
  | 'int32'
  | 'int64'
  | 'float'
  | 'double'
  | 'string'
  | 'bytes'
  | 'json'
  | 'timestamp'
  | 'date';

/** A column of a file. */
export interface Column {
  readonly name: string;
  readonly type: ParquetColumnType;
  /** The column as the file describes it. */
  readonly element: SchemaElement;
  /** The value to write; throws a TypeError if the column cannot hold it exactly. */
  readonly valueOf: (value: unknown) => unknown;
  /** How many bytes such a value takes, roughly. */
  readonly sizeOf: (value: unknown) => number;
}

interface TypeRules {
  readonly element: Omit<SchemaElement, 'name' | 'repetition_type'>;
  /** The value to write; undefined if there is none. */
  readonly valueOf: (value: unknown) => unknown;
  readonly sizeOf: (value: never) => number;
  /** What it takes, for messages. */
  readonly what: string;
}

const INT64_MAX = 2n ** 63n - 1n;
const TIME_MS_MAX = 8.64e15;

const TYPES: Readonly<Record<ParquetColumnType, TypeRules>> = {
  boolean: {
    element: { type: 'BOOLEAN' },
    valueOf: (value) => (typeof value === 'boolean' ? value : undefined),
    sizeOf: () => 1,
    what: 'true or false',
  },
  int32: {
    element: { type: 'INT32' },
    valueOf: (value) => (typeof value === 'number' && (value | 0) === value ? value : undefined),
    sizeOf: () => 4,
    what: 'an integer of 32 bits',
  },
  int64: {
    element: { type: 'INT64' },
    valueOf(value) {
      if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
      if (typeof value !== 'bigint') return undefined;
      return value <= INT64_MAX && value >= -INT64_MAX - 1n ? value : undefined;
    },
    sizeOf: () => 8,
    what: 'an integer of 64 bits: a bigint, or a number up to 2^53',
  },
  float: {
    element: { type: 'FLOAT' },
    valueOf: (value) => (typeof value === 'number' ? value : undefined),
    sizeOf: () => 4,
    what: 'a number',
  },
  double: {
    element: { type: 'DOUBLE' },
    valueOf: (value) => (typeof value === 'number' ? value : undefined),
    sizeOf: () => 8,
    what: 'a number',
  },
  string: {
    element: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
    valueOf: (value) => (typeof value === 'string' && isWellFormed(value) ? value : undefined),
    sizeOf: (value: string) => value.length + 4,
    what: 'text',
  },
  bytes: {
    element: { type: 'BYTE_ARRAY' },
    // A copy: it may be a view of fetched memory, and waits for its row group.
    valueOf: (value) => (value instanceof Uint8Array ? Uint8Array.from(value) : undefined),
    sizeOf: (value: Uint8Array) => value.length + 4,
    what: 'bytes',
  },
  json: {
    element: { type: 'BYTE_ARRAY', converted_type: 'JSON' },
    // As JSON gives it back: the library writes it later, and must not fail then.
    valueOf(value) {
      const text = JSON.stringify(value) as string | undefined;
      // The library would lose such a field.
      if (text === undefined || text.includes('"__proto__":')) return undefined;
      return JSON.parse(text) as unknown;
    },
    sizeOf: (value: object) => JSON.stringify(value).length + 4,
    what: 'a value that JSON has',
  },
  timestamp: {
    element: { type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' },
    valueOf: timeOf,
    sizeOf: () => 8,
    what: 'a Date, or whole milliseconds since 1970',
  },
  date: {
    element: { type: 'INT32', converted_type: 'DATE' },
    valueOf: timeOf,
    sizeOf: () => 4,
    what: 'a Date, or whole milliseconds since 1970, of which the day in UTC is written',
  },
};

/** The names of all types. */
export const PARQUET_TYPES = Object.keys(TYPES) as readonly ParquetColumnType[];

/** A column of a type. */
export function columnOf(name: string, type: ParquetColumnType): Column {
  const { element, valueOf, sizeOf, what } = TYPES[type];
  return {
    name,
    type,
    element: { ...element, name, repetition_type: 'OPTIONAL' },
    sizeOf: sizeOf as (value: unknown) => number,
    valueOf(value) {
      const written = valueOf(value);
      if (written !== undefined) return written;
      throw new TypeError(`column ${name} takes ${what}, not ${show(value)}`);
    },
  };
}

/**
 * The type of a column whose first value this is.
 *
 * @throws TypeError if the value does not tell.
 */
export function parquetTypeOf(name: string, value: unknown): ParquetColumnType {
  switch (typeof value) {
    case 'boolean':
      return 'boolean';
    case 'number':
      return 'double'; // another row may have a fraction
    case 'bigint':
      return 'int64';
    case 'string':
      return 'string';
    case 'object':
      if (value instanceof Date) return 'timestamp';
      if (value instanceof Uint8Array) return 'bytes';
      if (value !== null) return 'json';
      break;
    default: // it has no form
  }
  const message =
    `the type of column ${name} is unknown: its first value is ${show(value)}; ` +
    'name the types of all columns in the option types of parquet()';
  throw new TypeError(message);
}

function timeOf(value: unknown): Date | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value;
  const isTime = Number.isSafeInteger(value) && Math.abs(value as number) <= TIME_MS_MAX;
  return isTime ? new Date(value as number) : undefined;
}
