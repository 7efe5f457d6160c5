import type { ConsumerRecord, FileSystem } from '../../core/index.ts';
import { assert } from '../../core/internal.ts';
import type { SinkContext, SinkOffset, SinkTask } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { fileFailure } from './failure.ts';
import type { RowEncoder } from './format.ts';
import { writeManifest, type Manifest, type ManifestPart } from './manifest.ts';
import { partName, type OpenOutput } from './output-directory.ts';
import { PartFile } from './part-file.ts';

export interface FileSinkTaskOptions {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly partBytes: number;
  readonly extension: string;
  readonly encoder: RowEncoder<unknown>;
  readonly value: (record: ConsumerRecord) => unknown;
  readonly output: OpenOutput;
  readonly context: SinkContext;
}

/** Lines in memory go to the file when there are this many bytes. */
const WAITING_BYTES_MAX = 1024 * 1024;

/** The parts of one partition. */
interface PartitionParts {
  /** Sealed and committed: never changed again. */
  readonly committed: ManifestPart[];
  /** Sealed since the last commit. */
  sealed: PartFile[];
  /** The part that takes records; undefined until the next record comes. */
  open: PartFile | undefined;
}

/** Writes the part files of one directory and commits them. */
export class FileSinkTask implements SinkTask {
  readonly committedOffsets: readonly SinkOffset[];
  readonly #options: FileSinkTaskOptions;
  readonly #partitions = new Map<number, PartitionParts>();
  /** As the directory has it; replaced by each commit. */
  #manifest: Manifest;
  /** Set if a part file was started since the last commit: its name must be made durable. */
  #hasNewNames = false;
  /** Set by a failure: nothing more is written, and the next start recovers the directory. */
  #hasFailed = false;

