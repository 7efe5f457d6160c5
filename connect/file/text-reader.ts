import { isAscii, isUtf8 } from 'node:buffer';
import { crc32 } from 'node:zlib';
import type { File } from '../../core/index.ts';
import { assert } from '../../core/internal.ts';
import type { SourceOffset } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { fileChanged, fileFailure } from './failure.ts';
import type { InputFile, RowBatch, RowReader } from './format.ts';

/** How far a chunk has been parsed. */
export interface TextPlace {
  /** The end of the last whole record in the chunk, in characters. */
  readonly at: number;
  /** Line ends before it. */
  readonly lines: number;
  /** Set if the record at this position is wrong: makes the error. */
  readonly problem?: ((place: FilePlace) => ConnectError) | undefined;
}

/** A position in a text file, as errors name it. */
export interface FilePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly positionBytes: number;
}

/** Splits text into rows. Keeps no state between calls. */
export interface TextParser<Row> {
  /** Matches text to skip between records, such as empty lines; undefined for none. */
  readonly skipped?: RegExp | undefined;
  /**
   * Appends at most `limit` rows of `text` to `rows`, and returns how far it got. The text ends
   * after a line end, except at the end of the file (`isLast`), where every record is whole. A
   * record that continues in the next chunk is left.
   */
  parse(text: string, isLast: boolean, rows: Row[], limit: number): TextPlace;
}

export interface TextReaderOptions<Row> {
  readonly parser: TextParser<Row>;
  /** A longer record is an error, because it would have to fit into memory. */
  readonly lineBytesMax: number;
  /** The most rows in one batch. */
  readonly rowsMax?: number;
}

/** The formats' default limit for one record. No record in a log is as large. */
export const LINE_BYTES_MAX: number = 16 * 1024 * 1024;

/** A position in a text file, as committed. */
interface TextOffset {
  /** Bytes from the start of the file. */
  readonly position: number;
  /** Line ends before it. */
  readonly line: number;
  /** The size of the file at the time: a file that has shrunk was replaced. */
  readonly sizeBytes: number;
  /** CRC-32 of up to CHECK_BYTES bytes before it: a file where they differ was replaced. */
  readonly check: number;
}

/** The size of one read: a few thousand rows, some milliseconds of work. */
const CHUNK_BYTES = 256 * 1024;
/** Enough to tell apart files that share a header, and fast to read back. */
const CHECK_BYTES = 1024;
/** Enough to recognise other kinds of file. */
const HEAD_BYTES = 4;
const EMPTY = Buffer.alloc(0);
const LF = 10;
const CR = 13;

/**
 * Reads a text file chunk by chunk, up to its size when it was opened. Positions are exact in
 * bytes, whatever the text holds: chunks end after line ends, which no UTF-8 character contains,
 * and are decoded as a whole, which is several times faster than line by line.
 *
 *      #base            #start                    #end
 *        | <= CHECK_BYTES | not parsed yet          | not read yet ...   #sizeBytes
 *        +----------------+-------------------------+-----
 *                 #buffer
 */
export class TextReader<Row> implements RowReader<Row> {
  readonly #file: File;
  readonly #path: string;
  readonly #options: TextReaderOptions<Row>;
  readonly #sizeBytes: number;
  readonly #isFollowed: boolean;
  #buffer: Buffer = Buffer.allocUnsafeSlow(CHECK_BYTES + CHUNK_BYTES);
  /** Where the buffer starts in the file; moves when the buffer is filled. */
  #base: number;
  /** In the buffer: everything before it has been parsed. */
  #start: number;
  /** In the buffer: everything before it has been read from the file. */
  #end = 0;
  /** Line ends before `#start`. */
  #lines: number;
  /** The advice if it is not UTF-8; set when the start of the file is read. */
  #advice: string = conversionOf(EMPTY);

  private constructor(
    file: File,
    { path, isFollowed }: InputFile,
    options: TextReaderOptions<Row>,
    place: { readonly position: number; readonly line: number; readonly sizeBytes: number },
  ) {
    this.#file = file;
    this.#path = path;
    this.#isFollowed = isFollowed;
    this.#options = options;
    this.#sizeBytes = place.sizeBytes;
    this.#base = Math.max(0, place.position - CHECK_BYTES);
    this.#start = place.position - this.#base;
    this.#lines = place.line;
  }

