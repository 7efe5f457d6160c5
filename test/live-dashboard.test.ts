import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { bytes, openLog, string, topic } from '../core/index.ts';
import { sendLive } from '../examples/live-dashboard/live.ts';
import { ROOT } from './kit/root.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const CHROMIUM = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (path) => path !== undefined && existsSync(path),
);
const MAIN = join(ROOT, 'examples/live-dashboard/main.ts');
/** Of a loaded machine, for what takes a second. */
const PATIENCE_MS = 60_000;

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

interface Server {
  readonly child: ChildProcess;
  readonly url: string;
  readonly errors: string[];
}

async function start(data: string, port = 0): Promise<Server> {
  const args = ['--import', 'tsx', MAIN, '--data', data, '--port', `${port}`];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  child.on('exit', () => running.delete(child));
  const errors: string[] = [];
  createInterface(child.stderr).on('line', (line) => errors.push(line));
  for await (const line of createInterface(child.stdout)) {
    const url = /^live-dashboard: (http:\S+)$/.exec(line)?.[1];
    if (url !== undefined) return { child, url, errors };
  }
  throw new Error(`the server ended: ${errors.join('\n')}`);
}

async function exitOf(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL') {
  const exit = once(child, 'exit');
  child.kill(signal);
  return ((await exit) as [code: number | null])[0];
}

async function openPage(url: string): Promise<Page> {
  const browser: Browser = await puppeteer.launch({
    executablePath: CHROMIUM!,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'], // root in a container
    timeout: PATIENCE_MS,
  });
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(url);
  return page;
}

/** Waits until the page says this of the server. */
async function health(page: Page, text: string): Promise<void> {
  const said = "document.getElementById('health').textContent";
  await page.waitForFunction(`${said}.includes(${JSON.stringify(text)})`);
}

/** Waits until the page shows at least so many requests for a path; returns how many it shows. */
async function total(page: Page, path: string, least: number): Promise<number> {
  const cell = `document.querySelector('tr[data-path="${path}"] td:nth-child(3)')`;
  const shown = await page.waitForFunction(
    `Number(${cell}?.textContent) >= ${least} && Number(${cell}.textContent)`,
  );
  return (await shown.jsonValue()) as number;
}

async function request(url: string, path: string, count: number): Promise<number> {
  const answers = Array.from({ length: count }, async () => {
    const { status } = await fetch(new URL(path, url));
    return status === 200;
  });
  const settled = await Promise.allSettled(answers);
  return settled.filter((each) => each.status === 'fulfilled' && each.value).length;
}

test.skipIf(CHROMIUM === undefined)(
  'a page shows requests while they come, through kill -9, bad requests and SIGTERM' +
    (CHROMIUM === undefined ? ' (skipped: apt-get install chromium)' : ''),
  async () => {
    const data = join(temporaryDirectory(), 'data');
    const first = await start(data);
    const { url } = first;
    const page = await openPage(url);
    await health(page, 'RUNNING');
    expect(await request(url, '/shop', 20)).toBe(20);
    expect(await request(url, '/docs/start/here?at=1', 5)).toBe(5);
    expect(await total(page, '/shop', 20)).toBe(20);
    expect(await total(page, '/docs/start', 5)).toBe(5);
    const raw = await fetch(new URL('/raw', url), { method: 'POST', body: 'no event' });
    expect(raw.status).toBe(202);
    await health(page, '1 bad requests set aside');

    // Killed under load: what was answered is there, once.
    let answered = 0;
    let sent = 0;
    const rounds = (async () => {
      for (let round = 0; round < 40 && !first.child.killed; round++) {
        sent += 10;
        answered += await request(url, '/load', 10);
      }
    })();
    await total(page, '/load', 20);
    await exitOf(first.child, 'SIGKILL');
    await rounds;
    await health(page, 'away');
    const second = await start(data, Number(new URL(url).port));
    await health(page, 'RUNNING');
    await total(page, '/load', answered);
    expect(await total(page, '/shop', 20)).toBe(20);
    expect(await request(url, '/load', 1)).toBe(1);
    await total(page, '/load', answered + 1);

    expect(await exitOf(second.child, 'SIGTERM')).toBe(0);
    await health(page, 'away');
    expect(second.errors).toEqual([]);
    const counted = await total(page, '/load', answered + 1);
    expect(counted).toBeLessThanOrEqual(sent + 1);
    expect(counted).toBe(await recordsOf(data, '/load'));
  },
  4 * PATIENCE_MS,
);

async function recordsOf(data: string, key: string): Promise<number> {
  await using log = await openLog(data);
  const requests = topic('requests', { key: string(), value: bytes(), partitions: 4 });
  const consumer = log.consumer().subscribe([requests]);
  let count = 0;
  for (;;) {
    const records = await consumer.poll({ maxWaitMs: 100 });
    if (records.length === 0) return count;
    count += records.filter((record) => record.key === key).length;
  }
}

/** A browser that reads slowly, and goes away at a moment of the test's. */
class SlowResponse extends EventEmitter {
  readonly writeHead = (): void => undefined;
  readonly end = (): void => undefined;

  write(): boolean {
    setImmediate(() => this.emit('drain'));
    return false;
  }
}

test('a browser that reads slowly takes no listeners, and may leave at any moment', async () => {
  const slow = new SlowResponse();
  const counts: number[] = [];
  const query = async function* () {
    for (let round = 0; round < 3; round++) {
      yield [];
      counts.push(slow.listenerCount('close'));
    }
    slow.write = () => false; // it never drains
    slow.emit('close');
    yield [];
  };
  const app = { state: 'RUNNING', metrics: () => ({ failedRecords: {}, tasks: [] }) };
  const given = [slow, query(), app] as unknown as Parameters<typeof sendLive>;
  await sendLive(...given);
  expect(counts).toEqual([1, 1, 1]);
});
