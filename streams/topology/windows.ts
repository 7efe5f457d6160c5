import { int64, NO_ROOM, type Serde } from '../../core/index.ts';
import {
  checkArgument,
  checkOptions,
  integer,
  namesAround,
  type OptionChecks,
} from '../../core/internal.ts';

/**
 * A key within a window. The end of a tumbling or hopping window is the first moment behind it; a
 * session and a sliding window include theirs; that of an unlimited window is Infinity.
 */
export interface Windowed<K> {
  readonly key: K;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
}

/** How windows close, and rows expire, although no record comes that would move stream time. */
export interface IdleClosing {
  /**
   * If no record has come for so long by the application's clock, in milliseconds, stream time goes
   * on with the clock, from where it was, up to the end of the last window that has to close. What
   * comes later for a closed window is late. The input must also be idle, see `idleTimeoutMs` of
   * the application. Default: only records move time.
   */
  readonly closeAfterIdleMs?: number;
}

/** Windows of one size that begin every `advanceMs`, counted from 1970 (Kafka: `TimeWindows`). */
export interface TimeWindows extends IdleClosing {
  readonly sizeMs: number;
  /** Equal to `sizeMs` for tumbling windows. */
  readonly advanceMs: number;
  /** How long after its end a window accepts late records. */
  readonly graceMs: number;
}

/**
 * Windows that follow each other without overlap; each record is in one.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless the times are whole milliseconds, `sizeMs`
 *   at least one.
 */
export function tumblingWindow(
  options: { readonly sizeMs: number; readonly graceMs?: number } & IdleClosing,
): TimeWindows {
  const checks = { sizeMs: integer(1), ...CLOSING };
  const { sizeMs } = checkedWindow('tumblingWindow', options, checks);
  return { sizeMs, advanceMs: sizeMs, ...closing(options) };
}

/**
 * Windows that overlap: a record is in `sizeMs / advanceMs` of them, or one more or less if that is
 * no whole number.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless 0 < advanceMs <= sizeMs, in whole
 *   milliseconds.
 */
export function hoppingWindow(
  options: {
    readonly sizeMs: number;
    readonly advanceMs: number;
    readonly graceMs?: number;
  } & IdleClosing,
): TimeWindows {
  const { sizeMs, advanceMs } = checkedWindow('hoppingWindow', options, {
    sizeMs: integer(1),
    advanceMs: integer(1, options.sizeMs),
    ...CLOSING,
  });
  return { sizeMs, advanceMs, ...closing(options) };
}

/** Windows of activity: the records of a key up to a gap (Kafka: `SessionWindows`). */
export interface SessionWindows extends IdleClosing {
  /** A record belongs to a session if it is no further than this from one of its records. */
  readonly gapMs: number;
  /** How long after its end, which is its last record plus the gap, a session accepts records. */
  readonly graceMs: number;
}

/**
 * Sessions: a key's records without a gap of more than `gapMs` between them. A record that is near
 * two sessions merges them. A session starts at its first record and ends at its last, both
 * included.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless the times are whole milliseconds.
 */
export function sessionWindow(
  options: { readonly gapMs: number; readonly graceMs?: number } & IdleClosing,
): SessionWindows {
  const { gapMs } = checkedWindow('sessionWindow', options, { gapMs: integer(0), ...CLOSING });
  return { gapMs, ...closing(options) };
}

/** Windows of one size around the records of a key (Kafka: `SlidingWindows`). */
export interface SlidingWindows extends IdleClosing {
  /** The greatest difference in time of two records of a window. */
  readonly differenceMs: number;
  /** How long after its end a window accepts late records. */
  readonly graceMs: number;
}

/**
 * Windows that slide over the records of each key: one for each set of records that are no further
 * than `differenceMs` apart. A window ends at a record, or starts right after one; both its bounds
 * are included.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless the times are whole milliseconds,
 *   `differenceMs` at least one.
 */
export function slidingWindow(
  options: { readonly differenceMs: number; readonly graceMs?: number } & IdleClosing,
): SlidingWindows {
  const checks = { differenceMs: integer(1), ...CLOSING };
  const { differenceMs } = checkedWindow('slidingWindow', options, checks);
  return { differenceMs, ...closing(options) };
}

/** One window without an end (Kafka: `UnlimitedWindows`). */
export interface UnlimitedWindows {
  /** Older records are in no window. */
  readonly startMs: number;
}

/**
 * One window for each key, from `startMs` on, 1970 by default. It never closes.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless the start is a whole number of
 *   milliseconds since 1970.
 */
export function unlimitedWindow(options: { readonly startMs?: number } = {}): UnlimitedWindows {
  const { startMs = 0 } = checkedWindow('unlimitedWindow', options, { startMs: integer(0) });
  return { startMs };
}

/** Windows of a fixed start or size. */
export type FixedWindows = TimeWindows | SlidingWindows | UnlimitedWindows;

/** What `windowedBy` takes. */
export type AnyWindows = FixedWindows | SessionWindows;

/** The checks of how windows close. */
const CLOSING = { graceMs: integer(0), closeAfterIdleMs: integer(1) };

