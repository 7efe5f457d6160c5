import { asBuffer } from '../../serde/serde.ts';
import { batchLastOffset, batchSizeBytes } from '../../record/batch.ts';
import { markerTypeAt } from '../../record/control.ts';
import { RecordCursor } from '../../record/record-cursor.ts';
import type { AbortedRange, FetchedPartition } from '../../protocol/broker-api.ts';

/**
 * What one fetch brought of one partition: walks over its records, leaving out what readers do not
 * get to see: control records, records of aborted transactions, and those below the offset asked
 * for.
 */
export class PartitionRecords {
  readonly topic: string;
  readonly partition: number;
  /** Stands on the current record after `next` returned true. */
  readonly cursor: RecordCursor;
  /** The offset to go on with after all of it. Behind the last record where markers follow it. */
  readonly endOffset: number;
  readonly highWatermark: number;
  readonly #bytes: Buffer;
  readonly #fromOffset: number;
  /** By first offset; those behind `#abortedIndex` have not begun yet. */
  readonly #aborted: readonly AbortedRange[];
  #abortedIndex = 0;
  readonly #abortedProducers = new Set<number>();
  /** Where the batch after the current one starts. */
  #position = 0;
  #isInBatch = false;

  /** @param fromOffset of the first record wanted. */
  constructor(fetched: FetchedPartition, fromOffset: number) {
    const { topic, partition } = fetched;
    this.topic = topic;
    this.partition = partition;
    this.highWatermark = fetched.highWatermark;
    this.cursor = new RecordCursor({ topic, partition });
    this.#bytes = asBuffer(fetched.records);
    this.#fromOffset = fromOffset;
    this.#aborted = [...fetched.abortedTransactions].sort((a, b) => a.firstOffset - b.firstOffset);
    this.endOffset = endOf(this.#bytes, fromOffset);
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  /**
   * Moves `cursor` to the next record; false after the last one.
   *
   * @throws LogError CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE
   */
  next(): boolean {
    for (;;) {
      if (this.#isInBatch) {
        while (this.cursor.next()) if (this.cursor.offset >= this.#fromOffset) return true;
        this.#isInBatch = false;
      }
      if (this.#position >= this.#bytes.length) return false;
      this.#openBatch();
    }
  }

  #openBatch(): void {
    const { cursor } = this;
    cursor.open(this.#bytes, this.#position);
    const { header } = cursor;
    this.#position += header.sizeBytes;
    if (header.lastOffset < this.#fromOffset) return;
    if (this.#aborted.length > 0 && header.producerId >= 0) {
      this.#beginAborted(header.lastOffset);
      if (header.isControl) {
        // The marker ends the producer's aborted range, if it is in one.
        if (cursor.next() && markerTypeAt(cursor) === 'ABORT')
          this.#abortedProducers.delete(header.producerId);
        return;
      }
      if (header.isTransactional && this.#abortedProducers.has(header.producerId)) return;
    }
    this.#isInBatch = !header.isControl;
  }

  #beginAborted(offset: number): void {
    while (this.#abortedIndex < this.#aborted.length) {
      const { firstOffset, producerId } = this.#aborted[this.#abortedIndex]!;
      if (firstOffset > offset) return;
      this.#abortedProducers.add(producerId);
      this.#abortedIndex++;
    }
  }
}

function endOf(bytes: Buffer, fromOffset: number): number {
  let end = fromOffset;
  for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at))
    end = batchLastOffset(bytes, at) + 1;
  return end;
}
