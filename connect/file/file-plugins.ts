import { serializeToBytes, type FileSystem, type Serde } from '../../core/index.ts';
import { stringifyJson } from '../../core/internal.ts';
import {
  configSchema,
  field,
  withChecks,
  type ConfigIssue,
  type ConfigOf,
  type FieldsCheck,
} from '../config.ts';
import type { SinkConnector, SourceConnector } from '../connector.ts';
import {
  defined,
  partOf,
  ROW,
  rowFunctions,
  SUNK,
  sunkValue,
  TOPIC,
  TOPIC_CHECKS,
  topicOf,
} from '../plugin-fields.ts';
import type { SinkPlugin, SourcePlugin } from '../plugin.ts';
import { SIMPLE_HEADERS } from '../converters/simple-header.ts';
import { fileSource } from './file-source.ts';
import {
  formatCheck,
  formatFields,
  formatOf,
  formatOptionFields,
  SINK_FORMATS,
  SOURCE_FORMATS,
} from './format-options.ts';
import { fileSink } from './sink/file-sink.ts';
import { layoutCheck, timeZoneCheck } from './sink/layout.ts';
import type { RowHeaders } from './source/record-maker.ts';

const milliseconds = (doc: string) => field.integer({ doc, optional: true, min: 1 });

/** A header and the field that it is made of: `trace:user.trace`. */
const HEADER = /^([^:]+):(.+)$/;

const SOURCE_CONFIG = withChecks(
  configSchema({
    path: field.path({ doc: 'A file, a directory, or a pattern such as flights/*.csv.' }),
    ...formatFields(SOURCE_FORMATS, 'How files are cut into rows.'),
    ...TOPIC,
    ...ROW,
    headers: field.list({
      doc: 'Headers and their fields, such as trace:user.trace.',
      default: [],
    }),
    exclude: field.list({ doc: 'Patterns of files to leave out.', default: [] }),
    minAgeMs: field.integer({
      doc: 'Leaves out files that were changed later than so long ago.',
      default: 0,
      min: 0,
    }),
    follow: field.boolean({ doc: 'Whether to go on with what is appended.', default: false }),
    start: field.choice(['beginning', 'end'], {
      doc: 'With follow, where files begin that are there at the first start.',
      default: 'beginning',
    }),
    pollIntervalMs: field.integer({ doc: 'With follow, between looks.', default: 1_000, min: 1 }),
    whenRead: field.choice(['keep', 'delete', 'move'], {
      doc: 'What becomes of files that were read.',
      default: 'keep',
    }),
    moveTo: field.path({ doc: 'With whenRead: move, the directory.', optional: true }),
  }),
  [
    ...TOPIC_CHECKS,
    formatCheck(SOURCE_FORMATS),
    {
      of: ['headers'],
      check: ({ headers }) =>
        (headers as readonly string[])
          .filter((each) => !HEADER.test(each))
          .map((each) => ({ field: 'headers', problem: `${each} must be of the form name:field` })),
    },
    { of: ['whenRead', 'moveTo'], check: moveIssues },
    {
      of: ['follow', 'whenRead'],
      check: ({ follow, whenRead }) =>
        mistakeIf(
          follow === true && whenRead !== 'keep',
          'whenRead',
          'it must be keep with follow',
        ),
    },
    {
      of: ['follow', 'format'],
      check: ({ follow, format }) =>
        mistakeIf(
          follow === true && WHOLE_FORMATS.has(String(format)),
          'follow',
          `it must be false: files of ${String(format)} are read when they are complete`,
        ),
    },
    {
      of: ['follow', 'start'],
      check: ({ follow, start }) =>
        mistakeIf(
          follow !== true && start === 'end',
          'start',
          'it must be beginning without follow',
        ),
    },
  ],
  formatOptionFields(SOURCE_FORMATS),
);

const SINK_CONFIG = withChecks(
  configSchema({
    path: field.path({ doc: 'A directory of its own.' }),
    ...formatFields(SINK_FORMATS, 'How rows are written.'),
    ...TOPIC,
    ...SUNK,
    compression: field.choice(['none', 'gzip', 'zstd'], {
      doc: 'How files of lines, CSV and JSONL are compressed.',
      default: 'none',
    }),
    layout: field.string({
      doc: 'Directories below path, such as {field:country}/{date:yyyy-MM-dd}.',
      optional: true,
    }),
    timeZone: field.string({ doc: 'Whose dates the layout has; else UTC.', optional: true }),
    openPartsMax: field.integer({
      doc: 'With layout, how many files may be open.',
      optional: true,
      min: 1,
    }),
    partBytes: field.integer({
      doc: 'The size at which a file is full.',
      default: 2 ** 27,
      min: 1,
    }),
    partRecords: field.integer({
      doc: 'The number of records at which a file is full.',
      optional: true,
      min: 1,
    }),
    partEventMs: milliseconds('The period of event time that a file holds.'),
    partBy: field.string({
      doc: 'The field of the value whose change begins a file; key for the key itself.',
      optional: true,
    }),
    partMs: milliseconds('How old a file gets, by the clock.'),
    partIdleMs: milliseconds('How long a file waits for its next record, by the clock.'),
  }),
  [
    ...TOPIC_CHECKS,
    formatCheck(SINK_FORMATS),
    { of: ['layout'], check: ({ layout }) => optionIssues('layout', layout, layoutCheck) },
    {
      of: ['timeZone'],
      check: ({ timeZone }) => optionIssues('timeZone', timeZone, timeZoneCheck),
    },
    {
      of: ['layout', 'timeZone', 'openPartsMax'],
      check: ({ layout, timeZone, openPartsMax }) => [
        ...mistakeIf(layout === undefined && timeZone !== undefined, 'timeZone', WITHOUT_LAYOUT),
        ...mistakeIf(
          layout === undefined && openPartsMax !== undefined,
          'openPartsMax',
          WITHOUT_LAYOUT,
        ),
      ],
    },
    {
      of: ['format', 'compression'],
      check: ({ format, compression }) =>
        mistakeIf(
          compression !== 'none' && ['parquet', 'avro'].includes(format as string),
          'compression',
          `it must be none: ${String(format)} compresses by itself, see formatOptions`,
        ),
    },
  ] satisfies readonly FieldsCheck[],
  formatOptionFields(SINK_FORMATS),
);

