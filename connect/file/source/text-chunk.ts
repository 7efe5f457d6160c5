import { isAscii } from 'node:buffer';
import { ConnectError } from '../../errors.ts';
import type { BadRow, PackedRows } from '../format.ts';
import { UTF_8, type TextEncoding } from './text-encoding.ts';

/** A position in a text file, as errors name it. */
export interface FilePlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly positionBytes: number;
}

/** Lines of a file on their way to becoming rows. */
export interface TextChunk {
  readonly file: string;
  /** They end behind a line end, except at the end of the file. A view. */
  readonly bytes: Buffer;
  /** True as long as nothing of the file was read, by this run or an earlier one. */
  readonly isStart: boolean;
  /** True at the end of the file: every record is whole. */
  readonly isLast: boolean;
  readonly encoding: TextEncoding;
  /** The number of the first line, from 1. */
  readonly line: number;
  /** Of the first byte in the file. */
  readonly positionBytes: number;
  /** What to do about a file in another encoding. */
  readonly advice: string;
  /** As `InputFile.isCarried`. */
  readonly isCarried: boolean;
  /** Memory for `ChunkLines.bounds`, to be used again. Default: it takes its own. */
  readonly bounds?: Uint32Array | undefined;
}

/** What became of a chunk. */
export interface ParsedText<Row> {
  readonly rows: readonly Row[];
  readonly bad: readonly BadRow[];
  /** The bytes up to the last whole record, and the line ends in them; 0 if there is none. */
  readonly readBytes: number;
  readonly readLines: number;
  /** Where a row stands. */
  readonly placeOf: (index: number) => RowPlace;
  readonly packed?: PackedRows | undefined;
}

/** Where a row stands in its chunk. */
export interface RowPlace {
  /** Line ends before it. */
  readonly lines: number;
  /** Its bytes, with the line end. */
  readonly start: number;
  readonly end: number;
}

/** Splits text into rows. */
export interface TextParser<Row> {
  /** True if a row is as many lines as belong together. Default: false. */
  readonly isMultiline?: boolean;
  parse(chunk: TextChunk): ParsedText<Row>;
}

/** A piece of a chunk that becomes no row. */
export function badRow(
  { file, bytes, line, positionBytes }: TextChunk,
  { lines, start, end }: RowPlace,
  errorAt: (place: FilePlace) => Error,
): BadRow {
  const place = { file, line: line + lines, positionBytes: positionBytes + start };
  return { ...place, raw: Buffer.from(bytes.subarray(start, end)), error: errorAt(place) };
}

/** NOT_UTF8, or the same for another encoding. */
export function notDecodable({ encoding, advice }: TextChunk): (place: FilePlace) => ConnectError {
  return (place) => {
    const isUtf8 = encoding === UTF_8;
    const message = isUtf8
      ? `${placeText(place)}: the text is not UTF-8; ${advice}`
      : `${placeText(place)}: the text is not ${encoding.name}; check the option encoding`;
    return new ConnectError('NOT_UTF8', message, { ...place });
  };
}

/** A position as messages name it. */
export function placeText({ file, line, positionBytes }: FilePlace): string {
  return `${file}, line ${line} (byte ${positionBytes})`;
}

const LINE_BYTES_GUESS = 64;

/**
 * The lines of a chunk. Line `i` is `bytes[bounds[2 * i], bounds[2 * i + 1])`, without line end.
 */
export class ChunkLines {
  readonly chunk: TextChunk;
  /** Grows with the lines. */
  bounds: Uint32Array;
  count = 0;
  /** The line ends: one less than lines if the last line has none. */
  lineEnds = 0;
  /** True if all of it can be decoded. */
  readonly isSound: boolean;
  /** The whole text, if its characters are its bytes. */
  #text: string | undefined;

  /** No lines yet: `add` adds them. */
  constructor(chunk: TextChunk) {
    const { bytes, encoding } = chunk;
    this.chunk = chunk;
    this.bounds =
      chunk.bounds ?? new Uint32Array(2 * (Math.ceil(bytes.length / LINE_BYTES_GUESS) + 16));
    this.isSound = encoding.isValid(bytes);
  }

  /** All lines of a chunk. */
  static split(chunk: TextChunk): ChunkLines {
    const lines = new ChunkLines(chunk);
    const { bytes, encoding } = chunk;
    for (let at = 0; at < bytes.length;) at = lines.add(at, encoding.lineFeed(bytes, at));
    return lines;
  }

  /**
   * Adds the line from `start` to its line feed, or to the end of the chunk if that is -1; returns
   * where the next one begins.
   */
  add(start: number, lineFeed: number): number {
    const { bytes, encoding } = this.chunk;
    const end = lineFeed === -1 ? bytes.length : lineFeed;
    if (2 * this.count + 2 > this.bounds.length) this.#grow();
    this.bounds[2 * this.count] = start;
    this.bounds[2 * this.count + 1] = encoding.contentEnd(bytes, start, end);
    this.count++;
    if (lineFeed === -1) return end;
    this.lineEnds++;
    return end + encoding.unitBytes;
  }

  /** Line `index`, which can be decoded. */
  text(index: number): string {
    const { bytes, encoding } = this.chunk;
    const start = this.bounds[2 * index]!;
    const end = this.bounds[2 * index + 1]!;
    if (encoding !== UTF_8) return encoding.decode(bytes.subarray(start, end));
    // One text for all lines is several times faster than one for each.
    this.#text ??= isAscii(bytes) ? bytes.toString('latin1') : '';
    return this.#text === '' ? bytes.toString('utf8', start, end) : this.#text.slice(start, end);
  }

  /** False if line `index` cannot be decoded. */
  isSoundAt(index: number): boolean {
    if (this.isSound) return true;
    const { bytes, encoding } = this.chunk;
    return encoding.isValid(bytes.subarray(this.bounds[2 * index], this.bounds[2 * index + 1]));
  }

  /** Line `index` with its line end. */
  placeOf(index: number): RowPlace {
    const { bytes } = this.chunk;
    const isLast = index + 1 === this.count;
    const end = isLast ? bytes.length : this.bounds[2 * index + 2]!;
    return { lines: index, start: this.bounds[2 * index]!, end };
  }

  #grow(): void {
    const larger = new Uint32Array(this.bounds.length * 2);
    larger.set(this.bounds);
    this.bounds = larger;
  }
}

/** Parses a chunk in which each line is a row of its own, or none. */
export function parsedLines<Row>(
  lines: ChunkLines,
  /** The lines that are rows, in order; undefined for all of them. */
  kept: readonly number[] | undefined,
  { rows, bad }: { readonly rows: () => readonly Row[]; readonly bad: readonly BadRow[] },
): ParsedText<Row> {
  const { chunk, lineEnds } = lines;
  const { bytes, isCarried } = chunk;
  const made = isCarried ? undefined : rows();
  return {
    get rows() {
      return made ?? rows();
    },
    bad,
    readBytes: bytes.length,
    readLines: lineEnds,
    placeOf: (index) => lines.placeOf(kept === undefined ? index : kept[index]!),
    packed: { bytes, ...packedLines(lines, kept) },
  };
}

function packedLines(
  { bounds, count }: ChunkLines,
  kept: readonly number[] | undefined,
): { readonly bounds: Uint32Array; readonly count: number } {
  if (kept === undefined) return { bounds, count };
  const packed = new Uint32Array(2 * kept.length);
  for (let index = 0; index < kept.length; index++) {
    packed[2 * index] = bounds[2 * kept[index]!]!;
    packed[2 * index + 1] = bounds[2 * kept[index]! + 1]!;
  }
  return { bounds: packed, count: kept.length };
}
