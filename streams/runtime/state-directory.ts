import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { EmbeddedLog, LogError, nodeFileSystem, type Log } from '../../core/index.ts';
import { lockDirectory } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { StreamsSettings } from './options.ts';

/**
 * The directory of an application's state: `stateDir`, or else one in the log's directory.
 *
 * @throws LogError INVALID_OPTION without `stateDir` if the log has no directory of its own.
 */
export function stateDirectoryOf(
  log: Log,
  { applicationId, stateDir }: Pick<StreamsSettings, 'applicationId' | 'stateDir'>,
): string {
  if (stateDir !== undefined) return stateDir;
  if (log instanceof EmbeddedLog) return join(log.directory, 'streams', applicationId);
  const allowed = 'a directory';
  const message =
    'StreamsApp: stateDir is missing; it must be a directory, because this log has none of its ' +
    'own to keep the state in';
  throw new LogError('INVALID_OPTION', message, {
    option: 'stateDir',
    value: 'undefined',
    allowed,
  });
}

/** The directories of tasks, of the last run and of those before; none if there is no state. */
export async function taskDirectoriesIn(directory: string): Promise<string[]> {
  if ((await nodeFileSystem.stat(directory)) === undefined) return [];
  const entries = await nodeFileSystem.list(directory);
  return entries.filter(({ name }) => TASK_ID.test(name)).map(({ name }) => join(directory, name));
}

/** Removes the state of all tasks. */
export async function removeState(directory: string): Promise<void> {
  for (const each of await taskDirectoriesIn(directory)) await nodeFileSystem.removeDirectory(each);
}

const TASK_ID = /^\d+_\d+$/;

/**
 * Does something with the directory of an application's state, which is made if it is missing, and
 * keeps others from it meanwhile: two applications would overwrite each other's checkpoints. On one
 * log there is one application of an id, but those on two logs may be given one `stateDir`.
 *
 * @throws StreamsError STATE_LOCKED
 * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL
 */
export async function holdState<T>(directory: string, work: () => Promise<T>): Promise<T> {
  await nodeFileSystem.makeDirectory(directory);
  const release = await lockState(directory);
  try {
    return await work();
  } finally {
    await release();
  }
}

async function lockState(directory: string): Promise<() => Promise<void>> {
  try {
    return await lockDirectory(nodeFileSystem, directory, randomUUID());
  } catch (cause) {
    if (!LogError.is(cause, 'LOG_LOCKED')) throw cause;
    const { ownerPid } = cause.details;
    const owner = ownerPid === process.pid ? 'this process' : 'another process';
    const message =
      `an application of ${owner} (pid ${ownerPid}) keeps its state in ${directory}; ` +
      'close it, or give each application a stateDir of its own';
    throw new StreamsError('STATE_LOCKED', message, { directory, ownerPid }, { cause });
  }
}
