import type { StreamRecord } from '../topology/stream-record.ts';

/** Decides on a record. */
export type Predicate<K, V> = (record: StreamRecord<K, V>) => boolean;
/** Combines what there is with the value of one record more; `R` is what it may return. */
export type Reducer<K, V, R = V> = (aggregate: V, value: V, record: StreamRecord<K, V>) => R;
/** Adds a record to what there is; `R` is what it may return. */
export type Adder<K, V, A, R = A> = (aggregate: A, record: StreamRecord<K, V>) => R;
/** Makes one value of a record's, `left`, and a row's, `right`. */
export type Joiner<K, V, VT, VR> = (left: V, right: VT, record: StreamRecord<K, V>) => VR;

/** The type that an async function's result would have to have as well, so that none fits. */
export interface AsyncNotAllowed {
  readonly 'functions of a topology are synchronous': never;
}

/**
 * What a function of a topology may return is `T & Synchronous<T>`: anything but a promise. In
 * generic code, where `T` is not known, TypeScript wants the result cast to that.
 */
export type Synchronous<T> = 0 extends 1 & T
  ? unknown // any
  : [Extract<T, PromiseLike<unknown>>] extends [never]
    ? unknown
    : AsyncNotAllowed;
