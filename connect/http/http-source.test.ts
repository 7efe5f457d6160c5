import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import {
  json,
  openLog,
  seededRandom,
  silentLogger,
  string,
  systemClock,
  topic,
  type Log,
} from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { connectFailure, failureOf } from '../../test/kit/connect.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import type { HttpPage } from './http-source-task.ts';
import { httpSource } from './http-source.ts';

interface Event {
  readonly id: number;
}

const events = topic('events', { key: string(), value: json<Event>() });
const temporaryLog = (): Promise<Log> => openLog(temporaryDirectory(), { logger: silentLogger });

/** A server that answers as it is told. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
    if (!response.writableEnded) response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`, requests };
}

const upTo = (end: number): Event[] => Array.from({ length: end }, (_, id) => ({ id: id + 1 }));

/** A server of pages of three events, up to `last()`. */
const servePages = (last: () => number) =>
  serve(({ url = '' }, response) => {
    const after = Number(new URL(url, 'http://x').searchParams.get('after'));
    response.end(JSON.stringify(upTo(last()).filter(({ id }) => id > after && id <= after + 3)));
  });

/** Reads those pages. */
const pagesOf = (url: string, options: { follow?: boolean; pollIntervalMs?: number } = {}) =>
  httpSource({
    topic: events,
    url: (after: number | undefined) => `${url}?after=${after ?? 0}`,
    rows: ({ body }) => body as Event[],
    cursor: ({ body }) => (body as Event[]).at(-1)?.id,
    key: ({ id }) => `k${id}`,
    timestamp: ({ id }) => id,
    ...options,
  });

test('[CONNECT-HTTP-7] pages are read to the end, and the next run continues', async () => {
  await using log = await temporaryLog();
  let last = 8;
  const { url, requests } = await servePages(() => last);
  expect(await new SourceRunner(log, pagesOf(url)).run()).toMatchObject({ records: 8 });
  last = 10;
  expect(await new SourceRunner(log, pagesOf(url)).run()).toMatchObject({ records: 2 });
  expect(await new SourceRunner(log, pagesOf(url)).run()).toMatchObject({ records: 0 });
  expect(await readValues(log, events, 'read_committed')).toEqual(upTo(10));
  expect(requests.map((request) => Number(request.url?.split('=')[1]))).toEqual([
    ...[0, 3, 6, 8, 8, 10, 10],
  ]);
});

test('[CONNECT-HTTP-7] after a kill at each step, each row is in the topic once', async () => {
  for (const step of ['source-1-flush', 'source-2-offsets', 'source-3-end', 'source-4-committed']) {
    const disk = new MemoryFileSystem({ random: seededRandom(1) });
    const open = (fileSystem: MemoryFileSystem) =>
      openLog('/data', { fileSystem, random: seededRandom(2), logger: silentLogger });
    const { url } = await servePages(() => 20);
    const log = await open(disk);
    let [countdown, after] = [3, disk];
    const onStep = (at: string): void => {
      if (at !== step || --countdown > 0) return;
      after = disk.kill();
      throw new RangeError('killed');
    };
    const options = { onStep, commitRecordsMax: 3 };
    expect(await failureOf(new SourceRunner(log, pagesOf(url), options).run())).toMatchObject({
      message: 'killed',
    });
    await using again = await open(after);
    await new SourceRunner(again, pagesOf(url)).run();
    expect(await readValues(again, events, 'read_committed')).toEqual(upTo(20));
    await failureOf(log.close());
  }
});

test('[CONNECT-HTTP-8] an unchanged answer is read once, across restarts', async () => {
  await using log = await temporaryLog();
  let [body, etag] = [upTo(2), '"one"'];
  const modified = 'Mon, 30 Nov 2026 10:00:00 GMT';
  const { url, requests } = await serve(({ headers }, response) => {
    if (headers['if-none-match'] === etag) response.writeHead(304);
    else response.writeHead(200, { etag, 'last-modified': modified }).end(JSON.stringify(body));
  });
  const source = () => httpSource({ topic: events, url, key: (row: Event) => `k${row.id}` });
  expect(await new SourceRunner(log, source()).run()).toMatchObject({ records: 2, isEnded: true });
  expect(await new SourceRunner(log, source()).run()).toMatchObject({ records: 0 });
  expect(requests[1]?.headers).toMatchObject({
    ...{ 'if-none-match': etag, 'if-modified-since': modified },
  });
  [body, etag] = [[{ id: 9 }], '"two"'];
  expect(await new SourceRunner(log, source()).run()).toMatchObject({ records: 1 });
  const ids = (await readValues(log, events, 'read_committed')).map((value) => value?.id);
  expect(ids).toEqual([1, 2, 9]);
});

test('[CONNECT-HTTP-9] with follow it looks again until it is stopped', async () => {
  await using log = await temporaryLog();
  let last = 2;
  const { url } = await servePages(() => last);
  const runner = new SourceRunner(log, pagesOf(url, { follow: true, pollIntervalMs: 5 }));
  const running = runner.run();
  await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(2);
  last = 7;
  await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(7);
  await runner.stop();
  expect(await running).toMatchObject({ records: 7, isEnded: false });
  expect(await readValues(log, events, 'read_committed')).toEqual(upTo(7));
});

