import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { ConsumerRecord, File, FileSystem } from '../../../core/index.ts';
import { assert, type ByteSpan } from '../../../core/internal.ts';
import { fileFailure } from '../failure.ts';
import { checksumText } from './manifest-file.ts';
import type { ManifestPart } from './manifest.ts';
import { OutputBuffer } from './output-buffer.ts';
import type { PartState } from './rolling.ts';
import type { PartEncoder } from './sink-format.ts';

/** What a file is called until it is whole, if it counts only then. */
export const UNFINISHED = '.tmp';

/** What identifies a part file, and how rows become its bytes. */
export interface PartPlace {
  readonly fileSystem: FileSystem;
  /** The output's. */
  readonly directory: string;
  /** In the directory, with `/` below it. */
  readonly name: string;
  readonly partition: number;
  readonly encoder: PartEncoder<unknown>;
  /** True if each commit adds to it; false if it counts only once it is finished. */
  readonly isAppendable: boolean;
  /** A row that is this object is a line whose bytes it has. */
  readonly line: ByteSpan;
  /** Compresses a piece of it; undefined to leave it as it is. */
  readonly pack: ((bytes: Buffer) => Buffer) | undefined;
}

/** A file that takes records of one partition. */
export class PartFile implements PartState {
  readonly #place: PartPlace;
  readonly #path: string;
  readonly #out: OutputBuffer;
  readonly #content: Content;
  /** Opened by the first write. */
  #file: File | undefined;
  /** The bytes written to the file, and their CRC-32. */
  #writtenBytes: number;
  #checksum: number;
  /** True from the first record after a sync until the next sync. */
  #isDirty = false;
  /** Set once, when the part is full or the input ends. */
  #isSealed = false;
  /** True once a commit has made the file's name durable. */
  isNamed: boolean;

