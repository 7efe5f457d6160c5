import { onTestFinished } from 'vitest';
import {
  BUILT_IN_PLUGINS,
  ConnectWorker,
  type ConnectPlugin,
  type WorkerOptions,
} from '../../connect/index.ts';
import { openLog, silentLogger, systemClock, type Log } from '../../core/index.ts';
import {
  Loggers,
  serveConnect,
  type ConnectServer,
  type ServeConnectOptions,
} from '../../services/connect/index.ts';
import { countingSource, forgettingSink } from './counting-plugins.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** An answer of the service. */
export interface RestAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

/** A worker that is served, with `counter` and `forgetter` besides our plugins. */
export interface ServedWorker {
  readonly log: Log;
  readonly worker: ConnectWorker;
  readonly server: ConnectServer;
  /** Sends `GET /connectors`, perhaps with a body, as JSON, or whatever a text is. */
  readonly send: (
    call: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<RestAnswer>;
}

export const REST_PLUGINS: readonly ConnectPlugin[] = [
  ...BUILT_IN_PLUGINS,
  countingSource,
  forgettingSink,
];

/** Serves a worker until the test ends. */
export async function serveWorker(
  options: Omit<ServeConnectOptions, 'port'> = {},
  ofWorker: Partial<WorkerOptions> = {},
): Promise<ServedWorker> {
  const log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const worker = new ConnectWorker(log, {
    ...{ plugins: REST_PLUGINS, logger: silentLogger, workerId: 'w1' },
    ...ofWorker,
  });
  await worker.start();
  const loggers = options.loggers ?? new Loggers(silentLogger, { clock: systemClock });
  const server = await serveConnect(worker, { ...options, loggers, port: 0 });
  onTestFinished(async () => {
    await server.close();
    await worker.close();
    await log.close();
  });
  return { log, worker, server, send: (...call) => sendTo(server.url, ...call) };
}

/** Sends a request such as `GET /connectors`. */
async function sendTo(
  url: string,
  call: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<RestAnswer> {
  const [method = '', path = ''] = call.split(' ');
  const response = await fetch(url + path, {
    method,
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    headers: headers ?? (body === undefined ? {} : { 'content-type': 'application/json' }),
  });
  const text = await response.text();
  const parsed: unknown = text === '' ? undefined : JSON.parse(text);
  return { status: response.status, body: parsed, headers: response.headers };
}

/** Waits until this is so. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 5));
}
