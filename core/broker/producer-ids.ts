import { join } from 'node:path';
import { LogError } from '../errors.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';

export const PRODUCER_IDS_FILE = 'producer-ids';
/** Kafka hands out blocks of 1000 too: one durable write for a thousand producers. */
const BLOCK = 1000;

/**
 * Hands out producer ids, each only once in the life of a data directory: a second producer with an
 * id would have its records taken for repetitions of the first one's. The file `producer-ids`
 * holds the first id that no process may have used yet.
 */
export class ProducerIds {
  readonly #fileSystem: FileSystem;
  readonly #path: string;
  #next = 0;
  #blockEnd = 0;
  #reserving: Promise<void> | undefined;

  constructor(fileSystem: FileSystem, directory: string) {
    this.#fileSystem = fileSystem;
    this.#path = join(directory, PRODUCER_IDS_FILE);
  }

  /**
   * Goes on where the file says, and above `usedUpTo`: the highest id that the logs know, in case
   * another broker handed it out or the file was lost.
   *
   * @throws LogError CORRUPT_FILE, KAFKA_STORAGE_ERROR
   */
  async open(usedUpTo: number): Promise<void> {
    this.#next = this.#blockEnd = Math.max(await this.#read(), usedUpTo + 1);
  }

  /** An id that was never handed out before, even across crashes. */
  async next(): Promise<number> {
    while (this.#next === this.#blockEnd) {
      this.#reserving ??= this.#reserve().finally(() => {
        this.#reserving = undefined;
      });
      await this.#reserving;
    }
    return this.#next++;
  }

  /** The first id that the file says no process has used. */
  async #read(): Promise<number> {
    if ((await this.#fileSystem.stat(this.#path)) === undefined) return 0;
    const content = await this.#fileSystem.readFile(this.#path).catch((cause: unknown) => {
      throw storageFailure(this.#path, 'read', cause);
    });
    const text = content.toString('utf8').trim();
    if (!/^\d+$/.test(text)) {
      const reason = 'it does not hold a number';
      const message = `${this.#path} is damaged: ${reason}`;
      throw new LogError('CORRUPT_FILE', message, { file: this.#path, reason });
    }
    return Number(text);
  }

  async #reserve(): Promise<void> {
    const blockEnd = this.#blockEnd + BLOCK;
    await replaceFile(this.#fileSystem, this.#path, Buffer.from(`${blockEnd}\n`));
    this.#blockEnd = blockEnd;
  }
}
