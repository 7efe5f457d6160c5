import { syncNames } from '../../storage/atomic-file.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import { closeAll } from '../segment/segment-list.ts';
import type { Segment } from '../segment/segment.ts';
import type { LoadOptions } from './load-segment.ts';
import { loadLog, removeIfThere, type LoadedLog } from './load.ts';

/**
 * Reloads a log that this process has written, after truncating the remains of a failed write above
 * `highWatermark`. Closes the files of `segments`.
 *
 * @throws LogError as `loadLog`.
 */
export async function reloadLog(
  segments: readonly Segment[],
  highWatermark: number,
  options: LoadOptions,
): Promise<LoadedLog> {
  await cutUnwritten(options.fileSystem, segments, highWatermark);
  await closeAll(segments);
  return loadLog({ ...options, isOwn: true });
}

/**
 * Truncates the remains of a failed write above `highWatermark`. A truncation becomes durable with
 * the next sync, which comes before another segment is begun (`Durability`).
 *
 * A segment begun by a batch that was not written is removed, durably, if it starts above the high
 * watermark. One that starts right at it stays, empty: the one before it may have been compacted
 * meanwhile, and if that became the last segment, `redoJournal` would overwrite it with frames of
 * its old content.
 */
async function cutUnwritten(
  fileSystem: FileSystem,
  segments: readonly Segment[],
  highWatermark: number,
): Promise<void> {
  for (const [index, segment] of segments.entries()) {
    if (segment.nextOffset <= highWatermark) continue;
    if (index > 0 && segment.baseOffset > highWatermark) {
      await removeIfThere(fileSystem, segment.logPath);
      await syncNames(fileSystem, segment.directory);
      continue;
    }
    if ((await fileSystem.stat(segment.logPath)) === undefined) continue; // it was never made
    const file = await segment.file();
    await file.truncate(segment.writtenBytes);
  }
}
