import { LogError } from '../errors.ts';
import { errnoOf } from './node-fs.ts';

/** What was being done when the file system failed; part of the message. */
export type StorageOperation =
  'open' | 'read' | 'write' | 'sync' | 'truncate' | 'rename' | 'remove' | 'list' | 'create';

/**
 * A failure of the file system as a coded error: DISK_FULL where making room helps, and
 * KAFKA_STORAGE_ERROR for the rest, with what the operating system said. A failed sync is never
 * DISK_FULL: a file system that finds room only when it writes back has lost what the sync covered,
 * and to try again would say that it is there (docs/decisions/0001-no-second-fsync.md).
 */
export function storageFailure(
  file: string,
  operation: StorageOperation,
  cause: unknown,
): LogError {
  if (cause instanceof LogError) return cause;
  const errno = errnoOf(cause);
  const details = { file, operation };
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
