import { TRANSITIONS } from './app-life.ts';
import type { MeterReading } from './meter.ts';
import type { StreamsMetrics, TaskMetrics } from './metrics.ts';

export type LabelValues = Readonly<Record<string, string>>;

/** Takes one value of a metric; undefined if there is none at present. */
type Sample = (labels: LabelValues, value: number | undefined) => void;

/** One metric: the one list of them, from which all exporters and docs/METRICS.md are made. */
export interface MetricDefinition {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly unit: 'seconds' | 'bytes' | undefined;
  /** Besides `application_id`, which all of them have. */
  readonly labels: readonly string[];
  readonly help: string;
  /** Kafka Streams' name and the level it is at, if it has the metric. */
  readonly kafka: string | undefined;
  /** Calls `sample` with each value of a snapshot. */
  readonly read: (metrics: StreamsMetrics, sample: Sample) => void;
}

type Options = Partial<Pick<MetricDefinition, 'unit' | 'kafka'>>;

const PREFIX = 'millrace_streams_';
const SECONDS = 1 / 1000;

function define(
  type: MetricDefinition['type'],
  name: string,
  labels: readonly string[],
  help: string,
  read: MetricDefinition['read'],
  { unit, kafka }: Options = {},
): MetricDefinition {
  return { name: PREFIX + name, type, unit, labels, help, kafka, read };
}

/** Calls `visit` with each task and its label. */
function eachTask(
  { tasks }: StreamsMetrics,
  visit: (task: TaskMetrics, labels: { readonly task_id: string }) => void,
): void {
  for (const task of tasks) visit(task, { task_id: task.taskId });
}

/** What is known of one meter of durations in milliseconds. */
interface Timed {
  readonly name: string;
  readonly what: string;
  readonly labels: readonly string[];
  readonly kafka: string;
  readonly read: (
    metrics: StreamsMetrics,
    visit: (labels: LabelValues, reading: MeterReading) => void,
  ) => void;
}

/** The count of a meter, its seconds, and its largest value of the last 30 to 60 seconds. */
function timed({ name, what, labels, kafka, read }: Timed): MetricDefinition[] {
  return [
    define(
      'counter',
      `${name}_total`,
      labels,
      `Number of ${what}.`,
      (metrics, sample) => read(metrics, (values, { total }) => sample(values, total)),
      { kafka: `${kafka}-total, ${kafka}-rate` },
    ),
    define(
      'counter',
      `${name}_latency_seconds_total`,
      labels,
      `Time that all ${what} took.`,
      (metrics, sample) => read(metrics, (values, { sum }) => sample(values, sum * SECONDS)),
      { unit: 'seconds', kafka: `${kafka}-latency-avg, ${kafka}-ratio` },
    ),
    define(
      'gauge',
      `${name}_latency_max_seconds`,
      labels,
      `Time that the longest of the ${what} took, of the last 30 to 60 s.`,
      (metrics, sample) => read(metrics, (values, { max }) => sample(values, max && max * SECONDS)),
      { unit: 'seconds', kafka: `${kafka}-latency-max` },
    ),
  ];
}

function ofGroups(name: 'poll' | 'process' | 'punctuate' | 'commit' | 'checkpoint'): Timed['read'] {
  return ({ groups }, visit) => {
    for (const group of groups) visit({ group: group.group }, group[name]);
  };
}

function ofTasks(name: 'process' | 'punctuate'): Timed['read'] {
  return (metrics, visit) => eachTask(metrics, (task, labels) => visit(labels, task[name]));
}

const GROUP = ['group'];
const TASK = ['task_id'];
const NODE = ['task_id', 'node'];
const INPUT = ['task_id', 'topic', 'partition'];
const STORE = ['task_id', 'store'];

const APP: readonly MetricDefinition[] = [
  define(
    'gauge',
    'state',
    ['state'],
    'Which state the application is in: 1 for that one, 0 for the others.',
    ({ state }, sample) => {
      for (const each of Object.keys(TRANSITIONS)) sample({ state: each }, each === state ? 1 : 0);
    },
    { kafka: 'client: state, client-state' },
  ),
  define(
    'counter',
    'restored_records_total',
    [],
    'Records that were read back into stores.',
    ({ restoredRecords }, sample) => sample({}, restoredRecords),
    { kafka: 'state updater: active-restore-records-total' },
  ),
  define(
    'gauge',
    'store_restore_remaining_records',
    ['task_id', 'store'],
    'Records still to be read back into a store that is restored at present.',
    ({ restores }, sample) => {
      for (const { taskId, store, restored, total } of restores) {
        sample({ task_id: taskId, store }, total - restored);
      }
    },
    { kafka: 'task: restore-remaining-records-total' },
  ),
];

