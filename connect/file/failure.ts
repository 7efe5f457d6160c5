import { isAbsolute } from 'node:path';
import { LogError } from '../../core/index.ts';
import { ConnectError } from '../errors.ts';

/** The operation in which the file system failed; part of the message. */
export type FileOperation =
  | 'open'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'replace'
  | 'remove'
  | 'list'
  | 'create'
  | 'unlock';

/** Turns a file system failure into a coded error: what, where, and what to do. */
export function fileFailure(path: string, operation: FileOperation, cause: unknown): Error {
  if (cause instanceof ConnectError) return cause;
  switch (errnoOf(cause)) {
    case 'ENOENT': {
      const start = isAbsolute(path) ? '' : `; the path is taken from ${process.cwd()}`;
      const message = `there is no file ${path}${start}`;
      return new ConnectError('FILE_NOT_FOUND', message, { path }, { cause });
    }
    case 'ENOTDIR': {
      const message = `${path} leads through a file, where a directory would have to be`;
      return new ConnectError('NOT_A_DIRECTORY', message, { path }, { cause });
    }
    case 'EISDIR':
      return notAFile(path, cause);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS': {
      const message =
        `no right to ${operation} ${path}; ` +
        'change its permissions, or run as a user who has the right';
      return new ConnectError('ACCESS_DENIED', message, { path, operation }, { cause });
    }
    case 'ENOSPC':
    case 'EDQUOT': {
      const message =
        `no room left on the disk: cannot ${operation} ${path}; ` +
        'free some space and run it again: it goes on where the last commit was';
      return new ConnectError('DISK_FULL', message, { file: path, operation }, { cause });
    }
    default: {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `cannot ${operation} ${path}: ${reason}`;
      return new ConnectError('STORAGE_FAILED', message, { file: path, operation }, { cause });
    }
  }
}

/** NOT_A_FILE, with the pattern to write instead. */
export function notAFile(path: string, cause?: unknown): ConnectError {
  const example = `${path.replace(/\/+$/, '')}/*.csv`;
  const message = `${path} is a directory; name its files, for example '${example}'`;
  return new ConnectError('NOT_A_FILE', message, { path }, { cause });
}

/** NOT_A_FILE for a pipe or a device, which cannot be read again after a crash. */
export function notStored(path: string): ConnectError {
  const message =
    `${path} is a pipe or a device, of which nothing can be read twice; ` +
    'write what comes from it to a file first';
  return new ConnectError('NOT_A_FILE', message, { path });
}

/** FILE_CHANGED: the file no longer is what an earlier run read. */
export function fileChanged(file: string, reason: string): ConnectError {
  const message =
    `${file} is not what was read before: ${reason}; ` +
    'put the old file back, or give the new one another name to have it read from its start';
  return new ConnectError('FILE_CHANGED', message, { file, reason });
}

/** Node's error code, even if core has wrapped the error. */
function errnoOf(error: unknown): string | undefined {
  if (error instanceof LogError) return errnoOf(error.cause);
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
