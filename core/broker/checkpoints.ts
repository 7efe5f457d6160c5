import { join } from 'node:path';
import { LogError } from '../errors.ts';
import type { KnownAborted } from '../log/segment/transaction-index.ts';
import { isCompacted, type LogConfig } from '../log/log-config.ts';
import type { FileSystem } from '../storage/file-system.ts';
import type { TopicPartition } from '../protocol/broker-api.ts';
import {
  encodeCheckpoint,
  readCheckpoint,
  writeCheckpoint,
  type Checkpoint,
} from './checkpoint-file.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import { encodeAbortedFile, readAbortedFile } from './aborted-file.ts';

export const RECOVERY_POINT_FILE = 'recovery-point-offset-checkpoint';
export const LOG_START_FILE = 'log-start-offset-checkpoint';
export const HIGH_WATERMARK_FILE = 'replication-offset-checkpoint';
export const CLEANED_FILE = 'cleaner-offset-checkpoint';
export const ABORTED_FILE = 'txnindex-checkpoint';

/** What the checkpoint files record of a partition. */
interface Checkpointed extends TopicPartition {
  readonly log: {
    readonly recoveryPoint: number;
    readonly logStartOffset: number;
    readonly config: LogConfig;
    readonly knownAborted: KnownAborted;
    readonly compaction: { readonly cleanedOffset: number };
  };
}

/** What the files say, by `topic-partition`. */
export interface ReadCheckpoints {
  readonly recoveryPoints: Checkpoint;
  readonly logStarts: Checkpoint;
  readonly cleanedOffsets: Checkpoint;
  readonly aborted: ReadonlyMap<string, KnownAborted>;
}

/**
 * The files at the root of a data directory that say how far each partition is durable, where it
 * begins, and up to where it was compacted. They name partitions by topic name, so they are written
 * anew when a topic is deleted: another one of that name must not inherit its offsets.
 */
export class Checkpoints {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  /** One write at a time. */
  #writing: Promise<void> = Promise.resolve();
  /** The recovery points as they are on the disk, at least. Changes when they were written. */
  #recoveryPoints: Checkpoint = new Map();
  /** What stands in the file of compacted offsets; unknown at first. */
  #cleaned: string | undefined;
  /** What stands in the file of aborted transactions; unknown at first. */
  #aborted: string | undefined;

  constructor(fileSystem: FileSystem, directory: string) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
  }

  /** @throws LogError CORRUPT_FILE, KAFKA_STORAGE_ERROR */
  async read(): Promise<ReadCheckpoints> {
    const read = (name: string) => readCheckpoint(this.#fileSystem, this.#path(name));
    const recoveryPoints = await read(RECOVERY_POINT_FILE);
    // Kafka makes this file empty at first. Without it nothing is lost but the work of compacting.
    const cleanedOffsets = await read(CLEANED_FILE).catch((cause: unknown) => {
      if (LogError.is(cause, 'CORRUPT_FILE')) return new Map<string, number>();
      throw cause;
    });
    this.#recoveryPoints = recoveryPoints;
    if (cleanedOffsets.size === 0) this.#cleaned = encodeCheckpoint([]).toString();
    const aborted = await readAbortedFile(this.#fileSystem, this.#path(ABORTED_FILE));
    return { recoveryPoints, logStarts: await read(LOG_START_FILE), cleanedOffsets, aborted };
  }

  /** From where on an opening would read a partition again. */
  recoveryPointOf({ topic, partition }: TopicPartition): number {
    return this.#recoveryPoints.get(partitionKey(topic, partition)) ?? 0;
  }

  /**
   * Writes down how `partitions`, which are all there are, stand. Durable when it resolves.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR: some of the files may be the old ones.
   */
  write(partitions: () => Iterable<Checkpointed>): Promise<void> {
    return this.#inTurn(async () => {
      const points = [...partitions()].map(({ topic, partition, log: { recoveryPoint } }) => {
        return { topic, partition, offset: recoveryPoint };
      });
      // Before the recovery points: an opening needs it up to there, and does with more.
      await this.#writeAborted(partitions());
      await writeCheckpoint(this.#fileSystem, this.#path(RECOVERY_POINT_FILE), points);
      this.#recoveryPoints = new Map(
        points.map(({ topic, partition, offset }) => [partitionKey(topic, partition), offset]),
      );
      await writeCheckpoint(this.#fileSystem, this.#path(HIGH_WATERMARK_FILE), points);
      await this.#writeLogStarts(partitions());
      await this.#writeCleaned(partitions());
    });
  }

  /** The same, of where they begin only. */
  writeLogStarts(partitions: () => Iterable<Checkpointed>): Promise<void> {
    return this.#inTurn(() => this.#writeLogStarts(partitions()));
  }

  /** The same, of what a compaction changes only. */
  writeCleaned(partitions: () => Iterable<Checkpointed>): Promise<void> {
    return this.#inTurn(async () => {
      await this.#writeAborted(partitions());
      await this.#writeCleaned(partitions());
    });
  }

  async #writeAborted(partitions: Iterable<Checkpointed>): Promise<void> {
    const entries = [...partitions].map(({ topic, partition, log: { knownAborted } }) => {
      return { topic, partition, known: knownAborted };
    });
    const content = encodeAbortedFile(entries.filter(({ known }) => known.upTo > 0));
    if (content === this.#aborted) return;
    await replaceFile(this.#fileSystem, this.#path(ABORTED_FILE), Buffer.from(content));
    this.#aborted = content;
  }

  async #writeCleaned(partitions: Iterable<Checkpointed>): Promise<void> {
    const cleaned = [...partitions].filter(({ log }) => isCompacted(log.config));
    const entries = cleaned.map(({ topic, partition, log: { compaction } }) => {
      return { topic, partition, offset: compaction.cleanedOffset };
    });
    const offsets = entries.filter(({ offset }) => offset > 0);
    const written = encodeCheckpoint(offsets).toString();
    if (written === this.#cleaned) return; // mostly nothing was compacted
    await writeCheckpoint(this.#fileSystem, this.#path(CLEANED_FILE), offsets);
    this.#cleaned = written;
  }

  async #writeLogStarts(partitions: Iterable<Checkpointed>): Promise<void> {
    const starts = [...partitions].map(({ topic, partition, log: { logStartOffset } }) => {
      return { topic, partition, offset: logStartOffset };
    });
    const moved = starts.filter(({ offset }) => offset > 0);
    await writeCheckpoint(this.#fileSystem, this.#path(LOG_START_FILE), moved);
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    const written = this.#writing.then(write);
    this.#writing = written.catch(() => undefined); // who asked has the error
    return written;
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}
