/**
 * Runs `task` for each item, at most `limit` at a time. Resolves when all have ended, with the
 * results in the order of the items; never rejects.
 */
export async function settleAll<T, R>(
  items: Iterable<T>,
  limit: number,
  task: (item: T) => Promise<R>,
): Promise<PromiseSettledResult<R>[]> {
  const results: PromiseSettledResult<R>[] = [];
  const rest = [...items].entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of rest) {
      [results[index]] = await Promise.allSettled([task(item)]);
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  return results;
}
