import type { Log, RetryStatus } from '../../core/index.ts';
import type { Division } from './division.ts';
import { EndOfInput } from './end-of-input.ts';
import type { GlobalTables } from './global-tables.ts';
import type { Plan, TaskPlan } from './plan.ts';
import { TaskGroup, type GroupContext } from './task-group.ts';
import type { Task } from './task.ts';

/** The groups of an application, in this thread, and who has which of its tasks. */
export class TaskGroups {
  readonly #division: Division;
  readonly #groups: readonly TaskGroup[];
  readonly #context: GroupContext;
  /** What they run, or have run last. */
  #plan: Plan | undefined;
  /** True from the failure of a group until the next run. */
  #hasFailed = false;
  /** One change of the division after the other. */
  #changing: Promise<void> = Promise.resolve();
  /** Of each group, and of all; replaced when one of them has others. */
  #tasks: { readonly lists: readonly (readonly Task[])[]; readonly all: readonly Task[] };

  constructor(division: Division, context: GroupContext) {
    const { applicationId } = context.settings;
    const mustStop = (): boolean => this.#hasFailed || context.mustStop();
    this.#context = { ...context, mustStop };
    this.#division = division;
    this.#groups = Array.from({ length: division.groups }, (_, index) => {
      return new TaskGroup(groupName(applicationId, index), this.#context);
    });
    this.#tasks = { lists: [], all: [] };
    division.follow(() => this.#divide());
  }

  /** The tasks of all groups; the same array until they change. */
  get tasks(): readonly Task[] {
    const lists = this.#groups.map(({ tasks }) => tasks);
    if (lists.some((tasks, index) => tasks !== this.#tasks.lists[index])) {
      this.#tasks = { lists, all: inOrder(lists) };
    }
    return this.#tasks.all;
  }

  /** Of the group that tries again first. */
  get retry(): RetryStatus | undefined {
    const waiting = this.#groups.flatMap(({ retry }) => retry ?? []);
    return waiting.sort((a, b) => a.nextMs - b.nextMs)[0];
  }

  /**
   * RUNNING or PAUSED if each task is in a group and all groups are so, RESTORING otherwise;
   * undefined while groups begin or end.
   */
  get activity(): 'RESTORING' | 'RUNNING' | 'PAUSED' | undefined {
    const states = new Set(this.#groups.map(({ state }) => state));
    if (states.has('IDLE')) return undefined;
    if (states.has('RESTORING') || states.has('RETRYING')) return 'RESTORING';
    if (this.tasks.length !== this.#plan?.tasks.length) return 'RESTORING';
    return states.has('RUNNING') ? 'RUNNING' : 'PAUSED';
  }

  /** True if a group may process anything. */
  get isWorking(): boolean {
    return this.#groups.some(({ state }) => state === 'RUNNING');
  }

  /**
   * Works until `stop`, or until all input has ended; returns true in the latter case. If a group
   * fails for good, the others commit and end.
   *
   * @throws StreamsError, LogError
   */
  async run(plan: Plan, globalTables: GlobalTables): Promise<boolean> {
    this.#plan = plan;
    this.#hasFailed = false;
    const ends = new EndOfInput(
      plan,
      this.#groups.map(({ name }) => name),
    );
    const runs = this.#groups.map(async (group, index) => {
      try {
        return await group.run({ plan, globalTables, ends }, this.#tasksOf(plan, index));
      } catch (error) {
        this.#hasFailed = true;
        this.stop();
        throw error;
      }
    });
    await Promise.allSettled(runs);
    const ended = await Promise.all(runs);
    return ended.every((hasEnded) => hasEnded);
  }

  /** Ends `run` soon; so does `mustStop`, which has to be true from now on. */
  stop(): void {
    for (const group of this.#groups) group.stop();
  }

  /** Ends `run` soon, without a commit; `mustStop` has to be true from now on. */
  abort(): void {
    for (const group of this.#groups) group.abort();
  }

  /** Looks again whether `isPaused`. */
  wake(): void {
    for (const group of this.#groups) group.wake();
  }

  /** Declares the end of input, as `isFinishing` does for attempts to come. */
  finish(): void {
    for (const group of this.#groups) group.finish();
  }

  /** Sets how long stream time waits for empty inputs. */
  setIdleTimeout(idleTimeoutMs: number): void {
    for (const group of this.#groups) group.setIdleTimeout(idleTimeoutMs);
  }

  #divide(): Promise<void> {
    this.#changing = this.#changing.then(() => this.#moveTasks());
    return this.#changing;
  }

  /** No task is given before the one that had it has let go of it. */
  async #moveTasks(): Promise<void> {
    const plan = this.#plan;
    if (plan === undefined) return;
    const wanted = this.#groups.map((_, index) => this.#tasksOf(plan, index));
    await Promise.all(
      this.#groups.map((group, index) => {
        const kept = wanted[index]!.filter((task) => group.isAssigned(task));
        return group.assign(kept);
      }),
    );
    if (plan !== this.#plan) return;
    await Promise.all(this.#groups.map((group, index) => group.assign(wanted[index]!)));
  }

  #tasksOf({ tasks }: Plan, index: number): readonly TaskPlan[] {
    return tasks.filter((task) => this.#division.groupOf(task) === index);
  }
}

/** The first one is named as the application was when it was one group. */
function groupName(applicationId: string, index: number): string {
  return index === 0 ? applicationId : `${applicationId}/${index}`;
}

/**
 * Aborts what groups of an earlier run have left open: the tasks that wrote it may be in other
 * groups now, which would read their stores back only as far as that.
 */
export async function abortLeft(log: Log, applicationId: string): Promise<void> {
  const admin = log.admin();
  const open = await admin.listTransactions({ states: ['Ongoing'] });
  for (const { transactionalId } of open) {
    if (transactionalId !== applicationId && !transactionalId.startsWith(`${applicationId}/`)) {
      continue;
    }
    await admin.abortTransaction({ transactionalId });
  }
}

/** Feeders first, then by partition. */
function inOrder(lists: readonly (readonly Task[])[]): readonly Task[] {
  const [only, ...others] = lists;
  if (only !== undefined && others.length === 0) return only;
  return lists.flat().sort((a, b) => {
    return a.plan.subTopology.id - b.plan.subTopology.id || a.plan.partition - b.plan.partition;
  });
}
