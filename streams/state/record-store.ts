import { int64, serializeToBytes, type Serde } from '../../core/index.ts';
import { assert, checkArgument, integer } from '../../core/internal.ts';
import type { KeptRecord, RecordEntry, RecordStore } from '../topology/record-store.ts';
import type { KeySelection, StoreHandle, StoreSpec } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { StoreCodec, unpinned, type KeyPrefix, type LiveEntry } from './codec.ts';
import {
  firstKeys,
  type KeyRange,
  type StateEnvironment,
  type StoreChanges,
  type StoredChange,
} from './environment.ts';
import {
  fill,
  PASSED,
  PLACE_BYTES,
  storedKeySerde,
  type StoredRecord,
  storedValueSerde,
  WAITS,
} from './kept-record.ts';
import { ALL_KEYS, selectedRange } from './key-range.ts';
import { RecordSegment, SEGMENT_BYTES } from './record-segment.ts';
import { firstNotBelow, insert } from './sorted-list.ts';
import type { StoreKind, StoreSpan, TaskStore } from './store-kind.ts';
import { RECORD_METHODS } from './store-reads.ts';
import { WaitingRecords } from './waiting-records.ts';

/** Changed since the last commit. */
const CHANGED = 4;
/** Committed, not yet in a checkpoint. */
const PENDING = 8;

const INT64 = int64();
const TIMESTAMP_BYTES = 8;
/** A segment expires as a whole. Shorter ones would cost more than what they free. */
const SEGMENT_MS_MIN = 1_000;
const TIME = integer(0);
/** Behind all segments, whose first byte is below 0x80: the time of the newest record. */
const NEWEST_KEY = Buffer.from([0xff]);

/** Before each key: the start of its segment as i64, so that a segment's records are adjacent. */
const SEGMENT_PREFIX: KeyPrefix = {
  sizeBytes: SEGMENT_BYTES,
  write: (target, position, { windowStartMs = 0 }) => {
    INT64.serialize(windowStartMs, target, position);
  },
};

/** Records by key and time, with duplicates. */
export const recordKind: StoreKind = {
  title: 'record store',
  reads: { methods: RECORD_METHODS, order: (_, spec) => segmentOrder(spec) },
  writes: {
    keyBytes: SEGMENT_BYTES + PLACE_BYTES,
    methods: { put: { key: 0, value: 1 }, add: { whole: 0 } },
  },
  // Each record is written with a key of its own, and segments expire as a whole.
  changelogConfig: { cleanupPolicy: 'delete' },
  codec: (spec) => codecs(spec).codec,
  open: (spec, environment, isNew) => new TaskRecordStore(spec, environment, isNew),
};

export function recordStore<K, V>(name: string): StoreHandle<RecordStore<K, V>> {
  return { name, kind: 'record' };
}

/** Times, both ends included. */
interface Times {
  readonly fromMs: number;
  readonly toMs: number;
}

const ALWAYS: Times = { fromMs: -Infinity, toMs: Infinity };

type Visit<K, V> = (record: KeptRecord<K, V>) => void;

/** The codec of the stored records, and what reads the content of a value. */
function codecs<K, V>(spec: StoreSpec<K, V>) {
  const lifeMs = spec.expiry?.lifeMs;
  assert(lifeMs !== undefined, 'a store of records knows how long they live');
  const segmentMs = Math.max(SEGMENT_MS_MIN, Math.ceil(lifeMs / 2));
  const segmentStartOf = (timestampMs: number): number => timestampMs - (timestampMs % segmentMs);
  const { write, read } = storedValueSerde<K, V>(spec.value);
  const key = storedKeySerde<K, V>(spec.key, segmentStartOf);
  const codec = new StoreCodec({ ...spec, key, value: write }, SEGMENT_PREFIX);
  return { codec, read, lifeMs, segmentMs, segmentStartOf };
}

/** Bytes that sort records by their segments, and then by their keys. */
function segmentOrder(spec: StoreSpec): (entry: RecordEntry<unknown, unknown>) => Buffer {
  const { segmentStartOf } = codecs(spec);
  return ({ key, timestampMs }) => {
    const { start } = segmentBounds(segmentStartOf(timestampMs));
    return Buffer.concat([start, serializeToBytes(spec.key, key)]);
  };
}

