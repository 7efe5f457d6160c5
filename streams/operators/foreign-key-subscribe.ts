import { int64, serializeToBytes, type Serde } from '../../core/index.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { StoreSpec } from '../topology/store.ts';
import {
  INSTRUCTIONS,
  type Instruction,
  type Subscription,
  type Versioned,
} from './foreign-key-messages.ts';
import { synchronous } from './results.ts';
import type { Row } from './table-view.ts';

/** What the left side of a foreign-key join has to know. */
export interface ForeignKey<K, V, KO> {
  /** The name of the store that counts versions. */
  readonly store: string;
  /** The row's key in the other table; null or undefined for none. */
  readonly foreignKey: (row: Row<K, V>) => KO | null | undefined;
  /** Compares foreign keys that are objects. */
  readonly key: Serde<KO>;
  readonly isLeft: boolean;
  /** True if the table passes on changes of the past too: they change nothing. */
  readonly isVersioned: boolean;
}

/** A change of the left table, and what has to be said about it. */
export interface ForeignChange<K, V, KO> extends Versioned<V> {
  /** To the foreign keys that the row had and has; each is null for a row without one. */
  readonly subscriptions: readonly {
    readonly foreignKey: KO | null;
    readonly subscription: Subscription<K>;
  }[];
}

/** The newest version is kept under this key. */
const NEWEST = 0;

export function versionStoreSpec(store: string): StoreSpec<number, number> {
  return { ...keyValueStore(store), key: int64(), value: int64(), backing: 'changelog' };
}

/**
 * Finds out what a change of the left table means for its foreign keys [OP-FK-1], as
 * SubscriptionSendProcessorSupplier.java: a row that moves leaves the old key first. What answers
 * come is decided here: none where nothing can have changed.
 */
export function findForeignKeys<K, V, KO>(
  options: ForeignKey<K, V, KO>,
): Operator<K, Change<V>, K, ForeignChange<K, V, KO>> {
  const { store, foreignKey, key: keySerde, isLeft, isVersioned } = options;
  const keyOf = (key: K, value: V | null | undefined): KO | null => {
    if (value === null || value === undefined) return null;
    return synchronous(foreignKey({ key, value })) ?? null;
  };
  return {
    kind: 'foreign-key',
    changesKey: false,
    oldValues: 'needed',
    start: (forward, context) => {
      const versions = context.store(keyValueStore<number, number>(store));
      return {
        process: (record) => {
          const { key, value: change, timestampMs } = record;
          const { newValue, oldValue = null, isLatest } = change;
          if (isVersioned && !isLatest) {
            context.drop('late', record);
            return;
          }
          if (newValue === null && oldValue === null) return;
          const before = keyOf(key, oldValue);
          const after = keyOf(key, newValue);
          const isSame = before !== null && after !== null && isEqual(before, after, keySerde);
          const version = (versions.get(NEWEST) ?? 0) + 1;
          const subscriptions: { foreignKey: KO | null; subscription: Subscription<K> }[] = [];
          const tell = (to: KO | null, instruction: Instruction) =>
            subscriptions.push({ foreignKey: to, subscription: { instruction, version, key } });
          if (isLeft) {
            if (before !== null && !isSame) tell(before, INSTRUCTIONS.forget);
            tell(after, INSTRUCTIONS.answer);
          } else if (after === null) {
            if (newValue !== null) context.drop('null-key', record);
            if (before !== null) tell(before, INSTRUCTIONS.forgetAndAnswer);
          } else {
            if (before !== null && !isSame) tell(before, INSTRUCTIONS.forget);
            const mayBeGone = before !== null && !isSame;
            tell(after, mayBeGone ? INSTRUCTIONS.answer : INSTRUCTIONS.answerIfFound);
          }
          versions.put(NEWEST, version, timestampMs);
          const isAnswered = subscriptions.some(
            ({ subscription: { instruction } }) =>
              instruction === INSTRUCTIONS.answer || instruction === INSTRUCTIONS.forgetAndAnswer,
          );
          forward(record.withValue({ version, value: newValue, isAnswered, subscriptions }));
        },
      };
    },
  };
}

/** Forwards what is said to foreign keys, by them. */
export function subscribe<K, V, KO>(): Operator<
  K,
  ForeignChange<K, V, KO>,
  KO | null,
  Subscription<K>
> {
  return {
    kind: 'subscribe',
    changesKey: true,
    start: (forward) => ({
      process: (record) => {
        for (const { foreignKey, subscription } of record.value.subscriptions) {
          forward(record.withKeyValue(foreignKey, subscription));
        }
      },
    }),
  };
}

/** Keys that are objects are equal when their bytes are, as in stores. */
function isEqual<K>(a: K, b: K, serde: Serde<K>): boolean {
  if (typeof a !== 'object') return a === b;
  return serializeToBytes(serde, a).equals(serializeToBytes(serde, b));
}
