/** The directories below an output's, named after what is in them. */
import { createHash } from 'node:crypto';
import type { ConsumerRecord } from '../../../core/index.ts';
import type { OptionCheck } from '../../../core/internal.ts';

/** A record on its way into a part, and what is written of it. */
type TextOf = (record: ConsumerRecord, row: unknown) => string;

/** The names of directories are at most this long, in bytes; file systems allow 255. */
const LEVEL_BYTES_MAX = 200;
/** How much of its hash a name keeps that is too long. */
const HASH_DIGITS = 16;
/** What Hive, Spark, DuckDB and pyarrow write and read for a value that is missing or empty. */
const NO_VALUE = '__HIVE_DEFAULT_PARTITION__';

/** Characters that some file system refuses, or that mean something in a path. */
const UNSAFE = /[\p{Cc}%/\\:*?"<>|]/gu;
/** Names of devices on Windows, whatever follows a dot. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)/i;

const PLACEHOLDER = /\{([^{}]*)\}/;
const DATE_TOKEN = /yyyy|MM|dd|HH|mm/g;

/** Accepts a template as `Layout` reads it. */
export const layoutCheck: OptionCheck = (value) => {
  if (typeof value !== 'string') return 'a template of directories';
  const fault = faultOf(value);
  return fault === undefined ? undefined : `a template of directories: ${fault}`;
};

/** Accepts the name of a time zone that this machine knows. */
export const timeZoneCheck: OptionCheck = (value) => {
  try {
    if (typeof value === 'string') {
      new Intl.DateTimeFormat('en', { timeZone: value }).format();
      return undefined;
    }
  } catch {
    // a RangeError: it knows no such zone
  }
  return "the name of a time zone, such as 'UTC' or 'Europe/Berlin'";
};

/** Names the directory of each record by a template. */
export class Layout {
  readonly template: string;
  readonly timeZone: string;
  readonly #levels: readonly (readonly TextOf[])[];

  /** @param template a sound one, for `layoutCheck`. */
  constructor(template: string, timeZone: string) {
    this.template = template;
    this.timeZone = timeZone;
    this.#levels = template.split('/').map((level) => piecesOf(level, timeZone));
  }

  /** True if the names depend on the time zone. */
  get hasDates(): boolean {
    return this.template.includes('{date:');
  }

  /** True if the names depend on the row, and not only on its record. */
  get hasFields(): boolean {
    return this.template.includes('{field:');
  }

  /**
   * The path of a record's directory below the output's, with `/` between the levels.
   *
   * @throws TypeError if a field is of no kind that can name a directory, or the time is none.
   */
  directoryOf(record: ConsumerRecord, row: unknown): string {
    let path = '';
    for (const pieces of this.#levels) {
      let level = '';
      for (const textOf of pieces) level += textOf(record, row);
      path += path === '' ? levelName(level) : `/${levelName(level)}`;
    }
    return path;
  }
}

/** Why a template is not sound; undefined if it is. */
function faultOf(template: string): string | undefined {
  for (const level of template.split('/')) {
    if (level === '') return 'no level of it may be empty, nor may it begin or end with /';
    const parts = level.split(PLACEHOLDER); // literals, and between them what the braces hold
    for (const [index, part] of parts.entries()) {
      const fault = index % 2 === 0 ? literalFault(part, index) : placeholderFault(part);
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

function literalFault(text: string, index: number): string | undefined {
  if (/[{}]/.test(text)) return 'a brace is not closed, or not opened; no / stands in braces';
  if (text.search(UNSAFE) >= 0) return `${JSON.stringify(text)} holds what no path may hold`;
  return index === 0 && text.startsWith('.') ? 'no level of it may begin with a dot' : undefined;
}

function placeholderFault(text: string): string | undefined {
  if (['topic', 'partition', 'key'].includes(text)) return undefined;
  const [kind, ...rest] = text.split(':');
  const detail = rest.join(':');
  if (kind === 'field' && detail !== '') return undefined;
  if (kind === 'date') {
    const others = detail.replace(DATE_TOKEN, '');
    const isSound = others !== detail && !/[A-Za-z]/.test(others) && others.search(UNSAFE) < 0;
    return isSound ? undefined : `{${text}} must be of yyyy, MM, dd, HH and mm`;
  }
  return `{${text}} is none of {topic}, {partition}, {key}, {date:yyyy-MM-dd}, {field:name}`;
}

function piecesOf(level: string, timeZone: string): readonly TextOf[] {
  return level.split(PLACEHOLDER).flatMap((part, index): readonly TextOf[] => {
    if (index % 2 === 0) return part === '' ? [] : [() => part];
    const [kind, ...rest] = part.split(':');
    const detail = rest.join(':');
    switch (kind) {
      case 'topic':
        return [({ topic }) => valueName(topic, part)];
      case 'partition':
        return [({ partition }) => String(partition)];
      case 'key':
        return [({ key }) => valueName(key, part)];
      case 'date':
        return [dateName(detail, timeZone)];
      default:
        return [fieldName(detail)];
    }
  });
}

/** The text of a field, or of one inside it: `address.country`. */
function fieldName(path: string): TextOf {
  const names = path.split('.');
  return (_, row) => {
    let value = row;
    for (const name of names) {
      const isInside = typeof value === 'object' && value !== null && Object.hasOwn(value, name);
      value = isInside ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
    }
    return valueName(value, path);
  };
}

/** A value as (part of) a name. Different values have different names, but for none and empty. */
function valueName(value: unknown, field: string): string {
  if (value === null || value === undefined || value === '') return NO_VALUE;
  const text = value instanceof Date ? value.toISOString() : plainText(value);
  if (text === undefined) {
    const found = Array.isArray(value) ? 'a list' : `an ${typeof value}`;
    throw new TypeError(`${field} is ${found}, and names no directory`);
  }
  return text === NO_VALUE ? escaped(text[0]!) + text.slice(1) : text.replace(UNSAFE, escaped);
}

function plainText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const isPlain =
    typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean';
  return isPlain ? String(value) : undefined;
}

/** A character as in addresses: `%2F` for `/`. */
function escaped(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** A level as any file system takes it; nothing in it leads out of its directory. */
function levelName(level: string): string {
  let name = level;
  if (name.startsWith('.') || DEVICE.test(name)) name = escaped(name[0]!) + name.slice(1);
  // Windows drops dots and spaces at the end of a name.
  if (/[. ]$/.test(name)) name = name.slice(0, -1) + escaped(name.at(-1)!);
  if (name.length * 3 <= LEVEL_BYTES_MAX || Buffer.byteLength(name) <= LEVEL_BYTES_MAX) return name;
  const hash = createHash('sha256').update(level).digest('hex').slice(0, HASH_DIGITS);
  const units = Array.from(name);
  let sizeBytes = 0;
  const kept = units.findIndex((unit) => {
    sizeBytes += Buffer.byteLength(unit);
    return sizeBytes > LEVEL_BYTES_MAX - HASH_DIGITS - 1;
  });
  return `${units.slice(0, kept).join('')}~${hash}`;
}

const MINUTE_MS = 60_000;

/** The event time, by a pattern. The text of the last minute is kept: the next record is near. */
function dateName(pattern: string, timeZone: string): TextOf {
  const format = timeZone === 'UTC' ? formatUtc(pattern) : formatIn(pattern, timeZone);
  let minute = Number.NaN;
  let text = '';
  return ({ timestampMs }) => {
    const now = Math.floor(timestampMs / MINUTE_MS);
    // Before 1970 some zones were off by seconds.
    if (now !== minute || now < 0) {
      const date = new Date(timestampMs);
      if (Number.isNaN(date.getTime())) throw new TypeError(`${timestampMs} is no time`);
      text = format(date);
      minute = now;
    }
    return text;
  };
}

function formatUtc(pattern: string): (date: Date) => string {
  return (date) => {
    const parts = {
      yyyy: yearName(date.getUTCFullYear()),
      MM: twoDigits(date.getUTCMonth() + 1),
      dd: twoDigits(date.getUTCDate()),
      HH: twoDigits(date.getUTCHours()),
      mm: twoDigits(date.getUTCMinutes()),
    };
    return pattern.replace(DATE_TOKEN, (token) => parts[token as keyof typeof parts]);
  };
}

function formatIn(pattern: string, timeZone: string): (date: Date) => string {
  const format = new Intl.DateTimeFormat('en-US-u-ca-iso8601-nu-latn', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (date) => {
    const found = new Map(format.formatToParts(date).map(({ type, value }) => [type, value]));
    const of = (type: Intl.DateTimeFormatPartTypes) => found.get(type) ?? '';
    const parts = {
      yyyy: yearName(Number(of('year'))),
      MM: of('month'),
      dd: of('day'),
      HH: of('hour'),
      mm: of('minute'),
    };
    return pattern.replace(DATE_TOKEN, (token) => parts[token as keyof typeof parts]);
  };
}

function yearName(year: number): string {
  return String(year).padStart(4, '0');
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
