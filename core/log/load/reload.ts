import { syncNames } from '../../storage/atomic-file.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import { closeAll } from '../segment/segment-list.ts';
import type { Segment } from '../segment/segment.ts';
import type { LoadOptions } from './load-segment.ts';
import { loadLog, removeIfThere, type LoadedLog } from './load.ts';

/**
 * Loads a log again that this process has written, after cutting off what a failed write may have
 * left above `highWatermark`. Closes the files of `segments`.
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
 * Cuts off what a failed write may have left above `highWatermark`. The cut of a file is durable
 * with the next sync, which comes before another segment is begun (`Durability`).
 *
 * A segment begun by a batch that was not written goes, durably, when it starts at an offset that
 * is not reached yet. One that starts right at the high watermark stays, empty: the one before it
 * may have been compacted meanwhile, and as the last segment it would get the journal's frames of
 * what it was before written over it (`redoJournal`).
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
