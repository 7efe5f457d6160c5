import type { Headers } from '../../core/index.ts';
import type { StreamRecord } from '../topology/stream-record.ts';

/** Writes the records of one topic; a `TopicWriter` of core is one. */
export interface RecordWriter {
  /** Of the topic. */
  readonly partitions: number;
  write(
    key: unknown,
    value: unknown,
    timestampMs: number,
    headers?: Headers,
    partition?: number,
  ): unknown;
}

/** The writers of the tasks. All topics of the topology are known before a task starts. */
export interface Outputs {
  /** Hands a record to those who observe a node, once a commit has it. */
  readonly publish: (node: string, record: StreamRecord) => void;
  /**
   * By the name of a sink or repartition node: two sinks may write to one topic with different
   * serdes.
   */
  node(name: string): RecordWriter;
  changelog(store: string): RecordWriter;
  /** A topic of dead letters, which takes bytes. */
  deadLetters(topic: string): RecordWriter;
}
