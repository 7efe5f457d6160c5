import { serializeToBytes, type Serde } from '../../core/index.ts';
import type { KeySelection } from '../topology/store.ts';
import type { KeyRange } from './environment.ts';

const NO_BYTES = Buffer.alloc(0);
const ZERO = Buffer.alloc(1);
const HIGHEST = 0xff;

/** All keys. */
export const ALL_KEYS: KeyRange = { start: NO_BYTES, end: undefined };

/** The keys from `from` to `to`, both included; undefined for the ends of `within`. */
export function keyRange<K>(
  bytesOf: (key: K) => Buffer,
  from: K | undefined,
  to: K | undefined,
  within = ALL_KEYS,
): KeyRange {
  const end = to === undefined ? within.end : Buffer.concat([bytesOf(to), ZERO]); // the next key
  return { start: from === undefined ? within.start : bytesOf(from), end };
}

/** The bytes of the keys that are selected. */
export function selectedRange<K, P>(serde: Serde<K>, keys: KeySelection<K, P>): KeyRange {
  if (!('prefix' in keys)) {
    return keyRange((key) => serializeToBytes(serde, key), keys.from, keys.to);
  }
  const { prefix, serde: own = serde as unknown as Serde<P> } = keys;
  return prefixRange(serializeToBytes(own as Serde<P>, prefix));
}

/** The keys that begin with `prefix`. */
export function prefixRange(prefix: Buffer): KeyRange {
  const end = Buffer.from(prefix);
  let length = end.length;
  while (length > 0 && end[length - 1] === HIGHEST) length--;
  if (length === 0) return { start: prefix, end: undefined };
  end[length - 1]!++;
  return { start: prefix, end: end.subarray(0, length) };
}

/** True if these bytes are in a range. */
export function isWithin({ start, end }: KeyRange, bytes: Buffer): boolean {
  if (Buffer.compare(bytes, start) < 0) return false;
  return end === undefined || Buffer.compare(bytes, end) < 0;
}
