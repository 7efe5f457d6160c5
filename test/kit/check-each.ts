/** Mostly a check waits for turns of the event loop, which many can share. */
const CHECKS_AT_ONCE = 16;

/**
 * Runs a check for each of some cases that have nothing in common, several at a time. Rejects with
 * the first failure, and then begins no other check.
 */
export async function checkEach<T>(
  cases: Iterable<T>,
  check: (each: T) => Promise<void>,
): Promise<void> {
  const rest = each(cases);
  const worker = async (): Promise<void> => {
    for (const next of rest) await check(next); // a throw ends `rest` for all
  };
  await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, worker));
}

function* each<T>(cases: Iterable<T>): Generator<T> {
  yield* cases;
}
