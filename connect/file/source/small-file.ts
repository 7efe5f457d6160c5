import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { systemClock, type Clock } from '../../../core/index.ts';
import { fileChanged, fileFailure } from '../failure.ts';
import type { ByteInput } from './byte-input.ts';

/** Larger files are worth the waiting for each of their steps. */
export const SMALL_BYTES: number = 64 * 1024;
/** A disk that takes longer for a file, on the average, is waited for without holding up others. */
const SLOW_MS = 1;
/** How many files are then read in the other way, before this one is tried again. */
const REST_FILES = 1_000;
/** How much the last file counts in the average. */
const WEIGHT = 0.05;

/**
 * Reads small files of the machine's disk at once: four system calls take some microseconds, and
 * handing each to a thread and back ten times as long. That holds up the process, so it is left
 * alone where the disk is slow.
 */
export class SmallFiles {
  readonly #clock: Clock;
  #averageMs = 0;
  #restFiles = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /**
   * The bytes of a file; undefined if it has to be opened in the other way.
   *
   * @param isWhole as of `PlainInput`.
   * @throws ConnectError FILE_CHANGED, STORAGE_FAILED; Error of Node's, if it cannot be opened.
   */
  read(path: string, isWhole: boolean): ByteInput | undefined {
    if (this.#restFiles > 0) {
      this.#restFiles--;
      return undefined;
    }
    const startMs = this.#clock.monotonicMs();
    const bytes = readNow(path, isWhole);
    this.#averageMs += (this.#clock.monotonicMs() - startMs - this.#averageMs) * WEIGHT;
    if (this.#averageMs > SLOW_MS) {
      this.#restFiles = REST_FILES;
      this.#averageMs = 0;
    }
    return bytes && new MemoryInput(bytes, isWhole);
  }
}

/** Windows does not have it. */
const { O_NONBLOCK: NO_WAIT = 0 } = constants as { readonly O_NONBLOCK?: number };

/** Undefined if it is not small, or no file. */
function readNow(path: string, isWhole: boolean): Buffer | undefined {
  // A pipe that has taken the name of a file must not block the process.
  const descriptor = openSync(path, constants.O_RDONLY | NO_WAIT);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || stat.size > SMALL_BYTES) return undefined;
    const bytes = Buffer.allocUnsafeSlow(stat.size);
    let filled = 0;
    while (filled < bytes.length) {
      const count = readSync(descriptor, bytes, filled, bytes.length - filled, filled);
      if (count === 0) break;
      filled += count;
    }
    if (filled < bytes.length && isWhole) {
      throw fileChanged(path, `it was cut to ${filled} bytes while being read`);
    }
    return bytes.subarray(0, filled);
  } catch (cause) {
    throw fileFailure(path, 'read', cause);
  } finally {
    closeSync(descriptor);
  }
}

/** A file that is in memory. */
class MemoryInput implements ByteInput {
  readonly sizeBytes: number;
  readonly isWhole: boolean;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, isWhole: boolean) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
    this.isWhole = isWhole;
  }

  doneBytes(position: number): number {
    return position;
  }

  read(target: Buffer, position: number): Promise<number> {
    return Promise.resolve(this.#bytes.copy(target, 0, position));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
