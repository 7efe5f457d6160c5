import { closest } from 'fastest-levenshtein';
import type { Observable } from 'rxjs';
import {
  LogError,
  nodeFileSystem,
  stderrLogger,
  systemClock,
  type Clock,
  type FileSystem,
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
import { PluginRegistry, type ConnectPlugin } from '../plugin.ts';
import { SinkRunner, type SinkProgress } from '../runtime/sink-runner.ts';
import { SourceRunner, type SourceProgress } from '../runtime/source-runner.ts';
import {
  isOver,
  stateOf,
  statusOf,
  type ConnectorState,
  type ConnectorStatus,
  type Worked,
} from './connector-status.ts';
import { readOffsets, writeOffsets, type ConnectorOffset } from './connector-offsets.ts';
import {
  makeConnector,
  type ConnectorDefinition,
  type MadeConnector,
  type MakingContext,
} from './definition.ts';
import { envProvider, fileProvider, type ConfigProvider } from './providers.ts';
import { WorkerStore, type TargetState } from './worker-store.ts';

/** What a worker takes. */
export interface WorkerOptions {
  /** What definitions may name. */
  readonly plugins: readonly ConnectPlugin[];
  /** Names the worker in the log: another one of its name fences it. Default: `worker`. */
  readonly workerId?: string;
  /** What `${name:reference}` in configs stands for, besides `env` and `file`. Default: no more. */
  readonly providers?: Readonly<Record<string, ConfigProvider>>;
  /** The environment of `${env:NAME}`. Default: that of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** How long `close` waits for connectors that do not end. Default: 5 s, as in Kafka Connect. */
  readonly stopTimeoutMs?: number;
  /** Reads what `${file:path:key}` stands for. Default: the machine's. */
  readonly fileSystem?: FileSystem;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
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
  readonly #log: Log;
  readonly #options: Required<Pick<WorkerOptions, 'stopTimeoutMs' | 'clock' | 'logger'>>;
  readonly #making: MakingContext;
  readonly #store: WorkerStore;
  readonly #connectors = new Map<string, Worked>();
  /** Connectors that could not be made when the worker started. */
  readonly #lost = new Map<
    string,
    { readonly definition: ConnectorDefinition; readonly failure: ConnectError }
  >();
  /** Changes of connectors happen one after the other. */
  readonly #changes = new Exclusive();
  #isStarted = false;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION; ConnectError PLUGIN_EXISTS */
  constructor(log: Log, options: WorkerOptions) {
    checkOptions('ConnectWorker', options, CHECKS, ['plugins']);
    const { stopTimeoutMs = WORKER_DEFAULTS.stopTimeoutMs, clock = systemClock } = options;
    const { logger = stderrLogger, workerId = WORKER_DEFAULTS.workerId } = options;
    this.#log = log;
    this.#options = { stopTimeoutMs, clock, logger };
    this.#making = makingContext(options);
    this.plugins = this.#making.plugins;
    this.#store = new WorkerStore(log, workerId);
  }

  /**
   * Starts what the last worker has left. A connector that cannot be made any more, because its
   * plugin is gone or a reference stands for nothing, is FAILED; the others run.
   *
   * @throws LogError any failure to read the log.
   */
  start(): Promise<void> {
    return this.#changes.run(async () => {
      const stored = await this.#store.load();
      this.#isStarted = true;
      for (const [name, { definition, state }] of stored) {
        const made = await makeConnector(definition, this.#making);
        if (!('issues' in made)) {
          this.#begin(name, { made, target: state, runner: undefined, failure: undefined });
          continue;
        }
        const failure = invalidConfig(name, made.issues);
        this.#options.logger.error(failure.message, { code: failure.code });
        this.#lost.set(name, { definition, failure });
        await this.#store.note(name, 'FAILED', failure.message);
      }
    });
  }

  /**
   * Creates a connector, durably, and starts it, unless it is to be paused or stopped.
   *
   * @throws ConnectError INVALID_CONFIG with every mistake, CONNECTOR_EXISTS: nothing was created.
   */
  create(
    definition: ConnectorDefinition,
    options: { readonly initialState?: TargetState } = {},
  ): Promise<ConnectorStatus> {
    return this.#change(async () => {
      const { name } = definition;
      if (this.#connectors.has(name) || this.#lost.has(name)) {
        const message = `there is a connector ${name} already; update it, or choose another name`;
        throw new ConnectError('CONNECTOR_EXISTS', message, { connector: name });
      }
      return this.#put(definition, options.initialState ?? 'RUNNING');
    });
  }

  /**
   * Replaces the definition of a connector, or creates it, and starts it anew.
   *
   * @throws ConnectError INVALID_CONFIG with every mistake: the connector stays as it was.
   */
  update(definition: ConnectorDefinition): Promise<ConnectorStatus> {
    return this.#change(() => {
      const target = this.#connectors.get(definition.name)?.target ?? 'RUNNING';
      return this.#put(definition, target);
    });
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
      const definition = this.#lost.get(name)?.definition ?? this.#find(name).made.definition;
      return this.#put(definition, this.#connectors.get(name)?.target ?? 'RUNNING');
    });
  }

  /**
   * Ends a connector and forgets it. Its offsets stay: another one of its name goes on there.
   *
   * @throws ConnectError UNKNOWN_CONNECTOR
   */
  delete(name: string): Promise<void> {
    return this.#change(async () => {
      if (!this.#lost.has(name)) await this.#end(name, this.#find(name).runner);
      await this.#store.keep(name, undefined);
      this.#connectors.delete(name);
      this.#lost.delete(name);
    });
  }

  /**
   * How far a connector has come, as it has committed it; empty of a sink that keeps that with its
   * output.
   *
   * @throws ConnectError UNKNOWN_CONNECTOR
   */
  async offsets(name: string): Promise<readonly ConnectorOffset[]> {
    return readOffsets(this.#log, this.#find(name).made);
  }

  /**
   * Changes how far a connector has come, durably. Those offsets that are not named stay.
   *
   * @throws ConnectError UNKNOWN_CONNECTOR, INVALID_STATE if it is not stopped, or keeps its
   *   offsets with its output.
   */
  alterOffsets(name: string, changes: readonly ConnectorOffset[]): Promise<void> {
    return this.#change(async () => {
      const { made, target } = this.#find(name);
      if (target !== 'STOPPED') {
        const message = `${name} is to be ${target}: stop it before its offsets are changed`;
        const details = { operation: 'alterOffsets', state: target };
        throw new ConnectError('INVALID_STATE', message, details);
      }
      await writeOffsets(this.#log, made, changes);
    });
  }

  /** What a connector does now. @throws ConnectError UNKNOWN_CONNECTOR */
  status(name: string): ConnectorStatus {
    const lost = this.#lost.get(name);
    if (lost === undefined) return statusOf(name, this.#find(name));
    const { definition, failure } = lost;
    return {
      ...{ name, kind: 'source', definition, state: 'FAILED', failure },
      ...{ retry: undefined, progress: undefined },
    };
  }

  /** What all connectors do, by name. */
  statuses(): ConnectorStatus[] {
    return [...this.#connectors.keys(), ...this.#lost.keys()].sort().map((name) => {
      return this.status(name);
    });
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

  async #put(definition: ConnectorDefinition, target: TargetState): Promise<ConnectorStatus> {
    const made = await makeConnector(definition, this.#making);
    const { name } = definition;
    if ('issues' in made) throw invalidConfig(name, made.issues);
    await this.#end(name, this.#connectors.get(name)?.runner);
    await this.#store.keep(name, { definition, state: target });
    this.#lost.delete(name);
    this.#begin(name, { made, target, runner: undefined, failure: undefined });
    return this.status(name);
  }

  #aim(name: string, target: TargetState): Promise<ConnectorStatus> {
    return this.#change(async () => {
      const worked = this.#find(name);
      await this.#store.keep(name, { definition: worked.made.definition, state: target });
      worked.target = target;
      const { runner } = worked;
      if (target === 'STOPPED') {
        await this.#end(name, runner);
        worked.runner = undefined;
        worked.failure = undefined;
      } else if (runner === undefined || isOver(runner)) this.#begin(name, worked);
      else if (target === 'PAUSED') runner.pause();
      else runner.resume();
      return this.status(name);
    });
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

  /** Runs a connector, as it is to be. */
  #begin(name: string, worked: Worked): void {
    this.#connectors.set(name, worked);
    if (worked.target === 'STOPPED') {
      void this.#note(name, 'STOPPED');
      return;
    }
    const runner = this.#makeRunner(worked.made);
    worked.runner = runner;
    worked.failure = undefined;
    if (worked.target === 'PAUSED') runner.pause();
    let last: string | undefined;
    const progress$: Observable<SourceProgress | SinkProgress> = runner.progress$;
    progress$.subscribe(({ state, retry }) => {
      if (state === last || state === 'READY') return;
      last = state;
      const shown = stateOf(state);
      void this.#note(name, shown, retry?.cause.message ?? worked.failure?.message);
    });
    runner.run().catch((cause: unknown) => {
      worked.failure = cause instanceof Error ? cause : new TypeError(String(cause));
      this.#options.logger.error(`connector ${name} has failed: ${worked.failure.message}`);
      void this.#note(name, 'FAILED', worked.failure.message);
    });
  }

  #makeRunner({ definition, transforms, ...made }: MadeConnector): SourceRunner | SinkRunner {
    const { errors, retries = {}, commitIntervalMs, commitRecordsMax } = definition;
    const { clock, logger } = this.#options;
    const options = {
      ...{ transforms, retries, clock, logger },
      ...(errors !== undefined && { errors }),
      ...(commitIntervalMs !== undefined && { commitIntervalMs }),
      ...(commitRecordsMax !== undefined && { commitRecordsMax }),
    };
    if (made.kind === 'sink') return new SinkRunner(this.#log, made.connector, options);
    const { transactionBoundary, topicCreation } = definition;
    return new SourceRunner(this.#log, made.connector, {
      ...options,
      ...(transactionBoundary !== undefined && { transactionBoundary }),
      ...(topicCreation !== undefined && { topicCreation }),
    });
  }

  /** Writes a status. A worker that was fenced has nothing more to say, and ends. Never rejects. */
  async #note(name: string, state: ConnectorState, trace?: string): Promise<void> {
    try {
      await this.#changes.run(() => this.#store.note(name, state, trace));
    } catch (cause) {
      const isFenced = LogError.is(cause, 'PRODUCER_FENCED');
      if (LogError.is(cause, 'CLOSED')) return;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const what = isFenced ? 'another worker has taken over' : 'a status could not be written';
      this.#options.logger.error(`${what}: ${reason}`);
      if (isFenced) for (const { runner } of this.#connectors.values()) void runner?.stop();
    }
  }

  #find(name: string): Worked {
    const found = this.#connectors.get(name);
    if (found !== undefined) return found;
    const names = [...this.#connectors.keys(), ...this.#lost.keys()];
    const nearest = names.length === 0 ? undefined : closest(name, names);
    const hint = nearest === undefined ? 'there are none' : `did you mean ${nearest}?`;
    const details = { connector: name, ...(nearest !== undefined && { nearest }) };
    const message = `there is no connector ${name}; ${hint}`;
    throw new ConnectError('UNKNOWN_CONNECTOR', message, details);
  }
}

/** What making connectors takes of a worker's options. */
export type MakingOptions = Pick<WorkerOptions, 'plugins' | 'providers' | 'env' | 'fileSystem'>;

/**
 * The mistakes in the definition of a connector, all of them. Nothing is opened or created.
 *
 * @param definition what a file or a caller has.
 * @throws ConnectError PLUGIN_EXISTS
 */
export async function validateConnector(
  definition: unknown,
  options: MakingOptions,
): Promise<readonly ConfigIssue[]> {
  const made = await makeConnector(definition, makingContext(options));
  return 'issues' in made ? made.issues : [];
}

function makingContext(options: MakingOptions): MakingContext {
  const { plugins, providers = {}, env = process.env, fileSystem = nodeFileSystem } = options;
  const own = { env: envProvider(env), file: fileProvider(fileSystem) };
  return { plugins: new PluginRegistry(plugins), providers: { ...own, ...providers } };
}
