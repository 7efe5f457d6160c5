import { basename, dirname, join } from 'node:path';
import { readCheckpoint, type Checkpoint } from '../broker/checkpoint-file.ts';
import { decodeAbortedFile } from '../broker/aborted-file.ts';
import {
  ABORTED_FILE,
  CLEANED_FILE,
  HIGH_WATERMARK_FILE,
  LOG_START_FILE,
  RECOVERY_POINT_FILE,
} from '../broker/checkpoints.ts';
import {
  CLEAN_SHUTDOWN_FILE,
  clusterIdIn,
  isPartitionDirectory,
  META_FILE,
} from '../broker/data-directory.ts';
import { METADATA_TOPIC } from '../broker/internal-topics.ts';
import { PRODUCER_IDS_FILE } from '../broker/producer-ids.ts';
import { readTopicList, TOPIC_LIST_FILE, type ListedTopic } from '../broker/topic-list.ts';
import { LogError } from '../errors.ts';
import { DELETE_DIRECTORY_SUFFIX, partitionOfDirectory } from '../log/segment/file-names.ts';
import type { JournalPlan } from '../log/load/redo-journal.ts';
import type { RecordPlace } from '../record/unpack.ts';
import { lockHolder } from '../storage/directory-lock.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { errnoOf } from '../storage/node-fs.ts';
import { REPAIR, type Finding } from './finding.ts';
import { checkJournal } from './journal-check.ts';

/** An existing directory of a partition. */
export interface FoundPartition extends RecordPlace {
  readonly directory: string;
}

/** The state of a data directory according to the files at its root. */
export interface DataRoot {
  readonly directory: string;
  /** The process that has it open, if any. */
  readonly ownerPid: number | undefined;
  /** True if the last process that had it open closed it. */
  readonly isClean: boolean;
  /** The one requested partition, or undefined for all. */
  readonly only: string | undefined;
  readonly listed: readonly ListedTopic[];
  readonly hasList: boolean;
  readonly partitions: readonly FoundPartition[];
  readonly recoveryPoints: Checkpoint;
  readonly logStarts: Checkpoint;
  readonly highWatermarks: Checkpoint;
  readonly cleanedOffsets: Checkpoint;
  /** The first free producer id, or undefined if no file has it. */
  readonly nextProducerId: number | undefined;
  /** The bytes that the next opening will restore. */
  readonly journal: JournalPlan;
  readonly findings: readonly Finding[];
}

const NONE = { plan: { files: [], redos: [], missing: undefined }, findings: [] } as const;

/** The consequences of a lost file at the root. */
const LOSSES: Readonly<Record<string, string>> = {
  [TOPIC_LIST_FILE]:
    'The log does not open. Without the file, topics are found by their directories, and their ' +
    'settings are lost: the defaults apply.',
  [RECOVERY_POINT_FILE]:
    'The log does not open. Without the file, the next opening reads all records once.',
  [LOG_START_FILE]:
    'The log does not open. Without the file, deleted records may come back if their ' +
    'segments still exist.',
  [HIGH_WATERMARK_FILE]: 'Only Kafka reads it; the next opening recreates it.',
  [ABORTED_FILE]: 'The next opening does without it, and reads all records once.',
  [CLEANED_FILE]: 'The next opening does without it: compaction starts over.',
  [META_FILE]: 'The log does not open. Without the file, it gets a new cluster id.',
  [PRODUCER_IDS_FILE]:
    'The log does not open. Without the file, ids continue above those in the logs.',
};

/**
 * Reads the root of a data directory, or of the one that contains a partition's directory. Changes
 * nothing.
 *
 * @param isOurs this process holds the lock.
 * @throws LogError DIRECTORY_UNUSABLE if there is no log.
 */
export async function readRoot(
  fileSystem: FileSystem,
  asked: string,
  isOurs = false,
): Promise<DataRoot> {
  const { directory, only, ownerPid } = await enter(fileSystem, asked, isOurs).catch(
    (cause: unknown) => {
      throw refused(asked, cause);
    },
  );
  const findings: Finding[] = [];
  const has = async (name: string): Promise<boolean> =>
    (await fileSystem.stat(join(directory, name))) !== undefined;
  const orFinding = async <T>(name: string, otherwise: T, read: () => Promise<T>): Promise<T> => {
    try {
      return await read();
    } catch (cause) {
      if (!LogError.is(cause, 'CORRUPT_FILE')) throw cause;
      findings.push(damagedFile(directory, name, cause.details.reason));
      return otherwise;
    }
  };
  const checkpoint = (name: string): Promise<Checkpoint> =>
    orFinding(name, new Map<string, number>(), () =>
      readCheckpoint(fileSystem, join(directory, name)),
    );
  try {
    const hasList = await has(TOPIC_LIST_FILE);
    // Read the list first: topics that a live log adds meanwhile are in no list yet.
    const listed = await orFinding(TOPIC_LIST_FILE, [], () => readTopicList(fileSystem, directory));
    const recoveryPoints = await checkpoint(RECOVERY_POINT_FILE);
    const logStarts = await checkpoint(LOG_START_FILE);
    const highWatermarks = await checkpoint(HIGH_WATERMARK_FILE);
    const cleanedOffsets = await checkpoint(CLEANED_FILE);
    const isClean = ownerPid === undefined && (await has(CLEAN_SHUTDOWN_FILE));
    const partitions = await findPartitions(fileSystem, directory, only);
    const hasMeta = await has(META_FILE);
    if (!hasList && !hasMeta && partitions.length === 0) {
      throw unusable(asked, 'there is no log in it');
    }
    if (hasMeta) findings.push(...(await checkMeta(fileSystem, directory)));
    if (await has(ABORTED_FILE)) findings.push(...(await checkAborted(fileSystem, directory)));
    const nextProducerId = await readProducerIds(fileSystem, directory, findings);
    // The journal of a live log is still being written; its bytes are also in the files.
    const journal =
      ownerPid === undefined ? await checkJournal(fileSystem, directory, listed) : NONE;
    findings.push(...journal.findings);
    const known = { directory, ownerPid, isClean, only, listed, hasList, partitions };
    const checkpoints = { recoveryPoints, logStarts, highWatermarks, cleanedOffsets };
    return { ...known, ...checkpoints, nextProducerId, journal: journal.plan, findings };
  } catch (cause) {
    throw storageFailure(directory, 'read', cause);
  }
}

