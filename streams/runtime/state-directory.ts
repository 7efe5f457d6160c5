import { join } from 'node:path';
import { EmbeddedLog, LogError, nodeFileSystem, type Log } from '../../core/index.ts';
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

/** Removes the state of all tasks. */
export async function removeState(directory: string): Promise<void> {
  if ((await nodeFileSystem.stat(directory)) === undefined) return;
  for (const { name } of await nodeFileSystem.list(directory)) {
    if (TASK_ID.test(name)) await nodeFileSystem.removeDirectory(join(directory, name));
  }
}

const TASK_ID = /^\d+_\d+$/;
