import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytes, json, openLog, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { inputFile } from '../../test/kit/connect.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { PluginRegistry, type ConnectPlugin } from '../plugin.ts';
import { SinkRunner } from '../runtime/sink-runner.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import { stdinSourcePlugin, stdoutSinkPlugin } from '../stdio/stdio-plugins.ts';
import { BUILT_IN_PLUGINS } from './built-in-plugins.ts';
import { makeConnector, type ConnectorDefinition } from './definition.ts';
import { envProvider } from './providers.ts';
import { validateConnector } from './making-options.ts';

const temporaryLog = (): Promise<Log> => openLog(temporaryDirectory(), { logger: silentLogger });

/** Runs the connector of a definition to its end, or over all that there is. */
async function run(
  log: Log,
  given: Omit<ConnectorDefinition, 'name'>,
  plugins: readonly ConnectPlugin[] = BUILT_IN_PLUGINS,
): Promise<void> {
  const registry = new PluginRegistry(plugins);
  const definition: ConnectorDefinition = { name: 'tried', ...given };
  const providers = { env: envProvider({ TOKEN: 'swordfish' }) };
  const made = await makeConnector(definition, { plugins: registry, providers });
  if ('issues' in made) throw new TypeError(JSON.stringify(made.issues));
  const { topicCreation } = definition;
  if (made.kind === 'source') {
    await new SourceRunner(log, made.connector, {
      ...(topicCreation !== undefined && { topicCreation }),
      logger: silentLogger,
    }).run();
    return;
  }
  const runner = new SinkRunner(log, made.connector, { logger: silentLogger });
  const ended = runner.run();
  await runner.finish();
  await ended;
}

const rows = topic('rows', { key: string(), value: json<unknown>() });
const raw = topic('rows', { key: bytes(), value: bytes() });
const textRows = topic('rows', { key: string(), value: string() });

describe('[CONNECT-PLUGINS-1] file-source by config', () => {
  test.each<readonly [name: string, content: string | Buffer, config: object, expected: unknown]>([
    ['lines', 'a\nb\n', { format: 'lines' }, ['a', 'b']],
    [
      'lines of several lines',
      'a\n b\nc\n',
      { format: 'lines', formatOptions: { multilineContinues: '^ ' } },
      ['a\n b', 'c'],
    ],
    [
      'another encoding',
      Buffer.from('é\n', 'latin1'),
      { format: 'lines', formatOptions: { encoding: 'latin1' } },
      ['é'],
    ],
    [
      'CSV',
      '#x\nid;n\na;1\n',
      {
        format: 'csv',
        formatOptions: { delimiter: ';', comment: '#', columns: { n: 'number' } },
      },
      [{ id: 'a', n: 1 }],
    ],
    [
      'CSV without header',
      'a,1\n',
      { format: 'csv', formatOptions: { header: 'id,n' } },
      [{ id: 'a', n: '1' }],
    ],
    ['JSON lines', '{"n":9007199254740993}\n', { format: 'jsonl' }, [{ n: 9007199254740993n }]],
    [
      'JSON lines with numbers as text',
      '{"n":9007199254740993}\n',
      { format: 'jsonl', formatOptions: { numbers: 'text' } },
      [{ n: '9007199254740993' }],
    ],
    ['a JSON array', '[{"a":1},\n{"a":2}]', { format: 'jsonArray' }, [{ a: 1 }, { a: 2 }]],
    ['a part of each row', '{"a":{"b":[1]}}\n', { format: 'jsonl', value: 'a.b' }, [[1]]],
  ])('%s', async (_, content, config, expected) => {
    await using log = await temporaryLog();
    const path = inputFile(content);
    await run(log, { connector: 'file-source', config: { path, topic: 'rows', ...config } });
    expect(await readValues(log, rows)).toEqual(expected);
  });

  test('bytes of a fixed number, and whole files', async () => {
    await using log = await temporaryLog();
    const path = inputFile('abcdef');
    const config = { path, topic: 'rows', format: 'fixedBytes', formatOptions: { sizeBytes: '3' } };
    const valueConverter = 'bytes';
    await run(log, { connector: 'file-source', config, valueConverter });
    const whole = { path, topic: 'rows', format: 'wholeFiles', value: 'content', key: 'path' };
    await run(log, {
      connector: 'file-source',
      name: 'whole',
      config: whole,
      valueConverter,
    } as never);
    const read = await readTopic(log, raw);
    expect(read.map(({ value }) => String(value))).toEqual(['abc', 'def', 'abcdef']);
    expect(String(read[2]?.key)).toBe(path);
  });

  test('keys, times and headers of fields, and files that are left out and removed', async () => {
    await using log = await temporaryLog();
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'a.jsonl'), '{"id":7,"at":"2017-07-14","trace":[1,"x"]}\n');
    writeFileSync(join(directory, 'b.jsonl'), '{"id":8}\n');
    await run(log, {
      connector: 'file-source',
      keyConverter: 'integer',
      headerConverter: 'json',
      config: {
        ...{ path: join(directory, '*.jsonl'), format: 'jsonl', topic: 'rows', key: 'id' },
        ...{
          timestamp: 'at',
          headers: 'trace:trace,none:nothing',
          exclude: join(directory, 'b.*'),
        },
        ...{ whenRead: 'move', moveTo: join(directory, 'done') },
      },
    });
    const [record] = await readTopic(log, raw);
    expect(Buffer.from(record?.key ?? []).toString('hex')).toBe('00000007');
    expect(record?.timestampMs).toBe(Date.parse('2017-07-14'));
    expect(record?.headers.map(({ key, value }) => [key, value && String(value)])).toEqual([
      ['trace', '[1,"x"]'],
      ['none', null],
    ]);
    expect(readdirSync(directory).sort()).toEqual(['b.jsonl', 'done']);
    expect(readdirSync(join(directory, 'done'))).toEqual(['a.jsonl']);
  });
});

