import { ConnectError } from '../errors.ts';
import { placeText, type FilePlace, type TextParser, type TextPlace } from './text-reader.ts';

/** Turns the text of one field into its value; throws, with the reason, if it cannot. */
export type FieldParser = (text: string) => unknown;

/** How to make rows from fields. */
export interface RowShape {
  readonly names: readonly string[];
  /** By column; undefined if the text is the value. */
  readonly parsers: readonly (FieldParser | undefined)[];
}

const QUOTE = 34;
const CR = 13;
const LF = 10;
const UNCLOSED =
  'a quote is opened and never closed; a field that begins with a quote has to end with one';
const EMPTY_LINES = /^(?:\r?\n)*/;

type Problem = NonNullable<TextPlace['problem']>;

/**
 * Parses records as in RFC 4180: fields between delimiters, in quotes if they hold a delimiter, a
 * quote (written twice) or a line end. A quote inside a field that does not start with one is an
 * ordinary character. Empty lines are skipped, except in files of one column.
 */
export class CsvParser implements TextParser<object> {
  readonly skipped: RegExp | undefined;
  readonly #delimiter: string;
  readonly #names: readonly string[];
  readonly #parsers: readonly (FieldParser | undefined)[];
  readonly #hasParsers: boolean;

  constructor(delimiter: string, { names, parsers }: RowShape) {
    this.skipped = names.length > 1 ? EMPTY_LINES : undefined;
    this.#delimiter = delimiter;
    this.#names = names;
    this.#parsers = parsers;
    this.#hasParsers = parsers.some((parser) => parser !== undefined);
  }

  parse(text: string, isLast: boolean, rows: object[], limit: number): TextPlace {
    const count = this.#names.length;
    const fields = new Array<string>(count);
    let at = 0;
    let lines = 0;
    // The next ones in the text, if known: no character is searched twice.
    let quote = -1;
    let stop = -1;
    while (at < text.length && rows.length < limit) {
      const lineEnd = text.indexOf('\n', at);
      let end = lineEnd === -1 ? text.length : lineEnd;
      let next = lineEnd === -1 ? end : end + 1;
      let passed = next - end;
      if (quote < at) quote = indexOrEnd(text, '"', at);
      let problem: Problem | undefined;
      if (quote > end) {
        if (end > at && text.charCodeAt(end - 1) === CR) end--;
        if (end === at && count > 1) {
          at = next;
          lines += passed;
          continue;
        }
        stop = splitPlain(text, { at, end, stop }, this.#delimiter, fields);
        if (stop === -1) {
          problem = fieldCount(count, text.slice(at, end).split(this.#delimiter).length);
        }
      } else {
        const record = splitQuoted(text, at, isLast, this.#delimiter);
        if (record === undefined) break; // continues in the next chunk
        next = record.end;
        passed = countLines(text, at, next);
        problem = record.problem;
        if (problem === undefined && record.fields.length !== count) {
          problem = fieldCount(count, record.fields.length);
        }
        for (let column = 0; column < count; column++) fields[column] = record.fields[column]!;
      }
      const row = problem ?? this.#row(fields);
      if (typeof row === 'function') return { at, lines, problem: row };
      rows.push(row);
      at = next;
      lines += passed;
    }
    return { at, lines };
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

  constructor(delimiter: string) {
    this.#delimiter = delimiter;
  }

  parse(text: string, isLast: boolean, rows: (readonly string[])[], limit: number): TextPlace {
    const blank = EMPTY_LINES.exec(text)?.[0].length ?? 0;
    if (limit === 0 || blank === text.length)
      return { at: blank, lines: countLines(text, 0, blank) };
    const record = splitQuoted(text, blank, isLast, this.#delimiter);
    if (record === undefined) return { at: 0, lines: 0 };
    const lines = countLines(text, 0, blank);
    if (record.problem !== undefined) return { at: blank, lines, problem: record.problem };
    rows.push(record.fields);
    return { at: record.end, lines: countLines(text, 0, record.end) };
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
  /** After its line end. */
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
        return { fields, end: at, problem: invalidCsv(UNCLOSED) };
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
    return { fields, end: at, problem };
  }
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

function fieldCount(expected: number, actual: number): Problem {
  return (place) => {
    const message =
      `${placeText(place)}: ${actual} fields instead of ${expected}; ` +
      'correct the row, or check the delimiter and the header';
    return new ConnectError('FIELD_COUNT', message, { ...place, expected, actual });
  };
}
