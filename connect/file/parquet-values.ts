/**
 * Decides what the values of a Parquet column become. hyparquet picks a parser by type, and some of
 * them can be replaced; for a type whose parser cannot, we present the column as another type,
 * whose parser does the work. For a dictionary this runs once per value in it.
 */
import type { ParquetParsers, SchemaElement } from 'hyparquet';

/** A column as we present it to hyparquet. */
export interface ColumnValues {
  readonly element: SchemaElement;
  readonly parsers: Partial<ParquetParsers>;
}

/** How to read the values of a flat column. */
export function columnValues(element: SchemaElement, timestamps: 'date' | 'ms'): ColumnValues {
  const parsers = { ...TEXT_PARSERS, ...timestampParsers(timestamps) };
  const { type, converted_type: old, logical_type: logical } = element;
  if (isInteger64(element)) {
    // hyparquet leaves them as bigints and creates one for each row.
    return read(element, isUnsigned(element) ? unsignedNumber : exactNumber);
  }
  if (logical?.type === 'DECIMAL' || old === 'DECIMAL') {
    // hyparquet multiplies by a power of ten, which loses digits: 3 * 0.1 is not 0.3.
    const scale = logical?.type === 'DECIMAL' ? logical.scale : (element.scale ?? 0);
    return read(element, (value: bigint | number) => decimal(BigInt(value), scale));
  }
  if (type === 'BYTE_ARRAY' && old === undefined && logical === undefined) {
    // Some writers store text here, others anything.
    return { element, parsers: { ...parsers, stringFromBytes: textOrBytes } };
  }
  return { element, parsers };
}

/** Calls `parse` for each value, with its bytes read as one integer. */
function read(element: SchemaElement, parse: (value: bigint) => unknown): ColumnValues {
  const { type = 'INT64', name, type_length: length } = element;
  const plain = {
    type,
    name,
    repetition_type: element.repetition_type ?? 'OPTIONAL',
    ...(length !== undefined && { type_length: length }),
  } as const;
  const fromBytes = (bytes: Uint8Array): unknown => parse(integerOf(bytes));
  switch (type) {
    case 'BYTE_ARRAY':
      return { element: plain, parsers: { stringFromBytes: fromBytes } };
    case 'FIXED_LEN_BYTE_ARRAY':
      return {
        element: { ...plain, logical_type: { type: 'UUID' } },
        parsers: { uuidFromBytes: fromBytes },
      };
    default:
      return {
        element: {
          ...plain,
          logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
        },
        parsers: { timestampFromMilliseconds: parse },
      };
  }
}

const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Strict text: invalid UTF-8 is an error, not replaced. */
export const TEXT_PARSERS: Partial<ParquetParsers> = {
  stringFromBytes: (bytes) => TEXT.decode(bytes),
};

/** Parsers for timestamps, in each of Parquet's units. */
export function timestampParsers(timestamps: 'date' | 'ms'): Partial<ParquetParsers> {
  const make = timestamps === 'ms' ? (ms: number) => ms : (ms: number) => new Date(ms);
  return {
    timestampFromMilliseconds: (millis) => make(Number(millis)),
    timestampFromMicroseconds: (micros) => make(Math.floor(Number(micros) / 1e3)),
    timestampFromNanoseconds: (nanos) => make(Number(nanos / 1_000_000n)),
    dateFromDays: (days) => make(days * 86_400_000),
  };
}

/**
 * Converts a value of a nested column: bigints become numbers if those are exact, missing values
 * null.
 */
export function plainValue(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return exactNumber(value);
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date || ArrayBuffer.isView(value)) return value;
  const entries = Object.entries(value).map(([name, each]) => [name, plainValue(each)]);
  return Object.fromEntries(entries);
}

function isInteger64({ type, converted_type: old, logical_type: logical }: SchemaElement): boolean {
  if (type !== 'INT64') return false;
  const isPlain = old === undefined || ['INT_64', 'UINT_64', 'TIME_MICROS'].includes(old);
  return isPlain && (logical === undefined || ['INTEGER', 'TIME'].includes(logical.type));
}

function isUnsigned({ converted_type: old, logical_type: logical }: SchemaElement): boolean {
  return old === 'UINT_64' || (logical?.type === 'INTEGER' && !logical.isSigned);
}

function exactNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function unsignedNumber(value: bigint): number | bigint {
  return exactNumber(BigInt.asUintN(64, value));
}

/** The largest exact power of ten: dividing two exact numbers yields the nearest number. */
const SCALE_EXACT_MAX = 22;

/** The number nearest to `unscaled / 10 ** scale`; text if digits would be lost. */
function decimal(unscaled: bigint, scale: number): number | string {
  const number = Number(unscaled);
  if (Number.isSafeInteger(number) && scale >= 0 && scale <= SCALE_EXACT_MAX) {
    return number / 10 ** scale;
  }
  const sign = unscaled < 0n ? '-' : '';
  const digits = String(unscaled < 0n ? -unscaled : unscaled);
  if (scale <= 0) return `${sign}${digits}${'0'.repeat(-scale)}`;
  const padded = digits.padStart(scale + 1, '0');
  return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}

/** Big-endian two's complement. */
function integerOf(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  const { buffer, byteOffset, length } = bytes;
  return BigInt.asIntN(
    8 * length,
    BigInt(`0x${Buffer.from(buffer, byteOffset, length).toString('hex')}`),
  );
}

/** A string if the bytes are text, else the bytes themselves. */
function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return TEXT.decode(bytes);
  } catch {
    return bytes;
  }
}
