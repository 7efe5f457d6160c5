import { LogError } from '../errors.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';

/** The offsets of one of Kafka's text checkpoints, by `topic-partition`. */
export type Checkpoint = Map<string, number>;

/** One line of a checkpoint. */
interface CheckpointEntry {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

const VERSION = '0';

/**
 * Replaces a checkpoint file: version, count, then `topic partition offset` a line (Kafka:
 * `OffsetCheckpointFile`). Durable when it resolves.
 */
export async function writeCheckpoint(
  fileSystem: FileSystem,
  path: string,
  entries: readonly CheckpointEntry[],
): Promise<void> {
  await replaceFile(fileSystem, path, encodeCheckpoint(entries));
}

export function encodeCheckpoint(entries: readonly CheckpointEntry[]): Buffer {
  const lines = entries.map(({ topic, partition, offset }) => `${topic} ${partition} ${offset}`);
  return Buffer.from([VERSION, String(entries.length), ...lines, ''].join('\n'));
}

/**
 * Reads a checkpoint file. An absent one names nothing, and so does an empty one, which Kafka makes
 * before it has anything to write.
 *
 * @throws LogError CORRUPT_FILE when it is not in the format: it was replaced atomically, so this
 *   is damage, not a crash.
 */
export async function readCheckpoint(fileSystem: FileSystem, path: string): Promise<Checkpoint> {
  const checkpoint: Checkpoint = new Map();
  if ((await fileSystem.stat(path)) === undefined) return checkpoint;
  const content = await fileSystem.readFile(path).catch((cause: unknown) => {
    throw storageFailure(path, 'read', cause);
  });
  if (content.length === 0) return checkpoint;
  const [version, count, ...lines] = content.toString('utf8').trimEnd().split('\n');
  if (version !== VERSION || count !== String(lines.length)) throw corruptCheckpoint(path);
  for (const line of lines) {
    const match = /^(\S+) (\d+) (\d+)$/.exec(line);
    if (match === null) throw corruptCheckpoint(path);
    checkpoint.set(partitionKey(match[1]!, Number(match[2])), Number(match[3]));
  }
  return checkpoint;
}

function corruptCheckpoint(file: string): LogError {
  const reason = 'it is not a checkpoint of version 0 with as many lines as it says';
  return new LogError('CORRUPT_FILE', `${file} is damaged: ${reason}`, { file, reason });
}