const ROWS = [
  { id: 'a', n: 1 },
  { id: 'b', n: 2 },
  { id: 'b', n: 3 },
];

describe('[CONNECT-PLUGINS-2] file-sink by config', () => {
  async function written(config: object, more: object = {}): Promise<Map<string, Buffer>> {
    await using log = await temporaryLog();
    const producer = log.producer();
    for (const value of ROWS) {
      await producer.send(rows, { key: value.id, value, timestampMs: value.n * 60_000 });
    }
    const path = join(temporaryDirectory(), 'out');
    const all = { path, topic: 'rows', ...config };
    await run(log, { connector: 'file-sink', config: all, ...more });
    const names = readdirSync(path, { recursive: true }) as string[];
    const parts = names.filter((name) => /part|\d/.test(name) && name.includes('.'));
    return new Map(parts.sort().map((name) => [name, readFileSync(join(path, name))]));
  }

  test.each([
    ['csv', { formatOptions: { header: ['n', 'id'], delimiter: ';' } }, 'n;id\n1;a\n2;b\n3;b\n'],
    ['jsonl', { value: 'n' }, '1\n2\n3\n'],
    ['lines', { value: 'id' }, 'a\nb\nb\n'],
  ])('%s', async (format, config, expected) => {
    const parts = await written({ format, ...config });
    expect([...parts.values()].map(String)).toEqual([expected]);
  });

  test('Parquet and Avro, which file-source reads', async () => {
    const parquet = await written({ format: 'parquet', formatOptions: { compression: 'gzip' } });
    expect([...parquet.values()].map((each) => each.subarray(0, 4).toString())).toEqual(['PAR1']);
    const fields = [
      { name: 'id', type: 'string' },
      { name: 'n', type: 'int' },
    ];
    const schema = { type: 'record', name: 'R', fields };
    const avro = await written({ format: 'avro', formatOptions: { schema, compression: 'none' } });
    expect([...avro.values()].map((each) => each.subarray(0, 3).toString())).toEqual(['Obj']);
    await using log = await temporaryLog();
    for (const [format, parts] of [
      ['parquet', parquet],
      ['avro', avro],
    ] as const) {
      const [content] = [...parts.values()];
      const path = inputFile(content!, `rows.${format}`);
      const config = { path, topic: `${format}-rows`, format };
      await run(log, { connector: 'file-source', config });
      const back = topic(`${format}-rows`, { key: string(), value: json<unknown>() });
      expect(await readValues(log, back)).toEqual(ROWS);
    }
  });

  test('compressed, in directories, and cut by records, event time and fields', async () => {
    const packed = await written({ format: 'jsonl', compression: 'gzip', value: 'n' });
    expect([...packed.values()].map((each) => gunzipSync(each).toString())).toEqual(['1\n2\n3\n']);
    const laid = await written({ format: 'jsonl', value: 'id', layout: '{key}', openPartsMax: 9 });
    expect([...laid.keys()].map((name) => name.split('/')[0])).toEqual(['a', 'b']);
    for (const [policy, expected] of [
      [{ partRecords: 2 }, ['1\n2\n', '3\n']],
      [{ partEventMs: 60_000 }, ['1\n', '2\n', '3\n']],
      [{ partBy: 'id' }, ['1\n', '2\n3\n']],
      [{ partBy: 'key' }, ['1\n', '2\n3\n']],
    ] as const) {
      const parts = await written({ format: 'jsonl', value: 'n', ...policy });
      expect([...parts.values()].map(String)).toEqual(expected);
    }
  });
});

