import { assert } from '../../core/internal.ts';
import type { SourceOffset } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { fileChanged, fileFailure } from './failure.ts';
import type { BadRow, InputFile, RowBatch, RowReader } from './format.ts';
import type { ByteInput } from './source/byte-input.ts';
import { openBytes } from './source/open-bytes.ts';
import { placeText, type FilePlace, type TextParser } from './source/text-chunk.ts';
import { UTF_8, type TextEncoding } from './source/text-encoding.ts';
import { CHECK_BYTES, CHUNK_BYTES, TextWindow } from './text-window.ts';

export interface TextReaderOptions<Row> {
  readonly parser: TextParser<Row>;
  /** A longer record is bad, because it would have to fit into memory. */
  readonly lineBytesMax: number;
  /** Default: UTF-8. */
  readonly encoding?: TextEncoding;
  /** Where the rows of a file begin that is read from its start. Default: there. */
  readonly start?: SourceOffset | undefined;
}

/** A position in a text file, as committed. Positions of packed files are those of their text. */
interface TextOffset {
  /** Bytes from the start of the file. */
  readonly position: number;
  /** Line ends before it. */
  readonly line: number;
  /** The size of the file at the time: a file that has shrunk was replaced. */
  readonly sizeBytes: number;
  /** CRC-32 of up to CHECK_BYTES bytes before it: a file where they differ was replaced. */
  readonly check: number;
  /** CRC-32 of the first CHECK_BYTES bytes, once there are more; not in offsets of old versions. */
  readonly head?: number;
  /** Set if it is inside a record that is too long, the rest of which is skipped. */
  readonly isSkipping?: true;
}

/** The formats' default limit for one record: what a topic takes, unless it is set otherwise. */
export const LINE_BYTES_MAX: number = 1024 * 1024;
/** What is kept of a record that is too long. */
const LONG_RAW_BYTES = 64 * 1024;
/** How much of such a record is skipped in one go: the caller may want to stop. */
const SKIP_BYTES = 16 * 1024 * 1024;

/**
 * Reads a text file chunk by chunk, up to its size when it was opened. Positions are exact in
 * bytes, whatever the text holds: chunks end after line ends, and are decoded as a whole, which is
 * several times faster than line by line.
 */
export class TextReader<Row> implements RowReader<Row> {
  readonly #input: ByteInput;
  readonly #file: InputFile;
  readonly #options: TextReaderOptions<Row>;
  readonly #encoding: TextEncoding;
  readonly #window: TextWindow;
  /** Memory for the places of lines: none of it is used behind the next read. */
  #bounds: Uint32Array | undefined;
  /** Line ends before the window's start. */
  #lines = 0;
  /** As in the offset. */
  #isSkipping = false;
  /** True as long as nothing of the file was read. */
  #isStart = false;
  /** Set while its offset is to be told before anything was read: what is before it is skipped. */
  #isUntold = false;
  /** CRC-32 of the first bytes, once there are enough. */
  #head: number | undefined;
  /** The advice if it cannot be decoded; set when the start of the file is read. */
  #advice: string = conversionOf(EMPTY);

