import type { Row } from '../operators/table-view.ts';
import type { StreamRecord } from '../topology/stream-record.ts';

/** Decides on a record. */
export type Predicate<K, V> = (record: StreamRecord<K, V>) => boolean;
/** Combines the current value with that of one more record; `R` is its result. */
export type Reducer<K, V, R = V> = (aggregate: V, value: V, record: StreamRecord<K, V>) => R;
/** Adds a record to the current aggregate; `R` is its result. */
export type Adder<K, V, A, R = A> = (aggregate: A, record: StreamRecord<K, V>) => R;
/** Combines the aggregates of two sessions of a key. */
export type Merger<K, A> = (left: A, right: A, key: K) => A;
/** Combines a record's value, `left`, with a row's, `right`. */
export type Joiner<K, V, VT, VR> = (left: V, right: VT, record: StreamRecord<K, V>) => VR;

/** Combines a record's value with what a lookup has found, undefined for nothing. */
export type LookupJoiner<K, V, VT, V2> = (
  value: V,
  found: VT | undefined,
  record: StreamRecord<K, V>,
) => V2 & Synchronous<V2>;

/** Combines the values of two tables for a key; undefined stands for no row. */
export type TableJoiner<K, VL, VR, V> = (left: VL, right: VR, key: K) => V;
/** Adds a row to the current aggregate of its group, or takes one away; `R` is its result. */
export type RowAdder<K, V, A, R = A> = (aggregate: A, row: Row<K, V>) => R;
/** The same with values like those of the rows. */
export type RowReducer<K, V, R = V> = (aggregate: V, value: V, row: Row<K, V>) => R;

/** The value that a function's result has in a table: nothing deletes a row, which is a null. */
export type Deletable<T> = T extends null | undefined ? null : T;
/** The values of a table whose values are made of those of another, where rows can be deleted. */
export type Mapped<V, V2> = Deletable<V2> | Extract<V, null>;

/**
 * Combines the values of two streams. `record` is the one that came last, of either side; its time
 * may be older than that of the result.
 */
export type StreamJoiner<K, VL, VR, R> = (
  left: VL,
  right: VR,
  record: StreamRecord<K, NonNullable<VL | VR>>,
) => R;

/** The type that an async function's result must also have, so that none fits. */
export interface AsyncNotAllowed {
  readonly 'functions of a topology are synchronous': never;
}

/**
 * A function of a topology may return `T & Synchronous<T>`: anything but a promise. In generic
 * code, if `T` is unknown, cast the result to that.
 */
export type Synchronous<T> = 0 extends 1 & T
  ? unknown // any
  : [Extract<T, PromiseLike<unknown>>] extends [never]
    ? unknown
    : AsyncNotAllowed;
