import { LogError, openLog, stderrLogger, type Logger } from '../core/index.ts';
import { asError, callback, checkArgument, sleep } from '../core/internal.ts';
import { checkJob, type Job } from './define-job.ts';
import type { JobSummary } from './job-run.ts';
import { runJob } from './run-job.ts';
import { runJobSettings, type RunJobOptions, type RunJobSettings } from './run-options.ts';
import { nextTimeMs, type JobSchedule } from './schedule.ts';
import { lastRunMs, noteRun } from './schedule-store.ts';

/** What became of one of the times of a schedule. */
export type ScheduledRun = {
  /** The time, in milliseconds since 1970. */
  readonly dueMs: number;
} & (
  | { readonly outcome: 'done'; readonly summary: JobSummary }
  | { readonly outcome: 'failed'; readonly error: unknown }
  /** The run before still goes on. */
  | { readonly outcome: 'skipped' }
);

/** How a job runs by its schedule. */
export interface RunScheduledOptions extends RunJobOptions {
  /** Called with what became of each time. Default: none. */
  readonly onRun?: (run: ScheduledRun) => void;
  /** Called when nothing runs, with the next time. Default: none. */
  readonly onWait?: (nextMs: number) => void;
}

/** The clock is looked at so often: it may be set, and a machine may sleep. */
const LOOK_MS = 60_000;

/**
 * Runs a job at each time of its `schedule`, as `runJob` does, until the signal aborts. Between two
 * runs the log is closed. A time at which the run before still goes on is skipped, which the logger
 * is told. So is a run that fails: the next one goes on behind its last commit.
 *
 * @throws LogError INVALID_OPTION if the job has no schedule, or one without a next time.
 * @throws LogError STOP_TIMEOUT as `runJob`; any failure to open the log at the start.
 */
export async function runScheduled(job: Job, options: RunScheduledOptions): Promise<void> {
  checkJob(job, 'runScheduled');
  const { onRun, onWait, ...others } = options;
  for (const [name, given] of Object.entries({ onRun, onWait })) {
    if (given !== undefined) checkArgument('runScheduled', name, given, callback);
  }
  const settings = runJobSettings(others);
  const { schedule } = job;
  if (schedule === undefined) {
    const allowed = 'a job with a schedule';
    const message = `runScheduled: job must be ${allowed}; ${job.name} has none`;
    throw new LogError('INVALID_OPTION', message, { option: 'job', value: job.name, allowed });
  }
  await new Scheduler(job, schedule, settings, { onRun, onWait }).run();
}

interface Listeners {
  readonly onRun: RunScheduledOptions['onRun'] | undefined;
  readonly onWait: RunScheduledOptions['onWait'] | undefined;
}

/** Runs one job at the times of its schedule. */
class Scheduler {
  readonly #job: Job;
  readonly #schedule: Required<JobSchedule>;
  readonly #settings: RunJobSettings;
  readonly #hear: Listeners;
  readonly #logger: Logger;
  /** The run that goes on, and its time. Never rejects. */
  #current: { readonly dueMs: number; readonly ended: Promise<void> } | undefined;
  /** The next time. Changes when it has come. */
  #dueMs = 0;
  /** A run that could not be stopped in time: the log stays open. */
  #overdue: { readonly error: unknown } | undefined;

  constructor(
    job: Job,
    schedule: Required<JobSchedule>,
    settings: RunJobSettings,
    hear: Listeners,
  ) {
    this.#job = job;
    this.#schedule = schedule;
    this.#settings = settings;
    this.#hear = hear;
    this.#logger = settings.logger ?? stderrLogger;
  }

  async run(): Promise<void> {
    const { clock, signal } = this.#settings;
    const missedMs = await this.#missed();
    this.#dueMs = nextTimeMs(this.#schedule, clock.nowMs());
    if (missedMs !== undefined) this.#begin(missedMs);
    else this.#hear.onWait?.(this.#dueMs);
    for (;;) {
      const dueMs = this.#dueMs;
      await this.#until(dueMs);
      if (signal?.aborted === true) break;
      this.#dueMs = nextTimeMs(this.#schedule, Math.max(dueMs, clock.nowMs()));
      if (this.#current === undefined) this.#begin(dueMs);
      else this.#skip(dueMs, this.#current.dueMs);
    }
    await this.#current?.ended;
    if (this.#overdue !== undefined) throw this.#overdue.error;
  }

  /** The time to make up for: the last one that was missed, if the schedule wants that. */
  async #missed(): Promise<number | undefined> {
    const { clock, directory, logger } = this.#settings;
    const { name } = this.#job;
    const nowMs = clock.nowMs();
    await using log = await openLog(directory, { ...(logger && { logger }) });
    const lastMs = await lastRunMs(log, name);
    if (lastMs === undefined) {
      await noteRun(log, name, nowMs); // from here on times can be missed
      return undefined;
    }
    const firstMs = nextTimeMs(this.#schedule, lastMs);
    if (firstMs > nowMs) return undefined;
    const isMadeUp = this.#schedule.missed === 'run-once';
    const what = isMadeUp ? 'it runs once for all that were missed' : 'missed runs are skipped';
    this.#logger.warn(`${name}: nothing ran to its end at ${timeText(firstMs)}; ${what}`);
    return isMadeUp ? firstMs : undefined;
  }

  #begin(dueMs: number): void {
    const ended = this.#runOnce(dueMs).then((run) => {
      this.#current = undefined;
      this.#hear.onRun?.(run);
      if (this.#settings.signal?.aborted !== true) this.#hear.onWait?.(this.#dueMs);
    });
    this.#current = { dueMs, ended };
  }

  async #runOnce(dueMs: number): Promise<ScheduledRun> {
    try {
      const summary = await runJob(this.#job, this.#settings);
      return { dueMs, outcome: 'done', summary };
    } catch (error) {
      if (LogError.is(error, 'STOP_TIMEOUT')) this.#overdue = { error };
      const { message } = asError(error);
      this.#logger.error(`${this.#job.name}: the run of ${timeText(dueMs)} failed: ${message}`);
      return { dueMs, outcome: 'failed', error };
    }
  }

  #skip(dueMs: number, currentMs: number): void {
    const text =
      `${this.#job.name}: the run of ${timeText(dueMs)} is skipped: that of ` +
      `${timeText(currentMs)} still goes on`;
    this.#logger.warn(text);
    this.#hear.onRun?.({ dueMs, outcome: 'skipped' });
  }

  /** Waits for a time of the wall clock, or until the signal aborts. */
  async #until(dueMs: number): Promise<void> {
    const { clock, signal } = this.#settings;
    for (;;) {
      const leftMs = dueMs - clock.nowMs();
      if (leftMs <= 0 || signal?.aborted === true) return;
      await sleep(clock, Math.min(leftMs, LOOK_MS), signal);
    }
  }
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
