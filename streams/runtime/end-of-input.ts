import type { Plan, TaskPlan } from './plan.ts';
import type { Task } from './task.ts';

/**
 * How far the tasks of an application are with the end of their input, over all of its groups: a
 * task ends after those that feed it, and no group before the last task.
 */
export class EndOfInput {
  readonly #plan: Plan;
  readonly #groups: readonly string[];
  /** The tasks whose end is committed. */
  readonly #ended = new Set<string>();
  /** By group: the changes by others before its last turn that found nothing to do. */
  readonly #dry = new Map<string, number>();
  /** By group: its commits that have changed something. */
  readonly #commits = new Map<string, number>();
  /** By task: where its last commit was. */
  readonly #positions = new Map<string, number>();
  #changes = 0;
  #isOver = false;

  constructor(plan: Plan, groups: readonly string[]) {
    this.#plan = plan;
    this.#groups = groups;
  }

  /**
   * Rises with each commit of another group that has read something, or ended a task, and when
   * tasks begin: what was read of the log before may be out of date. A group may end tasks only
   * after a turn during which this has stayed as it was. Other commits do not count: with
   * punctuations there may be one in every turn, of each group.
   */
  changesBesides(group: string): number {
    return this.#changes - (this.#commits.get(group) ?? 0);
  }

  /** True if all tasks have ended, and all groups have found nothing more since. Stays true. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** True if one of the tasks that feed this one has not ended. */
  hasOpenUpstream({ upstreams }: TaskPlan): boolean {
    return this.#plan.tasks.some(({ id, subTopology }) => {
      return upstreams.includes(subTopology.id) && !this.#ended.has(id);
    });
  }

  /** Called when tasks begin: with the next records, their end comes again. */
  opened(tasks: readonly TaskPlan[]): void {
    for (const { id } of tasks) this.#ended.delete(id);
    this.#changes++;
  }

  /** Called after each commit of a group. */
  committed(group: string, tasks: readonly Task[]): void {
    let isChange = false;
    for (const { id, isEnded, committedPosition } of tasks) {
      const isSame = isEnded === this.#ended.has(id);
      if (!isSame || this.#positions.get(id) !== committedPosition) isChange = true;
      this.#positions.set(id, committedPosition);
      if (isEnded) this.#ended.add(id);
      else this.#ended.delete(id);
    }
    if (!isChange) return;
    this.#changes++;
    this.#commits.set(group, (this.#commits.get(group) ?? 0) + 1);
  }

  /** Called by a group after a turn that found nothing to do, and during which nothing changed. */
  foundNothing(group: string): void {
    this.#dry.set(group, this.changesBesides(group));
    this.#isOver ||=
      this.#plan.tasks.every(({ id }) => this.#ended.has(id)) &&
      this.#groups.every((each) => this.#dry.get(each) === this.changesBesides(each));
  }
}
