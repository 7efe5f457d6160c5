import type { PartitionRecords } from '../../core/index.ts';
import type { TaskPlan } from './plan.ts';
import type { Task } from './task.ts';
import { placeOf } from './topics.ts';

/** The tasks of an attempt, which come and go as they are assigned. */
export class TaskSet {
  #tasks: readonly Task[] = [];
  #byInput: ReadonlyMap<string, Task> = new Map();
  /** What the tasks are, as it was assigned. */
  #assignment: readonly TaskPlan[] = [];
  /** What they are to be. */
  #next: readonly TaskPlan[];

  constructor(assigned: readonly TaskPlan[]) {
    this.#next = assigned;
  }

  /** Another array whenever they change. */
  get tasks(): readonly Task[] {
    return this.#tasks;
  }

  /** What they are, as it was assigned; something older while they change. */
  get assignment(): readonly TaskPlan[] {
    return this.#assignment;
  }

  /** What they are to be. */
  get next(): readonly TaskPlan[] {
    return this.#next;
  }

  /** Says what the tasks are to be. */
  assign(next: readonly TaskPlan[]): void {
    this.#next = next;
  }

  /** Has no other tasks than these from now on. */
  replace(tasks: readonly Task[]): void {
    this.#tasks = tasks;
    this.#byInput = new Map(
      tasks.flatMap((task) => task.inputs.map((input) => [placeOf(input), task] as const)),
    );
  }

  /** Notes that they are what was assigned. */
  settle(assignment: readonly TaskPlan[]): void {
    this.#assignment = assignment;
  }

  /** Hands records to the task that reads them. */
  add(records: PartitionRecords): void {
    this.#byInput.get(placeOf(records))?.add(records);
  }
}
