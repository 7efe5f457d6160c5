import { Log } from '../../core/client/log.ts';
import { openLog as openEmbedded, type OpenLogOptions } from '../../core/client/open-log.ts';
import { throughPort } from './port.ts';

/**
 * As `openLog`, with a message port between the clients and the broker. The project `port` of
 * vitest.config.ts runs the tests of the clients with this one.
 */
export async function openLog(directory: string, options: OpenLogOptions = {}): Promise<Log> {
  const embedded = await openEmbedded(directory, options);
  const environment = { ...options, close: () => embedded.close() };
  delete environment.fileSystem;
  return new Log(throughPort(embedded.api), environment);
}
