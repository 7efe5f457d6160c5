import type { RecordPlace } from '../../record/unpack.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import { OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX } from '../segment/file-names.ts';
import type { LogConfig } from '../log-config.ts';
import { corrupt, findHeader } from '../segment/log-reader.ts';
import { scanSegment, type ScanFault, type ScanOptions } from '../segment/segment-scan.ts';
import { emptyIndexes, Segment } from '../segment/segment.ts';
import type { IndexCondition } from '../segment/sparse-index.ts';
import type { AbortedTransaction } from '../segment/transaction-index.ts';

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
  /** This process has written the files, and no sync of them has failed. */
  readonly isOwn?: boolean;
}

/** What is known of a segment before its file is looked at. */
export interface SegmentFiles {
  readonly baseOffset: number;
  /** The names in the directory. */
  readonly names: ReadonlySet<string>;
  /** Its aborted transactions, but for those that the scan finds. */
  readonly aborted: readonly AbortedTransaction[];
}

export interface LoadedSegment {
  readonly segment: Segment;
  /** Its index files hold something that its indexes do not. */
  readonly hasStaleIndexes: boolean;
  /** Why the scan stopped before the end of the file, and how many bytes it left. */
  readonly fault?: { readonly reason: ScanFault; readonly behindBytes: number };
}

/**
 * Loads a segment wholly below the scan: its size and its index files are believed, if they fit
 * together. Changes nothing on the disk.
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
 * Loads a segment that reaches into the scan: it is read from the last index entry below `scanFrom`
 * on, or from its beginning where the indexes are not sound. Changes nothing on the disk.
 *
 * @throws LogError CORRUPT_BATCH when the file is shorter than the directory says.
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
  /** With what could be taken of the indexes; where it ends is not said yet. */
  readonly segment: Segment;
  readonly sizeBytes: number;
  readonly offsets: IndexCondition;
  readonly times: IndexCondition;
}

/** Takes the entries of the index files that point below `endOffset`; an absent file has none. */
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

/** Whether the indexes of a sealed segment are whole, as far as that can be told. */
function areWhole(
  { segment, offsets, times, sizeBytes }: ReadIndexes,
  { names }: SegmentFiles,
  { config }: LoadOptions,
): boolean {
  // Behind the last entry lies at most an interval and the batch that made it full.
  const behindBytes = sizeBytes - (segment.indexes.offsets.last()?.position ?? 0);
  const isShort = behindBytes > config.indexIntervalBytes + config.maxMessageBytes;
  return hasFiles(segment, names) && offsets === 'whole' && times === 'whole' && !isShort;
}

/** Whether the two files are there that can always be made again from the log. */
function hasFiles(segment: Segment, names: ReadonlySet<string>): boolean {
  return [OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX].every((suffix) =>
    names.has(segment.name(suffix)),
  );
}

function noteMissing(segment: Segment, { names }: SegmentFiles): void {
  if (!hasFiles(segment, names)) segment.noteMissingIndex();
}

/** Whether the last time entry is what the log has there. */
async function knowsNewestTime(segment: Segment): Promise<boolean> {
  const { offsets, times } = segment.indexes;
  const newest = times.last();
  if (newest === undefined) return false;
  const { position } = offsets.lookup(newest.offset);
  const header = await findHeader(segment, newest.offset, position);
  return header?.lastOffset === newest.offset && header.maxTimestampMs === newest.timestampMs;
}

/**
 * Lets the segment go on from its last index entry; false when that is not what the log has there.
 */
async function leadsOn({ segment, sizeBytes }: ReadIndexes): Promise<boolean> {
  const { offsets, times } = segment.indexes;
  const last = offsets.last();
  if (last !== undefined && times.count === 0) return false; // no offset is indexed without a time
  segment.noteWritten(sizeBytes); // what may be read
  if (times.count > 0 && !(await knowsNewestTime(segment))) return false;
  if (last === undefined) {
    segment.resume(0, segment.baseOffset);
    return true;
  }
  // The entry names the last offset of its batch: reading starts with that batch.
  const header = await findHeader(segment, -Infinity, last.position);
  if (header?.lastOffset !== last.offset) return false;
  const first = await findHeader(segment, -Infinity, 0);
  segment.resume(last.position, header.baseOffset, first?.maxTimestampMs);
  return true;
}

/** Closes the file of `segment` behind `work`: of many segments few are read or written soon. */
async function closing<R>(segment: Segment, work: (segment: Segment) => Promise<R>): Promise<R> {
  try {
    return await work(segment);
  } finally {
    await segment.close();
  }
}

const NOTHING = Buffer.alloc(0);
