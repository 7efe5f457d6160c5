import { createServer, type Server } from 'node:http';
import type * as NodeServer from '@hono/node-server';
import type { AddressInfo } from 'node:net';
import { LogError, type Clock } from '../../core/index.ts';
import { loadPackage, type Handler } from './app.ts';

/** Where a service listens, and how it ends. */
export interface ListenerOptions {
  /** What is served, for messages: `the REST service of Connect`. */
  readonly service: string;
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** How long requests may take once the service is to end. */
  readonly stopTimeoutMs: number;
  readonly clock: Clock;
}

/** A service that listens. */
export interface Listener {
  /** `http://127.0.0.1:8083` */
  readonly url: string;
  readonly port: number;
  /**
   * Takes no more connections, and resolves when all requests are answered; those that are not in
   * time are cut off.
   */
  close(): Promise<void>;
}

/** How long a request may take to arrive as a whole: it is some kilobytes. */
const ARRIVAL_MS = 30_000;

/**
 * Listens, and has requests answered.
 *
 * @throws LogError SERVICE_UNAVAILABLE if the port is taken or may not be used; PACKAGE_MISSING
 */
export async function listen(handler: Handler, options: ListenerOptions): Promise<Listener> {
  const { host, clock, stopTimeoutMs } = options;
  const { getRequestListener } = await loadPackage<typeof NodeServer>('@hono/node-server');
  const answer = getRequestListener(handler);
  const server = createServer({ requestTimeout: ARRIVAL_MS }, (request, response) => {
    void answer(request, response);
  });
  await listening(server, options);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = clock.setTimer(stopTimeoutMs, () => server.closeAllConnections());
      await closed;
      timer.cancel();
    },
  };
}

function listening(server: Server, { service, host, port }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const reason = cause.message;
      const message = `${service} cannot listen at port ${port} of ${host}: ${reason}`;
      const details = { service, host, port, reason };
      reject(new LogError('SERVICE_UNAVAILABLE', message, details, { cause }));
    });
    server.listen(port, host, resolve);
  });
}
