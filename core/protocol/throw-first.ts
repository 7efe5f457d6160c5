import { LogError, type LogErrorData } from '../errors.ts';

/** Throws the first error among the results of a request. */
export function throwFirst(results: readonly { readonly error?: LogErrorData }[]): void {
  const failed = results.find(({ error }) => error !== undefined)?.error;
  if (failed !== undefined) throw LogError.fromData(failed);
}
