import { resolve } from 'node:path';
import {
  bytes,
  json,
  LogError,
  nodeFileSystem,
  string,
  type ConsumerRecord,
  type FileSystem,
  type Topic,
} from '../../../core/index.ts';
import {
  callback,
  checkOptions,
  compress,
  compressionLevel,
  COMPRESSION_LEVELS,
  instance,
  integer,
  oneOf,
  present,
  text,
  type OptionChecks,
} from '../../../core/internal.ts';
import type { SinkConnector, SinkContext } from '../../connector.ts';
import { textConverter } from '../../converters/plain-converters.ts';
import { FileSinkTask } from './file-sink-task.ts';
import { Layout, layoutCheck, timeZoneCheck } from './layout.ts';
import { openOutput } from './output-directory.ts';
import type { PartSettings } from './partition-parts.ts';
import type { SinkFormat } from './sink-format.ts';

/** What `fileSink` writes, and where. */
export interface FileSinkOptions<Row, K, V> {
  /** Identifies the sink in the log, for ever. Default: `<topic>-sink`. */
  readonly name?: string;
  readonly topic: Topic<K, V>;
  /** A directory of its own. The sink creates it if it is missing. */
  readonly path: string;
  readonly format: SinkFormat<Row>;
  /**
   * Makes a record's row; undefined leaves the record out. Default: the record's value, if it is
   * such a row; JSON lines of a topic of `json()`, and lines of one of `string()` or `bytes()`, are
   * then written as they stand in the log, checked but not parsed.
   */
  readonly value?: (record: ConsumerRecord<K, V>) => NoInfer<Row> | undefined;
  /**
   * Compresses files of text, such as `csv` and `jsonl`, piece by piece: each is a gzip member or a
   * zstd frame, and any reader of such files takes them in a row. Default: `none`.
   */
  readonly compression?: 'none' | 'gzip' | 'zstd';
  /**
   * Directories below `path`, by what is in them: `{topic}`, `{partition}`, `{key}`, `{field:name}`
   * of the row, and the event time, `{date:yyyy-MM-dd}`, of `yyyy MM dd HH mm`. Whatever the values
   * hold, no name leads out of the directory. Default: none, all files are in `path`.
   *
   * @example
   * layout: 'country={field:address.country}/{date:yyyy-MM-dd}'
   */
  readonly layout?: string;
  /** Whose dates the layout has, such as `Europe/Berlin`. Default: `UTC`. */
  readonly timeZone?: string;
  /**
   * How many files may be open with a layout, over all partitions; each takes a descriptor and some
   * memory. The one that was used least recently is ended for another. Default 128, and 16 for
   * formats whose files are whole or nothing, such as `parquet`.
   */
  readonly openPartsMax?: number;
  /**
   * The size at which a file is full and the next one starts, before `compression`. Parquet and
   * Avro are measured as they are written, with rows that wait unpacked. Default: 128 MiB.
   */
  readonly partBytes?: number;
  /** The number of records at which a file is full. Default: no limit. */
  readonly partRecords?: number;
  /**
   * A file holds one period of event time of this length, counted from 1970 in UTC, such as an
   * hour: the first record of a later one starts the next file. A late record stays with those that
   * it came with. Default: no limit.
   */
  readonly partEventMs?: number;
  /** Starts a new file when this changes from one record to the next. Default: never. */
  readonly partBy?: (record: ConsumerRecord<K, V>) => string | number | null;
  /**
   * How old a file gets, by the clock, also if no record comes. Default: no limit; 1 minute for
   * formats whose files are whole or nothing, such as `parquet`: what is in a file that is not
   * full yet is not committed, and is read from the log again after a crash.
   */
  readonly partMs?: number;
  /** How long a file waits for its next record, by the clock. Default: no limit. */
  readonly partIdleMs?: number;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

const CHECKS: OptionChecks<FileSinkOptions<unknown, unknown, unknown>> = {
  name: text,
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  path: (value) => (text(value) === undefined ? undefined : 'the path of a directory'),
  format: (value) => (isFormat(value) ? undefined : 'a format to write, such as csv() or jsonl()'),
  value: callback,
  compression: oneOf('none', 'gzip', 'zstd'),
  layout: layoutCheck,
  timeZone: timeZoneCheck,
  openPartsMax: integer(1),
  partBytes: integer(1),
  partRecords: integer(1),
  partEventMs: integer(1),
  partBy: callback,
  partMs: integer(1),
  partIdleMs: integer(1),
  fileSystem: instance,
};

const PART_BYTES = 128 * 1024 * 1024;
const OPEN_PARTS = { appendable: 128, whole: 16 };
/** A whole file is committed at its end, so its records must not wait too long for it. */
const WHOLE_PART_MS = 60_000;
const EXTENSIONS = { none: '', gzip: '.gz', zstd: '.zst' };

/** The options, of any record and row. */
type AnyOptions = FileSinkOptions<unknown, unknown, unknown>;

/**
 * Writes a topic to files, each record once, whatever happens to the process or the machine. The
 * directory holds part files and `manifest.json`, which states how many bytes of each part count,
 * the offsets they reach and, with `"complete": true`, that the input has ended.
 *
 * Each part holds the records of one partition in order: the contents do not depend on the
 * interleaving of partitions or on crashes, nor on time unless `partMs` or `partIdleMs` says so.
 *
 * @example
 * fileSink({ topic: delaysByAirport, path: 'out/delays', format: jsonl() })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function fileSink<Row, K, V>(
  options: FileSinkOptions<Row, K, V> &
    ([V] extends [Row] ? unknown : Required<Pick<FileSinkOptions<Row, K, V>, 'value'>>),
): SinkConnector<Topic<K, V>> {
  const all = options as unknown as AnyOptions;
  const required = ['topic', 'path', 'format'] as const;
  checkOptions<object>('fileSink', all, CHECKS, required as never);
  checkTogether(all);
  const { topic, name = `${topic.name}-sink` } = all;
  return {
    name,
    topics: [options.topic],
    delivery: 'transactional',
    open: (context) => openTask(all, context),
  };
}

async function openTask(options: AnyOptions, context: SinkContext): Promise<FileSinkTask> {
  const { path, format, compression = 'none', layout, timeZone = 'UTC' } = options;
  const { fileSystem = nodeFileSystem, value = (record: ConsumerRecord) => record.value } = options;
  const directory = resolve(path); // the working directory may change while it runs
  const topic = present(context.topics[0], 'a sink gets the topics that it names');
  const places = layout === undefined ? undefined : new Layout(layout, timeZone);
  const { columns } = await format.encoder(undefined); // before anything is touched
  const output = await openOutput({
    fileSystem,
    directory,
    topic,
    format: format.name,
    compression: compression === 'none' ? undefined : compression,
    layout,
    timeZone: places?.hasDates === true ? timeZone : undefined,
    columns,
  });
  const { isAppendable, name, extension = name } = format;
  const openPartsMax =
    options.openPartsMax ?? (isAppendable ? OPEN_PARTS.appendable : OPEN_PARTS.whole);
  const parts: PartSettings = {
    fileSystem,
    directory,
    extension: extension + EXTENSIONS[compression],
    encoder: await format.encoder(output.manifest.columns),
    isAppendable,
    line: { source: NO_BYTES, start: 0, end: 0 },
    pack: packing(compression),
    policy: {
      partBytes: options.partBytes ?? PART_BYTES,
      partRecords: options.partRecords ?? Infinity,
      partMs: options.partMs ?? (isAppendable ? Infinity : WHOLE_PART_MS),
      partIdleMs: options.partIdleMs ?? Infinity,
      partEventMs: options.partEventMs ?? Infinity,
      partBy: options.partBy,
    },
    layout: places,
    openPartsMax: Math.max(1, Math.floor(openPartsMax / topic.partitions)),
  };
  const isCarried = places?.hasFields !== true && isCarriedBy(options);
  return new FileSinkTask({ parts, value, isCarried, output, context });
}

const NO_BYTES = Buffer.alloc(0);

/** True if rows are values, and a serde wrote these whose bytes mean the same in such a file. */
function isCarriedBy({ topic, format, value }: AnyOptions): boolean {
  if (value !== undefined) return false;
  const serde: unknown = topic.value;
  // The other ways to read numbers do not print all of them as they were.
  if (format.carries === 'json') return serde === json();
  const texts: readonly unknown[] = [string(), bytes(), textConverter];
  return format.carries === 'text' && texts.includes(serde);
}

/** What compresses one piece of a part; undefined to leave it as it is. */
function packing(compression: 'none' | 'gzip' | 'zstd'): PartSettings['pack'] {
  if (compression === 'none') return undefined;
  const level = compressionLevel(compression, COMPRESSION_LEVELS);
  return (bytes) => compress(compression, bytes, level);
}

/** @throws LogError INVALID_OPTION for options that do not go together. */
function checkTogether({ format, compression = 'none', layout, ...others }: AnyOptions): void {
  if (compression !== 'none' && !format.isCompressible) {
    const allowed = `left out: ${format.name} compresses by itself`;
    refuse('compression', compression, allowed);
  }
  for (const option of ['timeZone', 'openPartsMax'] as const) {
    if (layout !== undefined || others[option] === undefined) continue;
    refuse(option, String(others[option]), 'left out unless there is a layout');
  }
}

function refuse(option: string, value: string, allowed: string): never {
  const message = `fileSink: ${option} must be ${allowed}`;
  throw new LogError('INVALID_OPTION', message, { option, value, allowed });
}

function isFormat(value: unknown): boolean {
  return instance(value) === undefined && 'encoder' in (value as object);
}
