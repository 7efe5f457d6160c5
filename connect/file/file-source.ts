import {
  callback,
  instance,
  nodeFileSystem,
  text,
  type FileSystem,
  type OptionChecks,
  type Topic,
} from '../../core/index.ts';
import type {
  SourceBatch,
  SourceConnector,
  SourceContext,
  SourceRecord,
  SourceTask,
  SourceTaskProgress,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { checkAllOptions } from '../required.ts';
import { findFiles, type FoundFile } from './discovery.ts';
import type { RowBatch, RowReader, SourceFormat } from './format.ts';

/** What `fileSource` reads, and what becomes of a row. */
export interface FileSourceOptions<Row, K, V> {
  /** Names the source in the log, for ever: its offsets go by it. Default: `<topic>-source`. */
  readonly name?: string;
  /**
   * A file, or a pattern such as `flights/*.csv`: then its files are read one after the other, in
   * the order of their names. A path is part of a file's identity: keep it.
   */
  readonly path: string;
  readonly format: SourceFormat<Row>;
  readonly topic: Topic<K, V>;
  /** The record's key, which decides its partition; null spreads the records. */
  readonly key: (row: Row) => NoInfer<K> | null;
  /** The record's value. Default: the row, where it is such a value. */
  readonly value?: (row: Row) => NoInfer<V> | null;
  /** Event time, a Date or milliseconds since 1970. Default: when the row is read. */
  readonly timestamp?: (row: Row) => number | Date;
  /** Opens and reads the files. Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

const CHECKS: OptionChecks<FileSourceOptions<unknown, unknown, unknown>> = {
  name: text,
  path: (value) => (text(value) === undefined ? undefined : 'a path or a pattern'),
  format: (value) =>
    isFormat(value) ? undefined : 'a format to read: lines(), csv(), jsonl() or parquet()',
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  key: callback,
  timestamp: callback,
  value: callback,
  fileSystem: instance,
};

/**
 * Reads files into a topic, each row once, whatever happens to the process. One pass over the files
 * that are there when it starts, up to the sizes that they have then; the next run reads what has
 * been added since. A file that was replaced or has shrunk is an error (FILE_CHANGED).
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
): SourceConnector {
  const all: FileSourceOptions<Row, K, V> = options;
  const required = ['path', 'format', 'topic', 'key'] as const;
  checkAllOptions<object>('fileSource', all, CHECKS, required as never);
  const { fileSystem = nodeFileSystem, path, topic, name = `${topic.name}-source` } = all;
  return {
    name,
    topics: [topic],
    isBounded: true,
    async open(context) {
      const files = await findFiles(fileSystem, path);
      // One task for all files: event time goes on from file to file, and two that were read side
      // by side would make each other's records late.
      return [new FileSourceTask<Row, K, V>(name, files, { ...all, fileSystem }, context)];
    },
  };
}

function isFormat(value: unknown): boolean {
  return instance(value) === undefined && 'open' in (value as object);
}

type TaskOptions<Row, K, V> = FileSourceOptions<Row, K, V> & {
  readonly fileSystem: FileSystem;
};

/** Reads files one after the other. */
class FileSourceTask<Row, K, V> implements SourceTask {
  readonly #name: string;
  readonly #files: readonly FoundFile[];
  readonly #options: TaskOptions<Row, K, V>;
  readonly #context: SourceContext;
  readonly #totalBytes: number;
  /** The file that is being read, or comes next. */
  #index = 0;
  /** Open from the first poll of a file to its end. */
  #reader: RowReader<Row> | undefined;
  #doneBytes = 0;

  constructor(
    name: string,
    files: readonly FoundFile[],
    options: TaskOptions<Row, K, V>,
    context: SourceContext,
  ) {
    this.#name = name;
    this.#files = files;
    this.#options = options;
    this.#context = context;
    this.#totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  async poll(): Promise<SourceBatch | undefined> {
    for (let file = this.#files[this.#index]; file !== undefined; file = this.#files[this.#index]) {
      const reader = (this.#reader ??= await this.#open(file.path));
      const batch = await reader.next();
      if (batch !== undefined) {
        this.#doneBytes = batch.doneBytes;
        return this.#batchOf(file.path, batch);
      }
      this.#reader = undefined;
      this.#index++;
      this.#doneBytes = 0;
      await reader.close();
    }
    return undefined;
  }

  progress(): SourceTaskProgress {
    const before = this.#files.slice(0, this.#index);
    const done = before.reduce((sum, { sizeBytes }) => sum + sizeBytes, this.#doneBytes);
    const current = this.#files[this.#index]?.path;
    return { unit: 'bytes', done, total: this.#totalBytes, current };
  }

  async close(): Promise<void> {
    await this.#reader?.close();
  }

  #open(path: string): Promise<RowReader<Row>> {
    const { fileSystem, format } = this.#options;
    const partition = { file: path };
    const offset = this.#context.offset(partition);
    const badOffset = (): ConnectError => {
      const connector = this.#name;
      const message =
        `the offset that is committed for ${path} was not written by ${format.name}(): ` +
        'read it in the format of before, or give the source another name to begin anew';
      const details = { connector, partition: path, offset: JSON.stringify(offset) };
      return new ConnectError('INVALID_SOURCE_OFFSET', message, details);
    };
    return format.open({ fileSystem, path, offset, badOffset });
  }

  #batchOf(path: string, { rows, offset, lineOf }: RowBatch<Row>): SourceBatch {
    const { topic, key, value, timestamp } = this.#options;
    const records: SourceRecord[] = [];
    let option = 'key';
    try {
      for (const row of rows) {
        option = 'key';
        const recordKey = key(row);
        option = 'value';
        const recordValue = value === undefined ? row : value(row);
        option = 'timestamp';
        const timestampMs = timestamp === undefined ? undefined : toMs(timestamp(row));
        records.push({ topic, key: recordKey, value: recordValue, timestampMs });
      }
    } catch (cause) {
      throw this.#rowFailed(path, lineOf(records.length), option, cause);
    }
    const { unit } = this.#options.format;
    const describe = (index: number): string => `${path}, ${unit} ${lineOf(index)}`;
    return { records, partition: { file: path }, offset, describe };
  }

  #rowFailed(file: string, line: number, option: string, cause: unknown): ConnectError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const { unit } = this.#options.format;
    const message = `${file}, ${unit} ${line}: the function given as ${option} failed: ${reason}`;
    return new ConnectError('ROW_FAILED', message, { file, line, option }, { cause });
  }
}

/** @throws TypeError for what is no time. */
function toMs(time: number | Date): number {
  const ms = typeof time === 'number' ? time : time.getTime();
  if (Number.isFinite(ms)) return ms;
  throw new TypeError(`${String(time)} is no point in time`);
}
