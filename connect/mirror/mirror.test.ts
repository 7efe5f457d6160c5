import { expect, test } from 'vitest';
import {
  json,
  LogError,
  openLog,
  seededRandom,
  serializeToBytes,
  silentLogger,
  string,
  topic,
  type AnyTopic,
  type Log,
  type Topic,
} from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { SourceRunner, type SourceRunnerOptions } from '../runtime/source-runner.ts';
import { trySource } from '../testing/index.ts';
import { BUILT_IN_PLUGINS } from '../worker/built-in-plugins.ts';
import { ConnectWorker } from '../worker/worker.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { MirrorOptions } from './mirror-options.ts';
import { checkpoints, heartbeats, offsetSyncs } from './mirror-records.ts';
import { mirror } from './mirror.ts';
import { translateOffsets } from './translate-offsets.ts';

const orders = topic('orders', { key: string(), value: json<number>(), partitions: 3 });
const copies = topic('primary.orders', { key: string(), value: json<number>() });

const open = (seed: number): Promise<Log> =>
  openLog('/data', {
    ...{ fileSystem: new MemoryFileSystem(), random: seededRandom(seed), logger: silentLogger },
  });

async function both(): Promise<{ readonly from: Log; readonly to: Log }> {
  return { from: await open(1), to: await open(2) };
}

/** Values, each in the partition of its last digit modulo 3. */
async function send(log: Log, values: readonly number[], to: AnyTopic = orders): Promise<void> {
  await using producer = log.producer();
  const records = values.map((value) => {
    return { key: `k${value}`, value, partition: value % 3, timestampMs: 1_000 + value };
  });
  await producer.sendAll(to, records);
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, value) => value);

const copy = (
  from: Log,
  to: Log,
  options: Partial<MirrorOptions> = {},
  runner: SourceRunnerOptions = {},
): ReturnType<SourceRunner['run']> =>
  new SourceRunner(to, mirror({ from, alias: 'primary', follow: false, ...options }), {
    ...{ logger: silentLogger, ...runner },
  }).run();

/** Copies until the test ends. */
function following(from: Log, to: Log, options: Partial<MirrorOptions> = {}) {
  const quick = { refreshIntervalMs: 10, checkpointIntervalMs: 10 };
  const source = mirror({ from, alias: 'primary', ...quick, ...options });
  const runner = new SourceRunner(to, source, { logger: silentLogger, commitIntervalMs: 5 });
  const running = runner.run();
  return { stop: () => runner.stop().then(() => running), running, runner };
}

const valuesOf = async (log: Log, from: Topic<unknown, number> = copies): Promise<unknown[]> =>
  (await readValues(log, from, 'read_committed')).sort((a, b) => Number(a) - Number(b));

test('[CONNECT-MIRROR-1] a crash at each step: each record once', async () => {
  const from = await open(1);
  await send(from, upTo(45));
  const { steps } = await trySource({
    source: () => mirror({ from, alias: 'primary', follow: false }),
    topics: [copies],
    expected: upTo(45).map((value) => `k${value} ${value} in ${value % 3}`),
    describe: ({ key, value, partition }) => `${String(key)} ${String(value)} in ${partition}`,
  });
  expect(steps).toContain('source-3-end');
}, 60_000);

test('[CONNECT-MIRROR-2] copies keep key, value, timestamp, headers and partition', async () => {
  const { from, to } = await both();
  await using producer = from.producer();
  const headers = [
    { key: 'h', value: Buffer.from([1, 2]) },
    { key: 'h', value: null },
  ];
  await producer.send(orders, { key: null, value: null, partition: 2, timestampMs: 7, headers });
  await producer.send(orders, { key: 'a', value: 1, partition: 2, timestampMs: 5 });
  await producer.flush();
  await send(from, upTo(300));
  expect(await copy(from, to)).toMatchObject({ records: 302, isEnded: true });
  const [originals, mirrored] = [await readTopic(from, orders), await readTopic(to, copies)];
  const plain = ({
    key,
    value,
    timestampMs,
    partition,
    headers: all,
  }: (typeof mirrored)[number]) => [
    ...[key, value, timestampMs, partition],
    all.map((each) => [each.key, each.value === null ? null : [...each.value]]),
  ];
  expect(mirrored.map(plain)).toEqual(originals.map(plain));
  expect(await copy(from, to)).toMatchObject({ records: 0 });
});