/** Formats whose files cannot be read while they grow. */
const WHOLE_FORMATS: ReadonlySet<string> = new Set(['jsonArray', 'parquet']);

const WITHOUT_LAYOUT = 'it must be left out unless there is a layout';

function mistakeIf(isMistake: boolean, name: string, problem: string): readonly ConfigIssue[] {
  return isMistake ? [{ field: name, problem }] : [];
}

function optionIssues(
  name: string,
  value: unknown,
  check: (value: unknown) => string | undefined,
): readonly ConfigIssue[] {
  const allowed = value === undefined ? undefined : check(value);
  return mistakeIf(allowed !== undefined, name, `it must be ${allowed ?? ''}`);
}

function moveIssues({ whenRead, moveTo }: Readonly<Record<string, unknown>>) {
  return [
    ...mistakeIf(whenRead === 'move' && moveTo === undefined, 'moveTo', 'it is missing'),
    ...mistakeIf(
      whenRead !== 'move' && moveTo !== undefined,
      'moveTo',
      'it must be left out unless whenRead is move',
    ),
  ];
}

/** The config of `file-source`. */
export type FileSourceConfig = ConfigOf<typeof SOURCE_CONFIG>;
/** The config of `file-sink`. */
export type FileSinkConfig = ConfigOf<typeof SINK_CONFIG>;

/** `file-source` for config files: `fileSource`. */
export function fileSourcePlugin(
  environment: { readonly fileSystem?: FileSystem } = {},
): SourcePlugin<FileSourceConfig> {
  return {
    kind: 'source',
    name: 'file-source',
    doc: 'Reads files into a topic: text, CSV, JSON, Parquet, Avro, or any bytes.',
    config: SOURCE_CONFIG,
    takesConverters: true,
    create(config, { name, converters }): SourceConnector {
      const { path, exclude, minAgeMs, follow, start, pollIntervalMs, headers } = config;
      const { whenRead, moveTo = '' } = config;
      return fileSource<unknown, unknown, unknown>({
        ...{ name, path, exclude, minAgeMs, follow, start, pollIntervalMs, ...environment },
        whenRead: whenRead === 'move' ? { moveTo } : whenRead,
        topic: topicOf(config, converters),
        format: formatOf(SOURCE_FORMATS, config),
        ...rowFunctions(config),
        ...(headers.length > 0 && {
          headers: headersOf(headers, converters?.header ?? SIMPLE_HEADERS),
        }),
      });
    },
  };
}

/** Makes headers of fields; a field that is missing makes a null. */
function headersOf(
  headers: readonly string[],
  converter: Serde<unknown>,
): (row: unknown) => RowHeaders {
  const places = headers.map((each) => HEADER.exec(each)?.slice(1) as [string, string]);
  return (row) =>
    Object.fromEntries(
      places.map(([name, path]) => {
        const value = partOf(row, path);
        return [name, value === null ? null : serializeToBytes(converter, value)];
      }),
    );
}

/** `file-sink` for config files: `fileSink`. */
export function fileSinkPlugin(
  environment: { readonly fileSystem?: FileSystem } = {},
): SinkPlugin<FileSinkConfig> {
  return {
    kind: 'sink',
    name: 'file-sink',
    doc: 'Writes a topic to files: lines, CSV, JSON lines, Parquet or Avro.',
    config: SINK_CONFIG,
    takesConverters: true,
    create(config, { name, converters }): SinkConnector {
      const { path, partBytes, partBy, compression } = config;
      const { layout, timeZone, openPartsMax, partRecords, partEventMs, partMs, partIdleMs } =
        config;
      return fileSink<unknown, unknown, unknown>({
        ...{ name, path, partBytes, ...environment },
        ...(compression !== 'none' && { compression }),
        ...defined({ layout, timeZone, openPartsMax }),
        ...defined({ partRecords, partEventMs, partMs, partIdleMs }),
        ...(partBy !== undefined && {
          partBy: ({ key, value }) => textOf(partBy === 'key' ? key : partOf(value, partBy)),
        }),
        ...sunkValue(config),
        topic: topicOf(config, converters),
        format: formatOf(SINK_FORMATS, config),
      });
    },
  };
}

/** Tells values apart. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? value : (stringifyJson(value) ?? '');
}
