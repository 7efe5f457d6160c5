import type { OperatorFunction } from 'rxjs';
import { callback, checkArgument } from '../../core/internal.ts';
import { observe } from '../operators/observe.ts';
import { pipe, type RecordOperators } from '../operators/pipe.ts';
import type { KeyValue } from '../operators/results.ts';
import type { ObservedStream } from '../topology/observed.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { AsyncStream } from './async-stream.ts';
import type { KStream } from './kstream.ts';
import { checkNodeOptions, type NodeOptions, type RekeyingOptions } from './node-options.ts';
import {
  addOperator,
  addToStream,
  NO_SERDES,
  type StreamMaker,
  type StreamParts,
} from './parts.ts';

/** The methods of a stream that join it to RxJS, which they load when they are used. */
export abstract class RxStream<K, V> extends AsyncStream<K, V> {
  readonly #parts: StreamParts<K, V>;
  readonly #stream: StreamMaker;

  /** @internal */
  protected constructor(parts: StreamParts<K, V>, stream: StreamMaker) {
    super(parts, stream);
    this.#parts = parts;
    this.#stream = stream;
  }

  /**
   * Sends each record through operators of RxJS that are synchronous and keep nothing: `filter`,
   * `map`, `mergeMap` to what is at hand. What comes out, records or keys and values, has the time
   * and the headers of the record that went in. A later grouping repartitions, unless `preserves`
   * says that it need not.
   *
   * Each record is a stream of its own, so an operator like `scan` or `distinct` begins anew with
   * each, and `pairwise` passes nothing. Those that wait, count or hold back, like `delay`, `take`
   * or `toArray`, are refused at the first record: PIPE_NOT_STATELESS ends the application. So is
   * `catchError` at its first error, unless it goes on with the stream that it is given, or is
   * within a `mergeMap`: what it returns instead ends.
   *
   * @example
   * orders.pipe(
   *   filter(({ value }) => value.lines.length > 0),
   *   mergeMap(({ key, value }) => value.lines.map((line) => ({ key, value: line }))),
   * );
   *
   * @throws LogError INVALID_OPTION
   */
  pipe<A extends KeyValue<unknown, unknown>>(
    first: OperatorFunction<StreamRecord<K, V>, A>,
    options?: RekeyingOptions,
  ): KStream<A['key'], A['value']>;
  pipe<A, B extends KeyValue<unknown, unknown>>(
    first: OperatorFunction<StreamRecord<K, V>, A>,
    second: OperatorFunction<A, B>,
    options?: RekeyingOptions,
  ): KStream<B['key'], B['value']>;
  pipe<A, B, C extends KeyValue<unknown, unknown>>(
    first: OperatorFunction<StreamRecord<K, V>, A>,
    second: OperatorFunction<A, B>,
    third: OperatorFunction<B, C>,
    options?: RekeyingOptions,
  ): KStream<C['key'], C['value']>;
  pipe<A, B, C, D extends KeyValue<unknown, unknown>>(
    first: OperatorFunction<StreamRecord<K, V>, A>,
    second: OperatorFunction<A, B>,
    third: OperatorFunction<B, C>,
    fourth: OperatorFunction<C, D>,
    options?: RekeyingOptions,
  ): KStream<D['key'], D['value']>;
  pipe(...args: readonly unknown[]): KStream<unknown, unknown> {
    const last = args.at(-1);
    const hasOptions = typeof last === 'object' && last !== null;
    const operators = hasOptions ? args.slice(0, -1) : args;
    for (const [index, operator] of operators.entries()) {
      checkArgument('pipe', `operators[${index}]`, operator, callback);
    }
    checkArgument('pipe', 'operators', operators, () =>
      operators.length > 0 ? undefined : 'at least one operator of RxJS',
    );
    const options = hasOptions ? (last as RekeyingOptions) : {};
    const operator = pipe<K, V, unknown, unknown>(operators as RecordOperators);
    return this.#stream(addToStream(this.#parts, operator, { options, serdes: NO_SERDES }));
  }

  /**
   * Lets the committed records of the stream be observed in the process that runs it: give what
   * this returns to `StreamsApp.records$`. Nothing follows in the topology. While nobody observes,
   * it costs next to nothing.
   *
   * @example
   * const alerts = builder.stream(readings).filter(isHigh).toObservable();
   * app.records$(alerts).subscribe(({ key, value }) => notify(key, value));
   */
  toObservable(options: NodeOptions = {}): ObservedStream<K, V> {
    checkNodeOptions('toObservable', options, ['name']);
    const { graph, node: parent } = this.#parts;
    const name = graph.nameFor('observe', options.name, parent);
    const node = addOperator(graph, observe<K, V>(), { name, parents: [parent], errors: options });
    return { node };
  }
}
