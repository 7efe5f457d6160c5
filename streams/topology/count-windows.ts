import { int64, NO_ROOM, type Serde } from '../../core/index.ts';
import { checkArgument, checkOptions, integer, namesAround } from '../../core/internal.ts';

/** Windows of so many records of a key, whatever their times. Kafka Streams has none. */
export interface CountWindows {
  /** The records of a window. */
  readonly size: number;
  /** A window ends at each so many records; equal to `size` if windows do not overlap. */
  readonly advance: number;
}

/**
 * A key in a window of records, which are numbered from 0 for each key: from `windowStart` to
 * before `windowEnd`.
 */
export interface CountWindowed<K> {
  readonly key: K;
  readonly windowStart: number;
  readonly windowEnd: number;
}

const SIZE_MAX = 1_000_000_000;

/**
 * Windows of `size` records of a key. By default they follow each other; with `advance` a window of
 * the last `size` records ends at each `advance` of them, also before there are `size`.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless 0 < advance <= size, in whole numbers.
 */
export function countWindow(options: {
  readonly size: number;
  readonly advance?: number;
}): CountWindows {
  checkOptions('countWindow', options, { size: integer(1, SIZE_MAX), advance: fits(options) }, [
    'size',
  ]);
  const { size, advance = size } = options;
  return { size, advance };
}

/** @throws LogError INVALID_OPTION unless `countWindow` made them. */
export function checkCountWindows(method: string, windows: CountWindows): void {
  checkArgument(method, 'windows', windows, () => {
    const isWindows =
      integer(1, SIZE_MAX)(windows.size) === undefined &&
      fits(windows)(windows.advance) === undefined;
    return isWindows ? undefined : 'windows, as countWindow() makes them';
  });
}

function fits({ size }: { readonly size: number }): (value: unknown) => string | undefined {
  return integer(1, Number.isSafeInteger(size) ? Math.max(1, size) : SIZE_MAX);
}

const INT64_BYTES = 8;

/** A key in a window of records: the key, then the window's start and end in eight bytes each. */
export function countWindowedSerde<K>(inner: Serde<K>): Serde<CountWindowed<K>> {
  const number = int64();
  return {
    ...namesAround((name) => `count-windowed(${name})`, inner),
    serialize({ key, windowStart, windowEnd }, target, position) {
      const startAt = inner.serialize(key, target, position);
      if (startAt === NO_ROOM) return NO_ROOM;
      const endAt = number.serialize(windowStart, target, startAt);
      return endAt === NO_ROOM ? NO_ROOM : number.serialize(windowEnd, target, endAt);
    },
    deserialize(source, from, end) {
      const endAt = end - INT64_BYTES;
      const startAt = endAt - INT64_BYTES;
      const windowStart = number.deserialize(source, startAt, endAt);
      const windowEnd = number.deserialize(source, endAt, end);
      return { key: inner.deserialize(source, from, startAt), windowStart, windowEnd };
    },
  };
}
