import type { ConsumerRecord } from '../../../core/index.ts';
import { assert, locateValue } from '../../../core/internal.ts';
import type { SinkContext, SinkOffset, SinkTask } from '../../connector.ts';
import { unwritable } from '../../unwritable.ts';
import { fileFailure } from '../failure.ts';
import { writeManifest } from './manifest-file.ts';
import type { Manifest } from './manifest.ts';
import type { OpenOutput } from './output-directory.ts';
import { PartitionParts, type PartSettings } from './partition-parts.ts';

export interface FileSinkTaskOptions {
  readonly parts: PartSettings;
  readonly value: (record: ConsumerRecord) => unknown;
  /** True if rows are the values as the topic has them, so that their bytes may be lines. */
  readonly isCarried: boolean;
  readonly output: OpenOutput;
  readonly context: SinkContext;
}

/** Writes the part files of one directory and commits them. */
export class FileSinkTask implements SinkTask {
  readonly committedOffsets: readonly SinkOffset[];
  readonly #options: FileSinkTaskOptions;
  readonly #partitions = new Map<number, PartitionParts>();
  /** As the directory has it; replaced by each commit. */
  #manifest: Manifest;
  /** Set by a failure: nothing more is written, and the next start recovers the directory. */
  #hasFailed = false;

  constructor(options: FileSinkTaskOptions) {
    this.#options = options;
    const { parts, output, context } = options;
    this.#manifest = output.manifest;
    const { settings } = this.#manifest;
    this.committedOffsets = offsetsIn(this.#manifest);
    const isContinued = parts.isAppendable && settings === parts.encoder.settings;
    const nowMs = context.clock.nowMs();
    for (const part of this.#manifest.parts) {
      this.#partsOf(part.partition).restore(part, isContinued, nowMs);
    }
  }

  /** As the manifest has it: parts that are whole or nothing are not in it before their ends. */
  get durableOffsets(): readonly SinkOffset[] {
    return offsetsIn(this.#manifest);
  }

  get dueMs(): number | undefined {
    let due = Infinity;
    for (const parts of this.#partitions.values()) due = Math.min(due, parts.dueMs());
    return due === Infinity ? undefined : due;
  }

  get heldRecords(): number {
    let held = 0;
    for (const parts of this.#partitions.values()) held += parts.heldRecords;
    return held;
  }

  async put(records: readonly ConsumerRecord[]): Promise<void> {
    assert(!this.#hasFailed, 'nothing is put after a failure');
    const nowMs = this.#options.context.clock.nowMs();
    try {
      for (const record of records) this.#add(record, nowMs);
      for (const parts of this.#partitions.values()) await parts.write();
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
    const { parts: settings, context } = this.#options;
    const { fileSystem, directory } = settings;
    const { onStep, signal } = context;
    const all = [...this.#partitions.values()];
    try {
      // Parts that are not whole yet would be lost by the end of the run.
      const isLast = isFinal || (signal.aborted && !settings.isAppendable);
      for (const parts of all) parts.sealDue(context.clock.nowMs(), isLast);
      const next = this.#nextOffsets(offsets);
      if (this.#isCommitted(next, isFinal)) return;

      onStep('file-1-write');
      for (const parts of all) await parts.writeAll();

      onStep('file-2-sync');
      await Promise.all(all.map((parts) => parts.sync()));

      // A manifest must not name a file that a power cut can remove.
      onStep('file-3-names');
      await this.#syncNames(all.flatMap((parts) => parts.newNames()));

      // The commit point: bytes and offsets change together.
      onStep('file-4-manifest');
      const manifest = this.#nextManifest(next, isFinal);
      await writeManifest(fileSystem, directory, manifest);

      onStep('file-5-committed');
      this.#manifest = manifest;
      for (const parts of all) parts.committed();
    } catch (cause) {
      this.#hasFailed = true;
      throw cause;
    }
  }

  async close(): Promise<void> {
    const closing = [...this.#partitions.values()].map((parts) => parts.close());
    const closed = await Promise.allSettled(closing);
    await this.#options.output.unlock();
    const failed = closed.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  #add(record: ConsumerRecord, nowMs: number): void {
    try {
      const row = this.#isLine(record) ? this.#options.parts.line : this.#options.value(record);
      if (row !== undefined) this.#partsOf(record.partition).add(record, row, nowMs);
    } catch (cause) {
      this.#options.context.reject(record, unwritable(record, cause));
    }
  }

  /** Makes the line that of a record, if it can be written as it stands in the log. */
  #isLine(record: ConsumerRecord): boolean {
    const { isCarried, parts } = this.#options;
    const { line, encoder } = parts;
    if (!isCarried || !locateValue(record, line)) return false;
    return encoder.isLine?.(line.source, line.start, line.end) ?? false;
  }

  #nextOffsets(offsets: readonly SinkOffset[]): Readonly<Record<string, number>> {
    const next = offsets.map(({ partition, offset }) => {
      return [partition, this.#partitions.get(partition)?.settle(offset) ?? offset] as const;
    });
    return { ...this.#manifest.offsets, ...Object.fromEntries(next) };
  }

  #isCommitted(next: Readonly<Record<string, number>>, isFinal: boolean): boolean {
    const { offsets, complete } = this.#manifest;
    if (isFinal && !complete) return false;
    for (const parts of this.#partitions.values()) if (parts.isChanged) return false;
    return Object.entries(next).every(([partition, offset]) => offsets[partition] === offset);
  }

  #nextManifest(offsets: Readonly<Record<string, number>>, isFinal: boolean): Manifest {
    const { columns, settings } = this.#options.parts.encoder;
    const partitions = [...this.#partitions].sort(([a], [b]) => a - b);
    return {
      ...this.#manifest,
      ...(columns !== undefined && { columns }),
      settings,
      complete: isFinal,
      offsets,
      parts: partitions.flatMap(([, parts]) => parts.describe()),
    };
  }

  async #syncNames(directories: readonly string[]): Promise<void> {
    const { fileSystem } = this.#options.parts;
    for (const directory of new Set(directories)) {
      try {
        await fileSystem.syncDirectory(directory);
      } catch (cause) {
        throw fileFailure(directory, 'sync', cause);
      }
    }
  }

  #partsOf(partition: number): PartitionParts {
    let parts = this.#partitions.get(partition);
    if (parts === undefined) {
      parts = new PartitionParts(this.#options.parts, partition);
      this.#partitions.set(partition, parts);
    }
    return parts;
  }
}

function offsetsIn({ topic, offsets }: Manifest): SinkOffset[] {
  return Object.entries(offsets).map(([partition, offset]) => {
    return { topic: topic.name, partition: Number(partition), offset };
  });
}
