import type { Observable, OperatorFunction } from 'rxjs';
import { rxjs } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { Operator } from '../topology/operator.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import { keyValue, type KeyValue } from './results.ts';

/** RxJS operators, the first of which takes records, and the last of which returns some. */
export type RecordOperators = readonly OperatorFunction<unknown, unknown>[];

/**
 * Sends each record through operators of RxJS [OP-RX-1]. Each is a stream of its own, of one
 * record, so that no operator keeps anything from one to the next: a restart would lose that.
 */
export function pipe<K, V, K2, V2>(operators: RecordOperators): Operator<K, V, K2, V2> {
  return {
    kind: 'pipe',
    changesKey: true,
    start: (forward, { node }) => {
      const piped = new Pipe<K, V>(node, operators);
      return {
        process: (record) => {
          for (const made of piped.run(record)) {
            if (made instanceof StreamRecord) forward(made as StreamRecord<K2, V2>);
            else {
              const { key, value } = keyValue(made as KeyValue<K2, V2>);
              forward(record.withKeyValue(key, value));
            }
          }
        },
      };
    },
  };
}

/** How the stream of one record has ended. */
interface PipeState {
  failed?: { readonly error: unknown };
  isComplete: boolean;
}

class Pipe<K, V> {
  readonly #node: string;
  readonly #operators: RecordOperators;

  constructor(node: string, operators: RecordOperators) {
    this.#node = node;
    this.#operators = operators;
  }

  /** What comes of a record. @throws StreamsError PIPE_NOT_STATELESS */
  run(record: StreamRecord<K, V>): readonly unknown[] {
    const { Subject } = rxjs();
    const source = new Subject<unknown>();
    const made: unknown[] = [];
    const state: PipeState = { isComplete: false };
    let end: Observable<unknown> = source;
    for (const operator of this.#operators) end = operator(end);
    const subscription = end.subscribe({
      next: (each) => made.push(each),
      error: (error: unknown) => (state.failed = { error }),
      complete: () => (state.isComplete = true),
    });
    const isComplete = (): boolean => state.isComplete;
    const check = (): void => {
      if (state.failed !== undefined) throw state.failed.error as Error;
    };
    try {
      check();
      if (made.length > 0) throw this.#refused('emits something before it has a record');
      if (isComplete()) throw this.#refused('ends without a record');
      source.next(record);
      check();
      if (isComplete()) throw this.#refused('ends its stream after some records');
      const { length } = made;
      source.complete();
      check();
      if (made.length > length) throw this.#refused('holds records back until its stream ends');
      if (!isComplete()) throw this.#refused('is asynchronous: it has not ended with its record');
      return made;
    } finally {
      subscription.unsubscribe();
    }
  }

  #refused(what: string): StreamsError {
    const node = this.#node;
    const reason = `one of the operators of ${node} ${what}`;
    const message =
      `${reason}; pipe takes only what does its work for each record by itself and at once: use ` +
      'the operators of a KStream for anything else';
    return new StreamsError('PIPE_NOT_STATELESS', message, { node, reason });
  }
}
