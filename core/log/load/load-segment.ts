import type { RecordPlace } from '../../record/unpack.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import { OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX } from '../segment/file-names.ts';
import type { LogConfig } from '../log-config.ts';
import { corrupt, findHeader } from '../segment/log-reader.ts';
import { scanSegment, type ScanFault, type ScanOptions } from '../segment/segment-scan.ts';
import { emptyIndexes, Segment } from '../segment/segment.ts';
import type { IndexCondition } from '../segment/sparse-index.ts';
import type { AbortedTransaction, KnownAborted } from '../segment/transaction-index.ts';

/** The facts about a partition that are known before its files are read. */
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
  /**
   * Digests of the `.txnindex` files at the recovery point; without them, or if they differ, the
   * files are rebuilt from the log.
   */
  readonly knownAborted?: KnownAborted | undefined;
  /** True if this process has written the files and no sync of them has failed. */
  readonly isOwn?: boolean;
  /** True if the last process closed the log: no sync has failed. Default false. */
  readonly wasClosed?: boolean;
}

/** The facts about a segment that are known before its file is read. */
export interface SegmentFiles {
  readonly baseOffset: number;
  /** The names in the directory. */
  readonly names: ReadonlySet<string>;
  /** Its aborted transactions, except those that the scan finds. */
  readonly aborted: readonly AbortedTransaction[];
}

export interface LoadedSegment {
  readonly segment: Segment;
  /** True if its index files hold entries that its indexes do not. */
  readonly hasStaleIndexes: boolean;
  /** The reason why the scan stopped before the end of the file, and the bytes that are left. */
  readonly fault?: { readonly reason: ScanFault; readonly behindBytes: number };
}

/**
 * Loads a segment wholly below the scan: trusts its size and its index files if they agree. Changes
 * nothing on the disk.
 *
 * @throws LogError CORRUPT_BATCH
 */
export async function loadSealed(
  options: LoadOptions,
  files: SegmentFiles,
  scan: ScanOptions & { readonly endOffset: number },
): Promise<LoadedSegment> {
  const { endOffset } = scan;
  const read = await readIndexes(options, files, endOffset);
  const { segment, sizeBytes } = read;
  segment.resume(sizeBytes, endOffset);
  const areFit = areWhole(read, files, options) && (await closing(segment, knowsNewestTime));
  if (sizeBytes === 0 || areFit) return { segment, hasStaleIndexes: false };
  const scanned = withoutIndexes(options, files);
  const reason = await closing(scanned, () => scanSegment(scanned, sizeBytes, scan));
  if (reason !== undefined) throw corrupt(scanned, scanned.admittedBytes, reason);
  scanned.closeTimeIndex();
  noteMissing(scanned, files);
  return { segment: scanned, hasStaleIndexes: true };
}

/**
 * Loads a segment that reaches into the scan: reads it from the last index entry below `scanFrom`,
 * or from its beginning if the indexes are unsound. Changes nothing on the disk.
 *
 * @throws LogError CORRUPT_BATCH if the file is shorter than the directory says.
 */
export async function loadScanned(
  options: LoadOptions,
  files: SegmentFiles,
  scan: ScanOptions & { readonly scanFrom: number },
): Promise<LoadedSegment> {
  const read = await readIndexes(options, files, scan.scanFrom);
  const { sizeBytes, offsets, times } = read;
  const areSound = offsets !== 'damaged' && times !== 'damaged';
  const isLed = areSound && (await closing(read.segment, () => leadsOn(read)));
  const segment = isLed ? read.segment : withoutIndexes(options, files);
  const reason = await closing(segment, () => scanSegment(segment, sizeBytes, scan));
  const behindBytes = sizeBytes - segment.admittedBytes;
  segment.noteWritten();
  if (sizeBytes > 0) noteMissing(segment, files);
  const hasStaleIndexes = !isLed || offsets === 'beyond' || times === 'beyond';
  return { segment, hasStaleIndexes, ...(reason && { fault: { reason, behindBytes } }) };
}

