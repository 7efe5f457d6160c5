import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bytes,
  openLog,
  topic as topicOf,
  verifyLog,
  type ConsumerRecord,
  type IsolationLevel,
  type Log,
  type Problem,
  type ProducerIdentity,
  type Verification,
} from 'millrace';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PlainRecord } from '../../core/record/records.suite.ts';
import { readTopic } from '../kit/read-topic.ts';
import { SEED } from '../kit/seed.ts';
import { KafkaBroker } from './broker.ts';
import { dumpLog } from './dump-log.ts';
import { History } from './history.ts';
import { keptDirectory } from './kept-directory.ts';
import { LogPlayer } from './log-player.ts';
import { KafkaPlayer, type Step } from './player.ts';
import { plainSteps, randomSteps } from './steps.ts';
import { takeOver } from './take-over.ts';

/** A Kafka broker's files, as our log reads them. */
const directory = keptDirectory();
const STEPS = randomSteps('first', { seed: SEED, count: 80 });
const PLAIN_STEPS = plainSteps('plain', { seed: SEED, count: 100 });
const STEPS_TO_CRASH = randomSteps('second', { seed: SEED + 1, count: 80, leavesOpen: true });
const LEVELS: readonly IsolationLevel[] = ['read_committed', 'read_uncommitted'];

/** A directory that a broker left, and what the broker had acknowledged. */
interface Left {
  readonly data: string;
  readonly history: History;
  /** The producers with a transactional id. */
  readonly producers: ReadonlyMap<string, ProducerIdentity>;
}
let stopped: Left;
let crashed: Left;

beforeAll(async () => {
  const broker = await KafkaBroker.format(join(directory, 'kafka'));
  try {
    stopped = await live(broker, 'SIGTERM', [
      ...STEPS,
      ...PLAIN_STEPS,
      { do: 'consume', group: 'classic', topic: 'first', protocol: 'classic', leaves: true },
      { do: 'consume', group: 'new', topic: 'first', protocol: 'consumer', leaves: true },
    ]);
    crashed = await live(broker, 'SIGKILL', [
      { do: 'consume', group: 'member', topic: 'first', protocol: 'classic', leaves: false },
      ...STEPS_TO_CRASH,
    ]);
  } finally {
    await broker.stop('SIGKILL');
  }
});

/** Runs the broker once, and copies its directory. */
async function live(
  broker: KafkaBroker,
  signal: 'SIGTERM' | 'SIGKILL',
  steps: readonly Step[],
): Promise<Left> {
  await broker.start();
  const player = new KafkaPlayer(broker.bootstrap);
  const history = new History(player);
  const producers = new Map<string, ProducerIdentity>();
  try {
    await history.perform(steps);
    for (const step of steps) {
      if (step.do !== 'producer' || !step.isTransactional) continue;
      producers.set(step.producer, await player.transaction(step.producer));
    }
  } finally {
    // First, because it would complain; its group and its transactions stay for a while.
    await player.kill();
    await broker.stop(signal);
  }
  const data = `${broker.data}-${signal}`;
  cpSync(broker.data, data, { recursive: true });
  return { data, history, producers };
}

function handle(name: string) {
  return topicOf(name, { key: bytes(), value: bytes() });
}

function plain(record: ConsumerRecord<Uint8Array, Uint8Array>): PlainRecord {
  const { offset, timestampMs, key, value, headers } = record;
  return {
    offset,
    timestampMs,
    key: textOf(key),
    value: textOf(value),
    headers: headers.map((header) => [header.key, textOf(header.value)]),
  };
}

function textOf(part: Uint8Array | null): string | null {
  return part === null ? null : Buffer.from(part).toString('latin1');
}

/** The records that a reader of our log finds in both partitions of a topic. */
async function found(log: Log, name: string, level: IsolationLevel): Promise<PlainRecord[][]> {
  const records = await readTopic(log, handle(name), level);
  return [0, 1].map((partition) => {
    return records.filter((record) => record.partition === partition).map(plain);
  });
}

