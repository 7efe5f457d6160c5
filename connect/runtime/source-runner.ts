import type { Observable } from 'rxjs';
import {
  stderrLogger,
  systemClock,
  type Clock,
  type Log,
  type Logger,
  type RetryStatus,
} from '../../core/index.ts';
import {
  anything,
  callback,
  checkOptions,
  Feed,
  given,
  instance,
  integer,
  oneOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { SourceConnector, SourceTask, SourceTaskProgress } from '../connector.ts';
import { transformList, type Transform } from '../transform.ts';
import type { ConnectorMetrics } from './connector-metrics.ts';
import { checkRetries, type RetryOptions } from './retries.ts';
import { RunCounts, type FailedRecords } from './run-counts.ts';
import { RunnerLife, type Attempt, type RunnerState } from './runner-life.ts';
import { SourceRun, type SourceStep } from './source-run.ts';
import type { TransactionBoundary } from './source-writer.ts';
import { checkTolerance, Tolerance, type ToleranceOptions } from './tolerance.ts';
import { checkTopicCreation, TopicCreation, type TopicCreationOptions } from './topic-creation.ts';

export interface SourceRunnerOptions {
  /** Default: `connect-<name of the connector>`. */
  readonly transactionalId?: string;
  /**
   * How long records that were read may wait to become visible. Default 1 s. Kafka Connect commits
   * at each poll; our commit syncs, which makes that expensive.
   */
  readonly commitIntervalMs?: number;
  /** Commits earlier if this many records wait; default 100,000. */
  readonly commitRecordsMax?: number;
  /**
   * When transactions end: by the two options above; behind each `poll`, which costs a sync; or
   * where the connector says so in `SourceBatch.transaction`. Default: `interval`.
   */
  readonly transactionBoundary?: TransactionBoundary;
  /**
   * What topics are created with that are missing, by their names. What the handle of a topic says
   * itself comes first. Default: what the handles say.
   */
  readonly topicCreation?: TopicCreationOptions;
  /** Change or drop records on their way into the log, in this order. Default: none. */
  readonly transforms?: readonly Transform[];
  /** What becomes of bad input: of the source, the transforms and the topics. Default: it fails. */
  readonly errors?: ToleranceOptions;
  /** Begins again after failures that may pass. Default: the first failure ends the run. */
  readonly retries?: RetryOptions;
  /** Stops the run, as `stop` does. Default: none. */
  readonly signal?: AbortSignal;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Gets a line about bad input and retries. Default: warnings and errors to stderr. */
  readonly logger?: Logger;
  /** Called before each step of a commit; for tests and tracing. Default: none. */
  readonly onStep?: (step: SourceStep) => void;
}

/** The defaults of `SourceRunnerOptions`. */
export const SOURCE_DEFAULTS = {
  // Kafka Connect commits at each poll (transaction.boundary). Our commit syncs, which makes that
  // expensive, and a second is soon enough for an import.
  commitIntervalMs: 1_000,
  // Gives consumers of the import work before the second is over.
  commitRecordsMax: 100_000,
  // Kafka Connect: `poll`, for the same reason.
  transactionBoundary: 'interval',
} as const satisfies SourceRunnerOptions;

const CHECKS: OptionChecks<SourceRunnerOptions> = {
  transactionalId: text,
  commitIntervalMs: integer(1, 600_000), // a transaction may stay open for 15 minutes at most
  commitRecordsMax: integer(1),
  transactionBoundary: oneOf('interval', 'poll', 'connector'),
  topicCreation: instance,
  transforms: transformList,
  errors: instance,
  retries: instance,
  signal: anything,
  clock: instance,
  logger: instance,
  onStep: callback,
};

/** A source's progress. */
export interface SourceProgress {
  /** Records that this run has written, committed or not. */
  readonly records: number;
  readonly committedRecords: number;
  /** What `done` and `total` count. */
  readonly unit: 'bytes' | 'rows';
  /** Read so far, including by earlier runs. */
  readonly done: number;
  /** Undefined if unknown. */
  readonly total: number | undefined;
  /** What is being read now, such as a file. */
  readonly current: string | undefined;
  /** How far that was read, and its size, in `unit`. Undefined if unknown. */
  readonly currentDone: number | undefined;
  readonly currentTotal: number | undefined;
  /**
   * How many parts, such as files, the input has, and how many of them were read to their ends.
   * Undefined if it has none.
   */
  readonly parts: { readonly done: number; readonly total: number } | undefined;
  /** Bad input that was tolerated in this run, committed or not. */
  readonly failed: FailedRecords;
  readonly state: RunnerState;
  /** In the state RETRYING: why, and when it tries again. */
  readonly retry: RetryStatus | undefined;
}

/** The result of a run. */
export interface SourceSummary {
  /** Records that this run committed. */
  readonly records: number;
  readonly commits: number;
  /** Bad input that this run tolerated, and has behind it for good. */
  readonly failed: FailedRecords;
  readonly elapsedMs: number;
  /** True if a bounded source was read to its end; false if the run was stopped before. */
  readonly isEnded: boolean;
}

/**
 * Runs one source connector: each record is in the log once, whatever happens [CONNECT-SOURCE-1]. A
 * runner runs once; it fences a runner of the same name that still runs elsewhere.
 *
 * @example
 * const source = new SourceRunner(log, fileSource({ ... }));
 * const { records } = await source.run();
 */
export class SourceRunner implements AsyncDisposable {
  readonly connector: SourceConnector;
  readonly #log: Log;
  readonly #options: SourceRunnerOptions;
  readonly #clock: Clock;
  readonly #counts = new RunCounts();
  readonly #tolerance: Tolerance;
  readonly #life: RunnerLife<SourceSummary>;
  readonly #progress = new Feed<SourceProgress>('newest');
  /** The current attempt, or the last one. */
  #run: SourceRun | undefined;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(log: Log, connector: SourceConnector, options: SourceRunnerOptions = {}) {
    checkOptions('SourceRunner', options, CHECKS);
    checkTolerance('SourceRunner', options.errors);
    checkRetries('SourceRunner', options.retries);
    checkTopicCreation('SourceRunner', options.topicCreation);
    const { errors = {}, clock = systemClock, logger = stderrLogger, signal, retries } = options;
    const { name } = connector;
    this.#log = log;
    this.connector = connector;
    this.#options = options;
    this.#clock = clock;
    const context = { connector: name, options: errors, counts: this.#counts, clock, logger };
    this.#tolerance = new Tolerance({ ...context, kind: 'source' });
    const onState = (): void => this.#report();
    this.#life = new RunnerLife({ name, retries, signal, clock, logger, onState });
    this.#report();
  }

  /** The progress of the run. */
  get progress(): SourceProgress {
    const { now, committed, failed } = this.#counts;
    const { state, retry } = this.#life;
    return {
      ...{ records: now.records, committedRecords: committed.records, failed, state, retry },
      ...progressOf(this.#run?.tasks ?? []),
    };
  }

  /** The progress after each batch, commit and change of the state; it never fails. */
  get progress$(): Observable<SourceProgress> {
    return this.#progress.values$;
  }

  /**
   * Continues at the last commit. Resolves when a bounded source ends, or after `stop`; everything
   * read is then committed and survives a power cut.
   *
   * @throws ConnectError, LogError what ended the run: uncommitted records are not in the log, and
   *   the next run reads them again.
   * @throws ConnectError INVALID_STATE if it was called before.
   */
  run(): Promise<SourceSummary> {
    const startMs = this.#clock.monotonicMs();
    return this.#life.run({
      attempt: () => this.#attempt(startMs),
      hasCommitted: () => this.#run?.hasCommitted ?? false,
      hasLearned: () => false,
      onEnd: () => this.#progress.complete(),
    });
  }

  /** Reads nothing until `resume`; everything stays open, and what was read is committed. */
  pause(): void {
    this.#life.pause();
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.#life.resume();
  }

  /**
   * Commits what was read and ends the run. Resolves when that is done; never rejects, because
   * `run` does.
   */
  stop(): Promise<void> {
    return this.#life.stop();
  }

  /** As `stop`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** What it has measured so far. */
  metrics(): ConnectorMetrics {
    return {
      ...{ connector: this.connector.name, kind: 'source', state: this.#life.state },
      ...this.#counts.read(),
      ...{ lag: undefined, parts: this.#run?.tasks.length ?? 0 },
    };
  }

  async #attempt(startMs: number): Promise<Attempt<SourceSummary>> {
    const { onStep = ignore, transforms = [], topicCreation, ...options } = this.#options;
    const settings = { ...SOURCE_DEFAULTS, ...given(options) };
    this.#counts.startOver();
    if (this.#run !== undefined) this.#counts.retries++;
    const run = new SourceRun({
      ...{ log: this.#log, connector: this.connector },
      transactionalId: options.transactionalId ?? `connect-${this.connector.name}`,
      transactionBoundary: settings.transactionBoundary,
      commitIntervalMs: settings.commitIntervalMs,
      commitRecordsMax: settings.commitRecordsMax,
      ...{ transforms, tolerance: this.#tolerance, counts: this.#counts },
      topicCreation: topicCreation && new TopicCreation(topicCreation, this.#log.admin()),
      ...{ pausing: this.#life.pausing, clock: this.#clock, signal: this.#life.stopping, onStep },
      onProgress: () => this.#report(),
    });
    this.#run = run;
    const isEnded = await run.run();
    const { committed, committedFailed: failed, commits } = this.#counts;
    const elapsedMs = this.#clock.monotonicMs() - startMs;
    const summary = { records: committed.records, commits, failed, elapsedMs, isEnded };
    return { isComplete: isEnded, summary };
  }

  #report(): void {
    this.#progress.next(this.progress);
  }
}

/** The progress of all tasks of a run together. */
function progressOf(
  tasks: readonly SourceTask[],
): Pick<
  SourceProgress,
  'unit' | 'done' | 'total' | 'current' | 'currentDone' | 'currentTotal' | 'parts'
> {
  const each = tasks.map((task) => task.progress?.()).filter((known) => known !== undefined);
  const isComplete = each.length > 0 && each.length === tasks.length;
  const reading = each.find(({ current }) => current !== undefined);
  const parts = each.map((task) => task.parts).filter((known) => known !== undefined);
  return {
    unit: each[0]?.unit ?? 'rows',
    done: each.reduce((sum, { done }) => sum + done, 0),
    total: isComplete ? each.reduce<number | undefined>(addTotals, 0) : undefined,
    current: reading?.current,
    currentDone: reading?.currentDone,
    currentTotal: reading?.currentTotal,
    parts: parts.length === 0 ? undefined : parts.reduce(addParts),
  };
}

function addTotals(sum: number | undefined, { total }: { readonly total: number | undefined }) {
  return sum === undefined || total === undefined ? undefined : sum + total;
}

function addParts(
  sum: NonNullable<SourceTaskProgress['parts']>,
  { done, total }: NonNullable<SourceTaskProgress['parts']>,
): NonNullable<SourceTaskProgress['parts']> {
  return { done: sum.done + done, total: sum.total + total };
}

function ignore(): void {
  // nobody listens
}
