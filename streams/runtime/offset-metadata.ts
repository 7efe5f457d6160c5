/** What a commit keeps beside the offset of an input: enough to decide lateness as if nothing had happened. */
export interface OffsetMetadata {
  /** How far the input's time had come. */
  readonly timeMs: number;
  /** The stream time of the task, where it was ahead of its inputs: they had ended. */
  readonly streamTimeMs: number;
  /** For a repartition topic: how far each upstream task was. */
  readonly upstreams: readonly number[];
}

const VERSION = 'm1';
const RADIX = 36;
/** -Infinity. */
const NONE = '-';

/**
 * As text, for Kafka's committed offsets carry a string of at most 4096 bytes: version, times in base 36,
 * and the upstream tasks as distances from the slowest. Enough for some 600 of them.
 */
export function encodeOffsetMetadata(metadata: OffsetMetadata): string {
  const { timeMs, streamTimeMs, upstreams } = metadata;
  const finite = upstreams.filter((each) => each !== -Infinity);
  const base = finite.length === 0 ? 0 : Math.min(...finite);
  const distances = upstreams.map((each) => (each === -Infinity ? NONE : text(each - base)));
  return [VERSION, text(timeMs), text(streamTimeMs), text(base), distances.join(',')].join(';');
}

/** What was kept, or undefined for the commit of another program. */
export function decodeOffsetMetadata(metadata: string): OffsetMetadata | undefined {
  const [version, timeMs, streamTimeMs, base, distances] = metadata.split(';');
  if (version !== VERSION || distances === undefined) return undefined;
  const parts = distances === '' ? [] : distances.split(',');
  const start = number(base ?? '0');
  const upstreams = parts.map((part) => (part === NONE ? -Infinity : start + number(part)));
  return { timeMs: number(timeMs ?? NONE), streamTimeMs: number(streamTimeMs ?? NONE), upstreams };
}

function text(timeMs: number): string {
  return timeMs === -Infinity ? NONE : timeMs.toString(RADIX);
}

function number(part: string): number {
  return part === NONE ? -Infinity : parseInt(part, RADIX);
}
