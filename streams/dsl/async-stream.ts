import { checkArgument, callback } from '../../core/internal.ts';
import type { AsyncCall } from '../operators/calls.ts';
import { filterAsync, mapAsync, mapValuesAsync } from '../operators/map-async.ts';
import type { KeyValue } from '../operators/results.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { addAsync, checkAsyncOptions } from './async-operators.ts';
import type { AsyncOptions, AsyncRekeyingOptions } from './async-options.ts';
import type { KStream } from './kstream.ts';
import { NO_SERDES, type StreamMaker, type StreamParts } from './parts.ts';

/**
 * The methods of a stream whose functions may take their time: they return promises, or results.
 *
 * Nothing waits for them but what needs them. Commits go on: records that wait are in a store with
 * a changelog, and after a restart or a crash they are asked for again. Each result is passed on
 * exactly once; **the function may be called more than once** for a record, so what it does outside
 * should bear that. When enough records wait (`maxPending`), their task reads no more until one has
 * its result. Results keep the time of their record, and stream time behind the operator waits for
 * them: no window behind it drops one because its call was slow.
 *
 * A call that fails, or takes longer than `timeoutMs`, is repeated `retries` times; then `onError`
 * decides, as of any operator. The call's `signal` is aborted when nobody waits for it any more.
 */
export abstract class AsyncStream<K, V> {
  readonly #parts: StreamParts<K, V>;
  readonly #stream: StreamMaker;

  /** @internal */
  protected constructor(parts: StreamParts<K, V>, stream: StreamMaker) {
    this.#parts = parts;
    this.#stream = stream;
  }

  /**
   * As `map`, with a function that may take its time. A later grouping repartitions.
   *
   * @example
   * orders.mapAsync(
   *   async ({ value }, { signal }) => {
   *     const response = await fetch(`${shop}/orders/${value.id}`, { signal });
   *     return { key: value.id, value: await response.json() };
   *   },
   *   { concurrency: 32, order: 'key', timeoutMs: seconds(5), retries: 3, onError: 'deadLetter' },
   * );
   *
   * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
   */
  mapAsync<K2, V2>(
    mapper: (
      record: StreamRecord<K, V>,
      call: AsyncCall,
    ) => KeyValue<K2, V2> | PromiseLike<KeyValue<K2, V2>>,
    options: AsyncRekeyingOptions<NonNullable<K>, NonNullable<V>> = {},
  ): KStream<K2, V2> {
    checkArgument('mapAsync', 'mapper', mapper, callback);
    checkAsyncOptions('mapAsync', options, true);
    return this.#stream(
      addAsync<K, V, K2, V2>(this.#parts, {
        ...{ kind: 'map-async', options, serdes: NO_SERDES },
        operator: (awaited) => mapAsync(mapper, awaited),
      }),
    );
  }

  /** As `mapValues`, with a function that may take its time; keys and partitions stay. */
  mapValuesAsync<V2>(
    mapper: (value: V, record: StreamRecord<K, V>, call: AsyncCall) => V2 | PromiseLike<V2>,
    options: AsyncOptions<NonNullable<K>, NonNullable<V>> = {},
  ): KStream<K, V2> {
    checkArgument('mapValuesAsync', 'mapper', mapper, callback);
    checkAsyncOptions('mapValuesAsync', options, false);
    const { keySerde } = this.#parts;
    return this.#stream(
      addAsync<K, V, K, V2>(this.#parts, {
        ...{ kind: 'map-values-async', options, serdes: { keySerde, valueSerde: undefined } },
        operator: (awaited) => mapValuesAsync(mapper, awaited),
      }),
    );
  }

  /** Keeps the records for which `predicate` is true, which may take its time. */
  filterAsync(
    predicate: (record: StreamRecord<K, V>, call: AsyncCall) => boolean | PromiseLike<boolean>,
    options: AsyncOptions<NonNullable<K>, NonNullable<V>> = {},
  ): KStream<K, V> {
    checkArgument('filterAsync', 'predicate', predicate, callback);
    checkAsyncOptions('filterAsync', options, false);
    const { keySerde, valueSerde } = this.#parts;
    return this.#stream(
      addAsync<K, V, K, V>(this.#parts, {
        ...{ kind: 'filter-async', options, serdes: { keySerde, valueSerde } },
        operator: (awaited) => filterAsync(predicate, awaited),
      }),
    );
  }
}
