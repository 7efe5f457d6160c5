import { int32 } from '../serde/binary.ts';
import { BatchWriter } from './batch-writer.ts';
import { NO_HEADERS } from './record.ts';
import type { RecordCursor } from './record-cursor.ts';
import type { Serde } from '../serde/serde.ts';

/** How a transaction ended (Kafka: `ControlRecordType`). */
export type MarkerType = 'ABORT' | 'COMMIT';

const MARKER_TYPES: readonly MarkerType[] = ['ABORT', 'COMMIT'];
const VERSION = 0;

/** The one batch that ends a transaction in a partition. */
export interface Marker {
  readonly type: MarkerType;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  readonly timestampMs: number;
}

/** Value of a marker: version i16, coordinatorEpoch i32 (Kafka: `EndTransactionMarker`). */
const MARKER_VALUE: Serde<number> = {
  name: 'marker',
  serialize(coordinatorEpoch, target, position) {
    target.writeInt16BE(VERSION, position);
    return int32().serialize(coordinatorEpoch, target, position + 2);
  },
  deserialize: (source, start, end) => int32().deserialize(source, start + 2, end),
};

const MARKER_VALUE_BYTES = 6;
const MARKER_BATCH_BYTES = 128;

/** A control batch: version i16 and type i16 as its key, the coordinator's epoch in its value. */
export function encodeMarker(marker: Marker): Buffer {
  const key = Buffer.alloc(4);
  key.writeInt16BE(VERSION, 0);
  key.writeInt16BE(MARKER_TYPES.indexOf(marker.type), 2);
  const writer = new BatchWriter(MARKER_BATCH_BYTES);
  const { timestampMs, coordinatorEpoch } = marker;
  writer.append(timestampMs, key, 0, key.length, MARKER_VALUE, coordinatorEpoch, NO_HEADERS);
  return writer.close({
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    isTransactional: true,
    isControl: true,
  });
}

/**
 * The type of the control record that `cursor` stands on, or undefined for one that ends no
 * transaction (Kafka's own leader-change records).
 */
export function markerTypeAt(cursor: RecordCursor): MarkerType | undefined {
  if (cursor.keyStart < 0 || cursor.keyEnd - cursor.keyStart < 4) return undefined;
  return MARKER_TYPES[cursor.source.readInt16BE(cursor.keyStart + 2)];
}

/** The coordinator's epoch in the marker that `cursor` stands on; -1 if it has none. */
export function coordinatorEpochAt(cursor: RecordCursor): number {
  const { source, valueStart, valueEnd } = cursor;
  if (valueStart < 0 || valueEnd - valueStart < MARKER_VALUE_BYTES) return -1;
  // Later versions begin like this one (Kafka reads them so).
  return MARKER_VALUE.deserialize(source, valueStart, valueStart + MARKER_VALUE_BYTES);
}
