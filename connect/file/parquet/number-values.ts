import { BadValue } from './bad-value.ts';
import type { TimeUnit } from './metadata.ts';

/** What users choose; see `ParquetOptions`. */
export interface ValueOptions {
  readonly timestamps: 'date' | 'ms';
  readonly numbers: 'bigint' | 'text' | 'error' | 'double';
}

const TWO_32 = 0x1_0000_0000;

function bigintOf(low: number, high: number): bigint {
  return (BigInt(high) << 32n) + BigInt(low);
}

/** Converts 64-bit integers, in two halves, to numbers where those are exact. */
export function integersOf(
  isSigned: boolean,
  { numbers }: ValueOptions,
): (low: number, high: number) => unknown {
  return (low, high) => {
    const top = isSigned ? high : high >>> 0;
    const number = top * TWO_32 + low;
    return Number.isSafeInteger(number) ? number : largeInteger(bigintOf(low, top), numbers);
  };
}

function largeInteger(value: bigint, numbers: ValueOptions['numbers']): unknown {
  switch (numbers) {
    case 'bigint':
      return value;
    case 'text':
      return String(value);
    case 'error':
      return new BadValue(`${value} is too large for a number`, 'numbers');
    case 'double':
      return Number(value);
  }
}

/**
 * Rounds the quotient of a 64-bit integer down, without a bigint; NaN where it would be inexact.
 *
 * @param divisor 1 to 1,000,000.
 */
function floorDivide(low: number, high: number, divisor: number): number {
  const quotient = Math.floor(TWO_32 / divisor);
  const rest = TWO_32 - quotient * divisor;
  const large = high * quotient;
  const result = large + Math.floor((high * rest + low) / divisor);
  return Number.isSafeInteger(large) && Number.isSafeInteger(result) ? result : NaN;
}

/** The largest exact power of ten: dividing two exact numbers yields the nearest number. */
const SCALE_EXACT_MAX = 22;

/** How decimals are read. */
export interface DecimalOptions {
  readonly scale: number;
  readonly numbers: ValueOptions['numbers'];
}

/** The number nearest to `unscaled / 10 ** scale`; as text if digits would be lost. */
export function decimal(unscaled: number | bigint, { scale, numbers }: DecimalOptions): unknown {
  const number = Number(unscaled);
  if (Number.isSafeInteger(number) && scale >= 0 && scale <= SCALE_EXACT_MAX) {
    return number / 10 ** scale;
  }
  const text = decimalText(unscaled, scale);
  if (numbers === 'double') return Number(text);
  if (numbers !== 'error') return text;
  return new BadValue(`${text} has too many digits for a number`, 'numbers');
}

function decimalText(unscaled: number | bigint, scale: number): string {
  const sign = unscaled < 0 ? '-' : '';
  const digits = String(unscaled).replace('-', '');
  if (scale <= 0) return `${sign}${digits}${digits === '0' ? '' : '0'.repeat(-scale)}`;
  const padded = digits.padStart(scale + 1, '0');
  return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`;
}

/** The same for an unscaled value in two halves. */
export function decimalOf64(low: number, high: number, options: DecimalOptions): unknown {
  const unscaled = high * TWO_32 + low;
  return decimal(Number.isSafeInteger(unscaled) ? unscaled : bigintOf(low, high), options);
}

/** Any integer up to this size is exact. */
const EXACT_BYTES = 6;

/** More would be no number, but an attack: it takes ever longer to write it down. */
const DECIMAL_BYTES_MAX = 1024;

/** The same for an unscaled value in two's complement, highest byte first. */
export function decimalOfBytes(bytes: Buffer, options: DecimalOptions): unknown {
  const { length } = bytes;
  if (length > DECIMAL_BYTES_MAX) return new BadValue(`a decimal of ${length} bytes`);
  return decimal(bigEndian(bytes), options);
}

function bigEndian(bytes: Buffer): number | bigint {
  if (bytes.length === 0) return 0;
  // Leading bytes that only repeat the sign say nothing.
  let start = 0;
  while (
    bytes.length - start > EXACT_BYTES &&
    bytes[start] === (bytes[start + 1]! > 0x7f ? 0xff : 0)
  ) {
    start++;
  }
  const length = bytes.length - start;
  if (length <= EXACT_BYTES) return bytes.readIntBE(start, length);
  return BigInt.asIntN(8 * length, BigInt(`0x${bytes.toString('hex', start)}`));
}

const DAY_MS = 86_400_000;
/** What a Date can hold, before and after 1970. */
const DATE_MS_MAX = 8.64e15;

function timesOf({ timestamps }: ValueOptions): (ms: number) => unknown {
  if (timestamps === 'ms') return (ms) => ms;
  return (ms) => (Math.abs(ms) <= DATE_MS_MAX ? new Date(ms) : beyondDates());
}

/** Converts days since 1970. */
export function datesOf(options: ValueOptions): (days: number) => unknown {
  const time = timesOf(options);
  return (days) => time(days * DAY_MS);
}

function beyondDates(): BadValue {
  return new BadValue('a time that no Date can hold', 'timestamps');
}

const UNITS_PER_MS: Readonly<Record<TimeUnit, number>> = { MILLIS: 1, MICROS: 1000, NANOS: 1e6 };

/** Converts timestamps in INT64, rounded down to milliseconds. */
export function timestampsOf(
  unit: TimeUnit,
  options: ValueOptions,
): (low: number, high: number) => unknown {
  const divisor = UNITS_PER_MS[unit];
  const time = timesOf(options);
  return (low, high) => {
    const ms = floorDivide(low, high, divisor);
    if (!Number.isNaN(ms)) return time(ms);
    if (options.timestamps === 'date') return beyondDates();
    const units = bigintOf(low, high);
    const size = BigInt(divisor);
    const rounded = units / size - (units % size < 0n ? 1n : 0n);
    return largeInteger(rounded, options.numbers);
  };
}

/** The Julian day of 1970-01-01. */
const EPOCH_DAY = 2_440_588;

/** Converts INT96: nanoseconds of the day i64 LE, then the Julian day i32 LE. */
export function int96TimestampsOf(
  options: ValueOptions,
): (source: Buffer, start: number) => unknown {
  const time = timesOf(options);
  return (source, start) => {
    const ofDay = floorDivide(source.readUInt32LE(start), source.readInt32LE(start + 4), 1e6);
    const dayMs = (source.readInt32LE(start + 8) - EPOCH_DAY) * DAY_MS;
    const ms = dayMs + ofDay;
    if (options.timestamps === 'date' || Number.isSafeInteger(ms)) return time(ms);
    return largeInteger(BigInt(dayMs) + BigInt(ofDay), options.numbers);
  };
}
