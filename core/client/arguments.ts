import { LogError } from '../errors.ts';
import {
  able,
  checkArgument,
  integer,
  listOf,
  plain,
  show,
  text,
  type OptionCheck,
} from '../options.ts';
import type { Headers } from '../record/record.ts';

/**
 * Checks what callers pass in, at the border: whoever runs a program without the compiler reads
 * what was meant, and nothing wrong gets as far as the log.
 */

/** Accepts a serde. `string` instead of `string()` is a function, and refused. */
export const serdeLike = able('a serde, such as string() or json()', 'serialize', 'deserialize');

export const loggerLike = able(
  'an object with debug, info, warn and error',
  'debug',
  'warn',
  'error',
);
export const randomLike = able('an object with next', 'next');
export const clockLike = able(
  'an object with nowMs, monotonicMs, setTimer and setBackgroundTimer',
  ...['nowMs', 'monotonicMs', 'setTimer', 'setBackgroundTimer'],
);
/** Accepts the signal of an AbortController. */
export const signalLike = able('an AbortSignal', 'addEventListener', 'removeEventListener');

/** The longest string in what a coordinator keeps: Kafka writes its length in 16 bits. */
const ID_BYTES_MAX = 32_767;

/**
 * Accepts the id of a group, a member or a producer: a string that is neither empty nor too long.
 */
export function identifier(bytesMax = ID_BYTES_MAX): OptionCheck {
  return (value) => {
    const fault = text(value);
    if (fault !== undefined) return fault;
    const sizeBytes = Buffer.byteLength(value as string);
    if (sizeBytes <= bytesMax) return undefined;
    return `a string of at most ${bytesMax} bytes in UTF-8 (it has ${sizeBytes})`;
  };
}

/** Room for what makes a member's id of a client id: a number of ours, the coordinator's token. */
const MEMBER_SUFFIX_BYTES = '-999999999'.length + '-'.length + 32;

/** Accepts a client id. */
export const clientIdentifier = identifier(ID_BYTES_MAX - MEMBER_SUFFIX_BYTES);

/** Accepts milliseconds to wait, also Infinity. */
export const waitMs: OptionCheck = (value) =>
  typeof value === 'number' && value >= 0 ? undefined : 'a number of milliseconds, 0 or more';

const offset = integer(0);
const partition = integer(0);

/** @throws LogError INVALID_OPTION unless it is a handle, as `topic` makes them. */
export function checkHandle(what: string, given: unknown, argument = 'topic'): void {
  checkArgument(what, argument, given, (value) => (isHandle(value) ? undefined : A_HANDLE));
}

const A_HANDLE = 'a topic, as topic(name, { key, value }) makes one';

function isHandle(value: unknown): boolean {
  if (plain(value) !== undefined) return false;
  const { name, key, value: of } = value as Record<string, unknown>;
  return typeof name === 'string' && serdeLike(key) === undefined && serdeLike(of) === undefined;
}

/** @throws LogError INVALID_OPTION unless it is a list of handles. */
export function checkHandles(what: string, given: unknown): void {
  checkArgument(what, 'topics', given, listOf('topics, or a topicPattern'));
  for (const [index, each] of (given as unknown[]).entries()) {
    checkHandle(what, each, `topics[${index}]`);
  }
}

/** @throws LogError INVALID_OPTION unless it is a list of names. */
export function checkNames(what: string, argument: string, given: unknown): void {
  checkArgument(what, argument, given, listOf('names'));
  for (const [index, each] of (given as unknown[]).entries()) {
    checkArgument(what, `${argument}[${index}]`, each, text);
  }
}

/** @throws LogError INVALID_OPTION unless it is a partition of a topic. */
export function checkTopicPartition(what: string, given: unknown, argument = 'partition'): void {
  checkArgument(what, argument, given, (value) =>
    plain(value) === undefined ? undefined : '{ topic, partition }',
  );
  const candidate = given as Record<string, unknown>;
  checkArgument(what, `${argument}.topic`, candidate['topic'], (value) =>
    typeof value === 'string' ? undefined : 'the name of a topic',
  );
  checkArgument(what, `${argument}.partition`, candidate['partition'], partition);
}

/** @throws LogError INVALID_OPTION unless it is a list of partitions. */
export function checkTopicPartitions(what: string, given: unknown, argument = 'partitions'): void {
  checkArgument(what, argument, given, listOf('{ topic, partition }'));
  for (const [index, each] of (given as unknown[]).entries()) {
    checkTopicPartition(what, each, `${argument}[${index}]`);
  }
}

/** @throws LogError INVALID_OPTION unless it is a list of partitions, each with an offset. */
export function checkOffsets(what: string, given: unknown, check = offset): void {
  checkArgument(what, 'offsets', given, listOf('{ topic, partition, offset }'));
  checkTopicPartitions(what, given, 'offsets');
  for (const [index, each] of (given as Record<string, unknown>[]).entries()) {
    const { offset: next, metadata = '' } = each;
    checkArgument(what, `offsets[${index}].offset`, next, check);
    checkArgument(what, `offsets[${index}].metadata`, metadata, (value) =>
      typeof value === 'string' ? undefined : 'a string',
    );
  }
}

/** @throws LogError INVALID_OPTION unless it can be iterated, at once or over time. */
export function checkIterable(what: string, given: unknown): void {
  checkArgument(what, 'records', given, (value) => {
    const isObject = typeof value === 'object' && value !== null;
    if (isObject && (Symbol.iterator in value || Symbol.asyncIterator in value)) return undefined;
    return 'an array, or anything else that yields records';
  });
}

/** What is wrong with the headers of a record; undefined when nothing is. */
export function headersFault(headers: Headers): string | undefined {
  if (!Array.isArray(headers)) return `they are ${show(headers)}`;
  const bad = (headers as readonly unknown[]).find((header) => {
    if (plain(header) !== undefined) return true;
    const { key, value } = header as Record<string, unknown>;
    return typeof key !== 'string' || !(value === null || value instanceof Uint8Array);
  });
  return bad === undefined ? undefined : `one is ${show(bad)}`;
}

/** The error for a record that could not be added: INVALID_OPTION if it is none, else `cause`. */
export function recordError(
  topic: { readonly name: string } | null | undefined,
  record: unknown,
  cause: unknown,
): Error {
  const name = topic?.name;
  const isRecord = typeof record === 'object' && record !== null && 'value' in record;
  if (name === undefined || isRecord) return cause as Error;
  const details = { option: 'record', value: show(record), allowed: 'an object with a value' };
  const message = `a record for ${name} must be ${details.allowed}, not ${details.value}`;
  return new LogError('INVALID_OPTION', message, details, { cause });
}
