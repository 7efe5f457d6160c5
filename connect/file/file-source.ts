import { LogError, nodeFileSystem, type FileSystem, type Topic } from '../../core/index.ts';
import {
  callback,
  checkOptions,
  flag,
  instance,
  integer,
  listOf,
  oneOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { SourceConnector } from '../connector.ts';
import { findFiles } from './discovery.ts';
import { FileSourceTask } from './file-source-task.ts';
import type { SourceFormat } from './format.ts';
import type { RowHeaders } from './source/record-maker.ts';
import { whenReadCheck } from './source/when-read.ts';

/** What `fileSource` reads, and how a row becomes a record. */
export interface FileSourceOptions<Row, K, V> {
  /**
   * Identifies the source in the log, for ever: its offsets use this name. Default:
   * `<topic>-source`.
   */
  readonly name?: string;
  /**
   * A file, a directory, or a pattern such as `flights/*.csv`, whose files are read one after the
   * other, sorted by name. Of a directory, files in directories below and hidden ones are left out;
   * a pattern can name them. The path is part of a file's identity: do not change it. Files whose
   * names end with `.gz` or `.zst` are unpacked.
   */
  readonly path: string;
  /** Files that the pattern names but that are left out, as patterns. Default: none. */
  readonly exclude?: readonly string[];
  /**
   * Leaves out files that were changed later than so long ago: their writers may not be done. With
   * `follow` it is about new files only. Default: 0, none.
   */
  readonly minAgeMs?: number;
  readonly format: SourceFormat<Row>;
  readonly topic: Topic<K, V>;
  /**
   * The record's key, which decides its partition; null spreads the records. Rows that are values
   * as
   * they are, such as JSON lines for a topic of `json()`, are carried as bytes, and if this is an
   * arrow function without parameters, such as `() => null`, they are checked but not parsed.
   */
  readonly key: (row: Row) => NoInfer<K> | null;
  /** The record's value. Default: the row, if it is such a value. */
  readonly value?: (row: Row) => NoInfer<V> | null;
  /** The record's headers, by name. Default: none. */
  readonly headers?: (row: Row) => RowHeaders;
  /** Event time, a Date or milliseconds since 1970. Default: the time at which the row is read. */
  readonly timestamp?: (row: Row) => number | Date;
  /**
   * True: keeps reading what is appended, and new files, until it is stopped; it waits for files
   * that do not exist yet. It reads only whole lines. Files may grow, disappear and be rotated, as
   * for `tail -F`: a renamed file is read to its end, and the one that takes its name, or is cut
   * and
   * written again, from its start. Lines that are written and removed between two looks are lost.
   * Not for `parquet()`. Default: false.
   */
  readonly follow?: boolean;
  /**
   * With `follow`, where the files begin that are there when the source runs for the first time:
   * from `end` on, only what is appended to them is read. Default: `beginning`.
   */
  readonly start?: 'beginning' | 'end';
  /**
   * What becomes of files that were read, after the commit that covers them: they are deleted, or
   * moved to a directory, in which the source finds no files. A file that has changed meanwhile
   * stays. Not with `follow`. Default: `keep`.
   */
  readonly whenRead?: 'keep' | 'delete' | { readonly moveTo: string };
  /** With `follow`, how long to wait before looking at the files again. Default: 1,000. */
  readonly pollIntervalMs?: number;
  /** Opens and reads the files. Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

const CHECKS: OptionChecks<FileSourceOptions<unknown, unknown, unknown>> = {
  name: text,
  path: (value) => (text(value) === undefined ? undefined : 'a path or a pattern'),
  format: (value) =>
    isFormat(value) ? undefined : 'a format to read, such as lines(), csv(), jsonl() or parquet()',
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  exclude: listOf('patterns'),
  minAgeMs: integer(0),
  key: callback,
  headers: callback,
  timestamp: callback,
  value: callback,
  follow: flag,
  start: oneOf('beginning', 'end'),
  whenRead: whenReadCheck,
  pollIntervalMs: integer(1),
  fileSystem: instance,
};

// As long as Kafka's FileStreamSource waits before it looks again.
const POLL_INTERVAL_MS = 1_000;

/**
 * Reads files into a topic, each row once, whatever happens to the process. It makes one pass over
 * the files that exist when it starts, up to their sizes at that time; the next run reads what was
 * added since. With `follow` it keeps reading instead. Without it, a file that was replaced or has
 * shrunk is an error (FILE_CHANGED).
 *
 * @example
 * fileSource({
 *   path: 'flights/*.csv',
 *   format: csv<{ date: string; origin: string; delay: number }>({ columns: { delay: 'number' } }),
 *   topic: flights,
 *   key: (row) => row.origin,
 *   timestamp: (row) => new Date(row.date),
 * })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function fileSource<Row, K, V>(
  options: FileSourceOptions<Row, K, V> &
    ([Row] extends [V] ? unknown : Required<Pick<FileSourceOptions<Row, K, V>, 'value'>>),
): SourceConnector<Topic<K, V>> {
  const all: FileSourceOptions<Row, K, V> = options;
  const required = ['path', 'format', 'topic', 'key'] as const;
  checkOptions<object>('fileSource', all, CHECKS, required as never);
  const { fileSystem = nodeFileSystem, path, topic, name = `${topic.name}-source` } = all;
  const { follow = false, pollIntervalMs = POLL_INTERVAL_MS, format } = all;
  const { minAgeMs = 0, start = 'beginning', whenRead = 'keep' } = all;
  // What was moved there was read.
  const moved = typeof whenRead === 'object' ? [`${whenRead.moveTo}/**`] : [];
  const exclude = [...(all.exclude ?? []), ...moved];
  if (follow && whenRead !== 'keep') throw cannotRemove();
  if (follow && !format.canFollow) throw cannotFollow(format.name);
  return {
    name,
    topics: [topic],
    isBounded: !follow,
    async open(context) {
      const { clock } = context;
      const search = { fileSystem, path, exclude, minAgeMs, clock };
      const files = follow ? [] : await findFiles(search);
      const task = { ...all, ...search, name, follow, start, whenRead, pollIntervalMs };
      // One task for all files: event time advances from file to file, and two files read side by
      // side would make each other's records late.
      return [new FileSourceTask<Row, K, V>(files, task, context)];
    },
  };
}

function cannotFollow(format: string): LogError {
  const [option, value, allowed] = ['follow', 'true', `false, or left out, for ${format}()`];
  const message =
    `fileSource: ${option} must be ${allowed}: such a file can be read when it is complete; ` +
    'leave it out, and run the source again when there are new files';
  return new LogError('INVALID_OPTION', message, { option, value, allowed });
}

function cannotRemove(): LogError {
  const [option, value, allowed] = ['whenRead', 'given', "'keep' with follow"];
  const message =
    `fileSource: ${option} must be ${allowed}: more may be appended to a file that is followed; ` +
    'run the source again and again without follow';
  return new LogError('INVALID_OPTION', message, { option, value, allowed });
}

function isFormat(value: unknown): boolean {
  return instance(value) === undefined && 'open' in (value as object);
}