describe('[CONNECT-PLUGINS-3] http-source and http-sink by config', () => {
  test('read pages by a cursor, and send records, with an authorization', async () => {
    const requests: { url: string; authorization: string | undefined; body: string }[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { url = '', headers } = request;
        requests.push({ url, authorization: headers.authorization, body });
        const after = Number(new URL(url, 'http://x').searchParams.get('after'));
        const items = [1, 2, 3].filter((id) => id > after).slice(0, 2);
        response.end(JSON.stringify({ data: { items: items.map((id) => ({ id })) } }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await using log = await temporaryLog();
    await run(log, {
      connector: 'http-source',
      config: {
        ...{ url: `${base}/events?after={cursor}`, rows: 'data.items', cursorField: 'id' },
        ...{ cursorStart: '0', topic: 'rows', authorization: 'Bearer ${env:TOKEN}' },
      },
    });
    expect(await readValues(log, rows)).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }]);
    expect(requests.map(({ url }) => url)).toEqual([
      ...['/events?after=0', '/events?after=2', '/events?after=3'],
    ]);
    expect(requests[0]?.authorization).toBe('Bearer swordfish');
    requests.length = 0;
    const config = { url: `${base}/hook`, topic: 'rows', value: 'id', batchRecordsMax: 2 };
    await run(log, { connector: 'http-sink', config });
    expect(requests.map(({ body }) => body)).toEqual(['[1,2]', '[3]']);
  });
});

test('[CONNECT-PLUGINS-4] stdin-source and stdout-sink by config', async () => {
  await using log = await temporaryLog();
  const input = Readable.from([Buffer.from('one\ntwo\n')]);
  const output = new PassThrough();
  const plugins = BUILT_IN_PLUGINS.filter(({ name }) => !/std/.test(name));
  const all = [...plugins, stdinSourcePlugin({ input }), stdoutSinkPlugin({ output })];
  const config = { format: 'lines', topic: 'rows' };
  await run(log, { connector: 'stdin-source', config, valueConverter: 'string' }, all);
  expect(await readValues(log, textRows)).toEqual(['one', 'two']);
  await run(log, { connector: 'stdout-sink', config, valueConverter: 'string' }, all);
  expect(String(output.read())).toBe('one\ntwo\n');
});

