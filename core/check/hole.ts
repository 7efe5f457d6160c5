import {
  BATCH_OVERHEAD,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  placeBatch,
  writeBatchHeader,
} from '../record/batch.ts';
import { encodeMarker } from '../record/control.ts';

/** The marker of an aborted transaction that is known to be among the lost records. */
export interface LostMarker {
  readonly offset: number;
  readonly producerId: number;
  readonly producerEpoch: number;
}

const DELTA_MAX = 0x7fff_ffff;

/**
 * The replacement for the lost records from `from` up to `upTo`: batches without records, such as
 * compaction leaves. So offsets stay dense, no offset is assigned twice, and every reader of the
 * format skips it. Restores ABORT markers that are known to have been there: without its marker,
 * readers would take all later records of a producer for aborted.
 */
export function hole(
  from: number,
  upTo: number,
  lost: { readonly leaderEpoch?: number; readonly markers?: readonly LostMarker[] } = {},
): Buffer {
  const { leaderEpoch = 0, markers = [] } = lost;
  const batches: Buffer[] = [];
  let next = from;
  for (const { offset, producerId, producerEpoch } of markers) {
    pushEmpty(batches, { from: next, upTo: offset, leaderEpoch });
    const timestampMs = NO_TIMESTAMP;
    const kind = { type: 'ABORT', coordinatorEpoch: 0, timestampMs } as const;
    const marker = encodeMarker({ ...kind, producerId, producerEpoch });
    placeBatch(marker, 0, { baseOffset: offset, leaderEpoch });
    batches.push(marker);
    next = offset + 1;
  }
  pushEmpty(batches, { from: next, upTo, leaderEpoch });
  return Buffer.concat(batches);
}

function pushEmpty(
  batches: Buffer[],
  place: { readonly from: number; readonly upTo: number; readonly leaderEpoch: number },
): void {
  const { from, upTo, leaderEpoch } = place;
  for (let baseOffset = from; baseOffset < upTo;) {
    const lastOffsetDelta = Math.min(upTo - baseOffset - 1, DELTA_MAX);
    const batch = Buffer.alloc(BATCH_OVERHEAD);
    writeBatchHeader(batch, 0, {
      sizeBytes: BATCH_OVERHEAD,
      attributes: 0,
      lastOffsetDelta,
      baseTimestampMs: NO_TIMESTAMP,
      maxTimestampMs: NO_TIMESTAMP,
      producerId: NO_PRODUCER_ID,
      producerEpoch: NO_PRODUCER_EPOCH,
      baseSequence: NO_SEQUENCE,
      recordCount: 0,
    });
    placeBatch(batch, 0, { baseOffset, leaderEpoch });
    batches.push(batch);
    baseOffset += lastOffsetDelta + 1;
  }
}
