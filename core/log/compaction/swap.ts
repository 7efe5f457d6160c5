import { join } from 'node:path';
import { LogError } from '../../errors.ts';
import { batchLastOffset, batchSizeBytes } from '../../record/batch.ts';
import { syncNames } from '../../storage/atomic-file.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import {
  CLEANED_SUFFIX,
  INDEX_SUFFIXES,
  LOG_SUFFIX,
  offsetName,
  offsetOfName,
  SEGMENT_SUFFIXES,
  SWAP_SUFFIX,
} from '../segment/file-names.ts';
import { walkBatches } from '../segment/batch-walk.ts';
import { markRemoved, removeLater, type RemovalOptions } from '../segment/segment-removal.ts';
import type { Segment } from '../segment/segment.ts';

/*
 * How a cleaned segment replaces its source segments (Kafka: `LocalLog.replaceSegments`). A crash
 * after any step leaves either the old segments or the new one:
 *
 *   1. its files are written as `.cleaned` and synced;             the next opening removes them
 *   2. the indexes become `.swap`; the directory is synced;        the next opening removes them
 *   3. the log becomes `.swap`; the directory is synced:           from here on the new one counts
 *   4. the files of the old segments become `.deleted`, the indexes get their names; the directory
 *      is synced;                                      the next opening does 4 and 5 once more
 *   5. the log gets its name; the directory is synced.
 *
 * So `.log.swap` exists until all steps are done, and defines them: its last batch is the last one
 * of the segments that it replaces.
 */

/** Bytes per read of a file if only batch headers matter. */
const HEADER_BYTES = 16 * 1024;

interface Place {
  readonly fileSystem: FileSystem;
  readonly directory: string;
}

interface OpenLogPlace extends Place {
  /** Makes the names in the directory durable. */
  readonly syncNames: () => Promise<void>;
}

/**
 * Steps 2 and 3. Durable when it resolves.
 *
 * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: the old segments count, unless a sync failed.
 */
export async function commitSwap(
  { fileSystem, syncNames }: OpenLogPlace,
  old: readonly Segment[],
  cleaned: Segment,
): Promise<void> {
  for (const segment of old) await segment.file(); // open it before it is renamed
  for (const suffixes of [INDEX_SUFFIXES, [LOG_SUFFIX]]) {
    for (const suffix of suffixes) {
      const path = cleaned.path(suffix);
      if (!(await exists(fileSystem, path + CLEANED_SUFFIX))) continue;
      await rename(fileSystem, path + CLEANED_SUFFIX, path + SWAP_SUFFIX);
    }
    await syncNames();
  }
}

/**
 * Steps 4 and 5. Running reads of `old` can continue; the files are removed after `delayMs`.
 *
 * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: the log has to be reloaded.
 */
export async function finishSwap(
  options: OpenLogPlace & RemovalOptions,
  old: readonly Segment[],
  cleaned: Segment,
): Promise<void> {
  const { fileSystem } = options;
  // From here on their names mean other files: a read uses the open file or fails.
  for (const segment of old) segment.noteRemoved();
  for (const segment of old) await markRemoved(segment, fileSystem);
  await takeName(options, cleaned.baseOffset);
  for (const segment of old) removeLater(segment, options);
}

/**
 * Prepares the files of a partition for loading: removes unfinished cleaning output and finishes a
 * swap that has begun.
 *
 * @param endOf the offset after the last batch of a segment's file, which is at most `limit`; the
 *   default refuses a damaged one.
 * @throws LogError CORRUPT_BATCH, and the file system's own errors.
 */
export async function settleSwaps(
  { fileSystem, directory }: Place,
  endOf: (fileSystem: FileSystem, path: string, limit: number) => Promise<number> = endOfWhole,
): Promise<void> {
  const place = { fileSystem, directory, syncNames: () => syncNames(fileSystem, directory) };
  let names = await namesIn(fileSystem, directory);
  const swapped = offsetsOf(names, LOG_SUFFIX + SWAP_SUFFIX);
  await removeUnfinished(fileSystem, directory, names);
  // The last process may have died between step 3 and its sync: a power cut that takes the old
  // names must not take the new name too.
  if (swapped.length > 0) await place.syncNames();
  for (const base of swapped) {
    const later = offsetsOf(names, LOG_SUFFIX).filter((offset) => offset > base);
    // A swap past the newest segment replaces nothing: it was renamed for another reason, and its
    // end may be torn.
    const path = join(directory, offsetName(base) + LOG_SUFFIX + SWAP_SUFFIX);
    const newest = later.at(-1);
    const endOffset = newest === undefined ? base : await endOf(fileSystem, path, newest);
    for (const offset of later) {
      if (offset >= endOffset) continue;
      for (const suffix of SEGMENT_SUFFIXES) {
        const name = offsetName(offset) + suffix;
        if (names.has(name)) await fileSystem.remove(join(directory, name));
      }
    }
    await takeName(place, base);
    names = await namesIn(fileSystem, directory);
  }
}

