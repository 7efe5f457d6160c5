import type { BadRow } from '../format.ts';
import { badRow, ChunkLines, notDecodable, parsedLines } from './text-chunk.ts';
import type { ParsedText, RowPlace, TextParser } from './text-chunk.ts';

/** Each line is a row: its text. */
export const textLines: TextParser<string> = {
  parse(chunk) {
    const lines = ChunkLines.split(chunk);
    if (lines.isSound) return linesOf(lines, undefined, []);
    const kept: number[] = [];
    const bad: BadRow[] = [];
    for (let index = 0; index < lines.count; index++) {
      if (lines.isSoundAt(index)) kept.push(index);
      else bad.push(badRow(chunk, lines.placeOf(index), notDecodable(chunk)));
    }
    return linesOf(lines, kept, bad);
  },
};

function linesOf(
  lines: ChunkLines,
  kept: readonly number[] | undefined,
  bad: ParsedText<string>['bad'],
): ParsedText<string> {
  const rows = (): string[] => {
    if (kept !== undefined) return kept.map((index) => lines.text(index));
    const all: string[] = [];
    for (let index = 0; index < lines.count; index++) all.push(lines.text(index));
    return all;
  };
  return parsedLines(lines, kept, { rows, bad });
}

/** Each line is a row: its bytes, whatever they are; the encoding must be ANY_BYTES. */
export const byteLines: TextParser<Uint8Array> = {
  parse(chunk) {
    const lines = ChunkLines.split(chunk);
    const rows = (): Uint8Array[] => {
      const { bounds, count } = lines;
      const all: Uint8Array[] = [];
      for (let index = 0; index < count; index++) {
        // A copy: the chunk's memory is read into again.
        all.push(Buffer.from(chunk.bytes.subarray(bounds[2 * index], bounds[2 * index + 1])));
      }
      return all;
    };
    return parsedLines(lines, undefined, { rows, bad: [] });
  },
};

/** Which lines belong together. */
export type Multiline = { readonly start: RegExp } | { readonly continues: RegExp };

/** Each row is one line or more: the lines up to the next one that begins a row. */
export function multiLines(multiline: Multiline): TextParser<string> {
  const isStart = 'start' in multiline;
  const given = isStart ? multiline.start : multiline.continues;
  // With the flags g or y it would remember where it stopped.
  const pattern = new RegExp(given.source, given.flags.replace(/[gy]/g, ''));
  return {
    isMultiline: true,
    parse(chunk) {
      const lines = ChunkLines.split(chunk);
      /** The first line of each row, and behind the last one. */
      const firsts: number[] = [];
      for (let index = 0; index < lines.count; index++) {
        const isFirst =
          index === 0 || !lines.isSoundAt(index) || pattern.test(lines.text(index)) === isStart;
        if (isFirst) firsts.push(index);
      }
      // More lines of the last row may follow.
      if (chunk.isLast) firsts.push(lines.count);
      return rowsOf(lines, firsts);
    },
  };
}

function rowsOf(lines: ChunkLines, firsts: readonly number[]): ParsedText<string> {
  const { chunk, bounds } = lines;
  const { bytes, encoding } = chunk;
  const places: RowPlace[] = [];
  const packed = new Uint32Array(2 * firsts.length);
  const bad: BadRow[] = [];
  for (let index = 0; index + 1 < firsts.length; index++) {
    const [first, next] = [firsts[index]!, firsts[index + 1]!];
    const place = { ...lines.placeOf(first), end: lines.placeOf(next - 1).end };
    // A line that cannot be decoded is a row of its own, with what follows it.
    if (!lines.isSoundAt(first)) {
      bad.push(badRow(chunk, place, notDecodable(chunk)));
      continue;
    }
    packed[2 * places.length] = place.start;
    packed[2 * places.length + 1] = bounds[2 * next - 1]!;
    places.push(place);
  }
  const end = firsts.length < 2 ? 0 : firsts.at(-1)!;
  const readBytes = end === 0 ? 0 : lines.placeOf(end - 1).end;
  return {
    rows: places.map((_, index) => {
      return encoding.decode(bytes.subarray(packed[2 * index], packed[2 * index + 1]));
    }),
    bad,
    readBytes,
    readLines: end === lines.count ? lines.lineEnds : end,
    placeOf: (index) => places[index]!,
    packed: { bytes, bounds: packed, count: places.length },
  };
}
