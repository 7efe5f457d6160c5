import type { Serde } from '../../core/index.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { windowedKeyStore } from '../state/windowed-key-store.ts';
import type { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { KeyValueStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { copying } from '../state/copying.ts';
import { passingOn, passingRows, type TableEmit } from './emit.ts';
import { viewOf, type TableView } from './table-view.ts';

/** Where a table made of another one is kept, and when its changes are passed on. */
export interface KeptTable<V> {
  readonly store: string;
  readonly value: Serde<V>;
  readonly emit: TableEmit;
  /** True if its rows stay until their windows have closed. */
  readonly isExpiring: boolean;
}

/** What a change of a table makes of the row of another one. */
export interface RowMaker<K, V, V2> {
  /** The new value; null for none. */
  readonly rowOf: (record: StreamRecord<K, Change<V>>) => V2 | null;
  /** As that of a view. */
  readonly skipsAbsent: boolean;
}

/** Keeps a view in a store of its own, and passes its changes on as `emit` says [OP-TABLE-4]. */
export function storedView<K, V, V2>(
  view: TableView<K, V, V2>,
  kept: KeptTable<V2>,
): Operator<K, Change<V>, K, Change<V2>> {
  const { kind, skipsAbsent } = view;
  const rowOf = ({ key, value }: StreamRecord<K, Change<V>>) => viewOf(view, key, value.newValue);
  return {
    kind,
    changesKey: false,
    start: (forward, context) => keepRows({ rowOf, skipsAbsent }, kept, forward, context),
  };
}

/** A processor that keeps the rows that are made of the changes of a table. */
export function keepRows<K, V, V2>(
  maker: RowMaker<K, V, V2>,
  kept: KeptTable<V2>,
  forward: Forward<K, Change<V2>>,
  context: OperatorContext,
): Processor<K, Change<V>> {
  const behind = maker.skipsAbsent ? knowingAbsent(forward, context) : { forward, context };
  const copy = copying(kept.value);
  const keeping = (store: KeyValueStore<K, V2>): Processor<K, Change<V>> => {
    const apply = (record: StreamRecord<K, Change<V>>): void => {
      if (!record.value.isLatest) return; // of the past: the row is newer
      putRow(store, record.key, copy(maker.rowOf(record)), record.timestampMs);
    };
    return passingOn({ store, emit: kept.emit, apply, ...behind });
  };
  if (!kept.isExpiring) return keeping(context.store(keyValueStore<K, V2>(kept.store)));
  const store = context.store(windowedKeyStore<K, V2>(kept.store));
  const pass = passingRows(behind.forward, behind.context);
  return expiring(keeping(store), {
    get expiresMs() {
      return store.expiresMs;
    },
    // When a window closes, all its changes have come: what waits is passed on before it goes.
    expire: (streamTimeMs) => {
      store.passExpiring(streamTimeMs, pass);
      store.expire(streamTimeMs);
    },
  });
}

/** Entries that expire by the time of a processor. */
export interface Expiring {
  /** When the next one does; Infinity for never. */
  readonly expiresMs: number;
  readonly expire: (streamTimeMs: number) => void;
}

/** The processor, which lets these entries expire, after what it does itself at that time. */
export function expiring<K, V>(processor: Processor<K, V>, entries: Expiring): Processor<K, V> {
  return {
    ...processor,
    get deadlineMs() {
      return Math.min(entries.expiresMs, processor.deadlineMs ?? Infinity);
    },
    advance: (streamTimeMs, beforeMs, precedesRecord) => {
      const { deadlineMs = Infinity } = processor;
      if (deadlineMs <= streamTimeMs) processor.advance?.(streamTimeMs, beforeMs, precedesRecord);
      entries.expire(streamTimeMs);
    },
  };
}

/** Puts a row; null deletes it, which is a change even if it was not there. */
function putRow<K, V>(
  table: KeyValueStore<K, V>,
  key: K,
  value: V | null,
  timestampMs: number,
): void {
  if (value !== null) table.put(key, value, timestampMs);
  else if (table.get(key) !== undefined) table.delete(key, timestampMs);
  else table.update(key, timestampMs, nothing);
}

function nothing(): undefined {
  return undefined;
}

/** Drops the changes of rows that were not there and are not; so it has to know the old values. */
function knowingAbsent<K, V>(
  forward: Forward<K, Change<V>>,
  context: OperatorContext,
): { readonly forward: Forward<K, Change<V>>; readonly context: OperatorContext } {
  const forwardPresent: Forward<K, Change<V>> = (record) => {
    const { newValue, oldValue } = record.value;
    if (newValue !== null || oldValue !== null) forward(record);
  };
  return { forward: forwardPresent, context: { ...context, sendsOldValues: true } };
}
