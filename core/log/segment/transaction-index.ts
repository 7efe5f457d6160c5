import { readInt64, writeInt64 } from '../../int64.ts';
import { crc32c } from '../../record/crc32c.ts';

/** An aborted transaction, with what readers of committed data need. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** The offset of the ABORT marker. */
  readonly lastOffset: number;
  /** The last stable offset just after the abort. */
  readonly lastStableOffset: number;
}

export const TRANSACTION_ENTRY_BYTES = 34;
const VERSION = 0;

/**
 * One entry of `.txnindex` (Kafka: `AbortedTxn`):
 *
 *     0 version i16 | 2 producerId i64 | 10 firstOffset i64 | 18 lastOffset i64
 *    26 lastStableOffset i64
 */
export function encodeAbortedTransactions(entries: readonly AbortedTransaction[]): Buffer {
  const bytes = Buffer.alloc(entries.length * TRANSACTION_ENTRY_BYTES);
  for (const [index, entry] of entries.entries()) {
    const at = index * TRANSACTION_ENTRY_BYTES;
    bytes.writeInt16BE(VERSION, at);
    writeInt64(bytes, at + 2, entry.producerId);
    writeInt64(bytes, at + 10, entry.firstOffset);
    writeInt64(bytes, at + 18, entry.lastOffset);
    writeInt64(bytes, at + 26, entry.lastStableOffset);
  }
  return bytes;
}

/** The entries of a file, or undefined if neither we nor Kafka wrote it: then it is rebuilt. */
export function decodeAbortedTransactions(bytes: Buffer): AbortedTransaction[] | undefined {
  if (bytes.length % TRANSACTION_ENTRY_BYTES !== 0) return undefined;
  const entries: AbortedTransaction[] = [];
  for (let at = 0; at < bytes.length; at += TRANSACTION_ENTRY_BYTES) {
    if (bytes.readInt16BE(at) !== VERSION) return undefined;
    const entry = {
      producerId: readInt64(bytes, at + 2),
      firstOffset: readInt64(bytes, at + 10),
      lastOffset: readInt64(bytes, at + 18),
      lastStableOffset: readInt64(bytes, at + 26),
    };
    const previous = entries.at(-1);
    if (entry.producerId < 0 || entry.firstOffset > entry.lastOffset) return undefined;
    // With a higher one, readers would miss the entries after it.
    if (entry.lastStableOffset > entry.lastOffset + 1) return undefined;
    if (previous !== undefined && previous.lastOffset >= entry.lastOffset) return undefined;
    entries.push(entry);
  }
  return entries;
}

/** Distinguishes one list of aborted transactions from another. */
export interface AbortedDigest {
  readonly count: number;
  /** CRC-32C of the entries in the format of `.txnindex`. */
  readonly crc: number;
}

/** The state of a partition's `.txnindex` files when its recovery point was recorded. */
export interface KnownAborted {
  /** The digests cover entries with a `lastOffset` below it. */
  readonly upTo: number;
  /** By base offset; none for a segment without such entries. */
  readonly segments: ReadonlyMap<number, AbortedDigest>;
}

/** The digest of entries; undefined for none. */
export function digestOf(entries: readonly AbortedTransaction[]): AbortedDigest | undefined {
  if (entries.length === 0) return undefined;
  const bytes = encodeAbortedTransactions(entries);
  return { count: entries.length, crc: crc32c(bytes, 0, bytes.length) };
}

/** True if `entries`, of the segment at `baseOffset`, match the recorded digest. */
export function areKnown(
  known: KnownAborted,
  baseOffset: number,
  entries: readonly AbortedTransaction[],
): boolean {
  const recorded = known.segments.get(baseOffset);
  const found = digestOf(entries.filter(({ lastOffset }) => lastOffset < known.upTo));
  return found?.count === recorded?.count && found?.crc === recorded?.crc;
}

/** A holder of entries in memory: a segment. */
interface Indexed {
  readonly indexes: { readonly aborted: readonly AbortedTransaction[] };
}

/** The aborted transactions that reach into [from, upTo); `segments` begin with that of `from`. */
export function abortedWithin(
  segments: readonly Indexed[],
  from: number,
  upTo: number,
): AbortedTransaction[] {
  const found: AbortedTransaction[] = [];
  for (const { indexes } of segments) {
    for (const aborted of indexes.aborted) {
      if (aborted.lastOffset < from) continue;
      if (aborted.firstOffset < upTo) found.push(aborted);
      if (aborted.lastStableOffset >= upTo) return found;
    }
  }
  return found;
}
