import { isUtf8 } from 'node:buffer';

/**
 * What a byte means inside a string: nothing special, its end, an escape, not allowed, or part of a
 * character that is not ASCII.
 */
const ORDINARY = 0;
const QUOTE = 1;
const ESCAPE = 2;
const FORBIDDEN = 3;
const WIDE = 4;

const IN_STRING = new Uint8Array(256);
IN_STRING.fill(FORBIDDEN, 0, 0x20);
IN_STRING.fill(WIDE, 0x80);
IN_STRING[0x22] = QUOTE;
IN_STRING[0x5c] = ESCAPE;

const SPACE = 0x20;
const TAB = 9;
const LF = 10;
const COLON = 0x3a;
const COMMA = 0x2c;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;
const ARRAY = 0x5b;
const ARRAY_END = 0x5d;
const ZERO = 0x30;
/** What `endOfJson` returns if there is no JSON, or none that it checks. */
export const NOT_JSON = -1;

/** The containers around the current place. */
const DEPTH_MAX = 256;
const containers = new Uint8Array(DEPTH_MAX);

/** Set when the running check meets a byte that is not ASCII. */
let hasWide = false;

function hasMetWide(): boolean {
  return hasWide;
}

/**
 * True if `bytes[start, end)` are JSON that is a line of a file: UTF-8, and one value by the rules
 * of `JSON.parse`, without line ends between its parts. Makes no objects, so that JSON which is
 * only carried need not be parsed. False also for what is nested too deep for it: there JSON.parse
 * has the last word.
 */
export function isJsonLine(bytes: Buffer, start: number, end: number): boolean {
  hasWide = false;
  if (endOfJson(bytes, start, end) !== end) return false;
  return !hasMetWide() || isUtf8(bytes.subarray(start, end));
}

/**
 * The place behind the JSON value that begins at `start`, perhaps behind spaces, and behind the
 * spaces that follow; NOT_JSON if there is none before `end`, or none that is one line. The bytes
 * must be UTF-8. What is nested deeper than 256 levels is left to JSON.parse.
 */
export function endOfJson(bytes: Buffer, start: number, end: number): number {
  let depth = 0;
  let at = skipBlanks(bytes, start, end);
  for (;;) {
    // A value begins here.
    const first = at < end ? bytes[at]! : NOT_JSON;
    if (first === OBJECT || first === ARRAY) {
      at = skipBlanks(bytes, at + 1, end);
      const close = first === OBJECT ? OBJECT_END : ARRAY_END;
      if (bytes[at] !== close || at >= end) {
        if (depth === DEPTH_MAX) return NOT_JSON;
        containers[depth++] = first;
        if (first === OBJECT && (at = skipName(bytes, at, end)) === NOT_JSON) return NOT_JSON;
        continue;
      }
      at++; // it is empty
    } else {
      at = skipScalar(bytes, at, end);
      if (at === NOT_JSON) return NOT_JSON;
    }
    // A value has ended here.
    for (;;) {
      at = skipBlanks(bytes, at, end);
      if (depth === 0) return at;
      if (at >= end) return NOT_JSON;
      const isObject = containers[depth - 1] === OBJECT;
      const next = bytes[at++]!;
      if (next === COMMA) {
        at = skipBlanks(bytes, at, end);
        if (isObject && (at = skipName(bytes, at, end)) === NOT_JSON) return NOT_JSON;
        break;
      }
      if (next !== (isObject ? OBJECT_END : ARRAY_END)) return NOT_JSON;
      depth--;
    }
  }
}

/** The first place from `start` on, up to `end`, that is no white space of JSON. */
export function skipSpace(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte > SPACE || !(byte === SPACE || byte === 10 || byte === 13 || byte === TAB)) break;
    at++;
  }
  return at;
}

/** The same within a line. */
function skipBlanks(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at++;
  return at;
}

/** Skips a property's name, the colon and the space behind it. */
function skipName(bytes: Buffer, start: number, end: number): number {
  if (start >= end || bytes[start] !== 0x22) return NOT_JSON;
  let at = skipString(bytes, start, end);
  if (at === NOT_JSON) return NOT_JSON;
  if (bytes[at] !== COLON) at = skipBlanks(bytes, at, end);
  if (at >= end || bytes[at] !== COLON) return NOT_JSON;
  return skipBlanks(bytes, at + 1, end);
}

function skipScalar(bytes: Buffer, at: number, end: number): number {
  if (at >= end) return NOT_JSON;
  switch (bytes[at]) {
    case 0x22:
      return skipString(bytes, at, end);
    case 0x74:
      return skipWord(bytes, at, end, TRUE);
    case 0x66:
      return skipWord(bytes, at, end, FALSE);
    case 0x6e:
      return skipWord(bytes, at, end, NULL);
    default:
      return skipNumber(bytes, at, end);
  }
}

/** Skips the string whose opening quote is at `start`. */
function skipString(bytes: Buffer, start: number, end: number): number {
  let at = start + 1;
  while (at < end) {
    const kind = IN_STRING[bytes[at]!]!;
    if (kind === ORDINARY) {
      at++;
    } else if (kind === QUOTE) {
      return at + 1;
    } else if (kind === WIDE) {
      hasWide = true;
      at++;
    } else if (kind === FORBIDDEN) {
      return NOT_JSON;
    } else {
      at = skipEscape(bytes, at, end);
      if (at === NOT_JSON) return NOT_JSON;
    }
  }
  return NOT_JSON;
}

const ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'));
const HEX = /^[0-9a-fA-F]{4}$/;

