import { LogError } from '../errors.ts';
import { errnoOf } from './node-fs.ts';

/** What was being done when the file system failed; part of the message. */
export type StorageOperation =
  'open' | 'read' | 'write' | 'sync' | 'truncate' | 'rename' | 'remove' | 'list' | 'create';

/**
 * A failure of the file system as a coded error: DISK_FULL where making room helps, and
 * KAFKA_STORAGE_ERROR for the rest, with what the operating system said.
 */
export function storageFailure(
  file: string,
  operation: StorageOperation,
  cause: unknown,
): LogError {
  if (cause instanceof LogError) return cause;
  const errno = errnoOf(cause);
  const details = { file, operation };
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    const message =
      `no room left on the disk: cannot ${operation} ${file}; ` + 'free some space and try again';
    return new LogError('DISK_FULL', message, details, { cause });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LogError('KAFKA_STORAGE_ERROR', `cannot ${operation} ${file}: ${reason}`, details, {
    cause,
  });
}
