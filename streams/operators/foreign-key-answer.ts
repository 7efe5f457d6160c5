import { deserializeBytes, int64, serializeToBytes, type Serde } from '../../core/index.ts';
import { groupedStore, groupedStoreSpec } from '../state/grouped-store.ts';
import type { Change } from '../topology/change.ts';
import type { Operator } from '../topology/operator.ts';
import type { GroupedKey, StoreSpec } from '../topology/store.ts';
import { INSTRUCTIONS, type Subscription, type Versioned } from './foreign-key-messages.ts';
import type { TableReader } from './table-reader.ts';

/** What the right side of a foreign-key join has to know. */
export interface Subscriptions<K, KO> {
  /** The name of the store of subscriptions: versions of left rows by foreign key and key. */
  readonly store: string;
  /** Of the left rows. */
  readonly key: Serde<K>;
  readonly foreignKey: Serde<KO>;
}

export function subscriptionStoreSpec(store: string): StoreSpec<GroupedKey, number> {
  return groupedStoreSpec(store, int64());
}

/**
 * Keeps the subscriptions of left rows, and answers them with the row of the right table, as it was
 * passed on [OP-FK-2] (SubscriptionReceiveProcessorSupplier.java and
 * SubscriptionJoinProcessorSupplier.java). The time of an answer is the greater of both.
 */
export function answerSubscriptions<K, KO, VO>(
  { store, key: keySerde, foreignKey: foreignSerde }: Subscriptions<K, KO>,
  right: TableReader<KO, VO>,
): Operator<KO | null, Subscription<K>, K, Versioned<VO>> {
  return {
    kind: 'answer-subscriptions',
    changesKey: true,
    start: (forward, context) => {
      const subscriptions = context.store(groupedStore<number>(store));
      const read = right.open(context);
      return {
        process: (record) => {
          const { key: foreignKey, value, timestampMs } = record;
          const { instruction, version, key } = value;
          const { forget, forgetAndAnswer, answerIfFound } = INSTRUCTIONS;
          const isLeaving = instruction === forget || instruction === forgetAndAnswer;
          if (foreignKey !== null) {
            const group = serializeToBytes(foreignSerde, foreignKey);
            const own = { group, key: serializeToBytes(keySerde, key) };
            if (isLeaving) subscriptions.delete(own, timestampMs);
            else subscriptions.put(own, version, timestampMs);
          }
          if (instruction === forget) return;
          const row = foreignKey === null ? undefined : read(foreignKey);
          if (row === undefined && instruction === answerIfFound) return;
          const timeMs = row === undefined ? timestampMs : Math.max(timestampMs, row.timestampMs);
          const found = isLeaving ? null : (row?.value ?? null);
          forward(record.with(key, { version, value: found, isAnswered: true }, timeMs));
        },
      };
    },
  };
}

/**
 * Answers all left rows with the foreign key of a right row that changes [OP-FK-2], in the order of
 * the bytes of their keys (ForeignTableJoinProcessorSupplier.java).
 */
export function answerChanges<K, KO, VO>(
  { store, key: keySerde, foreignKey: foreignSerde }: Subscriptions<K, KO>,
  isVersioned: boolean,
): Operator<KO, Change<VO>, K, Versioned<VO>> {
  return {
    kind: 'answer-changes',
    changesKey: true,
    start: (forward, context) => {
      const subscriptions = context.store(groupedStore<number>(store));
      return {
        process: (record) => {
          const { newValue, isLatest } = record.value;
          if (isVersioned && !isLatest) {
            context.drop('late', record);
            return;
          }
          const group = serializeToBytes(foreignSerde, record.key);
          for (const { key, value: version = 0 } of subscriptions.group(group)) {
            const left = deserializeBytes(keySerde, key.key);
            const answer = { version, value: newValue, isAnswered: true };
            forward(record.withKeyValue(left, answer));
          }
        },
      };
    },
  };
}
