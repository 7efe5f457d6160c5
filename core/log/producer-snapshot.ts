import { join } from 'node:path';
import { readInt64, writeInt64 } from '../int64.ts';
import { addSequence } from '../record/batch.ts';
import { crc32c } from '../record/crc32c.ts';
import { placeFile } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { offsetName, offsetOfName, SNAPSHOT_SUFFIX } from './segment/file-names.ts';
import type { ProducerBatch, ProducerState } from './producer-states.ts';

/**
 * `.snapshot`: the producers of a partition just before the offset in its name (Kafka:
 * `ProducerSnapshot.json`, version 1):
 *
 *     0 version i16 | 2 crc u32, of all from 6 on | 6 count i32 | then an entry each:
 *     0 producerId i64 | 8 epoch i16 | 10 lastSequence i32 | 14 lastOffset i64 | 22 offsetDelta i32
 *     26 timestamp i64 | 34 coordinatorEpoch i32 | 38 currentTxnFirstOffset i64, -1 for none
 *
 * It holds only the last batch of a producer, so after a restart a repeat of an older one is out of
 * order instead of recognised; a producer that survived has no reason to send it.
 */
const VERSION = 1;
const HEADER_BYTES = 10;
const ENTRY_BYTES = 46;
const CRC_POSITION = 2;
const CRC_START = 6;

/** The newest may be above the recorded recovery point; then the one before it counts. */
const SNAPSHOTS_KEPT = 2;

/**
 * Writes the snapshot for `offset` and removes obsolete ones. Not durable before the directory is
 * synced; until then the previous one is.
 *
 * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR
 */
export async function writeSnapshot(
  fileSystem: FileSystem,
  directory: string,
  { offset, snapshot }: { readonly offset: number; readonly snapshot: Buffer },
): Promise<void> {
  const path = (at: number) => join(directory, offsetName(at) + SNAPSHOT_SUFFIX);
  await placeFile(fileSystem, path(offset), snapshot);
  try {
    const entries = await fileSystem.list(directory);
    const offsets = entries
      .map(({ name }) => offsetOfName(name, SNAPSHOT_SUFFIX))
      .filter((found) => found !== undefined)
      .sort((a, b) => b - a);
    for (const old of offsets.slice(SNAPSHOTS_KEPT)) await fileSystem.remove(path(old));
  } catch (cause) {
    throw storageFailure(directory, 'remove', cause);
  }
}

export function encodeSnapshot(states: Iterable<ProducerState>): Buffer {
  const entries = [...states];
  const bytes = Buffer.alloc(HEADER_BYTES + entries.length * ENTRY_BYTES);
  bytes.writeInt16BE(VERSION, 0);
  bytes.writeInt32BE(entries.length, 6);
  for (const [index, state] of entries.entries()) {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    const last = state.batches.at(-1);
    writeInt64(bytes, at, state.producerId);
    bytes.writeInt16BE(state.epoch, at + 8);
    bytes.writeInt32BE(last?.lastSequence ?? -1, at + 10);
    writeInt64(bytes, at + 14, last?.lastOffset ?? -1);
    bytes.writeInt32BE(last === undefined ? 0 : last.lastOffset - last.baseOffset, at + 22);
    writeInt64(bytes, at + 26, state.lastAppendMs);
    bytes.writeInt32BE(state.coordinatorEpoch, at + 34);
    writeInt64(bytes, at + 38, state.transactionFirstOffset);
  }
  bytes.writeUInt32BE(crc32c(bytes, CRC_START, bytes.length), CRC_POSITION);
  return bytes;
}

/**
 * The states of a snapshot, or undefined if the file is damaged: recovery reads the log instead.
 */
export function decodeSnapshot(bytes: Buffer): ProducerState[] | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readInt16BE(0) !== VERSION) return undefined;
  const count = bytes.readInt32BE(6);
  if (bytes.length !== HEADER_BYTES + count * ENTRY_BYTES) return undefined;
  if (bytes.readUInt32BE(CRC_POSITION) !== crc32c(bytes, CRC_START, bytes.length)) return undefined;
  return Array.from({ length: count }, (_, index) =>
    decodeEntry(bytes, HEADER_BYTES + index * ENTRY_BYTES),
  );
}

function decodeEntry(bytes: Buffer, at: number): ProducerState {
  const lastSequence = bytes.readInt32BE(at + 10);
  const lastOffset = readInt64(bytes, at + 14);
  const offsetDelta = bytes.readInt32BE(at + 22);
  const batches: ProducerBatch[] = [];
  if (lastSequence >= 0) {
    // Sequences wrap at 2^31, so counting back to the first one wraps too.
    const firstSequence = addSequence(lastSequence, 0x8000_0000 - offsetDelta);
    batches.push({ firstSequence, lastSequence, baseOffset: lastOffset - offsetDelta, lastOffset });
  }
  return {
    producerId: readInt64(bytes, at),
    epoch: bytes.readInt16BE(at + 8),
    batches,
    transactionFirstOffset: readInt64(bytes, at + 38),
    coordinatorEpoch: bytes.readInt32BE(at + 34),
    lastAppendMs: readInt64(bytes, at + 26),
  };
}
