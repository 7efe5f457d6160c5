import { BadValue } from './bad-value.ts';

/** Strict: invalid UTF-8 is an error, not replaced. */
const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const REPLACEMENT = '\ufffd';

/** Undefined if the bytes are not UTF-8. */
function strictText(source: Buffer, start: number, end: number): string | undefined {
  const text = source.toString('utf8', start, end);
  // It stands for what is invalid, or for itself.
  if (!text.includes(REPLACEMENT)) return text;
  try {
    return TEXT.decode(source.subarray(start, end));
  } catch {
    return undefined;
  }
}

export function textOf(source: Buffer, start: number, end: number): string | BadValue {
  return strictText(source, start, end) ?? new BadValue('text that is not UTF-8');
}

export function textOrBytes(source: Buffer, start: number, end: number): string | Uint8Array {
  return strictText(source, start, end) ?? copyOf(source, start, end);
}

/** A copy: a view would keep its page in memory. */
export function copyOf(source: Buffer, start: number, end: number): Uint8Array {
  return new Uint8Array(source.subarray(start, end));
}

export function jsonOf(source: Buffer, start: number, end: number): unknown {
  const text = textOf(source, start, end);
  if (typeof text !== 'string') return text;
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    return new BadValue(`a value that is not JSON: ${(cause as Error).message}`);
  }
}

export function uuidOf(source: Buffer, start: number, end: number): string {
  checkLength(end - start, 16);
  const hex = source.toString('hex', start, end);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return `${parts.join('-')}-${hex.slice(20)}`;
}

/** Sign, 5 bits of exponent, 10 of fraction. */
export function float16Of(source: Buffer, start: number, end: number): number {
  checkLength(end - start, 2);
  const bits = source.readUInt16LE(start);
  const sign = bits >>> 15 === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Three u32 LE that do not add up: a month has no fixed number of days, nor a day of hours. */
export function intervalOf(source: Buffer, start: number, end: number): object {
  checkLength(end - start, 12);
  return {
    months: source.readUInt32LE(start),
    days: source.readUInt32LE(start + 4),
    milliseconds: source.readUInt32LE(start + 8),
  };
}

function checkLength(length: number, expected: number): void {
  if (length !== expected)
    throw new RangeError(`a value of ${length} bytes instead of ${expected}`);
}
