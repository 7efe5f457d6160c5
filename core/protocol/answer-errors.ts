import { LogError, type LogErrorData } from '../errors.ts';

/*
 * How failures cross the broker API: what concerns one topic, partition or group of a request is
 * data in its place of the answer. The broker puts it there, and clients make exceptions of it.
 */

/** One item of an answer: what became of one topic, partition or group of the request. */
interface Result {
  readonly error?: LogErrorData;
}

/** Throws the error of one item, if it has one. */
export function throwError({ error }: Result): void {
  if (error !== undefined) throw LogError.fromData(error);
}

/** Throws the first error among the items of an answer. */
export function throwFirst(results: readonly Result[]): void {
  for (const result of results) throwError(result);
}

/** The item of an answer that `name` names, once `change` was made or has failed. */
export function outcomeOf<Name extends object>(
  name: Name,
  change: () => Promise<void>,
): Promise<Name & Result> {
  return foundOf(name, {}, async () => {
    await change();
    return {};
  });
}

/** The item that `name` names with what `find` returns, or `nothing` and the error if it fails. */
export async function foundOf<Name extends object, Found extends object>(
  name: Name,
  nothing: Found,
  find: () => Found | Promise<Found>,
): Promise<Name & Found & Result> {
  try {
    return { ...name, ...(await find()) };
  } catch (cause) {
    return { ...name, ...nothing, error: LogError.toData(cause) };
  }
}
