import type { FieldParser } from './csv-parser.ts';

/** Turns the text of a field into a value; throws, with the reason, if it cannot. */
const PARSERS: Readonly<Record<string, FieldParser>> = {
  number: parseNumber,
  bigint: parseBigint,
  boolean: parseBoolean,
  date: parseDate,
};

/** The keywords of columns, each also with `?`, for which an empty field is null. */
export const CSV_KEYWORDS: Readonly<Record<string, FieldParser>> = Object.fromEntries(
  Object.entries(PARSERS).flatMap(([name, parse]) => [
    [name, parse],
    [`${name}?`, (text: string) => (text === '' ? null : parse(text))],
  ]),
);

const DECIMAL = /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*$/;
const INTEGER = /^\s*[-+]?\d+\s*$/;

function parseNumber(text: string): number {
  const value = Number(text);
  // `Number` also takes 0x10. Nor is Infinity a number: JSON would turn it into null.
  if (!Number.isFinite(value) || !DECIMAL.test(text)) throw notA('a number', text);
  if (!Number.isSafeInteger(value) && INTEGER.test(text)) {
    throw new TypeError(
      `${JSON.stringify(text)} is beyond 2^53, where numbers are not exact: read it as 'bigint'`,
    );
  }
  return value;
}

function parseBigint(text: string): bigint {
  if (!INTEGER.test(text)) throw notA('an integer', text);
  return BigInt(text.trim().replace(/^\+/, ''));
}

function parseBoolean(text: string): boolean {
  switch (text.trim().toLowerCase()) {
    case 'true':
    case '1':
      return true;
    case 'false':
    case '0':
      return false;
    default:
      throw notA('a boolean', text);
  }
}

/** A date, perhaps with a time, which may have a zone. */
const DATE = /^(\d{4}-\d\d-(\d\d))(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[-+]\d\d:\d\d)?)?$/;

/** Without a zone it is UTC: the result must not depend on the machine. */
function parseDate(text: string): Date {
  const [, day = '', dayOfMonth, time = '00:00', zone = 'Z'] = DATE.exec(text) ?? [];
  const date = new Date(`${day}T${time}${zone}`);
  // The 30th of February is the 2nd of March to `Date`.
  const isReal = new Date(`${day}T00:00Z`).getUTCDate() === Number(dayOfMonth);
  if (Number.isNaN(date.getTime()) || !isReal) throw notA('a date in ISO 8601', text);
  return date;
}

function notA(kind: string, text: string): TypeError {
  return new TypeError(`${JSON.stringify(text)} is not ${kind}`);
}
