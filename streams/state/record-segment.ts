import { int64 } from '../../core/index.ts';
import { unpinned, type StoreCodec } from './codec.ts';
import type { KeyRange } from './environment.ts';
import { isWithin } from './key-range.ts';
import { fill, StoredRecord, WAITS, type StoredContent } from './kept-record.ts';
import { mergeReads } from './sorted-entries.ts';

const INT64 = int64();
/** The start of the segment, before each key. */
export const SEGMENT_BYTES = 8;
/** The time and the order, behind each key. */
const PLACE_BYTES = 12;
/** The time before each value. */
const TIMESTAMP_BYTES = 8;

/** What a segment needs to know. */
export interface SegmentOptions<K, V> {
  readonly startMs: number;
  readonly endMs: number;
  /** True if the checkpoint may have records of it. */
  readonly isCheckpointed: boolean;
  readonly codec: StoreCodec<StoredRecord<K, V>, StoredRecord<K, V>>;
  /** Reads the content of a value that begins at `start`. */
  readonly read: (source: Buffer, start: number) => StoredContent<V>;
  /** The entries of the checkpoint. */
  readonly range: (
    start: Buffer,
    end: Buffer,
    isReverse?: boolean,
  ) => Iterable<{ readonly key: Buffer; readonly value: Buffer }>;
  /** Called for each record that is read from the checkpoint. */
  readonly onLoaded: () => void;
}

/** The records of a key in a segment, in the order of time and then of their arrival. */
interface KeyRecords<K, V> {
  readonly records: StoredRecord<K, V>[];
  /** False if the checkpoint may have more. */
  isComplete: boolean;
}

/** The records of some time. What has not changed may be in the checkpoint only. */
export class RecordSegment<K, V> {
  readonly startMs: number;
  /** True if its waiting records are in the store's list. */
  isListed: boolean;
  /** True if the checkpoint may have records of it. */
  isCheckpointed: boolean;
  readonly #options: SegmentOptions<K, V>;
  readonly #keys = new Map<unknown, KeyRecords<K, V>>();
  /** False if the checkpoint has keys that are not here. */
  #isComplete: boolean;

  constructor(options: SegmentOptions<K, V>) {
    this.#options = options;
    this.startMs = options.startMs;
    this.isCheckpointed = options.isCheckpointed;
    this.isListed = !options.isCheckpointed;
    this.#isComplete = !options.isCheckpointed;
  }

  /** Records in memory. */
  get count(): number {
    let count = 0;
    for (const { records } of this.#keys.values()) count += records.length;
    return count;
  }

  /** The records of a key; undefined for none. */
  recordsOf(key: K): readonly StoredRecord<K, V>[] | undefined {
    const known = this.#keys.get(this.#idOf(key));
    if (known === undefined ? this.#isComplete : known.isComplete) return known?.records;
    return this.#load(key).records;
  }

  /**
   * All records with keys in a range, in the order of the bytes of their keys, then of time and of
   * their arrival, or against that. Leaves in the checkpoint what is only there.
   */
  *all(isReverse: boolean, keys: KeyRange): Generator<StoredRecord<K, V>> {
    const { codec, read, range, startMs } = this.#options;
    const memory = [...this.#keys.values()].flatMap(({ records }) =>
      records.map((entry) => ({ keyBytes: codec.encodeKey(entry), entry })),
    );
    const sign = isReverse ? -1 : 1;
    memory.sort((a, b) => sign * Buffer.compare(a.keyBytes, b.keyBytes));
    const bounds = boundsIn(startMs, keys);
    const stored = this.isCheckpointed ? range(bounds.start, bounds.end, isReverse) : [];
    for (const found of inKeyOrder(mergeReads(memory, stored, isReverse), sign)) {
      const bytes = bytesOf(found);
      if (!isWithin(keys, bytes.subarray(SEGMENT_BYTES, bytes.length - PLACE_BYTES))) continue;
      if ('entry' in found) {
        yield found.entry;
        continue;
      }
      const record = codec.decodeKey(found.key);
      fill(record, read(found.value, TIMESTAMP_BYTES));
      yield record;
    }
  }

  /** Adds a record behind those of its time. */
  add(key: K, timestampMs: number): StoredRecord<K, V> {
    const id = this.#idOf(key);
    let found = this.#keys.get(id);
    if (found === undefined && this.#isComplete) {
      this.#keys.set(id, (found = { records: [], isComplete: true }));
    } else if (found?.isComplete !== true) {
      found = this.#load(key);
    }
    const { records } = found;
    let index = records.length;
    while (index > 0 && records[index - 1]!.timestampMs > timestampMs) index--;
    const before = records[index - 1];
    const order = before?.timestampMs === timestampMs ? before.order + 1 : 0;
    const record = new StoredRecord<K, V>(unpinned(key), timestampMs, order, this.startMs);
    if (index === records.length) records.push(record);
    else records.splice(index, 0, record);
    return record;
  }

  /** Puts a record in its place; returns the one that is there already, if so. */
  put(record: StoredRecord<K, V>): { readonly record: StoredRecord<K, V>; isNew: boolean } {
    const id = this.#idOf(record.recordKey);
    let found = this.#keys.get(id);
    if (found === undefined) {
      this.#keys.set(id, (found = { records: [], isComplete: this.#isComplete }));
    }
    const { records } = found;
    let index = records.length;
    while (index > 0 && comesBefore(record, records[index - 1]!)) index--;
    const same = records[index - 1];
    if (same?.timestampMs === record.timestampMs && same.order === record.order) {
      return { record: same, isNew: false };
    }
    records.splice(index, 0, record);
    return { record, isNew: true };
  }

  /** The records that wait. Brings those of the checkpoint into memory. */
  waiting(): StoredRecord<K, V>[] {
    if (!this.#isComplete) {
      const { codec, range, startMs } = this.#options;
      for (const { key, value } of range(timeBytes(startMs), timeBytes(startMs + 1))) {
        if ((value.readUInt8(TIMESTAMP_BYTES) & WAITS) === 0) continue;
        this.recordsOf(codec.decodeKey(key).recordKey);
      }
    }
    const waiting: StoredRecord<K, V>[] = [];
    for (const { records } of this.#keys.values()) {
      for (const record of records) if ((record.flags & WAITS) !== 0) waiting.push(record);
    }
    return waiting;
  }

  /** Drops keys none of whose records has one of these flags; returns the number of records. */
  shrink(excess: number, flags: number): number {
    let count = 0;
    for (const [id, { records }] of this.#keys) {
      if (count >= excess) break;
      if (records.some((record) => (record.flags & flags) !== 0)) continue;
      this.#keys.delete(id);
      this.#isComplete = false;
      count += records.length;
    }
    return count;
  }

  /** Brings the records of a key in the checkpoint into memory; what is here already is newer. */
  #load(key: K): KeyRecords<K, V> {
    const { codec, read, range, onLoaded, startMs, endMs } = this.#options;
    const start = Buffer.from(codec.encodeKey(new StoredRecord<K, V>(key, startMs, 0, startMs)));
    const end = Buffer.from(start);
    INT64.serialize(endMs, end, end.length - PLACE_BYTES);
    for (const entry of range(start, end)) {
      if (entry.key.length !== start.length) continue; // a longer key that begins with this one
      const { record, isNew } = this.put(codec.decodeKey(entry.key));
      if (!isNew) continue;
      fill(record, read(entry.value, TIMESTAMP_BYTES));
      onLoaded();
    }
    const id = this.#idOf(key);
    let found = this.#keys.get(id);
    if (found === undefined) this.#keys.set(id, (found = { records: [], isComplete: true }));
    found.isComplete = true;
    return found;
  }

  #idOf(key: K): unknown {
    if (typeof key !== 'object' || key === null) return key;
    const probe = new StoredRecord<K, V>(key, this.startMs, 0, this.startMs);
    return this.#options.codec.encodeKey(probe).toString('latin1');
  }
}

