import { integer, oneOf, type OptionChecks } from '../options.ts';
import type { Codec } from './batch.ts';
import type { BlockCodec } from './codecs/block-codec.ts';
import { gzip } from './codecs/gzip.ts';
import { lz4 } from './codecs/lz4.ts';
import { snappy } from './codecs/snappy.ts';
import { zstd } from './codecs/zstd.ts';

/**
 * The limit for the unpacked records of one batch. Our producer packs 64 MiB at most, and lz4
 * cannot exceed this limit from the 1 MiB that a consumer fetches from a partition by default. A
 * batch that claims or yields more is damaged or hostile.
 */
export const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;

const BLOCK_CODECS: Readonly<Record<Exclude<Codec, 'none'>, BlockCodec>> = {
  gzip,
  snappy,
  lz4,
  zstd,
};

/** Compression levels, in Kafka's ranges. Snappy has none, and neither has our lz4. */
export interface CompressionLevels {
  /** `compression.gzip.level`: 1 to 9, or -1 for zlib's default, 6. */
  readonly compressionGzipLevel: number;
  /** `compression.zstd.level`: -131072 to 22. */
  readonly compressionZstdLevel: number;
}

/** Kafka's defaults. */
export const COMPRESSION_LEVELS: CompressionLevels = {
  compressionGzipLevel: -1,
  compressionZstdLevel: 3,
};

/** The allowed levels. */
export const COMPRESSION_LEVEL_CHECKS = {
  compressionGzipLevel: oneOf(-1, 1, 2, 3, 4, 5, 6, 7, 8, 9),
  compressionZstdLevel: integer(-131_072, 22),
} satisfies OptionChecks<CompressionLevels>;

/** The level for one codec; undefined if it has none. */
export function compressionLevel(codec: Codec, levels: CompressionLevels): number | undefined {
  if (codec === 'gzip') return levels.compressionGzipLevel;
  return codec === 'zstd' ? levels.compressionZstdLevel : undefined;
}

/**
 * Packs the records of a batch, as Kafka's clients do.
 *
 * @param level default: the codec's own.
 * @throws LogError UNSUPPORTED_COMPRESSION_TYPE when the codec's package does not load here.
 */
export function compress(codec: Codec, records: Buffer, level?: number): Buffer {
  return codec === 'none' ? records : BLOCK_CODECS[codec].compress(records, level);
}

/**
 * Unpacks the records of a batch.
 *
 * @throws LogError UNSUPPORTED_COMPRESSION_TYPE when the codec's package does not load here.
 * @throws Error of any class for bytes that are not of the codec or unpack to more than
 *   `sizeBytesMax`.
 */
export function decompress(codec: Codec, block: Buffer, sizeBytesMax = UNPACKED_BYTES_MAX): Buffer {
  if (codec === 'none') return block;
  if (block.length === 0) throw new RangeError('an empty block');
  return BLOCK_CODECS[codec].decompress(block, sizeBytesMax);
}
