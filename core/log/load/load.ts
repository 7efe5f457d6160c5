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
import { abortedInLog } from './rebuild-aborted.ts';
import { corrupt } from '../segment/log-reader.ts';
import { decodeSnapshot } from '../producer-snapshot.ts';
import { ProducerStates } from '../producer-states.ts';
import type { ScanFault, ScanOptions } from '../segment/segment-scan.ts';
import { Segment } from '../segment/segment.ts';
import { namesIn, offsetsOf, settleSwaps } from '../compaction/swap.ts';
import {
  areKnown,
  decodeAbortedTransactions,
  digestOf,
  type AbortedTransaction,
} from '../segment/transaction-index.ts';

/** Unsynced bytes at the end of the log that a crash left torn. */
export interface TornTail {
  readonly file: string;
  readonly positionBytes: number;
  readonly removedBytes: number;
  readonly reason: ScanFault;
}

/** The state of a partition according to its files. */
export interface LoadedLog {
  /** At least one, by rising base offset; the last one is appended to. */
  readonly segments: Segment[];
  readonly producers: ProducerStates;
  readonly logStartOffset: number;
  readonly tornTail: TornTail | undefined;
  /** True if a checkpoint has covered all of it, producers included. */
  readonly isCheckpointed: boolean;
}

/**
 * Loads a partition from the disk (Kafka: `LogLoader`). Below the recovery point it trusts indexes
 * and snapshots if they are sound; from there on it reads the batches themselves: the tail after a
 * crash, almost nothing after a clean end. Kafka drops everything after the first bad batch,
 * because its replicas have it; here only the torn end of the last segment is cut. A bad batch
 * anywhere else is an error: a segment is begun only after all before it is durable (`Durability`),
 * so no crash leaves one.
 *
 * @throws LogError CORRUPT_BATCH: nothing was changed on the disk except that swaps were finished.
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

/** The state in the files, and the changes they need before the log can continue. */
interface ReadLog extends LoadedLog {
  readonly repairs: readonly (() => Promise<void>)[];
}

async function readLog(options: LoadOptions, names: ReadonlySet<string>): Promise<ReadLog> {
  const { fileSystem, directory, place, recoveryPoint, config, nowMs } = options;
  const bases = offsetsOf(names, LOG_SUFFIX);
  const firstOffset = bases[0] ?? options.logStartOffset;
  const logStartOffset = Math.max(options.logStartOffset, firstOffset);
  const producers = new ProducerStates(place);
  const producersFrom = await loadSnapshot(options, names, producers, firstOffset);
  const { aborted, rebuilt } = await readAborted(options, { bases, names, producersFrom });
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
    const known = aborted.get(baseOffset) ?? [];
    const kept = known.filter(({ lastOffset }) => lastOffset < producersFrom);
    const files = { baseOffset, names, aborted: kept, endOffset };
    const { segment, hasStaleIndexes, fault } = await loadSegment(options, files, scan);
    segments.push(segment);
    const isStale = hasStaleIndexes || rebuilt.has(baseOffset) || kept.length < known.length;
    if (isStale) repairs.push(() => segment.trimIndexes());
    if (fault === undefined) continue;
    tornTail = tornTailOf(segment, fault);
    if (endOffset !== undefined || segment.nextOffset < recoveryPoint) {
      throw corrupt(segment, tornTail.positionBytes, fault.reason);
    }
    repairs.unshift(() => cut(segment));
  }
  const isSound = repairs.length === 0;
  const newest = segments.at(-1);
  if (newest !== undefined && options.isOwn !== true) {
    const isSafe = options.wasClosed === true && newest.nextOffset <= recoveryPoint;
    if (!isSafe) repairs.push(() => writeAgain(fileSystem, newest, recoveryPoint));
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
    // A crash took the records that were not yet durable; all the others were deleted as well.
    const removed = segments.splice(
      0,
      segments.length,
      new Segment(fileSystem, directory, logStartOffset),
    );
    repairs.splice(0, repairs.length, () => removeSegments(options, removed));
  }
  const isCheckpointed =
    isSound &&
    nextOffset === recoveryPoint &&
    nextOffset === producersFrom &&
    nextOffset === (options.knownAborted?.upTo ?? 0);
  return { segments, producers, logStartOffset, tornTail, isCheckpointed, repairs };
}

