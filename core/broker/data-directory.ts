import { basename, dirname, join } from 'node:path';
import { LogError, type LogErrorCode } from '../errors.ts';
import {
  LOG_SUFFIX,
  offsetOfName,
  PARTITION_METADATA_FILE,
  partitionOfDirectory,
} from '../log/segment/file-names.ts';
import type { Random } from '../random.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { lockDirectory } from '../storage/directory-lock.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { errnoOf } from '../storage/node-fs.ts';

/** Of a broker in a directory that is made here. */
const NODE_ID = 1;
export const META_FILE = 'meta.properties';
export const CLEAN_SHUTDOWN_FILE = '.kafka_cleanshutdown';

/** Failures that already tell what to do about the directory. */
const AS_IT_IS: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'DIRECTORY_UNUSABLE',
  'LOG_LOCKED',
  'TOO_MANY_OPEN_FILES',
]);

/** A data directory that this process has to itself. */
export interface DataDirectory {
  readonly clusterId: string;
  readonly nodeId: number;
  /** Gives the directory back. */
  readonly release: () => Promise<void>;
}

/**
 * Takes a data directory: makes it where there is none, locks it, and gives it an identity. One
 * with other files and no log is left alone.
 *
 * @throws LogError DIRECTORY_UNUSABLE, LOG_LOCKED, TOO_MANY_OPEN_FILES
 */
export async function takeDirectory(
  fileSystem: FileSystem,
  directory: string,
  random: Random,
): Promise<DataDirectory> {
  try {
    await makeDurably(fileSystem, directory);
    await checkIsForLog(fileSystem, directory);
    const release = await lockDirectory(fileSystem, directory, newUuid(random));
    try {
      const identity = await identify(fileSystem, directory, random);
      return { ...identity, release };
    } catch (cause) {
      await release();
      throw cause;
    }
  } catch (cause) {
    if (cause instanceof LogError && AS_IT_IS.has(cause.code)) throw cause;
    throw unusable(directory, cause);
  }
}

/** Makes a directory, and those above it, so that a power cut cannot take them with all in them. */
async function makeDurably(fileSystem: FileSystem, directory: string): Promise<void> {
  const parents: string[] = [];
  let path = directory;
  while (dirname(path) !== path && (await fileSystem.stat(path)) === undefined) {
    path = dirname(path);
    parents.push(path);
  }
  await fileSystem.makeDirectory(directory);
  for (const parent of parents) await fileSystem.syncDirectory(parent);
}

/** Names that do not make a directory somebody's: of a file system, of tools, of streams. */
const HARMLESS = /^(?:\..*|lost\+found|Thumbs\.db|desktop\.ini|streams)$/;
/** Of these, each is a sign that a log is there, or that a process died which was making one. */
const LOG_FILES: readonly RegExp[] = [
  /^(?:meta\.properties|topics\.json|producer-ids)(?:\.tmp)?$/,
  /^[a-z-]+-offset-checkpoint(?:\.tmp)?$/,
];

/**
 * Keeps a log out of a directory that is somebody's: nobody would find out which files are whose.
 * A new log goes into an empty one. Nothing is changed.
 *
 * @throws LogError DIRECTORY_UNUSABLE
 */
async function checkIsForLog(fileSystem: FileSystem, directory: string): Promise<void> {
  const entries = (await fileSystem.list(directory)).filter(({ name }) => !HARMLESS.test(name));
  if (entries.some(({ name }) => LOG_FILES.some((file) => file.test(name)))) return;
  for (const { name, isDirectory } of entries) {
    // Partitions alone, as from a copy, are a log too.
    if (isDirectory && (await isPartitionDirectory(fileSystem, join(directory, name)))) return;
  }
  if (entries.length === 0) return;
  const [first, second, ...others] = entries.map(({ name }) => name).sort();
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  const names = second === undefined ? first! : `${first!}, ${second}${more}`;
  const reason = `it holds other files, and no log (${names}); choose an empty or new directory`;
  throw unusableFor(directory, reason);
}

