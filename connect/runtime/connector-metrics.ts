import { expositionText, type MetricFamily, type MetricLabels } from '../../core/internal.ts';
import type { FailedRecords } from './run-counts.ts';
import type { RunnerState } from './runner-life.ts';

/** How often something took place in a run, and how long it took, in milliseconds. */
export interface Timing {
  readonly count: number;
  readonly totalMs: number;
  /** The longest. */
  readonly maxMs: number;
}

/** What a runner has measured since it began, through all its attempts. */
export interface ConnectorMetrics {
  readonly connector: string;
  readonly kind: 'source' | 'sink';
  readonly state: RunnerState;
  /** Written by a source or passed to a sink; what an attempt did in vain does not count. */
  readonly records: number;
  /** How many of them are committed. */
  readonly committedRecords: number;
  /** By transforms. */
  readonly droppedRecords: number;
  readonly failed: FailedRecords;
  /** Polls of a source that brought something, or puts of a sink. */
  readonly batches: Timing;
  readonly commits: Timing;
  /** How often it began again after a failure. */
  readonly retries: number;
  /** Offsets that a sink still has to read; undefined of a source. */
  readonly lag: number | undefined;
  /** The tasks of a source, or the partitions that a sink reads. */
  readonly parts: number;
}

/**
 * One metric: the one list of them, from which `connectMetricsText` and docs/METRICS.md are made.
 */
export interface ConnectorMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  /** Besides `connector` and `kind`, which all of them have. */
  readonly labels: readonly string[];
  /** Kafka Connect's nearest, if it has one. */
  readonly kafka: string | undefined;
  readonly help: string;
  /** The values, with their labels. */
  readonly read: (metrics: ConnectorMetrics) => readonly (readonly [MetricLabels, number])[];
}

const STATES = ['READY', 'RUNNING', 'PAUSED', 'RETRYING', 'ENDED', 'STOPPED', 'FAILED'] as const;

const SECONDS = 1 / 1000;

/** A metric with one value, or with none at present. */
interface SingleMetric extends Pick<ConnectorMetric, 'type' | 'name' | 'kafka' | 'help'> {
  readonly value: (metrics: ConnectorMetrics) => number | undefined;
}

const SINGLE: readonly SingleMetric[] = [
  {
    ...{ type: 'counter', name: 'records_total' },
    kafka: 'source-task: source-record-write-total, sink-task: sink-record-send-total',
    help: 'Records that a source has written, or that were passed to a sink.',
    value: ({ records }) => records,
  },
  {
    ...{ type: 'counter', name: 'committed_records_total' },
    kafka: undefined,
    help: 'Those of them that are committed.',
    value: ({ committedRecords }) => committedRecords,
  },
  {
    ...{ type: 'gauge', name: 'active_records' },
    kafka: 'source-task: source-record-active-count, sink-task: sink-record-active-count',
    help: 'Those of them that wait for a commit.',
    value: ({ records, committedRecords }) => records - committedRecords,
  },
  {
    ...{ type: 'counter', name: 'dropped_records_total' },
    kafka: undefined,
    help: 'Records that transforms have dropped.',
    value: ({ droppedRecords }) => droppedRecords,
  },
  {
    ...{ type: 'counter', name: 'skipped_records_total' },
    kafka: 'task-error: total-records-skipped',
    help: 'Bad input that was left out.',
    value: ({ failed }) => failed.skipped,
  },
  {
    ...{ type: 'counter', name: 'dead_letters_total' },
    kafka: 'task-error: deadletterqueue-produce-requests',
    help: 'Bad input that became dead letters.',
    value: ({ failed }) => failed.deadLettered,
  },
  {
    ...{ type: 'counter', name: 'batches_total' },
    kafka: undefined,
    help: 'Polls of a source that brought something, or puts of a sink.',
    value: ({ batches }) => batches.count,
  },
  {
    ...{ type: 'counter', name: 'batch_seconds_total' },
    kafka: 'source-task: poll-batch-avg-time-ms, sink-task: put-batch-avg-time-ms',
    help: 'Time that all of them took.',
    value: ({ batches }) => batches.totalMs * SECONDS,
  },
  {
    ...{ type: 'gauge', name: 'batch_max_seconds' },
    kafka: 'source-task: poll-batch-max-time-ms, sink-task: put-batch-max-time-ms',
    help: 'Time that the longest of them took, since the start.',
    value: ({ batches }) => batches.maxMs * SECONDS,
  },
  {
    ...{ type: 'counter', name: 'commits_total' },
    kafka: 'sink-task: offset-commit-completion-total',
    help: 'Commits that had something to commit.',
    value: ({ commits }) => commits.count,
  },
  {
    ...{ type: 'counter', name: 'commit_seconds_total' },
    kafka: 'connector-task: offset-commit-avg-time-ms',
    help: 'Time that all commits took.',
    value: ({ commits }) => commits.totalMs * SECONDS,
  },
  {
    ...{ type: 'gauge', name: 'commit_max_seconds' },
    kafka: 'connector-task: offset-commit-max-time-ms',
    help: 'Time that the longest commit took, since the start.',
    value: ({ commits }) => commits.maxMs * SECONDS,
  },
  {
    ...{ type: 'counter', name: 'retries_total' },
    kafka: 'task-error: total-retries',
    help: 'How often it began again from its last commit.',
    value: ({ retries }) => retries,
  },
  {
    ...{ type: 'gauge', name: 'lag' },
    kafka: 'sink-task: sink-record-lag-max',
    help: 'Offsets that a sink still has to read.',
    value: ({ lag }) => lag,
  },
  {
    ...{ type: 'gauge', name: 'parts' },
    kafka: 'sink-task: partition-count',
    help: 'The tasks of a source, or the partitions that a sink reads.',
    value: ({ parts }) => parts,
  },
];

/** All metrics of connectors. */
export const CONNECTOR_METRICS: readonly ConnectorMetric[] = [
  {
    ...{ name: 'millrace_connect_state', type: 'gauge', labels: ['state'] },
    ...{ kafka: 'connector-task: status', help: 'Which state it is in: 1 for that one, else 0.' },
    read: ({ state }) => STATES.map((each) => [{ state: each }, each === state ? 1 : 0] as const),
  },
  ...SINGLE.map(({ type, name, kafka, help, value }): ConnectorMetric => ({
    ...{ type, name: `millrace_connect_${name}`, labels: [], kafka, help },
    read: (metrics) => {
      const found = value(metrics);
      return found === undefined ? [] : [[{}, found]];
    },
  })),
];

/**
 * Metrics of connectors in the text format of Prometheus, version 0.0.4: those of docs/METRICS.md.
 * Times are in seconds.
 */
export function connectMetricsText(...connectors: readonly ConnectorMetrics[]): string {
  return expositionText(
    CONNECTOR_METRICS.map(({ name, type, help, read }): MetricFamily => {
      const samples = connectors.flatMap((metrics) => {
        const { connector, kind } = metrics;
        return read(metrics).map(([labels, value]) => {
          return [{ connector, kind, ...labels }, value] as const;
        });
      });
      return { name, type, help, samples };
    }),
  );
}
