/** Values as JSON of Kafka Connect's schemas, and back. */
import { show } from '../../core/internal.ts';
import {
  LOGICAL,
  scaleOf,
  type ConnectField,
  type ConnectSchema,
  type PrimitiveType,
} from './connect-schema.ts';
import {
  decimalText,
  integerBytes,
  integerOfBytes,
  javaDecimalText,
  unscaledOf,
} from './decimal.ts';
import { doubleText, floatText } from './java-numbers.ts';

/** How values are written and read. */
export interface TypedOptions {
  /** `BASE64`: the bytes of their integer; `NUMERIC`: a number. */
  readonly decimalFormat: 'BASE64' | 'NUMERIC';
  /** Whether the default of a field stands in for null. */
  readonly replaceNullWithDefault: boolean;
}

const DAY_MS = 86_400_000;
const INTEGER_BITS: Readonly<Partial<Record<PrimitiveType, number>>> = {
  ...{ int8: 8, int16: 16, int32: 32, int64: 64 },
};

/** The JSON of a value. @throws TypeError, RangeError if it is no value of this schema. */
export function writeTyped(schema: ConnectSchema, value: unknown, options: TypedOptions): string {
  if (value === null || value === undefined) return writeNull(schema, options);
  switch (schema.type) {
    case 'array': {
      if (!Array.isArray(value)) throw mismatch('a list', value);
      const items = value.map((each, index) => within(index, () => write(schema.items, each)));
      return `[${items.join(',')}]`;
    }
    case 'map':
      return writeMap(schema, value, write);
    case 'struct':
      return writeStruct(schema.fields, value, write);
    default:
      return writePrimitive(schema, schema.type, value, options);
  }
  function write(inner: ConnectSchema, each: unknown): string {
    return writeTyped(inner, each, options);
  }
}

function writeNull(schema: ConnectSchema, options: TypedOptions): string {
  const value = readNull(schema, options);
  return value === null ? 'null' : writeTyped(schema, value, options);
}

type Write = (schema: ConnectSchema, value: unknown) => string;

function writeMap(
  { keys, values }: { readonly keys: ConnectSchema; readonly values: ConnectSchema },
  value: unknown,
  write: Write,
): string {
  const entries = entriesOf(value).map(([key, each]) => {
    return within(String(key), () => [write(keys, key), write(values, each)] as const);
  });
  // As Kafka: only text can be the name of a property.
  if (keys.type !== 'string') return `[${entries.map((each) => `[${each.join(',')}]`).join(',')}]`;
  return `{${entries.map((each) => each.join(':')).join(',')}}`;
}

function entriesOf(value: unknown): readonly (readonly [unknown, unknown])[] {
  if (value instanceof Map) return [...value];
  if (Array.isArray(value) && value.every((each) => Array.isArray(each) && each.length === 2)) {
    return value as readonly (readonly [unknown, unknown])[];
  }
  if (isObject(value)) return Object.entries(value);
  throw mismatch('an object, a Map or a list of entries', value);
}

function writeStruct(fields: readonly ConnectField[], value: unknown, write: Write): string {
  if (!isObject(value)) throw mismatch('an object', value);
  const known = new Set(fields.map(({ field }) => field));
  const stray = Object.keys(value).find((name) => !known.has(name));
  if (stray !== undefined) throw new TypeError(`the schema has no field ${stray}`);
  const written = fields.map(({ field, schema }) => {
    const part = Object.hasOwn(value, field) ? value[field] : undefined;
    return `${textOf(field)}:${within(field, () => write(schema, part))}`;
  });
  return `{${written.join(',')}}`;
}

function writePrimitive(
  schema: ConnectSchema,
  type: PrimitiveType,
  value: unknown,
  { decimalFormat }: TypedOptions,
): string {
  if (schema.name === LOGICAL.decimal) {
    const scale = scaleOf(schema);
    const unscaled = unscaledOf(value, scale);
    if (decimalFormat === 'NUMERIC') return javaDecimalText(unscaled, scale);
    return `"${integerBytes(unscaled).toString('base64')}"`;
  }
  const plain = value instanceof Date ? timeNumber(schema, value) : value;
  switch (type) {
    case 'boolean':
      if (typeof plain !== 'boolean') throw mismatch('true or false', plain);
      return String(plain);
    case 'string':
      if (typeof plain !== 'string') throw mismatch('a string', plain);
      return textOf(plain);
    case 'bytes':
      if (!(plain instanceof Uint8Array)) throw mismatch('bytes', plain);
      return `"${Buffer.from(plain).toString('base64')}"`;
    case 'float':
    case 'double':
      return writeFraction(type, plain);
    case 'int8':
    case 'int16':
    case 'int32':
    case 'int64':
      return String(checkInteger(type, plain));
  }
}

