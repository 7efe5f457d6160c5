import { join } from 'node:path';
import { TEMPORARY_SUFFIX } from '../storage/atomic-file.ts';
import type { FileSystem } from '../storage/file-system.ts';
import type { Segment } from './segment.ts';

/** Stands in a partition's directory from a failed sync to the next opening. */
export const FAILED_SYNC_FILE = 'failed-sync';

/** Copied at once. */
const COPY_BYTES = 4 * 1024 * 1024;

/**
 * Leaves word that a sync failed (docs/decisions/0001-no-second-fsync.md). An opening before the
 * machine starts anew reads the cache, where everything still seems well, and a sync then succeeds
 * without writing anything: so it has to write again what may be missing on the disk.
 */
export async function noteFailedSync(fileSystem: FileSystem, directory: string): Promise<void> {
  const path = join(directory, FAILED_SYNC_FILE);
  // A disk that does not even take this will not open again either.
  await fileSystem.createExclusive(path, Buffer.alloc(0)).catch(() => undefined);
}

/**
 * Writes a segment's file again, under its name. Durable when it resolves. Only the last segment
 * can need it: another is begun when all before it is durable.
 */
export async function renewFile(fileSystem: FileSystem, segment: Segment): Promise<void> {
  const temporary = segment.logPath + TEMPORARY_SUFFIX;
  const [source, target] = [await segment.file(), await fileSystem.open(temporary, 'create')];
  try {
    await target.truncate(0);
    for (let position = 0; position < segment.writtenBytes; position += COPY_BYTES) {
      const bytes = Buffer.allocUnsafe(Math.min(COPY_BYTES, segment.writtenBytes - position));
      await source.read(bytes, position);
      await target.write([bytes], position);
    }
    await target.sync();
  } finally {
    await Promise.allSettled([target.close(), segment.close()]);
  }
  await fileSystem.rename(temporary, segment.logPath);
  await fileSystem.syncDirectory(segment.directory);
}
