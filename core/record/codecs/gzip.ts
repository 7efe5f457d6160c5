import { gunzipSync, gzipSync } from 'node:zlib';
import type { BlockCodec } from './block-codec.ts';

/** Writes one gzip member (RFC 1952); reads several in a row. */
export const gzip: BlockCodec = {
  compress: (records, level = -1) => gzipSync(records, { level }),
  decompress: (block, sizeBytesMax) => gunzipSync(block, { maxOutputLength: sizeBytesMax }),
};
