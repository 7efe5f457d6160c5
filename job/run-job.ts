import {
  openLog,
  systemClock,
  type Clock,
  type Log,
  type Logger,
  type Timer,
} from '../core/index.ts';
import { SinkRunner, SourceRunner } from '../connect/index.ts';
import {
  StreamsApp,
  StreamsBuilder,
  type StreamsMetrics,
  type Topology,
} from '../streams/index.ts';
import type { Job } from './define-job.ts';
import { StageMeter, type JobProgress, type StageReading } from './progress.ts';

export interface RunJobOptions {
  /** The data directory: log, state and offsets. The same one lets a job go on where it stopped. */
  readonly directory: string;
  /**
   * Stops the job: what is processed is committed, and the next run goes on behind it. Default:
   * none.
   */
  readonly signal?: AbortSignal;
  /** Hears of the progress, several times a second, and once at the end. Default: none. */
  readonly onProgress?: (progress: JobProgress) => void;
  /**
   * Hears of each step of a commit, of all parts, before it is taken; for tests and tracing.
   * Default: none.
   */
  readonly onStep?: (step: string) => void;
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
  /** Default: the machine's. */
  readonly clock?: Clock;
}

/** What a run of a job did. */
export interface JobSummary {
  readonly job: string;
  /** True when bounded input came to its end; false when the run was stopped before. */
  readonly isComplete: boolean;
  readonly elapsedMs: number;
  readonly sources: readonly SourceResult[];
  readonly sinks: readonly { readonly name: string; readonly records: number }[];
  readonly streams: StreamsMetrics;
}

/** What a source brought. */
export interface SourceResult {
  readonly name: string;
  /** Records of this run. */
  readonly records: number;
  /** What has been read in all, by former runs too, in `unit`. */
  readonly done: number;
  readonly unit: 'bytes' | 'rows';
}

const PROGRESS_MS = 250;

/**
 * Runs a job in this process. Bounded input runs to its end: the windows close, the sinks commit,
 * and the job is done. Otherwise it runs until the signal aborts.
 *
 * Whatever happens to the process, the next run on the same directory goes on behind the last
 * commit, and the output is as if nothing had happened: each record counts once.
 *
 * @throws LogError, StreamsError, ConnectError what ended the job; what was committed stands.
 */
export async function runJob(job: Job, options: RunJobOptions): Promise<JobSummary> {
  const { logger } = options;
  await using log = await openLog(options.directory, { ...(logger && { logger }) });
  const run = new JobRun(job, log, options);
  return await run.run();
}

/** One run: sources, application and sinks side by side, and what ties their ends together. */
class JobRun {
  readonly #job: Job;
  readonly #clock: Clock;
  readonly #options: RunJobOptions;
  readonly #topology: Topology;
  readonly #isBounded: boolean;
  readonly #sources: readonly SourceRunner[];
  readonly #sinks: readonly SinkRunner[];
  readonly #app: StreamsApp;
  readonly #meters = new Map<string, StageMeter>();
  readonly #startMs: number;
  /** The parts that have come to their end. */
  readonly #ended = new Set<SourceRunner | SinkRunner>();
  /** Stops all parts. */
  readonly #stop = new AbortController();
  #progressTimer: Timer | undefined;
  /** The input came to its end, and all results are in the output. */
  #isComplete = false;

