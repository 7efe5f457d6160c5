import { LogError } from '../errors.ts';
import { isOutOfDescriptors } from './descriptors.ts';
import { errnoOf } from './node-fs.ts';
import { openFilesLimit } from './open-files-limit.ts';

/** The operation that failed; part of the message. */
export type StorageOperation =
  'open' | 'read' | 'write' | 'sync' | 'truncate' | 'rename' | 'remove' | 'list' | 'create';

/**
 * Turns a failure of the file system into a coded error: DISK_FULL if freeing space helps,
 * TOO_MANY_OPEN_FILES if nothing was attempted because no descriptor was free, and
 * KAFKA_STORAGE_ERROR for the rest, with the operating system's message. A failed sync is never
 * DISK_FULL: a file system that finds no room only at write-back has lost the bytes that the sync
 * covered, and a retry would report them as safe (docs/decisions/0001-no-second-fsync.md).
 */
export function storageFailure(
  file: string,
  operation: StorageOperation,
  cause: unknown,
): LogError {
  if (cause instanceof LogError) return cause;
  const errno = errnoOf(cause);
  const details = { file, operation };
  if (isOutOfDescriptors(cause)) {
    const limit = openFilesLimit();
    const message =
      `cannot ${operation} ${file}: too many files are open; this process may open ${limit} ` +
      '(`ulimit -n`): close some, raise the limit, or lower openFilesMax of openLog';
    return new LogError('TOO_MANY_OPEN_FILES', message, { ...details, limit }, { cause });
  }
  if (operation !== 'sync' && (errno === 'ENOSPC' || errno === 'EDQUOT')) {
    const message =
      `no room left on the disk: cannot ${operation} ${file}; ` + 'free some space and try again';
    return new LogError('DISK_FULL', message, details, { cause });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LogError('KAFKA_STORAGE_ERROR', `cannot ${operation} ${file}: ${reason}`, details, {
    cause,
  });
}
