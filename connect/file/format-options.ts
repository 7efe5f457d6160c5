/** The formats of files that configs name, with their options. */
import { assert } from '../../core/internal.ts';
import {
  configSchema,
  field,
  issuesOf,
  type ConfigFields,
  type ConfigIssue,
  type ConfigSchema,
  type FieldsCheck,
} from '../config.ts';
import { avro } from './avro.ts';
import { csv } from './csv.ts';
import { fixedBytes } from './fixed-bytes.ts';
import type { SourceFormat } from './format.ts';
import { jsonArray } from './json-array.ts';
import { jsonl } from './jsonl.ts';
import { lines } from './lines.ts';
import { parquet } from './parquet.ts';
import type { SinkFormat } from './sink/sink-format.ts';
import { wholeFiles } from './whole-files.ts';

const TEXT = {
  encoding: field.string({
    doc: 'How text is written, such as utf-16le; else UTF-8.',
    optional: true,
  }),
  lineBytesMax: field.integer({
    ...{ doc: 'The longest record, in bytes.', optional: true, min: 1, max: 2 ** 28 },
  }),
};
const numbers = field.choice(['bigint', 'text', 'error', 'double'], {
  doc: 'What becomes of numbers that a double cannot hold.',
  default: 'bigint',
});
const delimiter = field.string({ doc: 'One character between fields.', default: ',' });

/** A format by name: what its options are, and what makes it of them. */
interface NamedFormat<Format> {
  readonly options: ConfigSchema<unknown>;
  readonly make: (options: Readonly<Record<string, unknown>>) => Format;
}

function named<Format>(
  fields: ConfigFields,
  make: (options: never) => Format,
): NamedFormat<Format> {
  const given = (options: object): never =>
    Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
  return { options: configSchema(fields), make: (options) => make(given(options)) };
}

interface LinesConfig {
  readonly multilineStart?: string;
  readonly multilineContinues?: string;
}

function configuredLines({ multilineStart: start, multilineContinues, ...rest }: LinesConfig) {
  const isMultiline = start !== undefined || multilineContinues !== undefined;
  const multiline = {
    ...(start !== undefined && { start: new RegExp(start) }),
    ...(multilineContinues !== undefined && { continues: new RegExp(multilineContinues) }),
  };
  return lines({ ...rest, ...(isMultiline && { multiline }) } as never) as SourceFormat<unknown>;
}

/** The formats that the file source reads. */
export const SOURCE_FORMATS = {
  lines: named(
    {
      ...TEXT,
      as: field.choice(['text', 'bytes'], { doc: 'What a row is.', default: 'text' }),
      multilineStart: field.string({
        ...{ doc: 'A regular expression for the first line of each row.', optional: true },
      }),
      multilineContinues: field.string({
        ...{ doc: 'A regular expression for the lines that go on with a row.', optional: true },
      }),
    },
    configuredLines,
  ),
  csv: named(
    {
      ...{ ...TEXT, delimiter },
      comment: field.string({ doc: 'What lines begin with that are skipped.', optional: true }),
      header: field.list({ doc: 'The columns of files without a header.', optional: true }),
      columns: field.object({
        doc: 'Columns that are not text: number, bigint, boolean or date, with ? perhaps null.',
        optional: true,
      }),
    },
    (options) => csv(options) as SourceFormat<unknown>,
  ),
  jsonl: named({ ...TEXT, numbers }, (options) => jsonl(options) as SourceFormat<unknown>),
  jsonArray: named(
    {
      numbers,
      elementBytesMax: field.integer({
        ...{ doc: 'The largest element, in bytes.', optional: true, min: 1, max: 2 ** 28 },
      }),
    },
    (options) => jsonArray(options),
  ),
  avro: named(
    {
      timestamps: field.choice(['date', 'ms'], { doc: 'What times become.', default: 'date' }),
      numbers,
    },
    (options) => avro(options),
  ),
  parquet: named(
    {
      columns: field.list({ doc: 'What to read; else all columns.', optional: true }),
      timestamps: field.choice(['date', 'ms'], { doc: 'What times become.', default: 'date' }),
      numbers,
      maps: field.choice(['object', 'entries'], { doc: 'What maps become.', default: 'object' }),
    },
    (options) => parquet(options) as SourceFormat<unknown>,
  ),
  fixedBytes: named(
    { sizeBytes: field.integer({ doc: 'The size of each record.', min: 1, max: 2 ** 20 }) },
    (options) => fixedBytes(options) as SourceFormat<unknown>,
  ),
  wholeFiles: named(
    {
      as: field.choice(['bytes', 'text'], { doc: 'What the content is.', default: 'bytes' }),
      encoding: TEXT.encoding,
      fileBytesMax: field.integer({
        ...{ doc: 'The largest file, in bytes.', optional: true, min: 1, max: 2 ** 28 },
      }),
    },
    (options) => wholeFiles(options) as SourceFormat<unknown>,
  ),
} as const satisfies Readonly<Record<string, NamedFormat<SourceFormat<unknown>>>>;