function expected(history: History, name: string, level: IsolationLevel): PlainRecord[][] {
  return [0, 1].map((partition) => history.expected({ topic: name, partition }, level));
}

function problemsOf({ problems, partitions }: Verification): Problem[] {
  return [...problems, ...partitions.flatMap((each) => each.problems)];
}

async function checkOffsets(log: Log, history: History): Promise<void> {
  for (const { group, topic, partition, offset, metadata } of history.offsets) {
    const { offsets } = await log.api.offsetFetch({
      groupId: group,
      partitions: [{ topic, partition }],
      requireStable: false,
    });
    expect({ group, offsets }).toEqual({
      group,
      offsets: [{ topic, partition, offset, metadata }],
    });
  }
}

describe('a broker that was stopped', () => {
  let log: Log;
  let data: string;
  beforeAll(async () => {
    data = join(directory, 'opened');
    cpSync(stopped.data, data, { recursive: true });
    log = await openLog(data);
  });
  afterAll(() => log.close());

  test.each(LEVELS)(`[KAFKA-3] each record is read %s (seed ${SEED})`, async (level) => {
    const records = await found(log, 'first', level);
    expect(records).toEqual(expected(stopped.history, 'first', level));
    expect(records.every(({ length }) => length > 10)).toBe(true);
  });

  test(`[KAFKA-4] the same operations leave the same in both logs (seed ${SEED})`, async () => {
    await using ours = await openLog(join(directory, 'ours'));
    const history = new History(new LogPlayer(ours));
    await history.perform(STEPS);
    for (const level of LEVELS) {
      expect(await found(log, 'first', level)).toEqual(await found(ours, 'first', level));
    }
    await ours.close();
    const aborted = async (data: string): Promise<string[]> => {
      const { files } = await dumpLog(filesOf(data, '.txnindex'));
      const lines = files.flatMap((file) => file.lines);
      return lines.map((line) => line.replace(/producerId: \d+ /, ''));
    };
    expect(await aborted(ours.directory)).toEqual(await aborted(stopped.data));
  });

  test(`[KAFKA-4] [LOG-INDEX-1] the same batches leave the same files (seed ${SEED})`, async () => {
    const data = join(directory, 'plain');
    await using ours = await openLog(data);
    await new History(new LogPlayer(ours)).perform(PLAIN_STEPS);
    await ours.close();
    const content = (root: string): Record<string, string> => {
      const files = readdirSync(join(root, 'plain-0')).filter((name) => /log$|index$/.test(name));
      const read = (name: string): string => readFileSync(join(root, 'plain-0', name), 'hex');
      return Object.fromEntries(files.sort().map((name) => [name, read(name)]));
    };
    expect(content(data)).toEqual(content(stopped.data));
    expect(Object.keys(content(data)).length).toBeGreaterThan(9);
  });

  test('[KAFKA-3] topics have their ids and partitions', async () => {
    const [described] = await log.admin().describeTopics(['first']);
    const metadata = readFileSync(join(stopped.data, 'first-1', 'partition.metadata'), 'utf8');
    expect(metadata).toContain(`topic_id: ${described?.topicId ?? 'none'}`);
    expect(described).toMatchObject({ partitions: 2, isInternal: false, config: {} });
    const internal = await log.admin().describeTopics(['__consumer_offsets']);
    expect(internal).toMatchObject([{ config: { 'cleanup.policy': 'compact' } }]);
    const all = await log.admin().listTopics();
    expect(all.sort()).toEqual(['__consumer_offsets', '__transaction_state', 'first', 'plain']);
  });

  test('[KAFKA-3] committed offsets are those of the groups', async () => {
    await checkOffsets(log, stopped.history);
    const groups = (await log.admin().listGroups()).map(({ groupId }) => groupId);
    expect(groups.sort()).toEqual(['classic', 'first-group', 'new']);
    expect(await log.admin().describeGroup('classic')).toMatchObject({ state: 'Empty' });
  });

  test('[KAFKA-3] a transactional id keeps its producer id and gets the next epoch', async () => {
    expect(stopped.producers.size).toBe(2);
    for (const [transactionalId, { producerId, producerEpoch }] of stopped.producers) {
      const request = { transactionalId, transactionTimeoutMs: 60_000 };
      expect(await log.api.initProducerId(request)).toEqual({
        producerId,
        producerEpoch: producerEpoch + 1,
      });
    }
  });

  test('[KAFKA-3] new records follow the old ones, and Kafka reads all', async () => {
    const before = await found(log, 'first', 'read_committed');
    const producer = log.producer({ transactionalId: 'first-tx-1' });
    await producer.transaction((transaction) => {
      for (const partition of [0, 1]) {
        transaction.send(handle('first'), { value: Buffer.from('ours'), partition });
      }
    });
    await log.producer().send(handle('first'), { value: Buffer.from('more'), partition: 0 });
    const after = await found(log, 'first', 'read_committed');
    expect(after.map((records) => records.slice(0, -1).length)).toEqual([
      (before[0]?.length ?? 0) + 1,
      before[1]?.length,
    ]);
    await log.close();
    for (const suffix of ['.log', '.index', '.timeindex', '.txnindex', '.snapshot']) {
      const dump = await dumpLog(filesOf(data, suffix), '--deep-iteration');
      expect(dump.complaints).toEqual([]);
    }
    await using again = await openLog(data);
    expect(await found(again, 'first', 'read_committed')).toEqual(after);
  });
});

