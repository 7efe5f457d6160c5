import { LogError } from '../../core/index.ts';
import { callback, checkOptions, type OptionChecks } from '../../core/internal.ts';
import type { SourceOffset } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { CSV_KEYWORDS } from './csv-columns.ts';
import { CsvHeaderParser, CsvParser, invalidCsv, type FieldParser } from './csv-parser.ts';
import type { InputFile, RowReader, SourceFormat } from './format.ts';
import { CsvEncoder } from './sink/csv-encoder.ts';
import type { SinkFormat } from './sink/sink-format.ts';
import { encodingOf } from './source/text-encoding.ts';
import { TEXT_CHECKS, type TextOptions } from './text-options.ts';
import { LINE_BYTES_MAX, TextReader, type TextReaderOptions } from './text-reader.ts';

/**
 * How the text of a column becomes its value, by keyword or by a function, which throws if the text
 * is not valid. With `?` an empty field is null, else it is an error.
 *
 * - `number`: a decimal number, such as `-1.5e3`. An integer beyond 2^53 is an error; a fraction is
 *   the nearest double.
 * - `bigint`: an integer of any size.
 * - `boolean`: `true` or `false`, in any case, `1` or `0`.
 * - `date`: ISO 8601, such as `2001-02-03` or `2001-02-03T04:05:06`; UTC unless it names a zone.
 */
export type CsvColumn<Value> =
  | CsvKeyword<Value, number, 'number'>
  | CsvKeyword<Value, bigint, 'bigint'>
  | CsvKeyword<Value, boolean, 'boolean'>
  | CsvKeyword<Value, Date, 'date'>
  | ((text: string) => Value);

/** The keywords that fit a column's type: with `?` where that may be null. */
export type CsvKeyword<Value, Type, Keyword extends string> =
  | ([Type] extends [Value] ? Keyword : never)
  | ([Type | null] extends [Value] ? `${Keyword}?` : never);

/**
 * How to read the columns that are not plain text. A column is plain text if its type is `string`
 * or narrower, such as `'LAX' | 'JFK'`.
 */
export type CsvColumns<Row> = {
  readonly [
    Name in keyof Row as string extends Row[Name]
      ? never
      : [Row[Name]] extends [string | undefined]
        ? never
        : Name
  ]: CsvColumn<Row[Name]>;
};

/** The options of `csv`. `columns` must name every column that is not text. */
export type CsvOptions<Row> = TextOptions & {
  /** One character. Default: a comma. */
  readonly delimiter?: string;
  /** Lines that begin with this character are skipped, such as `#`. Default: none are. */
  readonly comment?: string;
  /**
   * Names the columns of files without a header. Default: the first record of each file is its
   * header. A sink writes these columns, in this order; default: those of its first row.
   */
  readonly header?: readonly string[];
} & (keyof CsvColumns<Row> extends never
    ? { readonly columns?: { readonly [Name in keyof Row]?: CsvColumn<Row[Name]> } }
    : { readonly columns: CsvColumns<Row> });

/** CSV: reads such rows, and writes any object. */
export interface CsvFormat<Row> extends SourceFormat<Row>, SinkFormat<object> {}

/** The options for any row type. */
interface AnyCsvOptions extends TextOptions {
  readonly delimiter?: string;
  readonly comment?: string;
  readonly header?: readonly string[];
  readonly columns?: Readonly<Record<string, string | FieldParser>>;
}

const CHECKS: OptionChecks<AnyCsvOptions> = {
  ...TEXT_CHECKS,
  delimiter: character,
  comment: character,
  header: (value) => (Array.isArray(value) && value.length > 0 ? undefined : 'a list of columns'),
  columns: (value) =>
    typeof value === 'object' && value !== null ? undefined : 'an object, by name of column',
};

