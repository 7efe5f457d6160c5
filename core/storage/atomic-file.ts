import { dirname } from 'node:path';
import { storageFailure } from './failure.ts';
import type { FileSystem } from './file-system.ts';

/** Suffix of a file that is being written; a crash leaves only worthless remains of it. */
export const TEMPORARY_SUFFIX = '.tmp';

/**
 * Replaces `path` by `content` atomically, so that a reader always finds the whole old or the whole
 * new content: temporary file, sync, rename, sync of the directory (Kafka: `CheckpointFile`).
 * Durable when it resolves. One writer of a path at a time.
 *
 * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR: the old content remains.
 * @throws LogError KAFKA_STORAGE_ERROR also if the sync of the directory failed: readers see the
 *   new content, and a power cut may bring back the old one.
 */
export async function replaceFile(
  fileSystem: FileSystem,
  path: string,
  content: Uint8Array,
): Promise<void> {
  await placeFile(fileSystem, path, content);
  await syncNames(fileSystem, dirname(path));
}

/**
 * As `replaceFile`, but not durable before the directory is synced; until then a power cut may
 * bring back the old content.
 *
 * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR: the old content remains.
 */
export async function placeFile(
  fileSystem: FileSystem,
  path: string,
  content: Uint8Array,
): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX;
  try {
    const file = await fileSystem.open(temporary, 'create');
    try {
      await file.truncate(0);
      await file.write([content], 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await fileSystem.rename(temporary, path);
  } catch (cause) {
    throw storageFailure(path, 'write', cause);
  }
}

/**
 * Makes the names in a directory durable.
 *
 * @throws LogError KAFKA_STORAGE_ERROR, whose operation is `sync`.
 */
export async function syncNames(fileSystem: FileSystem, directory: string): Promise<void> {
  await fileSystem.syncDirectory(directory).catch((cause: unknown) => {
    throw storageFailure(directory, 'sync', cause);
  });
}