test('[CONNECT-MIRROR-3] of transactions only what is committed is copied', async () => {
  const { from, to } = await both();
  await using producer = from.producer({ transactionalId: 'writer' });
  for (const [value, isKept] of [
    [0, true],
    [1, false],
    [2, true],
    [3, false],
  ] as const) {
    const transaction = await producer.beginTransaction();
    transaction.send(orders, { key: 'k', value, partition: 0 });
    await (isKept ? transaction.commit() : transaction.abort());
  }
  const last = await producer.beginTransaction();
  last.send(orders, { key: 'k', value: 4, partition: 0 });
  await producer.flush();
  expect(await copy(from, to)).toMatchObject({ records: 2 });
  await last.commit();
  expect(await copy(from, to)).toMatchObject({ records: 1 });
  expect(await valuesOf(to)).toEqual([0, 2, 4]);
});

test('[CONNECT-MIRROR-4] topics are chosen by name and pattern, and named by policy', async () => {
  const { from, to } = await both();
  const named = (name: string) => topic(name, { key: string(), value: json<number>() });
  for (const name of ['a1', 'a2', 'b1', 'x.internal', 'secondary.a1', 'connect-offsets']) {
    await from.admin().ensureTopic(named(name));
  }
  const own = ['connect-offsets', 'mm2-offset-syncs.primary.internal'];
  const topicsOf = async (options: Partial<MirrorOptions>): Promise<string[]> => {
    const { to: target } = { to: await open(3) };
    await copy(from, target, options);
    const names = await target.admin().listTopics();
    return names.filter((name) => !own.includes(name) && !name.startsWith('__')).sort();
  };
  expect(await topicsOf({ topics: [/^a/, 'b1'], exclude: ['a2'] })).toEqual([
    'primary.a1',
    'primary.b1',
  ]);
  expect(await topicsOf({ targetAlias: 'secondary' })).toEqual([
    'primary.a1',
    'primary.a2',
    'primary.b1',
  ]);
  expect(await topicsOf({ policy: 'identity', topics: ['a1'] })).toEqual(['a1']);
  expect(await topicsOf({ policy: (name) => `of-${name}`, topics: ['a1'] })).toEqual(['of-a1']);
  await to.close();
});

test('[CONNECT-MIRROR-5] copies have the partitions and the settings of their topics', async () => {
  const { from, to } = await both();
  const config = { cleanupPolicy: 'compact', 'message.timestamp.type': 'LogAppendTime' } as const;
  await from.admin().createTopic('orders', { partitions: 3, config });
  const settings = async (): Promise<unknown> => {
    const [described] = await to.admin().describeTopics(['primary.orders']);
    return [described?.partitions, described?.config];
  };
  const { stop } = following(from, to);
  await expect.poll(settings, { timeout: 20_000 }).toEqual([3, { 'cleanup.policy': 'compact' }]);
  await from.admin().alterConfigs('orders', {
    ...{ set: { retentionMs: 1e9 }, delete: ['cleanupPolicy'] },
  });
  await expect.poll(settings, { timeout: 20_000 }).toEqual([3, { 'retention.ms': '1000000000' }]);
  await stop();
  expect(await copy(from, to, { syncConfigs: false })).toMatchObject({ records: 0 });
});

