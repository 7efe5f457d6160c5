import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import type { JsonNumbers, Topic } from '../../core/index.ts';
import { parseJson } from '../../core/internal.ts';
import type {
  BadInput,
  SourceBatch,
  SourceRecord,
  SourceTask,
  SourceTaskProgress,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { fileFailure } from '../file/failure.ts';
import { rowFailed, toMs } from '../row-functions.ts';

/** `StdinSourceOptions` with every default filled in, except for the functions. */
export interface StdinSourceTaskOptions<Row, K, V> {
  readonly format: 'lines' | 'jsonl';
  readonly topic: Topic<K, V>;
  readonly key: (row: Row) => K | null;
  readonly value?: (row: Row) => V | null;
  readonly timestamp?: (row: Row) => number | Date;
  readonly lineBytesMax: number;
  readonly numbers: JsonNumbers;
  readonly input: Readable;
  readonly signal: AbortSignal;
}

/** What one read yields. */
interface Rows {
  readonly records: SourceRecord[];
  /** The line of each record. */
  readonly lines: number[];
  readonly bad: BadInput[];
}

const FILE = 'stdin';
const BYTE_ORDER_MARK = 0xefbbbf;
const LF = 10;
const CR = 13;

/** Cuts a stream into lines, and lines into records. */
export class StdinSourceTask<Row, K, V> implements SourceTask {
  readonly #options: StdinSourceTaskOptions<Row, K, V>;
  readonly #chunks: AsyncIterator<Buffer | string>;
  /** The chunks of a line whose end has not come yet. */
  #rest: Buffer[] = [];
  /** The bytes of that line so far, those dropped included. */
  #restBytes = 0;
  /** Whole lines before `#rest`, and their bytes. */
  #lines = 0;
  #positionBytes = 0;
  #isEnded = false;

  constructor(options: StdinSourceTaskOptions<Row, K, V>) {
    this.#options = options;
    options.input.on('error', ignore); // the iterator reports it; until then it must end nothing
    this.#chunks = options.input[Symbol.asyncIterator]() as AsyncIterator<Buffer | string>;
  }

  async poll(): Promise<SourceBatch | undefined> {
    while (!this.#isEnded) {
      const chunk = await this.#read();
      if (this.#options.signal.aborted) return undefined;
      const rows: Rows = { records: [], lines: [], bad: [] };
      if (chunk === undefined) this.#end(rows);
      else this.#cut(chunk, rows);
      if (rows.records.length > 0 || rows.bad.length > 0) return this.#batchOf(rows);
    }
    return undefined;
  }

  progress(): SourceTaskProgress {
    const done = this.#positionBytes + this.#restBytes;
    return { unit: 'bytes', done, total: undefined, current: FILE };
  }

  async close(): Promise<void> {
    this.#options.input.destroy(); // an open stdin would keep the process alive
  }

  /** The next chunk; undefined at the end of the input, or if the signal aborts. */
  #read(): Promise<Buffer | undefined> {
    const { signal } = this.#options;
    return new Promise((resolve, reject) => {
      const stop = (): void => resolve(undefined);
      signal.addEventListener('abort', stop);
      const settle = (): void => signal.removeEventListener('abort', stop);
      if (signal.aborted) stop();
      this.#chunks.next().then(
        ({ done = false, value }) => {
          settle();
          resolve(done ? undefined : Buffer.from(value as Buffer));
        },
        (cause: unknown) => {
          settle();
          reject(fileFailure(FILE, 'read', cause));
        },
      );
    });
  }

  /** Takes the lines that end in this chunk, and keeps what follows them. */
  #cut(chunk: Buffer, rows: Rows): void {
    const end = chunk.lastIndexOf(LF) + 1;
    let start = 0;
    if (end > 0 && this.#restBytes > 0) {
      start = chunk.indexOf(LF) + 1;
      this.#keep(chunk.subarray(0, start));
      this.#takeRest(rows);
    }
    const isValid = isUtf8(chunk.subarray(start, end));
    while (start < end) {
      const lineEnd = chunk.indexOf(LF, start) + 1;
      this.#takeLine(chunk, start, lineEnd, isValid, rows);
      start = lineEnd;
    }
    this.#keep(chunk.subarray(end));
  }

  /** The end of the input ends the last line, too. */
  #end(rows: Rows): void {
    this.#isEnded = true;
    if (this.#restBytes > 0) this.#takeRest(rows);
  }

  #keep(bytes: Buffer): void {
    this.#restBytes += bytes.length;
    // A line that is too long is counted, not kept: it might not fit into memory.
    if (this.#restBytes > this.#options.lineBytesMax + 2) this.#rest = [];
    else if (bytes.length > 0) this.#rest.push(bytes);
  }

  #takeRest(rows: Rows): void {
    const [rest, sizeBytes] = [Buffer.concat(this.#rest), this.#restBytes];
    this.#rest = [];
    this.#restBytes = 0;
    if (rest.length === sizeBytes) this.#takeLine(rest, 0, sizeBytes, isUtf8(rest), rows);
    else this.#skip(sizeBytes, this.#tooLong(), undefined, rows);
  }

  /** Makes a record of one line, which may have a line end. */
  #takeLine(bytes: Buffer, start: number, end: number, isValid: boolean, rows: Rows): void {
    let [from, to] = [start, end];
    if (bytes[to - 1] === LF) to -= bytes[to - 2] === CR && to - 2 >= from ? 2 : 1;
    if (
      this.#positionBytes === 0 &&
      to - from >= 3 &&
      bytes.readUIntBE(from, 3) === BYTE_ORDER_MARK
    ) {
      from += 3;
    }
    const raw = (): Buffer => Buffer.from(bytes.subarray(from, to));
    if (to - from > this.#options.lineBytesMax) {
      this.#skip(end - start, this.#tooLong(), raw(), rows);
    } else if (!isValid && !isUtf8(bytes.subarray(from, to))) {
      this.#skip(end - start, this.#notUtf8(), raw(), rows);
    } else {
      const error = this.#addRow(bytes, from, to, rows);
      if (error === undefined) this.#advance(end - start);
      else this.#skip(end - start, error, raw(), rows);
    }
  }

  /** Adds the record of a line, or returns why there is none. */
  #addRow(bytes: Buffer, from: number, to: number, rows: Rows): ConnectError | undefined {
    const { format, topic, key, value, timestamp, numbers } = this.#options;
    const line = bytes.toString('utf8', from, to);
    let row: unknown = line;
    if (format === 'jsonl') {
      if (line.trim() === '') return undefined;
      try {
        row = parseJson(line, bytes, from, to, numbers);
      } catch (cause) {
        return this.#notJson(cause);
      }
    }
    let option = 'key';
    try {
      const recordKey = key(row as Row);
      option = 'value';
      const recordValue = value === undefined ? row : value(row as Row);
      option = 'timestamp';
      const timestampMs = timestamp === undefined ? undefined : toMs(timestamp(row as Row));
      rows.records.push({ topic, key: recordKey, value: recordValue, timestampMs });
      rows.lines.push(this.#lines + 1);
      return undefined;
    } catch (cause) {
      return this.#rowFailed(option, cause);
    }
  }

  #advance(sizeBytes: number): void {
    this.#lines++;
    this.#positionBytes += sizeBytes;
  }

  /** Passes over a bad line. */
  #skip(sizeBytes: number, error: ConnectError, raw: Buffer | undefined, rows: Rows): void {
    const [line, byte] = [this.#lines + 1, this.#positionBytes];
    rows.bad.push({
      stage: error.code === 'ROW_FAILED' ? 'convert' : 'read',
      raw,
      place: `${FILE}, line ${line}`,
      position: { file: FILE, line, byte },
      error,
    });
    this.#advance(sizeBytes);
  }

  #batchOf({ records, lines, bad }: Rows): SourceBatch {
    return {
      records,
      bad,
      partition: { file: FILE },
      offset: { position: this.#positionBytes, line: this.#lines },
      describe: (index) => `${FILE}, line ${lines[index]}`,
    };
  }

  get #place() {
    return { file: FILE, line: this.#lines + 1, positionBytes: this.#positionBytes };
  }

  #where(): string {
    return `${FILE}, line ${this.#lines + 1} (byte ${this.#positionBytes})`;
  }

  #tooLong(): ConnectError {
    const limitBytes = this.#options.lineBytesMax;
    const message =
      `${this.#where()}: a line of more than lineBytesMax=${limitBytes} bytes; raise that, ` +
      'unless the input is damaged';
    return new ConnectError('LINE_TOO_LONG', message, { ...this.#place, limitBytes });
  }

  #notUtf8(): ConnectError {
    const message =
      `${this.#where()}: the text is not UTF-8; ` +
      'convert it first, for example with | iconv -f WINDOWS-1252 -t UTF-8';
    return new ConnectError('NOT_UTF8', message, this.#place);
  }

  #notJson(cause: unknown): ConnectError {
    const reason = reasonOf(cause);
    const message =
      cause instanceof RangeError
        ? `${this.#where()}: ${reason}; see the option numbers`
        : `${this.#where()}: the line is not JSON: ${reason}`;
    return new ConnectError('INVALID_JSON', message, { ...this.#place, reason }, { cause });
  }

  #rowFailed(option: string, cause: unknown): ConnectError {
    const { file, line } = this.#place;
    return rowFailed({ place: `${file}, line ${line}`, file, line, option }, cause);
  }
}

function ignore(): void {
  // reported elsewhere
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
