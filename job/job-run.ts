import type { Log, Timer } from '../core/index.ts';
import {
  connectMetricsText,
  SinkRunner,
  SourceRunner,
  type FailedRecords,
} from '../connect/index.ts';
import { expositionText, type MetricFamily } from '../core/internal.ts';
import { prometheusText, type StreamsMetrics } from '../streams/index.ts';
import { CopiedTopics } from './copied-topics.ts';
import { isCopy, sourceOf, type Job } from './define-job.ts';
import { JobApps } from './job-apps.ts';
import { StageMeter, type JobProgress, type StageReading } from './progress.ts';
import type { RunJobSettings } from './run-options.ts';
import type { Stop } from './stop.ts';

/** The result of a job's run. */
export interface JobSummary {
  readonly job: string;
  /** True if bounded input ended; false if the run was stopped before. */
  readonly isComplete: boolean;
  readonly elapsedMs: number;
  readonly sources: readonly SourceResult[];
  readonly sinks: readonly {
    readonly name: string;
    readonly records: number;
    /** What this run has left out, or made dead letters of. */
    readonly failed: FailedRecords;
  }[];
  /** Of each topology; empty of a copy. */
  readonly streams: readonly StreamsMetrics[];
}

/** What a source has read. */
export interface SourceResult {
  readonly name: string;
  /** Records read by this run. */
  readonly records: number;
  /** Read in all, including by earlier runs, in `unit`. */
  readonly done: number;
  readonly unit: 'bytes' | 'rows';
  /** Input that this run has left out, or made dead letters of. */
  readonly failed: FailedRecords;
}

/** How often progress is reported. */
const PROGRESS_MS = 250;

/** One run: sources, applications and sinks run side by side and end in that order. */
export class JobRun {
  readonly #job: Job;
  readonly #settings: RunJobSettings;
  readonly #isBounded: boolean;
  readonly #sources: readonly SourceRunner[];
  readonly #sinks: readonly SinkRunner[];
  readonly #apps: JobApps;
  /** Of a copy. */
  readonly #copied: CopiedTopics | undefined;
  readonly #meters = new Map<string, StageMeter>();
  readonly #startMs: number;
  /** How each source and sink ended, for those that have. */
  readonly #ends = new Map<SourceRunner | SinkRunner, 'done' | 'stopped'>();
  /** Stops all parts. */
  readonly #stop: Stop;
  #progressTimer: Timer | undefined;
  /** Set once the deadline of a stop has passed: progress is no longer reported. */
  #isAbandoned = false;
  /** Set once the input has ended and all results are in the output. */
  #isComplete = false;