/** How windows close, given these options. */
export function closing({
  graceMs = 0,
  closeAfterIdleMs,
}: { readonly graceMs?: number } & IdleClosing): { readonly graceMs: number } & IdleClosing {
  return closeAfterIdleMs === undefined ? { graceMs } : { graceMs, closeAfterIdleMs };
}

/** The times that each kind of windows has, and their smallest values. */
const WINDOW_TIMES: readonly Readonly<Record<string, number>>[] = [
  { sizeMs: 1, advanceMs: 1, graceMs: 0 },
  { differenceMs: 1, graceMs: 0 },
  { gapMs: 0, graceMs: 0 },
  { startMs: 0 },
];

/** @throws LogError INVALID_OPTION unless they are windows. */
export function checkWindows(method: string, windows: AnyWindows): void {
  checkArgument(method, 'windows', windows, (value) => {
    const given = (value ?? {}) as Record<string, unknown>;
    const isWindows = WINDOW_TIMES.some((times) =>
      Object.entries(times).every(([time, min]) => integer(min)(given[time]) === undefined),
    );
    const { advanceMs = 0, sizeMs = 0, closeAfterIdleMs = 1 } = given as Partial<TimeWindows>;
    const closes = CLOSING.closeAfterIdleMs(closeAfterIdleMs) === undefined;
    if (isWindows && advanceMs <= sizeMs && closes) return undefined;
    return 'windows, as tumblingWindow(), sessionWindow() and their like make them';
  });
}

/** Options that a window cannot do without. */
const REQUIRED = ['sizeMs', 'advanceMs', 'gapMs', 'differenceMs'];

/** Returns the checked options. */
function checkedWindow<Options extends object>(
  what: string,
  options: Options,
  checks: OptionChecks<Options>,
): Options {
  const known = Object.keys(checks) as (keyof Options & string)[];
  checkOptions(
    what,
    options,
    checks,
    known.filter((option) => REQUIRED.includes(option)),
  );
  return options;
}

/**
 * The start of the first window that holds `timestampMs`, which is not negative; the others follow
 * every `advanceMs`. As in Kafka no window begins before 1970.
 */
export function firstWindowStart({ sizeMs, advanceMs }: TimeWindows, timestampMs: number): number {
  const last = timestampMs - (timestampMs % advanceMs);
  const count = Math.ceil((sizeMs - (timestampMs - last)) / advanceMs);
  return Math.max(last - (count - 1) * advanceMs, 0);
}

/** The start of the first window still open at `timeMs`. */
export function oldestOpenStart(windows: TimeWindows, timeMs: number): number {
  const { sizeMs, advanceMs, graceMs } = windows;
  const closedMs = timeMs - sizeMs - graceMs; // windows starting here or earlier have closed
  return (Math.floor(closedMs / advanceMs) + 1) * advanceMs;
}

/** Writes windowed keys. */
export interface WindowedSerde<K> extends Serde<Windowed<K>> {
  /** Writes the keys without their windows. */
  readonly inner: Serde<K>;
}

/**
 * A windowed key as Kafka's TimeWindowedSerializer writes it: the key, then the window's start in
 * eight bytes. The size is not in the bytes, so the reader has to know it.
 */
export function windowedSerde<K>(inner: Serde<K>, sizeMs: number): WindowedSerde<K> {
  const start = int64();
  return {
    ...namesAround((name) => `windowed(${name})`, inner),
    inner,
    serialize(windowed, target, position) {
      const end = inner.serialize(windowed.key, target, position);
      return end === NO_ROOM ? NO_ROOM : start.serialize(windowed.windowStartMs, target, end);
    },
    deserialize(source, from, end) {
      const windowStartMs = start.deserialize(source, end - START_BYTES, end);
      const key = inner.deserialize(source, from, end - START_BYTES);
      return { key, windowStartMs, windowEndMs: windowStartMs + sizeMs };
    },
  };
}

/**
 * A key in a session as Kafka's SessionWindowedSerializer writes it: the key, then end and start of
 * the session in eight bytes each.
 */
export function sessionWindowedSerde<K>(inner: Serde<K>): WindowedSerde<K> {
  const time = int64();
  return {
    ...namesAround((name) => `session-windowed(${name})`, inner),
    inner,
    serialize({ key, windowStartMs, windowEndMs }, target, position) {
      const endAt = inner.serialize(key, target, position);
      if (endAt === NO_ROOM) return NO_ROOM;
      const startAt = time.serialize(windowEndMs, target, endAt);
      return startAt === NO_ROOM ? NO_ROOM : time.serialize(windowStartMs, target, startAt);
    },
    deserialize(source, from, end) {
      const startAt = end - START_BYTES;
      const endAt = startAt - START_BYTES;
      const windowStartMs = time.deserialize(source, startAt, end);
      const windowEndMs = time.deserialize(source, endAt, startAt);
      return { key: inner.deserialize(source, from, endAt), windowStartMs, windowEndMs };
    },
  };
}

const START_BYTES = 8;