const GROUPS: readonly MetricDefinition[] = [
  ...timed({
    ...{ name: 'group_poll', what: 'waits for input', labels: GROUP, kafka: 'thread: poll' },
    read: ofGroups('poll'),
  }),
  define(
    'counter',
    'group_consumed_bytes_total',
    GROUP,
    'Bytes of the log that were fetched.',
    ({ groups }, sample) => {
      for (const { group, pollBytes } of groups) sample({ group }, pollBytes.sum);
    },
    { unit: 'bytes', kafka: 'consumer: bytes-consumed-total' },
  ),
  ...timed({
    ...{ name: 'group_process', what: 'processed records', labels: GROUP },
    ...{ kafka: 'thread: process', read: ofGroups('process') },
  }),
  ...timed({
    ...{ name: 'group_punctuate', what: 'calls of punctuations', labels: GROUP },
    ...{ kafka: 'thread: punctuate', read: ofGroups('punctuate') },
  }),
  ...timed({
    ...{ name: 'group_commit', what: 'commits', labels: GROUP, kafka: 'thread: commit' },
    read: ofGroups('commit'),
  }),
  ...timed({
    ...{ name: 'group_checkpoint', what: 'checkpoints', labels: GROUP },
    ...{ kafka: 'store: flush', read: ofGroups('checkpoint') },
  }),
];

const TASKS: readonly MetricDefinition[] = [
  define(
    'counter',
    'task_processed_records_total',
    TASK,
    'Records processed, without those of failed attempts.',
    (metrics, sample) => eachTask(metrics, (task, labels) => sample(labels, task.processedRecords)),
    { kafka: 'task: process-total' },
  ),
  ...timed({
    ...{
      name: 'task_process',
      what: 'processed records, those of failed attempts too',
      labels: TASK,
    },
    ...{ kafka: 'task: process', read: ofTasks('process') },
  }),
  ...timed({
    ...{ name: 'task_punctuate', what: 'calls of punctuations', labels: TASK },
    ...{ kafka: 'task: punctuate', read: ofTasks('punctuate') },
  }),
  define(
    'gauge',
    'task_record_lateness_avg_seconds',
    TASK,
    'How far records were behind their partition, on average of the last 30 to 60 s.',
    (metrics, sample) =>
      eachTask(metrics, ({ lateness: { avg } }, labels) => sample(labels, avg && avg * SECONDS)),
    { unit: 'seconds', kafka: 'task: record-lateness-avg' },
  ),
  define(
    'gauge',
    'task_record_lateness_max_seconds',
    TASK,
    'How far a record was behind its partition, at most, of the last 30 to 60 s.',
    (metrics, sample) =>
      eachTask(metrics, ({ lateness: { max } }, labels) => sample(labels, max && max * SECONDS)),
    { unit: 'seconds', kafka: 'task: record-lateness-max' },
  ),
  define(
    'gauge',
    'task_stream_time_seconds',
    TASK,
    'The event time reached, in seconds since 1970.',
    (metrics, sample) =>
      eachTask(metrics, ({ streamTimeMs }, labels) => {
        sample(labels, streamTimeMs === -Infinity ? undefined : streamTimeMs * SECONDS);
      }),
    { unit: 'seconds' },
  ),
  define(
    'gauge',
    'task_uncheckpointed_changes',
    TASK,
    'Changes of state that are in no checkpoint yet: a restart reads them back.',
    (metrics, sample) =>
      eachTask(metrics, (task, labels) => sample(labels, task.uncheckpointedChanges)),
  ),
];

/** One metric of the partitions that tasks read. */
function ofInputs(
  type: MetricDefinition['type'],
  name: string,
  field: 'lag' | 'position' | 'committedOffset' | 'queuedBatches' | 'consumedBytes',
  help: string,
  options?: Options,
): MetricDefinition {
  const read: MetricDefinition['read'] = (metrics, sample) =>
    eachTask(metrics, ({ inputs }, labels) => {
      for (const input of inputs) {
        const { topic, partition } = input;
        sample({ ...labels, topic, partition: String(partition) }, input[field]);
      }
    });
  return define(type, name, INPUT, help, read, options);
}

const INPUTS: readonly MetricDefinition[] = [
  ofInputs('gauge', 'input_lag', 'lag', 'Offsets still to pass, as far as is known.', {
    kafka: 'consumer: records-lag',
  }),
  ofInputs('gauge', 'input_position', 'position', 'The next offset to process.'),
  ofInputs('gauge', 'input_committed_offset', 'committedOffset', 'The offset committed last.'),
  ofInputs('gauge', 'input_queued_batches', 'queuedBatches', 'Fetches that wait in memory.', {
    kafka: 'task: active-buffer-count',
  }),
  ofInputs('counter', 'input_consumed_bytes_total', 'consumedBytes', 'Bytes fetched.', {
    unit: 'bytes',
    kafka: 'topic: bytes-consumed-total',
  }),
];