interface ReadIndexes {
  /** A segment with the usable index entries; its end is not set yet. */
  readonly segment: Segment;
  readonly sizeBytes: number;
  readonly offsets: IndexCondition;
  readonly times: IndexCondition;
}

/** Loads the entries of the index files that point below `endOffset`; an absent file has none. */
async function readIndexes(
  options: LoadOptions,
  files: SegmentFiles,
  endOffset: number,
): Promise<ReadIndexes> {
  const { fileSystem, directory } = options;
  const { baseOffset, names, aborted } = files;
  const empty = withoutIndexes(options, files);
  const sizeBytes = await closing(empty, async () => (await empty.file()).sizeBytes());
  const indexes = { ...emptyIndexes(baseOffset), aborted: [...aborted] };
  const read = (suffix: string) =>
    names.has(empty.name(suffix)) ? fileSystem.readFile(empty.path(suffix)) : NOTHING;
  const offsets = indexes.offsets.load(await read(OFFSET_INDEX_SUFFIX), sizeBytes, endOffset);
  const times = indexes.times.load(await read(TIME_INDEX_SUFFIX), endOffset);
  const segment = new Segment(fileSystem, directory, baseOffset, indexes);
  return { segment, sizeBytes, offsets, times };
}

function withoutIndexes(options: LoadOptions, { baseOffset, aborted }: SegmentFiles): Segment {
  const indexes = { ...emptyIndexes(baseOffset), aborted: [...aborted] };
  return new Segment(options.fileSystem, options.directory, baseOffset, indexes);
}

/** Whether the indexes of a sealed segment are complete, as far as that can be checked. */
function areWhole(
  { segment, offsets, times, sizeBytes }: ReadIndexes,
  { names }: SegmentFiles,
  { config }: LoadOptions,
): boolean {
  // After the last entry comes at most an interval and the batch that filled it.
  const behindBytes = sizeBytes - (segment.indexes.offsets.last()?.position ?? 0);
  const isShort = behindBytes > config.indexIntervalBytes + config.maxMessageBytes;
  return hasFiles(segment, names) && offsets === 'whole' && times === 'whole' && !isShort;
}

/** Whether the two files exist that can always be rebuilt from the log. */
function hasFiles(segment: Segment, names: ReadonlySet<string>): boolean {
  return [OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX].every((suffix) =>
    names.has(segment.name(suffix)),
  );
}

function noteMissing(segment: Segment, { names }: SegmentFiles): void {
  if (!hasFiles(segment, names)) segment.noteMissingIndex();
}

/** Whether the last time entry agrees with the log. */
async function knowsNewestTime(segment: Segment): Promise<boolean> {
  const { offsets, times } = segment.indexes;
  const newest = times.last();
  if (newest === undefined) return false;
  const { position } = offsets.lookup(newest.offset);
  const header = await findHeader(segment, newest.offset, position);
  return header?.lastOffset === newest.offset && header.maxTimestampMs === newest.timestampMs;
}

/** Resumes the segment at its last index entry. Returns false if that disagrees with the log. */
async function leadsOn({ segment, sizeBytes }: ReadIndexes): Promise<boolean> {
  const { offsets, times } = segment.indexes;
  const last = offsets.last();
  if (last !== undefined && times.count === 0) return false; // each offset entry has a time entry
  segment.noteWritten(sizeBytes); // allow reads up to here
  if (times.count > 0 && !(await knowsNewestTime(segment))) return false;
  if (last === undefined) {
    segment.resume(0, segment.baseOffset);
    return true;
  }
  // The entry has the last offset of its batch: reading starts with that batch.
  const header = await findHeader(segment, -Infinity, last.position);
  if (header?.lastOffset !== last.offset) return false;
  const first = await findHeader(segment, -Infinity, 0);
  segment.resume(last.position, header.baseOffset, first?.maxTimestampMs);
  return true;
}

/** Closes the file of `segment` after `work`: few of many segments are used soon. */
async function closing<R>(segment: Segment, work: (segment: Segment) => Promise<R>): Promise<R> {
  try {
    return await work(segment);
  } finally {
    await segment.close();
  }
}

const NOTHING = Buffer.alloc(0);
