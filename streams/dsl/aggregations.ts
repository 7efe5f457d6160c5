import { int64, msgpack, type Serde } from '../../core/index.ts';
import { checkArgument, integer, oneOf } from '../../core/internal.ts';
import { aggregate, type Aggregation } from '../operators/aggregate.ts';
import {
  countedWindowsSerde,
  countWindowAggregate,
  type CountedWindows,
} from '../operators/count-window-aggregate.ts';
import { listSerde } from '../operators/list-serde.ts';
import { comparisonOf, insert, type Comparison, type Ranking } from '../operators/ranking.ts';
import { checking, copying } from '../state/copying.ts';
import { havePanes, paneAggregate } from '../operators/pane-aggregate.ts';
import { synchronous } from '../operators/results.ts';
import {
  sessionAggregate,
  sessionLifeMs,
  type SessionAggregation,
} from '../operators/session-aggregate.ts';
import { slidingAggregate, slidingLifeMs } from '../operators/sliding-aggregate.ts';
import { storeReader, windowReader, type TableReader } from '../operators/table-reader.ts';
import { unlimitedAggregate } from '../operators/unlimited-aggregate.ts';
import { windowedAggregate } from '../operators/windowed-aggregate.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { sessionStoreSpec } from '../state/session-store.ts';
import { windowStore } from '../state/window-store.ts';
import type { Change } from '../topology/change.ts';
import {
  countWindowedSerde,
  type CountWindowed,
  type CountWindows,
} from '../topology/count-windows.ts';
import type { Operator } from '../topology/operator.ts';
import type { ErrorPolicy } from '../topology/record-errors.ts';
import type { StoreSpec } from '../topology/store.ts';
import {
  sessionWindowedSerde,
  windowedSerde,
  type FixedWindows,
  type SessionWindows,
  type SlidingWindows,
  type TimeWindows,
  type UnlimitedWindows,
  type Windowed,
} from '../topology/windows.ts';
import { checkFunctions, invalid } from './arguments.ts';
import { addDropped, type DroppedOptions } from './dropped-records.ts';
import type { Adder, Merger, Reducer } from './functions.ts';
import {
  checkNodeOptions,
  type CountWindowedOptions,
  type MergeableOptions,
  type StoreOptions,
  type TtlOptions,
  type WindowedOptions,
  type KnownOption,
} from './node-options.ts';
import { addOperator, type GroupedParts, type TableParts, type TableWindows } from './parts.ts';
import { GROUPINGS, readingPoint } from './repartitioning.ts';
import { addTableStores, checkTableEmit, checkTtl, nodeName, storedTable } from './tables.ts';

/** How to aggregate the records of a key, and the default serde of the result. */
export interface Aggregating<K, V, A> extends Omit<Aggregation<K, V, A>, 'store' | 'emit'> {
  readonly value: Serde<NonNullable<A>>;
  /** Combines the values of a key in two stretches of time, if that is possible. */
  readonly combine?: (left: A, right: A, key: K) => A | null | undefined;
}

/** The same where values are merged, too. */
export type Merging<K, V, A> = Aggregating<K, V, A> & Pick<SessionAggregation<K, V, A>, 'merge'>;

export function counting<K, V>(): Merging<K, V, number> {
  return {
    kind: 'count',
    add: (count) => (count ?? 0) + 1,
    merge: (merged, count) => (merged ?? 0) + count,
    combine: (left, right) => left + right,
    value: int64(),
  };
}

export function reducing<K, V>(
  reducer: Reducer<K, V, V | null | undefined>,
  value: Serde<V>,
): Merging<K, V, V> {
  checkFunctions('reduce', { reducer });
  return {
    kind: 'reduce',
    add: (known, record) =>
      known === undefined ? record.value : synchronous(reducer(known, record.value, record)),
    merge: (merged, other, record) =>
      merged === undefined ? other : synchronous(reducer(merged, other, record)),
    value: value as Serde<NonNullable<V>>, // a grouped stream has no nulls
  };
}

