import { stderrLogger, systemClock, type Clock, type Log, type Logger } from '../../core/index.ts';
import {
  checkOptions,
  given,
  integer,
  oneOf,
  text,
  callback,
  instance,
  listOf,
  withFields,
  type OptionCheck,
  type OptionChecks,
} from '../../core/internal.ts';
import {
  errorHandling,
  topicName,
  type ErrorAction,
  type ErrorHandler,
} from '../topology/record-errors.ts';
import { storeNames } from '../topology/topology-diff.ts';
import type { CommitStep } from './commit.ts';
import {
  uncaughtHandling,
  type UncaughtErrorAction,
  type UncaughtErrorHandler,
} from './uncaught-errors.ts';

/** Kafka Streams' settings, in camelCase; times in milliseconds. */
export interface StreamsOptions {
  /** Names the application: its group, its internal topics, its state. */
  readonly applicationId: string;
  /**
   * `exactly_once` (default): outputs, state and input offsets always change together.
   * `at_least_once`: after a crash the records since the last commit are processed again. Kafka:
   * `at_least_once` is the default.
   */
  readonly processingGuarantee?: 'exactly_once' | 'at_least_once';
  /**
   * How often to commit while there is work; an empty input makes a commit come earlier. Commits
   * that take more than half of this, with hundreds of partitions, come up to 1 s apart instead, so
   * that two thirds of the time are left for records. Default 100 ms, as in Kafka with
   * `exactly_once`; there it is 30 s with `at_least_once`.
   */
  readonly commitIntervalMs?: number;
  /**
   * How often committed state goes into LMDB. A restart reads back at most the changes of this
   * time. Default 3 s.
   */
  readonly checkpointIntervalMs?: number;
  /**
   * A checkpoint comes earlier if a task's changelogs have grown by this many records. Default
   * 400,000.
   */
  readonly checkpointEntriesMax?: number;
  /** Clean entries that a store keeps in memory; default 200,000. */
  readonly cacheEntriesMax?: number;
  /**
   * How long an input has to be empty before stream time no longer waits for it. Default 1 s.
   * Kafka's `max.task.idle.ms`: 0; a second costs only latency, and keeps a task that is between
   * two fetches from being overtaken.
   */
  readonly idleTimeoutMs?: number;
  /**
   * How often to look for topics that match a pattern, and partitions, that are not read yet.
   * Default 10 s, as of a consumer; Kafka's `metadata.max.age.ms`: 5 min.
   */
  readonly metadataMaxAgeMs?: number;
  /**
   * The directory of the state. Default: `streams/<applicationId>` in the log's directory; required
   * if the log has none.
   */
  readonly stateDir?: string;
  /**
   * How long a transaction may stay open before the broker aborts it; default 1 min. Kafka Streams:
   * 10 s.
   */
  readonly transactionTimeoutMs?: number;
  /**
   * What becomes of records that cannot be read: their bytes are not what the serde reads, they
   * have a null that their source does not take, or no event time. Default: `fail`, they end the
   * application. A source may decide otherwise by its option `onError`.
   */
  readonly onDeserializationError?: ErrorAction | ErrorHandler;
  /**
   * What becomes of records for which a function or processor throws. Default: `fail`. An operator
   * may decide otherwise by its option `onError`.
   *
   * What was done for the record before the error stays: by operators before that one, in other
   * branches, and by the function itself.
   */
  readonly onProcessingError?: ErrorAction | ErrorHandler;
  /**
   * What becomes of results that cannot be written: their serde refuses them, they are too large,
   * or their partitioner fails. Default: `fail`. A sink may decide otherwise by its option
   * `onError`.
   */
  readonly onProductionError?: ErrorAction | ErrorHandler;
  /**
   * What becomes of the application when an error would end it: `stop`, `restart`, `exit`, or a
   * function of the error that returns one of them. Default: `stop`.
   */
  readonly onUncaughtError?: UncaughtErrorAction | UncaughtErrorHandler;
  /**
   * The topic of dead letters, which is created if it is missing. It gets what was read, as bytes,
   * with Kafka Streams' headers `__streams.errors.*`. Default: `<applicationId>-dead-letters`.
   */
  readonly deadLetterTopic?: string;
  /** How often `app.metrics$` emits. Default 1 s. */
  readonly metricsIntervalMs?: number;
  /**
   * The old names of stores that have new ones, by the new ones: `{ orderCounts: 'counts' }`. The
   * next start moves what is in them, and the times of their operators. It may stay here
   * afterwards. Default: none.
   */
  readonly renamedStores?: Readonly<Record<string, string>>;
  /**
   * What is given up of what the last topology has kept, if this one would lose or misread it:
   * stores by name, and what is not processed of repartition topics by their names without the
   * application's id. A start deletes it for good. Anything else is kept. Default: nothing.
   */
  readonly dropState?: readonly string[];
  /**
   * Called before each step of a commit, checkpoint or change of topology; for tests and tracing.
   * Default: none.
   */
  readonly onStep?: (step: CommitStep) => void;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /**
   * Receives what happens besides results, and the error that ended the application if nothing else
   * reports it; each line with its `LogFields`. Default: warnings and errors to stderr.
   */
  readonly logger?: Logger;
}

