/**
 * Finds the value in the text of a header, as Kafka Connect does (`Values.parseString` of
 * connect-api): null, booleans, numbers, dates and times, lists, maps, else text.
 */

/** Parts of a text: delimiters alone, and what stands between them. */
class Tokens {
  readonly text: string;
  #at = 0;
  /** Looked at, and not taken yet. */
  #next: string | undefined;
  #previous: string | undefined;

  constructor(text: string) {
    this.text = text;
  }

  get previous(): string | undefined {
    return this.#previous;
  }

  get hasNext(): boolean {
    return this.#next !== undefined || this.#at < this.text.length;
  }

  /** Where `rewind` comes back to. */
  mark(): number {
    return this.#at - (this.#next?.length ?? 0);
  }

  rewind(mark: number): void {
    this.#at = mark;
    this.#next = undefined;
    this.#previous = undefined;
  }

  take(): string {
    this.#previous = this.#next ?? this.#read();
    this.#next = undefined;
    return this.#previous;
  }

  /** Some tokens with what stands between them; undefined if there are not so many. */
  takeMany(count: number): string | undefined {
    const start = this.mark();
    for (let taken = 0; taken < count; taken++) {
      if (!this.hasNext) {
        this.rewind(start);
        return undefined;
      }
      this.take();
    }
    return this.text.slice(start, this.#at);
  }

  /** Takes the next token if it is this one, with white space before and around it. */
  takeIf(expected: string): boolean {
    if (this.#next === undefined) {
      if (!this.hasNext) return false;
      this.#next = this.#read();
    }
    while (this.#next.trim() === '' && this.#at < this.text.length) this.#next = this.#read();
    if (this.#next.trim() !== expected) return false;
    this.#next = undefined;
    return true;
  }

  /** A backslash takes the meaning of the delimiter behind it, and stays in the text. */
  #read(): string {
    const { text } = this;
    const start = this.#at;
    let isEscaped = false;
    for (; this.#at < text.length; this.#at++) {
      const char = text[this.#at]!;
      if (DELIMITERS.has(char) && !isEscaped) {
        if (start === this.#at) this.#at++;
        break;
      }
      isEscaped = char === '\\' && !isEscaped;
    }
    return text.slice(start, this.#at);
  }
}

const DELIMITERS: ReadonlySet<string> = new Set(':,{}[]"');

/** A value with its kind, which decides whether lists hold values of one kind. */
interface Parsed {
  readonly value: unknown;
  /** Numbers of all sizes are one. */
  readonly kind: string;
}

const NULL: Parsed = { value: null, kind: 'null' };

/** The value in a text. */
export function parseValue(text: string): unknown {
  return text === '' ? '' : parsed(text).value;
}

function parsed(text: string): Parsed {
  if (text === '') return { value: '', kind: 'string' };
  return parse(new Tokens(text), false);
}

/** @throws SyntaxError in a list or map that is none: then the text is meant as text. */
function parse(tokens: Tokens, isInner: boolean): Parsed {
  if (!tokens.hasNext) return NULL;
  if (isInner && tokens.takeIf('"')) return quoted(tokens);
  const literal = literalOf(tokens, isInner);
  if (literal !== undefined) return literal;
  const start = tokens.mark();
  try {
    if (tokens.takeIf('[')) return list(tokens);
    if (tokens.takeIf('{')) return map(tokens);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    tokens.rewind(start);
  }
  const token = tokens.take();
  if (token.trim() === '') return { value: token, kind: 'string' };
  const found = scalar(token.trim(), tokens);
  if (found !== undefined) return found;
  if (isInner) throw new SyntaxError('no value inside');
  return { value: tokens.text, kind: 'string' };
}

function quoted(tokens: Tokens): Parsed {
  let content = '';
  while (tokens.hasNext && !tokens.takeIf('"')) content += tokens.take();
  const inner = parsed(content);
  return inner.value instanceof Date ? inner : { value: content, kind: 'string' };
}

function literalOf(tokens: Tokens, isInner: boolean): Parsed | undefined {
  const start = tokens.mark();
  for (const [text, value] of LITERALS) {
    if (tokens.takeIf(text) && (isInner || !tokens.hasNext)) {
      return value === null ? NULL : { value, kind: 'boolean' };
    }
    tokens.rewind(start);
  }
  return undefined;
}

const LITERALS = [
  ['null', null],
  ['true', true],
  ['false', false],
] as const;

function list(tokens: Tokens): Parsed {
  const items: Parsed[] = [];
  while (tokens.hasNext) {
    if (tokens.takeIf(']')) {
      return { value: aligned(items, commonKind(items)), kind: 'list' };
    }
    if (tokens.takeIf(',')) throw new SyntaxError('an empty item');
    items.push(parse(tokens, true));
    const behind = tokens.mark();
    if (tokens.takeIf(']')) tokens.rewind(behind);
    else if (!tokens.takeIf(',')) throw new SyntaxError('no comma');
  }
  throw new SyntaxError('no end');
}

/** An object if all keys are text, else a list of entries. */
function map(tokens: Tokens): Parsed {
  const keys: Parsed[] = [];
  const values: Parsed[] = [];
  while (tokens.hasNext) {
    if (tokens.takeIf('}')) {
      return { value: mapOf(keys, values), kind: 'map' };
    }
    if (tokens.takeIf(',')) throw new SyntaxError('no entry');
    const key = parse(tokens, true);
    if (key.value === null) throw new SyntaxError('no key');
    if (!tokens.takeIf(':')) throw new SyntaxError('no colon');
    const value = parse(tokens, true);
    tokens.takeIf(',');
    keys.push(key);
    values.push(value);
  }
  throw new SyntaxError('no end');
}

function mapOf(keys: readonly Parsed[], values: readonly Parsed[]): unknown {
  const kind = commonKind(keys);
  const aligning = kind === undefined ? undefined : commonKind(values);
  const [names, parts] = [aligned(keys, kind), aligned(values, aligning)];
  const entries = names.map((name, index) => [name, parts[index]] as const);
  const isObject = names.every((name) => typeof name === 'string');
  return isObject ? Object.fromEntries(entries as (readonly [string, unknown])[]) : entries;
}

/** The kind of all, but for null; undefined if there is none, or more than one. */
function commonKind(items: readonly Parsed[]): string | undefined {
  const kinds = new Set(items.map(({ kind }) => kind));
  kinds.delete('null');
  return kinds.size === 1 ? [...kinds][0] : undefined;
}

/** The values. @throws SyntaxError for null among values of one kind, which Kafka refuses. */
function aligned(items: readonly Parsed[], kind: string | undefined): readonly unknown[] {
  const hasNull = items.some((item) => item.kind === 'null');
  if (kind !== undefined && hasNull) throw new SyntaxError('null among others');
  return items.map(({ value }) => value);
}

/** A date, a time or a number. */
function scalar(token: string, tokens: Tokens): Parsed | undefined {
  if (/^\d/.test(token)) {
    const start = tokens.mark();
    // Times have colons, which are tokens of their own.
    const rest = tokens.takeMany(4);
    const time = rest === undefined ? undefined : timeOf(token + rest);
    if (time !== undefined) return time;
    tokens.rewind(start);
    const date = timeOf(token);
    if (date !== undefined) return date;
  }
  if (!/^[-+\d]/.test(token)) return undefined;
  return numberOf(token);
}

const NUMBER = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,10})?$/;

/** Numbers that a double cannot hold are bigints or text. */
function numberOf(token: string): Parsed | undefined {
  if (!NUMBER.test(token)) return undefined;
  const value = Number(token);
  if (/^[-+]?\d+$/.test(token) && !Number.isSafeInteger(value)) {
    return { value: BigInt(token.replace('+', '')), kind: 'number' };
  }
  return Number.isFinite(value) ? { value, kind: 'number' } : { value: token, kind: 'decimal' };
}

const DATE = /^(\d+)-\s*(\d+)-\s*(\d+)/;
const TIME = /^(\d+):\s*(\d+):\s*(\d+)\.\s*(\d+)Z/;
const TIMESTAMP = /^(\d+)-\s*(\d+)-\s*(\d+)T\s*(\d+):\s*(\d+):\s*(\d+)\.\s*(\d+)Z/;

/** By its length, as Kafka tells them apart; the 45th of May is the 14th of June. */
function timeOf(token: string): Parsed | undefined {
  const text = token.replaceAll('\\:', ':');
  switch (text.length) {
    case 'yyyy-MM-dd'.length: {
      const [, year, month, day] = DATE.exec(text) ?? [];
      return day === undefined ? undefined : utc('date', { date: [year!, month!, day] });
    }
    case 'HH:mm:ss.SSSZ'.length: {
      const time = TIME.exec(text)?.slice(1);
      return time && utc('time', { time });
    }
    case 'yyyy-MM-ddTHH:mm:ss.SSSZ'.length: {
      const parts = TIMESTAMP.exec(text)?.slice(1);
      return parts && utc('timestamp', { date: parts.slice(0, 3), time: parts.slice(3) });
    }
    default:
      return undefined;
  }
}

function utc(
  kind: string,
  { date = ['1970', '1', '1'], time = [] }: { readonly date?: string[]; readonly time?: string[] },
): Parsed {
  const [year, month, day] = date.map(Number);
  const [hours = 0, minutes = 0, seconds = 0, millis = 0] = time.map(Number);
  const value = new Date(0);
  value.setUTCFullYear(year!, month! - 1, day);
  value.setUTCHours(hours, minutes, seconds, millis);
  return { value, kind };
}