/** Keeps the first `n` values. */
export function ranking<K, V>(n: number, by: Ranking<V>, value: Serde<V>): Merging<K, V, V[]> {
  const compare = checkedRanking(n, by);
  const put = (ranked: V[] | undefined, each: V): V[] => {
    const list = ranked ?? [];
    insert(list, each, compare, n);
    return list;
  };
  return {
    kind: 'top-n',
    add: (ranked, record) => put(ranked, record.value),
    merge: (merged, other) => other.reduce(put, merged ?? []),
    changes: (ranked, record) => ranked.length < n || compare(record.value, ranked.at(-1)!) < 0,
    value: listSerde(value),
  };
}

/** Checks the options of `topN`: how values are ranked, and those that the node has besides. */
export function takeRanking<V, Options extends object>(
  options: Ranking<V> & Options,
  known: readonly KnownOption<Ranking<V> & Options>[],
): { readonly rank: Ranking<V>; readonly others: Options } {
  const names: readonly KnownOption<Ranking<V> & Options>[] = [...known, ...RANKING_OPTIONS];
  checkNodeOptions('topN', options, names);
  const { by, first, compare, ...others } = options;
  return { rank: { by, first, compare } as Ranking<V>, others: others as unknown as Options };
}

const RANKING_OPTIONS = ['by', 'first', 'compare'] as const;

/** The comparison of a ranking, whose options are checked. */
export function checkedRanking<V>(n: number, by: Ranking<V>): Comparison<V> {
  checkArgument('topN', 'n', n, integer(1));
  if ((by.by === undefined) === (by.compare === undefined)) {
    throw invalid('topN: it needs by or compare, and only one of them');
  }
  checkFunctions('topN', by.by === undefined ? { compare: by.compare } : { by: by.by });
  return comparisonOf(by);
}

export function aggregating<K, V, A>(
  initializer: () => A,
  adder: Adder<K, V, A, A | null | undefined>,
): Aggregating<K, V, A> {
  checkFunctions('aggregate', { initializer, adder });
  return {
    kind: 'aggregate',
    add: (known, record) => {
      const before = known === undefined ? synchronous(initializer()) : known;
      return synchronous(adder(before, record));
    },
    value: msgpack(),
  };
}

/** An aggregation whose values can be merged. */
export function merging<K, V, A>(
  initializer: () => A,
  adder: Adder<K, V, A, A | null | undefined>,
  merger: Merger<K, A>,
): Merging<K, V, A> {
  checkFunctions('aggregate', { initializer, adder, merger });
  return {
    ...aggregating(initializer, adder),
    merge: (merged, other, { key }) => {
      const before = merged === undefined ? synchronous(initializer()) : merged;
      return synchronous(merger(before, other, key));
    },
  };
}

/** What is aggregated; with several streams `node` is the first one. */
export interface AggregationInput<K> extends Pick<
  GroupedParts<K, never>,
  'graph' | 'node' | 'key' | 'stream'
> {
  /** Adds what has to stand before the aggregation, and returns the nodes to read. */
  readonly readingPoints: (store: string, errors: ErrorPolicy) => readonly string[];
}

/** The records of one grouped stream. */
export function groupedInput<K, V>(parts: GroupedParts<K, V>): AggregationInput<K> {
  const { graph, node, key, stream } = parts;
  const read = { ...parts, readers: GROUPINGS };
  return { graph, node, key, stream, readingPoints: (store) => [readingPoint(read, store)] };
}

/** Adds an aggregation to the topology, behind repartition topics where keys may have changed. */
export function addAggregate<K, V, A>(
  input: AggregationInput<K>,
  what: Aggregating<K, V, A>,
  options: StoreOptions<NonNullable<A>> & DroppedOptions<K, V> & Partial<TtlOptions>,
): TableParts<K, A> {
  const { kind } = what;
  const key = input.key as Serde<NonNullable<K>>; // a grouped stream has no null keys
  const { emit = 'commit', ttlMs, closeAfterIdleMs } = options;
  checkTableEmit(kind, emit);
  checkTtl(kind, options);
  return addKeeper<K, V, K, A, K, typeof what>(input, options, {
    ...{ kind, what, keySerde: key, isWindowed: false, ttlMs, closeAfterIdleMs },
    make: ({ store, serdes }, { add, changes }) => ({
      spec: { ...keyValueStore(store), ...serdes, backing: 'changelog' },
      operator: aggregate({ kind, add, changes, store, emit, ttlMs }),
    }),
  });
}

