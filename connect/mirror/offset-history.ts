import type { OffsetSync } from './mirror-records.ts';

/** How many syncs of a partition are kept: the newest, and of older ones fewer and fewer. */
const SYNCS_MAX = 128;

/** What is known of a partition: which offsets here follow from which offsets there. */
export class OffsetHistory {
  /** By upstream offset, ascending. */
  #syncs: OffsetSync[] = [];

  /**
   * Adds a sync. One of an earlier upstream offset than the last begins a new history: the topic
   * was made again. Returns false if it is known.
   */
  add(sync: OffsetSync): boolean {
    const last = this.#syncs.at(-1);
    if (last !== undefined) {
      const { upstreamOffset, offset } = last;
      if (upstreamOffset === sync.upstreamOffset && offset === sync.offset) return false;
      if (sync.upstreamOffset < upstreamOffset || sync.offset < offset) this.#syncs = [];
      else if (sync.upstreamOffset === upstreamOffset) this.#syncs.pop();
    }
    this.#syncs.push(sync);
    if (this.#syncs.length > SYNCS_MAX) this.#thin();
    return true;
  }

  /**
   * The offset here for a group that will read `upstreamOffset` there: nothing that it has not read
   * is before it. Undefined if that is older than what is known.
   */
  translate(upstreamOffset: number): number | undefined {
    for (let index = this.#syncs.length - 1; index >= 0; index--) {
      const sync = this.#syncs[index]!;
      if (sync.upstreamOffset <= upstreamOffset) return sync.offset;
    }
    return undefined;
  }

  /** Drops every other one of the older half, but keeps the first. */
  #thin(): void {
    const half = this.#syncs.length / 2;
    this.#syncs = this.#syncs.filter((_, index) => index >= half || index % 2 === 0);
  }
}
