import { inspect } from 'node:util';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/** How records are printed. */
export interface Printing<K, V> {
  /** Begins each line. */
  readonly label: string;
  /** Makes the text of a record; undefined for key and value. */
  readonly mapper: ((record: StreamRecord<K, V>) => string) | undefined;
  /** Takes each line, without a line break at its end. */
  readonly write: (line: string) => unknown;
}

/**
 * Writes a line for each record, `[label]: key, value` as Kafka Streams does, and forwards nothing
 * [OP-23]. After a crash uncommitted records are written again.
 */
export function print<K, V>(printing: Printing<K, V>): Operator<K, V, never, never> {
  const { label, mapper = keyAndValue, write } = printing;
  return {
    kind: 'print',
    changesKey: false,
    start: () => ({
      process: (record) => {
        synchronous(write(`[${label}]: ${synchronous(mapper(record))}`));
      },
    }),
  };
}

/** Writes a line to standard output. */
export function toStdout(line: string): void {
  process.stdout.write(`${line}\n`);
}

function keyAndValue({ key, value }: StreamRecord): string {
  return `${textOf(key)}, ${textOf(value)}`;
}

/** Texts as they are, all else as Node shows it, on one line. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : inspect(value, { breakLength: Infinity });
}
