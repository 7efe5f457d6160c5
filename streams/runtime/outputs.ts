import type { Headers } from '../../core/index.ts';

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
  /**
   * By the name of a sink or repartition node: two sinks may write to one topic with different
   * serdes.
   */
  node(name: string): RecordWriter;
  changelog(store: string): RecordWriter;
  /** A topic of dead letters, which takes bytes. */
  deadLetters(topic: string): RecordWriter;
}
