import { crc32 } from 'node:zlib';
import { checkOptions, integer, oneOf, text, type OptionChecks } from '../../core/internal.ts';
import type { SourceOffset } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { fileChanged, fileFailure } from './failure.ts';
import type { BadRow, InputFile, RowBatch, RowReader, SourceFormat } from './format.ts';
import type { ByteInput } from './source/byte-input.ts';
import { openBytes } from './source/open-bytes.ts';
import { encodingOf, type TextEncoding } from './source/text-encoding.ts';
import { LINE_BYTES_MAX } from './text-reader.ts';

/** A file as one row. */
export interface WholeFile<Content> {
  /** As the source names it. */
  readonly path: string;
  readonly content: Content;
}

/** The options of `wholeFiles`. */
export interface WholeFilesOptions {
  /** What the content is: bytes, or text. Default: `bytes`. */
  readonly as?: 'bytes' | 'text';
  /** How text is written, as for `lines()`. Default: UTF-8. */
  readonly encoding?: string;
  /** The largest file, unpacked, at most 256 MiB; a larger one is bad. Default: 1 MiB. */
  readonly fileBytesMax?: number;
}

const CHECKS: OptionChecks<WholeFilesOptions> = {
  as: oneOf('bytes', 'text'),
  encoding: text,
  fileBytesMax: integer(1, 2 ** 28),
};

/**
 * Each file is one row: its path and all of its content. With `follow` a file that has changed is a
 * row again; give `minAgeMs`, so that files are read when they are complete. Without it, a file
 * that
 * has changed since it was read is FILE_CHANGED.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function wholeFiles(
  options: WholeFilesOptions & { readonly as: 'text' },
): SourceFormat<WholeFile<string>>;
export function wholeFiles(
  options?: WholeFilesOptions & { readonly as?: 'bytes' },
): SourceFormat<WholeFile<Uint8Array>>;
export function wholeFiles(
  options: WholeFilesOptions = {},
): SourceFormat<WholeFile<string>> | SourceFormat<WholeFile<Uint8Array>> {
  checkOptions('wholeFiles', options, CHECKS);
  const { as = 'bytes', fileBytesMax = LINE_BYTES_MAX } = options;
  const encoding = encodingOf('wholeFiles', options.encoding);
  const common = { name: 'wholeFiles', unit: 'row', canFollow: true } as const;
  if (as === 'bytes') {
    const make = (path: string, content: Buffer): WholeFile<Uint8Array> => ({ path, content });
    return { ...common, open: (file) => WholeFileReader.open(file, fileBytesMax, make) };
  }
  const make = (path: string, bytes: Buffer): WholeFile<string> => {
    return { path, content: decode(path, bytes, encoding) };
  };
  return { ...common, open: (file) => WholeFileReader.open(file, fileBytesMax, make) };
}

function decode(file: string, bytes: Buffer, encoding: TextEncoding): string {
  const content = bytes.subarray(encoding.markBytes(bytes));
  if (encoding.isValid(content)) return encoding.decode(content);
  const message = `${file}: the text is not ${encoding.name}; name its encoding`;
  throw new ConnectError('NOT_UTF8', message, { file, line: 1, positionBytes: 0 });
}

/** A file that was read, as committed. */
interface WholeOffset {
  /** Of its content. */
  readonly position: number;
  readonly sizeBytes: number;
  readonly check: number;
}

/** Reads a file in one go. */
class WholeFileReader<Row> implements RowReader<Row> {
  readonly #input: ByteInput;
  readonly #file: InputFile;
  readonly #bytesMax: number;
  readonly #make: (path: string, content: Buffer) => Row;
  #isRead = false;

  private constructor(
    input: ByteInput,
    file: InputFile,
    bytesMax: number,
    make: (path: string, content: Buffer) => Row,
  ) {
    this.#input = input;
    this.#file = file;
    this.#bytesMax = bytesMax;
    this.#make = make;
  }

  static async open<Row>(
    input: InputFile,
    bytesMax: number,
    make: (path: string, content: Buffer) => Row,
  ): Promise<WholeFileReader<Row>> {
    const { path, offset, badOffset } = input;
    if (offset !== undefined && wholeOffset(offset) === undefined) throw badOffset();
    try {
      return new WholeFileReader(await openBytes(input), input, bytesMax, make);
    } catch (cause) {
      throw cause instanceof ConnectError ? cause : fileFailure(path, 'open', cause);
    }
  }

  async next(): Promise<RowBatch<Row> | undefined> {
    if (this.#isRead) return undefined;
    this.#isRead = true;
    const { path, isFollowed, offset: given } = this.#file;
    const content = await this.#content();
    const position = content.length;
    const offset: WholeOffset = { position, sizeBytes: position, check: crc32(content) };
    const known = given && wholeOffset(given);
    if (known?.check === offset.check && known.position === position) return undefined;
    if (known !== undefined && !isFollowed) throw fileChanged(path, 'it has other content');
    const rows: Row[] = [];
    const bad: BadRow[] = [];
    const failed = (error: Error): void => {
      bad.push({ raw: content.subarray(0, RAW_BYTES), line: 1, positionBytes: 0, error });
    };
    try {
      if (content.length > this.#bytesMax) failed(this.#tooLarge());
      else rows.push(this.#make(path, content));
    } catch (cause) {
      if (!(cause instanceof ConnectError)) throw cause;
      failed(cause);
    }
    const rawOf = () => ({ raw: content, positionBytes: 0 });
    const doneBytes = this.#input.doneBytes(position);
    return { rows, bad, offset: { ...offset }, doneBytes, lineOf: () => 1, rawOf, isEnd: true };
  }

  close(): Promise<void> {
    return this.#input.close();
  }

  /** All of it; of a file that is too large, a little more than is allowed. */
  async #content(): Promise<Buffer> {
    const limitBytes = this.#bytesMax + 1;
    let content = Buffer.allocUnsafeSlow(
      Math.min(limitBytes, Math.min(this.#input.sizeBytes, 65536)),
    );
    let readBytes = 0;
    for (;;) {
      const count = await this.#input.read(content.subarray(readBytes), readBytes);
      readBytes += count;
      if (readBytes < content.length || readBytes === limitBytes)
        return content.subarray(0, readBytes);
      if (readBytes >= this.#input.sizeBytes) return content.subarray(0, readBytes);
      const larger = Buffer.allocUnsafeSlow(Math.min(limitBytes, content.length * 4));
      content.copy(larger);
      content = larger;
    }
  }

  #tooLarge(): ConnectError {
    const { path: file } = this.#file;
    const limitBytes = this.#bytesMax;
    const message =
      `${file} has more than fileBytesMax=${limitBytes} bytes; raise that, and the topic's ` +
      'maxMessageBytes, or read it in parts, as by lines()';
    const details = { file, line: 1, positionBytes: 0, limitBytes };
    return new ConnectError('LINE_TOO_LONG', message, details);
  }
}

/** What is kept of a file that is bad. */
const RAW_BYTES = 64 * 1024;

function wholeOffset(offset: SourceOffset): WholeOffset | undefined {
  const known = offset as unknown as WholeOffset;
  const isOurs = [known.position, known.check].every((each) => Number.isSafeInteger(each));
  return isOurs ? known : undefined;
}
