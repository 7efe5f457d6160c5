import { parseJson } from '../../../core/internal.ts';
import type { JsonNumbers } from '../../../core/index.ts';
import { ConnectError } from '../../errors.ts';
import type { BadRow } from '../format.ts';
import { endOfJson, isJsonLine, JsonLineFinder, NOT_JSON } from '../json-check.ts';
import { badRow, ChunkLines, notDecodable, parsedLines, placeText } from './text-chunk.ts';
import type { FilePlace, ParsedText, TextChunk, TextParser } from './text-chunk.ts';
import { UTF_8 } from './text-encoding.ts';

const LF = 10;
const CR = 13;

/** Each line is one JSON value; lines of white space are skipped. */
export function jsonLines(numbers: JsonNumbers): TextParser<unknown> {
  const finder = new JsonLineFinder();
  return {
    parse(chunk) {
      // JSON that is only carried is checked, which makes no objects.
      return chunk.isCarried && chunk.encoding === UTF_8
        ? checkedLines(chunk, numbers, finder)
        : readLines(chunk, numbers);
    },
  };
}

function readLines(chunk: TextChunk, numbers: JsonNumbers): ParsedText<unknown> {
  const lines = ChunkLines.split(chunk);
  const kept: number[] = [];
  const values: unknown[] = [];
  const bad: BadRow[] = [];
  const take = (value: unknown): void => void values.push(value);
  for (let index = 0; index < lines.count; index++) {
    if (isBlank(lines, index)) continue;
    const problem = problemOf(lines, index, numbers, take);
    if (problem === undefined) kept.push(index);
    else bad.push(badRow(chunk, lines.placeOf(index), problem));
  }
  return parsedLines(lines, keptOf(lines, kept), { rows: () => values, bad });
}

/** Lines that are not parsed if they are JSON. */
function checkedLines(
  chunk: TextChunk,
  numbers: JsonNumbers,
  finder: JsonLineFinder,
): ParsedText<unknown> {
  const { bytes, encoding } = chunk;
  const lines = new ChunkLines(chunk);
  const kept: number[] = [];
  const odd: number[] = [];
  /** Up to here lines were found sound. */
  let soundEnd = 0;
  for (let at = 0; at < bytes.length;) {
    if (lines.isSound && at >= soundEnd) soundEnd = finder.endOfSound(bytes, at, bytes.length);
    if (at < soundEnd) {
      kept.push(lines.count);
      at = lines.add(at, encoding.lineFeed(bytes, at));
      continue;
    }
    // The check finds where the line ends.
    const end = lines.isSound ? endOfJson(bytes, at, bytes.length) : NOT_JSON;
    const isWhole = end === bytes.length;
    let lineFeed = isWhole || end === NOT_JSON ? -1 : lineFeedAt(bytes, end);
    if (isWhole || lineFeed !== -1) {
      kept.push(lines.count);
    } else {
      odd.push(lines.count);
      lineFeed = encoding.lineFeed(bytes, at);
    }
    at = lines.add(at, lineFeed);
  }
  const bad: BadRow[] = [];
  for (const index of odd) {
    if (isBlank(lines, index)) continue;
    const [start, end] = [lines.bounds[2 * index]!, lines.bounds[2 * index + 1]!];
    const isSound = isJsonLine(bytes, start, end);
    const problem = isSound ? undefined : problemOf(lines, index, numbers, ignore);
    if (problem === undefined) kept.push(index);
    else bad.push(badRow(chunk, lines.placeOf(index), problem));
  }
  if (odd.length > 0) kept.sort((a, b) => a - b);
  const rows = (): unknown[] => kept.map((index) => parseLine(lines, index, numbers));
  return parsedLines(lines, keptOf(lines, kept), { rows, bad });
}

function ignore(): void {
  // it is carried
}

/** The line feed of the line end at `at`; -1 if there is none. */
function lineFeedAt(bytes: Buffer, at: number): number {
  if (bytes[at] === LF) return at;
  return bytes[at] === CR && bytes[at + 1] === LF ? at + 1 : -1;
}

/** The lines that are rows; undefined for all of them. */
function keptOf({ count }: ChunkLines, kept: readonly number[]): readonly number[] | undefined {
  return kept.length === count ? undefined : kept;
}

/** Why a line is no row; undefined if `take` got its value. */
function problemOf(
  lines: ChunkLines,
  index: number,
  numbers: JsonNumbers,
  take: (value: unknown) => void,
): ((place: FilePlace) => ConnectError) | undefined {
  if (!lines.isSoundAt(index)) return notDecodable(lines.chunk);
  try {
    take(parseLine(lines, index, numbers));
    return undefined;
  } catch (cause) {
    return invalidJson(cause);
  }
}

function isBlank({ chunk, bounds }: ChunkLines, index: number): boolean {
  const { bytes, encoding } = chunk;
  const end = bounds[2 * index + 1]!;
  for (let at = bounds[2 * index]!; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === 0x20 || byte === 0x09 || byte === 0x0d) continue;
    // Other white space, and the zeros of UTF-16.
    const isRare = byte > 0x7f || byte < 0x20;
    if (!isRare) return false;
    const rest = bytes.subarray(at - (at % encoding.unitBytes), end);
    return encoding.isValid(rest) && encoding.decode(rest).trim() === '';
  }
  return true;
}

function parseLine(lines: ChunkLines, index: number, numbers: JsonNumbers): unknown {
  const { bounds, chunk } = lines;
  const text = lines.text(index);
  if (chunk.encoding === UTF_8) {
    return parseJson(text, chunk.bytes, bounds[2 * index]!, bounds[2 * index + 1]!, numbers);
  }
  const bytes = Buffer.from(text);
  return parseJson(text, bytes, 0, bytes.length, numbers);
}

/** INVALID_JSON for what the parser threw. */
function invalidJson(cause: unknown): (place: FilePlace) => ConnectError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return (place) => {
    const message =
      cause instanceof RangeError
        ? `${placeText(place)}: ${reason}; see the option numbers`
        : `${placeText(place)}: the line is not JSON: ${reason}; correct it, or if the file is ` +
          "one JSON array, make lines of it, for example with jq -c '.[]'";
    return new ConnectError('INVALID_JSON', message, { ...place, reason }, { cause });
  };
}
