import { checkArgument, callback } from '../../core/internal.ts';
import type { AsyncCall } from '../operators/calls.ts';
import { lookup, type Lookup } from '../operators/lookup.ts';
import type { FindMany, LookupKey } from '../operators/lookups.ts';
import { filterAsync, mapAsync, mapValuesAsync } from '../operators/map-async.ts';
import type { KeyValue } from '../operators/results.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { checkFunctions } from './arguments.ts';
import { addAsync, checkAsyncOptions, lookupLimits, lookupPending } from './async-operators.ts';
import type {
  AsyncOptions,
  AsyncRekeyingOptions,
  LookupManyOptions,
  LookupOptions,
} from './async-options.ts';
import type { LookupJoiner } from './functions.ts';
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

  /**
   * Joins each record with what `find` finds outside for its key, such as a row of a database:
   * undefined if that is nothing, null or undefined, or if `by` returns no key. `joiner` returns
   * the new value; keys and partitions stay. Records that wait for one key share a call, and with
   * `cache` later ones use what it has found: do not change it.
   *
   * What is found is not kept with the application's state: a restart asks again, and may find
   * something newer. A table of the topology is what to join with if that matters.
   *
   * @example
   * orders.lookup(
   *   ({ value }) => value.customerId,
   *   (id, { signal }) => customers.get(id, { signal }),
   *   (order, customer) => ({ ...order, name: customer?.name ?? 'unknown' }),
   *   { cache: { ttlMs: minutes(5), missesTtlMs: seconds(10) }, retries: 2 },
   * );
   *
   * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
   */
  lookup<KL extends LookupKey, VT, V2>(
    by: (record: StreamRecord<K, V>) => KL | null | undefined,
    find: (key: KL, call: AsyncCall) => VT | null | undefined | PromiseLike<VT | null | undefined>,
    joiner: LookupJoiner<K, V, VT, V2>,
    options: LookupOptions<NonNullable<K>, NonNullable<V>> = {},
  ): KStream<K, V2> {
    checkArgument('lookup', 'find', find, callback);
    const findMany = oneByOne(find);
    return this.#lookup<KL, VT, V2>('lookup', { by, find: findMany, joiner }, options);
  }

  /**
   * The same with a function that is asked for several keys at once, as one query of a database:
   * for those that are wanted while its calls are under way, up to `batchMax`. It returns what it
   * has found by key; the other keys have nothing. If a call fails, it fails for all records that
   * wait for it.
   *
   * @example
   * orders.lookupMany(
   *   ({ value }) => value.customerId,
   *   async (ids) => {
   *     const { rows } = await sql.query('select * from customers where id = any($1)', [ids]);
   *     return new Map(rows.map((row) => [row.id, row]));
   *   },
   *   (order, customer) => ({ ...order, name: customer?.name }),
   *   { batchMax: 500, cache: { ttlMs: minutes(5) } },
   * );
   *
   * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
   */
  lookupMany<KL extends LookupKey, VT, V2>(
    by: (record: StreamRecord<K, V>) => KL | null | undefined,
    find: FindMany<KL, VT>,
    joiner: LookupJoiner<K, V, VT, V2>,
    options: LookupManyOptions<NonNullable<K>, NonNullable<V>> = {},
  ): KStream<K, V2> {
    checkArgument('lookupMany', 'find', find, callback);
    return this.#lookup<KL, VT, V2>('lookupMany', { by, find, joiner }, options);
  }

  #lookup<KL extends LookupKey, VT, V2>(
    method: 'lookup' | 'lookupMany',
    asked: Pick<Lookup<K, V, KL, VT, V2>, 'by' | 'find' | 'joiner'>,
    options: LookupManyOptions<NonNullable<K>, NonNullable<V>>,
  ): KStream<K, V2> {
    const { by, joiner } = asked;
    checkFunctions(method, { by, joiner });
    const limits = lookupLimits(method, options);
    const { keySerde } = this.#parts;
    return this.#stream(
      addAsync<K, V, K, V2>(this.#parts, {
        ...{ kind: 'lookup', options: lookupPending(options, limits) },
        serdes: { keySerde, valueSerde: undefined },
        operator: (awaited) => lookup({ ...asked, ...limits }, awaited),
      }),
    );
  }
}

/** A function for one key, as one for many. */
function oneByOne<KL, VT>(
  find: (key: KL, call: AsyncCall) => VT | null | undefined | PromiseLike<VT | null | undefined>,
): FindMany<KL, VT> {
  return async (keys, call) => {
    const key = keys[0]!;
    const found = await find(key, call);
    return new Map(found === null || found === undefined ? [] : [[key, found]]);
  };
}