/** A record store of a task: segments of records, and those of them that wait, by time. */
class TaskRecordStore<K, V> implements RecordStore<K, V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  newestMs = -Infinity;
  memoryCount = 0;
  readonly #key: Serde<K>;
  readonly #codecs: ReturnType<typeof codecs<K, V>>;
  readonly #environment: StateEnvironment;
  readonly #segments = new Map<number, RecordSegment<K, V>>();
  /** The starts of `#segments`, ascending. */
  #starts: number[] = [];
  /** The segment of the last addition, most often also of the next one. */
  #current: RecordSegment<K, V> | undefined;
  readonly #waiting = new WaitingRecords<K, V>();
  /** The starts of segments whose waiting records are not listed yet, ascending. */
  #unlisted: number[] = [];
  /** Records with CHANGED. Emptied by `takeChanged`. */
  #changed: StoredRecord<K, V>[] = [];
  /** Records with PENDING. Emptied by `takePending`. */
  #pending: StoredRecord<K, V>[] = [];
  /** Dropped segments that the next checkpoint removes. */
  readonly #dropped = new Set<number>();

  constructor(spec: StoreSpec<K, V>, environment: StateEnvironment, isNew: boolean) {
    this.#key = spec.key;
    this.#codecs = codecs(spec);
    this.spec = spec;
    this.codec = this.#codecs.codec;
    this.#environment = environment;
    if (isNew) return;
    const newest = environment.get(spec.name, NEWEST_KEY);
    if (newest !== undefined) this.newestMs = INT64.deserialize(newest, 0, newest.length);
    const endOf = (key: Buffer): Buffer => segmentBounds(segmentStart(key)).end;
    for (const key of firstKeys(environment, spec.name, endOf, NEWEST_KEY)) {
      this.#begin(segmentStart(key), true);
    }
  }

  get name(): string {
    return this.spec.name;
  }

  /** Segments take the place of single records. */
  get span(): StoreSpan {
    return { oldestMs: this.#starts[0] ?? Infinity, newestMs: this.#starts.at(-1) ?? -Infinity };
  }

  put(key: K, value: V, timestampMs: number): void {
    checkArgument('recordStore.put', 'timestampMs', timestampMs, TIME);
    this.#add(key, timestampMs).stored.recordValue = unpinned(value);
  }

  fetch(key: K, fromMs: number, toMs: number): Generator<RecordEntry<K, V>> {
    return this.#fetch(key, { fromMs, toMs }, false);
  }

  backwardFetch(key: K, fromMs: number, toMs: number): Generator<RecordEntry<K, V>> {
    return this.#fetch(key, { fromMs, toMs }, true);
  }

  fetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys: KeySelection<K, P> = {},
  ): Generator<RecordEntry<K, V>> {
    return this.#fetchAll({ fromMs, toMs }, false, selectedRange(this.#key, keys));
  }

  backwardFetchAll<P = K>(
    fromMs: number,
    toMs: number,
    keys: KeySelection<K, P> = {},
  ): Generator<RecordEntry<K, V>> {
    return this.#fetchAll({ fromMs, toMs }, true, selectedRange(this.#key, keys));
  }

  all(): Generator<RecordEntry<K, V>> {
    return this.#fetchAll(ALWAYS, false);
  }

  backwardAll(): Generator<RecordEntry<K, V>> {
    return this.#fetchAll(ALWAYS, true);
  }

  add(record: StreamRecord<K, V>, state: 'kept' | 'waiting' | 'passed'): void {
    const { key, value, timestampMs } = record;
    const { segment, stored } = this.#add(key, timestampMs);
    if (state === 'passed') {
      stored.flags |= PASSED;
      return;
    }
    stored.recordValue = unpinned(value);
    if (state === 'kept') return;
    stored.flags |= WAITS;
    stored.waiting = record;
    if (segment.isListed) this.#waiting.add(stored);
  }

  /** Adds a record without a value. */
  #add(
    key: K,
    timestampMs: number,
  ): { readonly segment: RecordSegment<K, V>; readonly stored: StoredRecord<K, V> } {
    const startMs = this.#codecs.segmentStartOf(timestampMs);
    let segment = this.#current;
    if (segment?.startMs !== startMs) {
      segment = this.#segments.get(startMs) ?? this.#begin(startMs, false);
      this.#current = segment;
    }
    const stored = segment.add(key, timestampMs);
    this.memoryCount++;
    if (timestampMs > this.newestMs) this.newestMs = timestampMs;
    stored.flags = CHANGED;
    this.#changed.push(stored);
    return { segment, stored };
  }

  find(key: K, fromMs: number, toMs: number, visit: Visit<K, V>): void {
    this.#visit(key, fromMs, toMs, visit, false);
  }

  match(key: K, fromMs: number, toMs: number, visit: Visit<K, V>): void {
    this.#visit(key, fromMs, toMs, visit, true);
  }

  oldestWaitingMs(): number {
    for (;;) {
      const oldestMs = this.#waiting.oldestMs();
      const [startMs = Infinity] = this.#unlisted;
      if (startMs > oldestMs || startMs === Infinity) return oldestMs;
      this.#listWaiting(startMs);
    }
  }

  takeWaiting(untilMs: number): StreamRecord<K, V>[] {
    while (this.#unlisted[0] !== undefined && this.#unlisted[0] <= untilMs) {
      this.#listWaiting(this.#unlisted[0]);
    }
    return this.#waiting.take(untilMs, this.#codecs.codec).map((stored) => {
      const { waiting } = stored;
      assert(waiting !== undefined, 'a record that waits is kept as a whole');
      stored.flags = (stored.flags & ~WAITS) | PASSED;
      stored.waiting = undefined;
      stored.recordValue = undefined;
      this.#noteChange(stored);
      return waiting;
    });
  }

  expiredBeforeMs(streamTimeMs: number): number {
    return Math.min(streamTimeMs, this.newestMs) - this.#codecs.lifeMs + 1;
  }

  expire(streamTimeMs: number): void {
    const { segmentMs } = this.#codecs;
    const aliveMs = this.expiredBeforeMs(streamTimeMs);
    for (let oldest = this.#starts[0]; oldest !== undefined; oldest = this.#starts[0]) {
      if (oldest + segmentMs > aliveMs) return;
      this.#drop(oldest);
    }
  }

  takeChanged(visit: (entry: LiveEntry<unknown, unknown>) => void): number {
    const changed = this.#changed;
    this.#changed = [];
    let count = 0;
    for (const stored of changed) {
      stored.flags &= ~CHANGED;
      if (!this.#segments.has(stored.windowStartMs)) continue; // dropped since
      if ((stored.flags & PENDING) === 0) this.#pending.push(stored);
      stored.flags |= PENDING;
      count++;
      visit(stored);
    }
    return count;
  }

  takePending(): StoreChanges {
    const changes: (StoredChange | KeyRange)[] = [];
    for (const startMs of this.#dropped) changes.push(segmentBounds(startMs));
    this.#dropped.clear();
    const pending = this.#pending;
    this.#pending = [];
    const written: { readonly key: Buffer; readonly value: Buffer }[] = [];
    for (const stored of pending) {
      stored.flags &= ~PENDING;
      const segment = this.#segments.get(stored.windowStartMs);
      if (segment === undefined) continue;
      segment.isCheckpointed = true;
      const { codec } = this.#codecs;
      written.push({ key: codec.encodeKey(stored), value: codec.encodeValue(stored) });
    }
    written.sort((a, b) => Buffer.compare(a.key, b.key));
    for (const change of written) changes.push(change);
    if (changes.length > 0) {
      const value = Buffer.alloc(TIMESTAMP_BYTES);
      INT64.serialize(this.newestMs, value, 0);
      changes.push({ key: NEWEST_KEY, value });
    }
    return changes;
  }

  restore(keyBytes: Buffer, valueBytes: Buffer | undefined): void {
    if (valueBytes === undefined) return; // a store of records writes no tombstones
    const { codec, read } = this.#codecs;
    const decoded = codec.decodeKey(keyBytes);
    const { windowStartMs, timestampMs } = decoded;
    const segment = this.#segments.get(windowStartMs) ?? this.#begin(windowStartMs, false);
    this.#unlist(segment);
    const { record, isNew } = segment.put(decoded);
    if (isNew) this.memoryCount++;
    fill(record, read(valueBytes, TIMESTAMP_BYTES));
    if (timestampMs > this.newestMs) this.newestMs = timestampMs;
    if ((record.flags & PENDING) === 0) this.#pending.push(record);
    record.flags |= PENDING;
  }

  shrinkTo(count: number): void {
    for (const startMs of this.#starts) {
      if (this.memoryCount <= count) return;
      const segment = this.#segments.get(startMs)!;
      this.#unlist(segment); // what waits has to be found again
      this.memoryCount -= segment.shrink(this.memoryCount - count, CHANGED | PENDING);
    }
  }

  *#fetch(key: K, times: Times, isReverse: boolean): Generator<RecordEntry<K, V>> {
    for (const segment of this.#segmentsIn(times, isReverse)) {
      const records = [...(segment.recordsOf(key) ?? [])];
      if (isReverse) records.reverse();
      yield* this.#within(records, segment, times);
    }
  }

  *#fetchAll(times: Times, isReverse: boolean, keys = ALL_KEYS): Generator<RecordEntry<K, V>> {
    for (const segment of this.#segmentsIn(times, isReverse)) {
      yield* this.#within(segment.all(isReverse, keys), segment, times);
    }
  }

  /** Those of some records that are found at these times, as long as their segment is there. */
  *#within(
    records: Iterable<StoredRecord<K, V>>,
    { startMs }: RecordSegment<K, V>,
    { fromMs, toMs }: Times,
  ): Generator<RecordEntry<K, V>> {
    for (const { recordKey: key, recordValue: value, timestampMs, flags } of records) {
      if (!this.#segments.has(startMs)) return;
      if (timestampMs < fromMs || timestampMs > toMs || (flags & PASSED) !== 0) continue;
      yield { key, value: value as V, timestampMs };
    }
  }

  #segmentsIn({ fromMs, toMs }: Times, isReverse: boolean): RecordSegment<K, V>[] {
    const { segmentMs } = this.#codecs;
    const found = this.#starts
      .filter((startMs) => startMs <= toMs && startMs + segmentMs > fromMs)
      .map((startMs) => this.#segments.get(startMs)!);
    return isReverse ? found.reverse() : found;
  }

  #visit(key: K, fromMs: number, toMs: number, visit: Visit<K, V>, isMatch: boolean): void {
    for (const startMs of this.#starts) {
      if (startMs > toMs) return;
      if (startMs + this.#codecs.segmentMs <= fromMs) continue;
      const records = this.#segments.get(startMs)!.recordsOf(key);
      if (records === undefined) continue;
      for (let index = firstNotBelow(records, fromMs, isBefore); index < records.length; index++) {
        const record = records[index]!;
        if (record.timestampMs > toMs) break;
        if ((record.flags & PASSED) !== 0) continue;
        if (isMatch) this.#settle(record);
        visit(record);
      }
    }
  }

  /** The record no longer waits. */
  #settle(stored: StoredRecord<K, V>): void {
    if ((stored.flags & WAITS) === 0) return;
    stored.flags &= ~WAITS;
    stored.waiting = undefined;
    this.#waiting.settled();
    this.#noteChange(stored);
  }

  #noteChange(stored: StoredRecord<K, V>): void {
    if ((stored.flags & CHANGED) !== 0) return;
    stored.flags |= CHANGED;
    this.#changed.push(stored);
  }

  /** Starts a segment; one in the checkpoint may have records that are not in memory. */
  #begin(startMs: number, isCheckpointed: boolean): RecordSegment<K, V> {
    const { segmentMs, codec, read } = this.#codecs;
    const segment = new RecordSegment<K, V>({
      ...{ startMs, endMs: startMs + segmentMs, isCheckpointed, codec, read },
      range: (start, end, isReverse) => this.#environment.range(this.name, start, end, isReverse),
      onLoaded: () => this.memoryCount++,
    });
    this.#segments.set(startMs, segment);
    insert(this.#starts, startMs);
    if (isCheckpointed) insert(this.#unlisted, startMs);
    return segment;
  }

  #drop(startMs: number): void {
    const segment = this.#segments.get(startMs)!;
    this.#unlist(segment);
    this.#unlisted = this.#unlisted.filter((start) => start !== startMs);
    this.#segments.delete(startMs);
    this.#starts.shift();
    this.#current = undefined;
    this.memoryCount -= segment.count;
    // The changelog needs no record of it: a restore finds out as we did.
    if (segment.isCheckpointed) this.#dropped.add(startMs);
  }

  /** Lists the records of a segment that wait. */
  #listWaiting(startMs: number): void {
    this.#unlisted = this.#unlisted.filter((start) => start !== startMs);
    const segment = this.#segments.get(startMs)!;
    segment.isListed = true;
    this.#waiting.addAll(segment.waiting());
  }

  /** Forgets which records of a segment wait, until that is needed again. */
  #unlist(segment: RecordSegment<K, V>): void {
    if (!segment.isListed) return;
    segment.isListed = false;
    this.#waiting.remove(segment.startMs);
    insert(this.#unlisted, segment.startMs);
  }
}

function isBefore({ timestampMs }: KeptRecord<unknown, unknown>, timeMs: number): boolean {
  return timestampMs < timeMs;
}

/** The start of the segment, before each key. */
function segmentStart(key: Buffer): number {
  return INT64.deserialize(key, 0, SEGMENT_BYTES);
}

/** The bytes before and after all keys of a segment. */
function segmentBounds(startMs: number): KeyRange & { readonly end: Buffer } {
  const [start, end] = [Buffer.alloc(SEGMENT_BYTES), Buffer.alloc(SEGMENT_BYTES)];
  INT64.serialize(startMs, start, 0);
  INT64.serialize(startMs + 1, end, 0);
  return { start, end };
}
