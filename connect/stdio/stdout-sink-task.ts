import type { Writable } from 'node:stream';
import type { ConsumerRecord } from '../../core/index.ts';
import type { SinkContext, SinkTask } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { fileFailure } from '../file/failure.ts';
import { OutputBuffer } from '../file/sink/output-buffer.ts';
import type { PartEncoder } from '../file/sink/sink-format.ts';
import { unwritable } from '../unwritable.ts';

export interface StdoutSinkTaskOptions<Row> {
  readonly output: Writable;
  readonly part: PartEncoder<Row>;
  readonly value: (record: ConsumerRecord) => Row | undefined;
  readonly reject: SinkContext['reject'];
}

/** Writes lines to a stream, no faster than it takes them. */
export class StdoutSinkTask<Row> implements SinkTask {
  readonly committedOffsets: undefined = undefined;
  readonly #options: StdoutSinkTaskOptions<Row>;
  readonly #buffer = new OutputBuffer();
  /** Writes whose callback has not come yet. */
  #pendingWrites = 0;
  /** Set by the first failure of the stream: nothing is written after it. */
  #failure: Error | undefined;
  /** Calls of those who wait for room; called when there is some, or by a failure. */
  #wake: (() => void) | undefined;
  readonly #onError = (cause: unknown): void => {
    this.#failure ??= outputFailure(cause);
    this.#wake?.();
  };
  readonly #onClose = (): void => this.#onError({ code: 'EPIPE', message: 'it was closed' });

  constructor(options: StdoutSinkTaskOptions<Row>) {
    this.#options = options;
    const { output } = options;
    output.on('error', this.#onError); // without a listener it would end the process
    output.on('close', this.#onClose);
    if (output.destroyed || output.writableEnded) this.#onClose();
  }

  async put(records: readonly ConsumerRecord[]): Promise<void> {
    for (const record of records) this.#encode(record);
    if (!this.#write()) await this.#room();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits until the stream has passed on everything. */
  async commit(_: unknown, { isFinal }: { readonly isFinal: boolean }): Promise<void> {
    const { part } = this.#options;
    if (isFinal && part.end !== undefined) part.end(this.#buffer);
    else part.flush?.(this.#buffer);
    this.#write();
    while (this.#pendingWrites > 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    const { output } = this.#options;
    output.off('close', this.#onClose);
    // A stream that has failed, or still holds something, may report it later: that must not end
    // the process.
    const isDone = this.#pendingWrites === 0 && this.#failure === undefined;
    if (isDone) output.off('error', this.#onError);
  }

  #encode(record: ConsumerRecord): void {
    const { value, part, reject } = this.#options;
    const { positionBytes } = this.#buffer;
    try {
      const row = value(record);
      if (row !== undefined) part.encode(row, this.#buffer);
    } catch (cause) {
      this.#buffer.truncate(positionBytes);
      reject(record, unwritable(record, cause));
    }
  }

  /** Passes the buffer on. Returns false if the stream wants no more for now. */
  #write(): boolean {
    if (this.#buffer.waitingBytes === 0 || this.#failure !== undefined) return true;
    const bytes = Buffer.from(this.#buffer.view());
    this.#buffer.pass();
    this.#pendingWrites++;
    return this.#options.output.write(bytes, (error) => {
      this.#pendingWrites--;
      if (error !== null && error !== undefined) this.#onError(error);
      if (this.#pendingWrites === 0) this.#wake?.();
    });
  }

  /** Resolves when the stream has room, or has failed. */
  async #room(): Promise<void> {
    const { output } = this.#options;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      output.once('drain', resolve);
      if (this.#failure !== undefined || !output.writableNeedDrain) resolve();
    });
  }
}

function outputFailure(cause: unknown): Error {
  if ((cause as NodeJS.ErrnoException).code !== 'EPIPE') {
    return fileFailure('stdout', 'write', cause);
  }
  const message =
    'stdout is closed: its reader has gone; ' +
    'run the sink again: it prints what was not committed, some of it perhaps once more';
  return new ConnectError('OUTPUT_CLOSED', message, { output: 'stdout' }, { cause });
}
