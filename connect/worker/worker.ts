import { closest } from 'fastest-levenshtein';
import type { Observable } from 'rxjs';
import {
  LogError,
  stderrLogger,
  systemClock,
  type Clock,
  type Log,
  type Logger,
} from '../../core/index.ts';
import {
  checkOptions,
  Exclusive,
  instance,
  integer,
  listOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import { invalidConfig, type ConfigIssue } from '../config.ts';
import { ConnectError } from '../errors.ts';
import type { PluginRegistry } from '../plugin.ts';
import type { SinkProgress, SinkRunner } from '../runtime/sink-runner.ts';
import type { SourceProgress, SourceRunner } from '../runtime/source-runner.ts';
import { ActiveTopics } from './active-topics.ts';
import {
  isOver,
  stateOf,
  statusOf,
  type ConnectorState,
  type ConnectorStatus,
  type Worked,
} from './connector-status.ts';
import {
  readOffsets,
  resetOffsets,
  writeOffsets,
  type ConnectorOffset,
} from './connector-offsets.ts';
import { makeConnector, type ConnectorDefinition, type MakingContext } from './definition.ts';
import { makeRunner } from './make-runner.ts';
import { confined, makingContext, type MakingOptions, type PathOptions } from './making-options.ts';
import {
  WorkerStore,
  type ConnectorKind,
  type Properties,
  type StoredConnector,
  type TargetState,
} from './worker-store.ts';

/** What a worker takes. */
export interface WorkerOptions extends MakingOptions {
  /** Names the worker in the log: another one of its name fences it. Default: `worker`. */
  readonly workerId?: string;
  /** How long `close` waits for connectors that do not end. Default: 5 s, as in Kafka Connect. */
  readonly stopTimeoutMs?: number;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
}

/** How a definition is taken. */
export interface UpdateOptions extends PathOptions {
  /** The definition in Kafka Connect's form, to be kept beside it. Default: it was not in that. */
  readonly properties?: Properties;
}

/** How a connector begins. */
export interface CreateOptions extends UpdateOptions {
  /** What it is to do. Default: RUNNING. */
  readonly initialState?: TargetState;
  /** How far it has come already. Default: as far as its last offsets in the log say. */
  readonly initialOffsets?: readonly ConnectorOffset[];
}

/** The defaults of `WorkerOptions`. */
export const WORKER_DEFAULTS = {
  workerId: 'worker',
  stopTimeoutMs: 5_000,
} as const satisfies Partial<WorkerOptions>;

const CHECKS: OptionChecks<WorkerOptions> = {
  plugins: listOf('plugins'),
  workerId: text,
  providers: instance,
  env: instance,
  stopTimeoutMs: integer(0),
  fileSystem: instance,
  clock: instance,
  logger: instance,
};

/**
 * Runs connectors by their definitions: plain data, of a config file or a caller, kept in the log.
 * The next worker on the log goes on with them: each starts, or stays paused or stopped, as it was
 * left. A worker on the same log with the same id fences this one.
 *
 * @example
 * await using worker = new ConnectWorker(log, { plugins: BUILT_IN_PLUGINS });
 * await worker.start();
 * await worker.create({ name: 'in', connector: 'file-source', config: { path: '*.csv', ... } });
 */
export class ConnectWorker implements AsyncDisposable {
  readonly plugins: PluginRegistry;
  readonly workerId: string;
  readonly #log: Log;
  readonly #given: WorkerOptions;
  readonly #options: Required<Pick<WorkerOptions, 'stopTimeoutMs' | 'clock' | 'logger'>>;
  readonly #making: MakingContext;
  readonly #store: WorkerStore;
  readonly #connectors = new Map<string, Worked>();
  /** Changes of connectors happen one after the other. */
  readonly #changes = new Exclusive();
  #isStarted = false;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION; ConnectError PLUGIN_EXISTS */
  constructor(log: Log, options: WorkerOptions) {
    checkOptions('ConnectWorker', options, CHECKS, ['plugins']);
    const { stopTimeoutMs = WORKER_DEFAULTS.stopTimeoutMs, clock = systemClock } = options;
    const { logger = stderrLogger, workerId = WORKER_DEFAULTS.workerId } = options;
    this.#log = log;
    this.#given = options;
    this.#options = { stopTimeoutMs, clock, logger };
    this.#making = makingContext(options);
    this.plugins = this.#making.plugins;
    this.workerId = workerId;
    this.#store = new WorkerStore(log, workerId);
  }

  /** True once it has begun to run what the last worker has left. */
  get isStarted(): boolean {
    return this.#isStarted;
  }

  /** How often a worker of its id was started on this log, this one included; 0 before. */
  get generation(): number {
    return this.#store.generation;
  }

  /** Identifies the log that it works on. */
  async clusterId(): Promise<string> {
    return (await this.#log.api.metadata({ topics: [] })).clusterId;
  }

  /**
   * Starts what the last worker has left. A connector that cannot be made any more, because its
   * plugin is gone or a reference stands for nothing, is FAILED; the others run.
   *
   * @throws LogError any failure to read the log.
   */
  start(): Promise<void> {
    return this.#changes.run(async () => {
      const { connectors, topics } = await this.#store.load();
      this.#isStarted = true;
      for (const [name, stored] of connectors) {
        const worked = this.#unmade(stored, new ActiveTopics(topics.get(name) ?? []));
        await this.#remake(name, worked);
      }
    });
  }

  /**
   * Creates a connector, durably, and starts it, unless it is to be paused or stopped.
   *
   * @throws ConnectError INVALID_CONFIG with every mistake, CONNECTOR_EXISTS: nothing was created.
   * @throws ConnectError INVALID_STATE, LogError INVALID_OPTION for initial offsets that it cannot
   *   have: nothing was created.
   */
  create(definition: ConnectorDefinition, options: CreateOptions = {}): Promise<ConnectorStatus> {
    return this.#change(async () => {
      const { name } = definition;
      if (this.#connectors.has(name)) {
        const message = `there is a connector ${name} already; update it, or choose another name`;
        throw new ConnectError('CONNECTOR_EXISTS', message, { connector: name });
      }
      return this.#put(definition, options.initialState ?? 'RUNNING', options);
    });
  }

  /**
   * Replaces the definition of a connector, or creates it, and starts it anew.
   *
   * @throws ConnectError INVALID_CONFIG with every mistake: the connector stays as it was.
   */
  update(definition: ConnectorDefinition, options: UpdateOptions = {}): Promise<ConnectorStatus> {
    return this.#change(() => {
      const target = this.#connectors.get(definition.name)?.target ?? 'RUNNING';
      return this.#put(definition, target, options);
    });
  }

  /** The mistakes in a definition, all of them. Nothing is opened or created. */
  async validate(definition: unknown, options: PathOptions = {}): Promise<readonly ConfigIssue[]> {
    const made = await makeConnector(definition, confined(this.#making, this.#given, options));
    return 'issues' in made ? made.issues : [];
  }

  /** Moves nothing until `resume`; everything stays open. @throws ConnectError UNKNOWN_CONNECTOR */
  pause(name: string): Promise<ConnectorStatus> {
    return this.#aim(name, 'PAUSED');
  }

  /** Goes on after `pause` or `stop`. @throws ConnectError UNKNOWN_CONNECTOR */
  resume(name: string): Promise<ConnectorStatus> {
    return this.#aim(name, 'RUNNING');
  }

  /** Commits what was read, and closes everything. @throws ConnectError UNKNOWN_CONNECTOR */
  stop(name: string): Promise<ConnectorStatus> {
    return this.#aim(name, 'STOPPED');
  }

  /**
   * Ends a connector and starts it again, as it was told last; one that has failed, too.
   *
   * @throws ConnectError UNKNOWN_CONNECTOR, INVALID_CONFIG if it can no longer be made.
   */
  restart(name: string): Promise<ConnectorStatus> {
    return this.#change(async () => {
      const { definition, properties, target } = this.#find(name);
      return this.#put(definition, target, properties === undefined ? {} : { properties });
    });
  }

  /**
   * Ends a connector and forgets it. Its offsets stay: another one of its name goes on there.
   *
   * @throws ConnectError UNKNOWN_CONNECTOR
   */
  delete(name: string): Promise<void> {
    return this.#change(async () => {
      const { runner, topics } = this.#find(name);
      await this.#end(name, runner);
      await this.#store.forget(name, topics.names);
      this.#connectors.delete(name);
    });
  }

  /**
   * How far a connector has come, as it has committed it; empty of a sink that keeps that with its
   * output.
   *
   * @throws ConnectError UNKNOWN_CONNECTOR
   */
  async offsets(name: string): Promise<readonly ConnectorOffset[]> {
    return readOffsets(this.#log, name, this.#find(name).kind);
  }

  /**
   * Changes how far a connector has come, durably. Those offsets that are not named stay.
   *
   * @throws ConnectError UNKNOWN_CONNECTOR, INVALID_STATE if it is not stopped, or keeps its
   *   offsets with its output.
   */
  alterOffsets(name: string, changes: readonly ConnectorOffset[]): Promise<void> {
    return this.#change(() => writeOffsets(this.#log, this.#stopped(name), changes));
  }

  /**
   * Forgets how far a connector has come, durably: it begins at the start.
   *
   * @throws ConnectError as `alterOffsets`
   */
  deleteOffsets(name: string): Promise<void> {
    return this.#change(() => resetOffsets(this.#log, this.#stopped(name)));
  }

  /**
   * The topics that a connector has written to, or read from, since it was created or they were
   * reset; by name.
   *
   * @throws ConnectError UNKNOWN_CONNECTOR
   */
  topics(name: string): readonly string[] {
    return this.#find(name).topics.names;
  }

  /** Forgets them, durably; those that it uses from now on count. @throws as `topics` */
  resetTopics(name: string): Promise<void> {
    return this.#change(async () => {
      const { topics, runner } = this.#find(name);
      await this.#store.noteTopics(name, topics.names, false);
      topics.reset(runner?.progress.records ?? 0);
    });
  }

  /** What a connector does now. @throws ConnectError UNKNOWN_CONNECTOR */
  status(name: string): ConnectorStatus {
    return statusOf(name, this.#find(name));
  }

  /** What all connectors do, by name. */
  statuses(): ConnectorStatus[] {
    return [...this.#connectors.keys()].sort().map((name) => this.status(name));
  }

  /**
   * Ends all connectors: each commits what it has read. Returns the names of those that have not
   * ended within `stopTimeoutMs`; what they have not committed is read again by the next worker.
   */
  async close(): Promise<readonly string[]> {
    const running = new Set<string>();
    const stopping = [...this.#connectors].map(async ([name, { runner }]) => {
      running.add(name);
      await runner?.stop();
      running.delete(name);
    });
    await this.#endsInTime(stopping);
    if (running.size === 0) await this.#changes.run(() => this.#store.close());
    return [...running].sort();
  }

  /** As `close`, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#isStarted) {
      const details = { operation: 'change', state: 'not started' };
      const message = 'the worker has not started: call start first';
      return Promise.reject(new ConnectError('INVALID_STATE', message, details));
    }
    return this.#changes.run(work);
  }

  async #put(
    definition: ConnectorDefinition,
    target: TargetState,
    { properties, initialOffsets, ...paths }: CreateOptions,
  ): Promise<ConnectorStatus> {
    const made = await makeConnector(definition, confined(this.#making, this.#given, paths));
    const { name } = definition;
    if ('issues' in made) throw invalidConfig(name, made.issues);
    const old = this.#connectors.get(name);
    await this.#end(name, old?.runner);
    if (initialOffsets !== undefined) await writeOffsets(this.#log, made, initialOffsets);
    const { kind } = made;
    await this.#store.keep(name, { definition, properties, kind, state: target });
    const topics = old?.topics ?? new ActiveTopics([]);
    const idle = { target, runner: undefined, failure: undefined };
    this.#begin(name, { definition, properties, kind, made, topics, ...idle });
    return this.status(name);
  }

  #aim(name: string, target: TargetState): Promise<ConnectorStatus> {
    return this.#change(async () => {
      const worked = this.#find(name);
      const { definition, properties, kind, made, runner } = worked;
      await this.#store.keep(name, { definition, properties, kind, state: target });
      worked.target = target;
      if (made === undefined) await this.#remake(name, worked);
      else if (target === 'STOPPED') {
        await this.#end(name, runner);
        worked.runner = undefined;
        worked.failure = undefined;
      } else if (runner === undefined || isOver(runner)) this.#begin(name, worked);
      else if (target === 'PAUSED') runner.pause();
      else runner.resume();
      return this.status(name);
    });
  }

  /** A connector of the log, before it is made. */
  #unmade({ definition, properties, kind, state }: StoredConnector, topics: ActiveTopics): Worked {
    const made = undefined;
    const idle = { target: state, runner: undefined, failure: undefined };
    const known = kind ?? this.#kindOf(definition);
    return { definition, properties, kind: known, made, topics, ...idle };
  }

  /** What the plugin of a connector makes, if there is one. */
  #kindOf({ connector }: ConnectorDefinition): ConnectorKind {
    const kind = this.plugins.list().find(({ name }) => name === connector)?.kind;
    return kind === 'source' || kind === 'sink' ? kind : 'unknown';
  }

  /** Makes a connector again, and runs it; it is FAILED if that cannot be. */
  async #remake(name: string, worked: Worked): Promise<void> {
    const made = await makeConnector(worked.definition, this.#making);
    if (!('issues' in made)) {
      this.#begin(name, { ...worked, kind: made.kind, made });
      return;
    }
    const failure = invalidConfig(name, made.issues);
    this.#options.logger.error(failure.message, { code: failure.code });
    this.#connectors.set(name, { ...worked, failure });
    await this.#store.note(name, 'FAILED', failure.message);
  }

  /** Stops a runner. @throws LogError STOP_TIMEOUT if it does not end in time: it goes on. */
  async #end(name: string, runner: SourceRunner | SinkRunner | undefined): Promise<void> {
    if (runner === undefined) return;
    const { stopTimeoutMs } = this.#options;
    if (await this.#endsInTime([runner.stop()])) return;
    const message =
      `connector ${name} has not ended within stopTimeoutMs=${stopTimeoutMs}, because it, or a ` +
      'full disk, does not answer; it is told to stop, and what it has not committed is read again';
    const details = { job: name, stopTimeoutMs, running: [name] };
    throw new LogError('STOP_TIMEOUT', message, details);
  }

  /** True if all of this ends within `stopTimeoutMs`. */
  #endsInTime(ending: readonly Promise<void>[]): Promise<boolean> {
    const { clock, stopTimeoutMs } = this.#options;
    return new Promise((resolve) => {
      const timer = clock.setTimer(stopTimeoutMs, () => resolve(false));
      void Promise.allSettled(ending).then(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }

  /** Runs a connector that is made, as it is to be. */
  #begin(name: string, worked: Worked): void {
    const { made, topics } = worked;
    this.#connectors.set(name, worked);
    if (worked.target === 'STOPPED' || made === undefined) {
      void this.#note(() => this.#store.note(name, 'STOPPED', undefined));
      return;
    }
    const transforms = topics.watch(made);
    const runner = makeRunner(this.#log, { ...made, transforms }, this.#options);
    worked.runner = runner;
    worked.failure = undefined;
    if (worked.target === 'PAUSED') runner.pause();
    let last: ConnectorState | undefined;
    const progress$: Observable<SourceProgress | SinkProgress> = runner.progress$;
    progress$.subscribe(({ state, retry, records }) => {
      const used = topics.takeNew(made, records);
      if (used.length > 0) void this.#note(() => this.#store.noteTopics(name, used, true));
      const shown = stateOf(state);
      if (shown === last || state === 'READY') return;
      last = shown;
      const trace = retry?.cause.message ?? worked.failure?.message;
      void this.#note(() => this.#store.note(name, shown, trace));
    });
    runner.run().catch((cause: unknown) => {
      const failure = cause instanceof Error ? cause : new TypeError(String(cause));
      worked.failure = failure;
      this.#options.logger.error(`connector ${name} has failed: ${failure.message}`);
      void this.#note(() => this.#store.note(name, 'FAILED', failure.message));
    });
  }

  /** Writes a status. A worker that was fenced has nothing more to say, and ends. Never rejects. */
  async #note(write: () => Promise<void>): Promise<void> {
    try {
      await this.#changes.run(write);
    } catch (cause) {
      const isFenced = LogError.is(cause, 'PRODUCER_FENCED');
      if (LogError.is(cause, 'CLOSED')) return;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const what = isFenced ? 'another worker has taken over' : 'a status could not be written';
      this.#options.logger.error(`${what}: ${reason}`);
      if (isFenced) for (const { runner } of this.#connectors.values()) void runner?.stop();
    }
  }

  /** A connector whose offsets can be changed. */
  #stopped(name: string): Exclude<Worked['made'], undefined> {
    const { made, target, failure } = this.#find(name);
    if (made === undefined && failure !== undefined) throw failure;
    if (made !== undefined && target === 'STOPPED') return made;
    const message = `${name} is to be ${target}: stop it before its offsets are changed`;
    const details = { operation: 'alterOffsets', state: target };
    throw new ConnectError('INVALID_STATE', message, details);
  }

  #find(name: string): Worked {
    const found = this.#connectors.get(name);
    if (found !== undefined) return found;
    const names = [...this.#connectors.keys()];
    const nearest = names.length === 0 ? undefined : closest(name, names);
    const hint = nearest === undefined ? 'there are none' : `did you mean ${nearest}?`;
    const details = { connector: name, ...(nearest !== undefined && { nearest }) };
    const message = `there is no connector ${name}; ${hint}`;
    throw new ConnectError('UNKNOWN_CONNECTOR', message, details);
  }
}
