/** A broken promise inside Millrace itself: never the caller's fault, always worth a report. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/**
 * Checks an invariant of ours. Bytes from disk and arguments of callers are input, not invariants:
 * those fail with a coded error.
 *
 * @throws AssertionFailure when `condition` is false.
 */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionFailure(`invariant broken: ${invariant}`);
}

/** Marks code that no value of a union reaches. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable: ${JSON.stringify(value)}`);
}

/** Returns `value`, which an invariant guarantees to be there. */
export function present<T>(value: T | undefined | null, invariant: string): T {
  if (value === undefined || value === null) {
    throw new AssertionFailure(`invariant broken: ${invariant}`);
  }
  return value;
}
