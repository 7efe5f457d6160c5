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
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { SinkConnector, SinkOffset } from '../connector.ts';
import { transformList, type Transform } from '../transform.ts';
import type { ConnectorMetrics } from './connector-metrics.ts';
import { checkRetries, type RetryOptions } from './retries.ts';
import { RunCounts, type FailedRecords } from './run-counts.ts';
import { RunnerLife, type Attempt, type RunnerState } from './runner-life.ts';
import type { SinkKnowledge } from './sink-input.ts';
import { SinkRun } from './sink-run.ts';
import { checkTolerance, Tolerance, type ToleranceOptions } from './tolerance.ts';

export interface SinkRunnerOptions {
  /**
   * The group that keeps the offsets of sinks that do not store them. Default: `connect-<name>`.
   */
  readonly groupId?: string;
  /**
   * How long records that were read may wait to be committed. Default 1 s. Kafka Connect: 60 s;
   * here a commit is a few syncs of local files.
   */
  readonly commitIntervalMs?: number;
  /** Commits earlier if this many records wait; default 1,000,000. */
  readonly commitRecordsMax?: number;
  /** Change or drop records on their way to the sink, in this order. Default: none. */
  readonly transforms?: readonly Transform[];
  /**
   * What becomes of records that the serdes of the topics, a transform or the sink cannot handle.
   * Default: the first one fails.
   */
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
  readonly onStep?: (step: string) => void;
}

/** The defaults of `SinkRunnerOptions`. */
export const SINK_DEFAULTS = {
  // Kafka Connect: 60 000 (offset.flush.interval.ms). Here a commit is a few syncs of local files.
  commitIntervalMs: 1_000,
  // The most records that are written again after a crash.
  commitRecordsMax: 1_000_000,
} as const satisfies SinkRunnerOptions;

const CHECKS: OptionChecks<SinkRunnerOptions> = {
  groupId: text,
  commitIntervalMs: integer(1),
  commitRecordsMax: integer(1),
  transforms: transformList,
  errors: instance,
  retries: instance,
  signal: anything,
  clock: instance,
  logger: instance,
  onStep: callback,
};

/** A sink's progress. */
export interface SinkProgress {
  /** Records that this run has passed to the sink, committed or not. */
  readonly records: number;
  readonly committedRecords: number;
  /** Offsets known but not yet read: records, markers and gaps. */
  readonly lag: number;
  /** Records that were tolerated in this run, committed or not. */
  readonly failed: FailedRecords;
  readonly state: RunnerState;
  /** In the state RETRYING: why, and when it tries again. */
  readonly retry: RetryStatus | undefined;
}

/** The result of a run. */
export interface SinkSummary {
  /** Records that this run committed. */
  readonly records: number;
  readonly commits: number;
  /** Records that this run tolerated, and has behind it for good. */
  readonly failed: FailedRecords;
  readonly elapsedMs: number;
  /** True after `finish`: the output is complete. */
  readonly isFinished: boolean;
}

/**
 * Runs one sink connector, whose `delivery` says how often each record may be in the output. A
 * runner runs once.
 *
 * @example
 * const sink = new SinkRunner(log, fileSink({ topic: delays, path: 'out', format: jsonl() }));
 * const running = sink.run(); ... // whatever writes to the topic ends await sink.finish();
 */
export class SinkRunner implements AsyncDisposable {
  readonly connector: SinkConnector;
  readonly #log: Log;
  readonly #options: SinkRunnerOptions;
  readonly #clock: Clock;
  readonly #counts = new RunCounts();
  readonly #tolerance: Tolerance;
  readonly #knowledge: SinkKnowledge = { reads: new Set() };
  readonly #life: RunnerLife<SinkSummary>;
  readonly #progress = new Feed<SinkProgress>('newest');
  /** The current attempt, or the last one. */
  #run: SinkRun | undefined;
  /** Set by `finish`, for this attempt and those that follow. */
  #isFinishing = false;
  /** How much was known of the sink when the attempt began. */
  #known = 0;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(log: Log, connector: SinkConnector, options: SinkRunnerOptions = {}) {
    checkOptions('SinkRunner', options, CHECKS);
    checkTolerance('SinkRunner', options.errors);
    checkRetries('SinkRunner', options.retries);
    const { errors = {}, clock = systemClock, logger = stderrLogger, signal, retries } = options;
    const { name } = connector;
    this.#log = log;
    this.connector = connector;
    this.#options = options;
    this.#clock = clock;
    const context = { connector: name, options: errors, counts: this.#counts, clock, logger };
    this.#tolerance = new Tolerance({ ...context, kind: 'sink' });
    const onState = (): void => this.#report();
    this.#life = new RunnerLife({ name, retries, signal, clock, logger, onState });
    this.#report();
  }