/** The same for each window; values are merged where that saves work, and is possible. */
export function addMergeable<K, V, A>(
  input: AggregationInput<K>,
  windows: FixedWindows,
  what: Aggregating<K, V, A>,
  given: MergeableOptions<K, NonNullable<A>> & DroppedOptions<K, V>,
): TableParts<Windowed<K>, A> {
  const { kind } = what;
  checkNodeOptions(kind, given, ['name', 'store', 'value', 'emit', 'dropped', 'merger']);
  const { merger, ...options } = given;
  if (merger === undefined) return addWindowedAggregate(input, windows, what, options);
  checkFunctions(kind, { merger });
  const merge = merger as Merger<K, A>; // what is kept is not null
  const combine = (left: A, right: A, key: K): A => synchronous(merge(left, right, key));
  return addWindowedAggregate(input, windows, { ...what, combine }, options);
}

function addWindowedAggregate<K, V, A>(
  input: AggregationInput<K>,
  windows: FixedWindows,
  what: Aggregating<K, V, A>,
  options: WindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
): TableParts<Windowed<K>, A> {
  if ('differenceMs' in windows) return addSlidingAggregate(input, windows, what, options);
  if ('startMs' in windows) return addUnlimitedAggregate(input, windows, what, options);
  const { kind, combine } = what;
  const { emit = 'commit' } = options;
  const keySerde = windowedSerde(input.key, windows.sizeMs);
  const readerOf = (store: string): TableReader<Windowed<K>, NonNullable<A>> =>
    windowReader({ store, key: keySerde, sizeMs: windows.sizeMs });
  const hasPanes = emit === 'final' && combine !== undefined && havePanes(windows);
  return addKeeper<K, V, Windowed<K>, A, K, typeof what>(input, options, {
    ...{
      kind: `windowed-${kind}`,
      what,
      isWindowed: true,
      windows: timeWindows(windows, input.key),
    },
    ...{ keySerde, closeAfterIdleMs: windows.closeAfterIdleMs },
    ...(emit !== 'final' && { readerOf }),
    make: ({ node, store, serdes }, { add, changes }) => ({
      spec: {
        ...{ ...windowStore(store), ...serdes, backing: 'changelog' },
        expiry: { lifeMs: windows.sizeMs + windows.graceMs, node },
        ...(hasPanes && { holdsPanes: true }),
      },
      operator: hasPanes
        ? paneAggregate({
            kind,
            add,
            store,
            windows,
            combine,
            key: serdes.key,
            copy: copierOf(store, serdes.value),
          })
        : windowedAggregate({ kind, add, changes, store, windows, emit }),
    }),
  });
}

/** Objects are copied by their serde; the error names the store if that fails. */
function copierOf<A>(store: string, serde: Serde<NonNullable<A>>): (value: A) => A {
  const copy = copying<A>(serde); // what is kept is not null
  const check = checking(store, serde);
  return (value) => {
    try {
      return copy(value) as A;
    } catch (cause) {
      check(value);
      throw cause;
    }
  };
}

function addSlidingAggregate<K, V, A>(
  input: AggregationInput<K>,
  windows: SlidingWindows,
  what: Aggregating<K, V, A>,
  options: WindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
): TableParts<Windowed<K>, A> {
  const { kind } = what;
  const { emit = 'commit' } = options;
  const times = { reachMs: windows.differenceMs, lifeMs: slidingLifeMs(windows) };
  return addKeeper<K, V, Windowed<K>, A, K, typeof what>(input, options, {
    ...{ kind: `sliding-${kind}`, what, isWindowed: true, windows: sliding(windows) },
    keySerde: windowedSerde(input.key, windows.differenceMs),
    closeAfterIdleMs: windows.closeAfterIdleMs,
    make: ({ node, store, serdes }, { add }) => ({
      spec: sessionStoreSpec({ store, node, ...serdes, ...times }),
      operator: slidingAggregate({ kind, add, store, windows, emit }),
    }),
  });
}

