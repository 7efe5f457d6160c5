import { LogError } from '../../errors.ts';
import { isOutOfDescriptors } from '../../storage/descriptors.ts';
import { storageFailure, type StorageOperation } from '../../storage/failure.ts';

/**
 * What a failed operation means for the log. Decided where the operation was made, which alone
 * knows what it was:
 *
 * - `write`: it did not happen, or only in part. What it left is cut off, and the log goes on.
 * - `full`: the same for want of room, or of a file descriptor. It may succeed later.
 * - `sync`: what it was to make durable may be lost, whatever a later sync answers. The log ends
 *   (docs/decisions/0001-no-second-fsync.md).
 */
export interface Failure {
  readonly kind: 'write' | 'full' | 'sync';
  /** What callers get. */
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

/** A failure of a sync, of a file or of a directory. Without a descriptor nothing was tried. */
export function syncFailure(path: string, cause: unknown): Failure {
  const isUntried = isOutOfDescriptors(cause) || LogError.is(cause, 'TOO_MANY_OPEN_FILES');
  if (isUntried) return writeFailure(path, 'open', cause);
  return { kind: 'sync', error: storageFailure(path, 'sync', cause) };
}