  /** @param part what an earlier commit left; undefined for a new file. */
  constructor(place: PartPlace, nowMs: number, part?: ManifestPart) {
    this.#place = place;
    this.#path = join(place.directory, place.name);
    this.#out = new OutputBuffer(part?.contentBytes ?? part?.sizeBytes);
    this.#content = {
      firstOffset: part?.firstOffset ?? -1,
      lastOffset: part?.lastOffset ?? -1,
      records: part?.records ?? 0,
      maxTimestampMs: part?.maxTimestampMs ?? -Infinity,
      by: part?.by,
      openedMs: part?.openedMs ?? nowMs,
      usedMs: nowMs,
    };
    this.isNamed = part !== undefined;
    this.#writtenBytes = part?.sizeBytes ?? 0;
    this.#checksum = Number.parseInt(part?.crc32 ?? '0', 16);
  }

  /** Its path in the output's directory. */
  get file(): string {
    return this.#place.name;
  }

  get firstOffset(): number {
    return this.#content.firstOffset;
  }

  get lastOffset(): number {
    return this.#content.lastOffset;
  }

  get records(): number {
    return this.#content.records;
  }

  get maxTimestampMs(): number {
    return this.#content.maxTimestampMs;
  }

  get by(): string | undefined {
    return this.#content.by;
  }

  get openedMs(): number {
    return this.#content.openedMs;
  }

  get usedMs(): number {
    return this.#content.usedMs;
  }

  /** What its rows take before they are compressed, with those still in memory. */
  get sizeBytes(): number {
    return this.#out.positionBytes + (this.#place.encoder.keptBytes ?? 0);
  }

  /** Bytes in memory, for `write`. */
  get waitingBytes(): number {
    return this.#out.waitingBytes;
  }

  /** True if it holds something that no sync has covered. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  /**
   * Adds the row of a record: the line of the place, or one for the encoder.
   *
   * @throws Error what the encoder threw: the part is as before.
   */
  add(record: ConsumerRecord, row: unknown, by: string | undefined, nowMs: number): void {
    const content = this.#content;
    const { line, encoder } = this.#place;
    assert(!this.#isSealed, 'nothing is added to a sealed part');
    assert(record.offset > content.lastOffset, 'records come in the order of their offsets');
    const before = this.#out.positionBytes;
    try {
      if (row === line) this.#out.appendByteLine(line);
      else encoder.encode(row, this.#out);
    } catch (cause) {
      this.#out.truncate(before);
      throw cause;
    }
    if (content.records === 0) {
      content.firstOffset = record.offset;
      content.openedMs = nowMs;
      content.by = by;
    }
    content.lastOffset = record.offset;
    content.records++;
    if (record.timestampMs > content.maxTimestampMs) content.maxTimestampMs = record.timestampMs;
    content.usedMs = nowMs;
    this.#isDirty = true;
  }

  /** Puts what the encoder has kept into `write`'s bytes: the file may be cut behind them. */
  flush(): void {
    this.#place.encoder.flush?.(this.#out);
  }

  /**
   * Hands the bytes in memory to the operating system.
   *
   * @throws ConnectError DISK_FULL, ACCESS_DENIED, STORAGE_FAILED: part of it may be in the file,
   *   after the bytes that count.
   */
  async write(): Promise<void> {
    if (this.#out.waitingBytes === 0) return;
    const { pack, fileSystem, isAppendable } = this.#place;
    const bytes = pack === undefined ? this.#out.view() : pack(this.#out.view());
    try {
      if (this.#file === undefined) {
        const path = isAppendable ? this.#path : this.#path + UNFINISHED;
        if (this.#place.name.includes('/')) await fileSystem.makeDirectory(dirname(path));
        this.#file = await fileSystem.open(path, 'create');
      }
      await this.#file.write([bytes], this.#writtenBytes);
    } catch (cause) {
      throw fileFailure(this.#path, 'write', cause);
    }
    this.#checksum = crc32(bytes, this.#checksum);
    this.#writtenBytes += bytes.length;
    this.#out.pass();
  }

  /**
   * Makes the written bytes durable, but not the file's name. Throws as `write`; never retry it.
   */
  async sync(): Promise<void> {
    assert(this.#out.waitingBytes === 0, 'a part is written before it is synced');
    try {
      await this.#file?.sync();
    } catch (cause) {
      throw fileFailure(this.#path, 'sync', cause);
    }
    this.#isDirty = false;
  }

  /** Ends the part: all of it is durable, but not the file's name. Throws as `write`. */
  async finish(): Promise<void> {
    this.#isSealed = true;
    const { encoder, fileSystem, isAppendable } = this.#place;
    if (encoder.end === undefined) this.flush();
    else encoder.end(this.#out);
    await this.write();
    if (this.#isDirty) await this.sync();
    this.#out.release();
    try {
      await this.close();
      if (!isAppendable) await fileSystem.rename(this.#path + UNFINISHED, this.#path);
    } catch (cause) {
      throw fileFailure(this.#path, 'write', cause);
    }
  }

  /** Its entry in the manifest. */
  describe(): ManifestPart {
    assert(!this.#isDirty, 'only what is durable is committed');
    const { firstOffset, lastOffset, records, maxTimestampMs, by, openedMs } = this.#content;
    const { name: file, partition, pack } = this.#place;
    return {
      file,
      partition,
      firstOffset,
      lastOffset,
      records,
      ...(maxTimestampMs > -Infinity && { maxTimestampMs }),
      sizeBytes: this.#writtenBytes,
      ...(pack !== undefined && { contentBytes: this.#out.positionBytes }),
      crc32: checksumText(this.#checksum),
      isSealed: this.#isSealed,
      ...(!this.#isSealed && { openedMs }),
      ...(!this.#isSealed && by !== undefined && { by }),
    };
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

/** What its records add up to. Offsets are -1, and times meaningless, before the first one. */
interface Content {
  firstOffset: number;
  lastOffset: number;
  records: number;
  maxTimestampMs: number;
  by: string | undefined;
  openedMs: number;
  usedMs: number;
}
