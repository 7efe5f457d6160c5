import { gunzipSync, gzipSync } from 'node:zlib';
import type { BlockCodec } from './block-codec.ts';

/** One gzip member (RFC 1952); several are read one after the other. */
export const gzip: BlockCodec = {
  compress: (records, level = -1) => gzipSync(records, { level }),
  decompress: (block, sizeBytesMax) => gunzipSync(block, { maxOutputLength: sizeBytesMax }),
};
