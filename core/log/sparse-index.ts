import { readInt64, writeInt64 } from '../int64.ts';

/**
 * A column of numbers that only grows at its end, kept in one typed array: an index of a segment of
 * 1 GiB has 262,144 entries, far too many for objects.
 */
class Column {
  #values = new Float64Array(64);
  count = 0;

  push(value: number): void {
    if (this.count === this.#values.length) {
      const larger = new Float64Array(this.count * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.count++] = value;
  }

  at(index: number): number {
    return this.#values[index]!;
  }

  /** How many leading values are at most `limit`; the values rise. */
  countUpTo(limit: number): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#values[middle]! <= limit) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * The offset index of one segment, `.index`: entries of
 *
 *     0 relativeOffset i32 | 4 position i32
 *
 * where the offset is the **last** one of a batch, relative to the segment's base, and the position
 * is where that batch starts (Kafka: `OffsetIndex`). Held in memory; the file is appended to when
 * the segment is sealed or checkpointed, and can always be made again from the log.
 */
export class OffsetIndex {
  static readonly ENTRY_BYTES = 8;
  readonly #baseOffset: number;
  readonly #offsets = new Column();
  readonly #positions = new Column();

  constructor(baseOffset: number) {
    this.#baseOffset = baseOffset;
  }

  get count(): number {
    return this.#offsets.count;
  }

  append(lastOffset: number, position: number): void {
    this.#offsets.push(lastOffset);
    this.#positions.push(position);
  }

  /** A position at or before the batch that holds `offset`: where a scan for it starts. */
  lookup(offset: number): number {
    const count = this.#offsets.countUpTo(offset);
    return count === 0 ? 0 : this.#positions.at(count - 1);
  }

  /** The last entry, or undefined for an empty index. */
  last(): { readonly offset: number; readonly position: number } | undefined {
    const { count } = this.#offsets;
    if (count === 0) return undefined;
    return { offset: this.#offsets.at(count - 1), position: this.#positions.at(count - 1) };
  }

  /** The entries from `first` on as they stand in the file. */
  encode(first: number): Buffer {
    const bytes = Buffer.alloc((this.count - first) * OffsetIndex.ENTRY_BYTES);
    for (let index = first; index < this.count; index++) {
      const position = (index - first) * OffsetIndex.ENTRY_BYTES;
      bytes.writeInt32BE(this.#offsets.at(index) - this.#baseOffset, position);
      bytes.writeInt32BE(this.#positions.at(index), position + 4);
    }
    return bytes;
  }

  /**
   * Takes over the entries of a file that point below `sizeBytes` and `endOffset`, up to the first
   * that does not rise: what follows is damage, or the zeros of a preallocated file of Kafka's.
   * Returns whether every entry was taken. A segment's first batch never has an entry, so positions
   * begin above 0.
   */
  load(bytes: Buffer, sizeBytes: number, endOffset: number): boolean {
    let [previousOffset, previousPosition] = [this.#baseOffset - 1, 0];
    const whole = bytes.length - (bytes.length % OffsetIndex.ENTRY_BYTES);
    for (let at = 0; at < whole; at += OffsetIndex.ENTRY_BYTES) {
      const offset = this.#baseOffset + bytes.readInt32BE(at);
      const position = bytes.readInt32BE(at + 4);
      const rises = offset > previousOffset && position > previousPosition;
      if (!rises || position >= sizeBytes || offset >= endOffset) return false;
      this.append(offset, position);
      [previousOffset, previousPosition] = [offset, position];
    }
    return whole === bytes.length;
  }
}

/**
 * The time index of one segment, `.timeindex`: entries of
 *
 *     0 timestamp i64 | 8 relativeOffset i32
 *
 * where the timestamp is the largest so far, strictly rising, and the offset is the **last** one of
 * the batch that holds it (Kafka: `TimeIndex`).
 */
export class TimeIndex {
  static readonly ENTRY_BYTES = 12;
  readonly #baseOffset: number;
  readonly #timestamps = new Column();
  readonly #offsets = new Column();

  constructor(baseOffset: number) {
    this.#baseOffset = baseOffset;
  }

  get count(): number {
    return this.#timestamps.count;
  }

  /** Adds an entry if it rises above the last one. */
  maybeAppend(timestampMs: number, offset: number): void {
    const { count } = this.#timestamps;
    if (count > 0 && timestampMs <= this.#timestamps.at(count - 1)) return;
    this.#timestamps.push(timestampMs);
    this.#offsets.push(offset);
  }

  /** The offset from which on a record stamped `timestampMs` or later may stand. */
  lookup(timestampMs: number): number {
    const count = this.#timestamps.countUpTo(timestampMs - 1);
    return count === 0 ? this.#baseOffset : this.#offsets.at(count - 1);
  }

  last(): { readonly timestampMs: number; readonly offset: number } | undefined {
    const { count } = this.#timestamps;
    if (count === 0) return undefined;
    return { timestampMs: this.#timestamps.at(count - 1), offset: this.#offsets.at(count - 1) };
  }

  encode(first: number): Buffer {
    const bytes = Buffer.alloc((this.count - first) * TimeIndex.ENTRY_BYTES);
    for (let index = first; index < this.count; index++) {
      const position = (index - first) * TimeIndex.ENTRY_BYTES;
      writeInt64(bytes, position, this.#timestamps.at(index));
      bytes.writeInt32BE(this.#offsets.at(index) - this.#baseOffset, position + 8);
    }
    return bytes;
  }

  /**
   * As `OffsetIndex.load`. An entry of zeros may be one of 1970, but then it is soon made again.
   */
  load(bytes: Buffer, endOffset: number): boolean {
    let [previousTimestamp, previousOffset] = [-Infinity, this.#baseOffset - 1];
    const whole = bytes.length - (bytes.length % TimeIndex.ENTRY_BYTES);
    for (let at = 0; at < whole; at += TimeIndex.ENTRY_BYTES) {
      const timestampMs = readInt64(bytes, at);
      const offset = this.#baseOffset + bytes.readInt32BE(at + 8);
      const rises = timestampMs > previousTimestamp && offset >= previousOffset;
      const isZero = timestampMs === 0 && offset === this.#baseOffset;
      if (!rises || isZero || offset >= endOffset) return false;
      this.maybeAppend(timestampMs, offset);
      [previousTimestamp, previousOffset] = [timestampMs, offset];
    }
    return whole === bytes.length;
  }
}
