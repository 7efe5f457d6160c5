import { join, posix } from 'node:path';
import type { ConsumerRecord, FileSystem } from '../../../core/index.ts';
import type { ByteSpan } from '../../../core/internal.ts';
import type { Layout } from './layout.ts';
import { PART_NAME, type ManifestPart } from './manifest.ts';
import { PartFile } from './part-file.ts';
import { byOf, dueMs, isFull, type RollPolicy } from './rolling.ts';
import type { RowEncoder } from './sink-format.ts';

/** What the parts of all partitions have in common. */
export interface PartSettings {
  readonly fileSystem: FileSystem;
  /** The output's. */
  readonly directory: string;
  readonly extension: string;
  readonly encoder: RowEncoder<unknown>;
  readonly isAppendable: boolean;
  /** As in `PartPlace`. */
  readonly line: ByteSpan;
  readonly pack: ((bytes: Buffer) => Buffer) | undefined;
  readonly policy: RollPolicy;
  readonly layout: Layout | undefined;
  /** How many parts of one partition may be open. */
  readonly openPartsMax: number;
}

/** Rows in memory go to the file when they take this many bytes: a piece for the compression. */
const WAITING_BYTES_MAX = 256 * 1024;
/** How many files are finished at the same time. */
const FINISHED_TOGETHER = 16;

/** The parts of one partition. Each record goes into one, in the order of their offsets. */
export class PartitionParts {
  readonly #settings: PartSettings;
  readonly #partition: number;
  /** Sealed and committed: never changed again. */
  readonly #committed: ManifestPart[] = [];
  /** Those that take records, by directory; the one that was used last is the last. */
  readonly #open = new Map<string, PartFile>();
  /** Sealed, but not at their end in the file yet. */
  readonly #full: PartFile[] = [];
  /** At their end and durable, but for their names; the next commit has them. */
  #finished: PartFile[] = [];
  #nextNumber = 0;
  /** The directory of the last record. */
  #lastDirectory = '';

  constructor(settings: PartSettings, partition: number) {
    this.#settings = settings;
    this.#partition = partition;
  }

  /**
   * Takes over a part of the last commit.
   *
   * @param isContinued false if nothing may be added to it.
   */
  restore(part: ManifestPart, isContinued: boolean, nowMs: number): void {
    const { file, isSealed } = part;
    const number = Number(PART_NAME.exec(posix.basename(file))![2]);
    this.#nextNumber = Math.max(this.#nextNumber, number + 1);
    if (!isSealed && isContinued) {
      const directory = posix.dirname(file);
      this.#open.set(directory === '.' ? '' : directory, this.#partFile(file, nowMs, part));
    } else {
      this.#committed.push({ ...part, isSealed: true, openedMs: undefined, by: undefined });
    }
  }

  /**
   * Adds the row of a record.
   *
   * @throws Error what the encoder, the layout or `partBy` threw: no part holds the record.
   */
  add(record: ConsumerRecord, row: unknown, nowMs: number): void {
    const { policy, layout } = this.#settings;
    const directory = layout === undefined ? '' : layout.directoryOf(record, row);
    const by = byOf(policy, record);
    let part = this.#open.get(directory);
    if (part !== undefined && isFull(policy, part, record.timestampMs, by)) {
      this.#seal(directory, part);
      part = undefined;
    }
    if (part === undefined) part = this.#begin(directory, nowMs);
    else if (directory !== this.#lastDirectory) {
      this.#open.delete(directory);
      this.#open.set(directory, part);
    }
    this.#lastDirectory = directory;
    part.add(record, row, by, nowMs);
  }

