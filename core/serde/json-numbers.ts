/**
 * JSON numbers that a double cannot hold. `JSON.parse` rounds them without a word, and
 * `JSON.stringify` refuses the bigints that could.
 */

/**
 * What becomes of a JSON number that a double cannot hold:
 *
 * - `bigint`: an integer whose digits a double would not print again, which takes one beyond 2^53,
 *   is a bigint; a fraction is the nearest double, and a number beyond the largest double an error.
 * - `text`: the digits, as a string.
 * - `error`: it is refused.
 * - `double`: the nearest double, as by `JSON.parse`; Infinity beyond the largest one.
 */
export type JsonNumbers = 'bigint' | 'text' | 'error' | 'double';

/** The values of `JsonNumbers`. */
export const JSON_NUMBERS: readonly JsonNumbers[] = ['bigint', 'text', 'error', 'double'];

/** Integers with fewer digits are exact. */
const LONG_DIGITS = 16;
/** Exponents with fewer digits stay within the range of doubles. */
const LONG_EXPONENT_DIGITS = 3;

/**
 * Parses the JSON in `source[start, end)`, whose text is `text`.
 *
 * @throws SyntaxError if it is not JSON; RangeError for a number that `numbers` refuses.
 */
export function parseJson(
  text: string,
  source: Uint8Array,
  start: number,
  end: number,
  numbers: JsonNumbers,
): unknown {
  const value: unknown = JSON.parse(text); // also makes sure that ExactParser gets sound JSON
  if (numbers === 'double' || !mayLoseDigits(source, start, end, numbers)) return value;
  return new ExactParser(text, numbers).parse();
}

/**
 * True if some number in the JSON of `source[start, end)` may be one that a double cannot hold.
 * Looks at every third byte, and closely only at digits: a few percent of what parsing takes.
 */
export function mayLoseDigits(
  source: Uint8Array,
  start: number,
  end: number,
  numbers: JsonNumbers,
): boolean {
  const isStrict = numbers !== 'bigint';
  // A run of three digits covers one of these places, whichever they are.
  for (let at = start + 2; at < end; at += 3) {
    if (!isDigit(source[at]!)) {
      if (isStrict && source[at] === DOT && isUnusual(source, start, end, at, true)) return true;
      continue;
    }
    let left = at;
    while (left > start && isDigit(source[left - 1]!)) left--;
    let right = at + 1;
    while (right < end && isDigit(source[right]!)) right++;
    const count = right - left;
    if (isStrict ? count >= 2 : count >= LONG_EXPONENT_DIGITS) {
      const isLong = count >= LONG_DIGITS && source[left - 1] !== DOT;
      const isSuspect = isStrict || isLong || isExponent(source[left - 1], source[left - 2]);
      if (isSuspect && isUnusual(source, start, end, at, isStrict)) return true;
    }
    at = right;
  }
  return false;
}

/** True if `source[at]` is in a number, and that has many digits or a large exponent. */
function isUnusual(
  source: Uint8Array,
  start: number,
  end: number,
  at: number,
  isStrict: boolean,
): boolean {
  let left = at;
  while (left > start && isOfNumber(source[left - 1]!)) left--;
  let right = at + 1;
  while (right < end && isOfNumber(source[right]!)) right++;
  // Digits in a string mostly have other neighbours.
  if (left > start && !BEFORE_NUMBER.has(source[left - 1]!)) return false;
  if (right < end && !BEHIND_NUMBER.has(source[right]!)) return false;
  let digits = 0;
  for (let index = left; index < right; index++) {
    const byte = source[index]!;
    if (isDigit(byte)) digits++;
    else if (byte === DOT && !isStrict && digits < LONG_DIGITS) digits = -Infinity;
    else if ((byte | 0x20) === SMALL_E) {
      let exponent = index + 1;
      while (exponent < right && !isDigit(source[exponent]!)) exponent++;
      return digits >= LONG_DIGITS || right - exponent >= LONG_EXPONENT_DIGITS;
    }
  }
  return digits >= LONG_DIGITS;
}

const DOT = 0x2e;
const SMALL_E = 0x65;
const BEFORE_NUMBER: ReadonlySet<number> = new Set(Buffer.from(':,[ \t\n\r'));
const BEHIND_NUMBER: ReadonlySet<number> = new Set(Buffer.from(',}] \t\n\r'));

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isOfNumber(byte: number): boolean {
  return isDigit(byte) || byte === DOT || byte === 0x2b || byte === 0x2d || (byte | 32) === SMALL_E;
}

/** @param last the byte before some digits. */
function isExponent(last: number | undefined, beforeLast: number | undefined): boolean {
  const mark = last === 0x2b || last === 0x2d ? beforeLast : last;
  return mark !== undefined && (mark | 0x20) === SMALL_E;
}