test('[CONNECT-MIRROR-6] new topics and partitions are found, deleted ones left', async () => {
  const { from, to } = await both();
  await send(from, [0, 1, 2]);
  const { stop, runner } = following(from, to);
  await expect.poll(() => valuesOf(to), { timeout: 20_000 }).toEqual([0, 1, 2]);
  const late = topic('late', { key: string(), value: json<number>(), partitions: 3 });
  await send(from, [7, 8], late);
  const lateCopy = topic('primary.late', { key: string(), value: json<number>() });
  await expect
    .poll(() => valuesOf(to, lateCopy).catch(() => []), { timeout: 20_000 })
    .toEqual([7, 8]);
  await from.admin().createPartitions('late', 4);
  await using producer = from.producer();
  const four = topic('late', { key: string(), value: json<number>() });
  await producer.send(four, { key: 'k', value: 9, partition: 3 });
  await from.admin().deleteTopics(['orders']);
  await expect.poll(() => valuesOf(to, lateCopy), { timeout: 30_000 }).toEqual([7, 8, 9]);
  await send(from, [5]); // the topic is made again: its offsets start over
  await expect.poll(() => valuesOf(to), { timeout: 20_000 }).toEqual([0, 1, 2, 5]);
  await stop();
  expect(runner.progress.committedRecords).toBe(7);
}, 60_000);

test('[CONNECT-MIRROR-7] offsets of groups are translated, never ahead of the copies', async () => {
  const { from, to } = await both();
  await send(from, upTo(30));
  const commit = async (offsets: readonly number[], groupId = 'audit'): Promise<void> => {
    const all = offsets.map((offset, partition) => ({ topic: 'orders', partition, offset }));
    await from.consumer({ groupId }).commit(all);
  };
  await commit([10, 4, 0]);
  await commit([10], 'connect-other');
  await copy(from, to);
  const translated = async (groupId = 'audit'): Promise<unknown> => {
    const offsets = await translateOffsets(to, { alias: 'primary', groupId });
    const sorted = [...offsets].sort((a, b) => a.partition - b.partition);
    return sorted.map(({ topic: name, offset }) => [name, offset]);
  };
  // The copies begin where their topics did; behind the copied records is the end of a transaction.
  expect(await translated()).toEqual([
    ['primary.orders', 11],
    ['primary.orders', 0],
    ['primary.orders', 0],
  ]);
  expect(await translated('connect-other')).toEqual([]);
  await commit([10, 10, 99]);
  await copy(from, to);
  expect(await translated()).toEqual([
    ['primary.orders', 11],
    ['primary.orders', 11],
    ['primary.orders', 11],
  ]);
  expect(await failureOf(to.admin().listGroupOffsets('audit'))).toBeInstanceOf(LogError);
});

test('[CONNECT-MIRROR-8] groups here get the offsets while asleep, and never go back', async () => {
  const { from, to } = await both();
  await send(from, upTo(30));
  const place = { topic: 'orders', partition: 0 };
  await from.consumer({ groupId: 'audit' }).commit([{ ...place, offset: 10 }]);
  await copy(from, to, { syncGroupOffsets: true });
  const offset = async (): Promise<number | undefined> =>
    (await to.admin().listGroupOffsets('audit'))[0]?.offset;
  expect(await offset()).toBe(11);
  await from.consumer({ groupId: 'audit' }).commit([{ ...place, offset: 3 }]);
  await copy(from, to, { syncGroupOffsets: true });
  expect(await offset()).toBe(11);
});