/** Loads a segment; `endOffset` is where the next one begins. */
async function loadSegment(
  options: LoadOptions,
  { endOffset, ...files }: SegmentFiles & { readonly endOffset: number | undefined },
  scan: ScanOptions & { readonly scanFrom: number },
): Promise<LoadedSegment> {
  if (endOffset === undefined) return loadScanned(options, files, scan);
  // If a segment ends right at the recovery point, it may still have been active at the checkpoint,
  // and its closing time entry is lost: read its end.
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

/** The aborted transactions of each segment, and the files that disagree. */
interface ReadAborted {
  readonly aborted: ReadonlyMap<number, readonly AbortedTransaction[]>;
  readonly rebuilt: ReadonlySet<number>;
}

/**
 * Reads the lists of aborted transactions. The format has no checksum, so the lists below
 * `producersFrom`, which the scan does not reach, are compared with the digests recorded with the
 * recovery point. A list that differs is rebuilt from the log: it was damaged or lost, or Kafka, or
 * a compaction before a crash, has written it since.
 */
async function readAborted(
  options: LoadOptions,
  log: {
    readonly bases: readonly number[];
    readonly names: ReadonlySet<string>;
    readonly producersFrom: number;
  },
): Promise<ReadAborted> {
  const { fileSystem, directory, knownAborted } = options;
  const { bases, names, producersFrom } = log;
  const aborted = new Map<number, readonly AbortedTransaction[]>();
  const rebuilt = new Set<number>();
  const isKnown = knownAborted !== undefined && knownAborted.upTo >= producersFrom;
  for (const base of bases) {
    const name = fileOf(base);
    const bytes = names.has(name) ? await fileSystem.readFile(join(directory, name)) : EMPTY;
    const entries = decodeAbortedTransactions(bytes);
    aborted.set(base, entries ?? []);
    const isSound = entries !== undefined && isKnown && areKnown(knownAborted, base, entries);
    if (!isSound && (base < producersFrom || entries === undefined)) rebuilt.add(base);
  }
  const last = bases.findLast((base) => rebuilt.has(base) && base < producersFrom);
  if (last === undefined || producersFrom === bases[0]) return { aborted, rebuilt };
  const upToLast = bases.filter((base) => base <= last);
  for (const [base, entries] of await abortedInLog(options, upToLast, producersFrom)) {
    if (!rebuilt.has(base)) continue;
    const listed = aborted.get(base) ?? [];
    const isSame = digestOf(listed)?.crc === digestOf(entries)?.crc;
    if (isSame && (listed.length > 0 || !names.has(fileOf(base)))) rebuilt.delete(base);
    aborted.set(base, entries);
  }
  return { aborted, rebuilt };
}

function fileOf(base: number): string {
  return offsetName(base) + TRANSACTION_INDEX_SUFFIX;
}

const EMPTY = Buffer.alloc(0);

/**
 * Restores the producers from the newest sound snapshot and returns its offset, from which the log
 * itself must be read; without one, that is `firstOffset`. Ignores damaged snapshots and those
 * above the recovery point, which may cover batches that a power cut took.
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

/** Truncates a torn tail, durably, before anything is appended in its place. */
async function cut(segment: Segment): Promise<void> {
  const file = await segment.file();
  await file.truncate(segment.writtenBytes);
  await file.sync().catch((cause: unknown) => {
    throw storageFailure(segment.logPath, 'sync', cause);
  });
}

/** Bytes per rewrite. */
const COPY_BYTES = 4 * 1024 * 1024;

/**
 * Rewrites the bytes above the recovery point unchanged, so that the next sync covers them; also
 * the file's size, and its name if no checkpoint has covered it. The last process may have died of
 * a failed sync: the page cache, which was just read, then shows bytes that the disk does not have,
 * and counts them as written (docs/decisions/0001-no-second-fsync.md). Only the last segment can
 * need this: the next one is begun only after all before it is durable.
 */
async function writeAgain(
  fileSystem: FileSystem,
  segment: Segment,
  recoveryPoint: number,
): Promise<void> {
  const file = await segment.file();
  const end = segment.writtenBytes;
  await file.truncate(end); // a failed sync may have lost a cut: the old bytes would come back
  if (segment.nextOffset <= recoveryPoint) return segment.close();
  const { position: start } = segment.indexes.offsets.lookup(recoveryPoint);
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

/**
 * Removes all files of segments, durably: if they came back later, they would mix with new ones.
 */
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
 * Removes files that nobody will read again: those marked as deleted, indexes without a segment,
 * unfinished files of an earlier process, and rejected snapshots.
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

/** Removes a file. A timer that was set to remove it may do so at the same time. */
export async function removeIfThere(fileSystem: FileSystem, path: string): Promise<void> {
  await fileSystem.remove(path).catch((cause: unknown) => {
    if (errnoOf(cause) !== 'ENOENT') throw cause;
  });
}