function filesOf(data: string, suffix: string): string[] {
  return ['first-0', 'first-1', '__consumer_offsets-0', '__transaction_state-0'].flatMap((name) => {
    const files = readdirSync(join(data, name)).filter((file) => file.endsWith(suffix));
    return files.map((file) => join(data, name, file));
  });
}

describe('a broker that was killed', () => {
  let log: Log;
  let before: Verification;
  beforeAll(async () => {
    before = await verifyLog(crashed.data);
    log = await openLog(crashed.data);
  });
  afterAll(() => log.close());

  test.each(LEVELS)(`[KAFKA-3] each record is read %s (seed ${SEED})`, async (level) => {
    expect(await found(log, 'first', level)).toEqual(expected(stopped.history, 'first', level));
    expect(await found(log, 'second', level)).toEqual(expected(crashed.history, 'second', level));
  });

  test('[KAFKA-3] [VERIFY-1] verify finds no problem in directories of brokers', async () => {
    expect(problemsOf(before)).toEqual([]);
    expect(problemsOf(await verifyLog(stopped.data))).toEqual([]);
  });

  test('[KAFKA-3] committed offsets are those of the groups', async () => {
    await checkOffsets(log, stopped.history);
    await checkOffsets(log, crashed.history);
    // Its member is gone with the broker.
    expect(await log.admin().describeGroup('member')).toMatchObject({ state: 'Empty' });
  });

  test('[KAFKA-3] an open transaction is aborted when its id comes back', async () => {
    const open = crashed.history.batches.filter(({ transaction }) => {
      return transaction?.outcome === 'open';
    });
    expect(open.length).toBeGreaterThan(0);
    for (const transactionalId of new Set(open.map(({ producer }) => producer))) {
      await log.api.initProducerId({ transactionalId, transactionTimeoutMs: 60_000 });
    }
    for (const { transaction } of open) transaction!.outcome = 'abort';
    const level = 'read_committed';
    expect(await found(log, 'second', level)).toEqual(expected(crashed.history, 'second', level));
  });

  test('[KAFKA-6] new records have the newest leader epoch', async () => {
    await log.producer().send(handle('first'), { value: Buffer.from('next'), partition: 0 });
    await log.close();
    const directory = join(crashed.data, 'first-0');
    const lines = readFileSync(join(directory, 'leader-epoch-checkpoint'), 'utf8').trim();
    const newest = Number(lines.split('\n').at(-1)?.split(' ')[0]);
    expect(newest).toBeGreaterThan(0); // it was its second life
    const dump = await dumpLog(filesOf(crashed.data, '.log'), '--deep-iteration');
    expect(dump.complaints).toEqual([]);
    const ofPartition = dump.files.filter(({ file }) => file.startsWith(directory));
    const batches = ofPartition.flatMap(({ lines: all }) =>
      [...all.join('\n').matchAll(/partitionLeaderEpoch: (\d+)/g)].map(([, epoch]) =>
        Number(epoch),
      ),
    );
    expect(batches).toEqual([...batches].sort((a, b) => a - b));
    expect([batches[0], batches.at(-1)]).toEqual([0, newest]);
    expect(problemsOf(await verifyLog(crashed.data))).toEqual([]);
  });
});

