import { gunzipSync, gzipSync } from 'node:zlib';
import { LogError } from '../errors.ts';
import type { Codec } from './batch.ts';

/** What the records of one batch may unpack to: a batch that claims more is damaged or hostile. */
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;

/** @throws LogError UNSUPPORTED_COMPRESSION_TYPE for a codec that this build lacks. */
export function compress(codec: Codec, records: Buffer): Buffer {
  switch (codec) {
    case 'none':
      return records;
    case 'gzip':
      return gzipSync(records);
    default:
      throw unsupported(codec);
  }
}

/**
 * @throws LogError UNSUPPORTED_COMPRESSION_TYPE for a codec that this build lacks.
 * @throws RangeError for more than UNPACKED_BYTES_MAX, and Error for bytes that are not of the
 *   codec.
 */
export function decompress(codec: Codec, records: Buffer): Buffer {
  switch (codec) {
    case 'none':
      return records;
    case 'gzip':
      return gunzipSync(records, { maxOutputLength: UNPACKED_BYTES_MAX });
    default:
      throw unsupported(codec);
  }
}

function unsupported(codec: Codec): LogError {
  return new LogError(
    'UNSUPPORTED_COMPRESSION_TYPE',
    `records compressed with ${codec} cannot be handled; this version knows none and gzip`,
    { codec },
  );
}