  constructor(options: FileSinkTaskOptions) {
    this.#options = options;
    this.#manifest = options.output.manifest;
    const { name: topic } = this.#manifest.topic;
    this.committedOffsets = Object.entries(this.#manifest.offsets).map(([partition, offset]) => {
      return { topic, partition: Number(partition), offset };
    });
    for (const part of this.#manifest.parts) {
      const parts = this.#partsOf(part.partition);
      if (part.isSealed) parts.committed.push(part);
      else parts.open = this.#partFile(part.partition, part.file, part);
    }
  }

  async put(records: readonly ConsumerRecord[]): Promise<void> {
    assert(!this.#hasFailed, 'nothing is put after a failure');
    try {
      for (const record of records) this.#add(record);
      for (const { sealed, open } of this.#partitions.values()) {
        for (const part of sealed) await part.write();
        if (open !== undefined && open.waitingBytes >= WAITING_BYTES_MAX) await open.write();
      }
    } catch (cause) {
      this.#hasFailed = true;
      throw cause;
    }
  }

  /**
   * Commits [CONNECT-FILES-1]. A crash before step 4 leaves bytes and files that the old manifest
   * does not cover: the next start removes them and reads the records again. A crash after it
   * leaves nothing to do.
   */
  async commit(
    offsets: readonly SinkOffset[],
    { isFinal }: { readonly isFinal: boolean },
  ): Promise<void> {
    assert(!this.#hasFailed, 'nothing is committed after a failure');
    if (this.#isCommitted(offsets, isFinal)) return;
    const { fileSystem, directory, context } = this.#options;
    const { onStep } = context;
    try {
      if (isFinal) for (const parts of this.#partitions.values()) seal(parts);
      const dirty = [...this.#partitions.values()].flatMap(dirtyParts);

      onStep('file-1-write');
      for (const part of dirty) await part.write();

      onStep('file-2-sync');
      await Promise.all(dirty.map((part) => part.sync()));

      // A manifest must not name a file that a power cut can remove.
      onStep('file-3-names');
      if (this.#hasNewNames) await this.#syncNames();

      // The commit point: bytes and offsets change together.
      onStep('file-4-manifest');
      const manifest = this.#nextManifest(offsets, isFinal);
      await writeManifest(fileSystem, directory, manifest);

      onStep('file-5-committed');
      this.#manifest = manifest;
      this.#hasNewNames = false;
      for (const parts of this.#partitions.values()) await this.#closeSealed(parts);
    } catch (cause) {
      this.#hasFailed = true;
      throw cause;
    }
  }

  async close(): Promise<void> {
    const files = [...this.#partitions.values()].flatMap(({ sealed, open }) => {
      return open === undefined ? sealed : [...sealed, open];
    });
    const closed = await Promise.allSettled(files.map((file) => file.close()));
    await this.#options.output.unlock();
    const failed = closed.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #add(record: ConsumerRecord): void {
    const { encoder, partBytes, value } = this.#options;
    let line: string;
    try {
      const row = value(record);
      if (row === undefined) return;
      line = encoder.encode(row);
    } catch (cause) {
      throw unwritable(record, cause);
    }
    const { partition, offset } = record;
    const parts = this.#partsOf(partition);
    if (parts.open !== undefined && parts.open.sizeBytes >= partBytes) seal(parts);
    if (parts.open === undefined) {
      const number = parts.committed.length + parts.sealed.length;
      const { extension } = this.#options;
      parts.open = this.#partFile(partition, partName(partition, number, extension));
      this.#hasNewNames = true;
      if (encoder.header !== undefined) parts.open.addHeader(encoder.header);
    }
    parts.open.addRecord(line, offset);
  }

  #isCommitted(offsets: readonly SinkOffset[], isFinal: boolean): boolean {
    const known = this.#manifest.offsets;
    const isMoved = offsets.some(({ partition, offset }) => known[partition] !== offset);
    return !isMoved && (this.#manifest.complete || !isFinal);
  }

  #nextManifest(offsets: readonly SinkOffset[], isFinal: boolean): Manifest {
    const { columns } = this.#options.encoder;
    const moved = offsets.map(({ partition, offset }) => [partition, offset] as const);
    const partitions = [...this.#partitions].sort(([a], [b]) => a - b);
    const parts = partitions.flatMap(([, { committed, sealed, open }]) => {
      const files = open === undefined ? sealed : [...sealed, open];
      return [...committed, ...files.map((part) => part.describe())];
    });
    return {
      ...this.#manifest,
      ...(columns !== undefined && { columns }),
      complete: isFinal,
      offsets: { ...this.#manifest.offsets, ...Object.fromEntries(moved) },
      parts,
    };
  }

  async #syncNames(): Promise<void> {
    const { fileSystem, directory } = this.#options;
    try {
      await fileSystem.syncDirectory(directory);
    } catch (cause) {
      throw fileFailure(directory, 'sync', cause);
    }
  }

  /** Closes the sealed parts, which are now committed. */
  async #closeSealed(parts: PartitionParts): Promise<void> {
    const { sealed } = parts;
    parts.sealed = [];
    for (const part of sealed) {
      parts.committed.push(part.describe());
      await part.close();
    }
  }

  #partsOf(partition: number): PartitionParts {
    let parts = this.#partitions.get(partition);
    if (parts === undefined) {
      parts = { committed: [], sealed: [], open: undefined };
      this.#partitions.set(partition, parts);
    }
    return parts;
  }

  #partFile(partition: number, name: string, part?: ManifestPart): PartFile {
    const { fileSystem, directory } = this.#options;
    return new PartFile({ fileSystem, directory, name, partition }, part);
  }
}

function seal(parts: PartitionParts): void {
  if (parts.open === undefined) return;
  parts.open.seal();
  parts.sealed.push(parts.open);
  parts.open = undefined;
}

function dirtyParts({ sealed, open }: PartitionParts): PartFile[] {
  return [...sealed, ...(open === undefined ? [] : [open])].filter(({ isDirty }) => isDirty);
}

function unwritable(record: ConsumerRecord, cause: unknown): ConnectError {
  const { topic, partition, offset } = record;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const place = `the record at offset ${offset} of ${topic}-${partition}`;
  const message = `${place} cannot be written: ${reason}`;
  const details = { topic, partition, offset, reason };
  return new ConnectError('ROW_UNWRITABLE', message, details, { cause });
}
