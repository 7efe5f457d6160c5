import type { RetryAction } from '../topology/record-errors.ts';

/** How often failures are remembered at most: each costs some bytes. */
const TRIES_MAX = 10_000;
/** Kafka's `retry.backoff.ms` is 100 ms, of a broker; what a function waits for takes longer. */
const BACKOFF_MS = 1_000;
const BACKOFF_MS_MAX = 60_000;

/** A record that failed, and where. */
export interface TriedRecord {
  readonly node: string;
  readonly taskId: string;
  /** Empty for what was read at no single place: a result, or a call of a punctuation. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

interface Tries extends TriedRecord {
  count: number;
}

/** What the attempts of an application learn from failures, each for those that follow. */
export class Recovery {
  /** The operators that give functions copies of the values that they keep: one of these failed. */
  readonly #careful = new Set<string>();
  /** The stores that check what is put into them: one could not be written. */
  readonly #checked = new Set<string>();
  /** By topic, how large its batches may be: one was refused. */
  readonly #limits = new Map<string, number>();
  readonly #tries = new Map<string, Tries>();

  isCareful(node: string): boolean {
    return this.#careful.has(node);
  }

  /** From the next attempt on the node is careful; returns false if it is. */
  becomeCareful(node: string): boolean {
    if (this.isCareful(node)) return false;
    this.#careful.add(node);
    return true;
  }

  /** True for a store that checks what is put into it. */
  isChecked(store: string): boolean {
    return this.#checked.has(store);
  }

  /** From the next attempt on the store checks what is put into it; returns false if it does. */
  checkWrites(store: string): boolean {
    if (this.isChecked(store)) return false;
    this.#checked.add(store);
    return true;
  }

  /** The newest known limit of a topic that has refused a batch; undefined for another. */
  limitOf(topic: string): number | undefined {
    return this.#limits.get(topic);
  }

  /** From the next attempt on this limit is checked; returns false if it is already. */
  noteLimit(topic: string, limitBytes: number): boolean {
    if (this.#limits.get(topic) === limitBytes) return false;
    this.#limits.set(topic, limitBytes);
    return true;
  }

  /** How long to wait before the next try of a record; undefined if there was the last one. */
  nextPauseMs(
    record: TriedRecord,
    { retry, backoffMs = BACKOFF_MS }: RetryAction,
  ): number | undefined {
    const key = keyOf(record);
    const count = this.#tries.get(key)?.count ?? 0;
    if (count >= retry) return undefined;
    this.#tries.set(key, { ...record, count: count + 1 });
    if (this.#tries.size > TRIES_MAX) this.#tries.delete(this.#tries.keys().next().value!);
    return Math.min(backoffMs * 2 ** count, Math.max(backoffMs, BACKOFF_MS_MAX));
  }

  /** Forgets the records of a partition below an offset, which are committed. */
  committed(topic: string, partition: number, offset: number): void {
    if (this.#tries.size === 0) return;
    for (const [key, tried] of this.#tries) {
      if (tried.topic !== topic || tried.partition !== partition) continue;
      if (tried.offset < offset) this.#tries.delete(key);
    }
  }

  /** Forgets what failed at no single place in a task, which has now come past that. */
  passed(taskId: string): void {
    if (this.#tries.size === 0) return;
    for (const [key, tried] of this.#tries) {
      if (tried.topic === '' && tried.taskId === taskId) this.#tries.delete(key);
    }
  }
}

/** For the test driver, which cannot start over: it is careful from the beginning. */
export class NoRecovery extends Recovery {
  override isCareful(): boolean {
    return true;
  }

  override isChecked(): boolean {
    return true;
  }

  override nextPauseMs(): undefined {
    return undefined;
  }
}

function keyOf({ node, taskId, topic, partition, offset }: TriedRecord): string {
  // Without a place nothing tells one failure from another in each attempt: a call by the wall
  // clock is at another time in each.
  const place = topic === '' ? '' : `${topic}-${partition}@${offset}`;
  return `${taskId} ${place} ${node}`;
}
