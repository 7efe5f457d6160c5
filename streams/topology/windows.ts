import { int64, NO_ROOM, type Serde } from '../../core/index.ts';
import { checkArgument, checkOptions, integer, type OptionChecks } from '../../core/internal.ts';

/** A key within a window: [startMs, endMs). */
export interface Windowed<K> {
  readonly key: K;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
}

/** Windows of one size that begin every `advanceMs`, counted from 1970 (Kafka: `TimeWindows`). */
export interface TimeWindows {
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
export function tumblingWindow(options: {
  readonly sizeMs: number;
  readonly graceMs?: number;
}): TimeWindows {
  const { sizeMs, graceMs = 0 } = checkedWindow('tumblingWindow', options, {
    sizeMs: integer(1),
    graceMs: integer(0),
  });
  return { sizeMs, advanceMs: sizeMs, graceMs };
}

/**
 * Windows that overlap: a record is in `sizeMs / advanceMs` of them, or one more or less if that is
 * no whole number.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless 0 < advanceMs <= sizeMs, in whole
 *   milliseconds.
 */
export function hoppingWindow(options: {
  readonly sizeMs: number;
  readonly advanceMs: number;
  readonly graceMs?: number;
}): TimeWindows {
  const {
    sizeMs,
    advanceMs,
    graceMs = 0,
  } = checkedWindow('hoppingWindow', options, {
    sizeMs: integer(1),
    advanceMs: integer(1, options.sizeMs),
    graceMs: integer(0),
  });
  return { sizeMs, advanceMs, graceMs };
}

/** @throws LogError INVALID_OPTION unless they are windows. */
export function checkWindows(method: string, windows: TimeWindows): void {
  checkArgument(method, 'windows', windows, (value) => {
    const { sizeMs, advanceMs, graceMs } = (value ?? {}) as Partial<TimeWindows>;
    const isWindows =
      integer(1)(sizeMs) === undefined &&
      integer(1, sizeMs)(advanceMs) === undefined &&
      integer(0)(graceMs) === undefined;
    return isWindows ? undefined : 'windows, as tumblingWindow() or hoppingWindow() makes them';
  });
}

/** Returns the checked options. */
function checkedWindow<Options extends { readonly sizeMs: number; readonly advanceMs?: number }>(
  what: string,
  options: Options,
  checks: OptionChecks<Options>,
): Options {
  const required = ['sizeMs', 'advanceMs'] as const;
  checkOptions(
    what,
    options,
    checks,
    required.filter((option) => option in checks),
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

/**
 * A windowed key as Kafka's TimeWindowedSerializer writes it: the key, then the window's start in
 * eight bytes. The size is not in the bytes, so the reader has to know it.
 */
export function windowedSerde<K>(inner: Serde<K>, sizeMs: number): Serde<Windowed<K>> {
  const start = int64();
  return {
    name: `windowed(${inner.name})`,
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

const START_BYTES = 8;