/** Finds the data directory and the process that has it open. */
async function enter(
  fileSystem: FileSystem,
  asked: string,
  isOurs: boolean,
): Promise<Pick<DataRoot, 'directory' | 'only' | 'ownerPid'>> {
  const stat = await fileSystem.stat(asked);
  if (stat === undefined) throw unusable(asked, 'there is no such directory');
  if (!stat.isDirectory) throw unusable(asked, 'it is a file');
  const isOne = await isPartitionDirectory(fileSystem, asked);
  const directory = isOne ? dirname(asked) : asked;
  const only = isOne ? basename(asked) : undefined;
  await fileSystem.list(directory); // fails if the directory may be entered but not read
  const ownerPid = isOurs ? undefined : await lockHolder(fileSystem, directory);
  return { directory, only, ownerPid };
}

async function findPartitions(
  fileSystem: FileSystem,
  directory: string,
  only: string | undefined,
): Promise<FoundPartition[]> {
  const found: FoundPartition[] = [];
  for (const { name, isDirectory } of await fileSystem.list(directory)) {
    const place = partitionOfDirectory(name);
    if (!isDirectory || place === undefined || name.endsWith(DELETE_DIRECTORY_SUFFIX)) continue;
    if (place.topic === METADATA_TOPIC) continue;
    if (only !== undefined && name !== only) continue;
    const path = join(directory, name);
    const isThere = await isPartitionDirectory(fileSystem, path).catch((cause: unknown) => {
      if (errnoOf(cause) === 'ENOENT') return false; // its topic was deleted meanwhile
      throw cause;
    });
    if (isThere) found.push({ ...place, directory: path });
  }
  const byName = (a: FoundPartition, b: FoundPartition): number =>
    a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1;
  return found.sort(byName);
}

async function checkMeta(fileSystem: FileSystem, directory: string): Promise<Finding[]> {
  const content = (await fileSystem.readFile(join(directory, META_FILE))).toString('utf8');
  const isSound = /^version=\d+$/m.test(content) && clusterIdIn(content) !== undefined;
  return isSound ? [] : [damagedFile(directory, META_FILE, 'it names no version or cluster.id')];
}

async function checkAborted(fileSystem: FileSystem, directory: string): Promise<Finding[]> {
  const content = await fileSystem.readFile(join(directory, ABORTED_FILE));
  if (decodeAbortedFile(content) !== undefined) return [];
  return [damagedFile(directory, ABORTED_FILE, 'its checksum does not match')];
}

async function readProducerIds(
  fileSystem: FileSystem,
  directory: string,
  findings: Finding[],
): Promise<number | undefined> {
  const path = join(directory, PRODUCER_IDS_FILE);
  if ((await fileSystem.stat(path)) === undefined) return undefined;
  const text = (await fileSystem.readFile(path)).toString('utf8').trim();
  if (/^\d+$/.test(text)) return Number(text);
  findings.push(damagedFile(directory, PRODUCER_IDS_FILE, 'it does not hold a number'));
  return undefined;
}

function damagedFile(directory: string, name: string, what: string): Finding {
  const file = join(directory, name);
  const meaning = `${LOSSES[name] ?? ''} Move it away: ${REPAIR}`;
  return { severity: 'problem', file, what, meaning, mends: [{ kind: 'remove', file }] };
}

function unusable(directory: string, reason: string, cause?: unknown): LogError {
  const message = `${directory} cannot be looked into: ${reason}; name a data directory`;
  return new LogError('DIRECTORY_UNUSABLE', message, { directory, reason }, { cause });
}

function refused(directory: string, cause: unknown): LogError {
  const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
  const reason = REFUSALS[errnoOf(inner) ?? ''];
  return reason === undefined
    ? storageFailure(directory, 'open', cause)
    : unusable(directory, reason, cause);
}

const NO_RIGHT = 'this process has no right to read it; change the rights';

const REFUSALS: Readonly<Record<string, string>> = {
  EACCES: NO_RIGHT,
  EPERM: NO_RIGHT,
  ENOTDIR: 'a part of the path is a file',
};
