import { pipeline, Readable, Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { nodeFileSystem, type File } from '../../../core/index.ts';
import { decompress } from '../../../core/internal.ts';
import { ConnectError } from '../../errors.ts';
import { fileFailure } from '../failure.ts';
import type { InputFile } from '../format.ts';
import { PlainInput, type ByteInput } from './byte-input.ts';
import { SMALL_BYTES, SmallFiles } from './small-file.ts';

/** How files are packed. */
type Packing = 'gzip' | 'zstd';

/** The names of packed files. */
const PACKED = /\.(?:(gz|gzip)|zst|zstd)$/i;
const MAGIC: Readonly<Record<Packing, Buffer>> = {
  gzip: Buffer.from([0x1f, 0x8b]),
  zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
};

/** The disk of the machine is one for all. */
const smallFiles = new SmallFiles();

/**
 * The bytes of a file: unpacked if its name ends with `.gz` or `.zst` and it begins like such a
 * file.
 *
 * @throws Error of the file system; ConnectError FILE_CHANGED, STORAGE_FAILED
 */
export async function openBytes(input: InputFile): Promise<ByteInput> {
  const { fileSystem, path, isFollowed, foundBytes = Infinity } = input;
  const isSmall = foundBytes <= SMALL_BYTES && !PACKED.test(path);
  const small =
    isSmall && fileSystem === nodeFileSystem ? smallFiles.read(path, !isFollowed) : undefined;
  if (small !== undefined) return small;
  const file = await fileSystem.open(path, 'read');
  try {
    return await bytesOf(file, isFollowed);
  } catch (cause) {
    await file.close();
    throw cause;
  }
}

async function bytesOf(file: File, isFollowed: boolean): Promise<ByteInput> {
  const { path } = file;
  const sizeBytes = await file.sizeBytes();
  const name = PACKED.exec(path);
  if (name !== null) {
    const packing = name[1] === undefined ? 'zstd' : 'gzip';
    const head = Buffer.alloc(MAGIC[packing].length);
    await file.read(head, 0);
    if (head.equals(MAGIC[packing])) return new UnpackedInput(file, packing, isFollowed);
  }
  return new PlainInput(file, sizeBytes, !isFollowed);
}

/** The name of a file without the ending of packed files; undefined if it has none. */
export function unpackedName(path: string): string | undefined {
  return PACKED.test(path) ? path.replace(PACKED, '') : undefined;
}

const PACKED_CHUNK_BYTES = 64 * 1024;
/** Node's code for the end of input that should have had more. */
const CUT_SHORT = 'Z_BUF_ERROR';

/** What a packed file holds, read forwards; going back starts over. */
class UnpackedInput implements ByteInput {
  sizeBytes = Infinity;
  isWhole = true;
  readonly #file: File;
  readonly #packing: Packing;
  readonly #isFollowed: boolean;
  #stream: Transform | undefined;
  #chunks: AsyncIterator<Buffer, undefined> | undefined;
  /** What is left of the last chunk. */
  #left: Buffer = EMPTY;
  /** Of the first byte in `#left`, in what is unpacked; and the bytes read of the file. */
  #position = 0;
  #packedBytes = 0;

  constructor(file: File, packing: Packing, isFollowed: boolean) {
    this.#file = file;
    this.#packing = packing;
    this.#isFollowed = isFollowed;
  }

  doneBytes(): number {
    return this.#packedBytes;
  }

  async read(target: Buffer, position: number): Promise<number> {
    if (position < this.#position) this.#rewind();
    let filled = 0;
    while (filled < target.length) {
      if (this.#left.length === 0 && !(await this.#next())) break;
      const skipped = Math.min(this.#left.length, Math.max(0, position - this.#position));
      const copied = this.#left.copy(target, filled, skipped);
      this.#left = this.#left.subarray(skipped + copied);
      this.#position += skipped + copied;
      filled += copied;
    }
    return filled;
  }

  async close(): Promise<void> {
    this.#stream?.destroy();
    await this.#file.close();
  }

  #rewind(): void {
    this.#stream?.destroy();
    this.#chunks = undefined;
    this.#left = EMPTY;
    this.#position = this.#packedBytes = 0;
  }

  /** Unpacks more; false at the end. */
  async #next(): Promise<boolean> {
    if (this.sizeBytes === this.#position) return false;
    try {
      this.#chunks ??= this.#unpack();
      const result: IteratorResult<Buffer, undefined> = await this.#chunks.next();
      if (result.done !== true) {
        this.#left = result.value;
        return true;
      }
    } catch (cause) {
      if (cause instanceof ConnectError) throw cause;
      // More of it may be on its way.
      if (!this.#isFollowed || (cause as { code?: unknown }).code !== CUT_SHORT) {
        throw this.#damaged(cause);
      }
      this.isWhole = false;
    }
    this.sizeBytes = this.#position;
    return false;
  }

  #unpack(): AsyncIterator<Buffer, undefined> {
    const stream = this.#packing === 'gzip' ? zlib.createGunzip() : zstdStream(this.#file.path);
    this.#stream = stream;
    pipeline(Readable.from(this.#packed()), stream, () => {
      // The iterator fails with the same error.
    });
    return stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  }

  async *#packed(): AsyncGenerator<Buffer> {
    for (let position = 0; ;) {
      const chunk = Buffer.allocUnsafe(PACKED_CHUNK_BYTES);
      let readBytes: number;
      try {
        readBytes = await this.#file.read(chunk, position);
      } catch (cause) {
        throw fileFailure(this.#file.path, 'read', cause);
      }
      if (readBytes === 0) return;
      position += readBytes;
      this.#packedBytes = position;
      yield chunk.subarray(0, readBytes);
    }
  }

  #damaged(cause: unknown): ConnectError {
    const { path: file } = this.#file;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message =
      `${file} does not unpack as ${this.#packing} after ${this.#position} bytes of its ` +
      `content: ${reason}; copy it again, it is damaged or was cut short`;
    const details = { file, packing: this.#packing, reason };
    return new ConnectError('INVALID_PACKING', message, details, { cause });
  }
}

const EMPTY = Buffer.alloc(0);

/** Node's own, from 22.15 on; the types of Node 20 lack it. */
interface ZstdOfNode {
  readonly createZstdDecompress?: () => Transform;
}

/** The largest file that is unpacked in one go. */
const WHOLE_BYTES_MAX = 64 * 1024 * 1024;

function zstdStream(file: string): Transform {
  const { createZstdDecompress } = zlib as unknown as ZstdOfNode;
  if (createZstdDecompress !== undefined) return createZstdDecompress();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      done(sizeBytes > WHOLE_BYTES_MAX ? tooLarge(file, sizeBytes) : null);
    },
    flush(done) {
      try {
        done(null, decompress('zstd', Buffer.concat(chunks)));
      } catch (cause) {
        done(cause as Error);
      }
    },
  });
}

function tooLarge(file: string, sizeBytes: number): ConnectError {
  const reason = `more than ${WHOLE_BYTES_MAX} bytes of zstd take Node 22.15 or later`;
  const message = `${file} (${sizeBytes} bytes and more): ${reason}; or use unzstd first`;
  return new ConnectError('INVALID_PACKING', message, { file, packing: 'zstd', reason });
}
