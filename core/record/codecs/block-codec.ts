import { createRequire } from 'node:module';
import { LogError } from '../../errors.ts';

/** Packs the records of one batch into one block and back. */
export interface BlockCodec {
  /** @param level default: the codec's own; ignored if it has no levels. */
  compress(records: Buffer, level?: number): Buffer;
  /**
   * @param sizeBytesMax of the result.
   * @throws Error of any class for a block that is damaged or unpacks to more.
   */
  decompress(block: Buffer, sizeBytesMax: number): Buffer;
}

const require = createRequire(import.meta.url);

/**
 * Loads the package that a codec needs, at its first use.
 *
 * @throws LogError UNSUPPORTED_COMPRESSION_TYPE when it is not installed or not made for this
 *   platform.
 */
export function loadPackage(codec: string, name: string): unknown {
  try {
    return require(name);
  } catch (cause) {
    const message =
      `records compressed with ${codec} need the package ${name}, which does not load here: ` +
      'install it for this platform, or use another codec';
    throw new LogError('UNSUPPORTED_COMPRESSION_TYPE', message, { codec }, { cause });
  }
}

/** What a codec throws for a block that would unpack to too much. */
export function tooLarge(sizeBytesMax: number): RangeError {
  return new RangeError(`unpacks to more than ${sizeBytesMax} bytes`);
}
