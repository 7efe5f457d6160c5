import { LogError, type Log, type RetryStatus } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { EndOfInput } from './end-of-input.ts';
import { ErrorPolicies } from './error-policies.ts';
import type { GlobalTables } from './global-tables.ts';
import { fieldsOf } from './log-fields.ts';
import type { LiveQueries } from './live-queries.ts';
import { keepCommitted, type AppCounts } from './metrics.ts';
import type { StreamsSettings } from './options.ts';
import type { Plan, TaskPlan } from './plan.ts';
import { Recovery } from './recovery.ts';
import { Retries } from './retries.ts';
import { TaskRunner } from './task-runner.ts';
import type { Task } from './task.ts';
import type { UncaughtErrors } from './uncaught-errors.ts';

/** What all groups of an application share. */
export interface GroupContext {
  readonly log: Log;
  readonly settings: StreamsSettings;
  readonly counts: AppCounts;
  readonly live: LiveQueries;
  /** Decides about errors that would end the application. */
  readonly uncaught: UncaughtErrors;
  /** True if no attempt may begin, and those that run are to end. */
  readonly mustStop: () => boolean;
  /** True if nothing is to be processed at present. */
  readonly isPaused: () => boolean;
  /** True if no more input will come. */
  readonly isFinishing: () => boolean;
  /** Looks whether the plan has become old; all groups have to stop then. */
  readonly isPlanOld: () => Promise<boolean>;
  /** Called when the state of a group, or its tasks, have changed. */
  readonly changed: () => void;
}

/** What the groups run. */
export interface GroupWork {
  readonly plan: Plan;
  readonly globalTables: GlobalTables;
  readonly ends: EndOfInput;
}

/**
 * IDLE: it has no work. PAUSED: all is committed. RETRYING: it waits, see `retry`, and then is
 * RESTORING again.
 */
export type GroupState = 'IDLE' | 'RESTORING' | 'RUNNING' | 'PAUSED' | 'RETRYING';

/** Whoever waits for the group to have what it was assigned. */
interface Waiting {
  readonly tasks: readonly TaskPlan[];
  readonly resolve: () => void;
}

/**
 * The unit of commit: some tasks of an application, with one transactional id, one consumer and one
 * loop, which reads for them, processes and commits what all of them have done in one transaction.
 *
 * Which tasks it has it is told, by `run` and then by `assign`, while it runs. It gives a task up
 * behind a commit and a checkpoint, and closes its stores; one that it gets begins where the log
 * says that it was committed last, whoever did that. After a failure that may pass, it begins again
 * from its last commit; its neighbours do not notice. One that cannot pass ends its `run`.
 */
export class TaskGroup {
  /** Names it among the groups of the application, and is its transactional id. */
  readonly name: string;
  readonly #context: GroupContext;
  readonly #retries: Retries;
  /** Outlives the attempts. */
  readonly #recovery = new Recovery();
  #state: GroupState = 'IDLE';
  /** The current attempt, or the last one. */
  #runner: TaskRunner | undefined;
  /** True while the runner has anything open. */
  #isOpen = false;
  /** What it is to have. */
  #assigned: readonly TaskPlan[] = [];
  #waiting: Waiting[] = [];
  /** Changes by `setIdleTimeout`. */
  #idleTimeoutMs: number;

  constructor(name: string, context: GroupContext) {
    this.name = name;
    this.#context = context;
    this.#idleTimeoutMs = context.settings.idleTimeoutMs;
    const changed = (): void => {
      this.#enter(this.#retries.status === undefined ? 'RESTORING' : 'RETRYING');
    };
    this.#retries = new Retries({ ...context, changed });
  }

  get state(): GroupState {
    return this.#state;
  }

  /** In the state RETRYING: why, and when it tries again. */
  get retry(): RetryStatus | undefined {
    return this.#retries.status;
  }

  /** Those of the current attempt, or of the last one. Another array whenever they change. */
  get tasks(): readonly Task[] {
    return this.#runner?.tasks ?? [];
  }

  /**
   * Works until `stop`, or until all input of the application has ended, and commits that; returns
   * true in the latter case. Nothing is left open.
   *
   * @throws StreamsError, LogError what ended it, with what was not committed discarded.
   */
  async run(work: GroupWork, tasks: readonly TaskPlan[]): Promise<boolean> {
    this.#assigned = tasks;
    this.#enter('RESTORING');
    try {
      while (!this.#context.mustStop()) {
        try {
          return await this.#attempt(work);
        } catch (error) {
          await this.#recover(error, work.plan);
        }
      }
      return false;
    } finally {
      this.#enter('IDLE');
      this.#settle(true);
    }
  }

  /** True if it is to have the task. */
  isAssigned(task: TaskPlan): boolean {
    return this.#assigned.includes(task);
  }

