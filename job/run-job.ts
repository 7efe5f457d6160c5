import { LogError, openLog, type LogErrorDetails } from '../core/index.ts';
import { checkJob, type Job } from './define-job.ts';
import { JobRun, type JobSummary } from './job-run.ts';
import { serveMetrics } from './metrics-server.ts';
import { noteRun } from './schedule-store.ts';
import { runJobSettings, type RunJobOptions, type RunJobSettings } from './run-options.ts';
import { Stop, withinDeadline } from './stop.ts';

/**
 * Runs a job in this process. With bounded input it runs to the end: the windows close, the sinks
 * commit, and the job is done. Otherwise it runs until the signal aborts.
 *
 * Whatever happens to the process, the next run on the same directory continues after the last
 * commit, and the output is as if nothing had happened: each record counts once.
 *
 * @throws LogError, StreamsError, ConnectError what ended the job; committed results remain.
 * @throws LogError METRICS_UNAVAILABLE if the port of the metrics cannot be used; nothing ran then.
 * @throws LogError STOP_TIMEOUT if the job was told to stop and has not ended within
 *   `stopTimeoutMs`. The parts that still run cannot be cancelled and hold the log open: end the
 *   process. If a failure came first, that is thrown instead, after the same time.
 */
export async function runJob(job: Job, options: RunJobOptions): Promise<JobSummary> {
  checkJob(job);
  const settings = runJobSettings(options);
  const { signal, clock, stopTimeoutMs } = settings;
  const stop = new Stop();
  const request = (): void => stop.request();
  if (signal?.aborted === true) request();
  else signal?.addEventListener('abort', request, { once: true });
  const opened = new OpenedJob(job, settings, stop);
  const overdue = (): unknown => {
    const running = opened.abandon();
    const { failure } = stop;
    if (failure !== undefined && !stop.isRequested) return failure.cause;
    return stopTimeout({ job: job.name, stopTimeoutMs, running }, failure);
  };
  const deadline = { stopping: stop.signal, timeoutMs: stopTimeoutMs, clock, overdue };
  try {
    return await withinDeadline(opened.run(), deadline);
  } finally {
    signal?.removeEventListener('abort', request);
  }
}

function stopTimeout(
  details: LogErrorDetails['STOP_TIMEOUT'],
  failure: { readonly cause: unknown } | undefined,
): LogError {
  const { job, stopTimeoutMs, running } = details;
  const message =
    `${job} was told to stop and has not ended within stopTimeoutMs=${stopTimeoutMs}; still at ` +
    `work: ${running.join(', ')}. A full disk does that, or a source or sink that does not ` +
    'answer. End the process: the next run goes on behind the last commit';
  return new LogError('STOP_TIMEOUT', message, details, failure);
}

/** A job with its log, which is open for one run. */
class OpenedJob {
  readonly #job: Job;
  readonly #settings: RunJobSettings;
  readonly #stop: Stop;
  /** Set once the log is open. */
  #run: JobRun | undefined;

  constructor(job: Job, settings: RunJobSettings, stop: Stop) {
    this.#job = job;
    this.#settings = settings;
    this.#stop = stop;
  }

  async run(): Promise<JobSummary> {
    const { directory, logger, clock } = this.#settings;
    const { name, schedule } = this.#job;
    const startMs = clock.nowMs();
    const log = await openLog(directory, { ...(logger && { logger }) });
    let summary: JobSummary;
    try {
      const run = new JobRun(this.#job, log, this.#settings, this.#stop);
      this.#run = run;
      summary = await this.#runServed(run);
      if (schedule !== undefined && summary.isComplete) await noteRun(log, name, startMs);
    } catch (error) {
      this.#stop.fail(error); // from here on the deadline applies to closing the log
      // The job's own failure matters more than one from closing the log.
      await log.close().catch(ignore);
      throw error;
    }
    await log.close();
    return summary;
  }

  /** Runs it, with its metrics served meanwhile. */
  async #runServed(run: JobRun): Promise<JobSummary> {
    const { metrics } = this.#settings;
    if (metrics === undefined) return run.run();
    const server = await serveMetrics(metrics, () => run.metricsText());
    try {
      return await run.run();
    } finally {
      await server.close();
    }
  }

  /** Stops reporting progress and returns the names of the parts that still run. */
  abandon(): string[] {
    const parts = this.#run?.abandon() ?? [];
    return parts.length === 0 ? ['the log'] : parts;
  }
}

function ignore(): void {
  // a better error is already on its way
}
