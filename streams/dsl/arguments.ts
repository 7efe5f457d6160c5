import { callback, checkArgument } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';

/**
 * Checks the functions given to a method of the DSL: a program may run without the compiler.
 *
 * @throws LogError INVALID_OPTION if it is no function
 * @throws StreamsError TOPOLOGY_INVALID if it is async
 */
export function checkFunctions(method: string, functions: Readonly<Record<string, unknown>>): void {
  for (const [argument, given] of Object.entries(functions)) {
    checkArgument(method, argument, given, callback);
    const kind = Object.prototype.toString.call(given);
    if (kind !== '[object AsyncFunction]' && kind !== '[object AsyncGeneratorFunction]') continue;
    const reason =
      `${method}: ${argument} is async, and functions of a topology are synchronous; wait for ` +
      'what it needs before the records enter a topic, or behind the topology';
    throw invalid(reason);
  }
}

/**
 * Checks that another method of the DSL made the value, rather than just its shape.
 *
 * @throws LogError INVALID_OPTION
 */
export function checkMade(
  method: string,
  argument: string,
  given: unknown,
  { name, prototype }: { readonly name: string; readonly prototype: object },
): void {
  checkArgument(method, argument, given, () =>
    Object.prototype.isPrototypeOf.call(prototype, given as object) ? undefined : `a ${name}`,
  );
}

/** TOPOLOGY_INVALID for two sides from different builders. */
export function foreign(operation: string): StreamsError {
  return invalid(`${operation} needs both sides from one StreamsBuilder`);
}

/** TOPOLOGY_INVALID with the reason as its message. */
export function invalid(reason: string): StreamsError {
  return new StreamsError('TOPOLOGY_INVALID', reason, { reason });
}
