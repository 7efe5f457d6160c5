import { int64, serializeToBytes, type Serde } from '../../core/index.ts';
import type { QueriedRow, ReadOnlyWindowedTable } from '../topology/queryable.ts';
import type {
  KeySelection,
  KeySession,
  ReadOnlyKeyValueStore,
  ReadOnlySessionStore,
  ReadOnlyWindowStore,
  StoreEntry,
} from '../topology/store.ts';
import type { Windowed } from '../topology/windows.ts';
import type { KeyRange } from './environment.ts';
import { isWithin, selectedRange } from './key-range.ts';

type Row<K, V> = QueriedRow<Windowed<K>, V>;
type Rows<K, V> = IterableIterator<Row<K, V>>;

/** What is needed to show a store as a table of windows. */
export interface WindowedShape<K> {
  /** Writes the keys without their windows. */
  readonly inner: Serde<K>;
  /** How long after its start a window of a window store ends. */
  readonly sizeMs: number;
}

/** The rows of a window store. */
export function rowsOfWindows<K, V>(
  store: ReadOnlyWindowStore<K, V>,
  { sizeMs }: WindowedShape<K>,
): ReadOnlyWindowedTable<K, V> {
  const rowOf = ({ key, windowStartMs = 0, value, timestampMs }: StoreEntry<K, V>): Row<K, V> => {
    const windowed = { key, windowStartMs, windowEndMs: windowStartMs + sizeMs };
    return { key: windowed, value: value as V, timestampMs };
  };
  function* rowsOf(entries: Iterable<StoreEntry<K, V>>): Rows<K, V> {
    for (const entry of entries) yield rowOf(entry);
  }
  return {
    name: store.name,
    get: (key, windowStartMs) => store.get(key, windowStartMs),
    entry: (key, windowStartMs) => {
      const entry = store.entry(key, windowStartMs);
      return entry && rowOf(entry);
    },
    fetch: (key, fromMs = -Infinity, toMs = Infinity) => rowsOf(store.fetch(key, fromMs, toMs)),
    backwardFetch: (key, fromMs = -Infinity, toMs = Infinity) =>
      rowsOf(store.backwardFetch(key, fromMs, toMs)),
    fetchAll: (fromMs = -Infinity, toMs = Infinity, keys = {}) =>
      rowsOf(store.fetchAll(fromMs, toMs, keys)),
    backwardFetchAll: (fromMs = -Infinity, toMs = Infinity, keys = {}) =>
      rowsOf(store.backwardFetchAll(fromMs, toMs, keys)),
  };
}

/** The rows of a session store. */
export function rowsOfSessions<K, V>(
  store: ReadOnlySessionStore<K, V>,
  { inner }: WindowedShape<K>,
): ReadOnlyWindowedTable<K, V> {
  function* within(sessions: Iterable<KeySession<K, V>>, fromMs: number, toMs: number): Rows<K, V> {
    for (const { key, startMs, endMs, value, timestampMs } of sessions) {
      if (startMs < fromMs || startMs > toMs) continue;
      const windowed = { key, windowStartMs: startMs, windowEndMs: endMs };
      yield { key: windowed, value, timestampMs };
    }
  }
  return sortedRows(store.name, inner, {
    // A session ends at its start or later.
    ofKey: (key, fromMs, toMs) =>
      within(store.fetch(key, { earliestEndMs: fromMs, latestStartMs: toMs }), fromMs, toMs),
    all: (fromMs, toMs, keys) => {
      const range = { earliestEndMs: fromMs, latestStartMs: toMs };
      const sessions =
        'prefix' in keys
          ? store.prefixScan(keys.prefix, range, keys.serde)
          : store.fetchAll(keys.from, keys.to, range);
      return within(sessions, fromMs, toMs);
    },
  });
}