/** The same for each window of so many records. */
export function addCountAggregate<K, V, A>(
  input: AggregationInput<K>,
  windows: CountWindows,
  what: Aggregating<K, V, A>,
  { emit = 'final', ...options }: CountWindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
): TableParts<CountWindowed<K>, A> {
  const { kind } = what;
  checkArgument(kind, 'emit', emit, oneOf('final', 'each'));
  type Kept = CountedWindows<NonNullable<A>>;
  const parts = addKeeper<K, V, CountWindowed<K>, A, K, typeof what, Kept>(input, options, {
    ...{ kind: `count-window-${kind}`, what, isWindowed: true },
    keySerde: countWindowedSerde(input.key),
    make: ({ store, serdes: { key, value } }, { add }) => ({
      spec: {
        ...keyValueStore(store),
        ...{ key, value: countedWindowsSerde(value), backing: 'changelog' },
        windows: `${windows.size} records every ${windows.advance}`,
      },
      operator: countWindowAggregate({
        ...{ kind, add, store, windows, emit, copy: copierOf(store, value) },
      }),
    }),
  });
  return { ...parts, store: undefined }; // what it keeps of a key are no rows of the table
}

function addUnlimitedAggregate<K, V, A>(
  input: AggregationInput<K>,
  windows: UnlimitedWindows,
  what: Aggregating<K, V, A>,
  options: WindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
): TableParts<Windowed<K>, A> {
  const { kind } = what;
  const { emit = 'commit' } = options;
  if (emit === 'final') throw invalid(`${kind}: ${NEVER_CLOSES}`);
  const keySerde = windowedSerde(input.key, Infinity);
  return addKeeper<K, V, Windowed<K>, A, Windowed<K>, typeof what>(input, options, {
    ...{ kind: `unlimited-${kind}`, what, keySerde, isWindowed: true },
    readerOf: storeReader<Windowed<K>, NonNullable<A>>,
    make: ({ store, serdes }, { add }) => ({
      spec: {
        ...{ ...keyValueStore(store), ...serdes, key: keySerde, backing: 'changelog' },
        windows: `from ${windows.startMs} ms on`,
      },
      operator: unlimitedAggregate({ kind, add, store, windows, emit }),
    }),
  });
}

const NEVER_CLOSES =
  "an unlimited window never closes and has no 'final' result; choose another emit";

/** The same for each session; its sessions disappear when they merge, so that rows can be null. */
export function addSessionAggregate<K, V, A>(
  input: AggregationInput<K>,
  windows: SessionWindows,
  what: Merging<K, V, A>,
  options: WindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
): TableParts<Windowed<K>, A | null> {
  const { kind } = what;
  const { emit = 'commit' } = options;
  const times = { reachMs: windows.gapMs, lifeMs: sessionLifeMs(windows) };
  return addKeeper<K, V, Windowed<K>, A, K, typeof what>(input, options, {
    ...{ kind: `session-${kind}`, what, isWindowed: true, windows: sessions(windows) },
    keySerde: sessionWindowedSerde(input.key),
    closeAfterIdleMs: windows.closeAfterIdleMs,
    make: ({ node, store, serdes }, { add, merge }) => ({
      spec: sessionStoreSpec({ store, node, ...serdes, ...times }),
      operator: sessionAggregate({ kind, add, merge, store, windows, emit }),
    }),
  });
}

function sessions(windows: SessionWindows): TableWindows {
  const { gapMs } = windows;
  return { shape: `sessions with gaps of ${gapMs} ms`, sizeMs: 0, lifeMs: sessionLifeMs(windows) };
}

/** A record at the end of a sliding window is in it. */
function sliding({ differenceMs: sizeMs, graceMs }: SlidingWindows): TableWindows {
  return { shape: `sliding windows of ${sizeMs} ms`, sizeMs, lifeMs: graceMs + 1 };
}

