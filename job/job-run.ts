import type { Log, Timer } from '../core/index.ts';
import {
  connectMetricsText,
  SinkRunner,
  SourceRunner,
  type FailedRecords,
} from '../connect/index.ts';
import { expositionText, type MetricFamily } from '../core/internal.ts';
import {
  prometheusText,
  StreamsApp,
  StreamsError,
  type StreamsMetrics,
  type Topology,
} from '../streams/index.ts';
import { buildTopology, sourceOf, type Job } from './define-job.ts';
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
  readonly streams: StreamsMetrics;
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

/** One run: sources, application and sinks run side by side and end in that order. */
export class JobRun {
  readonly #job: Job;
  readonly #settings: RunJobSettings;
  readonly #topology: Topology;
  readonly #isBounded: boolean;
  readonly #sources: readonly SourceRunner[];
  readonly #sinks: readonly SinkRunner[];
  readonly #app: StreamsApp;
  readonly #meters = new Map<string, StageMeter>();
  readonly #startMs: number;
  /** How each part ended, for those that have. */
  readonly #ends = new Map<SourceRunner | SinkRunner | StreamsApp, 'done' | 'stopped'>();
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
    this.#topology = buildTopology(job);
    this.#isBounded = job.sources.every((source) => sourceOf(source).isBounded);
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
    this.#app = new StreamsApp(log, this.#topology, {
      onStep,
      ...(logger && { logger }),
      ...job.streams,
      applicationId: job.name,
      // While a source may still yield records, wait for a task without input: otherwise a slow
      // source would make records late.
      ...(this.#isBounded && { idleTimeoutMs: Infinity }),
      clock,
    });
  }

  async run(): Promise<JobSummary> {
    const { signal } = this.#stop;
    const closeApp = (): void => void this.#closeApp();
    signal.addEventListener('abort', closeApp, { once: true });
    if (signal.aborted) closeApp();
    this.#tick();
    try {
      const isComplete = await this.#runParts();
      return this.#summary(isComplete);
    } catch (error) {
      this.#stop.fail(error);
      throw error;
    } finally {
      await this.#closeApp();
      this.#progressTimer?.cancel();
      this.#report();
    }
  }

  /** The metrics of all parts, for Prometheus. */
  metricsText(): string {
    const stages = stageMetrics(this.#job.name, this.#readings());
    const connectors = [...this.#sources, ...this.#sinks].map((part) => part.metrics());
    const ofConnectors = connectMetricsText(...connectors);
    return expositionText(stages) + ofConnectors + prometheusText(this.#app.metrics());
  }

  /** Stops reporting progress and returns the names of the parts that still run. */
  abandon(): string[] {
    this.#isAbandoned = true;
    this.#progressTimer?.cancel();
    return this.#readings()
      .filter(({ isDone, isStopped }) => !isDone && !isStopped)
      .map(({ kind, name }) => `${kind} ${name}`);
  }

  /** Starts the application; false if the job was stopped meanwhile, which closes it. */
  async #startApp(): Promise<boolean> {
    try {
      await this.#app.start();
      return true;
    } catch (error) {
      const isClosed = error instanceof StreamsError && error.code === 'INVALID_STATE';
      if (isClosed && this.#stop.signal.aborted) return false;
      throw error;
    }
  }

  /** Closes the application. `start` and `done` throw its failures. */
  async #closeApp(): Promise<void> {
    await this.#app.close().catch(ignore);
    if (!this.#ends.has(this.#app)) this.#ends.set(this.#app, 'stopped');
  }

  /** Runs all parts; true if the input ended. The first failure ends all of them. */
  async #runParts(): Promise<boolean> {
    // The sources of global tables come first: a record joins with the whole table or not at all.
    const [forTables, others] = this.#divideSources();
    await this.#all(forTables.map((source) => this.#runPart(source)));
    if (this.#stop.signal.aborted) return false;
    if (!(await this.#startApp())) return false;
    const app = this.#app.done;
    app.catch((error: unknown) => this.#stop.fail(error));
    const sinks = this.#sinks.map((sink) => this.#runPart(sink));
    const input = this.#all(others.map((source) => this.#runPart(source)));
    const end = input.then(() => this.#finish()).finally(() => this.#closeApp());
    await this.#all([end, app, ...sinks]);
    return this.#isComplete;
  }

  /** Called after all input has been read: finishes the topology, then the sinks. */
  async #finish(): Promise<void> {
    if (!this.#isBounded || this.#stop.signal.aborted) return;
    // If it fails instead, `done` of the application throws.
    const isFinished = await this.#app.finish().then(
      () => true,
      () => false,
    );
    if (!isFinished) return;
    this.#ends.set(this.#app, 'done');
    const summaries = await Promise.all(this.#sinks.map((sink) => sink.finish()));
    this.#isComplete = summaries.every((summary) => summary.isFinished);
  }

  /** Separates the sources that only fill global tables from the others. */
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
    return [...sources, ...this.#topologyReadings(), ...sinks];
  }

  /** One reading per sub-topology: repartitioned records go through several of them. */
  #topologyReadings(): StageReading[] {
    const { subTopologies } = this.#topology;
    const { tasks } = this.#app.metrics();
    return subTopologies.map(({ id }): StageReading => {
      const own = tasks.filter(({ taskId }) => taskId.startsWith(`${id}_`));
      return {
        kind: 'topology',
        name: subTopologies.length === 1 ? this.#job.name : `${this.#job.name}/${id}`,
        records: own.reduce((sum, { processedRecords }) => sum + processedRecords, 0),
        fraction: undefined,
        lag: own.reduce((sum, { lag }) => sum + lag, 0),
        ...this.#endOf(this.#app),
      };
    });
  }

  #endOf(part: SourceRunner | SinkRunner | StreamsApp): Pick<StageReading, 'isDone' | 'isStopped'> {
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
      streams: this.#app.metrics(),
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
  // nobody listens, or the awaited run reports it too
}
