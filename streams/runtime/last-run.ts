import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import {
  json,
  LogError,
  nodeFileSystem,
  string,
  topic,
  type FileSystem,
  type Log,
} from '../../core/index.ts';
import { offsetsOf, replaceFile } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import { descriptionLike, storesOf } from '../topology/topology-diff.ts';
import type { TopologyModel } from '../topology/topology-model.ts';
import { lastRunTopic, LAST_RUN_CONFIG } from './topics.ts';

/** What an application remembers of the topology that ran last. */
export interface LastRun {
  readonly applicationId: string;
  readonly topology: TopologyModel;
  /** Topics to delete before anything else: the next start ends what a crash broke off. */
  readonly topicsToDelete: readonly string[];
  /** Of a reset that was interrupted: all that the group has committed afterwards. */
  readonly resetTo?: readonly GroupOffsetAt[];
}

/** The next offset that the application reads. */
export interface GroupOffsetAt {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** A `LastRun` as it was found, and where the log has a copy of it. */
export interface FoundLastRun {
  readonly lastRun: LastRun;
  /** False if the state beside it may be that of another run: the log's copy is newer. */
  readonly isOfState: boolean;
  /** False if the file, or the copy, has to be written again. */
  readonly isWhole: boolean;
}

/** In the state directory. */
const LAST_RUN_FILE = 'last-run.json';
const FORMAT_VERSION = 1;
const KEY = 'last-run';

/** What is written, to the file and to the log. The checksum is that of `lastRun`'s JSON. */
interface Written {
  readonly formatVersion: number;
  readonly checksum: string;
  readonly lastRun: LastRun;
  /** Of the file: the offset of the copy in the log. */
  readonly copyOffset?: number;
}

/**
 * Reads what ran last: from the state directory, or from the log if that has a newer copy, or the
 * directory is gone. Undefined if the application never ran. If the directory has the stores of
 * another application, what ran last is that; one without stores leaves it to any other.
 *
 * @throws StreamsError LAST_RUN_UNREADABLE
 */
export async function readLastRun(
  log: Log,
  directory: string,
  applicationId: string,
): Promise<FoundLastRun | undefined> {
  const inDirectory = await readFile(directory);
  const isOurs = inDirectory?.lastRun.applicationId === applicationId;
  if (inDirectory !== undefined && !isOurs && storesOf(inDirectory.lastRun.topology).size > 0) {
    return { lastRun: inDirectory.lastRun, isOfState: true, isWhole: true };
  }
  const file = isOurs ? inDirectory : undefined;
  const copyEnd = await endOfCopy(log, applicationId);
  const next = (file?.copyOffset ?? -1) + 1;
  if (file !== undefined && copyEnd <= next) {
    // The log may have lost its copy, but what the directory has cannot be older.
    return { lastRun: file.lastRun, isOfState: true, isWhole: copyEnd === next };
  }
  const copy = copyEnd > 0 ? await readCopy(log, applicationId, copyEnd) : undefined;
  if (copy === undefined) {
    return file && { lastRun: file.lastRun, isOfState: true, isWhole: false };
  }
  return { lastRun: copy.lastRun, isOfState: false, isWhole: false };
}

/** The same from the state directory alone; undefined if there is none. */
export async function readLastRunFile(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<LastRun | undefined> {
  return (await readFile(directory, fileSystem))?.lastRun;
}

/**
 * Writes what runs now: first to the log, then to the state directory. A crash in between leaves a
 * copy that is newer than the file, and the next start reads that. Durable when it resolves.
 */
export async function writeLastRun(log: Log, directory: string, lastRun: LastRun): Promise<void> {
  const { applicationId } = lastRun;
  const copy = { formatVersion: FORMAT_VERSION, checksum: checksumOf(lastRun), lastRun };
  const handle = copyTopic(applicationId);
  await log.admin().ensureTopic(handle);
  let copyOffset: number;
  {
    await using producer = log.producer();
    const sent = await producer.send(handle, { key: KEY, value: copy });
    copyOffset = sent.offset;
  }
  await nodeFileSystem.makeDirectory(directory);
  const written: Written = { ...copy, copyOffset };
  const bytes = Buffer.from(`${JSON.stringify(written, undefined, 2)}\n`);
  await replaceFile(nodeFileSystem, join(directory, LAST_RUN_FILE), bytes);
}

/** Removes the file, if there is one, but not the copy in the log. */
export async function removeLastRunFile(directory: string): Promise<void> {
  const path = join(directory, LAST_RUN_FILE);
  if ((await nodeFileSystem.stat(path)) !== undefined) await nodeFileSystem.remove(path);
}

async function readFile(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<Written | undefined> {
  const path = join(directory, LAST_RUN_FILE);
  if ((await fileSystem.stat(path)) === undefined) return undefined;
  const bytes = await fileSystem.readFile(path);
  const hint =
    'if you do not have a good copy of it, remove the directory: the state is read back from the ' +
    'changelogs, and the log has a copy of this';
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw unreadable(path, cause instanceof Error ? cause.message : String(cause), hint, cause);
  }
  return checked(path, value, hint);
}

/** The offset after the last copy in the log; 0 without one. */
async function endOfCopy(log: Log, applicationId: string): Promise<number> {
  const name = lastRunTopic(applicationId);
  const { topics } = await log.api.metadata({ topics: [name] });
  const [found] = topics;
  if (found === undefined || found.error !== undefined) return 0;
  return (await offsetsOf(log, name, 0)).latest;
}

async function readCopy(
  log: Log,
  applicationId: string,
  end: number,
): Promise<Written | undefined> {
  const handle = copyTopic(applicationId);
  const place = { topic: handle, partition: 0, offset: end - 1 };
  await using consumer = log.consumer({ isolationLevel: 'read_committed' });
  const assigned = await consumer.assign([place]);
  const name = `topic ${handle.name}`;
  const hint =
    'delete the topic if the state directory, or the topology, is that of the last run: the ' +
    'application then believes it';
  for (;;) {
    try {
      for (const { value } of await assigned.poll({ maxWaitMs: 100 })) {
        return checked(name, value, hint);
      }
    } catch (cause) {
      if (!LogError.is(cause, 'DESERIALIZATION_FAILED')) throw cause;
      throw unreadable(name, cause.message, hint, cause);
    }
    if ((assigned.position({ topic: handle.name, partition: 0 }) ?? end) >= end) return undefined;
  }
}

function copyTopic(applicationId: string) {
  return topic(lastRunTopic(applicationId), {
    ...{ key: string(), value: json<unknown>(), partitions: 1, config: LAST_RUN_CONFIG },
  });
}

/** @throws StreamsError LAST_RUN_UNREADABLE for another version, and for what is damaged. */
function checked(file: string, value: unknown, hint: string): Written {
  const { formatVersion, checksum, lastRun, copyOffset } = (value ?? {}) as Partial<Written>;
  if (typeof formatVersion === 'number' && formatVersion > FORMAT_VERSION) {
    const reason = `it has format ${formatVersion}, and this version reads ${FORMAT_VERSION}`;
    throw unreadable(file, reason, 'run the newer version of Millrace that wrote it');
  }
  const { applicationId, topology, topicsToDelete } = (lastRun ?? {}) as Partial<LastRun>;
  const isWhole =
    formatVersion === FORMAT_VERSION &&
    lastRun !== undefined &&
    checksum === checksumOf(lastRun) &&
    typeof applicationId === 'string' &&
    Array.isArray(topicsToDelete) &&
    descriptionLike(topology) === undefined;
  if (!isWhole) throw unreadable(file, 'it is damaged', hint);
  return { formatVersion, checksum, lastRun, ...(copyOffset !== undefined && { copyOffset }) };
}

function checksumOf(lastRun: LastRun): string {
  return crc32(JSON.stringify(lastRun)).toString(16).padStart(8, '0');
}

function unreadable(file: string, reason: string, hint: string, cause?: unknown): StreamsError {
  const message = `what ran last cannot be read from ${file}: ${reason}; ${hint}`;
  return new StreamsError('LAST_RUN_UNREADABLE', message, { file, reason }, { cause });
}
