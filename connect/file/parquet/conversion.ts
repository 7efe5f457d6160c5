/** Decides what the values of a column become. For a dictionary this runs once for each entry. */
import {
  copyOf,
  float16Of,
  intervalOf,
  jsonOf,
  textOf,
  textOrBytes,
  uuidOf,
} from './byte-values.ts';
import type { Annotation, PhysicalType } from './metadata.ts';
import {
  datesOf,
  decimal,
  decimalOf64,
  decimalOfBytes,
  int96TimestampsOf,
  integersOf,
  timestampsOf,
  type DecimalOptions,
  type ValueOptions,
} from './number-values.ts';

/** Turns the values of a column, as they lie in pages, into those of rows. */
export interface Conversion {
  /** INT32, FLOAT, DOUBLE; undefined if they stay as they are. */
  readonly number: ((value: number) => unknown) | undefined;
  /** INT64, in two halves: the low one unsigned, the high one signed. */
  readonly integer64: (low: number, high: number) => unknown;
  /** INT96, BYTE_ARRAY, FIXED_LEN_BYTE_ARRAY: `source[start, end)`, which changes later. */
  readonly bytes: (source: Buffer, start: number, end: number) => unknown;
}

/** A column, as far as its values depend on it. */
export interface ValueColumn {
  readonly type: PhysicalType;
  readonly annotation: Annotation | undefined;
  /**
   * True for the parts of a variant, where bytes are bytes. Elsewhere some writers store text
   * without saying so.
   */
  readonly isVariantPart: boolean;
}

/** The values of a column; annotations that do not fit its type are ignored. */
export function conversionOf(column: ValueColumn, options: ValueOptions): Conversion {
  return {
    number: numbersOf(column, options),
    integer64: integers64Of(column, options),
    bytes: bytesOf(column, options),
  };
}

function numbersOf({ type, annotation }: ValueColumn, options: ValueOptions): Conversion['number'] {
  if (type !== 'INT32') return undefined;
  switch (annotation?.is) {
    case 'date':
      return datesOf(options);
    case 'decimal': {
      const decimals = decimalOptions(annotation.scale, options);
      return (unscaled) => decimal(unscaled, decimals);
    }
    case 'integer':
      return annotation.isSigned ? undefined : (value) => value >>> 0;
    default:
      return undefined;
  }
}

function decimalOptions(scale: number, { numbers }: ValueOptions): DecimalOptions {
  return { scale, numbers };
}

function integers64Of({ annotation }: ValueColumn, options: ValueOptions): Conversion['integer64'] {
  switch (annotation?.is) {
    case 'timestamp':
      return timestampsOf(annotation.unit, options);
    case 'decimal': {
      const decimals = decimalOptions(annotation.scale, options);
      return (low, high) => decimalOf64(low, high, decimals);
    }
    case 'integer':
      return integersOf(annotation.isSigned, options);
    default:
      return integersOf(true, options);
  }
}

function bytesOf(
  { type, annotation, isVariantPart }: ValueColumn,
  options: ValueOptions,
): Conversion['bytes'] {
  if (type === 'INT96') return int96TimestampsOf(options);
  switch (annotation?.is) {
    case 'text':
      return textOf;
    case 'json':
      return jsonOf;
    case 'uuid':
      return uuidOf;
    case 'float16':
      return float16Of;
    case 'interval':
      return intervalOf;
    case 'decimal': {
      const decimals = decimalOptions(annotation.scale, options);
      return (source, start, end) => decimalOfBytes(source.subarray(start, end), decimals);
    }
    case 'bytes':
      return copyOf;
    default:
      return type === 'BYTE_ARRAY' && !isVariantPart ? textOrBytes : copyOf;
  }
}
