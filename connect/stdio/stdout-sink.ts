import type { Writable } from 'node:stream';
import type { ConsumerRecord, Topic } from '../../core/index.ts';
import {
  able,
  callback,
  checkOptions,
  instance,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { SinkConnector } from '../connector.ts';
import type { SinkFormat } from '../file/sink/sink-format.ts';
import { StdoutSinkTask } from './stdout-sink-task.ts';

/** What `stdoutSink` prints. */
export interface StdoutSinkOptions<Row, K, V> {
  /** Identifies the sink in the log, for ever. Default: `<topic>-stdout`. */
  readonly name?: string;
  readonly topic: Topic<K, V>;
  /**
   * Such as `jsonl()`; a format whose files are whole only with a footer, such as `parquet()`, is
   * refused. A header, as `csv()` has, is printed by each run before its first row.
   */
  readonly format: SinkFormat<Row>;
  /**
   * Makes a record's row; undefined leaves the record out. Default: the record's value, if it is
   * such a row.
   */
  readonly value?: (record: ConsumerRecord<K, V>) => NoInfer<Row> | undefined;
  /** What is written to; the sink does not end it. Default: `process.stdout`. */
  readonly output?: Writable;
}

const CHECKS: OptionChecks<StdoutSinkOptions<unknown, unknown, unknown>> = {
  name: text,
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  format: (value) =>
    (value as Partial<SinkFormat<unknown>> | undefined)?.isAppendable === true
      ? undefined
      : 'a format to print: jsonl(), csv() or lines()',
  value: callback,
  output: able('a writable stream', 'write', 'once'),
};

/**
 * Prints a topic to standard output, one line per record. At least once: after a crash, the next
 * run prints again what was not committed. It waits for a reader that is slower than the log, also
 * while it stops.
 *
 * If the reader goes away (`| head -1`), the run ends with OUTPUT_CLOSED.
 *
 * @example
 * stdoutSink({ topic: delaysByAirport, format: jsonl() })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function stdoutSink<Row, K, V>(
  options: StdoutSinkOptions<Row, K, V> &
    ([V] extends [Row] ? unknown : Required<Pick<StdoutSinkOptions<Row, K, V>, 'value'>>),
): SinkConnector<Topic<K, V>> & { readonly delivery: 'at-least-once' } {
  const all: StdoutSinkOptions<Row, K, V> = options;
  checkOptions<object>('stdoutSink', all, CHECKS, ['topic', 'format'] as never);
  const { topic, format, name = `${topic.name}-stdout` } = all;
  const value = all.value ?? ((record: ConsumerRecord<K, V>) => record.value as Row);
  return {
    name,
    topics: [topic],
    delivery: 'at-least-once',
    async open({ reject }) {
      return new StdoutSinkTask({
        output: all.output ?? process.stdout,
        part: (await format.encoder(undefined)).part('stdout'),
        value: value as (record: ConsumerRecord) => Row | undefined,
        reject,
      });
    },
  };
}