const columnsWritten = field.list({
  doc: 'The columns; else those of the first row.',
  optional: true,
});

/** The formats that the file sink writes. */
export const SINK_FORMATS = {
  lines: named({}, () => lines() as SinkFormat<unknown>),
  csv: named(
    { delimiter, header: columnsWritten },
    (options) => csv(options) as SinkFormat<unknown>,
  ),
  jsonl: named({}, () => jsonl() as SinkFormat<unknown>),
  parquet: named(
    {
      types: field.object({
        doc: 'The type of each column, such as double; else those of the first row.',
        optional: true,
      }),
      compression: field.choice(['snappy', 'gzip', 'zstd', 'none'], {
        doc: 'Of pages.',
        default: 'snappy',
      }),
    },
    (options) => parquet(options) as SinkFormat<unknown>,
  ),
  avro: named(
    {
      schema: field.object({ doc: 'The schema of a row, as Avro writes it.' }),
      compression: field.choice(['deflate', 'none'], { doc: 'Of blocks.', default: 'deflate' }),
    },
    (options) => avro(options),
  ),
} as const satisfies Readonly<Record<string, NamedFormat<SinkFormat<unknown>>>>;

/** The formats that are text as it comes, for standard output. */
export const PRINTED_FORMATS = {
  lines: SINK_FORMATS.lines,
  csv: SINK_FORMATS.csv,
  jsonl: SINK_FORMATS.jsonl,
} as const;

/** The fields of a config that name one of these formats. */
export function formatFields<const Name extends string>(
  formats: Readonly<Record<Name, NamedFormat<unknown>>>,
  doc: string,
) {
  return {
    format: field.choice(Object.keys(formats) as Name[], { doc }),
    formatOptions: field.object({ doc: 'The options of the format.', default: {} }),
  };
}

/** Checks the options of the format. */
export function formatCheck(formats: Readonly<Record<string, NamedFormat<unknown>>>): FieldsCheck {
  return {
    of: ['format', 'formatOptions'],
    check({ format, formatOptions = {} }): readonly ConfigIssue[] {
      const { options, make } = formats[format as string]!;
      const read = options.read(formatOptions);
      if ('config' in read)
        return issuesOf('formatOptions', () =>
          make(read.config as Readonly<Record<string, unknown>>),
        );
      return read.issues.map(({ field: name, problem }) => {
        return { field: `formatOptions.${name}`, problem };
      });
    },
  };
}

/** The options of all formats, to be explained: `formatOptions.delimiter`. */
export function formatOptionFields(
  formats: Readonly<Record<string, NamedFormat<unknown>>>,
): ConfigFields {
  const explained: Record<string, ConfigFields[string]> = {};
  for (const [format, { options }] of Object.entries(formats)) {
    for (const [name, each] of Object.entries(options.fields)) {
      const known = explained[`formatOptions.${name}`];
      const doc = known === undefined ? `${format}: ${each.doc}` : `${format}, ${known.doc}`;
      explained[`formatOptions.${name}`] = { ...(known ?? each), doc, isRequired: false };
    }
  }
  return explained;
}

/** The format of a config that `formatCheck` has accepted. */
export function formatOf<Format>(
  formats: Readonly<Record<string, NamedFormat<Format>>>,
  config: { readonly format: string; readonly formatOptions: object },
): Format {
  const { options, make } = formats[config.format]!;
  const read = options.read(config.formatOptions);
  assert('config' in read, 'the options of the format are checked');
  return make(read.config as Readonly<Record<string, unknown>>);
}
