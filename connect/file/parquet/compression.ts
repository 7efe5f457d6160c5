import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { decompress } from '../../../core/internal.ts';

/**
 * Of one page. Writers aim at 1 MiB, and none goes above 100 MB; a header that says more is damaged
 * or hostile.
 */
export const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;

/** A byte of lz4 stands for 255 bytes at most. */
const LZ4_EXPANSION_MAX = 255;

/** The names of `CompressionCodec` of parquet.thrift, by number. */
const CODECS = ['none', 'snappy', 'gzip', 'lzo', 'brotli', 'lz4 (Hadoop)', 'zstd', 'lz4'] as const;

/**
 * Unpacks a page, or what is compressed of it.
 *
 * @param sizeBytes of the result, as the header says. Nothing larger is allocated.
 * @throws RangeError, or Error of any class, for bytes that do not unpack to just that.
 */
export function unpack(codec: number, bytes: Buffer, sizeBytes: number): Buffer {
  const name = CODECS[codec];
  if (name === undefined) throw new RangeError(`it is packed with an unknown codec, ${codec}`);
  // Some writers pack nothing into nothing, which is not a block of any codec.
  const unpacked =
    sizeBytes === 0 && bytes.length === 0 ? bytes : unpackBytes(name, bytes, sizeBytes);
  if (unpacked.length === sizeBytes) return unpacked;
  throw new RangeError(`a page unpacks to ${unpacked.length} bytes instead of ${sizeBytes}`);
}

function unpackBytes(codec: (typeof CODECS)[number], bytes: Buffer, sizeBytes: number): Buffer {
  // 0 would mean no limit, or be refused.
  const limit = Math.max(1, sizeBytes);
  switch (codec) {
    case 'none':
      return bytes;
    case 'snappy':
    case 'zstd':
      return decompress(codec, bytes, limit);
    case 'gzip':
      return gunzipSync(bytes, { maxOutputLength: limit });
    case 'brotli':
      return brotliDecompressSync(bytes, { maxOutputLength: limit });
    case 'lz4':
      return unpackLz4(bytes, sizeBytes);
    case 'lz4 (Hadoop)':
      return unpackHadoopLz4(bytes, sizeBytes);
    case 'lzo':
      throw new RangeError('it is packed with LZO, which cannot be read here');
  }
}

function targetOf(bytes: Buffer, sizeBytes: number): Buffer {
  if (sizeBytes > bytes.length * LZ4_EXPANSION_MAX) {
    throw new RangeError(`${bytes.length} bytes of lz4 do not unpack to ${sizeBytes}`);
  }
  return Buffer.allocUnsafe(sizeBytes);
}

function unpackLz4(bytes: Buffer, sizeBytes: number): Buffer {
  const target = targetOf(bytes, sizeBytes);
  return target.subarray(0, unpackLz4Block(bytes, target, 0));
}

/**
 * What codec 5 was meant to be: blocks of lz4 as Hadoop frames them. Some writers put a plain block
 * there instead.
 *
 *     unpacked size u32 BE | packed size u32 BE | a block of lz4 | ...
 */
function unpackHadoopLz4(bytes: Buffer, sizeBytes: number): Buffer {
  const blocks = hadoopBlocks(bytes, sizeBytes);
  if (blocks === undefined) return unpackLz4(bytes, sizeBytes);
  const target = targetOf(bytes, sizeBytes);
  let at = 0;
  for (const block of blocks) at = unpackLz4Block(block, target, at);
  return target.subarray(0, at);
}

/** Undefined if it is not framed. */
function hadoopBlocks(bytes: Buffer, sizeBytes: number): Buffer[] | undefined {
  const blocks: Buffer[] = [];
  let [at, left] = [0, sizeBytes];
  while (at + 8 <= bytes.length) {
    left -= bytes.readUInt32BE(at);
    const start = at + 8;
    at = start + bytes.readUInt32BE(at + 4);
    if (left < 0 || at > bytes.length) return undefined;
    blocks.push(bytes.subarray(start, at));
  }
  return at === bytes.length && left === 0 ? blocks : undefined;
}

/**
 * Unpacks one block of lz4 into `target` from `position` on; returns where it ends there.
 *
 *     sequences: token: count of literals << 4 | length of the match - 4; 15: more follows in
 *                bytes, up to one that is not 255 | literals | offset u16 LE back to the match
 *     the last one ends with its literals
 */
function unpackLz4Block(block: Buffer, target: Buffer, position: number): number {
  const end = block.length;
  let [from, to] = [0, position];
  while (from < end) {
    const token = block[from++]!;
    let count = token >>> 4;
    if (count === 15) {
      let byte = 255;
      while (byte === 255) {
        if (from >= end) throw new RangeError('a block of lz4 ends too early');
        byte = block[from++]!;
        count += byte;
      }
    }
    if (count > end - from || count > target.length - to) {
      throw new RangeError('a block of lz4 with too many literals');
    }
    block.copy(target, to, from, from + count);
    from += count;
    to += count;
    if (from === end) return to;
    if (from + 2 > end) throw new RangeError('a block of lz4 ends too early');
    const offset = block[from]! | (block[from + 1]! << 8);
    from += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      let byte = 255;
      while (byte === 255) {
        if (from >= end) throw new RangeError('a block of lz4 ends too early');
        byte = block[from++]!;
        length += byte;
      }
    }
    if (offset === 0 || offset > to - position || length > target.length - to) {
      throw new RangeError('a block of lz4 with a match outside of it');
    }
    copyMatch(target, to, offset, length);
    to += length;
  }
  return to;
}

/** The match may reach into the bytes that it makes. */
function copyMatch(target: Buffer, to: number, offset: number, length: number): void {
  if (offset >= length) {
    target.copyWithin(to, to - offset, to - offset + length);
    return;
  }
  if (offset === 1) {
    target.fill(target[to - 1]!, to, to + length);
    return;
  }
  for (let index = to; index < to + length; index++) target[index] = target[index - offset]!;
}
