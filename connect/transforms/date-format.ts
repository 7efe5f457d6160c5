/** Times as text, by a pattern of Java's `SimpleDateFormat`, in UTC. */

/** A way to write times. */
export interface DateFormat {
  format(timeMs: number): string;
  /** @throws TypeError if the text does not match. */
  parse(text: string): number;
}

interface Token {
  /** How a time is written. */
  readonly write: (date: Date) => string;
  /** What it looks like, as a regular expression. */
  readonly pattern: string;
  /** What is read of it; undefined for a text that means nothing. */
  readonly read?: (parts: Parts, text: string) => void;
}

/** What a text says of a time. */
interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  ms: number;
  zoneMinutes: number;
}

const pad = (value: number, length: number): string => String(value).padStart(length, '0');

function numeric(
  length: number,
  of: (date: Date) => number,
  read: (parts: Parts, value: number) => void,
): Token {
  return {
    write: (date) => pad(of(date), length),
    pattern: `(\\d{${length},${Math.max(length, 4)}})`,
    read: (parts, text) => read(parts, Number(text)),
  };
}

const ZONE = '(Z|[-+]\\d{2}:?\\d{2})';
const readZone = (parts: Parts, text: string): void => {
  if (text === 'Z') return;
  const [, sign, hours = '', minutes = ''] = /([-+])(\d\d):?(\d\d)/.exec(text) ?? [];
  parts.zoneMinutes = (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
};

const LETTERS: Readonly<Record<string, (length: number) => Token>> = {
  y: (length) =>
    length === 2
      ? numeric(
          2,
          (date) => date.getUTCFullYear() % 100,
          (parts, value) => (parts.year = 2000 + value),
        )
      : numeric(
          length,
          (date) => date.getUTCFullYear(),
          (parts, value) => (parts.year = value),
        ),
  M: (length) =>
    numeric(
      length,
      (date) => date.getUTCMonth() + 1,
      (parts, value) => (parts.month = value),
    ),
  d: (length) =>
    numeric(
      length,
      (date) => date.getUTCDate(),
      (parts, value) => (parts.day = value),
    ),
  H: (length) =>
    numeric(
      length,
      (date) => date.getUTCHours(),
      (parts, value) => (parts.hour = value),
    ),
  m: (length) =>
    numeric(
      length,
      (date) => date.getUTCMinutes(),
      (parts, value) => (parts.minute = value),
    ),
  s: (length) =>
    numeric(
      length,
      (date) => date.getUTCSeconds(),
      (parts, value) => (parts.second = value),
    ),
  S: (length) =>
    numeric(
      length,
      (date) => date.getUTCMilliseconds(),
      (parts, value) => (parts.ms = value),
    ),
  X: () => ({ write: () => 'Z', pattern: ZONE, read: readZone }),
  Z: () => ({ write: () => '+0000', pattern: ZONE, read: readZone }),
};

const LONGEST: Readonly<Record<string, number>> = {
  ...{ y: 4, M: 2, d: 2, H: 2, m: 2, s: 2, S: 3, X: 3, Z: 1 },
};

/** @throws TypeError for letters that have no meaning here, such as those of names of months. */
export function dateFormat(pattern: string): DateFormat {
  const tokens = tokensOf(pattern);
  const expression = new RegExp(`^${tokens.map((token) => token.pattern).join('')}$`);
  const readers = tokens.filter(({ read }) => read !== undefined);
  return {
    format: (timeMs) => {
      const date = new Date(timeMs);
      return tokens.map(({ write }) => write(date)).join('');
    },
    parse: (text) => {
      const match = expression.exec(text);
      if (match === null) throw new TypeError(`${JSON.stringify(text)} is no time of ${pattern}`);
      const parts: Parts = {
        ...{ year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, ms: 0, zoneMinutes: 0 },
      };
      for (const [index, { read }] of readers.entries()) read?.(parts, match[index + 1] ?? '');
      return timeOf(parts);
    },
  };
}

/** As Java does, it takes the 32nd of a month for a day of the next one. */
function timeOf({ year, month, day, hour, minute, second, ms, zoneMinutes }: Parts): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute - zoneMinutes, second, ms);
  return date.getTime();
}

function tokensOf(pattern: string): Token[] {
  const pieces = pattern.match(/'(?:[^']|'')*'|([a-zA-Z])\1*|[^a-zA-Z']+|'/g) ?? [];
  return pieces.map((piece) => {
    if (piece === "''") return literal("'");
    if (piece.length > 1 && piece.startsWith("'")) {
      return literal(piece.slice(1, -1).replaceAll("''", "'"));
    }
    if (!/[a-zA-Z']/.test(piece)) return literal(piece);
    const letter = piece[0]!;
    const make = LETTERS[letter];
    if (make === undefined || piece.length > LONGEST[letter]!) {
      const known = 'y, M, d, H, m, s, S, X and Z as numbers, and text in single quotes';
      throw new TypeError(`${piece} has no meaning in the format ${pattern}; there are ${known}`);
    }
    return make(piece.length);
  });
}

function literal(text: string): Token {
  return { write: () => text, pattern: text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&') };
}
