import type * as Snappy from 'snappy';
import { loadPackage, tooLarge, type BlockCodec } from './block-codec.ts';

/** Before the blocks: a magic, the version of the writer, and the oldest that can read it. */
const HEADER = Buffer.from('82534e41505059000000000100000001', 'hex');
const MAGIC_BYTES = 8;
/** Of one block, before compression, as snappy-java writes them. */
const BLOCK_BYTES = 32 * 1024;
/** Results in memory of V8's own: less work than external memory, and freed like any other. */
const OPTIONS = { copyOutputData: true };

let loaded: typeof Snappy | undefined;

function library(): typeof Snappy {
  return (loaded ??= loadPackage('snappy', 'snappy') as typeof Snappy);
}

/**
 * Snappy in the framing of snappy-java (`SnappyOutputStream`), which Kafka's Java client writes:
 *
 *     0 magic 82 53 4e 41 50 50 59 00 | 8 version i32 | 12 compatible version i32
 *    16 blocks: length i32, then that many bytes of raw snappy
 *
 * Raw snappy without a framing, which other clients write, is read too.
 */
export const snappy: BlockCodec = {
  compress(records) {
    const { compressSync } = library();
    const parts: Buffer[] = [HEADER];
    for (let at = 0; at < records.length; at += BLOCK_BYTES) {
      const block = compressSync(records.subarray(at, at + BLOCK_BYTES), OPTIONS);
      const length = Buffer.allocUnsafe(4);
      length.writeInt32BE(block.length);
      parts.push(length, block);
    }
    return Buffer.concat(parts);
  },

  decompress(block, sizeBytesMax) {
    const { uncompressSync } = library();
    const rawBlocks = rawBlocksOf(block);
    let sizeBytes = 0;
    for (const raw of rawBlocks) sizeBytes += claimedSize(raw);
    if (sizeBytes > sizeBytesMax) throw tooLarge(sizeBytesMax);
    const parts = rawBlocks.map((raw) => uncompressSync(raw, OPTIONS) as Buffer);
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts, sizeBytes);
  },
};

function rawBlocksOf(block: Buffer): Buffer[] {
  const isFramed =
    block.length >= HEADER.length && HEADER.compare(block, 0, MAGIC_BYTES, 0, MAGIC_BYTES) === 0;
  if (!isFramed) return [block];
  const blocks: Buffer[] = [];
  let at = HEADER.length;
  while (at < block.length) {
    const start = at + 4;
    const length = block.readInt32BE(at);
    at = start + length;
    if (length < 0 || at > block.length) throw new RangeError(`a snappy block of ${length} bytes`);
    blocks.push(block.subarray(start, at));
  }
  return blocks;
}

/** The unpacked size that raw snappy claims in its leading varint. The library enforces it. */
function claimedSize(raw: Buffer): number {
  let size = 0;
  for (let index = 0, factor = 1; index < 5; index++, factor *= 0x80) {
    const byte = raw[index] ?? 0;
    size += (byte & 0x7f) * factor;
    if (byte < 0x80) break;
  }
  return size;
}
