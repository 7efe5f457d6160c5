import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { File, FileSystem } from '../../core/index.ts';
import { assert } from '../../core/internal.ts';
import { fileFailure } from './failure.ts';
import { LineBuffer } from './line-buffer.ts';
import type { ManifestPart } from './manifest.ts';

/** What identifies a part file. */
export interface PartPlace {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** In the directory. */
  readonly name: string;
  readonly partition: number;
}

/** A file that takes the records of one partition. */
export class PartFile {
  readonly #place: PartPlace;
  readonly #path: string;
  readonly #lines = new LineBuffer();
  /** Opened by the first write. */
  #file: File | undefined;
  /** The range and number of its records; offsets are -1 before the first one. */
  #firstOffset: number;
  #lastOffset: number;
  #records: number;
  /** The bytes written to the file, and their CRC-32. */
  #writtenBytes: number;
  #checksum: number;
  /** True from the first record after a sync until the next sync. */
  #isDirty = false;
  /** Set once, when the part is full or the input ends. */
  #isSealed = false;

  /** @param part what an earlier run left; undefined for a new file. */
  constructor(place: PartPlace, part?: ManifestPart) {
    this.#place = place;
    this.#path = join(place.directory, place.name);
    this.#firstOffset = part?.firstOffset ?? -1;
    this.#lastOffset = part?.lastOffset ?? -1;
    this.#records = part?.records ?? 0;
    this.#writtenBytes = part?.sizeBytes ?? 0;
    this.#checksum = Number.parseInt(part?.crc32 ?? '0', 16);
  }

  /** Includes the bytes still in memory. */
  get sizeBytes(): number {
    return this.#writtenBytes + this.#lines.sizeBytes;
  }

  /** Bytes in memory, for `write`. */
  get waitingBytes(): number {
    return this.#lines.sizeBytes;
  }

  /** True if it holds something that no sync has covered. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  /** Marks the part as finished. */
  seal(): void {
    this.#isSealed = true;
  }

  /** Adds a line that is not a record. */
  addHeader(line: string): void {
    assert(this.sizeBytes === 0, 'a header stands at the start of a file');
    this.#lines.append(line);
  }

  /** Adds the line of the record at `offset`. */
  addRecord(line: string, offset: number): void {
    assert(!this.#isSealed, 'nothing is added to a sealed part');
    assert(offset > this.#lastOffset, 'the records of a part are in the order of their offsets');
    this.#lines.append(line);
    if (this.#records === 0) this.#firstOffset = offset;
    this.#lastOffset = offset;
    this.#records++;
    this.#isDirty = true;
  }

  /**
   * Hands the bytes in memory to the operating system.
   *
   * @throws ConnectError DISK_FULL, ACCESS_DENIED, STORAGE_FAILED: part of it may be in the file,
   *   after the bytes that count.
   */
  async write(): Promise<void> {
    const { sizeBytes } = this.#lines;
    if (sizeBytes === 0) return;
    const buffers = this.#lines.take();
    try {
      this.#file ??= await this.#place.fileSystem.open(this.#path, 'create');
      await this.#file.write(buffers, this.#writtenBytes);
    } catch (cause) {
      throw fileFailure(this.#path, 'write', cause);
    }
    for (const buffer of buffers) this.#checksum = crc32(buffer, this.#checksum);
    this.#writtenBytes += sizeBytes;
  }

  /**
   * Makes the written bytes durable, but not the file's name. Throws as `write`; never retry it.
   */
  async sync(): Promise<void> {
    assert(this.#lines.sizeBytes === 0, 'a part is written before it is synced');
    try {
      await this.#file?.sync();
    } catch (cause) {
      throw fileFailure(this.#path, 'sync', cause);
    }
    this.#isDirty = false;
  }

  /** Its entry in the manifest. */
  describe(): ManifestPart {
    assert(!this.#isDirty, 'only what is durable is committed');
    return {
      file: this.#place.name,
      partition: this.#place.partition,
      firstOffset: this.#firstOffset,
      lastOffset: this.#lastOffset,
      records: this.#records,
      sizeBytes: this.#writtenBytes,
      crc32: this.#checksum.toString(16).padStart(8, '0'),
      isSealed: this.#isSealed,
    };
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
