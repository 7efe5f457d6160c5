import { readInt64 } from '../int64.ts';
import { OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX } from '../log/segment/file-names.ts';
import { OffsetIndex, TimeIndex } from '../log/segment/sparse-index.ts';
import type { BatchHeader } from '../record/batch.ts';

/** The first wrong entry of an index file. */
export interface IndexFault {
  readonly suffix: string;
  readonly positionBytes: number;
  readonly what: string;
}

/** An index without the zeros that Kafka preallocates and a killed broker leaves. */
function withoutRoom(bytes: Buffer, entryBytes: number): Buffer {
  let end = bytes.length;
  while (end > entryBytes && bytes[end - 1] === 0) end--;
  // Zeros at the end of an entry belong to it.
  const length = Math.ceil(end / entryBytes) * entryBytes;
  const isEmpty =
    length === entryBytes && bytes.length > length && !bytes.subarray(0, length).some(Boolean);
  return isEmpty ? bytes.subarray(0, 0) : bytes.subarray(0, Math.min(length, bytes.length));
}

/** The part of the log that was read before the entries are counted. */
interface Scanned {
  /** True if the file ends with half an entry only because it is being written. */
  readonly mayGrow: boolean;
}

/** Follows an index file while the check reads the batches that it points to. */
class Entries {
  readonly #bytes: Buffer;
  readonly #entryBytes: number;
  readonly #suffix: string;
  /** The position of the next entry. */
  at = 0;
  fault: IndexFault | undefined;

  constructor(bytes: Buffer, entryBytes: number, suffix: string) {
    this.#bytes = withoutRoom(bytes, entryBytes);
    this.#entryBytes = entryBytes;
    this.#suffix = suffix;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  get isAtEnd(): boolean {
    return this.at + this.#entryBytes > this.#bytes.length;
  }

  /** Moves to the next entry; records a fault if this one is wrong. */
  next(what?: string): void {
    if (what !== undefined) this.note(what);
    this.at += this.#entryBytes;
  }

  note(what: string): void {
    this.fault ??= { suffix: this.#suffix, positionBytes: this.at, what };
  }

  finish({ mayGrow }: Scanned): IndexFault | undefined {
    if (!this.isAtEnd) this.note('an entry points past the end of the segment');
    else if (this.at < this.#bytes.length && !mayGrow) this.note('it ends with half an entry');
    return this.fault;
  }
}

/**
 * Compares the offset index and the time index of one segment with its batches as they are read:
 * each entry must name a batch and describe it correctly (Kafka: `DumpLogSegments`).
 */
export class IndexCheck {
  readonly #baseOffset: number;
  readonly #offsets: Entries | undefined;
  readonly #times: Entries | undefined;
  #maxTimestampMs = -1;
  #entryTimestampMs = -Infinity;

  /** @param files the content of the existing index files. */
  constructor(
    baseOffset: number,
    files: { readonly offsets: Buffer | undefined; readonly times: Buffer | undefined },
  ) {
    this.#baseOffset = baseOffset;
    const { offsets, times } = files;
    const { ENTRY_BYTES: offsetBytes } = OffsetIndex;
    this.#offsets = offsets && new Entries(offsets, offsetBytes, OFFSET_INDEX_SUFFIX);
    this.#times = times && new Entries(times, TimeIndex.ENTRY_BYTES, TIME_INDEX_SUFFIX);
  }

  /** Checks the entries for a batch of the segment; call it in order. */
  batch(header: BatchHeader, position: number): void {
    if (this.#offsets !== undefined) this.#checkOffsets(this.#offsets, header, position);
    if (this.#times !== undefined) this.#checkTimes(this.#times, header);
    this.#maxTimestampMs = Math.max(this.#maxTimestampMs, header.maxTimestampMs);
  }

  /** Skips unreadable bytes: entries that point there are neither right nor wrong. */
  damage(endPosition: number, nextOffset: number): void {
    const [offsets, times] = [this.#offsets, this.#times];
    while (offsets !== undefined && !offsets.isAtEnd) {
      if (offsets.bytes.readInt32BE(offsets.at + 4) >= endPosition) break;
      offsets.next();
    }
    while (times !== undefined && !times.isAtEnd) {
      if (this.#baseOffset + times.bytes.readInt32BE(times.at + 8) >= nextOffset) break;
      this.#entryTimestampMs = readInt64(times.bytes, times.at);
      this.#maxTimestampMs = Math.max(this.#maxTimestampMs, this.#entryTimestampMs);
      times.next();
    }
  }

  /** The faults, after all batches were read. */
  faults(scanned: Scanned): IndexFault[] {
    const faults = [this.#offsets?.finish(scanned), this.#times?.finish(scanned)];
    return faults.filter((fault) => fault !== undefined);
  }

  /** The newest time in the segment, or -1. */
  get maxTimestampMs(): number {
    return this.#maxTimestampMs;
  }

  /** The newest time in the index, or -Infinity. */
  get indexedTimestampMs(): number {
    return this.#entryTimestampMs;
  }

  #checkOffsets(entries: Entries, { lastOffset }: BatchHeader, position: number): void {
    while (!entries.isAtEnd) {
      const entryPosition = entries.bytes.readInt32BE(entries.at + 4);
      if (entryPosition > position) return;
      const offset = this.#baseOffset + entries.bytes.readInt32BE(entries.at);
      if (entryPosition < position || position === 0) {
        entries.next(`no batch that has an entry starts at byte ${entryPosition}`);
      } else if (offset !== lastOffset) {
        entries.next(`the batch at byte ${position} ends with ${lastOffset}, not ${offset}`);
      } else {
        entries.next();
      }
    }
  }

  #checkTimes(entries: Entries, { lastOffset, maxTimestampMs }: BatchHeader): void {
    while (!entries.isAtEnd) {
      const offset = this.#baseOffset + entries.bytes.readInt32BE(entries.at + 8);
      if (offset > lastOffset) return;
      const timestampMs = readInt64(entries.bytes, entries.at);
      const isTrue = offset === lastOffset && timestampMs === maxTimestampMs;
      const isNewest = timestampMs >= this.#maxTimestampMs && timestampMs > this.#entryTimestampMs;
      this.#entryTimestampMs = timestampMs;
      if (isTrue && isNewest) entries.next();
      else entries.next(`the newest time up to offset ${offset} is not ${timestampMs}`);
    }
  }
}
