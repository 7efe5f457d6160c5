import { join } from 'node:path';
import { syncNames, TEMPORARY_SUFFIX } from '../../storage/atomic-file.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import { errnoOf } from '../../storage/node-fs.ts';
import {
  DELETED_SUFFIX,
  INDEX_SUFFIXES,
  LOG_SUFFIX,
  offsetName,
  offsetOfName,
  SEGMENT_SUFFIXES,
  SNAPSHOT_SUFFIX,
  SWAP_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from '../segment/file-names.ts';
import {
  loadScanned,
  loadSealed,
  type LoadedSegment,
  type LoadOptions,
  type SegmentFiles,
} from './load-segment.ts';
import { corrupt } from '../segment/log-reader.ts';
import { decodeSnapshot } from '../producer-snapshot.ts';
import { ProducerStates } from '../producer-states.ts';
import type { ScanFault, ScanOptions } from '../segment/segment-scan.ts';
import { Segment } from '../segment/segment.ts';
import { namesIn, offsetsOf, settleSwaps } from '../compaction/swap.ts';
import {
  decodeAbortedTransactions,
  type AbortedTransaction,
} from '../segment/transaction-index.ts';

/** Bytes at the end of the log that no sync had covered and that a crash left torn. */
export interface TornTail {
  readonly file: string;
  readonly positionBytes: number;
  readonly removedBytes: number;
  readonly reason: ScanFault;
}

/** A partition as its files tell it. */
export interface LoadedLog {
  /** At least one, by rising base offset; the last one is appended to. */
  readonly segments: Segment[];
  readonly producers: ProducerStates;
  readonly logStartOffset: number;
  readonly tornTail: TornTail | undefined;
}

/**
 * Opens what is on the disk (Kafka: `LogLoader`). Indexes and snapshots are taken over where they
 * stand below the recovery point and are sound; from there on the batches themselves are read,
 * which is the tail after a crash and next to nothing after a clean end. Kafka drops everything
 * behind the first bad batch, because its replicas have it; here only the torn end of the last
 * segment is cut. A bad batch anywhere else is an error: a segment is begun when all before it is
 * durable (`Durability`), so no crash leaves one.
 *
 * @throws LogError CORRUPT_BATCH: nothing was changed on the disk, but swaps were finished.
 * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: no record was removed.
 */
export async function loadLog(options: LoadOptions): Promise<LoadedLog> {
  try {
    await settleSwaps(options);
    const names = await namesIn(options.fileSystem, options.directory);
    const { repairs, ...loaded } = await readLog(options, names);
    try {
      for (const repair of repairs) await repair();
      await removeLeftOvers(options, names, loaded);
    } catch (cause) {
      await Promise.allSettled(loaded.segments.map((segment) => segment.close()));
      throw cause;
    }
    return loaded;
  } catch (cause) {
    throw storageFailure(options.directory, 'open', cause);
  }
}

/** What the files say, and what has to be done to them before the log goes on. */
interface ReadLog extends LoadedLog {
  readonly repairs: readonly (() => Promise<void>)[];
}

async function readLog(options: LoadOptions, names: ReadonlySet<string>): Promise<ReadLog> {
  const { fileSystem, directory, place, recoveryPoint, config, nowMs } = options;
  const bases = offsetsOf(names, LOG_SUFFIX);
  const firstOffset = bases[0] ?? options.logStartOffset;
  const logStartOffset = Math.max(options.logStartOffset, firstOffset);
  const producers = new ProducerStates(place);
  const aborted = await readAborted(options, bases, names);
  // Only a scan of the whole log tells again which transactions were aborted.
  const producersFrom =
    aborted === undefined
      ? firstOffset
      : await loadSnapshot(options, names, producers, firstOffset);
  const scanFrom = Math.min(recoveryPoint, producersFrom);
  const { indexIntervalBytes } = config;
  const scan = {
    place,
    indexIntervalBytes,
    producers,
    producersFrom,
    nowMs,
    scanFrom,
    recoveryPoint,
  };

  const segments: Segment[] = [];
  const repairs: (() => Promise<void>)[] = [];
  let tornTail: TornTail | undefined;
  for (const [index, baseOffset] of bases.entries()) {
    const endOffset = bases[index + 1];
    const known = aborted?.get(baseOffset) ?? [];
    const kept = known.filter(({ lastOffset }) => lastOffset < producersFrom);
    const files = { baseOffset, names, aborted: kept, endOffset };
    const { segment, hasStaleIndexes, fault } = await loadSegment(options, files, scan);
    segments.push(segment);
    const isStale = hasStaleIndexes || aborted === undefined || kept.length < known.length;
    if (isStale) repairs.push(() => segment.trimIndexes());
    if (fault === undefined) continue;
    tornTail = tornTailOf(segment, fault);
    if (endOffset !== undefined || segment.nextOffset < recoveryPoint) {
      throw corrupt(segment, tornTail.positionBytes, fault.reason);
    }
    repairs.unshift(() => cut(segment));
  }
  const newest = segments.at(-1);
  if (newest !== undefined && options.isOwn !== true && newest.nextOffset > recoveryPoint) {
    repairs.push(() => writeAgain(fileSystem, newest, recoveryPoint));
  }
  if (segments.length === 0) segments.push(new Segment(fileSystem, directory, logStartOffset));
  const last = segments.at(-1)!;
  const { nextOffset } = last;
  if (nextOffset < recoveryPoint) {
    const reason = `the log ends at offset ${nextOffset}, but was durable up to ${recoveryPoint}`;
    throw corrupt(last, last.writtenBytes, reason);
  }
  producers.settle(nextOffset);
  if (nextOffset < logStartOffset) {
    // What was not durable when it was deleted is gone, and so is the rest: it was deleted too.
    const removed = segments.splice(
      0,
      segments.length,
      new Segment(fileSystem, directory, logStartOffset),
    );
    repairs.splice(0, repairs.length, () => removeSegments(options, removed));
  }
  return { segments, producers, logStartOffset, tornTail, repairs };
}

/** Loads a segment; `endOffset` is where the next one begins. */
async function loadSegment(
  options: LoadOptions,
  { endOffset, ...files }: SegmentFiles & { readonly endOffset: number | undefined },
  scan: ScanOptions & { readonly scanFrom: number },
): Promise<LoadedSegment> {
  if (endOffset === undefined) return loadScanned(options, files, scan);
  // One that ends right at the recovery point was perhaps still appended to at the checkpoint, and
  // the time entry that closed it is lost: its end is read.
  const isSealed = endOffset < scan.scanFrom;
  const loaded = isSealed
    ? await loadSealed(options, files, { ...scan, endOffset })
    : await loadScanned(options, files, scan);
  const { segment } = loaded;
  if (segment.nextOffset > endOffset) {
    throw corrupt(segment, segment.writtenBytes, 'offsets do not rise');
  }
  if (!isSealed) segment.closeTimeIndex();
  return loaded;
}

/** The aborted transactions by segment; undefined when a file that lists them is damaged. */
async function readAborted(
  { fileSystem, directory }: LoadOptions,
  bases: readonly number[],
  names: ReadonlySet<string>,
): Promise<Map<number, AbortedTransaction[]> | undefined> {
  const aborted = new Map<number, AbortedTransaction[]>();
  for (const base of bases) {
    const name = offsetName(base) + TRANSACTION_INDEX_SUFFIX;
    if (!names.has(name)) continue;
    const entries = decodeAbortedTransactions(await fileSystem.readFile(join(directory, name)));
    if (entries === undefined) return undefined;
    aborted.set(base, entries);
  }
  return aborted;
}

/**
 * Restores the producers from the newest sound snapshot and returns its offset: from there on the
 * log itself has to be read, without one from `firstOffset`. Not believed are damaged snapshots,
 * and those above the recovery point, which may stand for batches that a power cut took.
 */
async function loadSnapshot(
  { fileSystem, directory, recoveryPoint }: LoadOptions,
  names: ReadonlySet<string>,
  producers: ProducerStates,
  firstOffset: number,
): Promise<number> {
  for (const offset of offsetsOf(names, SNAPSHOT_SUFFIX).reverse()) {
    if (offset > recoveryPoint) continue;
    const path = join(directory, offsetName(offset) + SNAPSHOT_SUFFIX);
    const states = decodeSnapshot(await fileSystem.readFile(path));
    if (states === undefined) continue;
    for (const state of states) producers.restore(state);
    return Math.max(offset, firstOffset);
  }
  return firstOffset;
}

function tornTailOf(segment: Segment, fault: NonNullable<LoadedSegment['fault']>): TornTail {
  const { reason, behindBytes: removedBytes } = fault;
  return { file: segment.logPath, positionBytes: segment.admittedBytes, removedBytes, reason };
}

/** Cuts a torn tail away, durably, before anything is appended in its place. */
async function cut(segment: Segment): Promise<void> {
  const file = await segment.file();
  await file.truncate(segment.writtenBytes);
  await file.sync().catch((cause: unknown) => {
    throw storageFailure(segment.logPath, 'sync', cause);
  });
}

/** Written again at once. */
const COPY_BYTES = 4 * 1024 * 1024;

/**
 * Writes what stands above the recovery point once more, as it is, for the next sync to cover; and
 * the name of the file too, when no checkpoint has seen it. The process before may have died of a
 * failed sync: the cache, which has just been read, then shows what the disk does not have, and
 * counts it as written (docs/decisions/0001-no-second-fsync.md). Only the last segment can need it:
 * another is begun when all before it is durable.
 */
async function writeAgain(
  fileSystem: FileSystem,
  segment: Segment,
  recoveryPoint: number,
): Promise<void> {
  const file = await segment.file();
  const { position: start } = segment.indexes.offsets.lookup(recoveryPoint);
  const end = segment.writtenBytes;
  const bytes = Buffer.allocUnsafe(Math.min(COPY_BYTES, end - start));
  for (let position = start; position < end;) {
    const length = await file.read(bytes.subarray(0, end - position), position);
    if (length === 0) throw corrupt(segment, position, 'the file has been cut meanwhile');
    await file.write([bytes.subarray(0, length)], position);
    position += length;
  }
  if (segment.baseOffset < recoveryPoint) return;
  const swap = segment.path(LOG_SUFFIX + SWAP_SUFFIX);
  await fileSystem.rename(segment.logPath, swap);
  await fileSystem.rename(swap, segment.logPath);
}

/** Removes all files of segments, durably: coming back later they would stand among new ones. */
async function removeSegments(
  { fileSystem, directory }: LoadOptions,
  segments: readonly Segment[],
): Promise<void> {
  for (const segment of segments) {
    for (const suffix of SEGMENT_SUFFIXES) await removeIfThere(fileSystem, segment.path(suffix));
  }
  await syncNames(fileSystem, directory);
}

/**
 * Removes what nobody will read again: files marked as deleted, indexes without a segment, what was
 * being written when a process ended, and snapshots that were not believed.
 */
async function removeLeftOvers(
  { fileSystem, directory, recoveryPoint }: LoadOptions,
  names: ReadonlySet<string>,
  { segments }: LoadedLog,
): Promise<void> {
  const bases = new Set(segments.map(({ baseOffset }) => baseOffset));
  for (const name of names) {
    const isDone = name.endsWith(DELETED_SUFFIX) || name.endsWith(TEMPORARY_SUFFIX);
    const isLost = INDEX_SUFFIXES.some((suffix) => {
      const base = offsetOfName(name, suffix);
      return base !== undefined && !bases.has(base);
    });
    const isEarly = (offsetOfName(name, SNAPSHOT_SUFFIX) ?? 0) > recoveryPoint;
    if (isDone || isLost || isEarly) await removeIfThere(fileSystem, join(directory, name));
  }
}

/** Removes a file, which may go meanwhile: by the timer that was to remove it. */
export async function removeIfThere(fileSystem: FileSystem, path: string): Promise<void> {
  await fileSystem.remove(path).catch((cause: unknown) => {
    if (errnoOf(cause) !== 'ENOENT') throw cause;
  });
}
