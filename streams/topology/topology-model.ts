/** A node as `Topology.describe` shows it. */
export interface NodeDescription {
  readonly name: string;
  /** A repartition node is a sink where it ends a sub-topology, a source where it starts one. */
  readonly kind: 'source' | 'processor' | 'sink';
  /** What it does: `filter`; undefined for sources and sinks. */
  readonly operator: string | undefined;
  /** `partition` if it is promised that its new keys are in the right one. */
  readonly preserves: 'partition' | undefined;
  /** True for a repartition that is left out if its join does not need it. */
  readonly isIfNeeded: boolean;
  /**
   * The topics that it reads or writes, or the pattern of their names; internal ones without the
   * application's id.
   */
  readonly topics: readonly string[];
  /** The stores that it uses. */
  readonly stores: readonly string[];
  /** The names of the nodes in its sub-topology that send records here. */
  readonly predecessors: readonly string[];
  /** The names of the nodes in its sub-topology that it sends records to. */
  readonly successors: readonly string[];
}

/** A serde as `Topology.describe` shows it. */
export interface SerdeDescription {
  readonly name: string;
  /** The names of other serdes whose bytes it reads. */
  readonly reads: readonly string[];
}

/** A store as `Topology.describe` shows it. */
export interface StoreDescription {
  readonly name: string;
  /** `keyValue`, `window` ... */
  readonly kind: string;
  /** The topic that it is rebuilt from, without the application's id; undefined for none. */
  readonly topic: string | undefined;
  /** True if that topic is its own, and not one that the user writes. */
  readonly hasChangelog: boolean;
  /** How long an entry lives after its start; undefined until it is deleted. */
  readonly retentionMs: number | undefined;
  readonly key: SerdeDescription;
  readonly value: SerdeDescription;
  /** What its bytes do not tell of its windows: `60000 ms every 60000 ms`; undefined for none. */
  readonly windows: string | undefined;
  /** Other settings that its bytes depend on; empty for most. */
  readonly layout: Readonly<Record<string, number | boolean>>;
  /** Of the store of the times of a table's rows: how long those stay without a change. */
  readonly ttlMs: number | undefined;
  /** Of a versioned store: how far back it can be read. */
  readonly historyMs: number | undefined;
  /** False for a store in memory. */
  readonly isPersistent: boolean;
  /** The node whose time its entries expire by; undefined for those that live until deleted. */
  readonly timeNode: string | undefined;
}

/** A sub-topology as `Topology.describe` shows it. */
export interface SubTopologyDescription {
  /** The first part of the ids of its tasks. */
  readonly id: number;
  /** Parents come before their children. */
  readonly nodes: readonly NodeDescription[];
  readonly stores: readonly StoreDescription[];
}

/** A topic as `Topology.describe` shows it. */
export interface TopicDescription {
  readonly name: string;
  /** True if the application makes it and puts its id and a `-` before the name. */
  readonly isInternal: boolean;
  readonly key: SerdeDescription;
  readonly value: SerdeDescription;
  /** As declared; undefined if the log decides, or what it has to fit. */
  readonly partitions: number | undefined;
}

/** What a topology consists of, as plain data. */
export interface TopologyModel {
  readonly subTopologies: readonly SubTopologyDescription[];
  /** Tables that every task sees completely: their stores. */
  readonly globalTables: readonly StoreDescription[];
  /** Without changelogs. */
  readonly topics: readonly TopicDescription[];
}
