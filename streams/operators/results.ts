import { NO_HEADERS } from '../../core/index.ts';
import { show } from '../../core/internal.ts';
import { StreamRecord } from '../topology/stream-record.ts';

/** A record that no single input record corresponds to. */
export function resultRecord<K, V>(
  key: K,
  value: V,
  timestampMs: number,
  partition: number,
): StreamRecord<K, V> {
  return new StreamRecord(key, value, timestampMs, NO_HEADERS, '', partition, -1);
}

/*
 * Checks the results of users' functions. Errors thrown here become PROCESSING_FAILED with the node
 * and the record's position.
 */

/** A key and a value, as `map` and `flatMap` return them. */
export interface KeyValue<K, V> {
  readonly key: K;
  readonly value: V;
}

/**
 * Returns the result; throws if it is a promise, so the function was async. Only objects cost time.
 */
export function synchronous<T>(result: T): T {
  if (typeof result === 'object' && result !== null && isPromise(result)) throw asyncResult(result);
  return result;
}

/** Checks the result of a mapper that makes key and value. */
export function keyValue<K, V>(result: KeyValue<K, V>): KeyValue<K, V> {
  // Without types it may be anything, and a misspelt name would write null as the value.
  const made = result as Partial<KeyValue<K, V>> | null | undefined;
  if (made?.key === undefined || made.value === undefined) checkFields(result);
  synchronous(result.key);
  synchronous(result.value);
  return result;
}

/** Checks the result of a mapper that makes any number of records. */
export function several<T>(result: Iterable<T>): Iterable<T> {
  const made = result as Partial<Iterable<T>> | null | undefined;
  if (typeof made?.[Symbol.iterator] === 'function') return result;
  synchronous(result);
  throw new TypeError(
    `its function returned ${show(result)}; it has to return a list, or anything else to iterate`,
  );
}

function checkFields(result: unknown): void {
  synchronous(result);
  const isObject = typeof result === 'object' && result !== null;
  const missing = ['key', 'value'].filter((field) => !isObject || !(field in result));
  if (missing.length === 0) return;
  throw new TypeError(
    `its function returned ${show(result)} without ${missing.join(' and ')}; ` +
      'it has to return { key, value }',
  );
}

function isPromise(value: object): value is PromiseLike<unknown> {
  return typeof (value as { readonly then?: unknown }).then === 'function';
}

function asyncResult(promise: PromiseLike<unknown>): TypeError {
  // Its rejection would end the process before this error is seen.
  promise.then(undefined, () => undefined);
  return new TypeError(
    'its function returned a promise, and functions of a topology are synchronous; wait for what ' +
      'it needs before the records enter a topic, or behind the topology',
  );
}
