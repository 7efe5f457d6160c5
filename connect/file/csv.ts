import { LogError } from '../../core/index.ts';
import { callback, checkOptions, oneOf, type OptionChecks } from '../../core/internal.ts';
import { ConnectError } from '../errors.ts';
import { CsvHeaderParser, CsvParser, invalidCsv, type FieldParser } from './csv-parser.ts';
import type { InputFile, RowReader, SourceFormat } from './format.ts';
import { CsvEncoder } from './sink/csv-encoder.ts';
import type { SinkFormat } from './sink/sink-format.ts';
import { TEXT_CHECKS, type TextOptions } from './text-options.ts';
import { LINE_BYTES_MAX, TextReader, type TextReaderOptions } from './text-reader.ts';

/**
 * How the text of a column becomes its value: `number` (an empty field is an error), `number?` (an
 * empty field is null), or a function, which throws if the text is not valid.
 */
export type CsvColumn<Value> =
  | ([number] extends [Value] ? 'number' : never)
  | ([number | null] extends [Value] ? 'number?' : never)
  | ((text: string) => Value);

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
  readonly header?: readonly string[];
  readonly columns?: Readonly<Record<string, 'number' | 'number?' | FieldParser>>;
}

const isKeyword = oneOf('number', 'number?');

const CHECKS: OptionChecks<AnyCsvOptions> = {
  ...TEXT_CHECKS,
  delimiter: (value) =>
    typeof value === 'string' && /^[^"\r\n]$/.test(value)
      ? undefined
      : 'one character, not a quote',
  header: (value) => (Array.isArray(value) && value.length > 0 ? undefined : 'a list of columns'),
  columns: (value) =>
    typeof value === 'object' && value !== null ? undefined : 'an object, by name of column',
};

/**
 * CSV as in RFC 4180, in UTF-8. The first record of each file names the columns; a row is an object
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
  const { delimiter = ',', header, columns = {}, lineBytesMax = LINE_BYTES_MAX } = options;
  let { offset } = input;
  let names = header;
  if (names === undefined) {
    const parser = new CsvHeaderParser(delimiter);
    const head = await readFirst(input, { parser, lineBytesMax, rowsMax: 1 });
    // The file is still empty. If it was read before, it has shrunk, and opening it throws.
    if (head === undefined && offset === undefined) return NO_ROWS;
    names = head?.rows[0] ?? [];
    offset ??= head?.offset;
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
  const parser = new CsvParser(delimiter, { names, parsers });
  return TextReader.open({ ...input, offset }, { parser, lineBytesMax });
}

const NO_ROWS: RowReader<never> = {
  next: () => Promise.resolve(undefined),
  close: () => Promise.resolve(),
};

async function readFirst<Row>(input: InputFile, options: TextReaderOptions<Row>) {
  const reader = await TextReader.open({ ...input, offset: undefined }, options);
  try {
    let first = await reader.next();
    while (first?.rows.length === 0) first = await reader.next(); // only empty lines
    return first;
  } finally {
    await reader.close();
  }
}

function checkNames(file: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  const place = { file, line: 1, positionBytes: 0 };
  if (twice !== undefined) throw invalidCsv(`the header names the column "${twice}" twice`)(place);
  const odd = names.find((name) => /[\0\r]/.test(name));
  if (odd !== undefined) {
    const reason = odd.includes('\0')
      ? 'the header holds NUL characters, as UTF-16 read byte by byte does; convert the file ' +
        'first, with iconv -f UTF-16 -t UTF-8'
      : 'the header holds carriage returns without line feeds, once the line ends of Macs; ' +
        "convert the file first, with tr '\\r' '\\n'";
    throw invalidCsv(reason)(place);
  }
  // As a property it would set the row's prototype and lose the column.
  if (names.includes('__proto__')) throw invalidCsv('__proto__ cannot be a column')(place);
}

function checkColumns(columns: object): void {
  for (const [name, value] of Object.entries(columns)) {
    if (isKeyword(value) === undefined || callback(value) === undefined) continue;
    const allowed = "'number', 'number?' or a function";
    const [option, shown] = [`columns.${name}`, String(value)];
    const message = `csv: ${option} must be ${allowed}, not ${shown}`;
    throw new LogError('INVALID_OPTION', message, { option, value: shown, allowed });
  }
}

function parserOf(column: 'number' | 'number?' | FieldParser): FieldParser {
  if (typeof column === 'function') return column;
  return column === 'number' ? parseNumber : (text) => (text === '' ? null : parseNumber(text));
}

function parseNumber(text: string): number {
  const value = Number(text);
  // Nor is Infinity: JSON would turn it into null.
  if (!Number.isFinite(value) || text.trim() === '') {
    throw new TypeError(`${JSON.stringify(text)} is not a number`);
  }
  return value;
}
