import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import {
  json,
  openLog,
  seededRandom,
  silentLogger,
  string,
  topic,
  type ConsumerRecord,
  type Log,
} from '../../core/index.ts';
import { ManualClock, MemoryFileSystem } from '../../core/testing/index.ts';
import { connectFailure, failureOf } from '../../test/kit/connect.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { SinkRunner } from '../runtime/sink-runner.ts';
import { httpSink } from './http-sink.ts';

const numbers = topic('numbers', { key: string(), value: json<number>() });

interface Received {
  readonly key: string;
  readonly body: unknown;
  readonly request: IncomingMessage;
}

/** How a test's server answers; 200 if it does nothing. */
type Answer = (received: Received, response: ServerResponse) => void;

/** A server that keeps what it receives, in order. */
async function serve(answer: Answer = () => undefined, port = 0) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += String(chunk)));
    request.on('end', () => {
      const key = String(request.headers['idempotency-key']);
      const each = { key, body: JSON.parse(text) as unknown, request };
      received.push(each);
      answer(each, response);
      if (!response.writableEnded && !response.destroyed) response.end('ok');
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(close);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=secret`;
  return { url, received, close, bodies: () => received.map(({ body }) => body) };
}

const temporaryLog = (): Promise<Log> => openLog(temporaryDirectory(), { logger: silentLogger });

async function produce(log: Log, from: number, end: number): Promise<void> {
  await using producer = log.producer();
  const values = Array.from({ length: end - from }, (_, index) => from + index);
  await producer.sendAll(
    numbers,
    values.map((value) => ({ key: 'k', value })),
  );
}

test('[CONNECT-HTTP-1] each record is one request, with its key, in order', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 5);
  const { url, received, bodies } = await serve();
  const sink = httpSink({
    ...{ topic: numbers, url, headers: { authorization: 'Bearer secret' } },
    value: ({ value }) => (value === 3 ? undefined : { value }),
  });
  expect(sink.delivery).toBe('idempotent');
  await new SinkRunner(log, sink).finish();
  expect(bodies()).toEqual([0, 1, 2, 4].map((value) => ({ value })));
  const [{ topicId } = { topicId: '' }] = await log.admin().describeTopics(['numbers']);
  expect(received.map(({ key }) => key)).toEqual(
    [0, 1, 2, 4].map((offset) => `numbers-0-${offset}-${topicId}`),
  );
  const { headers, method } = received[0]!.request;
  expect([method, headers['content-type'], headers.authorization]).toEqual([
    ...['POST', 'application/json', 'Bearer secret'],
  ]);
});

test('[CONNECT-HTTP-2] after a kill at each step, each record counts once', async () => {
  for (const step of ['http-1-request', 'http-2-answer', 'sink-1-output', 'sink-2-offsets']) {
    const disk = new MemoryFileSystem({ random: seededRandom(1) });
    const open = (fileSystem: MemoryFileSystem) =>
      openLog('/data', { fileSystem, random: seededRandom(2), logger: silentLogger });
    const { url, received } = await serve();
    const log = await open(disk);
    await produce(log, 0, 20);
    let [countdown, after] = [step.startsWith('http') ? 13 : 2, disk];
    const onStep = (at: string): void => {
      if (at !== step || --countdown > 0) return;
      after = disk.kill();
      throw new RangeError('killed');
    };
    const options = { onStep, commitRecordsMax: 5 };
    const sink = httpSink({ topic: numbers, url });
    await failureOf(new SinkRunner(log, sink, options).finish());
    const before = received.length;
    expect(before).toBeGreaterThan(4);
    await using again = await open(after);
    await new SinkRunner(again, sink).finish();
    await failureOf(log.close());
    const byKey = new Map(received.map(({ key, body }) => [key, body]));
    expect([...byKey.values()]).toEqual(Array.from({ length: 20 }, (_, value) => value));
    expect(new Set(received.map(({ key, body }) => `${key} ${String(body)}`)).size).toBe(20);
  }
});

test('[CONNECT-HTTP-3] a busy or failing server gets the same request again', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 3);
  const failures: ((response: ServerResponse) => void)[] = [
    (response) => response.writeHead(503).end('restarting'),
    (response) => response.writeHead(429, { 'retry-after': '1' }).end(),
    (response) => response.destroy(),
  ];
  const clock = new ManualClock();
  const waits: number[] = [];
  const { url, received, bodies } = await serve((_, response) => failures.shift()?.(response));
  const setTimer = clock.setTimer.bind(clock);
  clock.setTimer = (delayMs, callback) => {
    if (delayMs !== 7_777) waits.push(delayMs);
    return setTimer(delayMs === 7_777 ? 1e9 : 0, callback);
  };
  const sink = httpSink({ topic: numbers, url, requestTimeoutMs: 7_777 });
  const running = new SinkRunner(log, sink, { clock }).finish();
  const ticking = setInterval(() => clock.advance(1), 1);
  await running;
  clearInterval(ticking);
  expect(bodies()).toEqual([0, 0, 0, 0, 1, 2]);
  expect(new Set(received.slice(0, 4).map(({ key }) => key)).size).toBe(1);
  expect(waits.slice(0, 3)).toEqual([100, 1_000, 400]);
});

test('[CONNECT-HTTP-3] a server that stays away is HTTP_UNAVAILABLE; nothing is lost', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 3);
  const { url, close } = await serve();
  await close();
  const sink = httpSink({ topic: numbers, url, retryTimeoutMs: 250 });
  const failure = await connectFailure(new SinkRunner(log, sink).finish());
  expect(failure).toMatchObject({ code: 'HTTP_UNAVAILABLE', details: { status: 0 } });
  expect(failure.message).toContain('ECONNREFUSED');
  expect(failure.message).not.toContain('secret');
  const again = await serve(undefined, Number(new URL(url).port));
  await new SinkRunner(log, sink).finish();
  expect(again.bodies()).toEqual([0, 1, 2]);
});

test('[CONNECT-HTTP-3] a server that never answers runs into requestTimeoutMs', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 1);
  const { url } = await serve();
  const hanging = createServer(() => undefined);
  await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => hanging.closeAllConnections());
  const { port } = hanging.address() as AddressInfo;
  const sink = httpSink({
    ...{ topic: numbers, url: url.replace(/:\d+/, `:${port}`) },
    ...{ requestTimeoutMs: 50, retryTimeoutMs: 0 },
  });
  const { message } = await connectFailure(new SinkRunner(log, sink).finish());
  expect(message).toContain('no answer within 50 ms');
  hanging.close();
});

test('[CONNECT-HTTP-4] a refused record is rejected; of a batch, only that record', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 5);
  const refuse: Answer = ({ body }, response) => {
    const values = Array.isArray(body) ? (body as unknown[]) : [body];
    if (values.includes(2)) response.writeHead(422).end('no two');
  };
  const one = await serve(refuse);
  const failure = new SinkRunner(log, httpSink({ topic: numbers, url: one.url })).finish();
  expect(await connectFailure(failure)).toMatchObject({
    code: 'ROW_UNWRITABLE',
    details: { offset: 2 },
    message: expect.stringContaining('422: no two') as unknown,
  });
  const { url, bodies } = await serve(refuse);
  const batches = httpSink({ topic: numbers, url, name: 'batches', batchRecordsMax: 4 });
  expect(batches.delivery).toBe('at-least-once');
  const rejected: number[] = [];
  const task = await batches.open({
    topics: [{ topic: 'numbers', topicId: 'id', partitions: 1 }],
    signal: new AbortController().signal,
    clock: new ManualClock(),
    onStep: () => undefined,
    reject: ({ offset }) => rejected.push(offset),
  });
  const consumer = await log.consumer().assign([{ topic: numbers, partition: 0, offset: 0 }]);
  await task.put(await consumer.poll({ maxWaitMs: 5_000 }));
  await consumer.close();
  expect(rejected).toEqual([2]);
  expect(bodies()).toEqual([[0, 1, 2, 3], [0], [1], [2], [3], [4]]);
});

test('[CONNECT-HTTP-4] a wrong address or missing rights end the run', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 1);
  for (const status of [301, 401, 403, 404]) {
    const { url } = await serve((_, response) => {
      response.writeHead(status, { location: 'http://127.0.0.1:1/other' }).end();
    });
    const failure = connectFailure(new SinkRunner(log, httpSink({ topic: numbers, url })).finish());
    expect(await failure).toMatchObject({ code: 'HTTP_REFUSED', details: { status } });
  }
});

test('[CONNECT-HTTP-5] stop ends the wait for a server, and the record is sent later', async () => {
  await using log = await temporaryLog();
  await produce(log, 0, 1);
  let isBusy = true;
  const { url, received } = await serve((_, response) => {
    if (isBusy) response.writeHead(429, { 'retry-after': '100' }).end();
  });
  const sink = httpSink({ topic: numbers, url });
  const runner = new SinkRunner(log, sink);
  const failed = connectFailure(runner.run());
  await expect.poll(() => received.length, { timeout: 20_000 }).toBe(1);
  await runner.stop();
  expect(await failed).toMatchObject({ code: 'HTTP_UNAVAILABLE' });
  isBusy = false;
  expect(await new SinkRunner(log, sink).finish()).toMatchObject({ records: 1 });
  expect(received[0]?.key).toBe(received[1]?.key);
});

test('[CONNECT-HTTP-6] wrong types do not compile, and wrong options are errors', () => {
  const url = 'https://example.org/';
  httpSink({ topic: numbers, url, value: ({ value }) => value?.toFixed(2) });
  const texts = ({ value }: ConsumerRecord<string, string>) => value;
  // @ts-expect-error the topic has numbers
  httpSink({ topic: numbers, url, value: texts });
  const code = (options: unknown): unknown => {
    try {
      return httpSink(options as never);
    } catch (error) {
      expect(String(error)).not.toContain('hunter2');
      return (error as { code?: unknown }).code;
    }
  };
  expect(code({ topic: numbers, url: 'ftp://example.org/' })).toBe('INVALID_OPTION');
  expect(code({ topic: numbers, url, headers: { 'x y': 'hunter2' } })).toBe('INVALID_OPTION');
  expect(code({ topic: numbers, url, headers: { xy: 'hun\nter2' } })).toBe('INVALID_OPTION');
  expect(code({ topic: numbers, url, method: 'GET' })).toBe('INVALID_OPTION');
  expect(code({ topic: numbers })).toBe('INVALID_OPTION');
  expect(code({ topic: numbers, uri: url })).toBe('UNKNOWN_OPTION');
});
