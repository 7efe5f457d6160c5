import { statfsSync } from 'node:fs';

/**
 * How many bytes may still be written to the disk that a directory is on; undefined if that cannot
 * be told. It does not know of quotas.
 */
export function freeBytes(directory: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return undefined; // it is not there, or the file system does not say
  }
}
