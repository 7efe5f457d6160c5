import type { Change } from '../topology/change.ts';
import type { Forward, OperatorContext } from '../topology/operator.ts';
import type { SessionBounds, SessionEntry, SessionStore } from '../topology/store.ts';
import type { Windowed } from '../topology/windows.ts';
import { ClosingQueue } from './closing-queue.ts';
import { changeOf, Interval, type Emit } from './emit.ts';
import { resultRecord } from './results.ts';

/** What an operator with a session store passes on, and when. */
export interface SessionResultsOptions<K, A> {
  readonly store: SessionStore<K, A>;
  readonly emit: Emit;
  /** A window has closed when stream time has reached its end plus this. */
  readonly closesAfterMs: number;
  /** The time of a result is at most this long before the end of its window. */
  readonly lagMs: number;
  readonly forward: Forward<Windowed<K>, Change<A>>;
  readonly context: OperatorContext;
}

/**
 * Passes on the changes of windows that are kept in a session store, as `emit` says; with `each`
 * the operator does that itself.
 */
export class SessionResults<K, A> {
  readonly #store: SessionStore<K, A>;
  readonly #emit: Emit;
  readonly #closesAfterMs: number;
  readonly #forward: Forward<Windowed<K>, Change<A>>;
  readonly #context: OperatorContext;
  /** With `final` the windows that close next, with `everyMs` those that wait to be passed on. */
  readonly #queue: ClosingQueue<K>;
  /** With `final`: the last stretch of the store whose windows are in the queue. */
  #queuedStretchMs = -Infinity;
  /** With `final`: the first stretch of the store behind that. */
  #nextStretchMs = Infinity;
  /** With `everyMs`: what waits. */
  readonly #interval: Interval<Windowed<K>, A> | undefined;
  /** With `commit`: forwards the changes since the last one. */
  readonly flush: (() => void) | undefined;
  /** With `final` the next result is that of a window still open, with `everyMs` what waits. */
  readonly heldMs: (() => number) | undefined;

  constructor(options: SessionResultsOptions<K, A>) {
    const { store, emit, closesAfterMs, lagMs, context } = options;
    this.#store = store;
    this.#emit = emit;
    this.#closesAfterMs = closesAfterMs;
    this.#forward = options.forward;
    this.#context = context;
    this.#queue = new ClosingQueue((key) => store.keyText(key));
    const interval = typeof emit === 'object' ? this.#startInterval(emit.everyMs) : undefined;
    this.#interval = interval;
    if (context.sendsOldValues) store.keepBefore();
    if (emit === 'commit') store.holdChanges();
    if (emit === 'final') this.#nextStretchMs = store.stretches()[0] ?? Infinity;
    this.flush = emit === 'commit' ? () => store.passChanges(this.#passEntry) : undefined;
    if (emit === 'final') this.heldMs = () => context.streamTimeMs() - closesAfterMs + 1 - lagMs;
    else this.heldMs = interval && (() => interval.heldMs());
  }

  get deadlineMs(): number {
    const { nextEndMs } = this.#queue;
    const closesMs = Math.min(nextEndMs, this.#nextStretchMs) + this.#closesAfterMs;
    const expiresMs = Math.min(closesMs, this.#store.expiresMs);
    const interval = this.#interval;
    return interval === undefined ? expiresMs : Math.min(expiresMs, interval.dueMs);
  }

  /** With `final`: a window of this key is in the store. */
  noteWindow(key: K, bounds: SessionBounds): void {
    if (this.#emit !== 'final') return;
    const stretchMs = this.#store.stretchOf(bounds.endMs);
    if (stretchMs <= this.#queuedStretchMs) this.#queue.add(key, bounds);
    else this.#nextStretchMs = Math.min(this.#nextStretchMs, stretchMs);
  }

  advance(streamTimeMs: number, beforeMs: number): void {
    const interval = this.#interval;
    if (interval !== undefined && interval.dueMs <= streamTimeMs) {
      this.#store.passChanges(this.#passEntry);
      this.#queue.clear();
      interval.clear();
    }
    const endMs = streamTimeMs - this.#closesAfterMs;
    if (this.#emit === 'final') this.#queueUpTo(endMs, beforeMs - this.#closesAfterMs);
    for (const closed of this.#queue.take(endMs)) this.#close(closed.key, closed);
    this.#store.expire(streamTimeMs);
  }

  /** Closes all windows; returns the time at which the last one does. */
  endOfInput(): number {
    const newest = this.#store.stretches().at(-1);
    if (newest === undefined) return -Infinity;
    let endMs = -Infinity;
    for (const [, session] of this.#store.stretch(newest)) endMs = Math.max(endMs, session.endMs);
    const beforeMs = this.#context.streamTimeMs();
    const closedMs = Math.max(endMs + this.#closesAfterMs, beforeMs);
    this.#store.passChanges(this.#passEntry);
    this.#interval?.clear();
    this.advance(closedMs, beforeMs);
    return closedMs;
  }

  #startInterval(everyMs: number): Interval<Windowed<K>, A> {
    const store = this.#store;
    const interval = new Interval<Windowed<K>, A>(everyMs, store.name, this.#context);
    store.keepBefore();
    store.holdChanges(
      (entry, before) => {
        const { timestampMs } = entry;
        interval.note(windowedKey(entry.key, entry), timestampMs, before, timestampMs);
        this.#queue.add(entry.key, entry);
      },
      (entry) => interval.forget(windowedKey(entry.key, entry), entry.timestampMs),
    );
    interval.restore(({ key, windowStartMs, windowEndMs }, before, timestampMs) => {
      const bounds = { startMs: windowStartMs, endMs: windowEndMs };
      store.hold(key, { ...bounds, timestampMs }, before?.value);
      this.#queue.add(key, bounds);
    });
    return interval;
  }

  /** With `final`: adds the windows up to the end of a stretch, but those that have closed. */
  #queueUpTo(endMs: number, closedMs: number): void {
    const store = this.#store;
    const queuedMs = this.#queuedStretchMs;
    const dueMs = store.stretches().filter((startMs) => startMs > queuedMs && startMs <= endMs);
    for (const startMs of dueMs) {
      for (const [key, session] of store.stretch(startMs)) {
        if (session.endMs > closedMs) this.#queue.add(key, session);
      }
    }
    this.#queuedStretchMs = Math.max(queuedMs, store.stretchOf(endMs));
    this.#nextStretchMs = store.stretches().find((startMs) => startMs > endMs) ?? Infinity;
  }

  #close(key: K, bounds: SessionBounds): void {
    if (this.#interval !== undefined) {
      this.#store.passChange(key, bounds, this.#passEntry);
      this.#interval.forget(windowedKey(key, bounds), bounds.endMs);
      return;
    }
    const session = this.#store.get(key, bounds); // undefined if it was merged into another
    if (session !== undefined) this.#passEntry({ key, ...session }, undefined);
  }

  readonly #passEntry = (entry: SessionEntry<K, A>, before: A | undefined): void => {
    const { partition, sendsOldValues } = this.#context;
    const change = changeOf(entry.value, before, sendsOldValues);
    const key = windowedKey(entry.key, entry);
    this.#forward(resultRecord(key, change, entry.timestampMs, partition));
  };
}

/** The key of a result. */
export function windowedKey<K>(key: K, { startMs, endMs }: SessionBounds): Windowed<K> {
  return { key, windowStartMs: startMs, windowEndMs: endMs };
}
