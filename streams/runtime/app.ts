import type { Observable } from 'rxjs';
import type { Log, RetryStatus } from '../../core/index.ts';
import { checkArgument } from '../../core/internal.ts';
import type { GlobalTableHandle, TableHandle } from '../topology/processor.ts';
import type {
  Queryable,
  QueryableKeyValueStore,
  QueryableTable,
  QueryOptions,
  TableChange,
} from '../topology/queryable.ts';
import type { ObservedRecords, ObservedStream, ObserveOptions } from '../topology/observed.ts';
import type { StoreHandle } from '../topology/store.ts';
import { checkTopology, type Topology } from '../topology/topology.ts';
import { AppLife, type StreamsState } from './app-life.ts';
import { closeSettings, endsWithin, type CloseOptions, type CloseResult } from './closing.ts';
import { divisionOf } from './division.ts';
import { Ending } from './ending.ts';
import { evolveState } from './evolution.ts';
import { GlobalTables } from './global-tables.ts';
import { LiveQueries } from './live-queries.ts';
import { fieldsOf } from './log-fields.ts';
import {
  collectMetrics,
  endCounts,
  newCounts,
  type AppCounts,
  type StreamsMetrics,
} from './metrics.ts';
import { metricsEvery } from './metrics-stream.ts';
import { logLike, streamsSettings, type StreamsOptions } from './options.ts';
import type { StreamsSettings } from './options.ts';
import type { Plan } from './plan.ts';
import { Planner } from './planner.ts';
import { observedRecords } from './published-records.ts';
import type { QueriedApp } from './queried-app.ts';
import { Queries } from './queries.ts';
import { findStore, type QueryHandle } from './query-handles.ts';
import type { RestoreEvent } from './restore-progress.ts';
import { Retries } from './retries.ts';
import { claimApplication } from './running-apps.ts';
import { holdState, removeState, stateDirectoryOf } from './state-directory.ts';
import type { GroupContext } from './task-group.ts';
import { abortLeft, TaskGroups } from './task-groups.ts';
import { UncaughtErrors } from './uncaught-errors.ts';

