import { present } from '../../../core/internal.ts';
import type { RowReader } from '../format.ts';
import type { FileToRead } from './followed-files.ts';

/** How many files are opened before it is their turn: opening is mostly waiting. */
const AHEAD = 8;
/** Larger files are opened when it is their turn: there the waiting does not matter. */
const SMALL_BYTES = 1024 * 1024;

/** The files to read, one after the other: the next are opened ahead, the last closed behind. */
export class OpenAhead<Row> {
  readonly #open: (file: FileToRead) => Promise<RowReader<Row> | undefined>;
  #files: readonly FileToRead[] = [];
  /** The current one. */
  #index = 0;
  /** By index. */
  readonly #opening = new Map<number, Promise<RowReader<Row> | undefined>>();
  /** Those that are being closed; none of them rejects. */
  readonly #closing = new Set<Promise<void>>();
  /** The first failure of closing one. */
  #failure: { readonly cause: unknown } | undefined;

  constructor(open: (file: FileToRead) => Promise<RowReader<Row> | undefined>) {
    this.#open = open;
  }

  /** The file whose turn it is; undefined behind the last one. */
  get current(): FileToRead | undefined {
    return this.#files[this.#index];
  }

  /** Begins with other files, when all were read. */
  plan(files: readonly FileToRead[]): void {
    this.#files = files;
    this.#index = 0;
  }

  /** The reader of the current file: call it once for each. @throws what opening it throws. */
  take(): Promise<RowReader<Row> | undefined> {
    const end = Math.min(this.#index + AHEAD, this.#files.length);
    for (let index = this.#index; index < end; index++) {
      const file = this.#files[index]!;
      if (index > this.#index && file.file.sizeBytes > SMALL_BYTES) break;
      if (this.#opening.has(index)) continue;
      const opening = this.#open(file);
      opening.catch(() => undefined); // its turn comes, or the run has ended before
      this.#opening.set(index, opening);
    }
    const opening = present(this.#opening.get(this.#index), 'the current file is being opened');
    this.#opening.delete(this.#index);
    return opening;
  }

  /** Goes on to the next file. */
  advance(): void {
    this.#index++;
  }

  /**
   * Closes a reader while the next files are read, or waits if too many are being closed.
   *
   * @throws Error what closing an earlier one has thrown.
   */
  async release(reader: RowReader<Row>): Promise<void> {
    const closing: Promise<void> = reader
      .close()
      .catch((cause: unknown) => void (this.#failure ??= { cause }))
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    if (this.#closing.size > AHEAD) await this.settle();
  }

  /** Resolves when all that were released are closed. @throws Error what closing one has thrown. */
  async settle(): Promise<void> {
    await Promise.all(this.#closing);
    if (this.#failure !== undefined) throw this.#failure.cause;
  }

  /** Closes what was opened ahead. @throws as `settle`. */
  async close(): Promise<void> {
    for (const opening of this.#opening.values()) {
      const reader = await opening.catch(() => undefined);
      if (reader !== undefined) await this.release(reader);
    }
    await this.settle();
  }
}
