import { parseJson, stringifyJson } from '../../core/internal.ts';

/** The numbers of PostgreSQL's types (pg_type.dat), as far as values of them are not plain text. */
const BOOL = 16;
const BYTEA = 17;
const INT8 = 20;
const INT2 = 21;
const INT4 = 23;
const OID = 26;
const JSON_TYPE = 114;
const FLOAT4 = 700;
const FLOAT8 = 701;
const TIMESTAMP = 1114;
const TIMESTAMPTZ = 1184;
const JSONB = 3802;
/** The type of the elements of an array. */
const ARRAYS: ReadonlyMap<number, number> = new Map([
  ...([
    [1000, BOOL],
    [1001, BYTEA],
    [1016, INT8],
    [1005, INT2],
    [1007, INT4],
  ] as const),
  ...([
    [199, JSON_TYPE],
    [1021, FLOAT4],
    [1022, FLOAT8],
    [1115, TIMESTAMP],
  ] as const),
  ...([
    [1185, TIMESTAMPTZ],
    [3807, JSONB],
    [1009, 25],
    [1015, 1043],
    [1231, 1700],
  ] as const),
  ...([
    [1182, 1082],
    [2951, 2950],
    [1014, 1042],
    [1003, 19],
  ] as const),
]);

/** Types whose values are times: a column of another one has milliseconds since 1970. */
export const TIME_TYPES: ReadonlySet<number> = new Set([1082, TIMESTAMP, TIMESTAMPTZ]);

type Parser = (text: string) => unknown;

/** How text of a type becomes a value: without loss, or it stays text. */
export function parserOf(type: number): Parser {
  const element = ARRAYS.get(type);
  return element === undefined
    ? (PARSERS.get(type) ?? asText)
    : (text) => parseArray(text, parserOf(element));
}

const asText: Parser = (text) => text;

const PARSERS: ReadonlyMap<number, Parser> = new Map<number, Parser>([
  [BOOL, (text) => text === 't'],
  [BYTEA, (text) => Buffer.from(text.slice(2), 'hex')],
  [INT8, parseInteger],
  [INT2, Number],
  [INT4, Number],
  [OID, Number],
  [FLOAT4, Number],
  [FLOAT8, Number],
  [JSON_TYPE, parseJsonText],
  [JSONB, parseJsonText],
  [TIMESTAMP, isoTime],
  [TIMESTAMPTZ, isoTime],
]);

/** A bigint only where a number would round it. */
function parseInteger(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

function parseJsonText(text: string): unknown {
  const bytes = Buffer.from(text);
  return parseJson(text, bytes, 0, bytes.length, 'bigint');
}

/** `2026-01-01 10:00:00.123456+00` as ISO 8601, with all its digits. */
function isoTime(text: string): string {
  // Infinity, and years of five digits or before Christ, are no ISO 8601.
  if (!/^\d{4}-/.test(text) || text.endsWith('BC')) return text;
  return text.replace(' ', 'T').replace(/\+00$/, 'Z');
}

/** `{1,NULL,"a b"}` as a list; arrays of arrays are lists of lists. */
export function parseArray(text: string, parse: Parser): unknown[] {
  // One whose first index is not 1 begins with its bounds: [0:1]={a,b}
  let at = text.indexOf('{');
  const list = (): unknown[] => {
    const values: unknown[] = [];
    at++; // the brace
    while (text[at] !== '}') {
      if (text[at] === ',') at++;
      if (text[at] === '{') values.push(list());
      else if (text[at] === '"') values.push(parse(quoted()));
      else {
        const end = /[,}]/g;
        end.lastIndex = at;
        const next = end.exec(text)!.index;
        const token = text.slice(at, next);
        at = next;
        values.push(token === 'NULL' ? null : parse(token));
      }
    }
    at++;
    return values;
  };
  const quoted = (): string => {
    let value = '';
    for (at++; text[at] !== '"'; at++) {
      if (text[at] === '\\') at++;
      value += text[at]!;
    }
    at++;
    return value;
  };
  return list();
}

/**
 * A value as JSON has it, from which the server makes that of the column.
 *
 * @throws RangeError, TypeError for what has no such form.
 */
export function jsonValue(value: unknown): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'object':
      if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`;
      return value instanceof Date ? value.toISOString() : value;
    case 'function':
    case 'symbol':
      throw new TypeError(`PostgreSQL cannot store a ${typeof value}`);
    default:
      return value;
  }
}

/** Rows of columns as the text of a JSON array of objects. */
export function rowsAsJson(
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
): string {
  const objects = rows.map((row) => {
    return Object.fromEntries(columns.map((column, index) => [column, jsonValue(row[index])]));
  });
  return stringifyJson(objects) ?? '[]';
}

/** A value as a text parameter: of a place that a source continues at. */
export function textValue(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value);
}
