/**
 * A site whose requests are events, counted by minute and path, and shown while they come:
 *
 *     npx tsx examples/live-dashboard/main.ts --port 8080
 *
 * Ctrl-C or SIGTERM stops it. After kill -9 it goes on: what it has answered is counted once.
 */
import { parseArgs } from 'node:util';
import { openLog } from 'millrace';
import { StreamsApp } from 'millrace/streams';
import { createSite } from './server.ts';
import { dashboardTopology } from './topology.ts';

/** How long a stop waits for answers on their way. */
const LAST_ANSWERS_MS = 2000;
const USAGE = 'usage: live-dashboard [--port PORT] [--data DIRECTORY]';
const { port, data } = readFlags();

const log = await openLog(data);
const { topology, counts } = dashboardTopology();
const app = new StreamsApp(log, topology, { applicationId: 'dashboard' });
await app.start();
const site = createSite({ log, app, counts });

let isStopping = false;
async function stop(): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  const closed = new Promise<void>((done) => site.close(() => done()));
  try {
    await app.close(); // commits; the live queries, and with them their answers, end
    // Browsers open connections that they may never use.
    const late = setTimeout(() => site.closeAllConnections(), LAST_ANSWERS_MS);
    await closed;
    clearTimeout(late);
  } finally {
    await log.close();
  }
  console.log('live-dashboard: stopped');
}

function fail(error: unknown): void {
  console.error(`live-dashboard: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void stop().catch(fail));
}
app.done.catch(fail).then(stop).catch(fail);
site.on('error', (error) => {
  fail(error);
  stop().catch(fail);
});
site.listen(port, '127.0.0.1', () => {
  const address = site.address();
  const listening = typeof address === 'object' && address !== null ? address.port : port;
  console.log(`live-dashboard: http://127.0.0.1:${listening}/`);
});

function readFlags(): { readonly port: number; readonly data: string } {
  try {
    const { values } = parseArgs({
      options: { port: { type: 'string' }, data: { type: 'string' } },
    });
    const wanted = Number(values.port ?? 8080);
    if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535) {
      throw new TypeError(`--port is 0 to 65535, not ${values.port}`);
    }
    return { port: wanted, data: values.data ?? './data/live-dashboard' };
  } catch (error) {
    console.error(`live-dashboard: ${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}