describe('[CONNECT-PLUGINS-5] every mistake is told at once', () => {
  const mistakes = async (definition: object): Promise<string[]> => {
    const issues = await validateConnector(definition, { plugins: BUILT_IN_PLUGINS });
    return issues.map(({ field, problem }) => `${field}: ${problem}`);
  };

  test('of the definition, of the converters, of the config and of the format', async () => {
    const found = await mistakes({
      ...{ name: 'a b', connector: 'file-source', comit: 1, commitIntervalMs: 0 },
      ...{ keyConverter: 'strin', valueConverter: { type: 'json', config: { schema: {} } } },
      topicCreation: { default: { partitions: 0 } },
      transforms: [{ type: 'Cast', config: { spec: 'a:int33' } }],
      config: {
        ...{ path: 'x', topic: 'a/b', format: 'csv', topicConfig: { retentionM: 1 } },
        ...{ formatOptions: { delimitr: ';', lineBytesMax: 0 }, whenRead: 'move', follow: true },
        headers: 'a',
      },
    });
    expect(found.map((each) => each.slice(0, each.indexOf(':')))).toEqual([
      ...['comit', 'commitIntervalMs', 'name', 'topicCreation', 'keyConverter'],
      ...[
        'valueConverter.config.schema',
        'transforms.0.spec',
        'config.topic',
        'config.topicConfig',
      ],
      ...['config.formatOptions.delimitr', 'config.formatOptions.lineBytesMax', 'config.headers'],
      ...['config.moveTo', 'config.whenRead'],
    ]);
  });

  test('of options that do not go together', async () => {
    const config = { path: 'x', topic: 't', format: 'parquet', follow: true, moveTo: 'y' };
    expect(await mistakes({ name: 's', connector: 'file-source', config })).toEqual([
      expect.stringMatching(/^config.moveTo: it must be left out/),
      expect.stringMatching(/^config.follow: it must be false: files of parquet/),
    ]);
    const late = { ...config, follow: false, start: 'end', moveTo: undefined };
    expect(await mistakes({ name: 's', connector: 'file-source', config: late })).toEqual([
      'config.start: it must be beginning without follow',
    ]);
  });

  test('of the sink and of HTTP', async () => {
    const sink = {
      path: 'x',
      topic: 't',
      format: 'avro',
      compression: 'gzip',
      timeZone: 'Nowhere',
    };
    expect(
      await mistakes({
        ...{ name: 's', connector: 'file-sink', topicCreation: {}, transactionBoundary: 'poll' },
        config: { ...sink, layout: '{nope}' },
      }),
    ).toEqual([
      'transactionBoundary: it is for sources only',
      'topicCreation: it is for sources only',
      expect.stringMatching(/^config.formatOptions.schema: it is missing/),
      expect.stringMatching(/^config.layout: /),
      expect.stringMatching(/^config.timeZone: it must be the name of a time zone/),
      expect.stringMatching(/^config.compression: it must be none/),
    ]);
    const http = { url: 'http://x/{cursor}', topic: 't', headers: { 'a b': 'swordfish' } };
    const found = await mistakes({ name: 'h', connector: 'http-source', config: http });
    expect(found).toEqual([
      expect.stringMatching(/^config.headers: .*"a b"/),
      expect.stringMatching(/^config.url: .*cursorField/),
    ]);
    expect(found.join()).not.toContain('swordfish');
  });

  test('[CONNECT-CONVERTERS-1] and one that is not used is refused', async () => {
    const own: ConnectPlugin = {
      ...{ kind: 'source', name: 'own', doc: 'Own.' },
      config: { '~standard': { version: 1, vendor: 'own', validate: (value) => ({ value }) } },
      create: () => ({ name: 'own', topics: [], isBounded: true, open: async () => [] }),
    };
    const definition = { name: 'x', connector: 'own', config: {}, keyConverter: 'string' };
    expect(await validateConnector(definition, { plugins: [...BUILT_IN_PLUGINS, own] })).toEqual([
      { field: 'keyConverter', problem: 'own makes bytes of keys and values itself' },
    ]);
  });
});

