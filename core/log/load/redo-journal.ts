import { join } from 'node:path';
import { present } from '../../assert.ts';
import { LogError } from '../../errors.ts';
import { storageFailure } from '../../storage/failure.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import {
  LOG_SUFFIX,
  offsetName,
  partitionOfDirectory,
  SWAP_SUFFIX,
} from '../segment/file-names.ts';
import { decodeFrame, type Frame, type JournalEntry } from '../durability/journal-frame.ts';
import { namesIn, offsetsOf } from '../compaction/swap.ts';
import { JOURNAL_FILES } from '../durability/sync-journal.ts';

/** The bytes to write to one segment. */
export interface Redo {
  readonly path: string;
  readonly entries: readonly JournalEntry[];
}

/** The changes that the journal of an earlier process requires. */
export interface JournalPlan {
  /** The existing files of the journal. */
  readonly files: readonly string[];
  /** By partition, for partitions that have all that was durable before. */
  readonly redos: readonly Redo[];
  /** The first partition that lacks some of it: later bytes are useless there. */
  readonly missing: { readonly file: string; readonly reason: string } | undefined;
}

/**
 * Reads the journal and the segments that it refers to. Changes nothing.
 *
 * Only the last segment of a partition can have lost anything: the next one is begun only after all
 * before it is durable.
 *
 * @param topicIdOf the id of a topic that exists.
 */
export async function planRedo(
  fileSystem: FileSystem,
  directory: string,
  topicIdOf: (topic: string) => string | undefined,
): Promise<JournalPlan> {
  const names = await namesIn(fileSystem, directory);
  const files = JOURNAL_FILES.filter((name) => names.has(name)).map((name) =>
    join(directory, name),
  );
  const byPartition = new Map<string, JournalEntry[]>();
  for (const entry of await readJournal(fileSystem, files)) {
    const topic = partitionOfDirectory(entry.directory)?.topic ?? '';
    if (topicIdOf(topic) !== entry.topicId) continue; // it was deleted
    const entries = byPartition.get(entry.directory);
    if (entries === undefined) byPartition.set(entry.directory, [entry]);
    else entries.push(entry);
  }
  const redos: Redo[] = [];
  let missing: JournalPlan['missing'];
  for (const [name, entries] of byPartition) {
    const redo = await planPartition(fileSystem, join(directory, name), entries);
    if (redo === undefined) continue;
    const lost = await missingIn(fileSystem, redo);
    if (lost === undefined) redos.push(redo);
    missing ??= lost;
  }
  return { files, redos, missing };
}

/**
 * Restores the bytes in the journal of an earlier process: writes them to the ends of the
 * partitions, where a power cut may have taken them, and removes the journal. Call it before any
 * partition is opened. Durable when it resolves; repeated after a crash, it changes nothing.
 *
 * @param topicIdOf as for `planRedo`.
 * @throws LogError CORRUPT_FILE if a partition has lost bytes that were durable before.
 * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL
 */
export async function redoJournal(
  fileSystem: FileSystem,
  directory: string,
  topicIdOf: (topic: string) => string | undefined,
): Promise<void> {
  try {
    const { files, redos, missing } = await planRedo(fileSystem, directory, topicIdOf);
    if (missing !== undefined) throw damaged(missing);
    await redoAll(fileSystem, redos);
    for (const file of files) await fileSystem.remove(file);
    // Sync even if there are none: a process that removed them may have died before its sync.
    await fileSystem.syncDirectory(directory);
  } catch (cause) {
    throw storageFailure(directory, 'open', cause);
  }
}

/** The entries in the files, oldest first. */
async function readJournal(
  fileSystem: FileSystem,
  files: readonly string[],
): Promise<JournalEntry[]> {
  const generations: Frame[][] = [];
  for (const file of files) generations.push(readFrames(await fileSystem.readFile(file)));
  const [first = [], second = []] = generations;
  const isInOrder = (first[0]?.generation ?? 0) < (second[0]?.generation ?? 0);
  const frames = isInOrder ? [...first, ...second] : [...second, ...first];
  return frames.flatMap(({ entries }) => entries);
}

/** The frames of one generation; remains of an earlier one, or of a crash, may follow. */
function readFrames(source: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let position = 0; ;) {
    const frame = decodeFrame(source, position);
    const isNext = frame?.generation === (frames[0] ?? frame)?.generation;
    if (frame === undefined || !isNext || frame.index !== frames.length) return frames;
    frames.push(frame);
    position += frame.sizeBytes;
  }
}

async function planPartition(
  fileSystem: FileSystem,
  directory: string,
  entries: readonly JournalEntry[],
): Promise<Redo | undefined> {
  const newest = present(entries.at(-1), 'a partition with entries').baseOffset; // they rise
  const names = await namesOrNone(fileSystem, directory);
  const [plain, renamed] = [LOG_SUFFIX, LOG_SUFFIX + SWAP_SUFFIX];
  const last = Math.max(-1, ...offsetsOf(names, plain), ...offsetsOf(names, renamed));
  if (last > newest) return undefined;
  const name = offsetName(newest) + plain;
  const path = join(directory, names.has(name + SWAP_SUFFIX) ? name + SWAP_SUFFIX : name);
  return { path, entries: entries.filter(({ baseOffset }) => baseOffset === newest) };
}

async function namesOrNone(fileSystem: FileSystem, directory: string): Promise<Set<string>> {
  const isThere = (await fileSystem.stat(directory)) !== undefined;
  return isThere ? namesIn(fileSystem, directory) : new Set();
}

async function missingIn(
  fileSystem: FileSystem,
  { path, entries }: Redo,
): Promise<JournalPlan['missing']> {
  const stat = await fileSystem.stat(path);
  if (stat === undefined) return { file: path, reason: 'it is gone, but a part of it was durable' };
  let end = stat.sizeBytes;
  for (const { position, bytes } of entries) {
    const reason = `it ends at byte ${end}, but more of it was durable`;
    if (position > end) return { file: path, reason };
    end = Math.max(end, position + bytes.length);
  }
  return undefined;
}

/** Writes the planned bytes. Durable when it resolves; the journal stays. */
export async function redoAll(fileSystem: FileSystem, redos: readonly Redo[]): Promise<void> {
  for (const redo of redos) await redoPartition(fileSystem, redo);
}

async function redoPartition(fileSystem: FileSystem, { path, entries }: Redo): Promise<void> {
  const file = await fileSystem.open(path, 'write');
  try {
    for (const { position, bytes } of entries) await file.write([bytes], position);
    await file.sync().catch((cause: unknown) => {
      throw storageFailure(path, 'sync', cause);
    });
  } catch (cause) {
    throw storageFailure(path, 'write', cause);
  } finally {
    await file.close();
  }
}

function damaged({ file, reason }: NonNullable<JournalPlan['missing']>): LogError {
  const message =
    `${file} is damaged: ${reason}; put it back from a copy, or go on without: ` +
    '`millrace repair` moves the journal away that tells of it';
  return new LogError('CORRUPT_FILE', message, { file, reason });
}
