import { NO_ROOM, type Serde } from '../../core/index.ts';
import { namesAround } from '../../core/internal.ts';

/*
 * What the parts of a foreign-key join say to each other through repartition topics, in which a row
 * of the left table has a version: larger than those of all earlier changes of its partition.
 */

/** What the right side does with a subscription; the numbers are in the topic. */
export const INSTRUCTIONS = {
  /** The row has left this foreign key, and another one answers. */
  forget: 0,
  /** The row has left this foreign key: answer with no row. */
  forgetAndAnswer: 1,
  /** The row has this foreign key: answer if there is a right row. */
  answerIfFound: 2,
  /** The row has this foreign key: answer in any case. */
  answer: 3,
} as const;

export type Instruction = (typeof INSTRUCTIONS)[keyof typeof INSTRUCTIONS];

/** To the right table, by foreign key. */
export interface Subscription<K> {
  readonly instruction: Instruction;
  readonly version: number;
  /** Of the left row. */
  readonly key: K;
}

/** A row with the version of its left one: of the left table, or an answer of the right one. */
export interface Versioned<V> {
  readonly version: number;
  /** Null for none. */
  readonly value: V | null;
  /** Of a left row: true if an answer surely comes. */
  readonly isAnswered: boolean;
}

const VERSION_BYTES = 8;

/** instruction u8 | version f64 | key */
export function subscriptionSerde<K>(key: Serde<K>): Serde<Subscription<K>> {
  return {
    ...namesAround((name) => `subscription(${name})`, key),
    serialize(subscription, target, position) {
      const keyAt = position + 1 + VERSION_BYTES;
      if (keyAt > target.length) return NO_ROOM;
      target[position] = subscription.instruction;
      target.writeDoubleBE(subscription.version, position + 1);
      return key.serialize(subscription.key, target, keyAt);
    },
    deserialize(source, start, end) {
      return {
        instruction: source[start] as Instruction,
        version: source.readDoubleBE(start + 1),
        key: key.deserialize(source, start + 1 + VERSION_BYTES, end),
      };
    },
  };
}

const HAS_VALUE = 1;
const IS_ANSWERED = 2;

/** flags u8 | version f64 | value */
export function versionedSerde<V>(value: Serde<V>): Serde<Versioned<V>> {
  return {
    ...namesAround((name) => `stamped(${name})`, value),
    serialize(versioned, target, position) {
      const valueAt = position + 1 + VERSION_BYTES;
      if (valueAt > target.length) return NO_ROOM;
      const hasValue = versioned.value === null ? 0 : HAS_VALUE;
      target[position] = hasValue | (versioned.isAnswered ? IS_ANSWERED : 0);
      target.writeDoubleBE(versioned.version, position + 1);
      return versioned.value === null ? valueAt : value.serialize(versioned.value, target, valueAt);
    },
    deserialize(source, start, end) {
      const flags = source[start] ?? 0;
      const valueAt = start + 1 + VERSION_BYTES;
      return {
        version: source.readDoubleBE(start + 1),
        value: (flags & HAS_VALUE) === 0 ? null : value.deserialize(source, valueAt, end),
        isAnswered: (flags & IS_ANSWERED) !== 0,
      };
    },
  };
}
