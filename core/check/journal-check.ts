import { join } from 'node:path';
import { present } from '../assert.ts';
import { topicIdIn } from '../broker/data-directory.ts';
import type { ListedTopic } from '../broker/topic-list.ts';
import { LogError } from '../errors.ts';
import { PARTITION_METADATA_FILE, partitionOfDirectory } from '../log/segment/file-names.ts';
import { planRedo, type JournalPlan, type Redo } from '../log/load/redo-journal.ts';
import type { File, FileSystem } from '../storage/file-system.ts';
import { REPAIR, type Finding } from './finding.ts';
import type { ReadableFiles } from './left-overs.ts';

/** The content of the journal, and whether the next opening can restore it. */
export async function checkJournal(
  fileSystem: FileSystem,
  directory: string,
  listed: readonly ListedTopic[],
): Promise<{ readonly plan: JournalPlan; readonly findings: readonly Finding[] }> {
  const ids = await topicIds(fileSystem, directory, listed);
  const plan = await planRedo(fileSystem, directory, (topic) => ids.get(topic));
  const { files, missing } = plan;
  if (missing === undefined) return { plan, findings: [] };
  const meaning =
    'The log does not open: the journal has the bytes after the lost ones, but not those. ' +
    `Restore the file from a copy; or do without, and move the journal away: ${REPAIR}`;
  const mends = files.map((file) => ({ kind: 'remove' as const, file }));
  const { file, reason } = missing;
  return { plan, findings: [{ severity: 'problem', file, what: reason, meaning, mends }] };
}

/** The topics that an opening finds: in the list, or by their directories. */
async function topicIds(
  fileSystem: FileSystem,
  directory: string,
  listed: readonly ListedTopic[],
): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  for (const { name, isDirectory } of await fileSystem.list(directory)) {
    const topic = isDirectory ? partitionOfDirectory(name)?.topic : undefined;
    const path = join(directory, name, PARTITION_METADATA_FILE);
    if (topic === undefined || (await fileSystem.stat(path)) === undefined) continue;
    const id = topicIdIn((await fileSystem.readFile(path)).toString('utf8'));
    if (id !== undefined) ids.set(topic, id);
  }
  for (const { name, topicId, isDeleted } of listed) {
    if (isDeleted === true) ids.delete(name);
    else ids.set(name, topicId);
  }
  return ids;
}

/** The files as they will be after the next opening has restored the journal's bytes. */
export function withJournal(files: ReadableFiles, redos: readonly Redo[]): ReadableFiles {
  if (redos.length === 0) return files;
  const byPath = new Map(redos.map((redo) => [redo.path, redo]));
  return {
    list: (path) => files.list(path),
    stat: async (path) => {
      const stat = await files.stat(path);
      const redo = byPath.get(path);
      if (stat === undefined || redo === undefined) return stat;
      return { ...stat, sizeBytes: Math.max(stat.sizeBytes, endOf(redo)) };
    },
    readFile: async (path) => {
      const bytes = await files.readFile(path);
      const redo = byPath.get(path);
      if (redo === undefined) return bytes;
      const whole = Buffer.alloc(Math.max(bytes.length, endOf(redo)));
      bytes.copy(whole);
      overlay(whole, 0, redo);
      return whole;
    },
    open: async (path, mode) => {
      const file = await files.open(path, mode);
      const redo = byPath.get(path);
      return redo === undefined ? file : new RedoneFile(file, redo);
    },
  };
}

/** A readable file, overlaid with bytes of the journal. */
class RedoneFile implements File {
  readonly path: string;
  readonly #file: File;
  readonly #redo: Redo;

  constructor(file: File, redo: Redo) {
    this.path = file.path;
    this.#file = file;
    this.#redo = redo;
  }

  async read(target: Buffer, position: number): Promise<number> {
    const filled = await this.#file.read(target, position);
    const end = Math.max(position + filled, endOf(this.#redo));
    const length = Math.max(0, Math.min(target.length, end - position));
    overlay(target.subarray(0, length), position, this.#redo);
    return length;
  }

  async sizeBytes(): Promise<number> {
    return Math.max(await this.#file.sizeBytes(), endOf(this.#redo));
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  write(): Promise<void> {
    return Promise.reject(onlyRead(this.path, 'write'));
  }

  sync(): Promise<void> {
    return Promise.reject(onlyRead(this.path, 'sync'));
  }

  truncate(): Promise<void> {
    return Promise.reject(onlyRead(this.path, 'truncate'));
  }
}

/** The least end of the file: after the last entry, because entries rise without a gap. */
function endOf({ entries }: Redo): number {
  const { position, bytes } = present(entries.at(-1), 'a redo has entries');
  return position + bytes.length;
}

/** Overlays `target`, which starts at `start` in the file, with the journal's bytes. */
function overlay(target: Buffer, start: number, { entries }: Redo): void {
  for (const { position, bytes } of entries) {
    const from = Math.max(position, start);
    const to = Math.min(position + bytes.length, start + target.length);
    if (from < to) bytes.copy(target, from - start, from - position, to - position);
  }
}

function onlyRead(file: string, operation: 'write' | 'sync' | 'truncate'): LogError {
  const message = `${file} is only looked at`;
  return new LogError('KAFKA_STORAGE_ERROR', message, { file, operation });
}
