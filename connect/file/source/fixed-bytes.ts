import { ConnectError } from '../../errors.ts';
import { badRow, ChunkLines, parsedLines, placeText } from './text-chunk.ts';
import type { FilePlace, TextParser } from './text-chunk.ts';
import { ANY_BYTES, type TextEncoding } from './text-encoding.ts';

/**
 * Records of `sizeBytes` bytes, with nothing between them: as lines whose line ends are nothing.
 */
export function fixedEncoding(sizeBytes: number): TextEncoding {
  return {
    ...ANY_BYTES,
    unitBytes: 0,
    lineFeed: (bytes, from) => (from + sizeBytes <= bytes.length ? from + sizeBytes : -1),
    behindLastLineFeed: (bytes) => bytes.length - (bytes.length % sizeBytes),
    contentEnd: (_, __, end) => end,
  };
}

/** Each record is a row: its bytes. */
export function fixedRecords(sizeBytes: number): TextParser<Uint8Array> {
  return {
    parse(chunk) {
      const lines = ChunkLines.split(chunk);
      const { bytes } = chunk;
      const count = Math.floor(bytes.length / sizeBytes);
      const isCut = count < lines.count;
      const place = { lines: count, start: count * sizeBytes, end: bytes.length };
      const bad = isCut
        ? [badRow(chunk, place, cutShort(bytes.length - place.start, sizeBytes))]
        : [];
      const kept = isCut ? Array.from({ length: count }, (_, index) => index) : undefined;
      const rows = (): Uint8Array[] =>
        Array.from({ length: count }, (_, index) => {
          return Buffer.from(bytes.subarray(index * sizeBytes, (index + 1) * sizeBytes));
        });
      return parsedLines(lines, kept, { rows, bad });
    },
  };
}

function cutShort(actual: number, expected: number): (place: FilePlace) => ConnectError {
  return (place) => {
    const message =
      `${placeText(place)}: the last record has ${actual} bytes instead of ${expected}; ` +
      'the file was cut short, or has records of another size';
    return new ConnectError('FIELD_COUNT', message, { ...place, expected, actual });
  };
}
