/** What a process of the benchmark has to do; Kafka's in `Task.java`. */
export interface Task {
  readonly workload: WorkloadName;
  /** `fill` writes the input, `run` is measured. */
  readonly step: 'fill' | 'run';
  /** Names the application, and Kafka's topics, since the runs share a broker. */
  readonly run: string;
  /** Of the log, or of Kafka Streams' state. */
  readonly directory: string;
  /** Kafka's broker. */
  readonly bootstrap: string;
  /** The file of the input, made by inputs.ts; empty if the task makes its input. */
  readonly input: string;
  readonly records: number;
  readonly partitions: number;
  readonly keys: number;
  readonly windowMs: number;
  readonly valueBytes: number;
  readonly perSecond: number;
  readonly acks: '1' | 'all';
  /** More settings of Kafka Streams. */
  readonly settings: Readonly<Record<string, string>>;
}

export type WorkloadName =
  | 'map'
  | 'count'
  | 'table-join'
  | 'stream-join'
  | 'produce'
  | 'consume'
  | 'latency'
  | 'start'
  | 'restart';

/** What a process reports: each a line of JSON on its stdout. */
export interface Milestone {
  readonly what:
    | 'loaded'
    | 'filled'
    | 'running'
    | 'first record'
    | 'first commit'
    | 'progress'
    | 'full'
    | 'finished'
    | 'checked'
    | 'ended';
  /** Milliseconds since 1970, with a fraction. */
  readonly atMs: number;
  /** Of `progress`: the records that are committed, or done. */
  readonly count?: number;
  /** Of `finished`, for latency: milliseconds. */
  readonly p50?: number;
  readonly p99?: number;
  readonly max?: number;
  /** Of `checked`: the number of results, or of the last ones of each key, and a sum of them. */
  readonly rows?: number;
  readonly sum?: number;
}
