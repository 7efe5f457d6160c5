import { crc32 } from 'node:zlib';
import { readInt64, writeInt64 } from '../../int64.ts';

/*
 * The content of one journal write, all big-endian:
 *
 *   4 bytes  magic
 *   4 bytes  CRC-32 of all that follows
 *   4 bytes  size of the frame
 *   4 bytes  generation: frames of another one are left over from an earlier use of the file
 *   4 bytes  index of the frame in its generation, from 0 on
 *   entries: 2 bytes length of the directory's name, 2 of the topic's id, 8 base offset of the
 *            segment, 4 position in its file, 4 number of bytes; the name, the id, the bytes.
 */
const MAGIC = 0x4d524a31; // MRJ1
const CRC_FROM = 8;
const HEADER_BYTES = 20;
const ENTRY_HEADER_BYTES = 20;

/** Bytes of a segment's log file. */
export interface JournalEntry {
  /** The name of the partition's directory. */
  readonly directory: string;
  /** Distinguishes the topic from a later one of the same name. */
  readonly topicId: string;
  readonly baseOffset: number;
  readonly position: number;
  readonly bytes: Buffer;
}

export interface Frame {
  readonly generation: number;
  readonly index: number;
  readonly sizeBytes: number;
  readonly entries: readonly JournalEntry[];
}

/** The size of a frame with these entries. */
export function frameSizeBytes(entries: readonly JournalEntry[]): number {
  const sizes = entries.map(({ directory, topicId, bytes }) => {
    const textBytes = Buffer.byteLength(directory) + Buffer.byteLength(topicId);
    return ENTRY_HEADER_BYTES + textBytes + bytes.length;
  });
  return sizes.reduce((sum, size) => sum + size, HEADER_BYTES);
}

/** A frame as a list of buffers; the bytes of the entries are not copied. */
export function encodeFrame(
  { generation, index }: Pick<Frame, 'generation' | 'index'>,
  entries: readonly JournalEntry[],
): Buffer[] {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt32BE(frameSizeBytes(entries), 8);
  header.writeUInt32BE(generation, 12);
  header.writeUInt32BE(index, 16);
  const buffers = entries.flatMap((entry) => [encodeEntryHeader(entry), entry.bytes]);
  const crcOfHeader = crc32(header.subarray(CRC_FROM));
  header.writeUInt32BE(
    buffers.reduce((crc, buffer) => crc32(buffer, crc), crcOfHeader),
    4,
  );
  return [header, ...buffers];
}

/** The frame that begins at `position`, or undefined if no whole one does. */
export function decodeFrame(source: Buffer, position: number): Frame | undefined {
  if (position + HEADER_BYTES > source.length) return undefined;
  if (source.readUInt32BE(position) !== MAGIC) return undefined;
  const sizeBytes = source.readUInt32BE(position + 8);
  if (sizeBytes < HEADER_BYTES || position + sizeBytes > source.length) return undefined;
  const frame = source.subarray(position, position + sizeBytes);
  if (crc32(frame.subarray(CRC_FROM)) !== frame.readUInt32BE(4)) return undefined;
  const entries: JournalEntry[] = [];
  for (let at = HEADER_BYTES; at < sizeBytes;) {
    const [directoryBytes, idBytes] = [frame.readUInt16BE(at), frame.readUInt16BE(at + 2)];
    const [nameAt, idAt] = [at + ENTRY_HEADER_BYTES, at + ENTRY_HEADER_BYTES + directoryBytes];
    const [bytesAt, length] = [idAt + idBytes, frame.readUInt32BE(at + 16)];
    entries.push({
      directory: frame.toString('utf8', nameAt, idAt),
      topicId: frame.toString('utf8', idAt, bytesAt),
      baseOffset: readInt64(frame, at + 4),
      position: frame.readUInt32BE(at + 12),
      bytes: frame.subarray(bytesAt, bytesAt + length),
    });
    at = bytesAt + length;
  }
  const [generation, index] = [frame.readUInt32BE(12), frame.readUInt32BE(16)];
  return { generation, index, sizeBytes, entries };
}

function encodeEntryHeader(entry: JournalEntry): Buffer {
  const { directory, topicId, baseOffset, position, bytes } = entry;
  const [directoryBytes, idBytes] = [Buffer.byteLength(directory), Buffer.byteLength(topicId)];
  const header = Buffer.alloc(ENTRY_HEADER_BYTES + directoryBytes + idBytes);
  header.writeUInt16BE(directoryBytes, 0);
  header.writeUInt16BE(idBytes, 2);
  writeInt64(header, 4, baseOffset);
  header.writeUInt32BE(position, 12);
  header.writeUInt32BE(bytes.length, 16);
  header.write(directory, ENTRY_HEADER_BYTES);
  header.write(topicId, ENTRY_HEADER_BYTES + directoryBytes);
  return header;
}