  constructor(job: Job, log: Log, options: RunJobOptions) {
    const { clock = systemClock } = options;
    this.#job = job;
    this.#clock = clock;
    this.#options = options;
    this.#startMs = clock.monotonicMs();
    const builder = new StreamsBuilder();
    job.topology(builder);
    this.#topology = builder.build();
    this.#isBounded = job.sources.every(({ isBounded }) => isBounded);
    const { signal } = this.#stop;
    const { onStep = ignore } = options;
    const parts = { signal, clock, onStep };
    this.#sources = job.sources.map((source) => new SourceRunner(log, source, parts));
    this.#sinks = job.sinks.map((sink) => new SinkRunner(log, sink, parts));
    this.#app = new StreamsApp(log, this.#topology, {
      onStep,
      ...job.streams,
      applicationId: job.name,
      // While a source may still bring something, a task that has nothing to do is waited for: else
      // a slow source would make records late.
      ...(this.#isBounded && { idleTimeoutMs: Infinity }),
      clock,
    });
  }

  async run(): Promise<JobSummary> {
    const { signal } = this.#options;
    const stop = (): void => this.#stop.abort();
    this.#stop.signal.addEventListener('abort', () => void this.#app.close(), { once: true });
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted === true) stop();
    this.#tick();
    try {
      const isComplete = await this.#runParts();
      return this.#summary(isComplete);
    } finally {
      this.#progressTimer?.cancel();
      signal?.removeEventListener('abort', stop);
      this.#stop.abort();
      await this.#app.close();
      this.#options.onProgress?.(this.#progress());
    }
  }

  /** Runs all parts; true when the input came to its end. The first failure ends all of them. */
  async #runParts(): Promise<boolean> {
    // What global tables are made of comes first: a record joins with the whole table or not at
    // all.
    const [forTables, others] = this.#divideSources();
    await this.#all(forTables.map((source) => this.#runPart(source)));
    if (this.#stop.signal.aborted) return false;
    await this.#app.start();
    const app = this.#app.done;
    app.catch(() => this.#stop.abort());
    const sinks = this.#sinks.map((sink) => this.#runPart(sink));
    const input = this.#all(others.map((source) => this.#runPart(source)));
    const end = input.then(() => this.#finish()).finally(() => this.#app.close());
    await this.#all([end, app, ...sinks]);
    return this.#isComplete;
  }

  /** All input has been read: the topology comes to its end, then the sinks. */
  async #finish(): Promise<void> {
    if (!this.#isBounded || this.#stop.signal.aborted) return;
    // What ends it instead, `done` of the application says.
    const isFinished = await this.#app.finish().then(
      () => true,
      () => false,
    );
    if (!isFinished) return;
    const summaries = await Promise.all(this.#sinks.map((sink) => sink.finish()));
    this.#isComplete = summaries.every((summary) => summary.isFinished);
  }

  /** The sources that only fill global tables, and the others. */
  #divideSources(): [SourceRunner[], SourceRunner[]] {
    const tables = new Set(this.#topology.globalTables.map(({ topic }) => topic.name));
    const [forTables, others]: [SourceRunner[], SourceRunner[]] = [[], []];
    for (const source of this.#sources) {
      const { isBounded, topics } = source.connector;
      const isForTable = isBounded && topics.every(({ name }) => tables.has(name));
      (isForTable ? forTables : others).push(source);
    }
    return [forTables, others];
  }

  /** Runs a source or a sink; one that fails stops the others. */
  async #runPart(part: SourceRunner | SinkRunner): Promise<void> {
    try {
      await part.run();
      this.#ended.add(part);
    } catch (error) {
      this.#stop.abort();
      throw error;
    }
  }

  /** Waits for all; the first failure is thrown when all have ended. */
  async #all(parts: readonly Promise<unknown>[]): Promise<void> {
    const results = await Promise.allSettled(parts);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #tick(): void {
    this.#options.onProgress?.(this.#progress());
    this.#progressTimer = this.#clock.setBackgroundTimer(PROGRESS_MS, () => this.#tick());
  }

  #progress(): JobProgress {
    const nowMs = this.#clock.monotonicMs();
    const stages = this.#readings().map((reading) => {
      const key = `${reading.kind} ${reading.name}`;
      let meter = this.#meters.get(key);
      if (meter === undefined) this.#meters.set(key, (meter = new StageMeter()));
      return meter.read(reading, nowMs);
    });
    return { job: this.#job.name, elapsedMs: nowMs - this.#startMs, stages };
  }

  #readings(): StageReading[] {
    const sources = this.#sources.map((source): StageReading => {
      const { records, done, total } = source.progress;
      const { name } = source.connector;
      const fraction = total === undefined ? undefined : total === 0 ? 1 : done / total;
      const isDone = this.#ended.has(source);
      return { kind: 'source', name, records, fraction, lag: undefined, isDone };
    });
    const { processedRecords, tasks } = this.#app.metrics();
    const topology: StageReading = {
      kind: 'topology',
      name: this.#job.name,
      records: processedRecords,
      fraction: undefined,
      lag: tasks.reduce((sum, task) => sum + task.lag, 0),
      isDone: this.#app.state === 'NOT_RUNNING',
    };
    const sinks = this.#sinks.map((sink): StageReading => {
      const { records, lag } = sink.progress;
      const { name } = sink.connector;
      const isDone = this.#ended.has(sink);
      return { kind: 'sink', name, records, fraction: undefined, lag, isDone };
    });
    return [...sources, topology, ...sinks];
  }

  #summary(isComplete: boolean): JobSummary {
    const sources = this.#sources.map(({ connector, progress }) => ({
      name: connector.name,
      records: progress.committedRecords,
      done: progress.done,
      unit: progress.unit,
    }));
    const sinks = this.#sinks.map(({ connector, progress }) => ({
      name: connector.name,
      records: progress.committedRecords,
    }));
    return {
      job: this.#job.name,
      isComplete,
      elapsedMs: this.#clock.monotonicMs() - this.#startMs,
      sources,
      sinks,
      streams: this.#app.metrics(),
    };
  }
}

function ignore(): void {
  // nobody listens, or the run that is waited for says it too
}
