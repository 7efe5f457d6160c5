/** The resources of a process at the end of a minute. */
export interface Sample {
  readonly minute: number;
  /** After a garbage collection. */
  readonly heapBytes: number;
  /** All memory of the process, with the pages of mapped files. */
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly diskBytes: number;
  /** The median of the records that were waiting, looked at every second. */
  readonly lag: number;
}

/** The growth of one number over the second half of the samples. */
export interface Growth {
  readonly what: string;
  /** The slope of the best-fitting line. */
  readonly perMinute: number;
  /** In words. */
  readonly limit: string;
  readonly isTooMuch: boolean;
}

/** Retention removes old segments every five minutes: until then descriptors and disk grow. */
const PERIOD = 5;

/**
 * The limits of growth, per minute and over the whole second half. The leak that prompted this test
 * added 5 MB a minute; compiled functions and filling caches stay far below. Over an hour half a
 * megabyte a minute would be 15 MB, so the sum has a limit too. For descriptors and disk we compare
 * the peaks of five minutes, which differ by a segment or two; the same for all memory, which has
 * what the garbage collector has not returned.
 */
export const LIMITS = {
  samplesMin: 4,
  /** Fewer show nothing about retention: the second half needs at least two peaks. */
  peaksMin: 4 * PERIOD,
  heap: { perMinute: 0.5, sum: 5 },
  resident: { perMinute: 2, sum: 40 },
  descriptors: { perMinute: 1, sum: 10 },
  disk: { perMinute: 5, sum: 50 },
} as const;

/** Fits a line through the second half of the samples; the first half is warm-up. */
export function growthOf(samples: readonly Sample[]): Growth[] {
  const first = Math.floor(samples.length / 2);
  const of = (
    what: string,
    limit: { readonly perMinute: number; readonly sum: number },
    numberOf: (sample: Sample) => number,
    period = 1,
  ): Growth => {
    const peaks = samples.map(({ minute }, index): [number, number] => {
      const recent = samples.slice(Math.max(0, index + 1 - period), index + 1);
      return [minute, Math.max(...recent.map(numberOf))];
    });
    const half = peaks.slice(first);
    const perMinute = slope(half);
    const sum = perMinute * half.length;
    return {
      what,
      perMinute,
      limit: `at most ${limit.perMinute}, and ${limit.sum} in all`,
      isTooMuch: perMinute > limit.perMinute || sum > limit.sum,
    };
  };
  const heap = of('heap, MB', LIMITS.heap, ({ heapBytes }) => heapBytes / 1e6);
  if (samples.length < LIMITS.peaksMin) return [heap];
  return [
    heap,
    of('all memory, MB', LIMITS.resident, ({ residentBytes }) => residentBytes / 1e6, PERIOD),
    of('descriptors', LIMITS.descriptors, ({ descriptors }) => descriptors, PERIOD),
    of('disk, MB', LIMITS.disk, ({ diskBytes }) => diskBytes / 1e6, PERIOD),
  ];
}

/** The middle one of some numbers; 0 for none. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** The slope of the least-squares line; 0 for fewer than two points. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))];
  const spread = points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
  if (points.length < 2 || spread === 0) return 0;
  return points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0) / spread;
}
