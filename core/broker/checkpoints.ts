import { join } from 'node:path';
import type { FileSystem } from '../storage/file-system.ts';
import type { TopicPartition } from './broker-api.ts';
import { readCheckpoint, writeCheckpoint, type Checkpoint } from './checkpoint-file.ts';

export const RECOVERY_POINT_FILE = 'recovery-point-offset-checkpoint';
export const LOG_START_FILE = 'log-start-offset-checkpoint';
export const HIGH_WATERMARK_FILE = 'replication-offset-checkpoint';

/** What is written down of a partition outside of its directory. */
interface Checkpointed extends TopicPartition {
  readonly log: { readonly recoveryPoint: number; readonly logStartOffset: number };
}

/**
 * The files at the root of a data directory that say how far each partition is durable and where it
 * begins. They name partitions by topic name, so they are written anew when a topic is deleted:
 * another one of that name must not inherit its offsets.
 */
export class Checkpoints {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  /** One write at a time. */
  #writing: Promise<void> = Promise.resolve();

  constructor(fileSystem: FileSystem, directory: string) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
  }

  /** @throws LogError CORRUPT_FILE, KAFKA_STORAGE_ERROR */
  async read(): Promise<{ readonly recoveryPoints: Checkpoint; readonly logStarts: Checkpoint }> {
    return {
      recoveryPoints: await readCheckpoint(this.#fileSystem, this.#path(RECOVERY_POINT_FILE)),
      logStarts: await readCheckpoint(this.#fileSystem, this.#path(LOG_START_FILE)),
    };
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
      await writeCheckpoint(this.#fileSystem, this.#path(RECOVERY_POINT_FILE), points);
      await writeCheckpoint(this.#fileSystem, this.#path(HIGH_WATERMARK_FILE), points);
      await this.#writeLogStarts(partitions());
    });
  }

  /** The same, of where they begin only. */
  writeLogStarts(partitions: () => Iterable<Checkpointed>): Promise<void> {
    return this.#inTurn(() => this.#writeLogStarts(partitions()));
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
