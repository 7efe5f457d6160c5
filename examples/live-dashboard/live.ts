import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { LiveQuery, StreamsApp, WatchedRow, Windowed } from 'millrace/streams';

type Rows = readonly WatchedRow<Windowed<string>, number>[];
/** What the page gets of a row: path, start of the minute, requests; null if it is gone. */
type ShownRow = readonly [path: string, minuteMs: number, count: number | null];

const HEALTH_MS = 500;
const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  connection: 'keep-alive',
};

/**
 * Sends what a live query finds as server-sent events until the browser goes away, and every half
 * second how the application is. A browser that reads slowly gets only the newest of each row.
 */
export async function sendLive(
  response: ServerResponse,
  query: LiveQuery<Rows>,
  app: StreamsApp,
): Promise<void> {
  const loop = query[Symbol.asyncIterator]();
  const closed = new Promise<void>((done) => response.on('close', () => done()));
  void closed.then(() => loop.return?.());
  response.writeHead(200, HEADERS);
  const health = setInterval(() => send(response, 'health', healthOf(app)), HEALTH_MS);
  try {
    send(response, 'health', healthOf(app));
    for (;;) {
      const next = await loop.next();
      if (next.done === true) break;
      const rows = next.value.map(({ key, value }): ShownRow => {
        return [key.key, key.windowStartMs, value ?? null];
      });
      const isDrained = send(response, 'rows', rows);
      if (!isDrained) await Promise.race([once(response, 'drain'), closed]);
    }
  } finally {
    clearInterval(health);
    response.end();
  }
}

function send(response: ServerResponse, event: string, data: unknown): boolean {
  return response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

function healthOf(app: StreamsApp) {
  const { failedRecords, tasks } = app.metrics();
  const lag = tasks.reduce((sum, task) => sum + task.lag, 0);
  return { state: app.state, lag, deadLetters: failedRecords.deadLettered };
}