  /**
   * Opens a file at its offset, or at its start.
   *
   * @throws ConnectError as `SourceFormat.open`
   */
  static async open<Row>(
    input: InputFile,
    options: TextReaderOptions<Row>,
  ): Promise<TextReader<Row>> {
    const { fileSystem, path, offset, badOffset } = input;
    let file: File | undefined;
    try {
      file = await fileSystem.open(path, 'read');
      const sizeBytes = await file.sizeBytes();
      const known = offset === undefined ? undefined : textOffset(offset);
      if (offset !== undefined && known === undefined) throw badOffset();
      checkSize(path, sizeBytes, known);
      const { position = 0, line = 0 } = known ?? {};
      const reader = new TextReader(file, input, options, { position, line, sizeBytes });
      await reader.#begin(known);
      if (reader.#end < sizeBytes - reader.#base) await reader.#fill();
      return reader;
    } catch (cause) {
      await file?.close();
      throw cause instanceof ConnectError ? cause : fileFailure(path, 'open', cause);
    }
  }

  async next(): Promise<RowBatch<Row> | undefined> {
    for (;;) {
      const isAtEnd = this.#base + this.#end >= this.#sizeBytes;
      if (isAtEnd && this.#start === this.#end) return undefined;
      const isLast = isAtEnd && !this.#isFollowed;
      const cut = isLast ? this.#end : this.#buffer.lastIndexOf(LF, this.#end - 1) + 1;
      if (this.#end > 0 && cut > this.#start) {
        const batch = this.#parse(cut, isLast);
        if (batch !== undefined) return batch;
        assert(!isLast, 'at the end of a file every record is whole');
      }
      if (isAtEnd) {
        this.#checkRest();
        return undefined; // the rest is not a whole record yet
      }
      await this.#fill();
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  /** Parses the bytes before `cut`; undefined if they hold no whole record. */
  #parse(cut: number, isLast: boolean): RowBatch<Row> | undefined {
    const { parser, rowsMax = Infinity } = this.#options;
    const firstLine = this.#lines + 1;
    const { text, isSingleByte } = this.#decode(cut);
    const rows: Row[] = [];
    const { at, lines, problem } = parser.parse(text, isLast, rows, rowsMax);
    const readBytes =
      at === text.length
        ? cut - this.#start
        : isSingleByte
          ? at
          : Buffer.byteLength(text.slice(0, at));
    if (problem !== undefined) {
      const positionBytes = this.#base + this.#start + readBytes;
      throw problem({ file: this.#path, line: firstLine + lines, positionBytes });
    }
    if (at === 0) return undefined;
    this.#start += readBytes;
    this.#lines += lines;
    const offset = this.#offset();
    const lineOf = (index: number): number => {
      const place = parser.parse(text, isLast, [], index);
      const skipped = parser.skipped?.exec(text.slice(place.at))?.[0] ?? '';
      return firstLine + place.lines + (skipped.split('\n').length - 1);
    };
    return { rows, offset, doneBytes: offset['position'] as number, lineOf };
  }

  #offset(): SourceOffset {
    const before = this.#buffer.subarray(Math.max(0, this.#start - CHECK_BYTES), this.#start);
    const offset: TextOffset = {
      position: this.#base + this.#start,
      line: this.#lines,
      sizeBytes: this.#sizeBytes,
      check: crc32(before),
    };
    return { ...offset };
  }

  #decode(cut: number): { readonly text: string; readonly isSingleByte: boolean } {
    const bytes = this.#buffer.subarray(this.#start, cut);
    if (isAscii(bytes)) return { text: bytes.toString('latin1'), isSingleByte: true };
    if (!isUtf8(bytes)) throw this.#notUtf8(bytes);
    return { text: bytes.toString('utf8'), isSingleByte: false };
  }

  /** Reads more into the buffer. */
  async #fill(): Promise<void> {
    this.#checkRest();
    const leftBytes = this.#end - this.#start;
    const keptBytes = Math.min(this.#start, CHECK_BYTES) + leftBytes;
    // Doubles each time, so that a long record is not scanned again and again.
    const wantedBytes = Math.min(
      Math.max(CHUNK_BYTES, leftBytes),
      this.#sizeBytes - this.#base - this.#end,
    );
    const kept = this.#buffer.subarray(this.#end - keptBytes, this.#end);
    if (keptBytes + wantedBytes > this.#buffer.length) {
      this.#buffer = Buffer.allocUnsafeSlow(keptBytes + wantedBytes);
    }
    kept.copy(this.#buffer);
    this.#base += this.#end - keptBytes;
    this.#start = keptBytes - leftBytes;
    this.#end = keptBytes;
    await this.#read(wantedBytes);
  }

  async #read(wantedBytes: number): Promise<void> {
    const target = this.#buffer.subarray(this.#end, this.#end + wantedBytes);
    let readBytes: number;
    try {
      readBytes = await this.#file.read(target, this.#base + this.#end);
    } catch (cause) {
      throw fileFailure(this.#path, 'read', cause);
    }
    this.#end += readBytes;
    if (readBytes < wantedBytes) {
      throw fileChanged(
        this.#path,
        `it was cut to ${this.#base + this.#end} bytes while being read`,
      );
    }
  }

  /** Reads and checks the bytes before the starting position, and a few after it. */
  async #begin(known: TextOffset | undefined): Promise<void> {
    await this.#read(Math.min(this.#start + HEAD_BYTES, this.#sizeBytes - this.#base));
    const buffer = this.#buffer;
    if (known === undefined) {
      this.#advice = conversionOf(buffer.subarray(0, this.#end));
      if (this.#end >= 3 && buffer.readUIntBE(0, 3) === 0xefbbbf) this.#start = 3;
      return;
    }
    if (crc32(buffer.subarray(0, this.#start)) !== known.check) {
      throw fileChanged(this.#path, `it has other content before byte ${known.position}`);
    }
    // A last line without a line end was read as whole. Its line end may follow now, but not more
    // text.
    if (this.#start === 0 || this.#start === this.#end || buffer[this.#start - 1] === LF) return;
    const isCrlf = buffer[this.#start] === CR && buffer[this.#start + 1] === LF;
    if (!isCrlf && buffer[this.#start] !== LF) {
      const reason = `its last line had no line end, but continues after byte ${known.position}`;
      throw fileChanged(this.#path, reason);
    }
    this.#start += isCrlf ? 2 : 1;
    this.#lines++;
  }

  /** @throws ConnectError LINE_TOO_LONG if the buffer should hold a whole record by now. */
  #checkRest(): void {
    const { lineBytesMax } = this.#options;
    if (this.#end - this.#start >= lineBytesMax) throw this.#tooLong(lineBytesMax);
  }

  #tooLong(limitBytes: number): ConnectError {
    const place = this.#place();
    const message =
      `${placeText(place)}: a record of more than lineBytesMax=${limitBytes} bytes; raise that, ` +
      'unless the file is damaged (in CSV, look for a quote that is never closed)';
    return new ConnectError('LINE_TOO_LONG', message, { ...place, limitBytes });
  }

  /** @param bytes that start at `#start`. */
  #notUtf8(bytes: Buffer): ConnectError {
    let start = 0;
    let line = this.#lines + 1;
    for (let end = 0; start < bytes.length; start = end, line++) {
      end = bytes.indexOf(LF, start) + 1 || bytes.length;
      if (!isUtf8(bytes.subarray(start, end))) break;
    }
    const place = { ...this.#place(), line };
    const positionBytes = place.positionBytes + start;
    const where = placeText({ ...place, positionBytes });
    const message = `${where}: the text is not UTF-8; ${this.#advice}`;
    return new ConnectError('NOT_UTF8', message, { ...place, positionBytes });
  }

  #place(): FilePlace {
    const positionBytes = this.#base + this.#start;
    return { file: this.#path, line: this.#lines + 1, positionBytes };
  }
}

/** A position as messages name it. */
export function placeText({ file, line, positionBytes }: FilePlace): string {
  return `${file}, line ${line} (byte ${positionBytes})`;
}

/** The advice for a file that is not UTF-8, by its first bytes. */
function conversionOf(head: Buffer): string {
  const start = head.toString('latin1');
  const isUtf16 = start.startsWith('\xff\xfe') || start.startsWith('\xfe\xff');
  if (isUtf16) return 'it is UTF-16: convert the file first, with iconv -f UTF-16 -t UTF-8';
  if (start.startsWith('\x1f\x8b')) return 'it is packed with gzip: unpack it first, with gunzip';
  if (start.startsWith('\x28\xb5\x2f\xfd')) return 'it is packed with zstd: unpack it first';
  if (start.startsWith('PK\x03\x04')) return 'it is a zip archive or an Office file: unpack it';
  if (start.startsWith('PAR1')) return 'it is Parquet: read it with parquet()';
  return 'convert the file first, for example with iconv -f WINDOWS-1252 -t UTF-8';
}

function checkSize(path: string, sizeBytes: number, known: TextOffset | undefined): void {
  if (known === undefined || sizeBytes >= known.sizeBytes) return;
  throw fileChanged(path, `it has shrunk from ${known.sizeBytes} to ${sizeBytes} bytes`);
}

function textOffset(offset: SourceOffset): TextOffset | undefined {
  const known = offset as unknown as TextOffset;
  const { position, line, sizeBytes, check } = known;
  const isOurs = [position, line, sizeBytes, check].every((each) => Number.isSafeInteger(each));
  return isOurs && position >= 0 && position <= sizeBytes ? known : undefined;
}
