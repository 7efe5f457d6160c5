import { assert } from '../../core/internal.ts';
import type { TaskPlan } from './plan.ts';
import type { StreamsOptions } from './options.ts';

/**
 * Decides which group of an application has which tasks. By default there is one group, which has
 * all of them. That may change while they run.
 */
export class Division {
  /** How many groups there are. */
  readonly groups: number;
  /** By task: the group that it was moved to. */
  readonly #moved = new Map<string, number>();
  #follow: () => Promise<void> = () => Promise.resolve();

  constructor(groups = 1) {
    this.groups = groups;
  }

  /** The number of a task's group. */
  groupOf({ id, partition }: Pick<TaskPlan, 'id' | 'partition'>): number {
    return this.#moved.get(id) ?? partition % this.groups;
  }

  /** Gives a task to another group. Resolves when that is done, or one of them has failed. */
  move(task: string, group: number): Promise<void> {
    assert(group < this.groups, 'a task moves to a group that exists');
    this.#moved.set(task, group);
    return this.#follow();
  }

  /** Sets who is told when tasks have moved. */
  follow(changed: () => Promise<void>): void {
    this.#follow = changed;
  }
}

/** Not an option of users before groups can be more than parts of one thread. */
export const DIVISION = Symbol('division');

/** The division that an application is told of, or else one group. */
export function divisionOf(options: StreamsOptions & { readonly [DIVISION]?: Division }): Division {
  return options[DIVISION] ?? new Division();
}
