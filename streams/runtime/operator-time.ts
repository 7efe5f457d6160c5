import type { Processor } from '../topology/operator.ts';
import type { InputTime } from './stream-time.ts';

/** An input of a task, as far as time is concerned. */
export interface TimedInput {
  readonly time: InputTime;
  /** It has been empty for so long that stream time no longer waits for it. */
  readonly isIdle: boolean;
}

/**
 * Where the records come from that reach a place of the topology: inputs of the task, and operators
 * that hold records back. Time at that place is the time of the slowest of them that is not idle;
 * when all are idle, nobody is waited for, and it is that of the one that has come furthest.
 */
export class Feed {
  readonly #inputs: readonly TimedInput[];
  readonly #operators: readonly OperatorTime[];

  constructor(inputs: readonly TimedInput[], operators: readonly OperatorTime[]) {
    this.#inputs = inputs;
    this.#operators = operators;
  }

  static merge(feeds: readonly Feed[]): Feed {
    const inputs = new Set(feeds.flatMap((feed) => feed.#inputs));
    const operators = new Set(feeds.flatMap((feed) => feed.#operators));
    return new Feed([...inputs], [...operators]);
  }

  /** True when nothing is to be expected from any of them. */
  get isIdle(): boolean {
    for (const { isIdle } of this.#inputs) if (!isIdle) return false;
    for (const { feed } of this.#operators) if (!feed.isIdle) return false;
    return true;
  }

  /** -Infinity while somebody is waited for who has had nothing yet. */
  timeMs(): number {
    let slowestMs = Infinity;
    let furthestMs = -Infinity;
    for (const { isIdle, time } of this.#inputs) {
      const { timeMs } = time;
      if (!isIdle && timeMs < slowestMs) slowestMs = timeMs;
      if (timeMs > furthestMs) furthestMs = timeMs;
    }
    for (const { feed, passedMs } of this.#operators) {
      if (passedMs < slowestMs && !feed.isIdle) slowestMs = passedMs;
      if (passedMs > furthestMs) furthestMs = passedMs;
    }
    return slowestMs === Infinity ? furthestMs : slowestMs;
  }
}

/**
 * How far event time is for one operator of a task, and for what follows it. An operator that holds
 * records back holds back time with them: else its results would be late for the windows behind it.
 */
export class OperatorTime {
  readonly feed: Feed;
  /** The store that its windows are in; undefined for an operator without windows. */
  readonly store: string | undefined;
  readonly #processor: Processor<unknown, unknown>;
  /** At the operator. Never goes back. */
  timeMs = -Infinity;
  /** Up to where the last flush has passed on everything. */
  #flushedMs = -Infinity;

  constructor(processor: Processor<unknown, unknown>, feed: Feed, store: string | undefined) {
    this.#processor = processor;
    this.feed = feed;
    this.store = store;
  }

  /** Whether an operator needs one: it holds records back, or acts when time comes. */
  static isNeededBy(processor: Processor<unknown, unknown>): boolean {
    return processor.flush !== undefined || processor.deadlineMs !== undefined;
  }

  /** What follows need not be prepared for older records than this, but for those out of order. */
  get passedMs(): number {
    const processor = this.#processor;
    if (processor.heldMs !== undefined) return processor.heldMs();
    return processor.flush === undefined ? this.timeMs : this.#flushedMs;
  }

  /** Takes over how far the feed has come; returns whether that was any further. */
  rise(): boolean {
    const timeMs = this.feed.timeMs();
    if (timeMs <= this.timeMs) return false;
    this.timeMs = timeMs;
    const { deadlineMs = Infinity } = this.#processor;
    if (deadlineMs <= timeMs) this.#processor.advance?.(timeMs);
    return true;
  }

  /** Passes on what is held back until a commit. */
  flush(): void {
    this.rise();
    this.#processor.flush?.();
    this.#flushedMs = this.timeMs;
  }

  /** Passes on everything, for nothing more will come; no flush is to follow. */
  end(): void {
    this.rise();
    const processor = this.#processor;
    // Not both: what a flush has passed on is still the change of this commit, and windows that
    // close pass on their changes.
    if (processor.endOfInput === undefined) processor.flush?.();
    else this.timeMs = Math.max(this.timeMs, processor.endOfInput());
    this.#flushedMs = this.timeMs;
  }
}
