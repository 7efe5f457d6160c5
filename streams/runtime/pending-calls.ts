import type { PendingRecords } from '../topology/operator.ts';

/** The records of a task that wait for calls of functions, over all of its operators. */
export class PendingCalls implements PendingRecords {
  /** Parents first. */
  readonly #parts: readonly PendingRecords[];

  constructor(parts: readonly PendingRecords[]) {
    this.#parts = parts;
  }

  /** True if there may be any. */
  get areUsed(): boolean {
    return this.#parts.length > 0;
  }

  get isFull(): boolean {
    return this.#parts.some(({ isFull }) => isFull);
  }

  get count(): number {
    return this.#parts.reduce((sum, { count }) => sum + count, 0);
  }

  get callCount(): number {
    return this.#parts.reduce((sum, { callCount }) => sum + callCount, 0);
  }

  resume(): number {
    return this.#parts.reduce((sum, part) => sum + part.resume(), 0);
  }

  lowestOffset(topic: string, partition: number): number {
    return Math.min(...this.#parts.map((part) => part.lowestOffset(topic, partition)), Infinity);
  }
}
