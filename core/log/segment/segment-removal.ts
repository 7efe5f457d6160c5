import type { Clock } from '../../clock.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import { DELETED_SUFFIX, SEGMENT_SUFFIXES } from './file-names.ts';
import type { Segment } from './segment.ts';

/** How segments are removed. */
export interface RemovalOptions {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly delayMs: number;
  /** Makes the names in the segment's directory durable. */
  readonly syncNames: () => Promise<void>;
}

/**
 * Marks the files of a segment as deleted, durably, and removes them after `delayMs`, so that a
 * running read can end. A process that stops in between leaves `.deleted` files, which the next
 * opening removes. Segments are removed oldest first, so that the end of the log remains.
 *
 * @throws LogError KAFKA_STORAGE_ERROR: call again.
 */
export async function removeSegment(segment: Segment, options: RemovalOptions): Promise<void> {
  await markRemoved(segment, options.fileSystem);
  await options.syncNames();
  removeLater(segment, options);
}

/** Marks the files of a segment as deleted; not durable before the directory is synced. */
export async function markRemoved(segment: Segment, fileSystem: FileSystem): Promise<void> {
  await segment.file(); // a late read needs it open, because the name changes
  segment.noteRemoved();
  try {
    // The log comes last: an index without a log is a left-over, a log without an index costs a
    // scan.
    for (const suffix of SEGMENT_SUFFIXES.toReversed()) {
      const path = segment.path(suffix);
      if ((await fileSystem.stat(path)) === undefined) continue;
      await fileSystem.rename(path, path + DELETED_SUFFIX);
    }
  } catch (cause) {
    throw storageFailure(segment.logPath, 'rename', cause);
  }
}

/** Closes and removes, after the delay, the files that `markRemoved` has marked. */
export function removeLater(
  segment: Segment,
  { fileSystem, clock, delayMs }: RemovalOptions,
): void {
  const paths = SEGMENT_SUFFIXES.map((suffix) => segment.path(suffix) + DELETED_SUFFIX);
  clock.setBackgroundTimer(delayMs, () => {
    // The next opening removes left-overs, so a failure here only wastes disk space.
    void segment
      .close()
      .catch(() => undefined)
      .then(() => Promise.allSettled(paths.map((path) => fileSystem.remove(path))));
  });
}