/** True for a directory that holds a log, and not just has a name like `backup-2024`. */
export async function isPartitionDirectory(
  fileSystem: Pick<FileSystem, 'list'>,
  path: string,
): Promise<boolean> {
  if (partitionOfDirectory(basename(path)) === undefined) return false;
  const entries = await fileSystem.list(path);
  return entries.some(
    ({ name }) => name === PARTITION_METADATA_FILE || offsetOfName(name, LOG_SUFFIX) !== undefined,
  );
}

/**
 * Forgets, durably and before anything is written, whether the last end was clean. Returns whether
 * it was.
 */
export async function clearCleanShutdown(
  fileSystem: FileSystem,
  directory: string,
): Promise<boolean> {
  const path = join(directory, CLEAN_SHUTDOWN_FILE);
  if ((await fileSystem.stat(path)) === undefined) return false;
  await fileSystem.remove(path);
  await fileSystem.syncDirectory(directory);
  return true;
}

/** Says that every log was made durable up to its recovery point, which is its end. */
export async function markCleanShutdown(fileSystem: FileSystem, directory: string): Promise<void> {
  const content = Buffer.from('{"version":0,"brokerEpoch":-1}');
  await replaceFile(fileSystem, join(directory, CLEAN_SHUTDOWN_FILE), content);
}

/** Reads who this broker is from meta.properties, writing the file in a new directory. */
async function identify(
  fileSystem: FileSystem,
  directory: string,
  random: Random,
): Promise<Pick<DataDirectory, 'clusterId' | 'nodeId'>> {
  const path = join(directory, META_FILE);
  if ((await fileSystem.stat(path)) === undefined) {
    const clusterId = newUuid(random);
    const lines = [
      'version=1',
      `cluster.id=${clusterId}`,
      `node.id=${NODE_ID}`,
      `directory.id=${newUuid(random)}`,
    ];
    await replaceFile(fileSystem, path, Buffer.from(`${lines.join('\n')}\n`));
    return { clusterId, nodeId: NODE_ID };
  }
  const content = (await fileSystem.readFile(path)).toString('utf8');
  const clusterId = clusterIdIn(content);
  const nodeId = /^(?:node|broker)\.id=(\d+)$/m.exec(content)?.[1] ?? NODE_ID;
  if (clusterId !== undefined) return { clusterId, nodeId: Number(nodeId) };
  const reason = 'it names no cluster.id';
  throw new LogError('CORRUPT_FILE', `${path} is damaged: ${reason}`, { file: path, reason });
}

/** The cluster id that a meta.properties names. */
export function clusterIdIn(content: string): string | undefined {
  return /^cluster\.id=(\S+)$/m.exec(content)?.[1];
}

/** The content of a `partition.metadata`: as Kafka's, it does not end with the end of a line. */
export function partitionMetadata(topicId: string): Buffer {
  return Buffer.from(`version: 0\ntopic_id: ${topicId}`);
}

/** The id that a `partition.metadata` names. */
export function topicIdIn(content: string): string | undefined {
  return /^topic_id: (\S+)$/m.exec(content)?.[1];
}

/** Kafka's form of a UUID: 22 characters of base64url. */
export function newUuid(random: Random): string {
  return Buffer.from(Array.from({ length: 16 }, () => random.next() * 256)).toString('base64url');
}

function unusable(directory: string, cause: unknown): LogError {
  const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
  const reason =
    REASONS[errnoOf(inner) ?? ''] ?? (cause instanceof Error ? cause.message : String(cause));
  return unusableFor(directory, reason, cause);
}

function unusableFor(directory: string, reason: string, cause?: unknown): LogError {
  const message = `the directory ${directory} cannot be used for a log: ${reason}`;
  const options = cause === undefined ? {} : { cause };
  return new LogError('DIRECTORY_UNUSABLE', message, { directory, reason }, options);
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this process has no right to write there; change the rights or choose another directory',
  EPERM: 'this process has no right to write there; change the rights or choose another directory',
  EROFS: 'the file system is read-only; choose another directory',
  ENOENT: 'the file system lets nobody make directories there; choose another directory',
  ENOTDIR: 'a part of the path is a file; choose another directory',
  EEXIST: 'it is a file; choose another directory',
  ENOSPC: 'the disk is full; free some space or choose another directory',
};
