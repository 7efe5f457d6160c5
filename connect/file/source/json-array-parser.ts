import type { JsonNumbers } from '../../../core/index.ts';
import { parseJson } from '../../../core/internal.ts';
import { ConnectError } from '../../errors.ts';
import { skipSpace } from '../json-check.ts';
import { placeText } from './text-chunk.ts';
import type { RowPlace, TextChunk, TextParser } from './text-chunk.ts';
import { UTF_8, type TextEncoding } from './text-encoding.ts';

/** Text without lines: it may be cut anywhere, and the parser finds out how far it is whole. */
export const UNLINED: TextEncoding = {
  ...UTF_8,
  unitBytes: 0,
  lineFeed: () => -1,
  behindLastLineFeed: (bytes) => bytes.length,
};

const LF = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const OPENING: ReadonlySet<number> = new Set(Buffer.from('[{'));
const CLOSING: ReadonlySet<number> = new Set(Buffer.from(']}'));
const SPACE: ReadonlySet<number> = new Set(Buffer.from(' \t\r\n'));

/**
 * Each element of one JSON array is a row. A chunk begins at the start of the file, or behind an
 * element. What is no JSON ends the reading: nothing says where the next element would begin.
 */
export function arrayElements(numbers: JsonNumbers): TextParser<unknown> {
  return {
    parse(chunk) {
      const { bytes, isLast } = chunk;
      const rows: unknown[] = [];
      const places: RowPlace[] = [];
      let { isStart } = chunk;
      let read = { at: 0, lines: 0 };
      for (;;) {
        const start = skipSpace(bytes, read.at, bytes.length);
        if (start === bytes.length) {
          if (isStart && isLast && start > 0) throw invalid(chunk, start, 'the array is missing');
          // White space at the end, or until more is read.
          if (isLast && !isStart)
            throw invalid(chunk, start, 'the array is not closed: it is cut short');
          break;
        }
        const mark = bytes[start];
        if (!isStart && mark === CLOSE) {
          if (!isLast) break; // the bracket stays, so that what follows is known to be behind it
          read = moved(bytes, read, endOfArray(chunk, start));
          break;
        }
        if (mark !== (isStart ? OPEN : COMMA)) {
          const expected = isStart ? '[' : ', or ]';
          throw invalid(chunk, start, `${expected} was expected, not ${shown(bytes, start)}`);
        }
        const first = skipSpace(bytes, start + 1, bytes.length);
        if (isStart && bytes[first] === CLOSE) {
          if (!isLast) break;
          read = moved(bytes, read, endOfArray(chunk, first));
          break;
        }
        const end = endOfValue(bytes, first);
        if (end === -1 || (end === bytes.length && !isLast)) {
          if (isLast) throw invalid(chunk, first, 'the last element is cut short');
          break;
        }
        rows.push(parseElement(chunk, first, end, numbers));
        const { lines } = moved(bytes, read, first);
        places.push({ lines, start: first, end });
        read = moved(bytes, read, end);
        isStart = false;
      }
      const { at: readBytes, lines: readLines } = read;
      return { rows, bad: [], readBytes, readLines, placeOf: (index) => places[index]! };
    },
  };
}

/** A place further on, with the line ends before it. */
function moved(bytes: Buffer, from: { readonly at: number; readonly lines: number }, at: number) {
  let { lines } = from;
  for (let index = from.at; index < at; index++) if (bytes[index] === LF) lines++;
  return { at, lines };
}

/** The end of all, if only white space follows the bracket at `close`. */
function endOfArray(chunk: TextChunk, close: number): number {
  const { bytes } = chunk;
  const at = skipSpace(bytes, close + 1, bytes.length);
  if (at === bytes.length) return at;
  throw invalid(chunk, at, `nothing may follow the array, but ${shown(bytes, at)} does`);
}

/** Where the value that begins at `start` ends; -1 if that is not in these bytes. */
function endOfValue(bytes: Buffer, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
      if (at === -1) return -1;
      if (depth === 0) return at + 1;
    } else if (OPENING.has(byte)) {
      depth++;
    } else if (CLOSING.has(byte)) {
      if (depth === 0) return at; // behind a number or a word
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (byte === COMMA || SPACE.has(byte))) {
      return at;
    }
  }
  return depth === 0 && start < bytes.length ? bytes.length : -1;
}

/** The closing quote of the string that begins at `start`; -1 if it is not in these bytes. */
function endOfString(bytes: Buffer, start: number): number {
  let at = bytes.indexOf(QUOTE, start + 1);
  for (; at !== -1; at = bytes.indexOf(QUOTE, at + 1)) {
    let before = at;
    while (bytes[before - 1] === BACKSLASH) before--;
    if ((at - before) % 2 === 0) return at;
  }
  return -1;
}

function parseElement(chunk: TextChunk, start: number, end: number, numbers: JsonNumbers): unknown {
  const { bytes, encoding } = chunk;
  const element = bytes.subarray(start, end);
  if (!encoding.isValid(element)) throw invalid(chunk, start, 'the element is not UTF-8');
  try {
    return parseJson(encoding.decode(element), bytes, start, end, numbers);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw invalid(chunk, start, `the element is not JSON: ${reason}`, cause);
  }
}

function shown(bytes: Buffer, at: number): string {
  return JSON.stringify(String.fromCharCode(bytes[at]!));
}

/** INVALID_JSON at a position of a chunk. */
function invalid(chunk: TextChunk, at: number, reason: string, cause?: unknown): ConnectError {
  const { file, bytes, line, positionBytes } = chunk;
  const { lines } = moved(bytes, { at: 0, lines: 0 }, at);
  const place = { file, line: line + lines, positionBytes: positionBytes + at };
  const message = `${placeText(place)}: ${reason}; correct the file, which must be one JSON array`;
  return new ConnectError('INVALID_JSON', message, { ...place, reason }, { cause });
}
