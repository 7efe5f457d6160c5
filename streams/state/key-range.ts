import type { KeyRange } from './environment.ts';

const NO_BYTES = Buffer.alloc(0);
const ZERO = Buffer.alloc(1);
const HIGHEST = 0xff;

/** The keys from `from` to `to`, both included; undefined for no limit. */
export function keyRange(from: Buffer | undefined, to: Buffer | undefined): KeyRange {
  const end = to === undefined ? undefined : Buffer.concat([to, ZERO]); // the next key there can be
  return { start: from ?? NO_BYTES, end };
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