  private constructor(input: ByteInput, file: InputFile, options: TextReaderOptions<Row>) {
    this.#input = input;
    this.#file = file;
    this.#options = options;
    this.#encoding = options.encoding ?? UTF_8;
    // What is only carried takes little time: fewer reads and writes are worth more.
    this.#window = new TextWindow(input, file.isCarried === true ? 2 * CHUNK_BYTES : CHUNK_BYTES);
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
    const { path, offset, badOffset } = input;
    const known = offset === undefined ? undefined : textOffset(offset);
    if (offset !== undefined && known === undefined) throw badOffset();
    let bytes: ByteInput | undefined;
    try {
      bytes = await openBytes(input);
      const reader = new TextReader(bytes, input, options);
      if (known === undefined || !(await reader.#resume(known))) await reader.#start();
      return reader;
    } catch (cause) {
      await bytes?.close();
      throw cause instanceof ConnectError ? cause : fileFailure(path, 'open', cause);
    }
  }

  async next(): Promise<RowBatch<Row> | undefined> {
    const window = this.#window;
    if (this.#isUntold) {
      this.#isUntold = false;
      return this.#without([]);
    }
    for (;;) {
      if (this.#isSkipping) {
        const skipped = await this.#skip();
        if (skipped !== 'end') return skipped;
      }
      const isLast = window.isAtEnd && this.#input.isWhole;
      const rest = window.view();
      const cut = isLast ? rest.length : this.#encoding.behindLastLineFeed(rest);
      if (cut > 0) {
        const batch = this.#parse(rest.subarray(0, cut), isLast);
        if (batch !== undefined) {
          window.readAhead();
          return batch;
        }
        assert(!isLast, 'at the end of a file every record is whole');
      }
      if (rest.length >= this.#options.lineBytesMax) return this.#tooLong(rest);
      if (window.isAtEnd) return undefined; // the rest is not a whole record yet
      await window.fill();
    }
  }

  async close(): Promise<void> {
    await this.#window.idle();
    await this.#input.close();
  }

  /** Parses whole lines; undefined if they hold no whole record. */
  #parse(bytes: Buffer, isLast: boolean): RowBatch<Row> | undefined {
    const window = this.#window;
    const line = this.#lines + 1;
    const positionBytes = window.position;
    const parsed = this.#options.parser.parse({
      file: this.#file.path,
      bytes,
      isStart: this.#isStart,
      isLast,
      encoding: this.#encoding,
      line,
      positionBytes,
      advice: this.#advice,
      isCarried: this.#file.isCarried === true,
      bounds: this.#bounds,
    });
    const { readBytes, readLines, placeOf, packed } = parsed;
    if (packed !== undefined && packed.bounds.length > (this.#bounds?.length ?? 0)) {
      this.#bounds = packed.bounds;
    }
    if (readBytes === 0) return undefined;
    this.#isStart = false;
    window.start += readBytes;
    this.#lines += readLines;
    return {
      // It may be made only when it is asked for.
      get rows() {
        return parsed.rows;
      },
      bad: parsed.bad,
      packed,
      ...this.#state(),
      lineOf: (index) => line + placeOf(index).lines,
      rawOf: (index) => {
        const { start, end } = placeOf(index);
        return {
          raw: Buffer.from(bytes.subarray(start, end)),
          positionBytes: positionBytes + start,
        };
      },
    };
  }

  /** What a batch says about how far the file was read. */
  #state(): Pick<RowBatch<Row>, 'offset' | 'doneBytes' | 'isEnd'> {
    const window = this.#window;
    const { position, isAtEnd, start, end } = window;
    if (position >= CHECK_BYTES && this.#head === undefined) this.#head = window.headSoFar();
    const offset: TextOffset = {
      position,
      line: this.#lines,
      sizeBytes: window.sizeBytes,
      check: window.check(),
      ...(this.#head !== undefined && { head: this.#head }),
      ...(this.#isSkipping && { isSkipping: true }),
    };
    const doneBytes = this.#input.doneBytes(position);
    return { offset: { ...offset }, doneBytes, isEnd: isAtEnd && start === end };
  }

  /** A batch without rows. */
  #without(bad: readonly BadRow[]): RowBatch<Row> {
    return { rows: [], bad, ...this.#state(), lineOf: () => this.#lines + 1 };
  }

  /** Gives up the record at the start of the window, which does not end in it. */
  #tooLong(rest: Buffer): RowBatch<Row> {
    const { lineBytesMax: limitBytes } = this.#options;
    const place = this.#place();
    const message =
      `${placeText(place)}: a record of more than lineBytesMax=${limitBytes} bytes; raise that, ` +
      "and the topic's maxMessageBytes, unless the file is damaged (in CSV, look for a quote " +
      'that is never closed)';
    const error = new ConnectError('LINE_TOO_LONG', message, { ...place, limitBytes });
    // Without lines nothing says where the next one begins.
    if (this.#encoding.unitBytes === 0) throw error;
    const end = this.#endOfLong(rest);
    const raw = Buffer.from(rest.subarray(0, Math.min(end, LONG_RAW_BYTES)));
    this.#window.start += end;
    return this.#without([{ ...place, raw, error }]);
  }

  /** Where the reading goes on after a record that is too long. */
  #endOfLong(rest: Buffer): number {
    const { lineFeed, unitBytes, behindLastLineFeed } = this.#encoding;
    const first = lineFeed(rest, 0);
    if (first === -1) {
      this.#isSkipping = true;
      return rest.length - (rest.length % unitBytes);
    }
    // The next record begins with one of its lines: in CSV probably with the second one.
    const end =
      this.#options.parser.isMultiline === true ? behindLastLineFeed(rest) : first + unitBytes;
    for (let at = first; at !== -1 && at < end; at = lineFeed(rest, at + unitBytes)) this.#lines++;
    return end;
  }

  /**
   * Skips the rest of a record that is too long: `end` when its end was found. A batch if it takes
   * longer, or if the file ends before it; undefined if there is nothing new.
   */
  async #skip(): Promise<RowBatch<Row> | 'end' | undefined> {
    const window = this.#window;
    const from = window.position;
    for (;;) {
      const rest = window.view();
      const lineFeed = this.#encoding.lineFeed(rest, 0);
      if (lineFeed !== -1) {
        window.start += lineFeed + this.#encoding.unitBytes;
        this.#lines++;
        this.#isSkipping = false;
        return 'end';
      }
      // Half a unit stays.
      window.start = window.end - (rest.length % Math.max(1, this.#encoding.unitBytes));
      const skippedBytes = window.position - from;
      if (window.isAtEnd) return skippedBytes > 0 ? this.#without([]) : undefined;
      if (skippedBytes >= SKIP_BYTES) return this.#without([]);
      await window.fill();
    }
  }

  /** Begins at the start of the file, or where its rows begin. */
  async #start(): Promise<void> {
    const window = this.#window;
    await window.begin(0);
    this.#isStart = true;
    const head = window.view();
    this.#advice = conversionOf(head.subarray(0, HEAD_BYTES));
    window.start = this.#encoding.markBytes(head);
    const start = this.#options.start && textOffset(this.#options.start);
    if (start !== undefined) {
      if (start.position <= window.end) window.start = start.position;
      else await window.begin(start.position);
      this.#lines = start.line;
    }
    if (this.#file.isFromEnd === true) await this.#startAtEnd();
  }

  /**
   * Begins behind the last line; lines are counted from there. Packed files, and those without
   * lines, begin at their start all the same.
   */
  async #startAtEnd(): Promise<void> {
    const window = this.#window;
    const { sizeBytes } = this.#input;
    if (sizeBytes === Infinity || this.#encoding.unitBytes === 0) return;
    this.#head = sizeBytes >= CHECK_BYTES ? await window.head() : undefined;
    const isFar = sizeBytes > window.end;
    if (isFar) await window.begin(sizeBytes - (sizeBytes % 2) - LONG_RAW_BYTES);
    const behind = this.#encoding.behindLastLineFeed(window.view());
    // What began before is no whole line.
    this.#isSkipping = isFar && behind === 0;
    window.start += behind;
    this.#isUntold = true;
  }

  /**
   * Begins at an offset. False if the file is followed and is not the one that the offset is from.
   */
  async #resume(known: TextOffset): Promise<boolean> {
    const difference = await this.#difference(known);
    if (difference !== undefined) {
      if (this.#file.isFollowed) return false;
      throw fileChanged(this.#file.path, difference);
    }
    this.#lines = known.line;
    this.#isSkipping = known.isSkipping === true;
    if (!this.#isSkipping) this.#endLastLine(known);
    return true;
  }

  /**
   * Says how the file differs from the one that the offset is from; begins there if it does not.
   */
  async #difference(known: TextOffset): Promise<string | undefined> {
    const { sizeBytes } = this.#input;
    if (sizeBytes < known.sizeBytes) {
      // It is enough if what was read is there, where files are cut now and then.
      const isCut = !this.#file.isFollowed || sizeBytes < known.position;
      if (isCut) return `it has shrunk from ${known.sizeBytes} to ${sizeBytes} bytes`;
    }
    const window = this.#window;
    if (known.head !== undefined && (await window.head()) !== known.head) {
      return `its first ${CHECK_BYTES} bytes are others`;
    }
    await window.begin(known.position);
    if (window.position === known.position && window.check() === known.check) {
      this.#head = known.head;
      return undefined;
    }
    return `it has other content before byte ${known.position}`;
  }

  /**
   * A last line without a line end was read as whole. Its line end may follow now, but not more
   * text.
   */
  #endLastLine({ position }: TextOffset): void {
    const window = this.#window;
    const { unitBytes } = this.#encoding;
    const rest = window.view();
    if (position === 0 || rest.length === 0 || unitBytes === 0) return;
    if (this.#encoding.behindLastLineFeed(window.before(unitBytes)) > 0) return;
    const lineFeed = this.#encoding.lineFeed(rest, 0);
    if (lineFeed === -1 || this.#encoding.contentEnd(rest, 0, lineFeed) !== 0) {
      const reason = `its last line had no line end, but continues after byte ${position}`;
      throw fileChanged(this.#file.path, reason);
    }
    window.start += lineFeed + unitBytes;
    this.#lines++;
  }

  #place(): FilePlace {
    return {
      file: this.#file.path,
      line: this.#lines + 1,
      positionBytes: this.#window.position,
    };
  }
}

const EMPTY = Buffer.alloc(0);
/** Enough to recognise other kinds of file. */
const HEAD_BYTES = 4;

/** The advice for a file that is not UTF-8, by its first bytes. */
function conversionOf(head: Buffer): string {
  const start = head.toString('latin1');
  if (start.startsWith('\xff\xfe')) return "it is UTF-16: read it with encoding: 'utf-16le'";
  if (start.startsWith('\xfe\xff')) return "it is UTF-16: read it with encoding: 'utf-16be'";
  if (start.startsWith('\x1f\x8b')) return 'it is packed with gzip: let its name end with .gz';
  if (start.startsWith('\x28\xb5\x2f\xfd')) {
    return 'it is packed with zstd: let its name end with .zst';
  }
  if (start.startsWith('PK\x03\x04')) return 'it is a zip archive or an Office file: unpack it';
  if (start.startsWith('PAR1')) return 'it is Parquet: read it with parquet()';
  return "name its encoding, for example encoding: 'windows-1252'";
}

function textOffset(offset: SourceOffset): TextOffset | undefined {
  const known = offset as unknown as TextOffset;
  const { position, line, sizeBytes, check, head = 0 } = known;
  const isOurs = [position, line, sizeBytes, check, head].every((each) => {
    return Number.isSafeInteger(each);
  });
  return isOurs && position >= 0 && position <= sizeBytes ? known : undefined;
}
