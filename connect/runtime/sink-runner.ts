import type { Observable } from 'rxjs';
import { systemClock, type Clock, type Log } from '../../core/index.ts';
import {
  anything,
  callback,
  checkOptions,
  Feed,
  instance,
  integer,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { SinkConnector } from '../connector.ts';
import { RunOnce } from './run-once.ts';
import { SinkRun } from './sink-run.ts';

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
  /** Stops the run, as `stop` does. Default: none. */
  readonly signal?: AbortSignal;
  /** Default: the machine's. */
  readonly clock?: Clock;
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
  signal: anything,
  clock: instance,
  onStep: callback,
};

/** A sink's progress. */
export interface SinkProgress {
  /** Records that this run has passed to the sink, committed or not. */
  readonly records: number;
  readonly committedRecords: number;
  /** Offsets known but not yet read: records, markers and gaps. */
  readonly lag: number;
}

/** The result of a run. */
export interface SinkSummary {
  /** Records that this run committed. */
  readonly records: number;
  readonly commits: number;
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
  readonly #clock: Clock;
  readonly #run: SinkRun;
  readonly #life: RunOnce<SinkSummary>;
  readonly #progress = new Feed<SinkProgress>('newest');

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(log: Log, connector: SinkConnector, options: SinkRunnerOptions = {}) {
    checkOptions('SinkRunner', options, CHECKS);
    this.connector = connector;
    this.#clock = options.clock ?? systemClock;
    this.#life = new RunOnce(connector.name, options.signal);
    this.#run = new SinkRun({
      log,
      connector,
      groupId: options.groupId ?? `connect-${connector.name}`,
      commitIntervalMs: options.commitIntervalMs ?? SINK_DEFAULTS.commitIntervalMs,
      commitRecordsMax: options.commitRecordsMax ?? SINK_DEFAULTS.commitRecordsMax,
      clock: this.#clock,
      signal: this.#life.stopping,
      onStep: options.onStep ?? ignore,
      onProgress: () => this.#progress.next(this.progress),
    });
    this.#progress.next(this.progress);
  }

  /** The progress of the run. */
  get progress(): SinkProgress {
    const { records, committedRecords, lag } = this.#run;
    return { records, committedRecords, lag };
  }

  /** The progress after each batch and commit; completes with the run, and never fails. */
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
    return this.#life.run(() => this.#start());
  }

  /**
   * Writes what is committed in the topics at this moment, marks the output as complete, and ends
   * the run. Starts the sink if `run` was not called.
   *
   * @throws ConnectError, LogError as `run`.
   */
  finish(): Promise<SinkSummary> {
    this.#run.finish();
    return this.#life.running ?? this.run();
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

  async #start(): Promise<SinkSummary> {
    const startMs = this.#clock.monotonicMs();
    try {
      const isFinished = await this.#run.run();
      const { committedRecords: records, commits } = this.#run;
      return { records, commits, elapsedMs: this.#clock.monotonicMs() - startMs, isFinished };
    } finally {
      this.#progress.complete();
    }
  }
}

function ignore(): void {
  // nobody listens
}
