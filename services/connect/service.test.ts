import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LogError, silentLogger, systemClock } from '../../core/index.ts';
import { serveWorker, until } from '../../test/kit/connect-rest.ts';
import { ROOT } from '../../test/kit/root.ts';
import { Loggers } from './loggers.ts';
import { serveConnect } from './serve-connect.ts';

describe('[CONNECT-REST-8] the OpenAPI document', () => {
  test('has every endpoint, and is the one that is shipped', async () => {
    const { send } = await serveWorker();
    const { body } = await send('GET /openapi.json');
    const document = body as { paths: Record<string, object>; info: object };
    const calls = Object.entries(document.paths).flatMap(([path, methods]) => {
      return Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`);
    });
    expect(calls.sort()).toMatchInlineSnapshot(`
      [
        "DELETE /connectors/{connector}",
        "DELETE /connectors/{connector}/offsets",
        "GET /",
        "GET /admin/loggers",
        "GET /admin/loggers/{logger}",
        "GET /connector-plugins",
        "GET /connector-plugins/{plugin}/config",
        "GET /connectors",
        "GET /connectors/{connector}",
        "GET /connectors/{connector}/config",
        "GET /connectors/{connector}/offsets",
        "GET /connectors/{connector}/status",
        "GET /connectors/{connector}/tasks",
        "GET /connectors/{connector}/tasks/{task}/status",
        "GET /connectors/{connector}/topics",
        "GET /health",
        "PATCH /connectors/{connector}/config",
        "PATCH /connectors/{connector}/offsets",
        "POST /connectors",
        "POST /connectors/{connector}/restart",
        "POST /connectors/{connector}/tasks/{task}/restart",
        "PUT /admin/loggers/{logger}",
        "PUT /connector-plugins/{plugin}/config/validate",
        "PUT /connectors/{connector}/config",
        "PUT /connectors/{connector}/pause",
        "PUT /connectors/{connector}/resume",
        "PUT /connectors/{connector}/stop",
        "PUT /connectors/{connector}/topics/reset",
      ]
    `);
    const ids = Object.values(document.paths).flatMap((methods) => {
      return Object.values(methods).map(({ operationId }: { operationId: string }) => operationId);
    });
    expect(new Set(ids).size).toBe(ids.length);
    const text = JSON.stringify({ ...document, info: { ...document.info, version: '' } }, null, 2);
    await expect(`${text}\n`).toMatchFileSnapshot(join(ROOT, 'docs/openapi/connect.json'));
    const refs = [...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name!);
    const { schemas } = (body as { components: { schemas: object } }).components;
    expect([...new Set(refs)].filter((name) => !(name in schemas))).toEqual([]);
  });
});

describe('[CONNECT-REST-9] the service', () => {
  test('listens where it is told, or says why not', async () => {
    const { worker } = await serveWorker();
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    const failure = await serveConnect(worker, { port }).catch((error: unknown) => error);
    taken.close();
    expect(LogError.is(failure, 'SERVICE_UNAVAILABLE') && failure.details.port).toBe(port);
    const wrong = { prot: 1 } as object;
    await expect(serveConnect(worker, wrong)).rejects.toThrow('did you mean port?');
  });

  test('ends behind the requests that it answers, and cuts off what takes too long', async () => {
    const { server, send } = await serveWorker({ stopTimeoutMs: 50 });
    const hanging = new ReadableStream({ start: (stream) => stream.enqueue(Buffer.from('{')) });
    const sent = fetch(`${server.url}/connectors`, {
      ...{ method: 'POST', body: hanging, duplex: 'half' },
      headers: { 'content-type': 'application/json' },
    }).catch((error: unknown) => error);
    expect((await send('GET /health')).status).toBe(200);
    const startMs = systemClock.monotonicMs();
    await server.close();
    expect(systemClock.monotonicMs() - startMs).toBeLessThan(5_000);
    expect(await sent).toBeInstanceOf(Error);
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
  });

  test('leaves the worker and its connectors alone', async () => {
    const { server, send, worker } = await serveWorker();
    await send('PUT /connectors/c/config', { 'connector.class': 'counter' });
    await until(() => worker.status('c').state === 'RUNNING');
    await server.close();
    expect(worker.status('c').state).toBe('RUNNING');
  });
});

describe('[CONNECT-REST-10] loggers', () => {
  test('write what their level lets pass', async () => {
    const lines: string[] = [];
    const info = (line: string): void => void lines.push(line);
    const loggers = new Loggers(
      { ...silentLogger, info, debug: info },
      { level: 'INFO', clock: systemClock },
    );
    const { send } = await serveWorker({ loggers });
    await send('GET /connectors');
    expect(lines).toEqual([expect.stringMatching(/^GET \/connectors: 200 in \d+ ms$/)]);
    await send('PUT /admin/loggers/connect', { level: 'WARN' });
    lines.length = 0;
    await send('GET /connectors');
    expect(lines).toEqual([]);
    const worker = loggers.logger('connect.worker');
    worker.info('a');
    expect(loggers.setLevel('root', 'DEBUG')).toEqual([
      ...['connect', 'connect.rest', 'connect.worker', 'root'],
    ]);
    worker.debug('b');
    expect(lines).toEqual(['b']);
    expect(loggers.level('connect.worker')?.level).toBe('DEBUG');
    expect(loggers.level('elsewhere')).toBeUndefined();
  });
});
