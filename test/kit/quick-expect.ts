import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';

/**
 * Expectations for checks that run millions of times. Vitest's cost 25 microseconds each, even if
 * they hold. These call vitest only if one does not hold: verdict and message are the same.
 */

/** Like `expect(actual).toBe(expected)`. */
export function expectSame(actual: unknown, expected: unknown, message?: string): void {
  if (!Object.is(actual, expected)) expect(actual, message).toBe(expected);
}

/** Like `expect(actual).toEqual(expected)`. */
export function expectEqual(actual: unknown, expected: unknown, message?: string): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual, message).toEqual(expected);
}

/** Like `expect(actual).toBeLessThanOrEqual(limit)`. */
export function expectAtMost(actual: number, limit: number): void {
  if (!(actual <= limit)) expect(actual).toBeLessThanOrEqual(limit);
}

/** Like `expect([...actual]).toContain(expected)`. */
export function expectOneOf<T>(expected: T, actual: Iterable<T> | undefined): void {
  const all = [...(actual ?? [])];
  if (!all.includes(expected)) expect(all).toContain(expected);
}

/** Like `expect(actual).toContain(each)` for each expected element. */
export function expectAll<T>(actual: readonly T[], expected: readonly T[]): void {
  if (!expected.every((each) => actual.includes(each))) {
    for (const each of expected) expect(actual).toContain(each);
  }
}