function character(value: unknown): string | undefined {
  const isOne = typeof value === 'string' && /^[^"\r\n]$/.test(value);
  return isOne ? undefined : 'one character, not a quote';
}

/**
 * CSV as in RFC 4180. The first record of each file names the columns; a row is an object
 * with a property for each, text unless `columns` says otherwise.
 *
 * In a sink each file starts with a header. Null and undefined are empty fields, dates ISO 8601,
 * and objects JSON; a row with a column that is not in the header is an error.
 *
 * @example
 * csv<{ origin: string; delay: number }>({ columns: { delay: 'number' } })
 */
export function csv<Row extends object = Record<string, string>>(
  ...[options]: keyof CsvColumns<Row> extends never ? [CsvOptions<Row>?] : [CsvOptions<Row>]
): CsvFormat<Row> {
  const all = (options ?? {}) as AnyCsvOptions;
  checkOptions('csv', all, CHECKS);
  checkColumns(all.columns ?? {});
  encodingOf('csv', all.encoding);
  const { delimiter = ',' } = all;
  return {
    name: 'csv',
    unit: 'line',
    canFollow: true,
    isAppendable: true,
    isCompressible: true,
    open: async (file) => (await openCsv(file, all)) as RowReader<Row>,
    encoder: (columns) => new CsvEncoder(delimiter, columns ?? all.header),
  };
}

async function openCsv(input: InputFile, options: AnyCsvOptions): Promise<RowReader<object>> {
  const { delimiter = ',', comment, header, columns = {} } = options;
  const { lineBytesMax = LINE_BYTES_MAX } = options;
  const reading = { lineBytesMax, encoding: encodingOf('csv', options.encoding) };
  const syntax = { delimiter, comment };
  let names = header;
  let start: SourceOffset | undefined;
  if (names === undefined) {
    const parser = new CsvHeaderParser(syntax);
    const head = await readFirst(input, { ...reading, parser });
    // The file is still empty. If it was read before, it has shrunk, and opening it throws.
    if (head === undefined && (input.offset === undefined || input.isFollowed)) return NO_ROWS;
    names = head?.rows[0] ?? [];
    start = head?.offset;
  }
  const file = input.path;
  checkNames(file, names);
  for (const column of Object.keys(columns)) {
    if (names.length === 0 || names.includes(column)) continue; // an empty file has no columns
    const message =
      `${file} has no column ${column}, which the option columns names; ` +
      `it has ${names.join(', ')}`;
    throw new ConnectError('UNKNOWN_COLUMN', message, { file, column, columns: names });
  }
  const parsers = names.map((name) =>
    Object.hasOwn(columns, name) ? parserOf(columns[name]!) : undefined,
  );
  const parser = new CsvParser(syntax, { names, parsers });
  return TextReader.open(input, { ...reading, parser, start });
}

const NO_ROWS: RowReader<never> = {
  next: () => Promise.resolve(undefined),
  close: () => Promise.resolve(),
};

async function readFirst<Row>(input: InputFile, options: TextReaderOptions<Row>) {
  const reader = await TextReader.open({ ...input, offset: undefined, isFromEnd: false }, options);
  try {
    for (;;) {
      const first = await reader.next();
      // Without a header nothing in the file can be understood.
      for (const { error } of first?.bad ?? []) throw error;
      if (first === undefined || first.rows.length > 0) return first;
    } // only empty lines
  } finally {
    await reader.close();
  }
}

function checkNames(file: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  const place = { file, line: 1, positionBytes: 0 };
  if (twice !== undefined) throw invalidCsv(`the header names the column "${twice}" twice`)(place);
  const odd = names.find((name) => /\0|\r(?!\n)/.test(name));
  if (odd !== undefined) {
    const reason = odd.includes('\0')
      ? 'the header holds NUL characters, as UTF-16 read byte by byte does; read it with ' +
        "encoding: 'utf-16le' or 'utf-16be'"
      : 'the header holds carriage returns without line feeds, once the line ends of Macs; ' +
        "convert the file first, with tr '\\r' '\\n'";
    throw invalidCsv(reason)(place);
  }
  // As a property it would set the row's prototype and lose the column.
  if (names.includes('__proto__')) throw invalidCsv('__proto__ cannot be a column')(place);
}

function checkColumns(columns: object): void {
  for (const [name, value] of Object.entries(columns)) {
    const isKeyword = typeof value === 'string' && Object.hasOwn(CSV_KEYWORDS, value);
    if (isKeyword || callback(value) === undefined) continue;
    const keywords = Object.keys(CSV_KEYWORDS).map((keyword) => `'${keyword}'`);
    const allowed = `${keywords.join(', ')} or a function`;
    const [option, shown] = [`columns.${name}`, String(value)];
    const message = `csv: ${option} must be ${allowed}, not ${shown}`;
    throw new LogError('INVALID_OPTION', message, { option, value: shown, allowed });
  }
}

function parserOf(column: string | FieldParser): FieldParser {
  return typeof column === 'function' ? column : CSV_KEYWORDS[column]!;
}
