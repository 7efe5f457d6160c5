import { crc32 } from 'node:zlib';
import { unpack, UNPACKED_BYTES_MAX } from './compression.ts';
import { FileWindow, type PageSource } from './file-window.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { ColumnChunk } from './metadata.ts';
import { openPage, type Page, type PageColumn } from './page.ts';
import { readPageHeader, type PageHeader } from './page-header.ts';
import { plainBytesMin, plainReader } from './plain.ts';

/** Most headers take 30 bytes; those with the least and greatest text of a page take more. */
const HEADER_BYTES = 1024;
const HEADER_BYTES_MAX = 16 * 1024 * 1024;
/** Writers give up long before. */
const DICTIONARY_VALUES_MAX = 1 << 24;
/** An entry takes a place in the array, and often an object. */
const DICTIONARY_ENTRY_BYTES = 32;

/** Reads the pages of one column in one row group, one at a time. */
export class ChunkReader {
  /** Where its first page begins in the file. */
  readonly startPosition: number;
  readonly #window: FileWindow;
  readonly #memory: MemoryBudget;
  readonly #column: PageColumn;
  /** Values in the pages that were not returned yet. */
  #valuesLeft: number;
  /** The header of the next page, once it was read; the window begins behind it. */
  #header: PageHeader | undefined;
  #dictionary: readonly unknown[] | undefined;
  /** The memory that counts as taken for the dictionary, and for the current page. */
  #dictionaryBytes = 0;
  #pageBytes = 0;
  /** Where the current page begins in the file; for messages. */
  #pagePosition: number;

  constructor(source: PageSource, chunk: ColumnChunk, column: PageColumn) {
    const { position, sizeBytes, valueCount } = chunk;
    this.startPosition = position;
    this.#window = new FileWindow(source, position, position + sizeBytes);
    this.#memory = source.memory;
    this.#column = column;
    this.#valuesLeft = valueCount;
    this.#pagePosition = position;
  }

  /** Where the page that was returned last begins in the file. */
  get pagePosition(): number {
    return this.#pagePosition;
  }

  /** True if all its values were returned. */
  get isAtEnd(): boolean {
    return this.#valuesLeft === 0;
  }

  /** Returns the next data page; undefined at the end. The one before must not be used any more. */
  async nextPage(): Promise<Page | undefined> {
    if (this.#valuesLeft === 0) {
      this.close();
      return undefined;
    }
    const header = await this.#nextDataHeader();
    const bytes = await this.#takePage(header);
    this.#pageBytes = this.#hold(header.unpackedBytes, this.#pageBytes);
    const page = openPage(bytes, header, this.#column, this.#dictionary);
    this.#valuesLeft -= header.valueCount;
    return page;
  }

  /**
   * Skips whole pages of up to `count` values, without unpacking them; returns how many of them are
   * still to be skipped.
   */
  async skipPages(count: number): Promise<number> {
    while (this.#valuesLeft > 0) {
      const header = await this.#nextDataHeader();
      if (header.valueCount > count) break;
      this.#header = undefined;
      this.#window.skip(header.sizeBytes);
      this.#valuesLeft -= header.valueCount;
      count -= header.valueCount;
    }
    return count;
  }

  /** Gives its memory back. */
  close(): void {
    this.#dictionary = undefined;
    this.#window.close();
    this.#pageBytes = this.#hold(0, this.#pageBytes);
    this.#dictionaryBytes = this.#hold(0, this.#dictionaryBytes);
  }

  /** Counts memory as taken, in the place of what was taken `before`. */
  #hold(sizeBytes: number, before: number): number {
    this.#memory.replace(before, sizeBytes);
    return sizeBytes;
  }

  /** Moves to the next data page, over indexes, and reads the dictionary on the way. */
  async #nextDataHeader(): Promise<PageHeader> {
    for (;;) {
      this.#header ??= await this.#readHeader();
      const header = this.#header;
      switch (header.type) {
        case 'data':
        case 'data-v2':
          if (header.valueCount > this.#valuesLeft) {
            throw new RangeError('its pages have more values than the footer says');
          }
          return header;
        case 'dictionary':
          await this.#readDictionary(header);
          break;
        case 'index':
          this.#header = undefined;
          this.#window.skip(header.sizeBytes);
      }
    }
  }

  async #readHeader(): Promise<PageHeader> {
    this.#pagePosition = this.#window.position;
    for (let sizeBytes = HEADER_BYTES; ; sizeBytes *= 8) {
      const { left } = this.#window;
      if (left === 0) throw new RangeError('it has fewer values than the footer says');
      const header = readPageHeader(await this.#window.load(Math.min(sizeBytes, left)));
      if (header !== undefined) {
        this.#window.skip(header.headerBytes);
        this.#checkSizes(header);
        return header;
      }
      if (sizeBytes >= left || sizeBytes >= HEADER_BYTES_MAX) {
        throw new RangeError('the header of a page does not end');
      }
    }
  }

  #checkSizes({ sizeBytes, unpackedBytes }: PageHeader): void {
    if (sizeBytes > this.#window.left) {
      throw new RangeError(`a page of ${sizeBytes} bytes reaches beyond its column`);
    }
    const largest = Math.max(sizeBytes, unpackedBytes);
    if (largest <= UNPACKED_BYTES_MAX) return;
    throw new RangeError(`a page of ${largest} bytes, more than ${UNPACKED_BYTES_MAX}`);
  }

  async #readDictionary(header: PageHeader): Promise<void> {
    if (this.#dictionary !== undefined) throw new RangeError('a second dictionary');
    const { valueCount, encoding } = header;
    if (encoding !== 'PLAIN' && encoding !== 'PLAIN_DICTIONARY') {
      throw new RangeError(`a dictionary that is encoded as ${encoding}`);
    }
    if (valueCount > DICTIONARY_VALUES_MAX) {
      throw new RangeError(`a dictionary of ${valueCount} values`);
    }
    const packed = await this.#takePage(header);
    // Old writers left this header out of the size of the chunk (PARQUET-816).
    this.#window.extend(header.headerBytes);
    const held = header.unpackedBytes + valueCount * DICTIONARY_ENTRY_BYTES;
    this.#dictionaryBytes = this.#hold(held, this.#dictionaryBytes);
    const bytes = unpack(this.#column.codec, packed, header.unpackedBytes);
    if (valueCount * plainBytesMin(this.#column) > bytes.length) {
      throw new RangeError(`a dictionary of ${valueCount} values in ${bytes.length} bytes`);
    }
    const dictionary: unknown[] = [];
    plainReader(bytes, this.#column).read(dictionary, 0, valueCount);
    this.#dictionary = dictionary;
  }

  /** Takes the bytes of the page whose header was read. */
  async #takePage(header: PageHeader): Promise<Buffer> {
    const bytes = (await this.#window.load(header.sizeBytes)).subarray(0, header.sizeBytes);
    this.#window.skip(header.sizeBytes);
    this.#header = undefined;
    // Not every writer computes it.
    if (header.crc !== undefined && header.crc !== crc32(bytes)) {
      throw new RangeError('the checksum of a page is wrong');
    }
    return bytes;
  }
}
