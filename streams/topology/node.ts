import type { LogConfig, Serde, TopicPattern } from '../../core/index.ts';
import type { Operator } from './operator.ts';
import type { ErrorPolicy } from './record-errors.ts';
import type { StoreSpec } from './store.ts';
import type { StreamRecord } from './stream-record.ts';
import type { TimestampExtractor } from './timestamps.ts';

/** What a topology needs to know of a topic. */
export interface TopicSpec<K = unknown, V = unknown> {
  readonly name: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** Undefined if the topic decides. */
  readonly partitions: number | undefined;
  /** The settings to create a missing topic with. */
  readonly config: Partial<LogConfig>;
}

/**
 * Chooses the partitions of a record in a topic with so many: one, a list of several, an empty list
 * to drop and count it, or undefined for the partition of its key.
 */
export type StreamPartitioner<K, V> = (
  record: StreamRecord<K, V>,
  partitions: number,
) => number | readonly number[] | undefined;

/**
 * What happens to records with a null key or value: forwarded, dropped and counted, or an error
 * that ends the application.
 */
export type NullHandling = 'pass' | 'skip' | 'fail';

export type TopologyNode = SourceNode | OperatorNode | SinkNode | RepartitionNode;

interface NodeCommon {
  /** Unique within the topology; given by the user, or made of kind and origin. */
  readonly name: string;
  /** Names of the nodes that send records here. */
  readonly parents: readonly string[];
  /** What it does with records that it cannot handle; default: as the application. */
  readonly errors?: ErrorPolicy | undefined;
}

/** Reads topics. */
export interface SourceNode extends NodeCommon {
  readonly kind: 'source';
  /** With a pattern: those that match, once the application starts; none before. */
  readonly topics: readonly TopicSpec[];
  readonly pattern?: TopicPattern<unknown, unknown> | undefined;
  readonly timestamp: TimestampExtractor<unknown, unknown> | undefined;
  readonly nullKeys: NullHandling;
  readonly nullValues: NullHandling;
}

/** Does something to records. */
export interface OperatorNode extends NodeCommon {
  readonly kind: 'operator';
  readonly operator: Operator;
  /** The stores that it uses, by name. */
  readonly stores: readonly string[];
  /** True if it gets the records that its parents drop, and not their results. */
  readonly takesDropped?: boolean;
  /** The serde of its new keys, if the user promises that they are in the right partition. */
  readonly preserves?: Serde<unknown> | undefined;
}

/** Writes to a topic. */
export interface SinkNode extends NodeCommon {
  readonly kind: 'sink';
  readonly topic: TopicSpec;
  /** Undefined for the partition of the key. */
  readonly partitioner: StreamPartitioner<unknown, unknown> | undefined;
}

/** When a repartition is not left out: its join cannot do without it. */
export interface RepartitionCondition {
  /** The node of the join. */
  readonly join: string;
  /**
   * True if it also stays where the side would have other partitions than what it meets. Without
   * it, the side moves only if it would otherwise wait for what is made of it.
   */
  readonly isAsked: boolean;
  /** The nodes that are left out with it. */
  readonly with?: readonly string[];
  /** What other nodes are without it, by name. */
  readonly otherwise?: ReadonlyMap<string, Pick<OperatorNode, 'operator' | 'stores'>>;
}

/**
 * Writes to an internal topic by key and reads it back, so that equal keys meet in one task. Its
 * parents and its children are in different sub-topologies.
 */
export interface RepartitionNode extends NodeCommon {
  readonly kind: 'repartition';
  /** The internal topic is `<applicationId>-<id>-repartition`. */
  readonly id: string;
  readonly key: Serde<unknown>;
  readonly value: Serde<unknown>;
  readonly partitions: number | undefined;
  /** True if it has, by default, as many partitions as what its readers also read. */
  readonly isCopartitioned?: boolean;
  /** When the topic is needed at all, which is known once the partitions of topics are. */
  readonly onlyIf?: RepartitionCondition | undefined;
  /** Operators of this name may share the topic; undefined if it has one reader only. */
  readonly readers?: string | undefined;
  /** Undefined for the partition of the key. */
  readonly partitioner: StreamPartitioner<unknown, unknown> | undefined;
}

/** A table that every task sees completely. */
export interface GlobalTableSpec {
  readonly store: StoreSpec;
  readonly topic: TopicSpec;
}
