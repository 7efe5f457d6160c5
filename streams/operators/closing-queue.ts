import type { SessionBounds } from '../topology/store.ts';

/** A window that waits to close. */
interface Waiting<K> extends SessionBounds {
  readonly key: K;
  /** The key's bytes as text, once they were needed. */
  text: string | undefined;
}

/**
 * Windows that wait to close: they come out in the order of their ends, then of their starts, then
 * of the bytes of their keys, as from Kafka Streams' time-ordered stores. A binary heap.
 */
export class ClosingQueue<K> {
  readonly #keyText: (key: K) => string;
  readonly #heap: Waiting<K>[] = [];

  /** @param keyText The key's bytes as text, which sorts as they do. */
  constructor(keyText: (key: K) => string) {
    this.#keyText = keyText;
  }

  /** The end of the next window to close; Infinity if none waits. */
  get nextEndMs(): number {
    return this.#heap[0]?.endMs ?? Infinity;
  }

  /** Adds a window; it may wait already. */
  add(key: K, { startMs, endMs }: SessionBounds): void {
    const heap = this.#heap;
    const added: Waiting<K> = { key, startMs, endMs, text: undefined };
    let index = heap.length;
    heap.push(added);
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (this.#compare(heap[above]!, added) <= 0) break;
      heap[index] = heap[above]!;
      index = above;
    }
    heap[index] = added;
  }

  /** Takes the windows that end at this time or before, each once. */
  *take(endMs: number): Generator<Waiting<K>> {
    let last: Waiting<K> | undefined;
    while (this.nextEndMs <= endMs) {
      const next = this.#pop();
      if (last !== undefined && this.#compare(last, next) === 0) continue;
      last = next;
      yield next;
    }
  }

  clear(): void {
    this.#heap.length = 0;
  }

  #pop(): Waiting<K> {
    const heap = this.#heap;
    const first = heap[0]!;
    const moved = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && this.#compare(right, heap[below]!) < 0) below++;
      if (this.#compare(moved, heap[below]!) <= 0) break;
      heap[index] = heap[below]!;
      index = below;
    }
    heap[index] = moved;
    return first;
  }

  #compare(a: Waiting<K>, b: Waiting<K>): number {
    if (a.endMs !== b.endMs) return a.endMs - b.endMs;
    if (a.startMs !== b.startMs) return a.startMs - b.startMs;
    const left = (a.text ??= this.#keyText(a.key));
    const right = (b.text ??= this.#keyText(b.key));
    return left < right ? -1 : left > right ? 1 : 0;
  }
}
