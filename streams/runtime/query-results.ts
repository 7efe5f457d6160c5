import { setImmediate as nextTurn } from 'node:timers/promises';
import type { QueryResults } from '../topology/queryable.ts';

const BATCH_ROWS = 256;
/** Batches after which others get their turn: tasks run in the same thread. */
const BATCHES_PER_TURN = 4;

/** Rows that are found and read as they are asked for. */
export class Results<T> implements QueryResults<T> {
  readonly #open: () => Promise<Iterator<T>>;

  /** @param open begins a query; its `return` is called if not all is read. */
  constructor(open: () => Promise<Iterator<T>>) {
    this.#open = open;
  }

  async *batches(): AsyncGenerator<readonly T[]> {
    const rows = await this.#open();
    let isDone = false;
    try {
      for (let count = 1; ; count++) {
        const batch: T[] = [];
        while (!isDone && batch.length < BATCH_ROWS) {
          const row = rows.next();
          if (row.done === true) isDone = true;
          else batch.push(row.value);
        }
        if (batch.length > 0) yield batch;
        if (isDone) return;
        if (count % BATCHES_PER_TURN === 0) await nextTurn();
      }
    } finally {
      if (!isDone) rows.return?.();
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for await (const batch of this.batches()) yield* batch;
  }

  async toArray(): Promise<T[]> {
    const all: T[] = [];
    for await (const batch of this.batches()) for (const row of batch) all.push(row);
    return all;
  }
}