/** Parses JSON that is known to be sound, and looks at the text of each number. */
class ExactParser {
  readonly #text: string;
  readonly #numbers: JsonNumbers;
  #at = 0;

  constructor(text: string, numbers: JsonNumbers) {
    this.#text = text;
    this.#numbers = numbers;
  }

  parse(): unknown {
    const mark = this.#next();
    switch (mark) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case '"':
        return this.#string();
      case 't':
        this.#at += 4;
        return true;
      case 'f':
        this.#at += 5;
        return false;
      case 'n':
        this.#at += 4;
        return null;
      default:
        return this.#number();
    }
  }

  /** The next character that is no white space; it is not taken yet. */
  #next(): string {
    while (this.#text.charCodeAt(this.#at) <= 0x20) this.#at++;
    return this.#text.charAt(this.#at);
  }

  #object(): object {
    const object: Record<string, unknown> = {};
    this.#at++;
    while (this.#next() !== '}') {
      if (this.#next() === ',') this.#at++;
      this.#next();
      const name = this.#string();
      this.#next();
      this.#at++; // the colon
      const value = this.parse();
      if (name !== '__proto__') object[name] = value;
      // An assignment would set the prototype; JSON.parse makes it a property, too.
      else Object.defineProperty(object, name, { value, ...OWN });
    }
    this.#at++;
    return object;
  }

  #array(): unknown[] {
    const array: unknown[] = [];
    this.#at++;
    while (this.#next() !== ']') {
      if (this.#next() === ',') this.#at++;
      array.push(this.parse());
    }
    this.#at++;
    return array;
  }

  #string(): string {
    const start = this.#at;
    let end = this.#text.indexOf('"', start + 1);
    while (isEscaped(this.#text, end)) end = this.#text.indexOf('"', end + 1);
    this.#at = end + 1;
    const inner = this.#text.slice(start + 1, end);
    return inner.includes('\\') ? (JSON.parse(this.#text.slice(start, end + 1)) as string) : inner;
  }

  #number(): number | bigint | string {
    const pattern = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    pattern.lastIndex = this.#at;
    const token = pattern.exec(this.#text)![0];
    this.#at += token.length;
    return exactNumber(token, this.#numbers);
  }
}

const OWN = { writable: true, enumerable: true, configurable: true } as const;

/** True if an odd number of backslashes stands before `at`. */
function isEscaped(text: string, at: number): boolean {
  let start = at;
  while (text.charCodeAt(start - 1) === 0x5c) start--;
  return (at - start) % 2 === 1;
}

/** The value of a JSON number. @throws RangeError if `numbers` refuses it. */
export function exactNumber(token: string, numbers: JsonNumbers): number | bigint | string {
  const value = Number(token);
  if (numbers === 'double') return value;
  if (numbers === 'bigint') {
    if (/^-?\d+$/.test(token)) {
      // What a double prints in the same way is what a program has printed: it stays a number.
      return Number.isSafeInteger(value) || token === String(value) ? value : BigInt(token);
    }
    if (Number.isFinite(value)) return value;
    throw new RangeError(`the number ${shorten(token)} is beyond the range of a double`);
  }
  if (Number.isFinite(value) && digitsOf(token) === digitsOf(String(value))) return value;
  if (numbers === 'text') return token;
  throw new RangeError(`the number ${shorten(token)} does not fit into a double without loss`);
}

/** A decimal number in one form: sign, digits without zeros around them, exponent. */
function digitsOf(token: string): string {
  const [, sign, whole, fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token)!;
  const digits = `${whole!}${fraction}`.replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const scale = Number(exponent) - fraction.length + digits.length - significant.length;
  return `${sign!}${significant}e${scale}`;
}

function shorten(token: string): string {
  return token.length > 40 ? `${token.slice(0, 37)}...` : token;
}

/**
 * As `JSON.stringify`, but a bigint becomes a number with all its digits.
 *
 * @throws TypeError if the value contains itself.
 */
export function stringifyJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    if (cause instanceof TypeError) return stringifyBigints(value);
    throw cause;
  }
}

/** Marks the bigints, and takes the marks away in the text. */
function stringifyBigints(value: unknown): string {
  for (let attempt = 0; ; attempt++) {
    const mark = `${attempt}n:`;
    let takenCount = 0;
    const text = JSON.stringify(value, (name: string, each: unknown) => {
      // Then the text could hold what looks like a marked number: take another mark.
      if (name.includes(mark) || (typeof each === 'string' && each.includes(mark))) takenCount++;
      return typeof each === 'bigint' ? `${mark}${each}` : each;
    });
    if (takenCount === 0) return text.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1');
  }
}