test('[CONNECT-HTTP-9] stop ends the wait for a server that is busy', async () => {
  await using log = await temporaryLog();
  const { url, requests } = await serve((_, response) => {
    response.writeHead(503, { 'retry-after': '100' });
  });
  const runner = new SourceRunner(log, pagesOf(url, { follow: true }));
  const running = runner.run();
  await expect.poll(() => requests.length, { timeout: 20_000 }).toBe(1);
  await runner.stop();
  expect(await running).toMatchObject({ records: 0, isEnded: false });
});

test('[CONNECT-HTTP-10] a bad row is told with its JSON; a bad answer ends the run', async () => {
  await using log = await temporaryLog();
  const { url } = await serve((_, response) => response.end('[{"id":1},null,{"id":3}]'));
  const source = (rows?: () => readonly Event[]) =>
    httpSource({
      ...{ topic: events, url, key: (row: Event) => String(row.id) },
      ...(rows !== undefined && { rows }),
    });
  const { signal } = new AbortController();
  const context = { offset: () => undefined, signal, clock: systemClock };
  const [task] = await source().open(context);
  const batch = await task!.poll();
  expect(batch?.records.map(({ value }) => value)).toEqual([{ id: 1 }, { id: 3 }]);
  expect(batch?.describe?.(1)).toBe(`${url}, row 3`);
  const [bad, ...others] = batch?.bad ?? [];
  expect(others).toEqual([]);
  expect([bad?.stage, bad?.position, String(bad?.raw)]).toEqual([
    ...['convert', { url, row: 2 }, 'null'],
  ]);
  expect(await connectFailure(new SourceRunner(log, source()).run())).toMatchObject({
    code: 'ROW_FAILED',
    details: { line: 2, option: 'key' },
  });
  const noRows = source(() => 'no array' as never);
  expect(await connectFailure(new SourceRunner(log, noRows).run())).toMatchObject({
    code: 'HTTP_REFUSED',
  });
  const html = await serve((_, response) => response.end('<html>'));
  expect(await connectFailure(new SourceRunner(log, pagesOf(html.url)).run())).toMatchObject({
    code: 'INVALID_JSON',
  });
  const missing = await serve((_, response) => response.writeHead(404).end('no such page'));
  expect(await connectFailure(new SourceRunner(log, pagesOf(missing.url)).run())).toMatchObject({
    code: 'HTTP_REFUSED',
    details: { status: 404, reason: 'no such page' },
  });
  const large = await serve((_, response) => response.end(JSON.stringify(upTo(1000))));
  const limited = httpSource({
    ...{ topic: events, url: large.url, key: (row: Event) => String(row.id), bodyBytesMax: 1000 },
  });
  expect(await connectFailure(new SourceRunner(log, limited).run())).toMatchObject({
    code: 'HTTP_REFUSED',
    message: expect.stringContaining('bodyBytesMax=1000') as unknown,
  });
});

test('[CONNECT-HTTP-6] wrong types of a source do not compile', () => {
  const url = 'https://example.org/';
  const texts = topic('texts', { key: string(), value: string() });
  // @ts-expect-error the rows are no strings, and no function makes some of them
  httpSource({ topic: texts, url, key: (row: Event) => String(row.id) });
  // @ts-expect-error the topic's keys are strings
  httpSource({ topic: events, url, key: (row: Event) => row.id });
  const rows = ({ body }: HttpPage): Event[] => body as Event[];
  httpSource({ topic: texts, url, rows, key: (row) => `k${row.id}`, value: (row) => `${row.id}` });
  // @ts-expect-error the rows have no such field
  httpSource({ topic: events, url, rows, key: (row) => String(row.name) });
  const missing = { topic: events, url } as never;
  expect(() => httpSource(missing)).toThrow('key is missing');
});

test('[CONNECT-HTTP-11] integers keep all their digits, in rows and in the cursor', async () => {
  await using log = await temporaryLog();
  const first = 9007199254740993n;
  const { url, requests } = await serve(({ url: path = '' }, response) => {
    const after = BigInt(new URL(path, 'http://x').searchParams.get('after') ?? 0);
    response.end(after < first ? `[{"id":${first}}]` : after === first ? '[{"id":1e400}]' : '[]');
  });
  const big = topic('big', { key: string(), value: json<{ readonly id: bigint | number }>() });
  const source = (numbers?: 'double') =>
    httpSource({
      topic: big,
      url: (after: string | undefined) => `${url}?after=${after ?? 0}`,
      rows: ({ body }) => body as { readonly id: bigint | number }[],
      cursor: ({ body }) => (body as { readonly id: bigint | number }[]).at(-1)?.id.toString(),
      key: ({ id }: { readonly id: bigint | number }) => String(id),
      ...(numbers !== undefined && { numbers }),
    });
  expect(await connectFailure(new SourceRunner(log, source()).run())).toMatchObject({
    code: 'INVALID_JSON',
    message: expect.stringContaining('see the option numbers') as unknown,
  });
  expect(requests.map(({ url: path }) => path?.split('=')[1])).toEqual(['0', String(first)]);
  const { signal } = new AbortController();
  const context = { offset: () => undefined, signal, clock: systemClock };
  const [exact] = await source().open(context);
  expect((await exact!.poll())?.records.map(({ value }) => value)).toEqual([{ id: first }]);
  const [rounded] = await source('double').open(context);
  const values = (await rounded!.poll())?.records.map(({ value }) => value);
  expect(values).toEqual([{ id: Number(first) }]);
});
