import { join } from 'node:path';
import type { RecordPlace } from '../record/record-cursor.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import {
  DELETED_SUFFIX,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetName,
  offsetOfName,
  SEGMENT_SUFFIXES,
  SNAPSHOT_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts';
import type { LogConfig } from './log-config.ts';
import { corrupt } from './log-reader.ts';
import { decodeSnapshot } from './producer-snapshot.ts';
import { ProducerStates } from './producer-states.ts';
import { headerAt, scanSegment, type ScanFault, type ScanOptions } from './segment-scan.ts';
import { emptyIndexes, Segment, type SegmentIndexes } from './segment.ts';
import { decodeAbortedTransactions } from './transaction-index.ts';

/** What is known of a partition before its files are looked at. */
export interface LoadOptions {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly place: RecordPlace;
  readonly config: LogConfig;
  readonly nowMs: number;
  /** Everything below was durable when this was recorded (`recovery-point-offset-checkpoint`). */
  readonly recoveryPoint: number;
  /** Records below were deleted (`log-start-offset-checkpoint`). */
  readonly logStartOffset: number;
}

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
 * behind the first bad batch, because its replicas have it; here a bad batch below the recovery
 * point is an error, and only a torn tail behind it is cut.
 *
 * @throws LogError CORRUPT_BATCH: no record was removed.
 * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL
 */
export async function loadLog(options: LoadOptions): Promise<LoadedLog> {
  const { fileSystem, directory, place, recoveryPoint } = options;
  const names = await listNames(options);
  const bases = offsetsOf(names, LOG_SUFFIX);
  const producers = new ProducerStates(place);
  const firstOffset = bases[0] ?? options.logStartOffset;
  const logStartOffset = Math.max(options.logStartOffset, firstOffset);
  const producersFrom = await loadSnapshot(options, names, producers, firstOffset);
  const { indexIntervalBytes } = options.config;
  const scan = { place, indexIntervalBytes, producers, producersFrom, nowMs: options.nowMs };
  const scanFrom = Math.min(recoveryPoint, producersFrom);

  const segments: Segment[] = [];
  let tornTail: TornTail | undefined;
  for (const [index, base] of bases.entries()) {
    const endOffset = bases[index + 1];
    if (endOffset !== undefined && endOffset <= scanFrom) {
      segments.push(await openSealed(options, base, endOffset, scan));
      continue;
    }
    const segment = await openScanned(options, base, scanFrom, scan);
    segments.push(segment.segment);
    tornTail = segment.tornTail;
    if (tornTail === undefined) continue;
    await removeSegments(options, bases.slice(index + 1));
    break;
  }
  if (segments.length === 0) segments.push(new Segment(fileSystem, directory, logStartOffset));
  const last = segments.at(-1)!;
  if (last.nextOffset < recoveryPoint) {
    const { nextOffset } = last;
    const reason = `the log ends at offset ${nextOffset}, but was durable up to ${recoveryPoint}`;
    throw corrupt(last, last.writtenBytes, reason);
  }
  return { segments, producers, logStartOffset, tornTail };
}

/** The partition's files, after those marked as deleted are gone. */
async function listNames(options: LoadOptions): Promise<string[]> {
  const { fileSystem, directory } = options;
  const entries = await fileSystem.list(directory).catch((cause: unknown) => {
    throw storageFailure(directory, 'list', cause);
  });
  const names: string[] = [];
  for (const { name, isDirectory } of entries) {
    if (isDirectory) continue;
    if (name.endsWith(DELETED_SUFFIX)) await fileSystem.remove(join(directory, name));
    else names.push(name);
  }
  return names;
}

function offsetsOf(names: readonly string[], suffix: string): number[] {
  const offsets = names.map((name) => offsetOfName(name, suffix));
  return offsets.filter((offset) => offset !== undefined).sort((a, b) => a - b);
}

/**
 * Restores the producers from the newest sound snapshot and returns its offset: from there on the
 * log itself has to be read, without one from `firstOffset`. Snapshots that cannot be used are
 * removed: damaged ones, and those above the recovery point, which may stand for batches that a
 * power cut took.
 */
async function loadSnapshot(
  options: LoadOptions,
  names: readonly string[],
  producers: ProducerStates,
  firstOffset: number,
): Promise<number> {
  const { fileSystem, directory, recoveryPoint } = options;
  for (const offset of offsetsOf(names, SNAPSHOT_SUFFIX).reverse()) {
    const path = join(directory, offsetName(offset) + SNAPSHOT_SUFFIX);
    const isCovered = offset <= recoveryPoint;
    const states = isCovered ? decodeSnapshot(await fileSystem.readFile(path)) : undefined;
    if (states === undefined) {
      await fileSystem.remove(path);
      continue;
    }
    for (const state of states) producers.restore(state);
    return Math.max(offset, firstOffset);
  }
  return firstOffset;
}

/**
 * A segment wholly below the scan: its size and its index files are believed, if they fit together.
 */
async function openSealed(
  options: LoadOptions,
  baseOffset: number,
  endOffset: number,
  scan: ScanOptions,
): Promise<Segment> {
  const { fileSystem, directory } = options;
  const empty = new Segment(fileSystem, directory, baseOffset);
  const sizeBytes = await (await empty.file()).sizeBytes();
  await empty.close();
  const loaded = await loadIndexes(options, empty, { sizeBytes, endOffset });
  // The newest time is always indexed when a segment is sealed: without it the index is a lost one.
  if (loaded.isWhole && (loaded.indexes.times.count > 0 || sizeBytes === 0)) {
    const segment = new Segment(fileSystem, directory, baseOffset, loaded.indexes);
    segment.resume(sizeBytes, endOffset);
    return segment;
  }
  const fault = await scanSegment(empty, sizeBytes, scan);
  if (fault !== undefined) throw corrupt(empty, empty.admittedBytes, fault);
  empty.closeTimeIndex();
  await empty.rewriteIndexes();
  return empty;
}