test('[CONNECT-CONVERTERS-1] a definition names converters with their configs', async () => {
  await using log = await temporaryLog();
  const path = inputFile('{"id":5,"n":[1]}\n');
  await run(log, {
    connector: 'file-source',
    config: { path, format: 'jsonl', topic: 'rows', key: 'id', headers: 'n:n' },
    keyConverter: 'long',
    valueConverter: { type: 'json', config: { schemasEnable: true } },
    headerConverter: { type: 'json', config: { schemasEnable: 'true' } },
  });
  const [record] = await readTopic(log, raw);
  expect(Buffer.from(record?.key ?? []).toString('hex')).toBe('0000000000000005');
  expect(String(record?.value)).toBe('{"schema":null,"payload":{"id":5,"n":[1]}}');
  expect(String(record?.headers[0]?.value)).toBe('{"schema":null,"payload":[1]}');
});

describe('[CONNECT-PLUGINS-6] topics are created as rules say', () => {
  test('by the first group that has the name, else by default', async () => {
    await using log = await temporaryLog();
    const source = (name: string, more: object = {}) => {
      const path = inputFile('a\n');
      return {
        name,
        connector: 'file-source',
        config: { path, topic: name, format: 'lines', ...more },
      };
    };
    const topicCreation = {
      default: { partitions: 3, config: { retentionMs: 5_000 } },
      groups: {
        odd: { include: ['odd.*', 'both'], exclude: ['odd-not'], config: { segmentMs: 7_000 } },
        late: { include: ['both', 'late'], partitions: 5 },
      },
    };
    for (const definition of [
      source('plain'),
      ...[source('odd-one'), source('odd-not'), source('both'), source('late')],
      source('own', { partitions: 2, topicConfig: { retentionMs: 9 } }),
    ]) {
      await run(log, { ...definition, topicCreation });
    }
    const admin = log.admin();
    const seen: Record<string, unknown> = {};
    for (const name of ['plain', 'odd-one', 'odd-not', 'both', 'late', 'own']) {
      const partitions = (await admin.offsets(name)).length;
      const settings = await admin.describeConfigs(name);
      const value = (key: string) => settings.find((each) => each.name === key)?.value;
      seen[name] = [partitions, value('retention.ms'), value('segment.ms')];
    }
    const [retention, segment] = ['-1', '604800000'];
    expect(seen).toEqual({
      plain: [3, '5000', segment],
      'odd-one': [3, retention, '7000'],
      'odd-not': [3, '5000', segment],
      both: [3, retention, '7000'],
      late: [5, retention, segment],
      own: [2, '9', segment],
    });
  });

  test('and a topic that is there stays as it is', async () => {
    await using log = await temporaryLog();
    await log.admin().createTopic('rows', { partitions: 4 });
    const config = { path: inputFile('a\n'), topic: 'rows', format: 'lines' };
    const topicCreation = { default: { partitions: 2 } };
    await run(log, { connector: 'file-source', config, topicCreation });
    expect(await log.admin().offsets('rows')).toHaveLength(4);
  });

  test('and rules with mistakes are refused', async () => {
    await using log = await temporaryLog();
    const connector = { name: 'x', topics: [], isBounded: true, open: async () => [] };
    const refuse = (topicCreation: object): (() => unknown) => {
      return () => new SourceRunner(log, connector, { topicCreation });
    };
    expect(refuse({ defaults: {} })).toThrow(/did you mean default\?/);
    expect(refuse({ groups: { a: {} } })).toThrow(/include is missing/);
    expect(refuse({ groups: { a: { include: ['('] } } })).toThrow(/regular expressions/);
    expect(refuse({ groups: { 7: { include: ['a'] } } })).toThrow(/a name that is no number/);
    expect(refuse({ default: { config: { retentionM: 1 } } })).toThrow(/retention.ms/);
  });
});
