import {
  keyValueStore,
  recordStore,
  sessionStore,
  versionedStore,
  windowStore,
  type GlobalKTable,
  type ProcessorSupplier,
  type StoreHandle,
  type StreamsBuilder,
  type WritableRecordStore,
  type WritableSessionStore,
  type WritableWindowStore,
  type VersionedStore,
} from '../../../streams/index.ts';
import { SERDE, SERDES, storeOf, type Nullable, type Stream, type Table } from './aggregations.ts';
import * as named from './functions.ts';
import type { Step, Value } from './spec.ts';

/*
 * Processors and transformers with stores of all kinds; OwnStores.java has the same.
 */

type Supplier = ProcessorSupplier<Nullable, Nullable, Nullable, Nullable>;

const RETENTION_MS = 365 * 24 * 3_600_000;
const NEAR_MS = 12;
const OWN = { ...SERDES, retentionMs: RETENTION_MS };

/** The stream with the step's processor behind it, or undefined if that is not one of these. */
export function processWithStore(
  builder: StreamsBuilder,
  stream: Stream,
  step: Step,
): Stream | undefined {
  const connected = <Store>(
    store: Parameters<typeof builder.addStore<Value, Value, Store>>[0],
    supplier: (handle: StoreHandle<Store>) => Supplier,
  ): Stream => {
    const handle = builder.addStore(store);
    return stream.process(supplier(handle), { ...SERDES, stores: [handle] });
  };
  switch (step.fn) {
    case 'windows':
      return connected(windowStore<Value, Value>(storeOf(step), OWN), inWindows);
    case 'records':
      return connected(recordStore<Value, Value>(storeOf(step), OWN), nearRecords);
    case 'sessions':
      return connected(sessionStore<Value, Value>(storeOf(step), OWN), inSessions);
    case 'versions': {
      const options = { ...SERDES, historyMs: 20 };
      return connected(versionedStore<Value, Value>(storeOf(step), options), versions);
    }
    default:
      return undefined;
  }
}

/** A key for stores. */
function present(key: Nullable): Value {
  return key ?? 'none';
}

/** Numbers of records in windows of 10 ms: those of the key near the record. */
function inWindows(handle: StoreHandle<WritableWindowStore<Value, Value>>): Supplier {
  return (context) => {
    const store = context.store(handle);
    return {
      process: (record) => {
        const { timestampMs, value } = record;
        const key = present(record.key);
        const startMs = timestampMs - (timestampMs % 10);
        const count = Number(store.get(key, startMs) ?? 0) + 1;
        if (value === null) store.delete(key, startMs, timestampMs);
        else store.put(key, startMs, count, timestampMs);
        let texts = '';
        for (const each of store.fetch(key, timestampMs - NEAR_MS, timestampMs + NEAR_MS)) {
          texts += `${each.windowStartMs}=${named.text(each.value)} `;
        }
        for (const each of store.backwardFetchAll(timestampMs - NEAR_MS, timestampMs)) {
          texts += named.text(each.key);
        }
        context.forward({ key: record.key, value: named.cut(texts) });
      },
    };
  };
}

/** All records of the key near each record, also several of one time. */
function nearRecords(handle: StoreHandle<WritableRecordStore<Value, Value>>): Supplier {
  return (context) => {
    const store = context.store(handle);
    return {
      process: (record) => {
        const { timestampMs, value } = record;
        const key = present(record.key);
        if (value !== null) store.put(key, value, timestampMs);
        let texts = '';
        for (const each of store.fetch(key, timestampMs - NEAR_MS, timestampMs + NEAR_MS)) {
          texts += `${each.timestampMs}=${named.text(each.value)} `;
        }
        context.forward({ key: record.key, value: named.cut(texts) });
      },
    };
  };
}

/** Sessions with a gap of 4 ms, merged by hand. */
function inSessions(handle: StoreHandle<WritableSessionStore<Value, Value>>): Supplier {
  return (context) => {
    const store = context.store(handle);
    return {
      process: (record) => {
        const { timestampMs, value } = record;
        const key = present(record.key);
        const range = { earliestEndMs: timestampMs - 4, latestStartMs: timestampMs + 4 };
        let [startMs, endMs, text] = [timestampMs, timestampMs, named.text(value)];
        for (const each of [...store.fetch(key, range)]) {
          startMs = Math.min(startMs, each.startMs);
          endMs = Math.max(endMs, each.endMs);
          text = `${named.text(each.value)},${text}`;
          store.delete(key, each);
        }
        text = named.cut(text);
        if (value !== null) store.put(key, { startMs, endMs }, text, timestampMs);
        context.forward({ key: record.key, value: `${startMs}..${endMs} ${text}` });
      },
    };
  };
}

/** What a put did, and what was there some time before. */
function versions(handle: StoreHandle<VersionedStore<Value, Value>>): Supplier {
  return (context) => {
    const store = context.store(handle);
    const shown = (found: ReturnType<typeof store.getVersion>): string =>
      found === undefined ? 'none' : `${named.text(found.value)}@${found.timestampMs}`;
    return {
      process: ({ key, value, timestampMs }) => {
        const put = store.put(present(key), value, timestampMs);
        const now = store.getVersion(present(key));
        const before = store.getVersion(present(key), timestampMs - 5);
        context.forward({ key, value: named.cut(`${put} ${shown(now)} ${shown(before)}`) });
      },
    };
  };
}

/** The row of a table for each record. */
export function processWithTable(stream: Stream, table: Table): Stream {
  const supplier: Supplier = (context) => {
    const rows = context.table(table);
    return {
      process: ({ key, value }) => {
        const row = rows.row(present(key));
        const text = row && `${named.text(row.value)}@${row.timestampMs}`;
        context.forward({ key, value: named.join(value, text) });
      },
    };
  };
  return stream.process(supplier, { ...SERDES, tables: [table] });
}

/** The same of a global table. */
export function processWithGlobal(stream: Stream, table: GlobalKTable<Value, Value>): Stream {
  const supplier: Supplier = (context) => {
    const rows = context.globalTable(table);
    return {
      process: ({ key, value }) => {
        const row = rows.entry(present(key));
        const text = row && `${named.text(row.value)}@${row.timestampMs}`;
        context.forward({ key, value: named.join(value, text) });
      },
    };
  };
  return stream.process(supplier, SERDES);
}

/** The number of a row's changes, before its value; every fifth change deletes. */
export function transformed(builder: StreamsBuilder, table: Table, step: Step): Table {
  const store = storeOf(step);
  const counts = builder.addStore(keyValueStore<Value, Value>(`${store}-counts`, SERDES));
  return table.transformValues<Nullable>(
    (context) => {
      const numbers = context.store(counts);
      return {
        transform: ({ key, value, timestampMs }) => {
          const by = named.text(key);
          const count = Number(numbers.get(by) ?? 0) + 1;
          numbers.put(by, count, timestampMs);
          return value === null || count % 5 === 0
            ? null
            : named.cut(`${count}:${named.text(value)}`);
        },
      };
    },
    { store, stores: [counts], value: SERDE },
  );
}