/** A segment that reaches into the tail: read from the last index entry below `scanFrom` on. */
async function openScanned(
  options: LoadOptions,
  baseOffset: number,
  scanFrom: number,
  scan: ScanOptions,
): Promise<{ readonly segment: Segment; readonly tornTail: TornTail | undefined }> {
  const { fileSystem, directory } = options;
  const empty = new Segment(fileSystem, directory, baseOffset);
  const sizeBytes = await (await empty.file()).sizeBytes();
  await empty.close();
  const loaded = await loadIndexes(options, empty, { sizeBytes, endOffset: scanFrom });
  const last = loaded.indexes.offsets.last();
  // Without an entry to begin at all is read again, but the producers only from their snapshot on:
  // the transactions aborted before that stand in the index alone.
  const { aborted } = loaded.indexes;
  let indexes: SegmentIndexes = { ...emptyIndexes(baseOffset), aborted };
  let segment = new Segment(fileSystem, directory, baseOffset, indexes);
  if (last !== undefined) {
    // The entry names the last offset of its batch: reading starts with that batch.
    const header = await headerAt(empty, last.position, sizeBytes);
    if (header?.lastOffset === last.offset) {
      indexes = loaded.indexes;
      segment = new Segment(fileSystem, directory, baseOffset, indexes);
      segment.resume(last.position, header.baseOffset);
    }
  }
  const first = await headerAt(segment, 0, sizeBytes);
  if (first !== undefined) segment.firstTimestampMs = first.maxTimestampMs;
  const fault = await scanSegment(segment, sizeBytes, scan);
  let tornTail: TornTail | undefined;
  if (fault !== undefined) {
    const positionBytes = segment.admittedBytes;
    if (segment.nextOffset < options.recoveryPoint) throw corrupt(segment, positionBytes, fault);
    await cut(segment, positionBytes);
    const removedBytes = sizeBytes - positionBytes;
    tornTail = { file: segment.logPath, positionBytes, removedBytes, reason: fault };
  }
  if (!loaded.isWhole || indexes !== loaded.indexes || tornTail !== undefined)
    await segment.rewriteIndexes();
  await empty.close();
  return { segment, tornTail };
}

/** The entries of the index files that point below the limits, and whether that is all of them. */
async function loadIndexes(
  options: LoadOptions,
  segment: Segment,
  limits: { readonly sizeBytes: number; readonly endOffset: number },
): Promise<{ readonly indexes: SegmentIndexes; readonly isWhole: boolean }> {
  const indexes = emptyIndexes(segment.baseOffset);
  const offsets = await readIfThere(options, segment.path(OFFSET_INDEX_SUFFIX));
  const times = await readIfThere(options, segment.path(TIME_INDEX_SUFFIX));
  const aborted = await readIfThere(options, segment.path(TRANSACTION_INDEX_SUFFIX));
  const areWhole =
    offsets !== undefined &&
    times !== undefined &&
    indexes.offsets.load(offsets, limits.sizeBytes, limits.endOffset) &&
    indexes.times.load(times, limits.endOffset);
  const entries = aborted === undefined ? [] : decodeAbortedTransactions(aborted);
  const below = (entries ?? []).filter(({ lastOffset }) => lastOffset < limits.endOffset);
  indexes.aborted.push(...below);
  return { indexes, isWhole: areWhole && below.length === entries?.length };
}

async function readIfThere(options: LoadOptions, path: string): Promise<Buffer | undefined> {
  if ((await options.fileSystem.stat(path)) === undefined) return undefined;
  return options.fileSystem.readFile(path).catch((cause: unknown) => {
    throw storageFailure(path, 'read', cause);
  });
}

/** Cuts a torn tail away, durably, before anything is appended in its place. */
async function cut(segment: Segment, positionBytes: number): Promise<void> {
  try {
    const file = await segment.file();
    await file.truncate(positionBytes);
    await file.sync();
  } catch (cause) {
    throw storageFailure(segment.logPath, 'truncate', cause);
  }
  segment.writtenBytes = positionBytes;
}

/**
 * Cuts off what a failed write may have left above `highWatermark`. A segment begun by a batch that
 * was not written goes: it starts at an offset that is not reached yet.
 */
export async function cutUnwritten(
  fileSystem: FileSystem,
  segments: readonly Segment[],
  highWatermark: number,
): Promise<void> {
  for (const [index, segment] of segments.entries()) {
    if (segment.nextOffset <= highWatermark) continue;
    const file = await segment.file();
    await file.truncate(segment.writtenBytes);
    if (index > 0 && segment.writtenBytes === 0) await fileSystem.remove(file.path);
  }
}

async function removeSegments(options: LoadOptions, bases: readonly number[]): Promise<void> {
  const { fileSystem, directory } = options;
  for (const base of bases) {
    for (const suffix of SEGMENT_SUFFIXES) {
      const path = join(directory, offsetName(base) + suffix);
      if ((await fileSystem.stat(path)) !== undefined) await fileSystem.remove(path);
    }
  }
}