describe('a broker that continues where we stopped', () => {
  let broker: KafkaBroker;
  let player: KafkaPlayer;
  let history: History;
  /** Written by our log. */
  const producers = new Map<string, ProducerIdentity>();

  beforeAll(async () => {
    await using log = await openLog(join(directory, 'left'));
    history = new History(new LogPlayer(log));
    await history.perform(STEPS);
    for (const transactionalId of stopped.producers.keys()) {
      const request = { transactionalId, transactionTimeoutMs: 60_000 };
      producers.set(transactionalId, await log.api.initProducerId(request));
    }
    await log.close();
    broker = await KafkaBroker.format(join(directory, 'next'));
    await makeTopics(broker);
    takeOver(log.directory, broker.data);
    await broker.start();
    player = new KafkaPlayer(broker.bootstrap);
  });
  afterAll(async () => {
    await player.kill();
    await broker.stop('SIGKILL');
  });

  test.each(LEVELS)(`[KAFKA-5] each record is read %s (seed ${SEED})`, async (level) => {
    const read = [0, 1].map((partition) => player.fetch({ topic: 'first', partition }, level));
    expect(await Promise.all(read)).toEqual(expected(history, 'first', level));
  });

  test('[KAFKA-5] committed offsets are those of the groups', async () => {
    const committed = await player.committed('first-group');
    const ours = history.offsets.map(({ topic, partition, offset, metadata }) => {
      return { topic, partition, offset, metadata };
    });
    const byPartition = (a: { partition: number }, b: { partition: number }): number => {
      return a.partition - b.partition;
    };
    expect([...committed].sort(byPartition)).toEqual(ours.sort(byPartition));
    expect(ours).toHaveLength(2);
  });

  test('[KAFKA-5] transactions continue with the producer id and the next epoch', async () => {
    for (const [producer, identity] of producers) {
      expect(await player.transaction(producer)).toEqual(identity);
      const kind = { codec: 'none', isIdempotent: true, isTransactional: true };
      const records = [{ key: 'k', value: 'next', headers: [], timestampMs: 1 }];
      const next = new History(player);
      await next.perform([
        { do: 'producer', producer, ...kind },
        { do: 'begin', producer },
        { do: 'send', producer, topic: 'first', partition: 1, records },
        { do: 'commit', producer },
      ]);
      const { producerId, producerEpoch } = await player.transaction(producer);
      expect(producerId).toBe(identity.producerId);
      expect(producerEpoch).toBeGreaterThan(identity.producerEpoch);
      const read = await player.fetch({ topic: 'first', partition: 1 }, 'read_committed');
      expect(read.at(-1)).toEqual(next.batches[0]?.records[0]);
    }
  });

  test('[KAFKA-5] it has no complaints', () => {
    expect(broker.complaints()).toEqual([]);
  });
});

/** Lets the broker create the topics, including the coordinators', with ids of its own. */
async function makeTopics(broker: KafkaBroker): Promise<void> {
  const kind = { codec: 'none', isIdempotent: true, isTransactional: true };
  const place = { topic: 'first', partition: 0 };
  await live(broker, 'SIGTERM', [
    ...STEPS.slice(0, 1),
    { do: 'producer', producer: 'any', ...kind },
    { do: 'offset', group: 'any', ...place, offset: 0, metadata: '' },
  ]);
}
