import { join } from 'node:path';
import { LogError } from '../errors.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { LOG_SUFFIX, offsetName, partitionOfDirectory, SWAP_SUFFIX } from './file-names.ts';
import { decodeFrame, type Frame, type JournalEntry } from './journal-frame.ts';
import { namesIn, offsetsOf } from './swap.ts';
import { JOURNAL_FILES } from './sync-journal.ts';

/**
 * Brings back what the journal of an earlier process has kept: writes its bytes to the ends of the
 * partitions, where a power cut may have taken them, and removes it. Before any partition is
 * opened. Durable when it resolves; done again after a crash, it changes nothing.
 *
 * Only the last segment of a partition can have lost anything: another one is begun when all before
 * it is durable.
 *
 * @param topicIdOf the id of a topic that exists.
 * @throws LogError CORRUPT_FILE when a partition has not even what was durable before.
 * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL
 */
export async function redoJournal(
  fileSystem: FileSystem,
  directory: string,
  topicIdOf: (topic: string) => string | undefined,
): Promise<void> {
  try {
    const names = await namesIn(fileSystem, directory);
    const files = JOURNAL_FILES.filter((name) => names.has(name));
    if (files.length === 0) return;
    const byPartition = new Map<string, JournalEntry[]>();
    for (const entry of await readJournal(fileSystem, directory, files)) {
      const topic = partitionOfDirectory(entry.directory)?.topic ?? '';
      if (topicIdOf(topic) !== entry.topicId) continue; // it was deleted
      const entries = byPartition.get(entry.directory);
      if (entries === undefined) byPartition.set(entry.directory, [entry]);
      else entries.push(entry);
    }
    for (const [name, entries] of byPartition) {
      await redoPartition(fileSystem, join(directory, name), entries);
    }
    for (const name of files) await fileSystem.remove(join(directory, name));
    await fileSystem.syncDirectory(directory);
  } catch (cause) {
    throw storageFailure(directory, 'open', cause);
  }
}

/** What stands in the files, oldest first. */
async function readJournal(
  fileSystem: FileSystem,
  directory: string,
  files: readonly string[],
): Promise<JournalEntry[]> {
  const generations: Frame[][] = [];
  for (const name of files) {
    generations.push(readFrames(await fileSystem.readFile(join(directory, name))));
  }
  const [first = [], second = []] = generations;
  const isInOrder = (first[0]?.generation ?? 0) < (second[0]?.generation ?? 0);
  const frames = isInOrder ? [...first, ...second] : [...second, ...first];
  return frames.flatMap(({ entries }) => entries);
}

/** The frames of one generation; behind them stands what an earlier one, or a crash, has left. */
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

async function redoPartition(
  fileSystem: FileSystem,
  directory: string,
  entries: readonly JournalEntry[],
): Promise<void> {
  const names = await namesIn(fileSystem, directory);
  const [plain, renamed] = [LOG_SUFFIX, LOG_SUFFIX + SWAP_SUFFIX];
  const last = Math.max(-1, ...offsetsOf(names, plain), ...offsetsOf(names, renamed));
  const newest = entries.filter(({ baseOffset }) => baseOffset >= last);
  if (newest.length === 0) return;
  const name = offsetName(last) + plain;
  const path = join(directory, names.has(name) ? name : offsetName(last) + renamed);
  const lost = newest.find(({ baseOffset }) => baseOffset > last);
  if (lost !== undefined) throw missing(join(directory, offsetName(lost.baseOffset) + plain), 0);
  const file = await fileSystem.open(path, 'write');
  try {
    let sizeBytes = await file.sizeBytes();
    for (const { position, bytes } of newest) {
      if (position > sizeBytes) throw missing(path, sizeBytes);
      await file.write([bytes], position);
      sizeBytes = Math.max(sizeBytes, position + bytes.length);
    }
    await file.sync().catch((cause: unknown) => {
      throw storageFailure(path, 'sync', cause);
    });
  } catch (cause) {
    throw storageFailure(path, 'write', cause);
  } finally {
    await file.close();
  }
}

function missing(file: string, sizeBytes: number): LogError {
  const reason = `it ends at byte ${sizeBytes}, but more of it was durable`;
  const message =
    `${file} is damaged: ${reason}; put it back from a copy, or remove ` +
    `${JOURNAL_FILES.join(' and ')} to go on with what is there`;
  return new LogError('CORRUPT_FILE', message, { file, reason });
}
