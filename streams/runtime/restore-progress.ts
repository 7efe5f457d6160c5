import type { Observable } from 'rxjs';
import type { Clock, Logger } from '../../core/index.ts';
import { Feed } from '../../core/internal.ts';

/**
 * How far the restore of a store is. `start` and `end` come once each, `progress` a few times a
 * second, and `suspended` instead of `end` if the restore was interrupted. A store that has nothing
 * to read back has no events.
 */
export interface RestoreEvent {
  readonly kind: 'start' | 'progress' | 'end' | 'suspended';
  readonly taskId: string;
  readonly store: string;
  /** What it is read back from. */
  readonly topic: string;
  readonly partition: number;
  /** Offsets that were read, of `total`: records, markers and gaps. */
  readonly restored: number;
  readonly total: number;
  /** The mean since its start. */
  readonly recordsPerSecond: number;
  /** The time left at this rate, in milliseconds; undefined as long as there is none. */
  readonly etaMs: number | undefined;
}

/** What is restored. */
export type RestoredPlace = Pick<RestoreEvent, 'taskId' | 'store' | 'topic' | 'partition'>;

/** The time between two events of a store. */
const EVENT_MS = 250;
/** The time before the first line in the log, and between two. */
const LOG_MS = 5_000;

/** Tells how far the restores of an application are, in events and now and again in the log. */
export class RestoreProgress {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #events = new Feed<RestoreEvent>();
  readonly #running = new Set<StoreProgress>();
  /** When the first of those that run began, or the last line was written. */
  #loggedMs = 0;
  #hasLogged = false;
  /** Of those that have ended. */
  #restoredBefore = 0;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  get events$(): Observable<RestoreEvent> {
    return this.#events.values$;
  }

  /** Those that are under way. */
  get running(): readonly RestoreEvent[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#running].map((each) => each.event('progress', nowMs));
  }

  /** Offsets that were read back, of all. */
  get restored(): number {
    return this.running.reduce((sum, { restored }) => sum + restored, this.#restoredBefore);
  }

  /** Begins to read from an offset up to another. */
  begin(place: RestoredPlace, startOffset: number, endOffset: number): StoreProgress {
    const nowMs = this.#clock.monotonicMs();
    if (this.#running.size === 0) [this.#loggedMs, this.#hasLogged] = [nowMs, false];
    const progress = new StoreProgress(place, { startOffset, endOffset, startMs: nowMs }, (kind) =>
      this.#tell(progress, kind),
    );
    this.#running.add(progress);
    this.#events.next(progress.event('start', nowMs));
    return progress;
  }

  /** No events come any more. */
  end(): void {
    this.#events.complete();
  }

  #tell(progress: StoreProgress, kind: 'progress' | 'end' | 'suspended'): void {
    if (!this.#running.has(progress)) return;
    const nowMs = this.#clock.monotonicMs();
    if (kind !== 'progress') {
      this.#running.delete(progress);
      this.#restoredBefore += progress.event(kind, nowMs).restored;
    } else if (nowMs - progress.toldMs < EVENT_MS) {
      this.#log(nowMs);
      return;
    }
    progress.toldMs = nowMs;
    this.#events.next(progress.event(kind, nowMs));
    if (kind !== 'suspended') this.#log(nowMs);
  }

  #log(nowMs: number): void {
    if (this.#running.size === 0) {
      if (this.#hasLogged) this.#logger.info('all stores are restored');
      return;
    }
    if (nowMs - this.#loggedMs < LOG_MS) return;
    this.#loggedMs = nowMs;
    this.#hasLogged = true;
    this.#logger.info(describe(this.running));
  }
}

/** How far one store is. */
export class StoreProgress {
  readonly #place: RestoredPlace;
  readonly #range: {
    readonly startOffset: number;
    readonly endOffset: number;
    readonly startMs: number;
  };
  readonly #tell: (kind: 'progress' | 'end' | 'suspended') => void;
  /** The next offset to read. */
  #offset: number;
  /** When its last event was. */
  toldMs: number;

  constructor(
    place: RestoredPlace,
    range: { readonly startOffset: number; readonly endOffset: number; readonly startMs: number },
    tell: (kind: 'progress' | 'end' | 'suspended') => void,
  ) {
    this.#place = place;
    this.#range = range;
    this.#tell = tell;
    this.#offset = range.startOffset;
    this.toldMs = range.startMs;
  }

  /** Notes how far it is. */
  advance(offset: number): void {
    this.#offset = offset;
    this.#tell(offset >= this.#range.endOffset ? 'end' : 'progress');
  }

  /** Ends it before its end; nothing if it has ended. */
  suspend(): void {
    this.#tell('suspended');
  }

  event(kind: RestoreEvent['kind'], nowMs: number): RestoreEvent {
    const { startOffset, endOffset, startMs } = this.#range;
    const restored = this.#offset - startOffset;
    const total = endOffset - startOffset;
    const seconds = (nowMs - startMs) / 1000;
    const recordsPerSecond = seconds > 0 ? restored / seconds : 0;
    const etaMs = recordsPerSecond > 0 ? ((total - restored) / recordsPerSecond) * 1000 : undefined;
    return { kind, ...this.#place, restored, total, recordsPerSecond, etaMs };
  }
}

function describe(running: readonly RestoreEvent[]): string {
  const sum = (of: (event: RestoreEvent) => number): number =>
    running.reduce((total, event) => total + of(event), 0);
  const [restored, total] = [sum((each) => each.restored), sum((each) => each.total)];
  const rate = sum((each) => each.recordsPerSecond);
  const left = rate > 0 ? `${Math.ceil((total - restored) / rate)} s` : 'an unknown time';
  return (
    `restores ${running.length} stores: ${restored} of ${total} records, ` +
    `${Math.round(rate)} a second, ${left} left`
  );
}
