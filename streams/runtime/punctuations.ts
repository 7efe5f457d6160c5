import { assert } from '../../core/internal.ts';
import type { PunctuationRequest } from '../topology/operator.ts';
import type { Cancellable, PunctuationType } from '../topology/processor.ts';
import type { Failures } from './failures.ts';
import { nodeFailed } from './record-failures.ts';

/** A scheduled call. Its due times are `originMs` and multiples of `intervalMs` later. */
interface Schedule {
  readonly node: string;
  readonly type: PunctuationType;
  readonly intervalMs: number;
  readonly originMs: number;
  readonly callback: (timeMs: number) => void;
  /** Its number among those that the start of its node made; undefined for later ones. */
  readonly index: number | undefined;
  readonly timeMs: () => number;
  dueMs: number;
  isCancelled: boolean;
}

/** When the wall-clock punctuations of a node are due, by number. */
export type WallClockDues = ReadonlyMap<string, number>;

/**
 * The punctuations of one task, with Kafka's rules of when they fire (PunctuationQueue.java,
 * PunctuationSchedule.java): the earliest due first; a call gets the current time, not the time at
 * which it was due; calls that were missed are made up for by one.
 */
export class Punctuations {
  /** Earliest due first; equals in the order in which they were scheduled. */
  readonly #streamTime: Schedule[] = [];
  readonly #wallClock: Schedule[] = [];
  readonly #nowMs: () => number;
  /** By node, the numbers of the next schedules at its start; undefined for a node that runs. */
  #starting: { readonly node: string; readonly next: Record<PunctuationType, number> } | undefined;
  /** Where the last commit was. */
  #kept: WallClockDues = new Map();
  /** True if event time has risen, or something was scheduled, since stream time last fired. */
  #mayFire = false;

  readonly #partition: number;
  readonly #failures: Failures;
  readonly #timed: (call: () => void) => void;

  constructor(options: {
    readonly partition: number;
    /** Decides about the failures of calls. */
    readonly failures: Failures;
    /** The wall clock. */
    readonly nowMs: () => number;
    /** Makes a call and measures how long it takes. */
    readonly timed: (call: () => void) => void;
  }) {
    this.#partition = options.partition;
    this.#failures = options.failures;
    this.#nowMs = options.nowMs;
    this.#timed = options.timed;
  }

  /** True if a stream-time punctuation may be due. */
  get mayFire(): boolean {
    return this.#mayFire;
  }

  /** Notes that event time has risen. */
  timeRose(): void {
    this.#mayFire = this.#streamTime.length > 0;
  }

  /** True if a wall-clock punctuation is to be kept that the last commit has not. */
  get hasUnkept(): boolean {
    return this.#wallClock.some(({ node, index }) => {
      return index !== undefined && !this.#kept.has(keptName(node, index));
    });
  }

  /** When the next wall-clock punctuation is due; Infinity for never. */
  get wallClockDueMs(): number {
    return this.#wallClock[0]?.dueMs ?? Infinity;
  }

  /** Continues from the last commit. Call it before the nodes start. */
  restore(kept: WallClockDues): void {
    this.#kept = kept;
  }

  /** Runs the start of a node: what it schedules continues from the last commit. */
  starting(node: string, start: () => void): void {
    assert(this.#starting === undefined, 'nodes start one after the other');
    this.#starting = { node, next: { 'stream-time': 0, 'wall-clock': 0 } };
    start();
    this.#starting = undefined;
  }

  /** @param timeMs event time at the node. */
  schedule(node: string, request: PunctuationRequest, timeMs: () => number): Cancellable {
    const { type, intervalMs, startMs, callback } = request;
    const isStreamTime = type === 'stream-time';
    const now = isStreamTime ? timeMs : this.#nowMs;
    const nowMs = now();
    const starting = this.#starting;
    const index = starting === undefined ? undefined : starting.next[type]++;
    const keptMs =
      isStreamTime || index === undefined
        ? Infinity
        : (this.#kept.get(keptName(node, index)) ?? Infinity);
    const originMs = startMs ?? (isStreamTime ? 0 : Math.min(nowMs + intervalMs, keptMs));
    // At a start, what was due by the event time of the last commit has fired before it.
    const isCountedOn = startMs !== undefined || (isStreamTime && starting !== undefined);
    const dueMs = isCountedOn ? nextDue(originMs, intervalMs, nowMs) : originMs;
    const schedule: Schedule = {
      ...{ node, type, intervalMs, originMs, callback, index, timeMs: now },
      dueMs: Math.min(dueMs, keptMs),
      isCancelled: false,
    };
    this.#insert(schedule);
    this.#mayFire = true;
    return {
      cancel: () => {
        schedule.isCancelled = true;
        this.#remove(schedule);
      },
    };
  }

  /**
   * Calls what is due by event time; returns true if there was anything. A call that fails is over,
   * as its node's `onError` says.
   *
   * @throws StreamsError PROCESSING_FAILED
   */
  fireStreamTime(): boolean {
    this.#mayFire = false;
    return this.#fire(this.#streamTime);
  }

  /** The same by the wall clock. */
  fireWallClock(): boolean {
    return this.wallClockDueMs <= this.#nowMs() && this.#fire(this.#wallClock);
  }

  /** What a commit keeps. */
  wallClockDues(): WallClockDues {
    const dues = this.#wallClock.flatMap(({ node, index, dueMs }) =>
      index === undefined ? [] : [[keptName(node, index), dueMs] as const],
    );
    return new Map(dues);
  }

  /** Called after a successful commit. */
  committed(): void {
    if (this.#wallClock.length > 0) this.#kept = this.wallClockDues();
  }

  #fire(list: Schedule[]): boolean {
    let hasFired = false;
    for (let index = 0; index < list.length;) {
      const schedule = list[index]!;
      const nowMs = schedule.timeMs();
      if (schedule.dueMs > nowMs) {
        index++; // other nodes may be further
        continue;
      }
      list.splice(index, 1);
      hasFired = true;
      this.#call(schedule, nowMs);
      if (!schedule.isCancelled) {
        schedule.dueMs = nextDue(schedule.originMs, schedule.intervalMs, nowMs);
        this.#insert(schedule);
      }
      index = 0;
    }
    return hasFired;
  }

  #call({ node, type, callback }: Schedule, nowMs: number): void {
    try {
      this.#timed(() => callback(nowMs));
    } catch (cause) {
      const when = `in its ${type} punctuation at ${nowMs}`;
      const partition = this.#partition;
      const error = nodeFailed(node, partition, when, cause);
      const place = { topic: '', partition, offset: -1 };
      const stage = 'processing';
      this.#failures.handle({ stage, node, cause, place, record: undefined, error });
    }
  }

  #insert(schedule: Schedule): void {
    const list = schedule.type === 'stream-time' ? this.#streamTime : this.#wallClock;
    let index = list.length;
    while (index > 0 && list[index - 1]!.dueMs > schedule.dueMs) index--;
    list.splice(index, 0, schedule);
  }

  #remove(schedule: Schedule): void {
    const list = schedule.type === 'stream-time' ? this.#streamTime : this.#wallClock;
    const index = list.indexOf(schedule);
    if (index >= 0) list.splice(index, 1);
  }
}

/** The first due time after `nowMs`. */
function nextDue(originMs: number, intervalMs: number, nowMs: number): number {
  if (originMs > nowMs) return originMs;
  return originMs + (Math.floor((nowMs - originMs) / intervalMs) + 1) * intervalMs;
}

/** The name under which a commit keeps a due time; the number is first: names may hold anything. */
function keptName(node: string, index: number): string {
  return `${index} ${node}`;
}
