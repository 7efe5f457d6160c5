import { describe, expect, test } from 'vitest';
import { openLog, silentLogger, type Log } from '../../core/index.ts';
import { connectFailure } from '../../test/kit/connect.ts';
import { countingSource, forgettingSink, numbers } from '../../test/kit/counting-plugins.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { assert } from '../../core/internal.ts';
import { PluginRegistry, type ConnectPlugin } from '../plugin.ts';
import { ActiveTopics } from './active-topics.ts';
import { BUILT_IN_PLUGINS } from './built-in-plugins.ts';
import { makeConnector } from './definition.ts';
import { ConnectWorker, type WorkerOptions } from './worker.ts';
import { connectStatus } from './worker-store.ts';

const plugins: readonly ConnectPlugin[] = [...BUILT_IN_PLUGINS, countingSource, forgettingSink];

const temporaryLog = (): Promise<Log> => openLog(temporaryDirectory(), { logger: silentLogger });

async function startWorker(log: Log, options: Partial<WorkerOptions> = {}): Promise<ConnectWorker> {
  const worker = new ConnectWorker(log, { plugins, logger: silentLogger, ...options });
  await worker.start();
  return worker;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

const COUNT = { name: 'count', connector: 'counter', config: { end: 3 } };
const ROUTE = { type: 'RegexRouter', config: { regex: 'numbers', replacement: 'routed' } };

describe('[CONNECT-WORKER-6] a worker notes the topics of connectors', () => {
  test('that they use, until they are reset', async () => {
    const log = await temporaryLog();
    await using first = await startWorker(log);
    await first.create({ ...COUNT, config: {} });
    await until(() => first.topics('count').length > 0);
    expect(first.topics('count')).toEqual(['numbers']);
    await first.create({ name: 'sink', connector: 'forgetter', config: {} });
    await until(() => first.topics('sink').length > 0);
    await first.create({ ...COUNT, name: 'routed', transforms: [ROUTE] });
    await until(() => first.status('routed').state === 'STOPPED');
    expect(first.topics('routed')).toEqual(['routed']);
    await first.pause('count');
    await until(() => first.status('count').state === 'PAUSED');
    await first.resetTopics('count');
    await first.resetTopics('routed');
    expect([first.topics('count'), first.topics('routed')]).toEqual([[], []]);
    await first.resume('count');
    await until(() => first.topics('count').length > 0); // it is used again
    await first.close();

    await using second = await startWorker(log);
    expect(second.topics('sink')).toEqual(['numbers']);
    expect(second.topics('routed')).toEqual([]);
    await second.delete('sink');
    const keys = (await readTopic(log, connectStatus, 'read_committed'))
      .filter(({ key }) => key?.endsWith(':connector-sink'))
      .map(({ key, value }) => [key, value?.topic?.name]);
    expect(keys.at(-1)).toEqual(['status-topic-numbers:connector-sink', undefined]);
    expect((await connectFailure(second.resetTopics('none'))).code).toBe('UNKNOWN_CONNECTOR');
    await second.close();
  });
});

test('[CONNECT-WORKER-6] after a reset only records that move then count', async () => {
  const context = { plugins: new PluginRegistry(plugins), providers: {} };
  const made = await makeConnector(COUNT, context);
  assert(!('issues' in made), 'the definition is right');
  const topics = new ActiveTopics([]);
  expect(topics.takeNew(made, 0)).toEqual([]);
  expect(topics.takeNew(made, 5)).toEqual(['numbers']);
  expect(topics.takeNew(made, 6)).toEqual([]);
  topics.reset(6);
  expect(topics.takeNew(made, 6)).toEqual([]);
  expect(topics.takeNew(made, 7)).toEqual(['numbers']);
});

describe('[CONNECT-WORKER-7] a connector that cannot be made any more', () => {
  test('keeps its kind, and is told what to do', async () => {
    const log = await temporaryLog();
    const first = await startWorker(log, { env: { END: '3' } });
    const config = { end: '${env:END}' };
    await first.create({ ...COUNT, config }, { initialState: 'STOPPED' });
    await first.create({ name: 'sink', connector: 'forgetter', config: {} });
    await first.close();

    const env: Record<string, string> = {};
    const second = await startWorker(log, { env, plugins: [countingSource] });
    expect(second.statuses().map(({ name, kind, state }) => [name, kind, state])).toEqual([
      ['count', 'source', 'FAILED'],
      ['sink', 'sink', 'FAILED'],
    ]);
    expect(second.status('sink')).toMatchObject({ tasks: 0, target: 'RUNNING' });
    expect(await second.pause('sink')).toMatchObject({ state: 'FAILED', target: 'PAUSED' });
    expect(await second.resume('count')).toMatchObject({ state: 'FAILED', target: 'RUNNING' });
    expect((await connectFailure(second.restart('count'))).code).toBe('INVALID_CONFIG');
    env['END'] = '2';
    expect((await second.resume('count')).state).not.toBe('FAILED');
    await until(() => second.status('count').state === 'STOPPED');
    expect(await readValues(log, numbers, 'read_committed')).toEqual([0, 1]);
    await second.delete('sink');
    await second.close();

    await using third = await startWorker(log);
    expect(third.statuses().map(({ name }) => name)).toEqual(['count']);
    await third.close();
  });
});

describe('[CONNECT-WORKER-8] a connector', () => {
  test('begins where it is told, and anew once its offsets are forgotten', async () => {
    const log = await temporaryLog();
    await using worker = await startWorker(log);
    const initialOffsets = [{ partition: {}, offset: { next: 2 } }];
    await worker.create(COUNT, { initialOffsets });
    await until(() => worker.status('count').state === 'STOPPED');
    expect((await connectFailure(worker.deleteOffsets('count'))).code).toBe('INVALID_STATE');
    await worker.stop('count');
    await worker.deleteOffsets('count');
    expect(await worker.offsets('count')).toEqual([]);
    await worker.resume('count');
    await until(() => worker.status('count').state === 'STOPPED');
    expect(await readValues(log, numbers, 'read_committed')).toEqual([2, 0, 1, 2]);
    const place = { partition: {}, offset: { kafka_offset: 0 } };
    const sink = { name: 'sink', connector: 'forgetter', config: {} };
    await expect(worker.create(sink, { initialOffsets: [place] })).rejects.toThrow('kafka_topic');
    expect(worker.statuses().map(({ name }) => name)).toEqual(['count']);
    await worker.close();
  });

  test('keeps what it was created with in the form of Kafka Connect', async () => {
    const log = await temporaryLog();
    const first = await startWorker(log);
    const properties = { 'connector.class': 'counter', end: '3' };
    await first.create(COUNT, { properties });
    expect((await first.pause('count')).properties).toEqual(properties);
    expect((await first.restart('count')).properties).toEqual(properties);
    await first.close();
    await using second = await startWorker(log);
    expect(second.status('count')).toMatchObject({ properties, target: 'PAUSED' });
    expect(second.generation).toBe(2);
    expect((await second.update(COUNT)).properties).toBeUndefined();
    await second.close();
  });
});
