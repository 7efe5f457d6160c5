import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';

/**
 * Expectations for what is checked millions of times. Those of vitest cost 25 microseconds each,
 * met or not. These ask vitest only where one is not met: verdict and message are the same.
 */

/** As `expect(actual).toBe(expected)`. */
export function expectSame(actual: unknown, expected: unknown, message?: string): void {
  if (!Object.is(actual, expected)) expect(actual, message).toBe(expected);
}

/** As `expect(actual).toEqual(expected)`. */
export function expectEqual(actual: unknown, expected: unknown, message?: string): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual, message).toEqual(expected);
}

/** As `expect(actual).toBeLessThanOrEqual(limit)`. */
export function expectAtMost(actual: number, limit: number): void {
  if (!(actual <= limit)) expect(actual).toBeLessThanOrEqual(limit);
}

/** As `expect([...actual]).toContain(expected)`. */
export function expectOneOf<T>(expected: T, actual: Iterable<T> | undefined): void {
  const all = [...(actual ?? [])];
  if (!all.includes(expected)) expect(all).toContain(expected);
}

/** As `expect(actual).toContain(each)` for each that is expected. */
export function expectAll<T>(actual: readonly T[], expected: readonly T[]): void {
  if (!expected.every((each) => actual.includes(each))) {
    for (const each of expected) expect(actual).toContain(each);
  }
}