/**
 * Removes the left-overs of earlier attempts, so that they do not pass for parts of the next. Not
 * durable before the directory is synced.
 */
export async function removeUnfinished(
  fileSystem: FileSystem,
  directory: string,
  names: ReadonlySet<string>,
): Promise<void> {
  const swapped = new Set(offsetsOf(names, LOG_SUFFIX + SWAP_SUFFIX));
  for (const name of names) {
    const isSwap = INDEX_SUFFIXES.some((suffix) => {
      const base = offsetOfName(name, suffix + SWAP_SUFFIX);
      return base !== undefined && !swapped.has(base);
    });
    if (isSwap || name.endsWith(CLEANED_SUFFIX)) await fileSystem.remove(join(directory, name));
  }
}

export async function namesIn(
  fileSystem: Pick<FileSystem, 'list'>,
  directory: string,
): Promise<Set<string>> {
  const entries = await fileSystem.list(directory);
  return new Set(entries.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name));
}

export function offsetsOf(names: Iterable<string>, suffix: string): number[] {
  const offsets = [...names].map((name) => offsetOfName(name, suffix));
  return offsets.filter((offset) => offset !== undefined).sort((a, b) => a - b);
}

/** Renames the swapped files of a segment to their final names, the log last. */
async function takeName(
  { fileSystem, directory, syncNames }: OpenLogPlace,
  base: number,
): Promise<void> {
  for (const suffixes of [INDEX_SUFFIXES, [LOG_SUFFIX]]) {
    for (const suffix of suffixes) {
      const path = join(directory, offsetName(base) + suffix);
      if (!(await exists(fileSystem, path + SWAP_SUFFIX))) continue;
      await rename(fileSystem, path + SWAP_SUFFIX, path);
    }
    await syncNames();
  }
}

/**
 * The offset after the last batch of a segment's file, which is whole, because it was synced. No
 * checksum covers offsets: one above `limit` would remove segments that nothing replaces.
 */
async function endOfWhole(fileSystem: FileSystem, path: string, limit: number): Promise<number> {
  const file = await fileSystem.open(path, 'read');
  try {
    const read = async (at: number, count: number): Promise<Buffer> => {
      const chunk = Buffer.allocUnsafeSlow(count);
      return chunk.subarray(0, await file.read(chunk, at));
    };
    const [to, chunkBytes, isHeadersOnly] = [await file.sizeBytes(), HEADER_BYTES, true];
    let endOffset = -1;
    const walk = walkBatches({ read, from: 0, to, chunkBytes, isHeadersOnly });
    for await (const { bytes, position, fault } of walk) {
      let [at, last] = [0, 0];
      for (; at < bytes.length; at += batchSizeBytes(bytes, at)) {
        last = at;
        endOffset = batchLastOffset(bytes, at) + 1;
        if (endOffset > limit) throw damaged(path, position + at);
      }
      const isCut = fault === 'batch cut short'; // the last of the run: its header is complete
      if (fault !== undefined) throw damaged(path, position + (isCut ? last : at));
    }
    return endOffset;
  } finally {
    await file.close();
  }
}

function damaged(file: string, positionBytes: number): LogError {
  const reason = 'no batch that belongs there stands there';
  const message =
    `${file} is damaged at byte ${positionBytes}: ${reason}; it is the outcome of a compaction ` +
    'that was being put in place';
  return new LogError('CORRUPT_BATCH', message, { file, positionBytes, reason });
}

async function exists(fileSystem: FileSystem, path: string): Promise<boolean> {
  const found = await fileSystem.stat(path).catch((cause: unknown) => {
    throw storageFailure(path, 'open', cause);
  });
  return found !== undefined;
}

async function rename(fileSystem: FileSystem, from: string, to: string): Promise<void> {
  await fileSystem.rename(from, to).catch((cause: unknown) => {
    throw storageFailure(from, 'rename', cause);
  });
}
