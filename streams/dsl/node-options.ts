import type { Serde } from '../../core/index.ts';

/** What every operator can be told. */
export interface NodeOptions {
  /** Names the node in descriptions and errors; default: its kind and a number. */
  readonly name?: string;
}

/** How a stream is grouped. */
export interface GroupOptions<K, V> extends NodeOptions {
  /** Writes the new key; needed where no serde for it is known. Default: msgpack. */
  readonly key?: Serde<K>;
  /** Writes the value into the repartition topic. Default: the stream's, or msgpack. */
  readonly value?: Serde<V>;
  /** Partitions of the repartition topic; default: as many as the stream has. */
  readonly partitions?: number;
}

/** Where an aggregation keeps its values. */
export interface StoreOptions<A> extends NodeOptions {
  /**
   * Names the store, its changelog and its repartition topic. Without a name they are numbered by their
   * place in the topology: give one, or a change of the topology loses the state.
   */
  readonly store?: string;
  /** Writes the values into changelog and checkpoint. Default: msgpack. */
  readonly value?: Serde<A>;
}
