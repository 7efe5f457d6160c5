import { stringifyJson } from '../../core/internal.ts';

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
// Of a whole pair, the flag u sees one character.
const HALF_PAIR = /\p{Surrogate}/u;

/**
 * A value as SQLite stores it: integers and booleans as INTEGER, other numbers as REAL, dates as
 * ISO 8601 in UTC, bytes as BLOB, objects and lists as JSON.
 *
 * @throws RangeError, TypeError for what it cannot store without loss.
 */
export function toSqlite(value: unknown): null | number | bigint | string | Uint8Array {
  switch (typeof value) {
    case 'string':
      checkText(value);
      return value;
    case 'number':
      // As a number it would be REAL, and in a TEXT column 1.0.
      if (Number.isSafeInteger(value)) return BigInt(value);
      if (!Number.isNaN(value)) return value;
      throw new RangeError('SQLite has no NaN');
    case 'bigint':
      if (value >= INT64_MIN && value <= INT64_MAX) return value;
      throw new RangeError(`${value} does not fit into the 64 bits of an integer of SQLite`);
    case 'boolean':
      return value ? 1n : 0n;
    case 'undefined':
      return null;
    case 'object':
      if (value === null || value instanceof Uint8Array) return value;
      if (value instanceof Date) return value.toISOString();
      return jsonOf(value);
    default:
      return jsonOf(value);
  }
}

/** @throws RangeError for text that would not come back as it is. */
function checkText(text: string): void {
  if (text.includes('\0')) throw new RangeError('text of SQLite ends at a character NUL');
  if (HALF_PAIR.test(text)) throw new RangeError('the text has half of a surrogate pair');
}

function jsonOf(value: unknown): string {
  const text = stringifyJson(value);
  if (text === undefined) throw new TypeError(`SQLite cannot store a ${typeof value}`);
  return text;
}

/** A value of SQLite for a row: an integer is a bigint only where a number would round it. */
export function fromSqlite(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  return value;
}
