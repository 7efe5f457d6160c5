import type { Clock } from '../clock.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { DELETED_SUFFIX, SEGMENT_SUFFIXES } from './file-names.ts';
import type { Segment } from './segment.ts';

/**
 * Marks the files of `segments` as deleted, at once, and removes them after `delayMs`, so that a
 * read that has begun can end. A process that stops in between leaves `.deleted` files, which the
 * next opening removes.
 */
export async function removeFiles(
  segments: readonly Segment[],
  options: { readonly fileSystem: FileSystem; readonly clock: Clock; readonly delayMs: number },
): Promise<void> {
  const { fileSystem, clock, delayMs } = options;
  for (const segment of segments) {
    const marked: string[] = [];
    // The log goes last: an index without a log is a left-over, a log without an index costs a
    // scan.
    for (const suffix of SEGMENT_SUFFIXES.toReversed()) {
      const path = segment.path(suffix);
      if ((await fileSystem.stat(path)) === undefined) continue;
      await fileSystem.rename(path, path + DELETED_SUFFIX).catch((cause: unknown) => {
        throw storageFailure(path, 'rename', cause);
      });
      marked.push(path + DELETED_SUFFIX);
    }
    clock.setBackgroundTimer(delayMs, () => {
      // Left-overs are removed at the next opening, so a failure here loses nothing but room.
      void segment.close().then(
        () => Promise.allSettled(marked.map((path) => fileSystem.remove(path))),
        () => undefined,
      );
    });
  }
}
