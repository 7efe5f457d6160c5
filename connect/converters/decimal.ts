/**
 * Kafka Connect's `Decimal`: an integer of any size and a scale, the number of digits behind the
 * point. JavaScript has no such type, so values are text, which keeps all digits.
 */
import { show } from '../../core/internal.ts';

const DECIMAL = /^([-+]?)(\d+)(?:\.(\d*))?(?:[eE]([-+]?\d+))?$/;
/** Beyond it, the text of a number is too long to be meant. */
const SCALE_MAX = 10_000;

/**
 * The integer of a decimal with this scale.
 *
 * @throws TypeError if it is no decimal; RangeError if it has more digits behind the point.
 */
export function unscaledOf(value: unknown, scale: number): bigint {
  if (typeof value === 'bigint') return atScale(value, 0, scale, value);
  const text = typeof value === 'number' ? String(value) : value;
  const match = typeof text === 'string' ? DECIMAL.exec(text) : null;
  if (match === null) throw new TypeError(`${show(value)} is no decimal`);
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  const digits = BigInt(whole + fraction);
  const ownScale = fraction.length - Number(exponent);
  return atScale(sign === '-' ? -digits : digits, ownScale, scale, value);
}

function atScale(unscaled: bigint, from: number, to: number, shown: unknown): bigint {
  if (Math.abs(to - from) > SCALE_MAX) throw new RangeError(`${show(shown)} is out of range`);
  if (from <= to) return unscaled * 10n ** BigInt(to - from);
  const unit = 10n ** BigInt(from - to);
  if (unscaled % unit === 0n) return unscaled / unit;
  throw new RangeError(`${show(shown)} has more than ${to} digits behind the point`);
}

/** A decimal as text, with as many digits behind the point as its scale says: `12.30`. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale <= 0) return String(unscaled * 10n ** BigInt(-scale));
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const sign = unscaled < 0n ? '-' : '';
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** A decimal as Java's `BigDecimal.toString`: with an exponent if it is small or large. */
export function javaDecimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled);
  const power = digits.length - 1 - scale;
  if (scale >= 0 && power >= -6) return decimalText(unscaled, scale);
  const sign = unscaled < 0n ? '-' : '';
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
  return `${sign}${digits[0]!}${fraction}E${power < 0 ? '' : '+'}${power}`;
}

/** An integer in two's complement, big-endian, in as few bytes as Java's `BigInteger` takes. */
export function integerBytes(value: bigint): Buffer {
  let bits = 8;
  while (BigInt.asIntN(bits, value) !== value) bits += 8;
  const hex = BigInt.asUintN(bits, value).toString(16);
  return Buffer.from(hex.padStart(bits / 4, '0'), 'hex');
}

/** The integer of such bytes. @throws RangeError if there are none. */
export function integerOfBytes(bytes: Uint8Array): bigint {
  if (bytes.length === 0) throw new RangeError('a decimal has at least one byte');
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}
