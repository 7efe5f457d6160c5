import { join } from 'node:path';
import { settleAll } from '../at-once.ts';
import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { SyncJournal } from '../log/durability/sync-journal.ts';
import { encodeLeaderEpochs, FIRST_LEADER_EPOCHS } from '../log/leader-epochs.ts';
import { PartitionLog } from '../log/partition-log.ts';
import type { PartitionLogOptions } from '../log/partition-log-options.ts';
import {
  LEADER_EPOCH_FILE,
  PARTITION_METADATA_FILE,
  partitionDirectory,
} from '../log/segment/file-names.ts';
import type { Logger } from '../logger.ts';
import type { TopicPartition } from '../protocol/broker-api.ts';
import { toLogConfig } from '../protocol/topic-config.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import { placeFile, replaceFile, syncNames } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import type { ReadCheckpoints } from './checkpoints.ts';
import { partitionMetadata } from './data-directory.ts';
import type { ListedTopic } from './topic-list.ts';

/** One partition with those who wait for something to read. */
export interface Partition extends TopicPartition {
  readonly log: PartitionLog;
  /** Called, and forgotten, when more can be read. */
  readonly waiters: Set<() => void>;
}

/** What partitions share. */
export interface PartitionsOptions {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The data directory. */
  readonly directory: string;
  readonly journal: SyncJournal;
}

/**
 * Opening and closing a partition are a handful of file calls; more at once gain nothing from four
 * I/O threads.
 */
const PARTITIONS_AT_ONCE = 16;
const NO_CHECKPOINTS: ReadCheckpoints = {
  recoveryPoints: new Map(),
  logStarts: new Map(),
  cleanedOffsets: new Map(),
  aborted: new Map(),
};

/** A partition of a listed topic. */
export interface Numbered {
  readonly topic: ListedTopic;
  readonly partition: number;
}

/** The partitions of a topic from number `from` on. */
export function numbered(topic: ListedTopic, from: number): Numbered[] {
  const count = topic.partitions - from;
  return Array.from({ length: count }, (_, index) => ({ topic, partition: from + index }));
}

/**
 * Opens partitions, in this order, and creates those that do not exist. Durable when it resolves.
 *
 * @throws LogError CORRUPT_BATCH, CORRUPT_FILE, KAFKA_STORAGE_ERROR, DISK_FULL: none is open.
 */
export async function openPartitions(
  options: PartitionsOptions,
  wanted: readonly Numbered[],
  checkpoints: ReadCheckpoints & { readonly wasClosed?: boolean } = NO_CHECKPOINTS,
): Promise<Partition[]> {
  let newCount = 0;
  const results = await settleAll(wanted, PARTITIONS_AT_ONCE, async ({ topic, partition }) => {
    const key = partitionKey(topic.name, partition);
    const known = {
      recoveryPoint: checkpoints.recoveryPoints.get(key) ?? 0,
      logStartOffset: checkpoints.logStarts.get(key) ?? 0,
      cleanedOffset: checkpoints.cleanedOffsets.get(key) ?? 0,
      knownAborted: checkpoints.aborted.get(key),
      wasClosed: checkpoints.wasClosed ?? false,
    };
    if (await makePartition(options, topic, partition, known.recoveryPoint)) newCount++;
    return openPartition(options, topic, partition, known);
  });
  const opened = results.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  try {
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    // Before this, a power cut may take the directories with all that is in them.
    if (newCount > 0) await syncNames(options.fileSystem, options.directory);
  } catch (cause) {
    await abandonPartitions(opened);
    throw cause;
  }
  return opened;
}

async function openPartition(
  options: PartitionsOptions,
  listed: ListedTopic,
  partition: number,
  known: Pick<
    PartitionLogOptions,
    'recoveryPoint' | 'logStartOffset' | 'cleanedOffset' | 'knownAborted' | 'wasClosed'
  >,
): Promise<Partition> {
  const { fileSystem, clock, logger } = options;
  const directory = join(options.directory, partitionDirectory(listed.name, partition));
  const waiters = new Set<() => void>();
  const { log, tornTail } = await PartitionLog.open({
    fileSystem,
    clock,
    directory,
    place: { topic: listed.name, partition },
    config: toLogConfig(listed.config),
    ...known,
    journal: { journal: options.journal, topicId: listed.topicId },
    advanced: () => wake(waiters),
  });
  if (tornTail !== undefined) {
    const { file, positionBytes, removedBytes, reason } = tornTail;
    logger.warn(
      `${file}: cut ${removedBytes} bytes at ${positionBytes}, ` +
        `which a crash left unfinished (${reason})`,
    );
  }
  return { topic: listed.name, partition, log, waiters };
}

async function exists({ fileSystem }: PartitionsOptions, path: string): Promise<boolean> {
  const found = await fileSystem.stat(path).catch((cause: unknown) => {
    throw storageFailure(path, 'open', cause);
  });
  return found !== undefined;
}

/**
 * Creates a partition, or what a crash left out when it was created. Returns false if it exists.
 * Durable once the data directory is synced.
 */
async function makePartition(
  options: PartitionsOptions,
  listed: ListedTopic,
  partition: number,
  recoveryPoint: number,
): Promise<boolean> {
  const { fileSystem } = options;
  const directory = join(options.directory, partitionDirectory(listed.name, partition));
  const metadataPath = join(directory, PARTITION_METADATA_FILE);
  if (await exists(options, metadataPath)) return false;
  const isLost = recoveryPoint > 0 && !(await exists(options, directory));
  if (isLost) throw missingDirectory(directory, recoveryPoint);
  try {
    await fileSystem.makeDirectory(directory);
    const epochsPath = join(directory, LEADER_EPOCH_FILE);
    if (!(await exists(options, epochsPath))) {
      await placeFile(fileSystem, epochsPath, encodeLeaderEpochs(FIRST_LEADER_EPOCHS));
    }
    await replaceFile(fileSystem, metadataPath, partitionMetadata(listed.topicId));
    return true;
  } catch (cause) {
    throw storageFailure(directory, 'create', cause);
  }
}

/** Closes the logs; resolves with the reasons why some could not be made durable. */
export async function closePartitions(partitions: Iterable<Partition>): Promise<unknown[]> {
  const results = await settleAll(partitions, PARTITIONS_AT_ONCE, (each) => each.log.close());
  return results.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
}

/** Closes the files as they are. */
export async function abandonPartitions(partitions: Iterable<Partition>): Promise<void> {
  for (const { log } of partitions) await log.abandon();
}

/** Calls those who wait for something to read. */
export function wake(waiters: Set<() => void>): void {
  if (waiters.size === 0) return;
  const woken = [...waiters];
  waiters.clear();
  for (const waiter of woken) waiter();
}

function missingDirectory(file: string, recoveryPoint: number): LogError {
  const reason = `it held records up to offset ${recoveryPoint}`;
  const message = `${file} is missing, but ${reason}; put it back, or delete the topic`;
  return new LogError('CORRUPT_FILE', message, { file, reason });
}
