import { StreamsError } from '../errors.ts';
import type { Serde } from '../../core/index.ts';

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
  /** How long after its end a window takes records that come late. */
  readonly graceMs: number;
}

/**
 * Windows that follow each other without overlap; each record is in one.
 *
 * @throws StreamsError TOPOLOGY_INVALID for a size that is not positive or a negative grace.
 */
export function tumblingWindow(options: {
  readonly sizeMs: number;
  readonly graceMs?: number;
}): TimeWindows {
  const { sizeMs, graceMs = 0 } = options;
  return checked({ sizeMs, advanceMs: sizeMs, graceMs });
}

/**
 * Windows that overlap: a record is in `sizeMs / advanceMs` of them.
 *
 * @throws StreamsError TOPOLOGY_INVALID unless 0 < advanceMs <= sizeMs.
 */
export function hoppingWindow(options: {
  readonly sizeMs: number;
  readonly advanceMs: number;
  readonly graceMs?: number;
}): TimeWindows {
  const { sizeMs, advanceMs, graceMs = 0 } = options;
  return checked({ sizeMs, advanceMs, graceMs });
}

function checked(windows: TimeWindows): TimeWindows {
  const { sizeMs, advanceMs, graceMs } = windows;
  const isWhole = [sizeMs, advanceMs, graceMs].every((each) => Number.isSafeInteger(each));
  if (isWhole && sizeMs > 0 && advanceMs > 0 && advanceMs <= sizeMs && graceMs >= 0) return windows;
  const reason =
    `windows need whole milliseconds with sizeMs > 0, 0 < advanceMs <= sizeMs and graceMs >= 0; got ` +
    `sizeMs=${sizeMs}, advanceMs=${advanceMs}, graceMs=${graceMs}`;
  throw new StreamsError('TOPOLOGY_INVALID', reason, { reason });
}

/** The start of the first window that holds `timestampMs`; the others follow every `advanceMs`. */
export function firstWindowStart({ sizeMs, advanceMs }: TimeWindows, timestampMs: number): number {
  const last = timestampMs - mod(timestampMs, advanceMs);
  const count = Math.ceil((sizeMs - (timestampMs - last)) / advanceMs);
  // Kafka clamps at 0: no window begins before 1970 unless the record is from before.
  return Math.max(last - (count - 1) * advanceMs, Math.min(0, last));
}

function mod(value: number, modulus: number): number {
  const rest = value % modulus;
  return rest < 0 ? rest + modulus : rest;
}

/**
 * A windowed key as Kafka's TimeWindowedSerializer writes it: the key, then the window's start in eight
 * bytes. The size is not in the bytes, so the reader has to know it.
 */
export function windowedSerde<K>(inner: Serde<K>, sizeMs: number): Serde<Windowed<K>> {
  return {
    name: `windowed(${inner.name})`,
    serialize(windowed, target, position) {
      const end = inner.serialize(windowed.key, target, position);
      if (end < 0 || end + 8 > target.length) return -1;
      target.writeBigInt64BE(BigInt(windowed.windowStartMs), end);
      return end + 8;
    },
    deserialize(source, start, end) {
      const windowStartMs = Number(source.readBigInt64BE(end - 8));
      const key = inner.deserialize(source, start, end - 8);
      return { key, windowStartMs, windowEndMs: windowStartMs + sizeMs };
    },
  };
}