/** Kafka's defaults if it has the setting. */
export const STREAMS_DEFAULTS = {
  processingGuarantee: 'exactly_once',
  // Kafka: 100 with exactly_once, 30 000 without; an early commit costs it round trips to brokers.
  commitIntervalMs: 100,
  checkpointIntervalMs: 3_000,
  // A restart reads them back, half a million in half a second. A checkpoint writes a key once,
  // however often it changed, so a larger number is less work.
  checkpointEntriesMax: 400_000,
  cacheEntriesMax: 200_000,
  // Kafka's max.task.idle.ms is 0. A second costs only latency, and keeps a task that is between
  // two fetches from being overtaken.
  idleTimeoutMs: 1_000,
  metadataMaxAgeMs: 10_000,
  transactionTimeoutMs: 60_000,
  metricsIntervalMs: 1_000,
  onDeserializationError: 'fail',
  onProcessingError: 'fail',
  onProductionError: 'fail',
  onUncaughtError: 'stop',
  clock: systemClock,
  logger: stderrLogger,
} as const satisfies Partial<StreamsOptions>;

export type StreamsSettings = StreamsOptions &
  Required<Pick<StreamsOptions, keyof typeof STREAMS_DEFAULTS>>;

const CHECKS: OptionChecks<StreamsOptions> = {
  applicationId: (value) =>
    typeof value === 'string' && /^[\w.-]{1,180}$/.test(value)
      ? undefined
      : 'a name of a-z A-Z 0-9 . _ -, since topics and directories are named after it',
  processingGuarantee: oneOf('exactly_once', 'at_least_once'),
  commitIntervalMs: integer(0),
  checkpointIntervalMs: integer(0),
  checkpointEntriesMax: integer(1),
  cacheEntriesMax: integer(0),
  idleTimeoutMs: (value) => (value === Infinity ? undefined : integer(0)(value)),
  metadataMaxAgeMs: integer(1),
  stateDir: text,
  renamedStores: storeNames,
  dropState: listOf('names'),
  transactionTimeoutMs: integer(1),
  onDeserializationError: errorHandling,
  onProcessingError: errorHandling,
  onProductionError: errorHandling,
  onUncaughtError: uncaughtHandling,
  deadLetterTopic: topicName,
  metricsIntervalMs: integer(1),
  onStep: callback,
  clock: instance,
  logger: instance,
};

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function streamsSettings(options: StreamsOptions): StreamsSettings {
  checkOptions('StreamsApp', options, CHECKS, ['applicationId']);
  const own: StreamsSettings = { ...STREAMS_DEFAULTS, ...given(options) };
  const { applicationId } = own;
  const settings = { ...own, logger: withFields(own.logger, { applicationId }) };
  const { processingGuarantee, commitIntervalMs, transactionTimeoutMs } = settings;
  if (processingGuarantee === 'exactly_once') {
    const transactions = { transactionTimeoutMs: longerThan(commitIntervalMs) };
    checkOptions('StreamsApp', { transactionTimeoutMs }, transactions);
  }
  return settings;
}

function longerThan(commitIntervalMs: number): OptionCheck {
  return (value) =>
    (value as number) > commitIntervalMs
      ? undefined
      : `more than commitIntervalMs=${commitIntervalMs}, for a transaction lasts that long`;
}

/** Accepts an open log, not a promise of one. */
export const logLike: OptionCheck = (value) => {
  const { consumer, producer } = (value ?? {}) as Partial<Log>;
  const isLog = typeof consumer === 'function' && typeof producer === 'function';
  return isLog ? undefined : 'an open log, as `await openLog()` returns it';
};
