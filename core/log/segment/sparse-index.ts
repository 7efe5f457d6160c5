import { readInt64, writeInt64 } from '../../int64.ts';

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

  /** The number of leading values that are at most `limit`; the values rise. */
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

/** The result of loading the entries of an index file. */
export type IndexCondition =
  /** All entries were taken. */
  | 'whole'
  /** The entries that point into the log were taken; the others belong to a tail that is gone. */
  | 'beyond'
  /** Some do not rise, or are cut short: entries may be missing. */
  | 'damaged';

/**
 * The offset index of one segment, `.index`: entries of
 *
 *     0 relativeOffset i32 | 4 position i32
 *
 * where the offset is the **last** one of a batch, relative to the segment's base, and the position
 * is the start of that batch (Kafka: `OffsetIndex`). Held in memory; the file is appended to when
 * the segment is sealed or checkpointed, and can always be rebuilt from the log.
 */
export class OffsetIndex {
  static readonly ENTRY_BYTES = 8;
  readonly #baseOffset: number;
  readonly #offsets = new Column();
  readonly #positions = new Column();
  #isDistrusted = false;

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

  /**
   * A position at or before the batch that holds `offset`, where a scan for it starts; and the last
   * offset of the batch there according to the index, or undefined at the start of the segment.
   */
  lookup(offset: number): { readonly position: number; readonly lastOffset: number | undefined } {
    const count = this.#isDistrusted ? 0 : this.#offsets.countUpTo(offset);
    if (count === 0) return { position: 0, lastOffset: undefined };
    return { position: this.#positions.at(count - 1), lastOffset: this.#offsets.at(count - 1) };
  }

  /** Finds nothing from now on: an entry proved wrong, and the format has no checksum. */
  distrust(): void {
    this.#isDistrusted = true;
  }

  /** The last entry, or undefined for an empty index. */
  last(): { readonly offset: number; readonly position: number } | undefined {
    const { count } = this.#offsets;
    if (count === 0) return undefined;
    return { offset: this.#offsets.at(count - 1), position: this.#positions.at(count - 1) };
  }

  /** The entries from `first` on, as stored in the file. */
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
   * Loads the entries of a file that point below `sizeBytes` and `endOffset`, up to the first that
   * does not rise: the rest is damage, or the zeros of a file that Kafka preallocated. A segment's
   * first batch never has an entry, so positions begin above 0.
   */
  load(bytes: Buffer, sizeBytes: number, endOffset: number): IndexCondition {
    let [previousOffset, previousPosition] = [this.#baseOffset - 1, 0];
    const whole = bytes.length - (bytes.length % OffsetIndex.ENTRY_BYTES);
    for (let at = 0; at < whole; at += OffsetIndex.ENTRY_BYTES) {
      const offset = this.#baseOffset + bytes.readInt32BE(at);
      const position = bytes.readInt32BE(at + 4);
      if (offset <= previousOffset || position <= previousPosition) return 'damaged';
      if (position >= sizeBytes || offset >= endOffset) return 'beyond';
      this.append(offset, position);
      [previousOffset, previousPosition] = [offset, position];
    }
    return whole === bytes.length ? 'whole' : 'damaged';
  }
}

/** The largest timestamp up to a batch, and the last offset of the batch that holds it. */
export interface TimeEntry {
  readonly timestampMs: number;
  readonly offset: number;
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

  /**
   * The last entry below `timestampMs`: no record before its batch is stamped that late. Undefined
   * if the search must start at the beginning of the segment.
   */
  lookup(timestampMs: number): TimeEntry | undefined {
    return this.#entryAt(this.#timestamps.countUpTo(timestampMs - 1) - 1);
  }

  last(): TimeEntry | undefined {
    return this.#entryAt(this.count - 1);
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

  /** As `OffsetIndex.load`. An entry of zeros may be one of 1970, but then it is rebuilt soon. */
  load(bytes: Buffer, endOffset: number): IndexCondition {
    let [previousTimestamp, previousOffset] = [-Infinity, this.#baseOffset - 1];
    const whole = bytes.length - (bytes.length % TimeIndex.ENTRY_BYTES);
    for (let at = 0; at < whole; at += TimeIndex.ENTRY_BYTES) {
      const timestampMs = readInt64(bytes, at);
      const offset = this.#baseOffset + bytes.readInt32BE(at + 8);
      const rises = timestampMs > previousTimestamp && offset >= previousOffset;
      const isZero = timestampMs === 0 && offset === this.#baseOffset;
      if (!rises || isZero) return 'damaged';
      if (offset >= endOffset) return 'beyond';
      this.maybeAppend(timestampMs, offset);
      [previousTimestamp, previousOffset] = [timestampMs, offset];
    }
    return whole === bytes.length ? 'whole' : 'damaged';
  }

  #entryAt(index: number): TimeEntry | undefined {
    if (index < 0) return undefined;
    return { timestampMs: this.#timestamps.at(index), offset: this.#offsets.at(index) };
  }
}