/** The bytes from the first to the last record with keys in a range, and of some others. */
function boundsIn(startMs: number, { start, end }: KeyRange): SegmentBounds {
  const segment = timeBytes(startMs);
  const from = Buffer.concat([segment, start]);
  if (end === undefined) return { start: from, end: timeBytes(startMs + 1) };
  // A key that equals the end up to a zero byte may come before it, with a time behind it.
  const zeroAt = end.indexOf(0);
  if (zeroAt < 0) return { start: from, end: Buffer.concat([segment, end]) };
  return { start: from, end: Buffer.concat([segment, end.subarray(0, zeroAt), ONE]) };
}

interface SegmentBounds {
  readonly start: Buffer;
  readonly end: Buffer;
}

const ONE = Buffer.from([1]);

type Read = { readonly keyBytes: Buffer } | { readonly key: Buffer };

/**
 * Puts what was read in the order of keys. Behind the key comes the time, whose first byte is zero:
 * of keys that are equal up to a zero byte the records come mixed, and only of these. So those are
 * collected and sorted; with keys of numbers that may be all of a segment.
 */
function* inKeyOrder<R extends Read>(reads: Iterable<R>, sign: number): Generator<R> {
  let group: R[] = [];
  let start: Buffer | undefined; // of all of the group
  for (const read of reads) {
    const bytes = bytesOf(read);
    if (start !== undefined && !bytes.subarray(0, start.length).equals(start)) {
      yield* group.sort((a, b) => sign * compareKeys(bytesOf(a), bytesOf(b)));
      group = [];
      start = undefined;
    }
    start ??= bytes.subarray(0, bytes.indexOf(0, SEGMENT_BYTES) + 1);
    group.push(read);
  }
  yield* group.sort((a, b) => sign * compareKeys(bytesOf(a), bytesOf(b)));
}

function bytesOf(read: Read): Buffer {
  return 'key' in read ? read.key : read.keyBytes;
}

/** By the keys, then by what follows them. */
function compareKeys(a: Buffer, b: Buffer): number {
  const [keyEndA, keyEndB] = [a.length - PLACE_BYTES, b.length - PLACE_BYTES];
  const order = a.compare(b, SEGMENT_BYTES, keyEndB, SEGMENT_BYTES, keyEndA);
  return order === 0 ? Buffer.compare(a, b) : order;
}

function comesBefore(
  a: StoredRecord<unknown, unknown>,
  b: StoredRecord<unknown, unknown>,
): boolean {
  return a.timestampMs < b.timestampMs || (a.timestampMs === b.timestampMs && a.order < b.order);
}

function timeBytes(timeMs: number): Buffer {
  const bytes = Buffer.alloc(SEGMENT_BYTES);
  INT64.serialize(timeMs, bytes, 0);
  return bytes;
}
