import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { connectFailure, inputFile } from '../../test/kit/connect.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { configSchema, field } from '../config.ts';
import type { SinkConnector, SourceConnector } from '../connector.ts';
import { readManifest } from '../file/sink/manifest-file.ts';
import type { ConnectPlugin, SinkPlugin, SourcePlugin } from '../plugin.ts';
import { nodeFileSystem } from '../../core/index.ts';
import { BUILT_IN_PLUGINS } from './built-in-plugins.ts';
import { validateConnector } from './making-options.ts';
import { ConnectWorker, type WorkerOptions } from './worker.ts';
import { connectConfigs, connectStatus } from './worker-store.ts';

const numbers = topic('numbers', { key: string(), value: json<number>() });

const COUNTER = configSchema({
  end: field.integer({ doc: 'Where it ends.', default: 1_000_000_000 }),
  failAt: field.integer({ doc: 'Where it fails.', optional: true }),
  token: field.secret({ doc: 'Unused.', optional: true }),
});

/** Counts, a number a poll; without an end it is slow enough to be watched. */
const counterPlugin: SourcePlugin<{ readonly end: number; readonly failAt: number | undefined }> = {
  ...{ kind: 'source', name: 'counter', doc: 'Counts.', config: COUNTER },
  create({ end, failAt }, { name }): SourceConnector {
    return {
      ...{ name, topics: [numbers], isBounded: true },
      open: async ({ offset }) => {
        let next = Number(offset({})?.['next'] ?? 0);
        const poll = async () => {
          if (next === failAt) throw new RangeError('no network');
          if (next >= end) return undefined;
          const records = [{ topic: numbers, key: 'k', value: next++ }];
          return { records, partition: {}, offset: { next } };
        };
        return [{ poll, close: async () => undefined }];
      },
    };
  },
};

/** A sink that never ends a commit once it is told to stop. */
const stuckPlugin: SinkPlugin = {
  ...{ kind: 'sink', name: 'stuck', doc: 'Never ends.', config: configSchema({}) },
  create(_, { name }): SinkConnector {
    return {
      ...{ name, topics: [numbers], delivery: 'at-least-once' },
      open: async () => ({
        committedOffsets: undefined,
        put: () => undefined,
        commit: () => new Promise<void>(() => undefined),
        close: async () => undefined,
      }),
    };
  },
};

const plugins: readonly ConnectPlugin[] = [...BUILT_IN_PLUGINS, counterPlugin, stuckPlugin];
const OPTIONS: WorkerOptions = { plugins, logger: silentLogger };

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

async function startWorker(log: Log, options: Partial<WorkerOptions> = {}): Promise<ConnectWorker> {
  const worker = new ConnectWorker(log, { ...OPTIONS, ...options });
  await worker.start();
  return worker;
}

