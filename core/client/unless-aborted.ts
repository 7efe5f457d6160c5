/** Resolves or rejects as `work` does, or rejects with `reason()` as soon as `signal` aborts. */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
  reason: () => Error,
): Promise<T> {
  let abort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      reject(reason());
    };
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    if (signal.aborted) abort();
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
