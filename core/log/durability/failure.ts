import { LogError } from '../../errors.ts';
import { isOutOfDescriptors } from '../../storage/descriptors.ts';
import { storageFailure, type StorageOperation } from '../../storage/failure.ts';

/**
 * What a failed operation means for the log. The caller of the operation decides, because it alone
 * knows what it attempted:
 *
 * - `write`: it did not happen, or only in part. The log truncates the remains and continues.
 * - `full`: the same because disk space or file descriptors ran out. It may succeed later.
 * - `sync`: the bytes it was to make durable may be lost, whatever a later sync returns. The log
 *   ends (docs/decisions/0001-no-second-fsync.md).
 */
export interface Failure {
  readonly kind: 'write' | 'full' | 'sync';
  /** The error that callers get. */
  readonly error: LogError;
}

/** A failure of anything but a sync. */
export function writeFailure(
  path: string,
  operation: Exclude<StorageOperation, 'sync'>,
  cause: unknown,
): Failure {
  const error = storageFailure(path, operation, cause);
  const mayPass = LogError.is(error, 'DISK_FULL') || LogError.is(error, 'TOO_MANY_OPEN_FILES');
  return { kind: mayPass ? 'full' : 'write', error };
}

/** A failed sync of a file or directory. Without a descriptor, no sync was attempted. */
export function syncFailure(path: string, cause: unknown): Failure {
  const isUntried = isOutOfDescriptors(cause) || LogError.is(cause, 'TOO_MANY_OPEN_FILES');
  if (isUntried) return writeFailure(path, 'open', cause);
  return { kind: 'sync', error: storageFailure(path, 'sync', cause) };
}
