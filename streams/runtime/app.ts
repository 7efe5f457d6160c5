import { BehaviorSubject, distinctUntilChanged, Observable, type Subscriber } from 'rxjs';
import { LogError, sleep, type Log } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { ReadOnlyKeyValueStore } from '../topology/store.ts';
import type { Topology } from '../topology/topology.ts';
import { GlobalTables } from './global-tables.ts';
import { collectMetrics, type AppCounts, type StreamsMetrics } from './metrics.ts';
import { streamsSettings, type StreamsOptions, type StreamsSettings } from './options.ts';
import { makePlan, type Plan } from './plan.ts';
import { TaskRunner } from './task-runner.ts';
import { topicHandle } from './topics.ts';

/**
 * CREATED -> RESTORING (state is read back) -> RUNNING -> PENDING_SHUTDOWN -> NOT_RUNNING; from everywhere
 * to ERROR. After a commit that failed it goes from RUNNING back to RESTORING.
 */
export type StreamsState =
  'CREATED' | 'RESTORING' | 'RUNNING' | 'PENDING_SHUTDOWN' | 'NOT_RUNNING' | 'ERROR';

const METRICS_MS = 1000;
/** Kafka Streams' `task.timeout.ms`: how long failures that may pass are tried again. */
const RETRY_MS = 300_000;
const RETRY_PAUSE_MS = 1_000;

/** Applications that run in this process, by log directory and id: their state has one user. */
const running = new Set<string>();

/**
 * Runs a topology on a log: `start`, then `close`; or `finish`, when no more input will come.
 *
 * @example
 * await using app = new StreamsApp(log, builder.build(), { applicationId: 'flight-delays' });
 * await app.start();
 */