  /** The progress of the run. */
  get progress(): SinkProgress {
    const { now, committed, failed } = this.#counts;
    const { state, retry } = this.#life;
    const lag = this.#run?.lag ?? 0;
    return { records: now.records, committedRecords: committed.records, lag, failed, state, retry };
  }

  /** How far the output is, durably: the next record of each partition. Empty before it is open. */
  get committedOffsets(): readonly SinkOffset[] {
    return this.#run?.committedOffsets ?? [];
  }

  /** The progress after each batch, commit and change of the state; it never fails. */
  get progress$(): Observable<SinkProgress> {
    return this.#progress.values$;
  }

  /**
   * Continues where the output ends. Resolves after `stop` or `finish`; the output then holds
   * everything that was read.
   *
   * @throws ConnectError, LogError what ended the run: the output holds its last commit.
   * @throws ConnectError INVALID_STATE if it was called before.
   */
  run(): Promise<SinkSummary> {
    const startMs = this.#clock.monotonicMs();
    return this.#life.run({
      attempt: () => this.#attempt(startMs),
      hasCommitted: () => this.#run?.hasCommitted ?? false,
      hasLearned: () => this.#knowledge.reads.size > this.#known,
      onEnd: () => this.#progress.complete(),
    });
  }

  /**
   * Writes what is committed in the topics at this moment, marks the output as complete, and ends
   * the run. Starts the sink if `run` was not called; goes on if it was paused.
   *
   * @throws ConnectError, LogError as `run`.
   */
  finish(): Promise<SinkSummary> {
    this.#isFinishing = true;
    this.#run?.finish();
    this.resume();
    return this.#life.running ?? this.run();
  }

  /** Writes nothing until `resume`; everything stays open, and what was read is committed. */
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
      ...{ connector: this.connector.name, kind: 'sink', state: this.#life.state },
      ...this.#counts.read(),
      ...{ lag: this.progress.lag, parts: this.#run?.partitions ?? 0 },
    };
  }

  async #attempt(startMs: number): Promise<Attempt<SinkSummary>> {
    const { onStep = ignore, transforms = [], ...options } = this.#options;
    const settings = { ...SINK_DEFAULTS, ...given(options) };
    this.#counts.startOver();
    if (this.#run !== undefined) this.#counts.retries++;
    this.#known = this.#knowledge.reads.size;
    const run = new SinkRun({
      ...{ log: this.#log, connector: this.connector },
      groupId: options.groupId ?? `connect-${this.connector.name}`,
      commitIntervalMs: settings.commitIntervalMs,
      commitRecordsMax: settings.commitRecordsMax,
      ...{ transforms, tolerance: this.#tolerance, counts: this.#counts },
      ...{ knowledge: this.#knowledge, pausing: this.#life.pausing, clock: this.#clock },
      logger: this.#options.logger ?? stderrLogger,
      ...{ signal: this.#life.stopping, onStep },
      onProgress: () => this.#report(),
    });
    this.#run = run;
    if (this.#isFinishing) run.finish();
    const isFinished = await run.run();
    const { committed, committedFailed: failed, commits } = this.#counts;
    const elapsedMs = this.#clock.monotonicMs() - startMs;
    const summary = { records: committed.records, commits, failed, elapsedMs, isFinished };
    return { isComplete: isFinished, summary };
  }

  #report(): void {
    this.#progress.next(this.progress);
  }
}

function ignore(): void {
  // nobody listens
}
