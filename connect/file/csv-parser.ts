import { ConnectError } from '../errors.ts';
import type { BadRow } from './format.ts';
import { badRow, notDecodable, placeText } from './source/text-chunk.ts';
import type {
  FilePlace,
  ParsedText,
  RowPlace,
  TextChunk,
  TextParser,
} from './source/text-chunk.ts';

/** Turns the text of one field into its value; throws, with the reason, if it cannot. */
export type FieldParser = (text: string) => unknown;

/** How to make rows from fields. */
export interface RowShape {
  readonly names: readonly string[];
  /** By column; undefined if the text is the value. */
  readonly parsers: readonly (FieldParser | undefined)[];
}

/** How CSV is written. */
export interface CsvSyntax {
  readonly delimiter: string;
  /** Lines that begin with it are skipped; undefined for none. */
  readonly comment?: string | undefined;
}

const QUOTE = 34;
const CR = 13;
const LF = 10;
const UNCLOSED =
  'a quote is opened and never closed; a field that begins with a quote has to end with one';
const EMPTY_LINES = /^(?:\r?\n)*/;
/** How a file of a Mac looks: line ends, but no line feeds. */
const LONE_RETURN = /\r(?!\n|$)/;

type Problem = (place: FilePlace) => ConnectError;

/** The records of a text: row `i` is the lines `[places[2 * i], places[2 * i + 1])`. */
interface Records {
  readonly rows: object[];
  readonly places: number[];
  readonly problems: { readonly lines: number; readonly end: number; readonly problem: Problem }[];
  /** The end of the last whole record in the text, and the line ends before it. */
  at: number;
  lines: number;
}

/**
 * Parses records as in RFC 4180: fields between delimiters, in quotes if they hold a delimiter, a
 * quote (written twice) or a line end. A quote inside a field that does not start with one is an
 * ordinary character. Empty lines are skipped, except in files of one column.
 */
export class CsvParser implements TextParser<object> {
  readonly #delimiter: string;
  readonly #comment: string | undefined;
  readonly #names: readonly string[];
  readonly #parsers: readonly (FieldParser | undefined)[];
  readonly #hasParsers: boolean;

  constructor({ delimiter, comment }: CsvSyntax, { names, parsers }: RowShape) {
    this.#delimiter = delimiter;
    this.#comment = comment;
    this.#names = names;
    this.#parsers = parsers;
    this.#hasParsers = parsers.some((parser) => parser !== undefined);
  }

  parse(chunk: TextChunk): ParsedText<object> {
    const { bytes, encoding, isLast } = chunk;
    const soundBytes = encoding.isValid(bytes) ? bytes.length : soundLines(chunk);
    const isSound = soundBytes === bytes.length;
    const text = encoding.decode(bytes.subarray(0, soundBytes));
    const records: Records = { rows: [], places: [], problems: [], at: 0, lines: 0 };
    this.#read(text, isLast && isSound, records);
    const lines = new LinePositions(chunk);
    const bad: BadRow[] = records.problems.map(({ lines: start, end, problem }) =>
      badRow(chunk, lines.place(start, end), problem),
    );
    const { rows, places } = records;
    let readLines = records.lines;
    let readBytes = records.at === text.length ? soundBytes : lines.position(readLines);
    if (!isSound) {
      // The line that cannot be decoded, and the record that it is part of.
      const end = encoding.lineFeed(bytes, soundBytes);
      const next = end === -1 ? bytes.length : end + encoding.unitBytes;
      const place = { lines: readLines, start: readBytes, end: next };
      bad.push(badRow(chunk, place, notDecodable(chunk)));
      for (let at = readBytes; at < next; readLines++) {
        const lineFeed = encoding.lineFeed(bytes, at);
        if (lineFeed === -1) break;
        at = lineFeed + encoding.unitBytes;
      }
      readBytes = next;
    }
    const placeOf = (index: number): RowPlace =>
      lines.place(places[2 * index]!, places[2 * index + 1]!);
    return { rows, bad, readBytes, readLines, placeOf };
  }