/** The rows of a key-value store with keys of windows. */
export function rowsOfWindowedKeys<K, V>(
  store: ReadOnlyKeyValueStore<Windowed<K>, V>,
  { inner }: WindowedShape<K>,
): ReadOnlyWindowedTable<K, V> {
  function* within(
    entries: Iterable<StoreEntry<Windowed<K>, V>>,
    fromMs: number,
    toMs: number,
    keys: KeyRange,
  ): Rows<K, V> {
    for (const { key, value, timestampMs } of entries) {
      if (key.windowStartMs < fromMs || key.windowStartMs > toMs) continue;
      // Behind the key come the bytes of its window, so that others may be found, too.
      if (!isWithin(keys, serializeToBytes(inner, key.key))) continue;
      yield { key, value: value as V, timestampMs };
    }
  }
  return sortedRows(store.name, inner, {
    // The bytes of a windowed key begin with those of the key.
    ofKey: (key, fromMs, toMs) => {
      const keys = selectedRange(inner, { from: key, to: key });
      return within(store.prefixScan<K>(key, inner), fromMs, toMs, keys);
    },
    all: (fromMs, toMs, keys) =>
      within(
        'prefix' in keys
          ? store.prefixScan(keys.prefix, keys.serde ?? (inner as Serde<unknown>))
          : store.all(),
        fromMs,
        toMs,
        selectedRange(inner, keys),
      ),
  });
}

/** Finds rows in any order. */
interface RowSource<K, V> {
  readonly ofKey: (key: K, fromMs: number, toMs: number) => Rows<K, V>;
  readonly all: (fromMs: number, toMs: number, keys: KeySelection<K, unknown>) => Rows<K, V>;
}

/** Sorts what it finds in memory, when the first row is asked for. */
function sortedRows<K, V>(
  name: string,
  inner: Serde<K>,
  { ofKey, all }: RowSource<K, V>,
): ReadOnlyWindowedTable<K, V> {
  function* ofOneKey(isReverse: boolean, key: K, fromMs = -Infinity, toMs = Infinity): Rows<K, V> {
    const rows = [...ofKey(key, fromMs, toMs)].sort(byStart);
    yield* isReverse ? rows.reverse() : rows;
  }
  function* ofAll(
    isReverse: boolean,
    fromMs = -Infinity,
    toMs = Infinity,
    keys: KeySelection<K, unknown> = {},
  ): Rows<K, V> {
    const orderOf = windowOrder(inner);
    const keyed = [...all(fromMs, toMs, keys)].map((row) => ({ row, bytes: orderOf(row) }));
    const rows = keyed.sort((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ row }) => row);
    yield* isReverse ? rows.reverse() : rows;
  }
  const entry = (key: K, windowStartMs: number): Row<K, V> | undefined =>
    [...ofKey(key, windowStartMs, windowStartMs)][0];
  return {
    name,
    entry,
    get: (key, windowStartMs) => entry(key, windowStartMs)?.value,
    fetch: (key, fromMs, toMs) => ofOneKey(false, key, fromMs, toMs),
    backwardFetch: (key, fromMs, toMs) => ofOneKey(true, key, fromMs, toMs),
    fetchAll: (fromMs, toMs, keys) => ofAll(false, fromMs, toMs, keys),
    backwardFetchAll: (fromMs, toMs, keys) => ofAll(true, fromMs, toMs, keys),
  };
}

function byStart(a: Row<unknown, unknown>, b: Row<unknown, unknown>): number {
  return a.key.windowStartMs - b.key.windowStartMs;
}

const INT64 = int64();
const START_BYTES = 8;
const SIGN_BIT = 0x80;

/** Bytes that sort rows by the starts of their windows, and then by their keys. */
export function windowOrder<K>(inner: Serde<K>): (row: Row<K, unknown>) => Buffer {
  return ({ key: { key, windowStartMs } }) => {
    const start = Buffer.alloc(START_BYTES);
    INT64.serialize(windowStartMs, start, 0);
    start[0]! ^= SIGN_BIT; // so that the bytes of negative numbers come first
    return Buffer.concat([start, serializeToBytes(inner, key)]);
  };
}
