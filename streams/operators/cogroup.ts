import type { DroppedRecord, Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';

/** How a record of one of several streams adds to the aggregate that they share. */
export interface Contribution<A> {
  addTo(aggregate: A): A | null | undefined;
}

/**
 * Gives each record of one stream of a cogroup its function, so that one operator aggregates those
 * of all streams [OP-COGROUP-1]. Null values stay null: that operator drops and counts them.
 */
export function contribute<K, V, A>(
  adder: (aggregate: A, record: StreamRecord<K, V>) => A | null | undefined,
): Operator<K, V, K, Contribution<A> | null> {
  return {
    kind: 'cogroup',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        const isNull = record.value === null || record.value === undefined;
        forward(record.withValue(isNull ? null : new Addition(adder, record)));
      },
    }),
  };
}

/**
 * Forwards the records that an operator drops; those of a cogroup with their own values again.
 */
export function passDropped<K, V>(): Operator<K, DroppedRecord<V>, K, DroppedRecord<V>> {
  return {
    kind: 'dropped',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        const { reason, value } = record.value;
        if (!(value instanceof Addition)) forward(record);
        else forward(record.withValue({ reason, value: value.value as V }));
      },
    }),
  };
}

class Addition<K, V, A> implements Contribution<A> {
  readonly #adder: (aggregate: A, record: StreamRecord<K, V>) => A | null | undefined;
  readonly #record: StreamRecord<K, V>;

  constructor(
    adder: (aggregate: A, record: StreamRecord<K, V>) => A | null | undefined,
    record: StreamRecord<K, V>,
  ) {
    this.#adder = adder;
    this.#record = record;
  }

  /** That of the record. */
  get value(): V {
    return this.#record.value;
  }

  addTo(aggregate: A): A | null | undefined {
    return this.#adder(aggregate, this.#record);
  }
}
