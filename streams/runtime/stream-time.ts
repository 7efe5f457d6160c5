import type { Header, Headers } from '../../core/index.ts';

/**
 * The event time reached by an input.
 *
 * A repartition topic mixes the records of several upstream tasks, which are not equally far. If
 * the newest record counted, a task that ran ahead would make the others' records late. So each
 * upstream task writes its time into the topic, and the reader takes that of the slowest task that
 * is not idle, or of the furthest if all are idle (docs/decisions/0002-stream-time.md).
 */
export interface InputTime {
  /** -Infinity before the first record. Never goes back. */
  readonly timeMs: number;
}

/** Of upstream tasks: their times, and whether each is idle (1) or has ended (2). */
export interface UpstreamSnapshot {
  readonly upstreams: readonly number[];
  readonly flags: readonly number[];
}

const NO_UPSTREAMS: UpstreamSnapshot = { upstreams: [], flags: [] };

/** The time of an external topic: that of its newest record. */
export class RecordTime implements InputTime {
  timeMs = -Infinity;

  snapshot(): UpstreamSnapshot {
    return NO_UPSTREAMS;
  }

  restore(timeMs: number): void {
    this.timeMs = timeMs;
  }

  observe(timestampMs: number): boolean {
    if (timestampMs <= this.timeMs) return false;
    this.timeMs = timestampMs;
    return true;
  }
}

/** What an upstream task reports in a repartition topic. */
export interface TimeMarker {
  /** Its partition: its number among the tasks that write to the topic. */
  readonly upstream: number;
  /** Nothing older follows, except records that were out of order in their source. */
  readonly timeMs: number;
  /** It has had no input for a while: do not wait for it. */
  readonly isIdle: boolean;
  /** Its input has ended. */
  readonly isEnded: boolean;
}

/** How far the upstream tasks of a repartition topic are, according to this partition's markers. */
export class UpstreamTime implements InputTime {
  timeMs = -Infinity;
  readonly #upstreams: { timeMs: number; isIdle: boolean; isEnded: boolean }[];

  constructor(upstreamTasks: number) {
    this.#upstreams = Array.from({ length: upstreamTasks }, () => {
      return { timeMs: -Infinity, isIdle: false, isEnded: false };
    });
  }

  /** True if all upstream tasks have reached the end of their input. */
  get isEnded(): boolean {
    return this.#upstreams.every(({ isEnded }) => isEnded);
  }

  /** True if none of them has had input for a while. */
  get isQuiet(): boolean {
    return this.#upstreams.every(({ isIdle, isEnded }) => isIdle || isEnded);
  }

  /** Applies a marker; returns true if the time of the input has risen. */
  observe({ upstream, timeMs, isIdle, isEnded }: TimeMarker): boolean {
    const state = this.#upstreams[upstream];
    if (state === undefined) return false; // of a topology with more partitions than this one
    Object.assign(state, { timeMs: Math.max(state.timeMs, timeMs), isIdle, isEnded });
    return this.#recompute();
  }

  /** What a restart, or another group, needs. */
  snapshot(): UpstreamSnapshot {
    const upstreams = this.#upstreams.map(({ timeMs }) => timeMs);
    return { upstreams, flags: this.#upstreams.map(flagsOf) };
  }

  /**
   * Continues from a snapshot. After a restart each upstream task reports again whether it is idle
   * or has ended; if only this task begins again, none does.
   */
  restore(timeMs: number, { upstreams, flags }: UpstreamSnapshot): void {
    for (const [index, state] of this.#upstreams.entries()) {
      state.timeMs = upstreams[index] ?? -Infinity;
      state.isIdle = ((flags[index] ?? 0) & IDLE) !== 0;
      state.isEnded = ((flags[index] ?? 0) & ENDED) !== 0;
    }
    this.timeMs = timeMs;
  }

  #recompute(): boolean {
    let slowestMs = Infinity;
    let furthestMs = -Infinity;
    let isAnyIdle = false;
    for (const { timeMs, isIdle, isEnded } of this.#upstreams) {
      if (!isIdle && !isEnded && timeMs < slowestMs) slowestMs = timeMs;
      if (timeMs > furthestMs) furthestMs = timeMs;
      isAnyIdle ||= isIdle && !isEnded;
    }
    let timeMs = slowestMs;
    if (slowestMs === Infinity) {
      // Nothing to wait for. If all have ended, the reader's own end closes the windows.
      if (!isAnyIdle) return false;
      timeMs = furthestMs;
    }
    if (timeMs <= this.timeMs) return false;
    this.timeMs = timeMs;
    return true;
  }
}

function flagsOf({ isIdle, isEnded }: Pick<TimeMarker, 'isIdle' | 'isEnded'>): number {
  return (isIdle ? IDLE : 0) | (isEnded ? ENDED : 0);
}

const MARKER_HEADER = '__millrace.stream-time';
const MARKER_BYTES = 14;
const IDLE = 1;
const ENDED = 2;

/** The headers of a marker record, whose key and value are null: version, flags, upstream, time. */
export function encodeTimeMarker(marker: TimeMarker): Headers {
  const value = Buffer.alloc(MARKER_BYTES);
  value.writeInt8(0, 0);
  value.writeInt8(flagsOf(marker), 1);
  value.writeInt32BE(marker.upstream, 2);
  value.writeDoubleBE(marker.timeMs, 6);
  return [{ key: MARKER_HEADER, value }];
}

/** Parses a record without a key as a marker; undefined for a user's record. */
export function decodeTimeMarker(headers: Headers): TimeMarker | undefined {
  const header: Header | undefined = headers[0];
  if (header?.key !== MARKER_HEADER || header.value?.length !== MARKER_BYTES) return undefined;
  const value = Buffer.from(header.value);
  const flags = value.readInt8(1);
  return {
    upstream: value.readInt32BE(2),
    timeMs: value.readDoubleBE(6),
    isIdle: (flags & IDLE) !== 0,
    isEnded: (flags & ENDED) !== 0,
  };
}
