import { Readable } from 'node:stream';
import type { AnyTopic, JsonNumbers, Topic } from '../../core/index.ts';
import {
  able,
  callback,
  checkOptions,
  instance,
  integer,
  JSON_NUMBERS,
  oneOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { SourceConnector } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { StdinSourceTask } from './stdin-source-task.ts';

/** What `stdinSource` reads, and how a row becomes a record. */
export interface StdinSourceOptions<Row, K, V> {
  /** Identifies the source in the log, for ever. Default: `<topic>-stdin`. */
  readonly name?: string;
  /**
   * `lines`: each line is a row, a string. `jsonl`: each line is one JSON value, which is not
   * checked; blank lines are skipped.
   */
  readonly format: 'lines' | 'jsonl';
  readonly topic: Topic<K, V>;
  /** The record's key, which decides its partition; null spreads the records. */
  readonly key: (row: Row) => NoInfer<K> | null;
  /** The record's value. Default: the row, if it is such a value. */
  readonly value?: (row: Row) => NoInfer<V> | null;
  /** Event time, a Date or milliseconds since 1970. Default: the time at which the row is read. */
  readonly timestamp?: (row: Row) => number | Date;
  /** The longest line, in bytes, at most 256 MiB; a longer one is bad input. Default: 1 MiB. */
  readonly lineBytesMax?: number;
  /**
   * With `jsonl`, what becomes of numbers that a double cannot hold: `bigint` (default), `text`,
   * `error`, or `double`, which rounds them as `JSON.parse` does.
   */
  readonly numbers?: JsonNumbers;
  /** What is read, to its end; the source destroys it when it closes. Default: `process.stdin`. */
  readonly input?: Readable;
}

/** A source that cannot read its input again. */
export interface StdinSource<T extends AnyTopic = AnyTopic> extends SourceConnector<T> {
  /**
   * What a pipe has handed over exists nowhere else: lines that were read and not yet committed
   * are lost in a crash.
   */
  readonly delivery: 'at-most-once';
}

const CHECKS: OptionChecks<StdinSourceOptions<unknown, unknown, unknown>> = {
  name: text,
  format: oneOf('lines', 'jsonl'),
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  key: callback,
  value: callback,
  timestamp: callback,
  lineBytesMax: integer(1, 2 ** 28), // V8's strings have up to 2 ** 29 characters
  numbers: oneOf(...JSON_NUMBERS),
  input: able('a readable stream', 'read', 'destroy'),
};

// As much as a record may have by default (`maxMessageBytes`).
const LINE_BYTES_MAX = 1024 * 1024;

/**
 * Reads standard input into a topic, up to its end. Text is UTF-8; lines end with LF or CRLF, the
 * last one also with the input.
 *
 * Standard input has no offset to continue at, so this source is not exactly-once. Each run reads
 * from the start what it is given: lines that were read from a pipe and not yet committed are lost
 * in a crash, and an input that is given again is in the topic again. To import a file, use
 * `fileSource`. An input that was read before is INPUT_CONSUMED.
 *
 * @example
 * stdinSource({ format: 'jsonl', topic: flights, key: (row: Flight) => row.origin })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function stdinSource<K, V>(
  options: StdinSourceOptions<string, K, V> & { readonly format: 'lines' } & ([string] extends [V]
      ? unknown
      : Required<Pick<StdinSourceOptions<string, K, V>, 'value'>>),
): StdinSource<Topic<K, V>>;
/** The same for JSON lines. */
export function stdinSource<Row, K, V>(
  options: StdinSourceOptions<Row, K, V> & { readonly format: 'jsonl' } & ([Row] extends [V]
      ? unknown
      : Required<Pick<StdinSourceOptions<Row, K, V>, 'value'>>),
): StdinSource<Topic<K, V>>;
export function stdinSource<Row, K, V>(
  options: StdinSourceOptions<Row, K, V>,
): StdinSource<Topic<K, V>> {
  checkOptions<object>('stdinSource', options, CHECKS, ['format', 'topic', 'key'] as never);
  const { topic, name = `${topic.name}-stdin`, lineBytesMax = LINE_BYTES_MAX } = options;
  const { numbers = 'bigint' } = options;
  return {
    name,
    topics: [topic],
    isBounded: true,
    delivery: 'at-most-once',
    async open({ signal }) {
      const { input = process.stdin } = options;
      if (input.destroyed || Readable.isDisturbed(input)) throw consumed();
      return [new StdinSourceTask<Row, K, V>({ ...options, input, lineBytesMax, numbers, signal })];
    },
  };
}

function consumed(): ConnectError {
  const message =
    'stdin was read before, and cannot be read again: what was read and not committed is lost; ' +
    'start the process again, with the input';
  return new ConnectError('INPUT_CONSUMED', message, { input: 'stdin' });
}