/** JSON text as Kafka's converter writes it: no characters beyond U+FFFF, capitals in escapes. */
export function textOf(text: string): string {
  return escaped(JSON.stringify(text));
}

/** The same of all texts in some JSON. */
export function escaped(json: string): string {
  if (!/[\p{Cc}\u{10000}-\u{10ffff}]|\\u/u.test(json)) return json;
  const capitals = json.replace(/\\(u00[0-9a-f]{2}|.)/g, (escape) => {
    return escape.length === 2 ? escape : `\\u${escape.slice(2).toUpperCase()}`;
  });
  return capitals.replace(/[\u{10000}-\u{10ffff}]/gu, (character) => {
    const halves = [character.charCodeAt(0), character.charCodeAt(1)];
    return halves.map((half) => `\\u${half.toString(16).toUpperCase()}`).join('');
  });
}

/** JSON has no NaN: Kafka's converter writes it, and infinity, as text. */
function writeFraction(type: 'float' | 'double', value: unknown): string {
  if (typeof value !== 'number') throw mismatch('a number', value);
  const text = type === 'float' ? floatText(value) : doubleText(value);
  return /\d/.test(text) ? text : `"${text}"`;
}

function timeNumber({ name }: ConnectSchema, date: Date): number {
  const timeMs = date.getTime();
  if (!Number.isFinite(timeMs)) throw mismatch('a point in time', date);
  switch (name) {
    case LOGICAL.timestamp:
      return timeMs;
    case LOGICAL.date:
      if (timeMs % DAY_MS === 0) return timeMs / DAY_MS;
      throw new TypeError(`${date.toISOString()} is a date with a time of the day`);
    case LOGICAL.time:
      if (timeMs >= 0 && timeMs < DAY_MS) return timeMs;
      throw new TypeError(`${date.toISOString()} is no time of the first day of 1970`);
    default:
      throw new TypeError('a Date stands where the schema names no date or time');
  }
}

function checkInteger(type: PrimitiveType, value: unknown): number | bigint {
  const isInteger = typeof value === 'bigint' || Number.isSafeInteger(value);
  if (!isInteger) throw mismatch('an integer', value);
  const bits = INTEGER_BITS[type]!;
  const integer = BigInt(value as number | bigint);
  if (BigInt.asIntN(bits, integer) === integer) return value as number | bigint;
  throw new RangeError(`${show(value)} does not fit into ${bits} bits`);
}

/** The value of some JSON. @throws TypeError, RangeError if it is none of this schema. */
export function readTyped(schema: ConnectSchema, json: unknown, options: TypedOptions): unknown {
  if (json === null || json === undefined) return readNull(schema, options);
  switch (schema.type) {
    case 'array': {
      if (!Array.isArray(json)) throw mismatch('a list', json);
      return json.map((each, index) => within(index, () => read(schema.items, each)));
    }
    case 'map':
      return readMap(schema, json, read);
    case 'struct': {
      if (!isObject(json)) throw mismatch('an object', json);
      const entries = schema.fields.map(({ field, schema: inner }) => {
        const part = Object.hasOwn(json, field) ? json[field] : undefined;
        return [field, within(field, () => read(inner, part))] as const;
      });
      return Object.fromEntries(entries);
    }
    default:
      return readPrimitive(schema, schema.type, json);
  }
  function read(inner: ConnectSchema, each: unknown): unknown {
    return readTyped(inner, each, options);
  }
}

function readNull(schema: ConnectSchema, options: TypedOptions): unknown {
  const { default: fallback } = schema;
  if (fallback !== undefined && fallback !== null && options.replaceNullWithDefault) {
    return readTyped(schema, fallback, options);
  }
  if (schema.optional) return null;
  throw new TypeError('null stands where the schema wants a value');
}

type Read = (schema: ConnectSchema, json: unknown) => unknown;