/** How long an aborted application may take to end. */
const ABORT_MS = 1_000;

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
  readonly #stateDirectory: string;
  readonly #planner: Planner;
  readonly #uncaught: UncaughtErrors;
  readonly #life = new AppLife();
  readonly #counts: AppCounts;
  readonly #groups: TaskGroups;
  /** Of what is done before the groups run. */
  readonly #retries: Retries;
  #globalTables: GlobalTables | undefined;
  /** The error that ended the reading of global tables. */
  #globalFailure: unknown;
  /** Set by `close`: how it ends. */
  #closing: CloseResult | undefined;
  /** Changes by `pause` and `resume`. */
  #isPaused = false;
  #isFinishing = false;
  /** Set once all input has ended. */
  #hasFinished = false;
  /** Undefined before `start`. */
  #ending: Ending | undefined;
  /** Called when the application runs. */
  #started: () => void = ignore;
  readonly #live: LiveQueries;
  readonly #queries: Queries;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(log: Log, topology: Topology, options: StreamsOptions) {
    checkArgument('StreamsApp', 'log', log, logLike);
    checkTopology('StreamsApp', topology);
    this.#log = log;
    this.#topology = topology;
    this.#settings = streamsSettings(options);
    const { clock, logger } = this.#settings;
    this.#counts = newCounts(clock, logger);
    this.#uncaught = new UncaughtErrors(this.#settings);
    this.#retries = new Retries({ ...this.#groupContext(), mustStop: () => this.#mustStop });
    this.#planner = new Planner(log, topology, this.#settings);
    this.#stateDirectory = stateDirectoryOf(log, this.#settings);
    const queried = this.#queried();
    this.#live = new LiveQueries(queried);
    this.#queries = new Queries(queried, this.#live);
    this.#groups = new TaskGroups(divisionOf(options), this.#groupContext());
  }

  get state(): StreamsState {
    return this.#life.state;
  }

  /** In the state RETRYING: why, and when it tries again. */
  get retry(): RetryStatus | undefined {
    return this.#retries.status ?? this.#groups.retry;
  }

  /** The current state, then each change; completes when the application has ended. */
  get state$(): Observable<StreamsState> {
    return this.#life.state$;
  }

  /**
   * Resolves when the application first runs, or is paused instead: its state is restored. Rejects
   * with the error that has ended it before, or INVALID_STATE if it was closed.
   */
  get ready(): Promise<void> {
    return this.#life.ready;
  }

  /** How far the stores are that are read back, some times a second; completes at the end. */
  get restore$(): Observable<RestoreEvent> {
    return this.#counts.restores.events$;
  }

  /** Emits every `metricsIntervalMs` and at the end. */
  get metrics$(): Observable<StreamsMetrics> {
    const { clock, metricsIntervalMs: everyMs } = this.#settings;
    return metricsEvery({ everyMs, clock, read: () => this.metrics(), life$: this.state$ });
  }

  /** What the application has done so far, and its state. docs/METRICS.md lists all of it. */
  metrics(): StreamsMetrics {
    const { applicationId } = this.#settings;
    return collectMetrics(applicationId, this.state, this.#groups.tasks, this.#counts);
  }

  /**
   * Settles when the application has ended; rejects with the error that ended it. If nobody reads
   * this promise, the error is logged and becomes an unhandled rejection, unless `close` rejects
   * with it.
   */
  get done(): Promise<void> {
    return this.#ending?.hear() ?? Promise.resolve();
  }

  /**
   * Creates the internal topics, restores the state and starts processing. Resolves when it runs.
   *
   * @throws StreamsError INVALID_STATE on a second call, or if it is closed meanwhile;
   *   APPLICATION_RUNNING if this process runs one of the same id on this log, COPARTITIONING,
   *   STATE_AHEAD, STATE_CORRUPT, STATE_LOCKED
   */
  async start(): Promise<void> {
    if (this.state !== 'CREATED') throw this.#life.wrongState('start', 'make a new one');
    await new Promise<void>((resolve, reject) => {
      let isStarted = false;
      this.#started = () => {
        isStarted = true;
        resolve();
      };
      const running = this.#run();
      // Neither has an effect after `resolve`.
      running.then(() => reject(this.#life.wrongState('start', 'it was closed')), reject);
      const ending = new Ending(running, (error) => {
        if (isStarted) this.#logUnheard(error);
        else ending.hear().catch(ignore);
      });
      this.#ending = ending;
    });
  }

  /**
   * Declares that no more input will come: processes everything in the topics, closes the windows,
   * commits the results and ends the application. Resolves then.
   *
   * @throws StreamsError INVALID_STATE before `start`, or if it is closed first.
   * @throws StreamsError, LogError the error that ended the application instead.
   */
  async finish(): Promise<void> {
    if (this.#ending === undefined) throw this.#life.wrongState('finish', 'start it first');
    const ended = this.#ending.hear();
    this.#isFinishing = true;
    await Promise.all([this.#finishInput(), ended]);
    if (!this.#hasFinished) throw this.#life.wrongState('finish', 'it was closed before its end');
  }

  /** Lets the tasks finish, or those of the next plan, if there is more to read. */
  async #finishInput(): Promise<void> {
    if (await this.#planner.look()) this.#groups.stop();
    else this.#groups.finish();
  }

  /**
   * Commits what is processed and takes no further input, until `resume`; stores can be queried.
   * Resolves when all of that is so. Neither time nor punctuations go on meanwhile. It may be
   * called before `start`; `finish` waits until `resume`.
   *
   * @throws StreamsError INVALID_STATE if the application ends, or has ended.
   */
  async pause(): Promise<void> {
    this.#checkLives('pause');
    this.#isPaused = true;
    this.#groups.wake();
    await this.#life.until(() => !this.#isPaused || !this.#groups.isWorking);
    this.#checkLives('pause');
  }

  /**
   * Goes on after `pause`.
   *
   * @throws StreamsError INVALID_STATE if the application ends, or has ended.
   */
  resume(): void {
    this.#checkLives('resume');
    this.#isPaused = false;
    this.#groups.wake();
    this.#life.changed();
  }

  /** Sets how long an empty input holds stream time back. */
  setIdleTimeout(idleTimeoutMs: number): void {
    this.#groups.setIdleTimeout(idleTimeoutMs);
  }

  /**
   * Commits what is processed and ends. If that takes longer than `timeoutMs`, it aborts what is
   * not committed, which the next start processes again, and resolves at most a second later. Tells
   * which. Never rejects with an error that `start`, `done` or `finish` reports.
   *
   * @throws StreamsError, LogError the error that ended the application, if nothing else reports
   *   it.
   */
  async close(options: CloseOptions = {}): Promise<CloseResult> {
    const { timeoutMs, removeState } = closeSettings(options);
    const { clock } = this.#settings;
    this.#closing ??= 'clean';
    if (this.state === 'CREATED') this.#end('NOT_RUNNING');
    else if (this.#isAlive) this.#life.enter('PENDING_SHUTDOWN');
    this.#globalTables?.stop();
    this.#stop();
    const ended = this.#ending?.wait() ?? Promise.resolve();
    if (!(await endsWithin(ended, timeoutMs, clock))) {
      this.#closing = 'aborted';
      this.#groups.abort();
      if (!(await endsWithin(ended, ABORT_MS, clock))) {
        ended.catch((error: unknown) => this.#logFailure(error));
        return 'unfinished';
      }
    }
    if (removeState) await this.cleanUp();
    return this.state === 'ERROR' ? 'aborted' : this.#closing;
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Removes the local state of the application, as Kafka Streams' `cleanUp`: the next start reads
   * it back from the changelogs. What stores without a changelog have is lost.
   *
   * @throws StreamsError INVALID_STATE unless it has not started yet, or has ended;
   *   APPLICATION_RUNNING if another one of its id runs; STATE_LOCKED if one on another log does.
   */
  async cleanUp(): Promise<void> {
    const isIdle = this.state === 'CREATED' || this.#life.hasEnded;
    if (!isIdle) throw this.#life.wrongState('cleanUp', 'close it first');
    const release = claimApplication(this.#log.api, this.#settings.applicationId);
    try {
      await holdState(this.#stateDirectory, () => removeState(this.#stateDirectory));
    } finally {
      release();
    }
  }

  /**
   * A store, to be read from outside the topology: that of a table, a global table, one of
   * `addStore`, any one by its kind and name, or a key-value store by its name alone. What a query
   * finds is a copy, which belongs to the caller.
   *
   * By default a query sees the state of each task as of its last commit. If nobody has asked for
   * some time, the first query waits for the next commit; only while somebody asks, a commit does
   * more than otherwise.
   *
   * @example
   * const counts = builder.stream(orders).groupByKey().count();
   * const store = app.store(counts);
   * await store.get('a');
   * for await (const { key, value } of store.range('a', 'f')) print(key, value);
   *
   * @throws StreamsError UNKNOWN_STORE also if the table is a view, which has no store. The store's
   *   methods reject with INVALID_STATE before the start and after the end, and with
   *   STORE_UNAVAILABLE while tasks restart.
   */
  store<K, V>(
    table: TableHandle<K, V>,
    options?: QueryOptions,
  ): QueryableTable<NonNullable<K>, NonNullable<V>>;
  store<K, V>(
    table: GlobalTableHandle<K, V>,
    options?: QueryOptions,
  ): QueryableKeyValueStore<NonNullable<K>, NonNullable<V>>;
  store<Store>(handle: StoreHandle<Store>, options?: QueryOptions): Queryable<Store>;
  store(name: string, options?: QueryOptions): QueryableKeyValueStore<unknown, unknown>;
  store(handle: QueryHandle, options: QueryOptions = {}): unknown {
    return this.#queries.open(handle, options);
  }

  /**
   * All changes that commits make to the store of a table, also through restarts of tasks; those of
   * a failed commit are never seen. They begin with the records that are sent after subscribing:
   * what came before and is not committed then may be among them or not. A key that changes several
   * times within a commit has one. With a subscriber that is slow, the rest waits in its own queue.
   *
   * @throws StreamsError UNKNOWN_STORE as `store`
   */
  changes$<K, V>(
    table: TableHandle<K, V> | GlobalTableHandle<K, V>,
  ): Observable<TableChange<NonNullable<K>, NonNullable<V>>> {
    const found = findStore(this.#topology, table);
    return this.#live.changes({ found, key: undefined, includes: () => true });
  }

  /**
   * The committed records of a stream, from now on: each once, in the order of its task, also
   * through restarts. A subscriber gets them at a later turn; a loop ends with OBSERVER_OVERRUN
   * when more than `maxQueued` wait. It ends as the application does. @throws LogError
   */
  records$<K, V>(stream: ObservedStream<K, V>, options?: ObserveOptions): ObservedRecords<K, V> {
    return observedRecords(this.#topology, this.#live.records, stream, options);
  }

  #queried(): QueriedApp {
    const state = () => this.state;
    const tasks = () => this.#groups.tasks;
    const globalTables = () => this.#globalTables;
    const { cacheEntriesMax } = this.#settings;
    return { topology: this.#topology, state, tasks, globalTables, cacheEntriesMax };
  }

  #groupContext(): GroupContext {
    return {
      ...{ log: this.#log, settings: this.#settings, counts: this.#counts, live: this.#live },
      uncaught: this.#uncaught,
      mustStop: () => this.#mustStop || this.#planner.isOld,
      isFinishing: () => this.#isFinishing,
      isPlanOld: async () => {
        const isOld = await this.#planner.look();
        if (isOld) this.#groups.stop();
        return isOld;
      },
      isPaused: () => this.#isPaused,
      changed: () => this.#show(),
    };
  }

  async #run(): Promise<void> {
    let release = ignore;
    try {
      release = claimApplication(this.#log.api, this.#settings.applicationId);
      this.#life.enter('RESTORING');
      const plan = await this.#planner.plan(); // fails before anything is read
      const work = () => this.#runWithTables(plan);
      const hasState = this.#topology.stores.size > 0;
      await (hasState ? holdState(this.#stateDirectory, work) : work());
      this.#end('NOT_RUNNING');
    } catch (error) {
      this.#end('ERROR', error);
      this.#uncaught.ended();
      throw error;
    } finally {
      release();
    }
  }

  async #runWithTables(plan: Plan): Promise<void> {
    await evolveState(this.#log, plan, this.#settings);
    const globalTables = new GlobalTables(this.#log, this.#topology.globalTables, {
      ...{ settings: this.#settings, counts: this.#counts },
    });
    this.#globalTables = globalTables;
    try {
      await globalTables.load();
      globalTables.follow((error) => {
        this.#globalFailure = error;
        this.#stop();
      });
      await this.#runPlans(globalTables);
      if (this.#globalFailure !== undefined) throw this.#uncaught.end(this.#globalFailure as Error);
    } finally {
      await globalTables.close();
    }
  }

  /** Runs one plan after the other: there is a new one when topics come or go. */
  async #runPlans(globalTables: GlobalTables): Promise<void> {
    while (!this.#mustStop) {
      const plan = await this.#prepare();
      if (plan === undefined) return;
      const watch = this.#planner.watch(() => this.#groups.stop());
      try {
        this.#hasFinished = await this.#groups.run(plan, globalTables);
      } finally {
        watch.stop();
      }
      if (!this.#planner.isOld) return;
      if (this.state === 'RUNNING' || this.state === 'PAUSED') this.#life.enter('RESTORING');
    }
  }

  /** The plan to run now; undefined if the application stops before there is one. */
  async #prepare(): Promise<Plan | undefined> {
    while (!this.#mustStop) {
      try {
        const plan = await this.#planner.plan();
        await abortLeft(this.#log, plan.applicationId);
        this.#retries.succeeded();
        this.#retries.running();
        return plan;
      } catch (error) {
        await this.#retries.waitAfter(error);
      }
    }
    return undefined;
  }

  /** Ends what runs or waits; `#mustStop` is true from now on. */
  #stop(): void {
    this.#retries.end();
    this.#groups.stop();
  }

  /** Keeps an application from failing silently. */
  #logUnheard(error: unknown): void {
    if (this.#closing === undefined) this.#logFailure(error); // otherwise `close` reports it
  }

  #logFailure(error: unknown): void {
    const { applicationId, logger } = this.#settings;
    const reason = error instanceof Error ? error.message : String(error);
    logger.error(`application ${applicationId} has failed: ${reason}`, fieldsOf(error));
  }

  /** Shows what the groups do, while the application runs. */
  #show(): void {
    if (!this.#isAlive) return;
    const isRunning = this.state === 'RUNNING' || this.state === 'PAUSED';
    const { activity = isRunning ? this.state : 'RESTORING' } = this.#groups;
    const state = this.retry === undefined ? activity : 'RETRYING';
    if (state !== this.state) {
      this.#life.enter(state);
      if (state === 'RUNNING' || state === 'PAUSED') {
        this.#live.running();
        this.#started();
      }
    }
    this.#life.changed();
  }

  #end(state: 'NOT_RUNNING' | 'ERROR', error?: unknown): void {
    endCounts(this.#counts);
    this.#life.enter(state, error);
    this.#live.end(error);
  }

  /** True from its start until it is closed or ends. */
  get #isAlive(): boolean {
    const { state, hasEnded } = this.#life;
    return !hasEnded && state !== 'CREATED' && state !== 'PENDING_SHUTDOWN';
  }

  #checkLives(operation: string): void {
    if (this.#closing === undefined && !this.#life.hasEnded) return;
    throw this.#life.wrongState(operation, 'it does not run any more');
  }

  get #mustStop(): boolean {
    return this.#closing !== undefined || this.#globalFailure !== undefined;
  }
}

function ignore(): void {
  // `start` reports it, or has not been called
}
