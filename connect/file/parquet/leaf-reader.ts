import type { ChunkReader } from './column-chunk.ts';
import type { NumberReader } from './levels.ts';
import type { Page, PageColumn } from './page.ts';

/** Values that are decoded at once. */
const STEP = 4096;
/** The same for text and bytes, which may be long. */
const STEP_BYTES = 256;
/** With so much ready, rows are returned before more is decoded. */
const READY_VALUES = 64 * 1024;
const READY_BYTES = 8 * 1024 * 1024;
/** Of one row in one column. More is damaged or hostile: a few bits can repeat a value for ever. */
const ROW_VALUES_MAX = 1 << 24;
const ROW_BYTES_MAX = 512 * 1024 * 1024;

/** Levels on their way; nothing stays in it between two calls. */
const SCRATCH = new Uint8Array(STEP);

/**
 * Makes the values of one column ready for rows: a value, null or the place of an empty list each,
 * with its levels where those say more than null.
 */
export class LeafReader {
  readonly chunk: ChunkReader;
  readonly column: PageColumn;
  /** The ready values; null where the definition level is too low for one. */
  readonly values: unknown[] = [];
  /** Their levels; empty for a column of the row itself. */
  definitions: Uint8Array = new Uint8Array(0);
  repetitions: Uint8Array = new Uint8Array(0);
  /** How many are ready. */
  count = 0;
  /** For the assembly of rows: the next value. */
  at = 0;
  readonly #keepsLevels: boolean;
  readonly #step: number;
  #page: Page | undefined;
  /** The rows that begin among the ready values. The last one may go on. */
  #starts = 0;
  #isEnded = false;
  /** The size of the text and bytes among the ready values, about. */
  #readyBytes = 0;

  /** @param keepsLevels for the columns of groups and lists. */
  constructor(chunk: ChunkReader, column: PageColumn, keepsLevels: boolean) {
    this.chunk = chunk;
    this.column = column;
    this.#keepsLevels = keepsLevels;
    this.#step = column.type.endsWith('BYTE_ARRAY') ? STEP_BYTES : STEP;
  }

  /** The whole rows that are ready. */
  get readyRows(): number {
    if (this.column.repetitions === 0) return this.count;
    return this.#isEnded ? this.#starts : Math.max(0, this.#starts - 1);
  }

  /**
   * Makes up to `rows` rows ready, at least one; the row group has so many more. Returns how many
   * are; some of them may have been before.
   */
  async fill(rows: number): Promise<number> {
    while (this.readyRows < rows) {
      if (this.#isFull()) break;
      const page = this.#page;
      if (page === undefined || page.left === 0) await this.#turnPage();
      else this.#decode(page, rows);
    }
    return Math.min(rows, this.readyRows);
  }

  /** Removes the first values, which make up whole rows. */
  drop(count: number, rows: number): void {
    const left = this.count - count;
    if (left > 0) {
      this.values.copyWithin(0, count, this.count);
      this.definitions.copyWithin(0, count, this.count);
      this.repetitions.copyWithin(0, count, this.count);
    } else {
      this.#readyBytes = 0;
    }
    this.count = left;
    this.at = 0;
    this.#starts -= rows;
  }

  /** Skips whole pages of up to `rows` rows if that can be told; returns how many are left. */
  async skip(rows: number): Promise<number> {
    return this.column.repetitions === 0 ? this.chunk.skipPages(rows) : rows;
  }

  /** Checks that all values were taken, after the last row of the group. */
  close(): void {
    const isOver = this.count === 0 && (this.#page?.left ?? 0) === 0 && this.chunk.isAtEnd;
    this.chunk.close();
    if (!isOver) throw new RangeError('it has more values than the row group has rows');
  }

  #isFull(): boolean {
    if (this.count < READY_VALUES && this.#readyBytes < READY_BYTES) return false;
    if (this.readyRows > 0) return true;
    if (this.count > ROW_VALUES_MAX) {
      throw new RangeError(`a row with more than ${ROW_VALUES_MAX} values`);
    }
    if (this.#readyBytes > ROW_BYTES_MAX) {
      throw new RangeError(`a row with more than ${ROW_BYTES_MAX} bytes of values`);
    }
    return false;
  }

  async #turnPage(): Promise<void> {
    this.#page = await this.chunk.nextPage();
    if (this.#page !== undefined) return;
    // The last row of a repeated column is whole only now.
    if (this.#isEnded) throw new RangeError('it has fewer values than the row group has rows');
    this.#isEnded = true;
  }

  #decode(page: Page, rows: number): void {
    const { repetitions } = this.column;
    const wanted = repetitions === 0 ? rows - this.count : STEP;
    const step = Math.min(page.left, this.#step, wanted);
    const made = page.values.madeBytes;
    if (this.#keepsLevels) this.#makeRoom(this.count + step);
    this.#readRepetitions(page.repetitions, step);
    if (page.definitions === undefined) page.values.read(this.values, this.count, step);
    else this.#readNullable(page, page.definitions, step);
    this.count += step;
    page.left -= step;
    this.#readyBytes += page.values.madeBytes - made;
  }

  #readRepetitions(levels: NumberReader | undefined, step: number): void {
    if (levels === undefined) return;
    const { repetitions } = this;
    const end = this.count + step;
    levels.read(repetitions, this.count, step);
    const max = this.column.repetitions;
    for (let index = this.count; index < end; index++) {
      const level = repetitions[index]!;
      if (level === 0) this.#starts++;
      else if (level > max) throw new RangeError(`a repetition level of ${level} above ${max}`);
    }
  }

  /** Reads levels and values, and puts a null wherever the level is too low for a value. */
  #readNullable(page: Page, reader: NumberReader, step: number): void {
    const levels = this.#keepsLevels ? this.definitions : SCRATCH;
    const start = this.#keepsLevels ? this.count : 0;
    reader.read(levels, start, step);
    const max = this.column.definition;
    let present = 0;
    for (let index = start; index < start + step; index++) {
      const level = levels[index]!;
      if (level === max) present++;
      else if (level > max) throw new RangeError(`a definition level of ${level} above ${max}`);
    }
    const { values, count } = this;
    page.values.read(values, count, present);
    if (present === step) return;
    // Far behind the end of an array, V8 would make a hash table of it.
    for (let index = present; index < step; index++) values[count + index] = null;
    // From the end, so that no value is overwritten before it moves.
    for (let index = step - 1, from = count + present; index >= 0; index--) {
      values[count + index] = levels[start + index] === max ? values[--from] : null;
    }
  }

  #makeRoom(count: number): void {
    if (this.definitions.length >= count) return;
    const grow = (levels: Uint8Array): Uint8Array => {
      const larger = new Uint8Array(Math.max(2 * count, STEP));
      larger.set(levels);
      return larger;
    };
    this.definitions = grow(this.definitions);
    this.repetitions = grow(this.repetitions);
  }
}