  /** Reads all records that are whole. */
  #read(text: string, isLast: boolean, records: Records): void {
    const { rows, places, problems } = records;
    const count = this.#names.length;
    const fields = new Array<string>(count);
    const comment = this.#comment;
    let at = 0;
    let lines = 0;
    // The next ones in the text, if known: no character is searched twice.
    let quote = -1;
    let stop = -1;
    while (at < text.length) {
      const lineEnd = text.indexOf('\n', at);
      let end = lineEnd === -1 ? text.length : lineEnd;
      let next = lineEnd === -1 ? end : end + 1;
      let passed = next - end;
      if (quote < at) quote = indexOrEnd(text, '"', at);
      let problem: Problem | undefined;
      if (comment !== undefined && text.startsWith(comment, at)) {
        at = next;
        lines += passed;
        continue;
      }
      if (quote > end) {
        if (end > at && text.charCodeAt(end - 1) === CR) end--;
        if (end === at && count > 1) {
          at = next;
          lines += passed;
          continue;
        }
        stop = splitPlain(text, { at, end, stop }, this.#delimiter, fields);
        if (stop === -1) {
          const line = text.slice(at, end);
          problem = fieldCount(count, line.split(this.#delimiter).length, line);
        }
      } else {
        const record = splitQuoted(text, at, isLast, this.#delimiter);
        if (record === undefined) break; // continues in the next chunk
        next = record.end;
        passed = countLines(text, at, next);
        problem = record.problem;
        if (problem === undefined && record.fields.length !== count) {
          problem = fieldCount(count, record.fields.length, text.slice(at, next));
        }
        for (let column = 0; column < count; column++) fields[column] = record.fields[column]!;
      }
      const row = problem ?? this.#row(fields);
      if (typeof row === 'function') {
        problems.push({ lines, end: lines + Math.max(passed, 1), problem: row });
      } else {
        rows.push(row);
        places.push(lines, lines + Math.max(passed, 1));
      }
      at = next;
      lines += passed;
    }
    records.at = at;
    records.lines = lines;
  }

  /** Returns the row, or the problem with one of its fields. */
  #row(fields: readonly string[]): Record<string, unknown> | Problem {
    const names = this.#names;
    const row: Record<string, unknown> = {};
    if (!this.#hasParsers) {
      for (let column = 0; column < names.length; column++) row[names[column]!] = fields[column];
      return row;
    }
    const parsers = this.#parsers;
    for (let column = 0; column < names.length; column++) {
      const field = fields[column]!;
      const parser = parsers[column];
      try {
        row[names[column]!] = parser === undefined ? field : parser(field);
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        return invalidCsv(`column ${names[column]!}: ${reason}`);
      }
    }
    return row;
  }
}

/** Parses the header: the fields of the first record, however many there are. */
export class CsvHeaderParser implements TextParser<readonly string[]> {
  readonly #delimiter: string;
  readonly #comment: string | undefined;

  constructor({ delimiter, comment }: CsvSyntax) {
    this.#delimiter = delimiter;
    this.#comment = comment;
  }

  parse(chunk: TextChunk): ParsedText<readonly string[]> {
    const { bytes, encoding, isLast } = chunk;
    const lines = new LinePositions(chunk);
    const soundBytes = encoding.isValid(bytes) ? bytes.length : soundLines(chunk);
    const text = encoding.decode(bytes.subarray(0, soundBytes));
    const start = this.#skip(text);
    const skipped = countLines(text, 0, start);
    const isSound = soundBytes === bytes.length;
    if (start === text.length) {
      const none = { rows: [], placeOf: () => lines.place(skipped, skipped) };
      if (isSound) return { ...none, bad: [], readBytes: bytes.length, readLines: skipped };
      const place = lines.place(skipped, skipped + 1);
      const bad = [badRow(chunk, place, notDecodable(chunk))];
      return { ...none, bad, readBytes: place.end, readLines: skipped + 1 };
    }
    const record = splitQuoted(text, start, isLast && isSound, this.#delimiter);
    const readLines = record === undefined ? 0 : countLines(text, 0, record.end);
    const place = lines.place(skipped, Math.max(readLines, skipped + 1));
    const isGood = record !== undefined && record.problem === undefined;
    return {
      rows: isGood ? [record.fields] : [],
      bad: record?.problem === undefined ? [] : [badRow(chunk, place, record.problem)],
      readBytes: record === undefined ? 0 : place.end,
      readLines,
      placeOf: () => place,
    };
  }

  /** Where the header begins: behind empty lines and comments. */
  #skip(text: string): number {
    let at = EMPTY_LINES.exec(text)![0].length;
    const comment = this.#comment;
    while (comment !== undefined && text.startsWith(comment, at)) {
      at = Math.min(indexOrEnd(text, '\n', at) + 1, text.length);
      at += EMPTY_LINES.exec(text.slice(at))![0].length;
    }
    return at;
  }
}

/** The bytes before the first line that cannot be decoded. */
function soundLines({ bytes, encoding }: TextChunk): number {
  let start = 0;
  while (start < bytes.length) {
    const lineFeed = encoding.lineFeed(bytes, start);
    const end = lineFeed === -1 ? bytes.length : lineFeed + encoding.unitBytes;
    if (!encoding.isValid(bytes.subarray(start, end))) return start;
    start = end;
  }
  return start;
}

/** Finds the bytes of lines by counting line ends, because records are found in the text. */
class LinePositions {
  readonly #chunk: TextChunk;
  /** A line, and where it begins. Moves on as lines are asked for. */
  #line = 0;
  #position = 0;

  constructor(chunk: TextChunk) {
    this.#chunk = chunk;
  }

  /** Where line `line` begins; the end if there is none. */
  position(line: number): number {
    if (line < this.#line) this.#line = this.#position = 0;
    const { bytes, encoding } = this.#chunk;
    while (this.#line < line) {
      const lineFeed = encoding.lineFeed(bytes, this.#position);
      if (lineFeed === -1) return bytes.length;
      this.#position = lineFeed + encoding.unitBytes;
      this.#line++;
    }
    return this.#position;
  }

  /** The lines from `start` to `end`. */
  place(start: number, end: number): RowPlace {
    return { lines: start, start: this.position(start), end: this.position(end) };
  }
}

/**
 * Splits a line without quotes, from `at` to `end`, into exactly as many fields as there is room
 * for. Takes the position of the next delimiter if it is known (else any position before `at`) and
 * returns that of the first delimiter after the line; -1 if the line has another number of fields.
 */
function splitPlain(
  text: string,
  { at: start, end, stop: known }: { readonly at: number; readonly end: number; stop: number },
  delimiter: string,
  fields: string[],
): number {
  const last = fields.length - 1;
  let at = start;
  let stop = known < at ? indexOrEnd(text, delimiter, at) : known;
  for (let column = 0; column < last; column++) {
    if (stop >= end) return -1;
    fields[column] = text.slice(at, stop);
    at = stop + 1;
    stop = indexOrEnd(text, delimiter, at);
  }
  if (stop < end) return -1;
  fields[last] = text.slice(at, end);
  return stop;
}

interface QuotedRecord {
  readonly fields: readonly string[];
  /** After its line end; if there is a problem, after the line from which it may be right again. */
  readonly end: number;
  readonly problem?: Problem;
}

/** Splits a record that may have quotes; undefined if it does not end in this text. */
function splitQuoted(
  text: string,
  start: number,
  isLast: boolean,
  delimiter: string,
): QuotedRecord | undefined {
  const fields: string[] = [];
  let at = start;
  let lineEnd = -1; // the next one in the text
  for (;;) {
    let stop: number;
    if (text.charCodeAt(at) === QUOTE) {
      const close = closingQuote(text, at);
      if (close === -1) {
        if (!isLast) return undefined;
        return { fields, end: lineAfter(text, start), problem: invalidCsv(UNCLOSED) };
      }
      fields.push(text.slice(at + 1, close).replaceAll('""', '"'));
      stop = close + 1;
    } else {
      if (lineEnd < at) lineEnd = indexOrEnd(text, '\n', at);
      stop = Math.min(indexOrEnd(text, delimiter, at), lineEnd, text.length);
      const isLineEnd = text[stop] !== delimiter;
      const isCrlf = isLineEnd && stop > at && text.charCodeAt(stop - 1) === CR;
      fields.push(text.slice(at, isCrlf ? stop - 1 : stop));
    }
    if (text[stop] === delimiter) {
      at = stop + 1;
      continue;
    }
    if (stop === text.length) return { fields, end: stop };
    if (text.charCodeAt(stop) === CR && text.charCodeAt(stop + 1) === LF) stop++;
    if (text.charCodeAt(stop) === LF) return { fields, end: stop + 1 };
    if (text.charCodeAt(stop) === CR && stop + 1 === text.length) return { fields, end: stop + 1 };
    const problem = invalidCsv(
      `after the closing quote of field ${fields.length} comes ${JSON.stringify(text[stop])}; ` +
        'a quote inside a field is written twice',
    );
    return { fields, end: lineAfter(text, stop), problem };
  }
}

/** The start of the line after the one of `at`; the end of the text if there is none. */
function lineAfter(text: string, at: number): number {
  return Math.min(indexOrEnd(text, '\n', at) + 1, text.length);
}

/** The quote that closes the one at `open`, or -1. */
function closingQuote(text: string, open: number): number {
  for (let at = open + 1; ; at += 2) {
    at = text.indexOf('"', at);
    if (at === -1 || text.charCodeAt(at + 1) !== QUOTE) return at;
  }
}

function indexOrEnd(text: string, search: string, from: number): number {
  const index = text.indexOf(search, from);
  return index === -1 ? Infinity : index;
}

function countLines(text: string, start: number, end: number): number {
  let count = 0;
  for (let at = text.indexOf('\n', start); at !== -1 && at < end; at = text.indexOf('\n', at + 1)) {
    count++;
  }
  return count;
}

/** INVALID_CSV for a reason. */
export function invalidCsv(reason: string): (place: FilePlace) => ConnectError {
  return (place) => {
    const message = `${placeText(place)}: ${reason}`;
    return new ConnectError('INVALID_CSV', message, { ...place, reason });
  };
}

function fieldCount(expected: number, actual: number, record: string): Problem {
  const advice = LONE_RETURN.test(record)
    ? 'it holds carriage returns without line feeds, once the line ends of Macs; ' +
      "if so, convert the file first, with tr '\\r' '\\n'"
    : 'correct the row, or check the delimiter and the header';
  return (place) => {
    const message = `${placeText(place)}: ${actual} fields instead of ${expected}; ${advice}`;
    return new ConnectError('FIELD_COUNT', message, { ...place, expected, actual });
  };
}
