import type { StoreCodec } from './codec.ts';
import { WAITS, type StoredRecord } from './kept-record.ts';

/** Records that wait to be passed on, in the order of their times. */
export class WaitingRecords<K, V> {
  /** Sorted by time. Some no longer wait, and are left out when their turn comes. */
  #records: StoredRecord<K, V>[] = [];
  /** The index of the first that may wait; those before it have been passed on. */
  #first = 0;
  /** How many of the list no longer wait. */
  #settledCount = 0;

  add(record: StoredRecord<K, V>): void {
    const records = this.#records;
    const { timestampMs } = record;
    let index = records.length; // most records come in the order of time
    while (index > this.#first && records[index - 1]!.timestampMs > timestampMs) index--;
    if (index === records.length) records.push(record);
    else records.splice(index, 0, record);
  }

  addAll(added: readonly StoredRecord<K, V>[]): void {
    if (added.length === 0) return;
    this.#records = [...this.#live(), ...added].sort((a, b) => a.timestampMs - b.timestampMs);
    this.#first = 0;
    this.#settledCount = 0;
  }

  /** One of the records no longer waits. */
  settled(): void {
    this.#settledCount++;
    if (this.#settledCount * 2 > this.#records.length) this.#compact(this.#live());
  }

  /** Removes those of a segment. */
  remove(segmentStartMs: number): void {
    if (this.#records.length === 0) return;
    this.#compact(this.#live().filter(({ windowStartMs }) => windowStartMs !== segmentStartMs));
  }

  /** The time of the oldest; Infinity for none. */
  oldestMs(): number {
    const records = this.#records;
    while (this.#first < records.length && !waits(records[this.#first]!)) this.#first++;
    return records[this.#first]?.timestampMs ?? Infinity;
  }

  /**
   * Removes and returns those up to `untilMs`; of one time in the order of their keys' bytes, of
   * one key in the order in which they came.
   */
  take(untilMs: number, codec: KeyCodec<K, V>): StoredRecord<K, V>[] {
    const taken: StoredRecord<K, V>[] = [];
    const records = this.#records;
    let hasTies = false;
    for (; this.#first < records.length; this.#first++) {
      const record = records[this.#first]!;
      if (record.timestampMs > untilMs) break;
      if (!waits(record)) continue;
      hasTies ||= taken.at(-1)?.timestampMs === record.timestampMs;
      taken.push(record);
    }
    if (this.#first * 2 > records.length) this.#compact(this.#live());
    return hasTies ? byTimeAndKey(taken, codec) : taken;
  }

  #live(): StoredRecord<K, V>[] {
    return this.#records.slice(this.#first).filter(waits);
  }

  #compact(records: StoredRecord<K, V>[]): void {
    this.#records = records;
    this.#first = 0;
    this.#settledCount = 0;
  }
}

type KeyCodec<K, V> = Pick<StoreCodec<StoredRecord<K, V>, StoredRecord<K, V>>, 'encodeKey'>;

function waits({ flags }: { readonly flags: number }): boolean {
  return (flags & WAITS) !== 0;
}

function byTimeAndKey<K, V>(
  records: readonly StoredRecord<K, V>[],
  codec: KeyCodec<K, V>,
): StoredRecord<K, V>[] {
  // With the same time, the bytes are those of the segment, the key, that time and the order.
  const encoded = records.map((record) => ({ record, bytes: codec.encodeKey(record) }));
  encoded.sort(
    (a, b) => a.record.timestampMs - b.record.timestampMs || Buffer.compare(a.bytes, b.bytes),
  );
  return encoded.map(({ record }) => record);
}