test('[CONNECT-MIRROR-7] a group that goes over reads all that it has not read', async () => {
  const { from, to } = await both();
  const { stop } = following(from, to, { syncGroupOffsets: true });
  const read: number[] = [];
  for (let round = 0; round < 10; round++) {
    await send(
      from,
      upTo(12).map((value) => value + 12 * round),
    );
    await using consumer = from.consumer({ groupId: 'app', enableAutoCommit: false });
    const reader = consumer.subscribe([orders]);
    const records = await reader.poll({ maxWaitMs: 2_000 });
    read.push(...records.slice(0, 5).map(({ value }) => value ?? -1));
    const next = new Map<number, number>();
    for (const { partition, offset } of records.slice(0, 5)) next.set(partition, offset + 1);
    await reader.commit(
      [...next].map(([partition, offset]) => ({ topic: 'orders', partition, offset })),
    );
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  await stop();
  await copy(from, to, { syncGroupOffsets: true });
  await using consumer = to.consumer({ groupId: 'app', isolationLevel: 'read_committed' });
  const reader = consumer.subscribe([copies]);
  for (let records = await reader.poll({ maxWaitMs: 5_000 }); records.length > 0;) {
    read.push(...records.map(({ value }) => value ?? -1));
    records = await reader.poll({ maxWaitMs: 200 });
  }
  expect([...new Set(read)].sort((a, b) => a - b)).toEqual(upTo(120));
}, 60_000);

test('[CONNECT-MIRROR-9] what it tells has the formats of MirrorMaker 2', async () => {
  const hex = <K, V>(of: Topic<K, V>, key: K, value: V): string[] => {
    const both = [serializeToBytes(of.key, key), serializeToBytes(of.value, value)];
    return both.map((bytes) => bytes.toString('hex'));
  };
  const place = { topic: 'ab', partition: 3 };
  expect(hex(offsetSyncs('x'), place, { upstreamOffset: 258, offset: 5 })).toEqual([
    '0002' + '6162' + '00000003',
    '0000000000000102' + '0000000000000005',
  ]);
  const checkpoint = { upstreamOffset: 1, offset: 2, metadata: 'm' };
  expect(hex(checkpoints('x'), { group: 'g', ...place }, checkpoint)).toEqual([
    '0001' + '67' + '0002' + '6162' + '00000003',
    '0000' + '0000000000000001' + '0000000000000002' + '0001' + '6d',
  ]);
  expect(hex(heartbeats, { source: 'a', target: 'b' }, 256)).toEqual([
    '0001' + '61' + '0001' + '62',
    '0000' + '0000000000000100',
  ]);
  const { from, to } = await both();
  await send(from, [0]);
  const { stop } = following(from, to, { heartbeatIntervalMs: 5, targetAlias: 'b' });
  const beats = (): Promise<unknown[]> =>
    readTopic(to, heartbeats, 'read_committed').then(
      (all) => all.map(({ key }) => key),
      () => [],
    );
  await expect.poll(async () => (await beats()).length, { timeout: 20_000 }).toBeGreaterThan(2);
  expect((await beats())[0]).toEqual({ source: 'primary', target: 'b' });
  await stop();
  const syncs = await readTopic(to, offsetSyncs('primary'));
  expect(syncs.at(-1)?.key?.topic).toBe('orders');
});

test('[CONNECT-MIRROR-10] records that are gone before they were copied end the run', async () => {
  const { from, to } = await both();
  await send(from, upTo(9));
  await copy(from, to);
  await send(from, upTo(30));
  await from.admin().deleteRecords([{ topic: 'orders', partition: 0, offset: 6 }]);
  expect(await failureOf(copy(from, to))).toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
  expect(await copy(from, to, { lostRecords: 'skip' })).toMatchObject({ records: 27 });
});

test('[CONNECT-MIRROR-11] wrong options are errors; a worker can mirror, too', async () => {
  const codeOf = (options: object): unknown => {
    try {
      return mirror(options as never);
    } catch (error) {
      return (error as { readonly code?: unknown }).code;
    }
  };
  const from = (): Promise<Log> => open(1);
  expect(codeOf({ from })).toBe('INVALID_OPTION');
  expect(codeOf({ alias: 'a' })).toBe('INVALID_OPTION');
  expect(codeOf({ from, alias: 'a.b' })).toBe('INVALID_OPTION');
  expect(codeOf({ from, alias: 'a', topics: 'x' })).toBe('INVALID_OPTION');
  expect(codeOf({ from, alias: 'a', policy: 'same' })).toBe('INVALID_OPTION');
  expect(codeOf({ from, alias: 'a', topic: [] })).toBe('UNKNOWN_OPTION');
  const path = temporaryDirectory();
  const primary = await openLog(path, { logger: silentLogger });
  await send(primary, upTo(5));
  await primary.close();
  const to = await open(2);
  await using worker = new ConnectWorker(to, { plugins: BUILT_IN_PLUGINS, logger: silentLogger });
  await worker.start();
  const config = { path, alias: 'primary', follow: false };
  await worker.create({ name: 'm', connector: 'mirror', config });
  const values = (): Promise<unknown[]> => valuesOf(to).catch(() => []);
  await expect.poll(values, { timeout: 20_000 }).toEqual(upTo(5));
});
