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
import type { SourceConnector } from '../connector.ts';
import { RunOnce } from './run-once.ts';
import { SourceRun, type SourceStep } from './source-run.ts';

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
  /** Stops the run, as `stop` does. Default: none. */
  readonly signal?: AbortSignal;
  /** Default: the machine's. */
  readonly clock?: Clock;
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
} as const satisfies SourceRunnerOptions;

const CHECKS: OptionChecks<SourceRunnerOptions> = {
  transactionalId: text,
  commitIntervalMs: integer(1, 600_000), // a transaction may stay open for 15 minutes at most
  commitRecordsMax: integer(1),
  signal: anything,
  clock: instance,
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
}

/** The result of a run. */
export interface SourceSummary {
  /** Records that this run committed. */
  readonly records: number;
  readonly commits: number;
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
  readonly #life: RunOnce<SourceSummary>;
  readonly #progress = new Feed<SourceProgress>('newest');
  #run: SourceRun | undefined;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(log: Log, connector: SourceConnector, options: SourceRunnerOptions = {}) {
    checkOptions('SourceRunner', options, CHECKS);
    this.#log = log;
    this.connector = connector;
    this.#options = options;
    this.#life = new RunOnce(connector.name, options.signal);
    this.#clock = options.clock ?? systemClock;
    this.#progress.next(this.progress);
  }

  /** The progress of the run. */
  get progress(): SourceProgress {
    return progressOf(this.#run);
  }

  /** The progress after each batch and commit; completes with the run, and never fails. */
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
    return this.#life.run(() => this.#start());
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

  async #start(): Promise<SourceSummary> {
    const startMs = this.#clock.monotonicMs();
    const { onStep = ignore, ...options } = this.#options;
    const { commitIntervalMs, commitRecordsMax } = SOURCE_DEFAULTS;
    const run = new SourceRun({
      log: this.#log,
      connector: this.connector,
      transactionalId: options.transactionalId ?? `connect-${this.connector.name}`,
      commitIntervalMs: options.commitIntervalMs ?? commitIntervalMs,
      commitRecordsMax: options.commitRecordsMax ?? commitRecordsMax,
      clock: this.#clock,
      signal: this.#life.stopping,
      onStep,
      onProgress: () => this.#progress.next(this.progress),
    });
    this.#run = run;
    try {
      const isEnded = await run.run();
      const elapsedMs = this.#clock.monotonicMs() - startMs;
      return { records: run.committedRecords, commits: run.commits, elapsedMs, isEnded };
    } finally {
      this.#progress.complete();
    }
  }
}

/** The progress of all tasks of a run together. */
function progressOf(run: SourceRun | undefined): SourceProgress {
  const { records, committedRecords, tasks } = run ?? {
    records: 0,
    committedRecords: 0,
    tasks: [],
  };
  const each = tasks.map((task) => task.progress?.()).filter((known) => known !== undefined);
  const isComplete = each.length > 0 && each.length === tasks.length;
  return {
    records,
    committedRecords,
    unit: each[0]?.unit ?? 'rows',
    done: each.reduce((sum, { done }) => sum + done, 0),
    total: isComplete ? each.reduce<number | undefined>(addTotals, 0) : undefined,
    current: each.find(({ current }) => current !== undefined)?.current,
  };
}

function addTotals(sum: number | undefined, { total }: { readonly total: number | undefined }) {
  return sum === undefined || total === undefined ? undefined : sum + total;
}

function ignore(): void {
  // nobody listens
}
