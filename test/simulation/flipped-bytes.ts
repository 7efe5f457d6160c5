import { LogError, openLog, seededRandom, silentLogger, string, topic } from '../../core/index.ts';
import type { ConsumerRecord, Log, TopicPartition } from '../../core/index.ts';
import { ManualClock, MemoryFileSystem } from '../../core/testing/index.ts';
import { readTopic } from '../kit/read-topic.ts';
import { DIRECTORY, nextTurn, pump } from './world.ts';

const serdes = { key: string(), value: string() };
const config = { segmentBytes: 1024, indexIntervalBytes: 100 };
const plain = topic('plain', { ...serdes, config });
const packed = topic('packed', { ...serdes, config });
const sure = topic('sure', { ...serdes, config });
const table = topic('table', {
  ...serdes,
  config: { ...config, cleanupPolicy: 'compact', minCleanableDirtyRatio: 0.01 },
});
const TOPICS = [plain, packed, sure, table];
const GROUPS = ['outside', 'inside'];

function open(fileSystem: MemoryFileSystem, clock: ManualClock): Promise<Log> {
  const random = seededRandom(1);
  return openLog(DIRECTORY, { fileSystem, clock, random, logger: silentLogger });
}

/** A small log that has files of all kinds: each codec, transactions, a compacted topic, groups. */
export async function sample(end: 'closed' | 'killed'): Promise<MemoryFileSystem> {
  const clock = new ManualClock();
  const disk = new MemoryFileSystem({ random: seededRandom(1), clock });
  const log = await open(disk, clock);
  await fill(log, clock);
  if (end === 'closed') await log.close();
  return disk.kill(seededRandom(2));
}

async function fill(log: Log, clock: ManualClock): Promise<void> {
  const codecs = ['gzip', 'snappy', 'lz4', 'zstd'] as const;
  const producer = log.producer();
  for (let at = 0; at < 9; at++) {
    clock.advance(10);
    const headers = [{ key: 'n', value: Buffer.from(String(at)) }];
    await producer.send(plain, { key: `k${at}`, value: `value ${at}`.repeat(6), headers });
    await producer.send(table, { key: `k${at % 2}`, value: `value ${at}`.repeat(15) });
    const compressionType = codecs[at % codecs.length]!;
    await log.producer({ compressionType }).sendAll(packed, [
      { key: 'a', value: `packed ${at}`.repeat(9) },
      { key: 'b', value: null },
    ]);
  }
  const writer = log.producer({ transactionalId: 'writer' });
  for (let at = 0; at < 6; at++) {
    clock.advance(10);
    const transaction = await writer.beginTransaction();
    transaction.send(sure, { key: `k${at}`, value: `value ${at}`.repeat(6) });
    await transaction.sendOffsets([{ ...committed('plain'), offset: at + 1 }], 'inside');
    await (at % 3 === 1 ? transaction.abort() : transaction.commit());
    const offsets = [{ ...committed('packed'), offset: 2 * at + 1 }];
    await log.api.offsetCommit({ groupId: 'outside', memberId: '', generation: -1, offsets });
  }
  for (let turn = 0; turn < 200; turn++) {
    clock.advance(100); // a checkpoint, then compaction
    await nextTurn();
  }
}

const committed = (name: string) => ({ topic: name, partition: 0, metadata: 'as far as' });

/** The answer to one question of a reader: data, or an error. */
export type Told =
  | { readonly data: unknown }
  | { readonly code: string }
  /** An answer that nobody may get. */
  | { readonly uncoded: string };

/** Opens a log and queries everything; the first entry is the outcome of the opening. */
export async function observe(disk: MemoryFileSystem): Promise<Map<string, Told>> {
  const clock = new ManualClock();
  const told = new Map<string, Told>();
  const ask = async <T>(what: string, question: () => Promise<T>): Promise<T | undefined> => {
    try {
      const data = await pump(clock, question());
      told.set(what, { data });
      return data;
    } catch (error) {
      const isCoded = error instanceof LogError;
      told.set(what, isCoded ? { code: error.code } : { uncoded: String(error) });
      return undefined;
    }
  };
  let log: Log | undefined;
  await ask('opening', async () => {
    log = await open(disk, clock);
  });
  if (log === undefined) return told;
  for (const [what, question] of questions(log)) await ask(what, question);
  const opened = log;
  await ask('closing', () => opened.close());
  return told;
}

function* questions(log: Log): Generator<[string, () => Promise<unknown>]> {
  const admin = log.admin();
  yield ['topics', () => admin.listTopics()];
  for (const each of TOPICS) {
    const { name } = each;
    for (const isolation of ['read_committed', 'read_uncommitted'] as const) {
      yield [`${name} ${isolation}`, () => recordsOf(log, each, isolation)];
    }
    yield [`offsets of ${name}`, () => admin.offsets(name)];
    yield [`times of ${name}`, () => timesOf(log, { topic: name, partition: 0 })];
    yield [`middle of ${name}`, () => middleOf(log, each)];
    yield [`settings of ${name}`, () => admin.describeTopics([name])];
  }
  for (const groupId of GROUPS) {
    yield [`offsets of group ${groupId}`, () => admin.listGroupOffsets(groupId)];
    yield [`group ${groupId}`, () => admin.describeGroup(groupId)];
  }
  yield ['groups', () => admin.listGroups()];
  yield ['transactions', () => admin.listTransactions()];
  yield ['writer', () => admin.describeTransaction('writer')];
}

type Isolation = 'read_committed' | 'read_uncommitted';

async function recordsOf(log: Log, each: typeof plain, isolation: Isolation): Promise<unknown[]> {
  return (await readTopic(log, each, isolation)).map(shown);
}

function shown({ offset, timestampMs, key, value, headers }: ConsumerRecord<string, string>) {
  const named = [...headers].map((header) => `${header.key}=${String(header.value)}`);
  return [offset, timestampMs, key, value, ...named].join(' ');
}

/** The offsets at some times: through the time index. */
async function timesOf(log: Log, place: TopicPartition): Promise<unknown> {
  const found = [];
  for (let after = 0; after < 150; after += 15) {
    const spec = { timestampMs: 1_700_000_000_000 + after };
    const { partitions } = await log.api.listOffsets({
      isolationLevel: 'read_uncommitted',
      partitions: [{ ...place, spec }],
    });
    const [answer] = partitions;
    if (answer?.error !== undefined) throw LogError.fromData(answer.error);
    found.push([answer?.offset, answer?.timestampMs]);
  }
  return found;
}

/** The first records from some offsets: through the offset index. */
async function middleOf(log: Log, each: typeof plain): Promise<unknown> {
  const found = [];
  for (let offset = 1; offset < 9; offset += 3) {
    await using consumer = log.consumer({ maxPollRecords: 1 });
    const assigned = await consumer.assign([{ topic: each, partition: 0, offset }]);
    found.push((await assigned.poll({ maxWaitMs: 50 })).map(shown));
  }
  return found;
}
