import type { Operator, Processor } from '../topology/operator.ts';
import type { InputTime } from './stream-time.ts';

/** The time of a task's input. */
export interface TimedInput {
  readonly time: InputTime;
  /** Empty for so long that stream time no longer waits for it. */
  readonly isIdle: boolean;
  /** Since when it is empty, if it is idle and so are all who write to it; otherwise Infinity. */
  readonly quietSinceMs: number;
}

/**
 * The origins of the records at one point of the topology: inputs of the task, and operators that
 * hold records back. Time at that point is that of the slowest origin that is not idle, or of the
 * furthest if all are idle.
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

  /** True if no records are expected from any of them. */
  get isIdle(): boolean {
    for (const { isIdle } of this.#inputs) if (!isIdle) return false;
    for (const { isIdle } of this.#operators) if (!isIdle) return false;
    return true;
  }

  /** Since when all of them are quiet; Infinity if one is not. */
  quietSinceMs(): number {
    let sinceMs = -Infinity;
    for (const { quietSinceMs } of this.#inputs) if (quietSinceMs > sinceMs) sinceMs = quietSinceMs;
    for (const operator of this.#operators) sinceMs = Math.max(sinceMs, operator.quietSinceMs());
    return sinceMs;
  }

  /** -Infinity while it waits for an origin without records so far. */
  timeMs(): number {
    let slowestMs = Infinity;
    let furthestMs = -Infinity;
    for (const { isIdle, time } of this.#inputs) {
      const { timeMs } = time;
      if (!isIdle && timeMs < slowestMs) slowestMs = timeMs;
      if (timeMs > furthestMs) furthestMs = timeMs;
    }
    for (const { isIdle, passedMs } of this.#operators) {
      if (passedMs < slowestMs && !isIdle) slowestMs = passedMs;
      if (passedMs > furthestMs) furthestMs = passedMs;
    }
    return slowestMs === Infinity ? furthestMs : slowestMs;
  }
}

/**
 * The event time of one operator of a task, and of what follows it. An operator that holds records
 * back also holds back time: otherwise its results would be late for the windows behind it.
 */
export class OperatorTime {
  readonly feed: Feed;
  /** The name of its node, under which a commit keeps its time; undefined if it needs none kept. */
  readonly node: string | undefined;
  readonly #processor: Processor<unknown, unknown>;
  /** At the operator. Never goes back. */
  timeMs = -Infinity;
  /** The time up to which the last flush has forwarded everything. */
  #flushedMs = -Infinity;
  readonly #closeAfterIdleMs: number | undefined;
  /** Since when its feed is quiet, as it was seen last. */
  #quietSinceMs = Infinity;
  /** While it is quiet: when it was looked at last, and the time that was reached by then. */
  #lookedMs = 0;
  #quietTimeMs = -Infinity;

  constructor(
    processor: Processor<unknown, unknown>,
    feed: Feed,
    options: Pick<OperatorTime, 'node'> & Pick<Operator, 'closeAfterIdleMs'>,
  ) {
    this.#processor = processor;
    this.feed = feed;
    this.node = options.node;
    this.#closeAfterIdleMs = options.closeAfterIdleMs;
  }

  /** True if the operator needs one: it holds records back, or acts on time. */
  static isNeededBy(processor: Processor<unknown, unknown>): boolean {
    return processor.flush !== undefined || processor.deadlineMs !== undefined;
  }

  /** True while records of it wait for calls. */
  get isPending(): boolean {
    return (this.#processor.pending?.count ?? 0) > 0;
  }

  /** True if no records are expected from it. */
  get isIdle(): boolean {
    return this.feed.isIdle && !this.isPending;
  }

  /** Since when it is quiet; Infinity if it is not. */
  quietSinceMs(): number {
    return this.isPending ? Infinity : this.feed.quietSinceMs();
  }

  /** The time for what follows: no older records come, except those out of order. */
  get passedMs(): number {
    const processor = this.#processor;
    if (processor.heldMs !== undefined) return processor.heldMs();
    return processor.flush === undefined ? this.timeMs : this.#flushedMs;
  }

  /** Adopts the feed's time; returns true if that moved it. */
  rise(precedesRecord = false): boolean {
    const timeMs = this.feed.timeMs();
    const beforeMs = this.timeMs;
    if (timeMs <= beforeMs) return false;
    this.timeMs = timeMs;
    const { deadlineMs = Infinity } = this.#processor;
    if (deadlineMs <= timeMs) this.#processor.advance?.(timeMs, beforeMs, precedesRecord);
    return true;
  }

  /**
   * Lets time go on with the clock if nothing has come for long enough, to each deadline that this
   * reaches and no further: what comes later is late only for what has closed. True if time rose.
   */
  pass(nowMs: number): boolean {
    if (this.#closeAfterIdleMs === undefined) return false;
    const sinceMs = this.feed.quietSinceMs();
    if (sinceMs !== this.#quietSinceMs) {
      this.#quietSinceMs = sinceMs;
      this.#lookedMs = sinceMs;
      this.#quietTimeMs = this.timeMs;
    }
    if (sinceMs === Infinity) return false;
    // Not below its own time, which rises with that of an operator before it.
    this.#quietTimeMs = Math.max(this.#quietTimeMs + nowMs - this.#lookedMs, this.timeMs);
    this.#lookedMs = nowMs;
    return nowMs - sinceMs >= this.#closeAfterIdleMs && this.#passDeadlines(this.#quietTimeMs);
  }

  /** When `pass` has something to do if nothing comes, by its clock; Infinity for never. */
  get quietDueMs(): number {
    const { deadlineMs = Infinity } = this.#processor;
    const closeAfterIdleMs = this.#closeAfterIdleMs ?? Infinity;
    if (this.#quietSinceMs === Infinity || deadlineMs === Infinity) return Infinity;
    const reachedMs = this.#lookedMs + deadlineMs - this.#quietTimeMs;
    return Math.max(this.#quietSinceMs + closeAfterIdleMs, reachedMs);
  }

  #passDeadlines(untilMs: number): boolean {
    const processor = this.#processor;
    let passedMs = -Infinity;
    for (;;) {
      const { deadlineMs = Infinity } = processor;
      if (deadlineMs > untilMs || deadlineMs <= passedMs) return passedMs !== -Infinity;
      passedMs = deadlineMs;
      const beforeMs = this.timeMs;
      this.timeMs = Math.max(beforeMs, deadlineMs);
      processor.advance?.(this.timeMs, beforeMs, false);
    }
  }

  /** Forwards what is held back until a commit. */
  flush(): void {
    this.rise();
    this.#processor.flush?.();
    this.#flushedMs = this.timeMs;
  }

  /** Forwards everything at the end of input. */
  end(): void {
    this.rise();
    const processor = this.#processor;
    processor.flush?.();
    if (processor.endOfInput !== undefined)
      this.timeMs = Math.max(this.timeMs, processor.endOfInput());
    this.#flushedMs = this.timeMs;
  }
}
