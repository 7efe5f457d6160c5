import type { File } from '../../../core/index.ts';
import { fileChanged, fileFailure } from '../failure.ts';

/** The bytes of a file, as they are or unpacked. */
export interface ByteInput {
  /** Where they end; Infinity until that is known. */
  readonly sizeBytes: number;
  /** True if nothing can be appended: what stands at the end is whole. */
  readonly isWhole: boolean;
  /** The bytes of the file that were read up to `position`, for progress. */
  doneBytes(position: number): number;
  /**
   * Fills `target` from `position` on, and returns the bytes read: fewer only at the end. A packed
   * file can only be read forwards.
   */
  read(target: Buffer, position: number): Promise<number>;
  /** Closes the file. */
  close(): Promise<void>;
}

/** The bytes as they are, up to the file's size when it was opened. */
export class PlainInput implements ByteInput {
  sizeBytes: number;
  readonly isWhole: boolean;
  readonly #file: File;

  /**
   * @param isWhole if not, a file that is cut while it is read ends there. Else that is an error.
   */
  constructor(file: File, sizeBytes: number, isWhole: boolean) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.isWhole = isWhole;
  }

  doneBytes(position: number): number {
    return position;
  }

  async read(target: Buffer, position: number): Promise<number> {
    const { path } = this.#file;
    const wanted = target.subarray(0, Math.max(0, this.sizeBytes - position));
    let readBytes: number;
    try {
      readBytes = await this.#file.read(wanted, position);
    } catch (cause) {
      throw fileFailure(path, 'read', cause);
    }
    if (readBytes === wanted.length) return readBytes;
    const end = position + readBytes;
    if (this.isWhole) throw fileChanged(path, `it was cut to ${end} bytes while being read`);
    this.sizeBytes = end;
    return readBytes;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