function skipEscape(bytes: Buffer, at: number, end: number): number {
  if (at + 1 >= end) return NOT_JSON;
  const escaped = bytes[at + 1]!;
  if (ESCAPES.has(escaped)) return at + 2;
  const isCode = escaped === 0x75 && at + 6 <= end;
  return isCode && HEX.test(bytes.toString('latin1', at + 2, at + 6)) ? at + 6 : NOT_JSON;
}

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');

function skipWord(bytes: Buffer, start: number, end: number, word: Buffer): number {
  if (start + word.length > end) return NOT_JSON;
  for (let index = 1; index < word.length; index++) {
    if (bytes[start + index] !== word[index]) return NOT_JSON;
  }
  return start + word.length;
}

function skipNumber(bytes: Buffer, start: number, end: number): number {
  let at = bytes[start] === 0x2d ? start + 1 : start;
  // No digit may follow a leading zero.
  at = at < end && bytes[at] === ZERO ? at + 1 : skipDigits(bytes, at, end);
  if (at !== NOT_JSON && at < end && bytes[at] === 0x2e) at = skipDigits(bytes, at + 1, end);
  if (at !== NOT_JSON && at < end && (bytes[at]! | 0x20) === 0x65) {
    const sign = bytes[at + 1];
    at = skipDigits(bytes, sign === 0x2b || sign === 0x2d ? at + 2 : at + 1, end);
  }
  return at;
}

/** Skips one digit or more. */
function skipDigits(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at]! >= ZERO && bytes[at]! <= 0x39) at++;
  return at === start ? NOT_JSON : at;
}

/*
 * The same by regular expressions, which the engine compiles: they take half as long as a loop over
 * bytes. They know JSON of a few levels, and leave all else to the loop.
 */

/** Between the parts of a line. */
const BLANKS = '[ \\t]*';
/** How many levels of lists and objects they know: the size of an expression doubles with each. */
const LEVELS = 3;

/** @param ordinary the characters of a string but for escapes, as in a class. */
function valuePattern(ordinary: string): string {
  const plain = `[^"\\\\\\x00-\\x1f${ordinary}]*`;
  const text = `"${plain}(?:\\\\(?:["\\\\/bfnrt]|u[0-9a-fA-F]{4})${plain})*"`;
  const number = '-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][-+]?[0-9]+)?';
  const scalar = `${text}|${number}|true|false|null`;
  // Behind each item there is a comma and another one, or the end.
  const items = (item: string, end: string): string =>
    `${BLANKS}(?:${item}${BLANKS}(?:,${BLANKS}(?!${end})|(?=${end})))*${end}`;
  let value = `(?:${scalar})`;
  for (let level = 0; level < LEVELS; level++) {
    const list = `\\[${items(value, '\\]')}`;
    const object = `\\{${items(`${text}${BLANKS}:${BLANKS}${value}`, '\\}')}`;
    value = `(?:${object}|${scalar}|${list})`;
  }
  return value;
}

const SOUND_LINES = new RegExp(`(?:${BLANKS}${valuePattern('')}${BLANKS}\\r?\\n)+`, 'y');
const SOUND_VALUE = new RegExp(`${BLANKS}${valuePattern('\\x80-\\xff')}${BLANKS}`, 'y');

/** Of the text that is made for them: a larger one costs more for each byte. */
const TEXT_BYTES = 64 * 1024;

/** Where a sticky expression ends that is applied to `text` at `start`; -1 if it does not fit. */
function endOfMatch(expression: RegExp, text: string, start: number): number {
  expression.lastIndex = start;
  try {
    return expression.test(text) ? expression.lastIndex : -1;
  } catch {
    return -1; // it takes too much of the engine's stack
  }
}

/** Decides when the expressions are worth a try: not each time, where they mostly fail. */
class Patience {
  #left = 0;
  #next = 1;

  /** True if it is worth it; else it is one time nearer. */
  get isOver(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }

  note(hasMatched: boolean): void {
    this.#left = hasMatched ? 0 : this.#next;
    this.#next = hasMatched ? 1 : Math.min(this.#next * 2, SKIPS_MAX);
  }
}

const SKIPS_MAX = 1024;

/** Finds lines of JSON in chunks of UTF-8. */
export class JsonLineFinder {
  readonly #patience = new Patience();

  /**
   * A place up to which `bytes[start, end)` are whole lines that are each one JSON value: `start`
   * if there is none, or none that it knows.
   */
  endOfSound(bytes: Buffer, start: number, end: number): number {
    if (this.#patience.isOver) return start;
    const textEnd = bytes.lastIndexOf(LF, Math.min(end, start + TEXT_BYTES) - 1) + 1;
    if (textEnd <= start) return start;
    const found = endOfMatch(SOUND_LINES, bytes.toString('latin1', start, textEnd), 0);
    this.#patience.note(found > 0);
    return found > 0 ? start + found : start;
  }
}

/** Checks values as `isJsonLine` that stand in one piece of memory, which must not change. */
export class JsonValueCheck {
  readonly #patience = new Patience();
  /** A piece of memory as text, and where it stands. */
  #source: Buffer | undefined;
  #text = '';
  #start = 0;

  isLine(source: Buffer, start: number, end: number): boolean {
    if (end - start > TEXT_BYTES || this.#patience.isOver) return isJsonLine(source, start, end);
    const isThere =
      source === this.#source && start >= this.#start && end <= this.#start + this.#text.length;
    if (!isThere) {
      this.#source = source;
      this.#start = start;
      this.#text = source.toString('latin1', start, Math.min(source.length, start + TEXT_BYTES));
    }
    const isSound = endOfMatch(SOUND_VALUE, this.#text, start - this.#start) === end - this.#start;
    this.#patience.note(isSound);
    return isSound || isJsonLine(source, start, end);
  }
}
