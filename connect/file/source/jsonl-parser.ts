import { parseJson } from '../../../core/internal.ts';
import type { JsonNumbers } from '../../../core/index.ts';
import { ConnectError } from '../../errors.ts';
import type { BadRow } from '../format.ts';
import { isJson } from './json-check.ts';
import { badRow, ChunkLines, notDecodable, parsedLines, placeText } from './text-chunk.ts';
import type { FilePlace, TextParser } from './text-chunk.ts';
import { UTF_8 } from './text-encoding.ts';

/** Each line is one JSON value; lines of white space are skipped. */
export function jsonLines(numbers: JsonNumbers): TextParser<unknown> {
  return {
    parse(chunk) {
      const lines = new ChunkLines(chunk);
      const kept: number[] = [];
      const bad: BadRow[] = [];
      const parse = (index: number): unknown => parseLine(lines, index, numbers);
      // JSON that is only carried is checked, which makes no objects.
      const isChecked = chunk.isCarried && chunk.encoding === UTF_8;
      const values: unknown[] = [];
      for (let index = 0; index < lines.count; index++) {
        if (isBlank(lines, index)) continue;
        if (!lines.isSoundAt(index)) {
          bad.push(badRow(chunk, lines.placeOf(index), notDecodable(chunk)));
          continue;
        }
        if (isChecked && isSoundLine(lines, index)) {
          kept.push(index);
          continue;
        }
        try {
          const value = parse(index);
          kept.push(index);
          values.push(value);
        } catch (cause) {
          bad.push(badRow(chunk, lines.placeOf(index), invalidJson(cause)));
        }
      }
      const rows = isChecked ? () => kept.map(parse) : () => values;
      return parsedLines(lines, kept.length === lines.count ? undefined : kept, { rows, bad });
    },
  };
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

function isSoundLine({ chunk, bounds }: ChunkLines, index: number): boolean {
  return isJson(chunk.bytes, bounds[2 * index]!, bounds[2 * index + 1]!);
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
