/**
 * The fields of the first two pages of LMDB's data file that show whether the file is whole:
 *
 *     page 0, page 1:   [24 bytes] magic u32 | version u32 | address u64 | map size u64
 *                       | page size u32 [44 bytes] | root database [48 bytes]
 *                       | last page u64 | transaction u64
 *
 * Commits write the two in turn. A power cut may leave a file that was extended before its content
 * was written, or one shorter than its header claims: LMDB maps it into memory and crashes.
 */
const MAGIC = 0xbeef_c0de;
const MAGIC_POSITION = 24;
const PAGE_SIZE_POSITION = 48;
const LAST_PAGE_POSITION = 144;
const TRANSACTION_POSITION = 152;
/** LMDB's default page size, which we keep. */
const PAGE_BYTES = 4096;

/** The bytes that `isSoundHeader` needs. */
export const HEADER_BYTES = 2 * PAGE_BYTES;

/** True if LMDB can open a file with this header and size. */
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