/** An object if the keys are text, else a list of entries. */
function readMap(
  { keys, values }: { readonly keys: ConnectSchema; readonly values: ConnectSchema },
  json: unknown,
  read: Read,
): unknown {
  if (keys.type === 'string') {
    if (!isObject(json)) throw mismatch('an object', json);
    const entries = Object.entries(json).map(([key, each]) => {
      return [key, within(key, () => read(values, each))] as const;
    });
    return Object.fromEntries(entries);
  }
  if (!Array.isArray(json)) throw mismatch('a list of entries', json);
  return json.map((entry: unknown, index) => {
    return within(index, () => {
      if (!Array.isArray(entry) || entry.length !== 2) throw mismatch('a key and a value', entry);
      return [read(keys, entry[0]), read(values, entry[1])];
    });
  });
}

function readPrimitive(schema: ConnectSchema, type: PrimitiveType, json: unknown): unknown {
  if (schema.name === LOGICAL.decimal) return readDecimal(schema, json);
  switch (type) {
    case 'boolean':
      if (typeof json !== 'boolean') throw mismatch('true or false', json);
      return json;
    case 'string':
      if (typeof json !== 'string' || digitsOf(json) !== undefined) {
        throw mismatch('a string', json);
      }
      return json;
    case 'bytes':
      return bytesOf(json);
    case 'float':
    case 'double':
      return readFraction(json);
    case 'int8':
    case 'int16':
    case 'int32':
    case 'int64':
      return timeOf(schema, readInteger(type, json));
  }
}

function readInteger(type: PrimitiveType, json: unknown): number | bigint {
  const digits = digitsOf(json);
  const value = checkInteger(type, /^-?\d+$/.test(digits ?? '') ? BigInt(digits!) : json);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function readFraction(json: unknown): number {
  const isSpecial = json === 'NaN' || json === 'Infinity' || json === '-Infinity';
  const digits =
    digitsOf(json) ?? (isSpecial || typeof json === 'bigint' ? String(json) : undefined);
  const value = digits === undefined ? json : Number(digits);
  if (typeof value !== 'number') throw mismatch('a number', json);
  return value;
}

/** Text, in base64 or as digits, with as many digits behind the point as the scale says. */
function readDecimal(schema: ConnectSchema, json: unknown): string {
  const scale = scaleOf(schema);
  const digits = digitsOf(json) ?? (typeof json === 'string' ? undefined : json);
  const unscaled = digits === undefined ? integerOfBytes(bytesOf(json)) : unscaledOf(digits, scale);
  return decimalText(unscaled, scale);
}

/** What `parseExactly` puts before a number that keeps all its digits as text. */
const MARK = '\0';

function digitsOf(json: unknown): string | undefined {
  return typeof json === 'string' && /^\0-?\d/.test(json) ? json.slice(MARK.length) : undefined;
}

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
/** Numbers of fewer characters are the same as doubles. */
const EXACT_CHARS = 15;

/** JSON for `readTyped`, whose long numbers keep all their digits. @throws SyntaxError */
export function parseExactly(text: string): unknown {
  JSON.parse(text); // so that what is marked is a number
  const marked = text.replace(STRING_OR_NUMBER, (token) => {
    const isLong = !token.startsWith('"') && token.length > EXACT_CHARS;
    return isLong ? `"\\u0000${token}"` : token;
  });
  return JSON.parse(marked);
}

function bytesOf(json: unknown): Buffer {
  const isBase64 =
    typeof json === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(json) && json.length % 4 === 0;
  if (!isBase64) throw mismatch('bytes in base64', json);
  return Buffer.from(json, 'base64');
}

function timeOf({ name }: ConnectSchema, value: number | bigint): number | bigint | Date {
  switch (name) {
    case LOGICAL.timestamp:
    case LOGICAL.time:
      return new Date(Number(value));
    case LOGICAL.date:
      return new Date(Number(value) * DAY_MS);
    default:
      return value;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  const isPlain = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isPlain && !(value instanceof Uint8Array) && !(value instanceof Date);
}

function mismatch(expected: string, value: unknown): TypeError {
  return new TypeError(`${show(value)} stands where the schema wants ${expected}`);
}

/** Adds to a failure where it happened. */
function within<T>(name: string | number, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof TypeError) && !(cause instanceof RangeError)) throw cause;
    throw new TypeError(`${name}: ${cause.message}`, { cause });
  }
}