  /** When a part has to be ended, by the clock; `Infinity` for never. */
  dueMs(): number {
    let due = Infinity;
    for (const part of this.#open.values()) due = Math.min(due, dueMs(this.#settings.policy, part));
    return due;
  }

  /** Records of parts that count only when they are full: a commit does not cover these. */
  get heldRecords(): number {
    if (this.#settings.isAppendable) return 0;
    let held = 0;
    for (const { records } of this.#open.values()) held += records;
    return held;
  }

  /** Ends the parts whose time has come, or all of them. */
  sealDue(nowMs: number, isAll: boolean): void {
    const { policy } = this.#settings;
    for (const [directory, part] of this.#open) {
      if (isAll || dueMs(policy, part) <= nowMs) this.#seal(directory, part);
    }
  }

  /**
   * Decides how far a commit reaches: returns the next offset to read. Everything before it is in
   * parts that will be committed, and nothing behind it.
   *
   * Parts that cannot be committed before they are full hold the offset back. If a part that is
   * full overlaps with one of them, that one is ended too: the layout has them side by side.
   *
   * @param position the next offset to read if all that was added is committed.
   */
  settle(position: number): number {
    if (this.#settings.isAppendable) return position;
    let held = Infinity;
    for (const { records, firstOffset } of this.#open.values()) {
      if (records > 0) held = Math.min(held, firstOffset);
    }
    if (held === Infinity) return position;
    if ([...this.#full, ...this.#finished].every(({ lastOffset }) => lastOffset < held))
      return held;
    this.sealDue(0, true);
    return position;
  }

  /** True if a commit would change the parts. */
  get isChanged(): boolean {
    if (this.#full.length > 0 || this.#finished.length > 0) return true;
    return this.#committable().some(({ isDirty }) => isDirty);
  }

  /** Writes what is full, and of the rest what takes much memory. Throws as `PartFile.write`. */
  async write(): Promise<void> {
    if (this.#full.length > 0) await this.#finishFull();
    for (const part of this.#open.values()) {
      if (part.waitingBytes >= WAITING_BYTES_MAX) await part.write();
    }
  }

  /** Writes everything that the next commit covers. Throws as `PartFile.write`. */
  async writeAll(): Promise<void> {
    await this.#finishFull();
    for (const part of this.#committable()) {
      part.flush();
      await part.write();
    }
  }

  /** Makes what was written durable, but for the names. Throws as `PartFile.sync`. */
  async sync(): Promise<void> {
    const dirty = this.#committable().filter(({ isDirty }) => isDirty);
    await Promise.all(dirty.map((part) => part.sync()));
  }

  /** The directories in which the next commit names a file for the first time. */
  newNames(): string[] {
    const files = [...this.#finished, ...this.#committable()].filter(({ isNamed }) => !isNamed);
    return files.flatMap(({ file }) => directoriesOf(this.#settings.directory, file));
  }

  /** The entries for the manifest. */
  describe(): ManifestPart[] {
    const parts = [...this.#finished, ...this.#committable()];
    return [...this.#committed, ...parts.map((part) => part.describe())];
  }

  /** The manifest has what `describe` returned. */
  committed(): void {
    for (const part of this.#finished) this.#committed.push(part.describe());
    this.#finished = [];
    for (const part of this.#committable()) part.isNamed = true;
  }

  /** Closes the files as they are. */
  async close(): Promise<void> {
    const closed = await Promise.allSettled(
      [...this.#full, ...this.#open.values()].map((part) => part.close()),
    );
    const failed = closed.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** The open parts that a commit names as they are. */
  #committable(): PartFile[] {
    if (!this.#settings.isAppendable) return [];
    return [...this.#open.values()].filter(({ records }) => records > 0);
  }

  #begin(directory: string, nowMs: number): PartFile {
    const { openPartsMax, extension } = this.#settings;
    if (this.#open.size >= openPartsMax) {
      const [oldest] = this.#open;
      this.#seal(...oldest!);
    }
    const number = String(this.#nextNumber++).padStart(5, '0');
    const name = `part-${this.#partition}-${number}.${extension}`;
    const part = this.#partFile(directory === '' ? name : `${directory}/${name}`, nowMs);
    this.#open.set(directory, part);
    return part;
  }

  #seal(directory: string, part: PartFile): void {
    this.#open.delete(directory);
    if (part.records > 0) this.#full.push(part);
  }

  async #finishFull(): Promise<void> {
    while (this.#full.length > 0) {
      const parts = this.#full.slice(0, FINISHED_TOGETHER);
      await Promise.all(parts.map((part) => part.finish()));
      this.#full.splice(0, parts.length);
      this.#finished.push(...parts);
    }
  }

  #partFile(name: string, nowMs: number, part?: ManifestPart): PartFile {
    const { fileSystem, directory, encoder, isAppendable, line, pack } = this.#settings;
    const place = { fileSystem, directory, name, partition: this.#partition, isAppendable, line };
    return new PartFile({ ...place, pack, encoder: encoder.part(name) }, nowMs, part);
  }
}

/** The directories on the way to a file, from the output's on. */
function directoriesOf(directory: string, file: string): string[] {
  const levels = file.split('/').slice(0, -1);
  return [directory, ...levels.map((_, index) => join(directory, ...levels.slice(0, index + 1)))];
}