/** One metric of the age of records at sources and at nodes that no other one follows. */
function ofNodes(
  type: MetricDefinition['type'],
  name: string,
  help: string,
  value: (reading: MeterReading) => number | undefined,
  options: Options,
): MetricDefinition {
  const read: MetricDefinition['read'] = (metrics, sample) =>
    eachTask(metrics, ({ nodes }, labels) => {
      for (const { node, endToEnd } of nodes) sample({ ...labels, node }, value(endToEnd));
    });
  return define(type, name, NODE, help, read, options);
}

const AGE = "Records' age at a source or at a node that no other one follows";
const NODES: readonly MetricDefinition[] = [
  ofNodes(
    'counter',
    'node_records_total',
    'Records at a source or at a node that no other one follows, such as a sink.',
    ({ total }) => total,
    { kafka: 'node: process-total; topic: records-consumed-total, records-produced-total' },
  ),
  ofNodes(
    'gauge',
    'node_record_e2e_latency_avg_seconds',
    `${AGE}: the mean of the last 30 to 60 s.`,
    ({ avg }) => avg && avg * SECONDS,
    { unit: 'seconds', kafka: 'node: record-e2e-latency-avg' },
  ),
  ofNodes(
    'gauge',
    'node_record_e2e_latency_min_seconds',
    `${AGE}: the least of the last 30 to 60 s.`,
    ({ min }) => min && min * SECONDS,
    { unit: 'seconds', kafka: 'node: record-e2e-latency-min' },
  ),
  ofNodes(
    'gauge',
    'node_record_e2e_latency_max_seconds',
    `${AGE}: the largest of the last 30 to 60 s.`,
    ({ max }) => max && max * SECONDS,
    { unit: 'seconds', kafka: 'node: record-e2e-latency-max' },
  ),
  define(
    'counter',
    'node_dropped_records_total',
    ['node', 'reason'],
    'Records that a node dropped, by reason: late, unmatched, null-key, null-value, ...',
    ({ droppedByNode }, sample) => {
      for (const [node, reasons] of Object.entries(droppedByNode)) {
        for (const [reason, count] of Object.entries(reasons)) sample({ node, reason }, count);
      }
    },
    { kafka: 'task: dropped-records-total' },
  ),
  define(
    'counter',
    'node_failed_records_total',
    ['node', 'outcome'],
    'Records that failed at a node, by what became of them: skipped, deadLettered, retried.',
    ({ failedByNode }, sample) => {
      for (const [node, outcomes] of Object.entries(failedByNode)) {
        for (const [outcome, count] of Object.entries(outcomes)) sample({ node, outcome }, count);
      }
    },
    { kafka: 'task: dropped-records-total' },
  ),
];

/** One metric of the stores. */
function ofStores(
  type: MetricDefinition['type'],
  name: string,
  field: 'entries' | 'memoryEntries' | 'checkpointBytes' | 'changes',
  help: string,
  options?: Options,
): MetricDefinition {
  const read: MetricDefinition['read'] = (metrics, sample) =>
    eachTask(metrics, ({ stores }, labels) => {
      for (const store of stores) sample({ ...labels, store: store.store }, store[field]);
    });
  return define(type, name, STORE, help, read, options);
}

const STORES: readonly MetricDefinition[] = [
  ofStores('gauge', 'store_entries', 'entries', 'About how many entries a store has.', {
    kafka: 'store: num-keys, estimate-num-keys',
  }),
  ofStores(
    'gauge',
    'store_memory_entries',
    'memoryEntries',
    'Entries that are in memory as objects.',
    { kafka: 'task: cache-size-bytes-total' },
  ),
  ofStores(
    'gauge',
    'store_checkpoint_bytes',
    'checkpointBytes',
    'What the last checkpoint takes.',
    {
      unit: 'bytes',
      kafka: 'store: total-sst-files-size',
    },
  ),
  ofStores(
    'counter',
    'store_changes_total',
    'changes',
    'Records written to the changelog, or to the topic that replaces it.',
  ),
];

/** All metrics, in the order in which they are shown. */
export const METRICS: readonly MetricDefinition[] = [
  ...APP,
  ...GROUPS,
  ...TASKS,
  ...INPUTS,
  ...NODES,
  ...STORES,
];
