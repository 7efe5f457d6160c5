import { expect } from 'vitest';
import { batchSizeBytes, readBatchHeader, type Codec } from '../../record/batch.ts';
import { markerTypeAt } from '../../record/control.ts';
import { recordAt, TEST_PLACE, type PlainRecord } from '../../record/records.suite.ts';
import { RecordCursor } from '../../record/record-cursor.ts';
import { readBatches, type LogHost } from '../log-host.suite.ts';
import type { PartitionLog } from '../partition-log.ts';

/** The content of one batch: keys, each with a value or null. */
export interface Written {
  readonly entries: readonly (readonly [key: string, isTombstone: boolean])[];
  readonly codec?: Codec;
  /** Its producer, or undefined for none. */
  readonly producerId?: number | undefined;
  readonly isTransactional?: boolean | undefined;
}

interface ModelRecord {
  readonly record: PlainRecord;
  /** The producer of its transaction while that is open. */
  openOf: number | undefined;
  isAborted: boolean;
}

/** The batches appended to a log, and the records that its readers must find. */
export class Model {
  readonly #records: ModelRecord[] = [];
  #count = 0;

  /** Appends the next batch of its producer. */
  async append(host: LogHost, written: Written): Promise<void> {
    const { entries, codec = 'none', producerId, isTransactional = false } = written;
    const timestampMs = host.clock.nowMs();
    const records = entries.map(([key, isTombstone], index) => {
      const value = isTombstone ? null : `${key} ${this.#count++} `.repeat(5);
      const headers = index % 2 === 0 ? [] : [['h', String(index)] as const];
      return { key, value, timestampMs: timestampMs + index, headers };
    });
    const last = producerId === undefined ? undefined : host.log.producers.get(producerId);
    const baseSequence = (last?.batches.at(-1)?.lastSequence ?? -1) + 1;
    const seal =
      producerId === undefined
        ? {}
        : { producerId, producerEpoch: 0, baseSequence, isTransactional };
    const { baseOffset, written: done } = host.append(records, { codec, ...seal });
    for (const [index, record] of records.entries()) {
      this.#records.push({
        record: { ...record, offset: baseOffset + index },
        openOf: isTransactional ? producerId : undefined,
        isAborted: false,
      });
    }
    await done;
  }

  async end(host: LogHost, producerId: number, type: 'COMMIT' | 'ABORT'): Promise<void> {
    const timestampMs = host.clock.nowMs();
    const marker = { type, producerId, producerEpoch: 0, coordinatorEpoch: 1, timestampMs };
    const { written } = host.log.appendMarker(marker);
    for (const entry of this.#records) {
      if (entry.openOf !== producerId) continue;
      entry.openOf = undefined;
      entry.isAborted = type === 'ABORT';
    }
    await written;
  }

  /** Newest values of committed records below `upTo`. */
  table(upTo = Infinity): Map<string, string> {
    return tableOf(
      this.#records
        .filter(({ record, isAborted }) => !isAborted && record.offset < upTo)
        .map(({ record }) => record),
    );
  }

  /** Checks what every reader finds, whatever was compacted. */
  async check(log: PartitionLog): Promise<void> {
    const read = await readCommitted(log);
    expect(tableOf(read)).toEqual(this.table(log.lastStableOffset));
    const known = new Map(this.#records.map((entry) => [entry.record.offset, entry]));
    let previous = -1;
    for (const record of read) {
      const entry = known.get(record.offset);
      expect(record).toEqual(entry?.record);
      expect(entry?.isAborted).toBe(false);
      expect(record.offset).toBeGreaterThan(previous);
      previous = record.offset;
    }
  }

  /** Checks that the compacted part has only the newest record of each key. */
  async checkCompacted(log: PartitionLog): Promise<void> {
    const { cleanedOffset } = log.compaction;
    const newest = new Map<string, number>();
    for (const { record, isAborted } of this.#records) {
      if (!isAborted && record.offset < cleanedOffset) newest.set(record.key!, record.offset);
    }
    for (const { offset, key } of await readCommitted(log)) {
      if (offset < cleanedOffset) expect([key, offset]).toEqual([key, newest.get(key!)]);
    }
  }
}

function tableOf(records: readonly PlainRecord[]): Map<string, string> {
  const table = new Map<string, string>();
  for (const { key, value } of records) {
    if (value === null) table.delete(key!);
    else table.set(key!, value);
  }
  return new Map([...table].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The records that a reader of committed data gets, in small reads. */
export async function readCommitted(log: PartitionLog): Promise<PlainRecord[]> {
  const endOffset = log.lastStableOffset;
  const bytes = await readBatches(log, log.logStartOffset, { endOffset });
  const aborted = log.abortedTransactions(log.logStartOffset, endOffset);
  const begun = new Set<number>();
  const records: PlainRecord[] = [];
  const cursor = new RecordCursor(TEST_PLACE);
  for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
    const { producerId, isControl, isTransactional, baseOffset, lastOffset } = readBatchHeader(
      bytes,
      at,
    );
    for (const entry of aborted) {
      if (entry.firstOffset <= lastOffset && entry.lastOffset >= baseOffset) {
        begun.add(entry.producerId);
      }
    }
    cursor.open(bytes, at);
    if (isControl) {
      if (cursor.next() && markerTypeAt(cursor) === 'ABORT') begun.delete(producerId);
      continue;
    }
    if (isTransactional && begun.has(producerId)) continue;
    while (cursor.next()) records.push(recordAt(cursor));
  }
  return records;
}

/** The state of the producers: newest sequence and open transaction. */
export function producersOf(log: PartitionLog): unknown {
  return [...log.producers.all()]
    .map(({ producerId, epoch, batches, transactionFirstOffset }) => {
      const { lastSequence = -1, lastOffset = -1 } = batches.at(-1) ?? {};
      return { producerId, epoch, lastSequence, lastOffset, isOpen: transactionFirstOffset >= 0 };
    })
    .sort((a, b) => a.producerId - b.producerId);
}
