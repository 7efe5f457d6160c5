import { basename, join } from 'node:path';
import type { Clock, FileSystem } from '../../../core/index.ts';
import { findFile, type FoundFile } from '../discovery.ts';
import { fileFailure } from '../failure.ts';
import { isSameLook } from './file-identity.ts';

/** What becomes of a file that was read. */
export type WhenRead = 'keep' | 'delete' | { readonly moveTo: string };

/** Accepts a `WhenRead`. */
export function whenReadCheck(value: unknown): string | undefined {
  const moveTo = (value as { readonly moveTo?: unknown } | null)?.moveTo;
  const isDirectory = typeof moveTo === 'string' && moveTo !== '';
  const isOne = value === 'keep' || value === 'delete' || isDirectory;
  return isOne ? undefined : "'keep', 'delete' or { moveTo: directory }";
}

/** Removes files, or moves them, after the commit that covers all of them. */
export class ReadFiles {
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  readonly #whenRead: WhenRead;
  #waiting: FoundFile[] = [];

  constructor(fileSystem: FileSystem, clock: Clock, whenRead: WhenRead) {
    this.#fileSystem = fileSystem;
    this.#clock = clock;
    this.#whenRead = whenRead;
  }

  /** Adds a file that was read to its end. */
  add(file: FoundFile): void {
    if (this.#whenRead !== 'keep') this.#waiting.push(file);
  }

  /** Call it when what was read of the files so far is committed. A repetition changes nothing. */
  async finish(): Promise<void> {
    const files = this.#waiting;
    this.#waiting = [];
    for (const file of files) await this.#finish(file);
  }

  async #finish(file: FoundFile): Promise<void> {
    const { path } = file;
    const now = await findFile({ fileSystem: this.#fileSystem, clock: this.#clock }, path);
    // It is gone; or more was written to it, which the next run reads.
    if (now === undefined || !isSameLook(now, { ...file, isSettled: true })) return;
    const whenRead = this.#whenRead;
    try {
      if (typeof whenRead === 'object') await this.#move(path, whenRead.moveTo);
      else await this.#fileSystem.remove(path);
    } catch (cause) {
      throw fileFailure(path, typeof whenRead === 'object' ? 'replace' : 'remove', cause);
    }
  }

  async #move(path: string, directory: string): Promise<void> {
    await this.#fileSystem.makeDirectory(directory);
    const name = join(directory, basename(path));
    let target = name;
    // Files of other directories may have the same name.
    for (let number = 1; (await this.#fileSystem.stat(target)) !== undefined; number++) {
      target = `${name}.${number}`;
    }
    await this.#fileSystem.rename(path, target);
  }
}
