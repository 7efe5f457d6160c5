/**
 * The first two pages of LMDB's data file, as far as they tell whether the file is whole:
 *
 *     page 0, page 1:   [24 bytes] magic u32 | version u32 | address u64 | map size u64
 *                       | page size u32 [44 bytes] | root database [48 bytes]
 *                       | last page u64 | transaction u64
 *
 * Commits write the two in turn. A power cut may leave a file that was made longer before its
 * content was written, or one that is shorter than its pages say: LMDB maps it into memory and dies
 * of that.
 */
const MAGIC = 0xbeef_c0de;
const MAGIC_POSITION = 24;
const PAGE_SIZE_POSITION = 48;
const LAST_PAGE_POSITION = 144;
const TRANSACTION_POSITION = 152;
/** LMDB's pages have 4096 bytes unless told otherwise, which we do not. */
const PAGE_BYTES = 4096;

/** What `isSoundHeader` wants of a file. */
export const HEADER_BYTES = 2 * PAGE_BYTES;

/** True when LMDB can open a file that begins so and is so large. */
export function isSoundHeader(header: Buffer, sizeBytes: number): boolean {
  if (sizeBytes < HEADER_BYTES || header.readUInt32LE(MAGIC_POSITION) !== MAGIC) return false;
  if (header.readUInt32LE(PAGE_SIZE_POSITION) !== PAGE_BYTES) return true; // not ours to judge
  const pages = [header, header.subarray(PAGE_BYTES)].filter(
    (page) => page.readUInt32LE(MAGIC_POSITION) === MAGIC,
  );
  const newest = pages.reduce((one, other) =>
    other.readBigUInt64LE(TRANSACTION_POSITION) > one.readBigUInt64LE(TRANSACTION_POSITION)
      ? other
      : one,
  );
  return Number(newest.readBigUInt64LE(LAST_PAGE_POSITION)) < sizeBytes / PAGE_BYTES;
}
