import type { Log } from '../core/index.ts';
import { StreamsApp, StreamsError, type StreamsMetrics } from '../streams/index.ts';
import type { Job } from './define-job.ts';
import type { StageReading } from './progress.ts';
import type { RunJobSettings } from './run-options.ts';
import type { Stop } from './stop.ts';
import { jobTopologies, type JobTopology } from './topologies.ts';

/** A topology and its application. */
interface RunningTopology extends JobTopology {
  readonly app: StreamsApp;
  /** How it ended, once it has. */
  end: 'done' | 'stopped' | undefined;
}

/** The applications of a job: one for each topology, none of a copy. */
export class JobApps {
  readonly #stop: Stop;
  readonly #all: readonly RunningTopology[];

  /** @throws LogError, StreamsError as `jobTopologies` */
  constructor(job: Job, log: Log, settings: RunJobSettings, stop: Stop, isBounded: boolean) {
    const { clock, logger, onStep = ignore } = settings;
    this.#stop = stop;
    this.#all = jobTopologies(job).map((each) => {
      const app = new StreamsApp(log, each.topology, {
        onStep,
        ...(logger && { logger }),
        ...job.streams,
        applicationId: each.applicationId,
        // While a source may still yield records, wait for a task without input: otherwise a slow
        // source would make records late.
        ...(isBounded && { idleTimeoutMs: Infinity }),
        clock,
      });
      return { ...each, app, end: undefined };
    });
  }

  /** The topics of all global tables. */
  get tableTopics(): Set<string> {
    const tables = this.#all.flatMap(({ topology }) => topology.globalTables);
    return new Set(tables.map(({ topic }) => topic.name));
  }

  /**
   * Starts them. Returns what settles as they end, or undefined if the job was stopped meanwhile,
   * which closes them.
   */
  async start(): Promise<readonly Promise<void>[] | undefined> {
    const ends: Promise<void>[] = [];
    for (const { app } of this.#all) {
      try {
        await app.start();
      } catch (error) {
        const isClosed = error instanceof StreamsError && error.code === 'INVALID_STATE';
        if (isClosed && this.#stop.signal.aborted) return undefined;
        throw error;
      }
      const { done } = app;
      done.catch((error: unknown) => this.#stop.fail(error));
      ends.push(done);
    }
    return ends;
  }

  /**
   * Called after all input has been read: finishes them, those first that others read. False if one
   * of them failed or was closed instead, which `start` tells.
   */
  async finish(): Promise<boolean> {
    for (const each of this.#all) {
      const isFinished = await each.app.finish().then(
        () => true,
        () => false,
      );
      if (!isFinished) return false;
      each.end = 'done';
    }
    return true;
  }

  /** Closes them. `start` tells their failures. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map(({ app }) => app.close().catch(ignore)));
    for (const each of this.#all) each.end ??= 'stopped';
  }

  /** What they have done so far. */
  metrics(): StreamsMetrics[] {
    return this.#all.map(({ app }) => app.metrics());
  }

  /** One reading per sub-topology: repartitioned records go through several of them. */
  readings(): StageReading[] {
    return this.#all.flatMap(({ topology, applicationId, app, end }) => {
      const { tasks } = app.metrics();
      return topology.subTopologies.map(({ id }, _, { length }): StageReading => {
        const own = tasks.filter(({ taskId }) => taskId.startsWith(`${id}_`));
        return {
          kind: 'topology',
          name: length === 1 ? applicationId : `${applicationId}/${id}`,
          records: own.reduce((sum, { processedRecords }) => sum + processedRecords, 0),
          fraction: undefined,
          lag: own.reduce((sum, { lag }) => sum + lag, 0),
          isDone: end === 'done',
          isStopped: end === 'stopped',
        };
      });
    });
  }
}

function ignore(): void {
  // nobody listens, or `start` tells it
}
