import type { Header, Headers } from '../../core/index.ts';

/**
 * How far event time has come, input by input.
 *
 * A repartition topic mixes the records of several upstream tasks, which are not equally far. If
 * the newest record counted, a task that ran ahead would make the others' records late. So each
 * upstream task writes into the topic how far it is, and the reader's time is that of the slowest
 * that is not idle, or when all are idle that of the furthest (docs/decisions/0002-stream-time.md).
 */
export interface InputTime {
  /** -Infinity before the first record. Never goes back. */
  readonly timeMs: number;
}

/** The time of a topic of the outside: that of its newest record. */
export class RecordTime implements InputTime {
  timeMs = -Infinity;

  observe(timestampMs: number): boolean {
    if (timestampMs <= this.timeMs) return false;
    this.timeMs = timestampMs;
    return true;
  }
}

/** What an upstream task says of itself in a repartition topic. */
export interface TimeMarker {
  /** Its partition, which is its number among the tasks that write to the topic. */
  readonly upstream: number;
  /**
   * Nothing older than this follows, but for records that are out of order where they come from.
   */
  readonly timeMs: number;
  /** It has had nothing to read for a while: do not wait for it. */
  readonly isIdle: boolean;
  /** Its input has ended. */
  readonly isEnded: boolean;
}

/** How far the upstream tasks of a repartition topic are, as this partition's markers have said. */
export class UpstreamTime implements InputTime {
  timeMs = -Infinity;
  readonly #upstreams: { timeMs: number; isIdle: boolean; isEnded: boolean }[];

  constructor(upstreamTasks: number) {
    this.#upstreams = Array.from({ length: upstreamTasks }, () => {
      return { timeMs: -Infinity, isIdle: false, isEnded: false };
    });
  }

  /** True when all upstream tasks have come to the end of their input. */
  get isEnded(): boolean {
    return this.#upstreams.every(({ isEnded }) => isEnded);
  }

  /** Takes a marker in; returns whether the time of the input has risen. */
  observe({ upstream, timeMs, isIdle, isEnded }: TimeMarker): boolean {
    const state = this.#upstreams[upstream];
    if (state === undefined) return false; // of a topology with more partitions than this one
    Object.assign(state, { timeMs: Math.max(state.timeMs, timeMs), isIdle, isEnded });
    return this.#recompute();
  }

  /**
   * What has to be kept to go on after a restart. Who is idle or has ended says so again by itself.
   */
  snapshot(): readonly number[] {
    return this.#upstreams.map(({ timeMs }) => timeMs);
  }

  restore(timeMs: number, upstreams: readonly number[]): void {
    for (const [index, state] of this.#upstreams.entries()) {
      state.timeMs = upstreams[index] ?? -Infinity;
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
      // Nobody is waited for. When all have ended it is the reader's end that closes the windows.
      if (!isAnyIdle) return false;
      timeMs = furthestMs;
    }
    if (timeMs <= this.timeMs) return false;
    this.timeMs = timeMs;
    return true;
  }
}

const MARKER_HEADER = '__millrace.stream-time';
const MARKER_BYTES = 14;
const IDLE = 1;
const ENDED = 2;

/** The headers of a marker record, whose key and value are null: version, flags, upstream, time. */
export function encodeTimeMarker(marker: TimeMarker): Headers {
  const value = Buffer.alloc(MARKER_BYTES);
  value.writeInt8(0, 0);
  value.writeInt8((marker.isIdle ? IDLE : 0) | (marker.isEnded ? ENDED : 0), 1);
  value.writeInt32BE(marker.upstream, 2);
  value.writeDoubleBE(marker.timeMs, 6);
  return [{ key: MARKER_HEADER, value }];
}

/** The marker that a record without a key is, or undefined for a record of a user. */
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
