import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LogError } from '../core/index.ts';
import { EXPOSITION_TYPE } from '../core/internal.ts';

/** Where Prometheus finds the metrics of a job. */
export interface MetricsOptions {
  /** 0 for any free one, which `onListening` tells. */
  readonly port: number;
  /** Default: 127.0.0.1, so that nobody else reaches it; 0.0.0.0 for all of the network. */
  readonly host?: string;
  /** Called with the address when it can be read. Default: none. */
  readonly onListening?: (url: string) => void;
}

/** Serves metrics until it is closed. */
export interface MetricsServer {
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const PATH = '/metrics';

/**
 * Answers `GET /metrics` with a text for Prometheus, which `read` returns, until `close`.
 *
 * @throws LogError METRICS_UNAVAILABLE if the port is taken or may not be used.
 */
export async function serveMetrics(
  { port, host = HOST, onListening }: MetricsOptions,
  read: () => string,
): Promise<MetricsServer> {
  const server = createServer((request, response) => answer(request, response, read));
  await listening(server, port, host);
  const { port: actual } = server.address() as AddressInfo;
  onListening?.(`http://${host.includes(':') ? `[${host}]` : host}:${actual}${PATH}`);
  return {
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections(); // a scraper keeps one open
      });
    },
  };
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const reason = cause.message;
      const message = `metrics cannot be served at port ${port} of ${host}: ${reason}`;
      reject(new LogError('METRICS_UNAVAILABLE', message, { host, port, reason }, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

function answer(request: IncomingMessage, response: ServerResponse, read: () => string): void {
  const { method, url = '' } = request;
  if (url.split('?')[0] !== PATH) {
    respond(response, 404, `the metrics are at ${PATH}\n`);
    return;
  }
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    respond(response, 405, 'metrics can only be read\n');
    return;
  }
  let text: string;
  try {
    text = read();
  } catch (error) {
    respond(response, 500, `${error instanceof Error ? error.message : String(error)}\n`);
    return;
  }
  respond(response, 200, method === 'HEAD' ? '' : text, EXPOSITION_TYPE);
}

function respond(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': type });
  response.end(text);
}
