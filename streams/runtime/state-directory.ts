import { join } from 'node:path';
import { EmbeddedLog, LogError, type Log } from '../../core/index.ts';
import type { StreamsSettings } from './options.ts';

/**
 * Where the state of an application lies: in `stateDir`, or else in the directory of the log.
 *
 * @throws LogError INVALID_OPTION without `stateDir` where the log has no directory of its own.
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
