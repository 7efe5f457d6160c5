import { Log } from '../../core/client/log.ts';
import { openLog as openEmbedded, type OpenLogOptions } from '../../core/client/open-log.ts';
import { throughPort } from './port.ts';

/**
 * Like `openLog`, with a message port between the clients and the broker. The project `port` of
 * vitest.config.ts runs the client tests with it.
 */
export async function openLog(directory: string, options: OpenLogOptions = {}): Promise<Log> {
  const embedded = await openEmbedded(directory, options);
  const environment = { ...options, close: () => embedded.close() };
  delete environment.fileSystem;
  return new Log(throughPort(embedded.api), environment);
}
