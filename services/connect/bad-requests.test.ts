import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BUILT_IN_PLUGINS } from '../../connect/index.ts';
import { serveWorker } from '../../test/kit/connect-rest.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { fieldsOf } from './flat-reading.ts';

const containing = (text: string): unknown => expect.stringContaining(text);
const JSON_TYPE = { 'content-type': 'application/json' };

/** A file source, but for what `changes` say. */
function fileSource(path: string, changes: object = {}): { name: string; config: object } {
  const config = {
    'connector.class': 'file-source',
    path,
    format: 'lines',
    topic: 't',
    ...changes,
  };
  return { name: 'in', config };
}

/** Calls with headers that `fetch` does not send. */
function statusOf(url: string, headers: Record<string, string>, method = 'GET'): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/connectors`, { method, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** What is wrong; the call, its body and headers; status, and a part of the message. */
type Bad = readonly [
  what: string,
  call: string,
  body: string | undefined,
  headers: Record<string, string>,
  status: number,
  message: string,
];
const STATE = '{"name":"a","config":{},"initial_state":"ON"}';

const BAD: readonly Bad[] = [
  ['no JSON', 'POST /connectors', '{"name": ', JSON_TYPE, 500, 'the body is not JSON'],
  ['no UTF-8', 'POST /connectors', '\ud800', JSON_TYPE, 500, 'the body is not JSON'],
  ['no object', 'POST /connectors', '[]', JSON_TYPE, 500, 'must be a JSON object'],
  ['no body', 'POST /connectors', undefined, {}, 500, 'the body is missing'],
  ['no config', 'POST /connectors', '{"name":"a"}', JSON_TYPE, 500, 'the body is missing'],
  ['a field too many', 'POST /connectors', '{"nam":"a"}', JSON_TYPE, 500, 'field "nam"'],
  ['no name', 'POST /connectors', '{"name":1}', JSON_TYPE, 500, 'name must be a string'],
  [
    'a form',
    'POST /connectors',
    'a=b',
    { 'content-type': 'text/plain' },
    415,
    'HTTP 415 Unsupported Media Type',
  ],
  ['another method', 'DELETE /connectors', undefined, {}, 405, 'HTTP 405 Method Not Allowed'],
  ['another path', 'GET /weather', undefined, {}, 404, 'HTTP 404 Not Found'],
  ['another type', 'GET /', undefined, { accept: 'text/html' }, 406, 'HTTP 406 Not Acceptable'],
  ['no type', 'PUT /connectors/a/config', '{}', JSON_TYPE, 400, 'no connector type'],
  ['a state', 'POST /connectors', STATE, JSON_TYPE, 500, 'initial_state must be'],
];

describe('[CONNECT-REST-2] a request that cannot be answered', () => {
  test.each(BAD)('has the status of Kafka Connect: %s', async (...bad) => {
    const [, call, body, headers, status, message] = bad;
    const { send } = await serveWorker();
    const answer = await send(call, body, headers);
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual({ error_code: status, message: containing(message) });
  });

  test('names the methods that there are', async () => {
    const { send } = await serveWorker();
    const wrong = await send('POST /connectors/a/config', {});
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toBe('GET,HEAD,OPTIONS,PATCH,PUT');
    const options = await send('OPTIONS /connectors');
    expect([options.status, options.headers.get('allow')]).toEqual([200, 'GET,HEAD,OPTIONS,POST']);
  });

  test('is answered before a body that is too large has arrived', async () => {
    const { send } = await serveWorker({ bodyBytesMax: 100 });
    const body = { name: 'x'.repeat(200), config: {} };
    expect((await send('POST /connectors', body)).body).toEqual({
      ...{ error_code: 413, message: 'the body has more than bodyBytesMax=100 bytes' },
    });
  });

  test('has 409 once another worker has the connectors', async () => {
    const { send, log, worker } = await serveWorker();
    const { ConnectWorker } = await import('../../connect/index.ts');
    const { plugins } = worker;
    await using other = new ConnectWorker(log, { plugins: plugins.list(), workerId: 'w1' });
    await other.start();
    const config = { 'connector.class': 'counter' };
    expect((await send('POST /connectors', { name: 'a', config })).status).toBe(409);
  });

  test('has 503 while the worker has not started', async () => {
    const { ConnectWorker } = await import('../../connect/index.ts');
    const { serveConnect } = await import('./serve-connect.ts');
    const { log } = await serveWorker();
    const worker = new ConnectWorker(log, { plugins: [], workerId: 'w2' });
    await using server = await serveConnect(worker, { port: 0 });
    const health = await fetch(`${server.url}/health`);
    expect([health.status, await health.json()]).toEqual([
      ...[503, { status: 'starting', message: 'Worker is still starting up.' }],
    ]);
  });
});

describe('[CONNECT-REST-3] a config with mistakes', () => {
  const bad = {
    'connector.class': 'file-source',
    format: 'xml',
    topik: 't',
    'tasks.max': '0',
    'errors.tolerance': 'some',
    transforms: 'a,b',
    'transforms.a.type': 'Casst',
    'transforms.b.type': 'org.apache.kafka.connect.transforms.InsertField$Key',
    'transforms.b.static.field': 'x',
    'transforms.c.type': 'Cast',
    key: '${env:NONE}',
    partitions: null,
  };
  const mistakes = {
    'tasks.max': 'it must be an integer, 1 or more, not "0"',
    'errors.tolerance': containing('"none" or "all"'),
    'transforms.a.type': 'there is no transform Casst; did you mean Cast?',
    'transforms.b.static.field': containing('together with staticValue'),
    'transforms.c.type': 'transforms has no such alias; there are a,b',
    key: '${env:NONE} stands for nothing',
    partitions: 'null is no value of a configuration',
    topik: containing('did you mean topic?'),
    path: containing('it is missing'),
    format: containing('"csv"'),
    topic: containing('it is missing'),
  };

  test('has all of them told, under the names that the caller used', async () => {
    const { send, worker } = await serveWorker({ allowedRoots: ['/'] });
    const answer = await send('POST /connectors', { name: 'in', config: bad });
    const { message } = answer.body as { message: string };
    const [first, ...lines] = message.split('\n');
    expect(first).toBe(
      'Connector configuration is invalid and contains the following 11 error(s):',
    );
    const told = lines.slice(0, -1).map((line) => /^(\S+): (.*)$/.exec(line)!.slice(1));
    expect(Object.fromEntries(told)).toEqual(mistakes);
    expect(worker.statuses()).toEqual([]);
  });

  test('is validated field by field', async () => {
    const { send } = await serveWorker({ allowedRoots: ['/'] });
    const config = { ...bad, name: 'in' };
    const call = 'PUT /connector-plugins/file-source/config/validate';
    const { status, body } = await send(call, config);
    const { configs, error_count, groups, name } = body as {
      readonly name: string;
      readonly error_count: number;
      readonly groups: readonly string[];
      readonly configs: readonly {
        readonly definition: { readonly name: string } | null;
        readonly value: { readonly name: string; readonly value: unknown; errors: unknown[] };
      }[];
    };
    expect([status, name, error_count]).toEqual([200, 'file-source', 11]);
    expect(groups).toEqual([
      ...['Common', 'Transforms', 'Predicates', 'Error Handling', 'Commits', 'file-source'],
      ...['Transforms: b'],
    ]);
    const faulty = configs.filter(({ value }) => value.errors.length > 0);
    expect(Object.fromEntries(faulty.map(({ value }) => [value.name, value.errors[0]]))).toEqual(
      mistakes,
    );
    expect(configs.find(({ value }) => value.name === 'follow')).toMatchObject({
      definition: { type: 'BOOLEAN', default_value: 'false', group: 'file-source' },
      value: { value: 'false', recommended_values: ['true', 'false'], errors: [], visible: true },
    });
    expect((await send(call, { name: 'in' })).status).toBe(400);
    expect((await send(call, { 'connector.class': 'counter' })).body).toEqual({
      error_code: 400,
      message: 'Included connector type counter does not match request type file-source',
    });
    const unnamed = await send(call, { 'connector.class': 'file-source' });
    expect(unnamed.body).toMatchObject({ error_count: 4 });
  });

  test('names its connector, and one that there is', async () => {
    const { send } = await serveWorker();
    const config = { 'connector.class': 'conter', name: 'b' };
    expect((await send('POST /connectors', { name: 'a', config })).body).toEqual({
      error_code: 400,
      message: containing("(b) doesn't match connector name in the request (a)"),
    });
    expect((await send('PUT /connectors/b/config', config)).body).toEqual({
      error_code: 400,
      message: containing('which name matches conter, available connectors are: counter, file-'),
    });
    const empty = { name: ' ', config: { 'connector.class': 'counter' } };
    expect((await send('POST /connectors', empty)).body).toMatchObject({
      ...{ error_code: 400, message: containing('name: it is missing') },
    });
  });
});

describe('[CONNECT-REST-4] paths in configs', () => {
  test('are refused without allowed roots', async () => {
    const { send, worker } = await serveWorker();
    const { status, body } = await send('POST /connectors', fileSource('/tmp/in.txt'));
    expect(status).toBe(400);
    expect(body).toMatchObject({ message: containing('(PATH_NOT_ALLOWED)') });
    const reference = {
      name: 'c',
      config: { 'connector.class': 'counter', token: '${file:/etc/passwd}' },
    };
    expect((await send('POST /connectors', reference)).body).toMatchObject({
      message: containing('the path /etc/passwd is not allowed'),
    });
    expect(worker.statuses()).toEqual([]);
  });

  test('are known: those of all plugins that we have', () => {
    const fields = BUILT_IN_PLUGINS.flatMap((plugin) => {
      return Object.entries(fieldsOf(plugin)).map(([name, { type }]) => [plugin.name, name, type]);
    });
    const paths = fields.filter(([, , type]) => type === 'path');
    expect(paths.map(([plugin, name]) => `${plugin!} ${name!}`).sort()).toEqual([
      ...['file-sink path', 'file-source moveTo', 'file-source path', 'mirror path'],
      ...['sqlite-sink path', 'sqlite-source path'],
    ]);
    const isLike = (name: string): boolean =>
      /^(path|file|dir|moveTo)|(Path|File|Dir|Directory)$/.test(name);
    const others = fields.filter(([, name, type]) => type !== 'path' && isLike(name!));
    expect(others).toEqual([['http-source', 'cursorPath', 'string']]);
  });

  test('lead below an allowed root, whatever links there are', async () => {
    const base = temporaryDirectory();
    const [root, outside] = [join(base, 'root'), join(base, 'outside')];
    for (const each of [root, outside, join(root, 'a')]) mkdirSync(each);
    for (const each of [root, outside]) writeFileSync(join(each, 'in.txt'), 'one\n');
    symlinkSync(outside, join(root, 'way-out'));
    symlinkSync(join(outside, 'in.txt'), join(root, 'a', 'link.txt'));
    symlinkSync(join(outside, 'none'), join(root, 'dangling'));
    symlinkSync(root, join(base, 'root-link'));
    const { send, worker } = await serveWorker(
      { allowedRoots: [join(base, 'root-link')] },
      { env: { SECRET: '/etc/swordfish' } },
    );
    const check = async (path: string): Promise<boolean> => {
      const { name, config } = fileSource(path);
      const call = 'PUT /connector-plugins/file-source/config/validate';
      const { body } = await send(call, { name, ...config });
      return (body as { error_count: number }).error_count === 0;
    };
    const allowed = ['in.txt', '*.txt', 'later/in.txt', '*.tx?', '{in,out}.txt', 'a/../in.txt'];
    for (const path of allowed) expect([path, await check(join(root, path))]).toEqual([path, true]);
    expect(await check(join(base, 'root-link', 'in.txt'))).toBe(true);
    const refused = [
      ...[outside, `${root}/../outside/in.txt`, `${root}/way-out/in.txt`, `${root}/way-out/*.txt`],
      ...[`${root}/*/../../outside/in.txt`, `{${outside},${root}}/in.txt`, `${root}/{..,a}/*.txt`],
      ...[`${root}/a/*.txt`, `${root}/a/link.txt`, `${root}/dangling`, `${root}x/in.txt`],
      ...['/etc/passwd', 'in.txt', `${root}/**/in.tx?`, `${root}/*/in.txt`, '**'],
    ];
    for (const path of refused) expect([path, await check(path)]).toEqual([path, false]);
    const secret = await send('POST /connectors', fileSource('${env:SECRET}'));
    expect(JSON.stringify(secret.body)).toContain('${env:SECRET} stands for');
    expect(JSON.stringify(secret.body)).not.toContain('swordfish');
    expect(worker.statuses()).toEqual([]);
    const file = join(root, 'in.txt');
    expect((await send('POST /connectors', fileSource(file))).status).toBe(201);
    expect((await send('PATCH /connectors/in/config', { path: outside })).status).toBe(400);
  });
});

describe('[CONNECT-REST-5] secrets', () => {
  const config = { 'connector.class': 'counter', token: 'swordfish', end: '1' };

  test('come back hidden, and stay if they are sent back so', async () => {
    const { send, worker } = await serveWorker();
    const created = await send('POST /connectors', { name: 'c', config });
    const shown = { ...config, name: 'c', token: '[hidden]' };
    expect(created.body).toMatchObject({ config: shown });
    expect((await send('PUT /connectors/c/config', { ...shown, end: '2' })).status).toBe(200);
    expect((await send('PATCH /connectors/c/config', { end: '3' })).body).toMatchObject({
      config: { ...shown, end: '3' },
    });
    expect(worker.status('c').definition.config).toEqual({ token: 'swordfish', end: '3' });
    for (const path of ['', '/c', '/c/config', '/c/tasks', '?expand=info', '/c/status']) {
      const { body } = await send(`GET /connectors${path}`);
      expect(JSON.stringify(body)).not.toContain('swordfish');
    }
    const call = 'PUT /connector-plugins/counter/config/validate';
    const validated = await send(call, { ...config, name: 'c', end: 'x' });
    expect(JSON.stringify(validated.body)).toContain('[hidden]');
    expect(JSON.stringify(validated.body)).not.toContain('swordfish');
    const other = await send('PUT /connectors/d/config', { ...shown, name: 'd' });
    expect(other.body).toMatchObject({ message: containing('stands for no secret so far') });
  });

  test('that are references stay references', async () => {
    const { send } = await serveWorker({}, { env: { TOKEN: 'swordfish' } });
    const token = '${env:TOKEN}';
    await send('POST /connectors', { name: 'c', config: { ...config, token } });
    expect((await send('GET /connectors/c/config')).body).toMatchObject({ token });
    const partly = { ...config, token: 'sword${env:TOKEN}' };
    await send('PUT /connectors/c/config', partly);
    expect((await send('GET /connectors/c/config')).body).toMatchObject({ token: '[hidden]' });
  });
});

describe('[CONNECT-REST-6] a service that only this machine reaches', () => {
  test('does not answer pages of other sites', async () => {
    const { server } = await serveWorker({ allowedHosts: ['connect.local'] });
    const { url, port } = server;
    const evil = 'http://evil.example';
    expect(await statusOf(url, { host: `localhost:${port}` })).toBe(200);
    expect(await statusOf(url, { host: `127.0.0.1:${port}`, origin: url })).toBe(200);
    expect(await statusOf(url, { origin: 'http://localhost:3000' })).toBe(200);
    expect(await statusOf(url, { host: 'Connect.local' })).toBe(200);
    expect(await statusOf(url, { origin: 'https://connect.local' })).toBe(200);
    expect(await statusOf(url, { host: `evil.example:${port}` })).toBe(403);
    expect(await statusOf(url, { host: `evil.example:${port}`, origin: evil })).toBe(403);
    expect(await statusOf(url, { origin: evil })).toBe(403);
    expect(await statusOf(url, { origin: 'null' })).toBe(403);
    expect(await statusOf(url, { origin: evil }, 'POST')).toBe(403);
  });
});
