import { show } from '../../core/internal.ts';
import { doubleText } from './java-numbers.ts';

const DAY_MS = 86_400_000;

/** As `Values.convertToString` of Kafka's connect-api. @throws TypeError */
export function simpleText(value: unknown, isInner = false): string {
  switch (typeof value) {
    case 'string':
      return isInner ? `"${value.replace(/["\\]/g, '\\$&')}"` : value;
    case 'number':
      return Number.isInteger(value) && Math.abs(value) < 1e21 ? String(value) : doubleText(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
      return value === null || value === undefined ? 'null' : objectText(value, isInner);
  }
}

function objectText(value: object | symbol | (() => unknown), isInner: boolean): string {
  if (value instanceof Date) return timeText(value);
  if (value instanceof Uint8Array) {
    const base64 = Buffer.from(value).toString('base64');
    return isInner ? `"${base64}"` : base64;
  }
  if (Array.isArray(value)) return `[${value.map((each) => simpleText(each, true)).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`${show(value)} has no form as text`);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const texts = entries.map((entry) => entry.map((each) => simpleText(each, true)).join(':'));
  return `{${texts.join(',')}}`;
}

/** A time of the day, a date or both, whichever says it all. */
function timeText(date: Date): string {
  const timeMs = date.getTime();
  if (!Number.isFinite(timeMs)) throw new TypeError('an invalid Date has no form as text');
  const [day = '', time = ''] = date.toISOString().split('T');
  if (timeMs < DAY_MS) return time;
  return timeMs % DAY_MS === 0 ? day : `${day}T${time}`;
}