function timeWindows<K>(
  { sizeMs, advanceMs, graceMs }: TimeWindows,
  innerKey: Serde<K>,
): TableWindows {
  return { shape: `${sizeMs} ms every ${advanceMs} ms`, sizeMs, lifeMs: graceMs, innerKey };
}

/** An operator that keeps a table of aggregates, in a store of the types `KS` and `VS`. */
interface Keeper<K, V, KR, A, KS, W extends Aggregating<K, V, A>, VS> {
  readonly kind: string;
  /** What it does; the operator is also made with functions that get copies. */
  readonly what: W;
  readonly keySerde: Serde<NonNullable<KR>>;
  readonly isWindowed: boolean;
  readonly windows?: TableWindows;
  readonly closeAfterIdleMs?: number | undefined;
  readonly ttlMs?: number | undefined;
  /** For a table of windows that can be read while they are open. */
  readonly readerOf?: (store: string) => TableReader<KR, NonNullable<A>>;
  /** Makes the operator, and describes its store. */
  readonly make: (
    names: {
      readonly node: string;
      readonly store: string;
      readonly serdes: { readonly key: Serde<K>; readonly value: Serde<NonNullable<A>> };
    },
    what: W,
  ) => {
    readonly spec: StoreSpec<KS, VS>;
    readonly operator: Operator<K, V, KR, Change<A>>;
  };
}

function addKeeper<K, V, KR, A, KS, W extends Aggregating<K, V, A>, VS = NonNullable<A>>(
  input: AggregationInput<K>,
  options: WindowedOptions<NonNullable<A>> & DroppedOptions<K, V>,
  keeper: Keeper<K, V, KR, A, KS, W, VS>,
): TableParts<KR, A> {
  const { kind, what, keySerde, isWindowed, windows, closeAfterIdleMs, ttlMs } = keeper;
  const { readerOf, make } = keeper;
  const { graph, stream, key } = input;
  const node = nodeName(graph, kind, options, input.node);
  const { store = node, value: valueSerde = what.value, emit = 'commit' } = options;
  const names = { node, store, serdes: { key, value: valueSerde } };
  const { spec, operator: plain } = make(names, what);
  const hasFunctions = what.kind !== 'count';
  const careful = hasFunctions
    ? make(names, withCopies<K, V, A, W>(what, store, valueSerde)).operator
    : undefined;
  const operator = { ...plain, careful, closeAfterIdleMs };
  const shaped = windows === undefined ? spec : { ...spec, windows: windows.shape };
  const stores = addTableStores(graph, { node, emit, keySerde, spec: shaped, ttlMs });
  const parents = input.readingPoints(store, options);
  addOperator(graph, operator, { name: node, parents, stores, errors: options });
  addDropped({ graph, node, keySerde: key as Serde<NonNullable<K>> }, stream, options);
  const table = { graph, node, store, keySerde, valueSerde, stream };
  if (!isWindowed) return storedTable(table);
  const reader = readerOf?.(store);
  return { ...table, reader, isWindowed, isVersioned: false, ...(windows && { windows }) };
}

/**
 * The same with functions that get copies of what is kept, and whose results are checked: one that
 * fails, or returns what cannot be written, has changed nothing.
 */
function withCopies<K, V, A, W extends Aggregating<K, V, A>>(
  what: W,
  store: string,
  serde: Serde<NonNullable<A>>,
): W {
  const copy = copying<A>(serde);
  const check = checking(store, serde);
  const { add, merge } = what as W & Partial<Merging<K, V, A>>;
  const careful: Pick<Aggregating<K, V, A>, 'add'> & Partial<Pick<Merging<K, V, A>, 'merge'>> = {
    add: (known, record) => check(add(known === undefined ? known : (copy(known) as A), record)),
    ...(merge && {
      merge: (merged, value, record) => check(merge(merged, copy(value) as A, record)),
    }),
  };
  return { ...what, ...careful };
}
