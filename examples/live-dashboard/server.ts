import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { systemClock, type Log } from 'millrace';
import type { StreamsApp } from 'millrace/streams';
import { sendLive } from './live.ts';
import { rawRequests, requests, SHOWN_MS, type dashboardTopology } from './topology.ts';

const PAGE = readFileSync(new URL('page.html', import.meta.url));
const BODY_BYTES_MAX = 64 * 1024;
/** Longer paths, and what follows a path's second part, would make too many rows. */
const PATH_LENGTH_MAX = 64;

interface Site {
  readonly log: Log;
  readonly app: StreamsApp;
  readonly counts: ReturnType<typeof dashboardTopology>['counts'];
}

/**
 * The site: `/` is the page, `/live` its events, POST `/raw` puts its body into the topic as it is.
 * Every other request is an event itself, and is answered when the log has it: from then on it is
 * counted, whatever happens to the process.
 */
export function createSite({ log, app, counts }: Site): Server {
  const producer = log.producer();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = pathOf(request);
    if (path === undefined) {
      respond(response, 400, 'no such path\n');
      return;
    }
    if (path === '/') {
      response.setHeader('content-type', 'text/html').end(PAGE);
      return;
    }
    if (path === '/live') {
      const query = app.store(counts).watchFetchAll(systemClock.nowMs() - SHOWN_MS);
      return sendLive(response, query, app);
    }
    if (path === '/raw') {
      const body = await bodyOf(request);
      if (body === undefined) {
        respond(response, 413, `over ${BODY_BYTES_MAX} bytes\n`);
        return;
      }
      await producer.send(rawRequests, { key: path, value: body });
      respond(response, 202, 'written as it is\n');
      return;
    }
    await producer.send(requests, { key: path, value: { status: 200 } });
    respond(response, 200, `counted: ${path}\n`);
  };
  return createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      console.error(`live-dashboard: ${request.url}: ${String(error)}`);
      if (response.headersSent) response.destroy();
      else respond(response, 503, 'not counted: try again\n');
    });
  });
}

/** The first two parts of a path; undefined if it is none. */
function pathOf({ url = '' }: IncomingMessage): string | undefined {
  if (!url.startsWith('/')) return undefined;
  const [path = ''] = url.split('?', 1);
  return path.split('/', 3).join('/').slice(0, PATH_LENGTH_MAX);
}

/** Undefined if it is too long. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length <= BODY_BYTES_MAX) parts.push(part); // reads on, so that the answer gets through
  }
  return length > BODY_BYTES_MAX ? undefined : Buffer.concat(parts);
}

function respond(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
}
