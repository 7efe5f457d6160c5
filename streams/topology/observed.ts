import type { Observable } from 'rxjs';
import type { StreamRecord } from './stream-record.ts';

/** A stream whose committed records can be observed, as `KStream.toObservable` returns it. */
export interface ObservedStream<K, V> {
  /** The name of its node. */
  readonly node: string;
  /** For the types only. */
  readonly types?: { readonly key: K; readonly value: V };
}

/** How committed records are observed. */
export interface ObserveOptions {
  /**
   * How many records may wait for a loop, `for await (...)`, before it ends with OBSERVER_OVERRUN;
   * 1 or more. Default 100,000.
   */
  readonly maxQueued?: number;
}

/** Committed records: subscribe, or loop over them with `for await (...)`, taking your time. */
export interface ObservedRecords<K, V>
  extends Observable<StreamRecord<K, V>>, AsyncIterable<StreamRecord<K, V>> {}
