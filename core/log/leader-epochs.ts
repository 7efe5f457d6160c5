import { join } from 'node:path';
import { batchSizeBytes, readBatchHeader } from '../record/batch.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { errnoOf } from '../storage/node-fs.ts';
import { LEADER_EPOCH_FILE } from './segment/file-names.ts';
import { walkHeaders } from './segment/log-reader.ts';
import { closeAll } from './segment/segment-list.ts';
import type { Segment } from './segment/segment.ts';

/**
 * The leader epochs of a partition's batches and the offset where each begins (Kafka:
 * `LeaderEpochFileCache`, `leader-epoch-checkpoint`). There is only one broker here and no
 * election, so epochs come only with a directory that a Kafka broker wrote. They must continue
 * then: epochs never decrease within a log.
 */
export interface LeaderEpoch {
  readonly epoch: number;
  readonly startOffset: number;
}

/** Those of a log, by rising epoch and offset. */
export type LeaderEpochs = readonly LeaderEpoch[];

/** The epoch of a partition created here. */
export const FIRST_LEADER_EPOCHS: readonly LeaderEpoch[] = [{ epoch: 0, startOffset: 0 }];

const VERSION = '0';

export function encodeLeaderEpochs(epochs: readonly LeaderEpoch[]): Buffer {
  const lines = epochs.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`);
  return Buffer.from([VERSION, String(epochs.length), ...lines, ''].join('\n'));
}

/**
 * The epochs in a file, both numbers rising; undefined if it is damaged. Kafka creates it empty.
 */
export function decodeLeaderEpochs(content: Buffer): LeaderEpoch[] | undefined {
  if (content.length === 0) return [];
  const [version, count, ...lines] = content.toString('utf8').split('\n');
  if (version !== VERSION || lines.pop() !== '' || count !== String(lines.length)) return undefined;
  const epochs: LeaderEpoch[] = [];
  for (const line of lines) {
    const [, epoch, startOffset] = (/^(\d+) (\d+)$/.exec(line) ?? []).map(Number);
    const before = epochs.at(-1);
    if (epoch === undefined || startOffset === undefined) return undefined;
    const isRising =
      before === undefined || (epoch > before.epoch && startOffset > before.startOffset);
    if (!isRising) return undefined;
    epochs.push({ epoch, startOffset });
  }
  return epochs;
}

/** What batches are appended with. */
export function newestEpoch(log: { readonly leaderEpochs: LeaderEpochs }): number {
  return log.leaderEpochs.at(-1)?.epoch ?? 0;
}

/** The epoch of a batch that begins at `offset`; undefined below the first one. */
export function epochAt(epochs: readonly LeaderEpoch[], offset: number): number | undefined {
  return epochs.findLast(({ startOffset }) => startOffset <= offset)?.epoch;
}

/**
 * The end of the batches of an epoch in a log that ends at `endOffset`, or of the newest known
 * epoch before it; undefined for a future epoch (Kafka: `LeaderEpochFileCache.endOffsetFor`). A
 * reader beyond that has read records that the log has lost.
 */
export function endOfEpoch(
  epochs: LeaderEpochs,
  epoch: number,
  endOffset: number,
): { readonly epoch: number; readonly endOffset: number } | undefined {
  if (epoch < 0 || epoch > (epochs.at(-1)?.epoch ?? -1)) return undefined;
  const after = epochs.findIndex((each) => each.epoch > epoch);
  if (after < 0) return { epoch, endOffset };
  return { epoch: epochs[after - 1]?.epoch ?? epoch, endOffset: epochs[after]!.startOffset };
}

/**
 * The epochs of a log that holds [startOffset, nextOffset). The newest epoch stays even if all its
 * batches were lost: others may still have them, under this epoch.
 */
export function withinLog(
  epochs: readonly LeaderEpoch[],
  startOffset: number,
  nextOffset: number,
): LeaderEpoch[] {
  const newest = epochs.at(-1);
  if (newest === undefined) return [];
  const known = epochs.filter((each) => each.startOffset < nextOffset);
  if (known.at(-1) !== newest) {
    known.push({ epoch: newest.epoch, startOffset: Math.min(newest.startOffset, nextOffset) });
  }
  const first = known.findLastIndex((each) => each.startOffset <= startOffset);
  if (first < 0) return known;
  return [{ epoch: known[first]!.epoch, startOffset }, ...known.slice(first + 1)];
}

/** The epochs in a partition's file, or the reason why there are none. */
export async function readLeaderEpochs(
  fileSystem: Pick<FileSystem, 'readFile'>,
  directory: string,
): Promise<LeaderEpoch[] | 'missing' | 'damaged'> {
  const path = join(directory, LEADER_EPOCH_FILE);
  try {
    return decodeLeaderEpochs(await fileSystem.readFile(path)) ?? 'damaged';
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return 'missing';
    throw storageFailure(path, 'read', cause);
  }
}

/**
 * Returns the epochs of the log; appends use the newest. Corrects the file if the log now begins or
 * ends elsewhere (Kafka does so at each opening too), and adds the epochs of batches that it lacks:
 * all of them if the file is missing. Durable when it resolves.
 *
 * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL, CORRUPT_BATCH: the segments are closed.
 */
export async function settleLeaderEpochs(
  { fileSystem, directory }: { readonly fileSystem: FileSystem; readonly directory: string },
  log: { readonly segments: readonly Segment[]; readonly logStartOffset: number },
): Promise<LeaderEpochs> {
  const { segments, logStartOffset } = log;
  try {
    const read = await readLeaderEpochs(fileSystem, directory);
    const known = typeof read === 'string' ? [] : read;
    const isMissing = read === 'missing';
    const lacking = await epochsIn(segments, logStartOffset, known[0]?.startOffset ?? Infinity);
    const nextOffset = segments.at(-1)!.nextOffset;
    const found = joined(lacking, known);
    const isNew = isMissing && found.length === 0;
    const settled = withinLog(isNew ? FIRST_LEADER_EPOCHS : found, logStartOffset, nextOffset);
    const content = encodeLeaderEpochs(settled);
    const isWrong = typeof read === 'string' || !content.equals(encodeLeaderEpochs(known));
    if (settled.length > 0 && isWrong) {
      await replaceFile(fileSystem, join(directory, LEADER_EPOCH_FILE), content);
    }
    return settled.length > 0 ? settled : [{ epoch: 0, startOffset: logStartOffset }];
  } catch (cause) {
    await closeAll(segments);
    throw cause;
  }
}

/** The epochs of the batches that begin in [from, upTo), skipping any that does not rise. */
async function epochsIn(
  segments: readonly Segment[],
  from: number,
  upTo: number,
): Promise<LeaderEpoch[]> {
  const epochs: LeaderEpoch[] = [];
  for (const segment of segments) {
    if (segment.nextOffset <= from || segment.baseOffset >= upTo) continue;
    try {
      for await (const { bytes } of walkHeaders(segment, 0)) {
        for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
          const { baseOffset, lastOffset, leaderEpoch: epoch } = readBatchHeader(bytes, at);
          if (baseOffset >= upTo) return epochs;
          if (lastOffset < from || epoch <= (epochs.at(-1)?.epoch ?? -1)) continue;
          epochs.push({ epoch, startOffset: Math.max(from, baseOffset) });
        }
      }
    } finally {
      await closeAll([segment]); // few of many segments are used soon
    }
  }
  return epochs;
}

/** Joins two stretches of a history; if they disagree, the second is right. */
function joined(before: readonly LeaderEpoch[], then: readonly LeaderEpoch[]): LeaderEpoch[] {
  const [first, ...rest] = then;
  if (first === undefined) return [...before];
  const begun = before.find(({ epoch }) => epoch >= first.epoch) ?? first;
  const startOffset = Math.min(begun.startOffset, first.startOffset);
  return [
    ...before.filter(({ epoch }) => epoch < first.epoch),
    { epoch: first.epoch, startOffset },
    ...rest,
  ];
}
