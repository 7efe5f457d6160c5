import { batchSizeBytes, isHole, readBatchHeader } from '../../record/batch.ts';
import { RecordCursor } from '../../record/record-cursor.ts';
import { ProducerStates } from '../producer-states.ts';
import { walkBatches } from '../segment/batch-walk.ts';
import { corrupt, readChunk } from '../segment/log-reader.ts';
import { abortedBy } from '../segment/segment-scan.ts';
import { Segment } from '../segment/segment.ts';
import type { AbortedTransaction } from '../segment/transaction-index.ts';
import type { LoadOptions } from './load-segment.ts';

const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * Reads from the log which transactions were aborted, by the base offset of the segment that holds
 * the marker: the right content of `.txnindex` below `upTo`. Starts at the first segment, because a
 * transaction may begin in any one before that of its marker; if it begins below the first record,
 * its entry begins at the first remaining batch. Changes nothing on the disk.
 *
 * @throws LogError CORRUPT_BATCH if a batch cannot be read: the answer is then unknown.
 */
export async function abortedInLog(
  options: LoadOptions,
  bases: readonly number[],
  upTo: number,
): Promise<Map<number, AbortedTransaction[]>> {
  const { fileSystem, directory, place } = options;
  const aborted = new Map<number, AbortedTransaction[]>();
  let producers = new ProducerStates(place);
  const cursor = new RecordCursor(place);
  for (const [index, baseOffset] of bases.entries()) {
    if (baseOffset >= upTo) break;
    const segment = new Segment(fileSystem, directory, baseOffset);
    const entries: AbortedTransaction[] = [];
    aborted.set(baseOffset, entries);
    let nextOffset = baseOffset;
    try {
      const to = await (await segment.file()).sizeBytes();
      const read = (position: number, count: number) => readChunk(segment, position, count);
      for await (const run of walkBatches({ read, from: 0, to, chunkBytes: CHUNK_BYTES })) {
        const { bytes, position, fault } = run;
        for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
          const header = readBatchHeader(bytes, at);
          if (header.baseOffset >= upTo) {
            nextOffset = upTo;
            break;
          }
          nextOffset = header.lastOffset + 1;
          // Markers were lost there: the end of earlier transactions is unknown.
          if (isHole(header)) producers = new ProducerStates(place);
          if (header.producerId < 0) continue;
          if (!header.isControl) {
            producers.append(header, 0, Infinity);
            continue;
          }
          cursor.open(bytes, at);
          const ended = cursor.next() ? abortedBy(cursor, producers, 0) : undefined;
          producers.settle(nextOffset);
          if (ended !== undefined) entries.push(ended);
        }
        if (fault === undefined) continue;
        const endOffset = Math.min(bases[index + 1] ?? upTo, upTo);
        if (nextOffset < endOffset) throw corrupt(segment, position + bytes.length, fault);
      }
    } finally {
      await segment.close();
    }
  }
  return aborted;
}