  constructor(job: Job, log: Log, settings: RunJobSettings, stop: Stop) {
    const { clock, logger, onStep = ignore } = settings;
    this.#job = job;
    this.#stop = stop;
    this.#settings = settings;
    this.#startMs = clock.monotonicMs();
    this.#isBounded = job.sources.every((source) => sourceOf(source).isBounded);
    this.#apps = new JobApps(job, log, settings, stop, this.#isBounded);
    const { signal } = stop;
    const parts = { signal, clock, onStep, ...(logger && { logger }) };
    this.#sources = job.sources.map((given) => {
      if (!('source' in given)) return new SourceRunner(log, given, parts);
      const { source, ...options } = given;
      return new SourceRunner(log, source, { ...parts, ...options });
    });
    this.#sinks = job.sinks.map((given) => {
      if (!('sink' in given)) return new SinkRunner(log, given, parts);
      const { sink, ...options } = given;
      return new SinkRunner(log, sink, { ...parts, ...options });
    });
    const mustKeep = !isCopy(job) || job.keepTopics === true;
    this.#copied = mustKeep ? undefined : new CopiedTopics(job, this.#sinks, { log, stop, clock });
  }

  async run(): Promise<JobSummary> {
    const { signal } = this.#stop;
    const closeApps = (): void => void this.#apps.close();
    signal.addEventListener('abort', closeApps, { once: true });
    if (signal.aborted) closeApps();
    this.#tick();
    try {
      const isComplete = await this.#runParts();
      return this.#summary(isComplete);
    } catch (error) {
      this.#stop.fail(error);
      throw error;
    } finally {
      await this.#apps.close();
      // What never began is stopped, too.
      for (const part of [...this.#sources, ...this.#sinks]) {
        if (!this.#ends.has(part)) this.#ends.set(part, 'stopped');
      }
      this.#progressTimer?.cancel();
      this.#report();
    }
  }

  /** The metrics of all parts, for Prometheus. */
  metricsText(): string {
    const stages = stageMetrics(this.#job.name, this.#readings());
    const connectors = [...this.#sources, ...this.#sinks].map((part) => part.metrics());
    const ofConnectors = connectMetricsText(...connectors);
    const applications = this.#apps.metrics();
    const ofTopologies = applications.length === 0 ? '' : prometheusText(...applications);
    return expositionText(stages) + ofConnectors + ofTopologies;
  }

  /** Stops reporting progress and returns the names of the parts that still run. */
  abandon(): string[] {
    this.#isAbandoned = true;
    this.#progressTimer?.cancel();
    return this.#readings()
      .filter(({ isDone, isStopped }) => !isDone && !isStopped)
      .map(({ kind, name }) => `${kind} ${name}`);
  }

  /** Runs all parts; true if the input ended. The first failure ends all of them. */
  async #runParts(): Promise<boolean> {
    await this.#copied?.create();
    // The sources of global tables come first: a record joins with the whole table or not at all.
    const [forTables, others] = this.#divideSources();
    await this.#all(forTables.map((source) => this.#runPart(source)));
    if (this.#stop.signal.aborted) return false;
    const apps = await this.#apps.start();
    if (apps === undefined) return false;
    const sinks = this.#sinks.map((sink) => this.#runPart(sink));
    const input = this.#all(others.map((source) => this.#runPart(source)));
    const end = input.then(() => this.#finish()).finally(() => this.#apps.close());
    this.#copied?.start();
    try {
      await this.#all([end, ...apps, ...sinks]);
    } finally {
      await this.#copied?.end();
    }
    return this.#isComplete;
  }

  /** Called after all input has been read: finishes the topologies, then the sinks. */
  async #finish(): Promise<void> {
    if (!this.#isBounded || this.#stop.signal.aborted) return;
    if (!(await this.#apps.finish())) return;
    const summaries = await Promise.all(this.#sinks.map((sink) => sink.finish()));
    this.#isComplete = summaries.every((summary) => summary.isFinished);
  }

  /** Separates the sources that only fill global tables from the others. */
  #divideSources(): [SourceRunner[], SourceRunner[]] {
    const tables = this.#apps.tableTopics;
    const [forTables, others]: [SourceRunner[], SourceRunner[]] = [[], []];
    for (const source of this.#sources) {
      const { isBounded, topics } = source.connector;
      const isForTable = isBounded && topics.every(({ name }) => tables.has(name));
      (isForTable ? forTables : others).push(source);
    }
    return [forTables, others];
  }

  /** Runs a source or a sink; a failure stops the others. */
  async #runPart(part: SourceRunner | SinkRunner): Promise<void> {
    try {
      const summary = await part.run();
      const isDone = 'isEnded' in summary ? summary.isEnded : summary.isFinished;
      this.#ends.set(part, isDone ? 'done' : 'stopped');
    } catch (error) {
      this.#ends.set(part, 'stopped');
      this.#stop.fail(error);
      throw error;
    }
  }

  /** Waits until all have ended, then throws the first failure. */
  async #all(parts: readonly Promise<unknown>[]): Promise<void> {
    const results = await Promise.allSettled(parts);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #report(): void {
    if (!this.#isAbandoned) this.#settings.onProgress?.(this.#progress());
  }

  #tick(): void {
    this.#report();
    this.#progressTimer = this.#settings.clock.setBackgroundTimer(PROGRESS_MS, () => this.#tick());
  }

  #progress(): JobProgress {
    const nowMs = this.#settings.clock.monotonicMs();
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
      return {
        kind: 'source',
        name,
        records,
        fraction,
        lag: undefined,
        ...this.#endOf(source),
      };
    });
    const sinks = this.#sinks.map((sink): StageReading => {
      const { records, lag } = sink.progress;
      const { name } = sink.connector;
      return { kind: 'sink', name, records, fraction: undefined, lag, ...this.#endOf(sink) };
    });
    return [...sources, ...this.#apps.readings(), ...sinks];
  }

  #endOf(part: SourceRunner | SinkRunner): Pick<StageReading, 'isDone' | 'isStopped'> {
    const end = this.#ends.get(part);
    return { isDone: end === 'done', isStopped: end === 'stopped' };
  }

  #summary(isComplete: boolean): JobSummary {
    const sources = this.#sources.map(({ connector, progress }) => ({
      name: connector.name,
      records: progress.committedRecords,
      done: progress.done,
      unit: progress.unit,
      failed: progress.failed,
    }));
    const sinks = this.#sinks.map(({ connector, progress }) => ({
      name: connector.name,
      records: progress.committedRecords,
      failed: progress.failed,
    }));
    return {
      job: this.#job.name,
      isComplete,
      elapsedMs: this.#settings.clock.monotonicMs() - this.#startMs,
      sources,
      sinks,
      streams: this.#apps.metrics(),
    };
  }
}

function stageMetrics(job: string, readings: readonly StageReading[]): MetricFamily[] {
  const family = (
    name: string,
    type: MetricFamily['type'],
    help: string,
    valueOf: (reading: StageReading) => number | undefined,
  ): MetricFamily => {
    const samples = readings.flatMap((reading) => {
      const value = valueOf(reading);
      const { kind, name: stage } = reading;
      return value === undefined ? [] : [[{ job, kind, stage }, value] as const];
    });
    return { name: `millrace_job_${name}`, type, help, samples };
  };
  return [
    family('records_total', 'counter', 'Records of a stage in this run.', (each) => each.records),
    family('lag', 'gauge', 'Offsets that a stage still has to pass.', (each) => each.lag),
    family('done_ratio', 'gauge', 'The part of the input that was read, from 0 to 1.', (each) => {
      return each.fraction;
    }),
  ];
}

function ignore(): void {
  // nobody listens
}
