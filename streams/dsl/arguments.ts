import { callback, checkArgument, checkHandle } from '../../core/internal.ts';
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

/**
 * Checks the topics that a method is given in a list.
 *
 * @throws LogError INVALID_OPTION for an empty list, or an entry that is no topic.
 */
export function checkTopics(method: string, topics: readonly unknown[]): void {
  checkArgument(method, 'topics', topics, () =>
    topics.length > 0 ? undefined : 'a list of at least one topic',
  );
  for (const [index, topic] of topics.entries()) checkHandle(method, topic, `topics[${index}]`);
}

/** Array.isArray, which does not know that lists may be readonly. */
export function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/** TOPOLOGY_INVALID for two sides from different builders. */
export function foreign(operation: string): StreamsError {
  return invalid(`${operation} needs both sides from one StreamsBuilder`);
}

/** TOPOLOGY_INVALID with the reason as its message. */
export function invalid(reason: string): StreamsError {
  return new StreamsError('TOPOLOGY_INVALID', reason, { reason });
}