  /**
   * Changes its tasks to these of the same plan. Resolves when it has them, and no others; or when
   * it has nothing open, because it has failed or ended.
   */
  assign(tasks: readonly TaskPlan[]): Promise<void> {
    this.#assigned = tasks;
    if (this.#isOpen) this.#runner?.assign(tasks);
    else if (this.#state === 'RETRYING') this.#forget();
    return new Promise((resolve) => {
      this.#waiting.push({ tasks, resolve });
      this.#settle(this.#state === 'IDLE' || this.#state === 'RETRYING');
    });
  }

  /** Ends `run` soon; so does `mustStop`, which has to be true from now on. */
  stop(): void {
    this.#retries.end();
    this.#runner?.stop();
  }

  /** Ends `run` soon, without a commit; `mustStop` has to be true from now on. */
  abort(): void {
    this.#retries.end();
    this.#runner?.abort();
  }

  /** Looks again whether `isPaused`. */
  wake(): void {
    this.#runner?.wake();
  }

  /** Declares the end of input, as `isFinishing` does for attempts to come. */
  finish(): void {
    this.#runner?.finish();
  }

  /** Sets how long stream time waits for empty inputs. */
  setIdleTimeout(idleTimeoutMs: number): void {
    this.#idleTimeoutMs = idleTimeoutMs;
    this.wake();
  }

  /** Runs from the last commit on; returns true if all input has ended. */
  async #attempt(work: GroupWork): Promise<boolean> {
    const { log, settings, counts, live, mustStop, isFinishing, isPaused } = this.#context;
    const tasks = this.#assigned;
    const runner = await TaskRunner.open(
      {
        ...{ ...work, log, counts, live, recovery: this.#recovery, group: this.name },
        ...{ mustStop, isPaused, pausing: (isPausing) => this.#pausing(isPausing) },
        ...{ settings, idleTimeoutMs: () => this.#idleTimeoutMs },
        assigned: () => {
          this.#settle();
          this.#context.changed();
        },
        checkpointed: () => this.#retries.succeeded(),
      },
      tasks,
    );
    this.#forget();
    this.#runner = runner;
    this.#isOpen = true;
    if (this.#assigned !== tasks) runner.assign(this.#assigned);
    if (isFinishing()) runner.finish();
    if (mustStop()) runner.stop();
    else {
      this.#retries.running();
      this.#enter(isPaused() ? 'PAUSED' : 'RUNNING');
    }
    this.#settle();
    try {
      return await runner.run();
    } catch (error) {
      await runner.abandon();
      throw error;
    } finally {
      this.#isOpen = false;
      if (runner.commits > 0) this.#retries.committed();
    }
  }

  /** Prepares the next attempt. @throws the error if there is to be none. */
  async #recover(error: unknown, plan: Plan): Promise<void> {
    this.#settle(true);
    if (StreamsError.is(error, 'STARTING_OVER')) await this.#startOver(error);
    else if (!(await this.#isOfGoneTopic(error)) && !this.#learnsLimit(error, plan)) {
      await this.#retries.waitAfter(error);
    }
    this.#enter('RESTORING');
  }

  /** True if a topic that matched a pattern was deleted: the next plan goes on without it. */
  async #isOfGoneTopic(error: unknown): Promise<boolean> {
    if (!LogError.is(error, 'UNKNOWN_TOPIC_OR_PARTITION')) return false;
    return this.#context.isPlanOld();
  }

  /**
   * True if a topic refused a record that its sink may drop: the next attempt knows the limit, and
   * so which record it is.
   */
  #learnsLimit(error: unknown, { topology }: Plan): boolean {
    if (!LogError.is(error, 'MESSAGE_TOO_LARGE')) return false;
    const { settings } = this.#context;
    const { topic, limitBytes } = error.details;
    const policies = new ErrorPolicies(topology, settings);
    return policies.mayDropAt(topic) && this.#recovery.noteLimit(topic, limitBytes);
  }

  /** Lets the next attempt try a record again, or handle it with care. */
  async #startOver(error: StreamsError<'STARTING_OVER'>): Promise<void> {
    const { node, pauseMs, isRetry } = error.details;
    const { settings, counts } = this.#context;
    if (isRetry) counts.failedBefore.add(node, 'retried');
    settings.logger[isRetry ? 'warn' : 'info'](error.message, fieldsOf(error));
    if (pauseMs > 0) await this.#retries.wait(error, pauseMs);
  }

  /** Forgets the last attempt, but for what it has committed. */
  #forget(): void {
    keepCommitted(this.tasks, this.#context.counts);
    this.#runner = undefined;
  }

  /** Tells those who wait for what the group has now; all of them if it has nothing open. */
  #settle(isAll = false): void {
    const tasks = this.#isOpen ? this.#runner?.assignment : undefined;
    const settled = this.#waiting.filter((each) => isAll || each.tasks === tasks);
    this.#waiting = this.#waiting.filter((each) => !settled.includes(each));
    for (const { resolve } of settled) resolve();
  }

  /** Called when the attempt has paused, and when it goes on. */
  #pausing(isPausing: boolean): void {
    this.#enter(isPausing ? 'PAUSED' : 'RUNNING');
  }

  #enter(state: GroupState): void {
    this.#state = state;
    this.#context.changed();
  }
}
