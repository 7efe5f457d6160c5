import { LogError } from '../../errors.ts';
import { storageFailure, type StorageOperation } from '../../storage/failure.ts';
import { errnoOf } from '../../storage/node-fs.ts';

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

/** No descriptor was left to open a file with: nothing was tried. */
const NO_DESCRIPTOR: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE']);

/** A failure of anything but a sync. */
export function writeFailure(
  path: string,
  operation: Exclude<StorageOperation, 'sync'>,
  cause: unknown,
): Failure {
  const error = storageFailure(path, operation, cause);
  const mayPass = LogError.is(error, 'DISK_FULL') || lacksDescriptor(cause);
  return { kind: mayPass ? 'full' : 'write', error };
}

/** A failure of a sync, of a file or of a directory. */
export function syncFailure(path: string, cause: unknown): Failure {
  if (lacksDescriptor(cause)) return writeFailure(path, 'open', cause);
  return { kind: 'sync', error: storageFailure(path, 'sync', cause) };
}

function lacksDescriptor(cause: unknown): boolean {
  const errno = errnoOf(cause instanceof LogError ? cause.cause : cause);
  return errno !== undefined && NO_DESCRIPTOR.has(errno);
}