const stateOf = (worker: ConnectWorker, name: string) => worker.status(name).state;

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('[CONNECT-WORKER-1] a worker', () => {
  test('runs connectors by their definitions: files in, files out', async () => {
    await using log = await temporaryLog();
    const input = inputFile('{"id":"a","n":1}\n{"id":"b","n":2}\nno json\n{"id":"c","n":3}\n');
    const out = temporaryDirectory();
    const worker = await startWorker(log, { env: { OUT: out } });
    await worker.create({
      ...{ name: 'rows-in', connector: 'file-source' },
      config: { path: input, format: 'jsonl', topic: 'rows', key: 'id' },
      transforms: [
        { type: 'InsertField', config: { staticField: 'from', staticValue: 'file' } },
        {
          ...{ type: 'Filter', config: {} },
          predicate: { type: 'TopicNameMatches', config: { pattern: 'other' } },
        },
      ],
    });
    await until(() => stateOf(worker, 'rows-in') === 'FAILED'); // the third line
    await worker.delete('rows-in');
    writeFileSync(input, '{"id":"a","n":1}\n{"id":"b","n":2}\n');
    await worker.create({
      ...{ name: 'rows-in', connector: 'file-source' },
      config: { path: input, format: 'jsonl', topic: 'rows', key: 'id' },
    });
    await worker.create({
      ...{ name: 'rows-out', connector: 'file-sink', commitIntervalMs: 10 },
      config: { path: '${env:OUT}', format: 'jsonl', topic: 'rows' },
    });
    await until(() => stateOf(worker, 'rows-in') === 'STOPPED');
    await until(() => worker.status('rows-out').progress?.committedRecords === 2);
    expect(worker.statuses().map(({ name, kind, state }) => [name, kind, state])).toEqual([
      ['rows-in', 'source', 'STOPPED'],
      ['rows-out', 'sink', 'RUNNING'],
    ]);
    expect(await worker.close()).toEqual([]);
    const manifest = await readManifest(nodeFileSystem, out);
    expect(manifest?.parts.map(({ records }) => records)).toEqual([2]);
  });

  test('keeps definitions in the log as they were given, and states', async () => {
    await using log = await temporaryLog();
    const worker = await startWorker(log, { env: { TOKEN: 'swordfish' } });
    await worker.create({
      ...{ name: 'count', connector: 'counter', config: { end: 5, token: '${env:TOKEN}' } },
    });
    await until(() => stateOf(worker, 'count') === 'STOPPED');
    await worker.close();
    const configs = await readTopic(log, connectConfigs, 'read_committed');
    expect(configs.map(({ key }) => key)).toEqual(['connector-count', 'target-state-count']);
    expect(configs[0]?.value?.definition?.config).toEqual({ end: 5, token: '${env:TOKEN}' });
    const status = await readTopic(log, connectStatus, 'read_committed');
    const states = status.filter(({ key }) => key?.startsWith('status-connector-'));
    expect(states.map(({ key, value }) => [key, value?.state, value?.generation])).toEqual([
      ['status-connector-count', 'RUNNING', 1],
      ['status-connector-count', 'STOPPED', 1],
    ]);
    expect(await readValues(log, numbers, 'read_committed')).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('[CONNECT-WORKER-2] a connector', () => {
  test('is paused, resumed, stopped, restarted and deleted', async () => {
    await using log = await temporaryLog();
    await using worker = await startWorker(log);
    const config = { end: 1_000_000_000 };
    await worker.create({ name: 'count', connector: 'counter', config });
    const recordsOf = () => worker.status('count').progress?.records ?? 0;
    await until(() => recordsOf() > 5);
    expect(await worker.pause('count')).toMatchObject({ state: 'PAUSED' });
    const paused = recordsOf();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(recordsOf()).toBeLessThanOrEqual(paused + 1);
    expect(await worker.resume('count')).toMatchObject({ state: 'RUNNING' });
    await until(() => recordsOf() > paused + 5);
    expect(await worker.stop('count')).toMatchObject({ state: 'STOPPED', progress: undefined });
    const stopped = (await readValues(log, numbers, 'read_committed')).length;
    await worker.resume('count');
    await until(() => recordsOf() > 5);
    expect(await worker.restart('count')).toMatchObject({ failure: undefined });
    await worker.delete('count');
    const values = await readValues(log, numbers, 'read_committed');
    expect(values.length).toBeGreaterThan(stopped);
    expect(values).toEqual(values.map((_, index) => index)); // none twice, none lost
    expect(() => worker.status('count')).toThrow('there is no connector count; there are none');
  });

  test('that fails is FAILED, or RESTARTING while it tries again', async () => {
    await using log = await temporaryLog();
    await using worker = await startWorker(log);
    const never = { max: 0 };
    await worker.create({
      ...{ name: 'fails', connector: 'counter', config: { failAt: 3 }, retries: never },
    });
    await until(() => stateOf(worker, 'fails') === 'FAILED');
    expect(worker.status('fails').failure?.message).toMatch(/no network/);
    await worker.update({
      ...{ name: 'fails', connector: 'counter', config: { failAt: 3 } },
      retries: { backoffMs: 600_000 },
    });
    await until(() => stateOf(worker, 'fails') === 'RESTARTING');
    expect(worker.status('fails').retry?.cause.message).toMatch(/no network/);
    await worker.update({ name: 'fails', connector: 'counter', config: { end: 4 } });
    await until(() => stateOf(worker, 'fails') === 'STOPPED');
    expect(await readValues(log, numbers, 'read_committed')).toEqual([0, 1, 2, 3]);
  });

  test('has offsets, which can be changed while it is stopped', async () => {
    await using log = await temporaryLog();
    await using worker = await startWorker(log);
    await worker.create({ name: 'count', connector: 'counter', config: { end: 3 } });
    await until(() => stateOf(worker, 'count') === 'STOPPED');
    expect(await worker.offsets('count')).toEqual([{ partition: {}, offset: { next: 3 } }]);
    const changes = [{ partition: {}, offset: { next: 1 } }];
    const early = await connectFailure(worker.alterOffsets('count', changes));
    expect(early).toMatchObject({ code: 'INVALID_STATE' });
    await worker.stop('count');
    await worker.alterOffsets('count', changes);
    await worker.resume('count');
    await until(() => stateOf(worker, 'count') === 'STOPPED');
    expect(await readValues(log, numbers, 'read_committed')).toEqual([0, 1, 2, 1, 2]);
    const sink = { name: 'stuck', connector: 'stuck', config: {} };
    await worker.create(sink, { initialState: 'STOPPED' });
    const place = { kafka_topic: 'numbers', kafka_partition: 0 };
    await worker.alterOffsets('stuck', [{ partition: place, offset: { kafka_offset: 2 } }]);
    expect(await worker.offsets('stuck')).toEqual([
      { partition: place, offset: { kafka_offset: 2 } },
    ]);
    await worker.alterOffsets('stuck', [{ partition: place, offset: null }]);
    expect(await worker.offsets('stuck')).toEqual([]);
    const wrong = worker.alterOffsets('stuck', [{ partition: {}, offset: { kafka_offset: 2 } }]);
    await expect(wrong).rejects.toThrow(/kafka_topic/);
  });

  test('has a name of its own', async () => {
    await using log = await temporaryLog();
    await using worker = await startWorker(log);
    const definition = { name: 'count', connector: 'counter', config: { end: 1 } };
    await worker.create(definition);
    expect((await connectFailure(worker.create(definition))).code).toBe('CONNECTOR_EXISTS');
    expect((await connectFailure(worker.pause('cuont'))).message).toMatch(/did you mean count\?/);
  });
});

describe('[CONNECT-WORKER-3] the next worker', () => {
  test('goes on with the connectors as they were left', async () => {
    await using log = await temporaryLog();
    const first = await startWorker(log);
    await first.create({ name: 'runs', connector: 'counter', config: {} });
    await first.create(
      { name: 'stays', connector: 'counter', config: { end: 3 } },
      { initialState: 'STOPPED' },
    );
    await until(() => (first.status('runs').progress?.records ?? 0) > 3);
    await first.close();
    const before = (await readValues(log, numbers, 'read_committed')).length;
    await using second = await startWorker(log);
    expect(stateOf(second, 'stays')).toBe('STOPPED');
    await until(() => (second.status('runs').progress?.records ?? 0) > 3);
    await second.delete('runs');
    const values = await readValues(log, numbers, 'read_committed');
    expect(values.length).toBeGreaterThan(before);
    expect(values).toEqual(values.map((_, index) => index));
    await second.close();
    await using third = await startWorker(log);
    expect(third.statuses().map(({ name }) => name)).toEqual(['stays']);
  });

  test('fences the one before, which ends its connectors', async () => {
    await using log = await temporaryLog();
    const lines: string[] = [];
    const error = (line: string): number => lines.push(line);
    const first = await startWorker(log, { logger: { ...silentLogger, error } });
    await first.create({ name: 'count', connector: 'counter', config: {} });
    await until(() => stateOf(first, 'count') === 'RUNNING');
    await using second = await startWorker(log);
    await until(() => stateOf(first, 'count') !== 'RUNNING');
    await until(() => lines.some((line) => line.includes('another worker has taken over')));
    await until(() => (second.status('count').progress?.records ?? 0) > 3);
    expect(stateOf(second, 'count')).toBe('RUNNING');
  });

  test('has the connectors whose plugin is gone as FAILED', async () => {
    await using log = await temporaryLog();
    const first = await startWorker(log);
    await first.create({ name: 'count', connector: 'counter', config: { end: 2 } });
    await first.close();
    await using second = await startWorker(log, { plugins: BUILT_IN_PLUGINS });
    expect(second.status('count')).toMatchObject({ state: 'FAILED' });
    expect(second.status('count').failure?.message).toMatch(/there is no source or sink counter/);
    await second.delete('count');
    expect(second.statuses()).toEqual([]);
  });
});

describe('[CONNECT-WORKER-4] a definition', () => {
  test('has every mistake told, and creates nothing', async () => {
    await using log = await temporaryLog();
    await using worker = await startWorker(log);
    const failed = await connectFailure(
      worker.create({
        ...{ name: 'in', connector: 'file-source', retries: { max: -1 } },
        ...{ config: { path: 7, format: 'xml', topik: 't', key: '${env:NONE}' } },
        transforms: [{ type: 'Casst' }, { type: 'Cast', config: {} }],
      }),
    );
    expect(failed.details['issues']).toEqual([
      { field: 'retries', problem: expect.stringContaining('max must be an integer') as string },
      { field: 'transforms.0', problem: 'there is no transform Casst; did you mean Cast?' },
      { field: 'transforms.1.spec', problem: expect.stringContaining('missing') as string },
      { field: 'config.key', problem: '${env:NONE} stands for nothing' },
      { field: 'config.topik', problem: expect.stringContaining('topic?') as string },
      { field: 'config.path', problem: 'it must be a string that is not empty, not 7' },
      { field: 'config.format', problem: expect.stringContaining('"csv"') as string },
      { field: 'config.topic', problem: expect.stringContaining('missing') as string },
    ]);
    const config = { path: 7, format: 'xml', topik: 't', follow: 'yes' };
    const definition = { name: 'in', connector: 'file-source', config };
    const issues = await validateConnector(definition, { plugins });
    expect(issues.map((issue) => issue.field)).toEqual([
      ...['config.topik', 'config.path', 'config.format', 'config.topic', 'config.follow'],
    ]);
    expect(await validateConnector({ name: 'x' }, { plugins })).toEqual([
      { field: 'connector', problem: expect.stringContaining('it is missing') as string },
    ]);
    expect(worker.statuses()).toEqual([]);
    expect(await readTopic(log, connectConfigs)).toEqual([]);
  });

  test('has references, whose values are printed nowhere', async () => {
    const directory = temporaryDirectory();
    const secrets = join(directory, 'secrets.properties');
    writeFileSync(secrets, '# passwords\nend = 3\nbad=swordfish\n');
    writeFileSync(join(directory, 'secrets.json'), '{"end": 4}');
    const validate = async (end: string) => {
      const definition = { name: 'c', connector: 'counter', config: { end } };
      return (await validateConnector(definition, { plugins })).map(({ problem }) => problem);
    };
    expect(await validate(`\${file:${secrets}:end}`)).toEqual([]);
    expect(await validate(`\${file:${directory}/secrets.json:end}`)).toEqual([]);
    const bad = await validate(`\${file:${secrets}:bad}`);
    expect(bad).toEqual([`it must be an integer, not what \${file:${secrets}:bad} stands for`]);
    expect(await validate(`\${file:${secrets}:none}`)).toEqual([
      expect.stringMatching(/stands for nothing$/),
    ]);
    expect(await validate('${vault:a}')).toEqual([
      '${vault:a} names no provider; there are env, file',
    ]);
  });
});

test('[CONNECT-WORKER-5] close waits no longer than it may for a connector', async () => {
  const log = await temporaryLog();
  await log.producer().send(numbers, { key: 'k', value: 1 });
  const worker = await startWorker(log, { stopTimeoutMs: 1_000 });
  await worker.create({ name: 'count', connector: 'counter', config: {} });
  await worker.create({ name: 'stuck', connector: 'stuck', config: {}, commitIntervalMs: 1 });
  await until(() => (worker.status('stuck').progress?.records ?? 0) > 0);
  expect(await worker.close()).toEqual(['stuck']);
});
