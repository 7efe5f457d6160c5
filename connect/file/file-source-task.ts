import type { FileSystem, Topic } from '../../core/index.ts';
import type {
  BadInput,
  SourceBatch,
  SourceContext,
  SourceOffset,
  SourceRecord,
  SourceTask,
  SourceTaskProgress,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { findFiles, type FoundFile } from './discovery.ts';
import type { RowBatch, RowReader, SourceFormat } from './format.ts';

/** `FileSourceOptions` with every default filled in, except for the functions. */
export interface FileSourceTaskOptions<Row, K, V> {
  readonly name: string;
  readonly path: string;
  readonly format: SourceFormat<Row>;
  readonly topic: Topic<K, V>;
  readonly key: (row: Row) => K | null;
  readonly value?: (row: Row) => V | null;
  readonly timestamp?: (row: Row) => number | Date;
  readonly follow: boolean;
  readonly pollIntervalMs: number;
  readonly fileSystem: FileSystem;
}

/**
 * Reads files one after the other. With `follow` it then lists the files again and opens those
 * whose size has changed since, each where it stopped reading.
 */
export class FileSourceTask<Row, K, V> implements SourceTask {
  readonly #options: FileSourceTaskOptions<Row, K, V>;
  readonly #context: SourceContext;
  /** As they were found; replaced by each `#lookAgain`. */
  #files: readonly FoundFile[];
  /** The file that is being read, or is next. */
  #index = 0;
  /** Open from the first poll of a file to its end. */
  #reader: RowReader<Row> | undefined;
  /** This run's offsets in the files that it has read from. */
  readonly #offsets = new Map<string, SourceOffset>();
  /** The bytes read of each file, or its size once it was read to the end. */
  readonly #readBytes = new Map<string, number>();
  /** With `follow`: set once the files have been listed. */
  #hasLooked = false;

  constructor(
    files: readonly FoundFile[],
    options: FileSourceTaskOptions<Row, K, V>,
    context: SourceContext,
  ) {
    this.#files = files;
    this.#options = options;
    this.#context = context;
  }

  async poll(): Promise<SourceBatch | undefined> {
    for (;;) {
      const file = this.#files[this.#index];
      if (file === undefined) {
        if (!(await this.#lookAgain())) return undefined;
        continue;
      }
      const batch = await this.#next(file);
      if (batch !== undefined) return batch;
      this.#index++;
    }
  }

  progress(): SourceTaskProgress {
    const current = this.#files[this.#index]?.path;
    let [done, total] = [0, 0];
    for (const { path, sizeBytes } of this.#files) {
      const readBytes = this.#readBytes.get(path) ?? 0;
      done += readBytes;
      total += Math.max(sizeBytes, readBytes); // it may have grown before it was opened
    }
    return { unit: 'bytes', done, total, current };
  }

  async close(): Promise<void> {
    await this.#reader?.close();
  }

  /** Reads the next rows of a file; undefined at its end. */
  async #next({ path, sizeBytes }: FoundFile): Promise<SourceBatch | undefined> {
    let reader = this.#reader;
    if (reader === undefined) {
      if (this.#readBytes.get(path) === sizeBytes) return undefined;
      reader = await this.#open(path);
      if (reader === undefined) return undefined;
      this.#reader = reader;
    }
    const batch = await reader.next();
    if (batch !== undefined) {
      this.#readBytes.set(path, batch.doneBytes);
      this.#offsets.set(path, batch.offset);
      return this.#batchOf(path, batch);
    }
    this.#reader = undefined;
    this.#readBytes.set(path, sizeBytes);
    await reader.close();
    return undefined;
  }

  /** Lists the files again, after the interval. False if there is nothing more to do. */
  async #lookAgain(): Promise<boolean> {
    const { fileSystem, path, follow } = this.#options;
    if (!follow) return false;
    if (this.#hasLooked) await this.#wait();
    if (this.#context.signal.aborted) return false;
    this.#hasLooked = true;
    try {
      this.#files = await findFiles(fileSystem, path);
    } catch (cause) {
      if (!isAbsence(cause)) throw cause;
      this.#files = [];
    }
    this.#index = 0;
    return true;
  }

  /** Waits until the interval is over or the signal aborts. */
  #wait(): Promise<void> {
    const { clock, signal } = this.#context;
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = clock.setTimer(this.#options.pollIntervalMs, end);
      signal.addEventListener('abort', end);
      if (signal.aborted) end();
    });
  }

  /** Opens a file; undefined if it is followed and gone. */
  async #open(path: string): Promise<RowReader<Row> | undefined> {
    const { name: connector, fileSystem, format, follow: isFollowed } = this.#options;
    const partition = { file: path };
    const offset = this.#offsets.get(path) ?? this.#context.offset(partition);
    const badOffset = (): ConnectError => {
      const message =
        `the offset that is committed for ${path} was not written by ${format.name}(): ` +
        'use the former format, or give the source another name to start over';
      const details = { connector, partition: path, offset: JSON.stringify(offset) };
      return new ConnectError('INVALID_SOURCE_OFFSET', message, details);
    };
    try {
      return await format.open({ fileSystem, path, offset, isFollowed, badOffset });
    } catch (cause) {
      if (isFollowed && isAbsence(cause)) return undefined;
      throw cause;
    }
  }

  #batchOf(path: string, batch: RowBatch<Row>): SourceBatch {
    const { rows, offset, lineOf } = batch;
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
    const bad = batch.bad?.map(({ raw, line, error }): BadInput => {
      const position = { file: path, [unit]: line };
      return { stage: 'read', raw, place: `${path}, ${unit} ${line}`, position, error };
    });
    return { records, bad, partition: { file: path }, offset, describe };
  }

  #rowFailed(file: string, line: number, option: string, cause: unknown): ConnectError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const { unit } = this.#options.format;
    const message = `${file}, ${unit} ${line}: the function given as ${option} failed: ${reason}`;
    return new ConnectError('ROW_FAILED', message, { file, line, option }, { cause });
  }
}

/** @throws TypeError if it is not a time. */
function toMs(time: number | Date): number {
  const ms = typeof time === 'number' ? time : time.getTime();
  if (Number.isFinite(ms)) return ms;
  throw new TypeError(`${String(time)} is no point in time`);
}

/** True if the file does not exist yet, or no longer. */
function isAbsence(cause: unknown): boolean {
  return ConnectError.is(cause, 'FILE_NOT_FOUND') || ConnectError.is(cause, 'NO_FILE_MATCHES');
}