export class StreamsApp implements AsyncDisposable {
  readonly #log: Log;
  readonly #topology: Topology;
  readonly #settings: StreamsSettings;
  readonly #state = new BehaviorSubject<StreamsState>('CREATED');
  readonly #counts: AppCounts = {
    commits: 0,
    lastCommitMs: 0,
    checkpoints: 0,
    lastCheckpointMs: 0,
  };
  #runner: TaskRunner | undefined;
  #globalTables: GlobalTables | undefined;
  #isClosing = false;
  #isFinishing = false;
  /** Settles when the application has ended; rejects with what ended it. */
  #done: Promise<void> | undefined;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(log: Log, topology: Topology, options: StreamsOptions) {
    this.#log = log;
    this.#topology = topology;
    this.#settings = streamsSettings(options);
  }

  get state(): StreamsState {
    return this.#state.value;
  }

  /** The state, and each change of it; completes when the application has ended. */
  get state$(): Observable<StreamsState> {
    return this.#state.pipe(distinctUntilChanged());
  }

  /** Once a second, and once more at the end. */
  get metrics$(): Observable<StreamsMetrics> {
    return new Observable((subscriber) => {
      const { clock } = this.#settings;
      let timer = clock.setBackgroundTimer(METRICS_MS, tick);
      const app = this;
      function tick(): void {
        subscriber.next(app.metrics());
        timer = clock.setBackgroundTimer(METRICS_MS, tick);
      }
      const ended = this.#state.subscribe({ complete: () => this.#lastMetrics(subscriber) });
      return () => {
        timer.cancel();
        ended.unsubscribe();
      };
    });
  }

  /** What the application has done so far. */
  metrics(): StreamsMetrics {
    return collectMetrics(this.#runner?.tasks ?? [], this.#counts);
  }

  /** Settles when the application has ended; rejects with the error that ended it. */
  get done(): Promise<void> {
    return this.#done ?? Promise.resolve();
  }

  /**
   * Makes the internal topics, reads the state back and begins to process. Resolves when it runs.
   *
   * @throws StreamsError INVALID_STATE on a second call, APPLICATION_RUNNING when this process runs one of
   *   the same id on this log, COPARTITIONING, STATE_AHEAD, STATE_CORRUPT
   */
  async start(): Promise<void> {
    if (this.#done !== undefined) {
      const details = { operation: 'start', state: this.state };
      throw new StreamsError(
        'INVALID_STATE',
        `the application is ${this.state}; make a new one`,
        details,
      );
    }
    const started = new Promise<void>((resolve, reject) => {
      this.#done = this.#run(resolve);
      this.#done.catch(reject);
    });
    await started;
  }

  /**
   * Says that no more input will come: everything that is in the topics is processed, the windows are
   * closed, results committed, and the application ends. Resolves then.
   *
   * @throws StreamsError, LogError what ended the application instead.
   */
  async finish(): Promise<void> {
    this.#isFinishing = true;
    this.#runner?.finish();
    await this.done;
  }

  /** Changes how long an empty input holds stream time back. */
  setIdleTimeout(idleTimeoutMs: number): void {
    this.#runner?.setIdleTimeout(idleTimeoutMs);
  }

  /** Commits what is processed and ends. Never rejects for an error that `done` reports. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.state === 'RUNNING') this.#state.next('PENDING_SHUTDOWN');
    this.#runner?.stop();
    await this.done.catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A global table's content. @throws StreamsError UNKNOWN_STORE, INVALID_STATE before `start`. */
  globalTable<K, V>(name: string): ReadOnlyKeyValueStore<K, V> {
    if (this.#globalTables === undefined) {
      const details = { operation: 'globalTable', state: this.state };
      throw new StreamsError('INVALID_STATE', 'the application has not been started', details);
    }
    return this.#globalTables.store(name) as unknown as ReadOnlyKeyValueStore<K, V>;
  }

  async #run(started: () => void): Promise<void> {
    const { applicationId } = this.#settings;
    const key = `${this.#log.directory}\n${applicationId}`;
    if (running.has(key)) {
      const message = `application ${applicationId} runs already on ${this.#log.directory}, in this process`;
      throw new StreamsError('APPLICATION_RUNNING', message, { applicationId });
    }
    running.add(key);
    try {
      this.#state.next('RESTORING');
      const plan = await this.#makePlan();
      const globalTables = new GlobalTables(this.#log, this.#topology.globalTables);
      this.#globalTables = globalTables;
      let failure: unknown;
      try {
        await globalTables.load();
        globalTables.follow((error) => {
          failure = error;
          this.#runner?.stop();
        });
        await this.#runAttempts(plan, globalTables, started);
        if (failure !== undefined) throw failure as Error;
      } finally {
        await globalTables.close();
      }
      this.#state.next('NOT_RUNNING');
    } catch (error) {
      this.#state.next('ERROR');
      throw error;
    } finally {
      running.delete(key);
      this.#state.complete();
    }
  }

  /** Runs; after a failure that may pass, once more from the last commit. */
  async #runAttempts(plan: Plan, globalTables: GlobalTables, started: () => void): Promise<void> {
    const { clock } = this.#settings;
    let failingSinceMs: number | undefined;
    while (!this.#isClosing) {
      const commits = this.#counts.commits;
      try {
        const settings = this.#settings;
        const runner = await TaskRunner.open({
          log: this.#log,
          plan,
          settings,
          globalTables,
          counts: this.#counts,
        });
        this.#runner = runner;
        if (this.#isFinishing) runner.finish();
        this.#state.next('RUNNING');
        started();
        try {
          await runner.run();
        } catch (error) {
          await runner.abandon();
          throw error;
        }
        return;
      } catch (error) {
        if (!isRetriable(error)) throw error;
        const nowMs = clock.monotonicMs();
        if (this.#counts.commits > commits) failingSinceMs = undefined;
        failingSinceMs ??= nowMs;
        if (nowMs - failingSinceMs > RETRY_MS) throw error;
        this.#state.next('RESTORING');
        await sleep(clock, RETRY_PAUSE_MS);
      }
    }
  }

  async #makePlan(): Promise<Plan> {
    const admin = this.#log.admin();
    const partitions = new Map<string, number>();
    for (const node of this.#topology.nodes) {
      if (node.kind !== 'source') continue;
      for (const topic of node.topics) {
        partitions.set(topic.name, await admin.ensureTopic(topicHandle(topic)));
      }
    }
    const { applicationId } = this.#settings;
    return makePlan(applicationId, this.#topology, (topic) => partitions.get(topic) ?? 1);
  }

  #lastMetrics(subscriber: Subscriber<StreamsMetrics>): void {
    subscriber.next(this.metrics());
    subscriber.complete();
  }
}

function isRetriable(error: unknown): boolean {
  return (error instanceof LogError || error instanceof StreamsError) && error.retriable;
}
