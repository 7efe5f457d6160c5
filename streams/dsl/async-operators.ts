import { msgpack } from '../../core/index.ts';
import { checkOptions, given, integer } from '../../core/internal.ts';
import type { Awaited } from '../operators/awaiting.ts';
import { pendingSpec } from '../operators/pending-record.ts';
import type { Operator } from '../topology/operator.ts';
import type { LookupCache } from '../operators/lookups.ts';
import type {
  AsyncOptions,
  AsyncRekeyingOptions,
  LookupCacheOptions,
  LookupManyOptions,
} from './async-options.ts';
import { checkNodeOptions } from './node-options.ts';
import { addOperator, promisedKeys, type Serdes, type StreamParts } from './parts.ts';
import { nodeName } from './tables.ts';

/** Enough for a service that answers in milliseconds to keep a partition busy. */
const CONCURRENCY = 16;
/** Long enough for a slow service, and short enough for somebody to wait for. */
const TIMEOUT_MS = 30_000;
const BACKOFF_MS = 100;
/** With some waiting there is always one to call, and with few a commit writes little. */
const PENDING_PER_CALL = 4;

/** Options of every operator that waits for calls. */
const ASYNC_OPTIONS = [
  ...(['name', 'concurrency', 'order', 'timeoutMs', 'retries', 'backoffMs'] as const),
  ...(['maxPending', 'store', 'key', 'value'] as const),
] as const;

/** An operator that waits for calls, and what it needs. */
export interface AsyncAddition<K, V, K2, V2> {
  /** For names. */
  readonly kind: string;
  readonly operator: (awaited: Awaited<K>) => Operator<K, V, K2, V2>;
  readonly options: AsyncRekeyingOptions<NonNullable<K>, NonNullable<V>>;
  /** Of the results. */
  readonly serdes: Serdes<K2, V2>;
}

/** Checks the options of a method whose results keep their keys, or may not. */
export function checkAsyncOptions<K, V>(
  method: string,
  options: AsyncRekeyingOptions<K, V>,
  changesKey: boolean,
): void {
  checkNodeOptions(method, options, changesKey ? [...ASYNC_OPTIONS, 'preserves'] : ASYNC_OPTIONS);
}

/** Adds an operator that waits for calls, with the store of what waits. */
export function addAsync<K, V, K2, V2>(
  parts: StreamParts<K, V>,
  { kind, operator: made, options, serdes }: AsyncAddition<K, V, K2, V2>,
): StreamParts<K2, V2> {
  const { graph } = parts;
  const name = nodeName(graph, kind, options, parts.node);
  const { store = name } = options;
  const { key = parts.keySerde ?? msgpack(), value = parts.valueSerde ?? msgpack() } = options;
  graph.addStore(pendingSpec<K, V>(store, key, value));
  const operator = made({ ...limitsOf(options), store, key });
  const preserves = promisedKeys(options, serdes.keySerde);
  const place = { name, parents: [parts.node], stores: [store], errors: options };
  const node = addOperator(graph, operator, { ...place, preserves });
  const isRekeyed = parts.isRekeyed || (operator.changesKey && preserves === undefined);
  return { graph, node, isRekeyed, ...serdes };
}

type Limits = Pick<
  Awaited<unknown>,
  'concurrency' | 'order' | 'timeoutMs' | 'retries' | 'backoffMs' | 'maxPending'
>;

function limitsOf(options: Omit<AsyncOptions<never, never>, 'key' | 'value'>): Limits {
  const { concurrency = CONCURRENCY, order = 'partition', timeoutMs = TIMEOUT_MS } = options;
  const { retries = 0, backoffMs = BACKOFF_MS } = options;
  const { maxPending = concurrency * PENDING_PER_CALL } = options;
  return { concurrency, order, timeoutMs, retries, backoffMs, maxPending };
}

/** Enough for most sets of keys that matter, and some megabytes. */
const CACHE_ENTRIES = 10_000;
const BATCH_MAX = 100;
/** Each call of a lookup of many keys asks for a batch. */
const BATCHES_AT_ONCE = 4;

const CACHE_CHECKS = { maxEntries: integer(1), ttlMs: integer(1), missesTtlMs: integer(0) };

/** How a lookup asks, by its options. */
export interface LookupLimits {
  readonly batchMax: number;
  readonly concurrency: number;
  readonly cache: LookupCache | undefined;
}

/** Checks the options of a lookup and returns its limits. */
export function lookupLimits<K, V>(
  method: 'lookup' | 'lookupMany',
  options: LookupManyOptions<K, V>,
): LookupLimits {
  const isMany = method === 'lookupMany';
  const known = isMany ? ([...ASYNC_OPTIONS, 'cache', 'batchMax'] as const) : LOOKUP_OPTIONS;
  checkNodeOptions(method, options, known);
  const { cache } = options;
  if (cache !== undefined) checkOptions(`${method}.cache`, cache, CACHE_CHECKS, ['ttlMs']);
  const { batchMax = isMany ? BATCH_MAX : 1 } = options;
  const { concurrency = isMany ? BATCHES_AT_ONCE : CONCURRENCY } = options;
  return { batchMax, concurrency, cache: cache && cacheOf(cache) };
}

const LOOKUP_OPTIONS = [...ASYNC_OPTIONS, 'cache'] as const;

function cacheOf({
  maxEntries = CACHE_ENTRIES,
  ttlMs,
  missesTtlMs = 0,
}: LookupCacheOptions): LookupCache {
  return { maxEntries, ttlMs, missesTtlMs };
}

/** The options of the records that wait for a lookup: enough for all of its calls to be full. */
export function lookupPending<K, V>(
  options: LookupManyOptions<K, V>,
  { concurrency, batchMax }: LookupLimits,
): AsyncOptions<K, V> {
  return { maxPending: concurrency * batchMax * PENDING_PER_CALL, ...given(options) };
}
