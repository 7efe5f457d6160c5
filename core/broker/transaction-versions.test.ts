import { expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { openLog, type EmbeddedLog } from '../client/open-log.ts';
import { topic } from '../client/topic.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { LogError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import type { BrokerApi, ProducerIdentity } from '../protocol/broker-api.ts';
import { seededRandom } from '../random.ts';
import { BatchWriter } from '../record/batch-writer.ts';
import { NO_HEADERS } from '../record/record.ts';
import { string } from '../serde/text.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 2 });
const places = [0, 1].map((partition) => ({ topic: 'letters', partition }));
const transactionalId = 'remote';
const TIMEOUT_MS = 60_000;

const open = (
  fileSystem = new MemoryFileSystem({ random: seededRandom(1) }),
  clock?: ManualClock,
) =>
  openLog('/data', {
    fileSystem,
    random: seededRandom(2),
    logger: silentLogger,
    ...(clock !== undefined && { clock }),
  });

const create = (api: BrokerApi) =>
  api.createTopics({ topics: [{ topic: 'letters', partitions: 2 }] });

/** A producer as one that comes through a socket: it speaks in requests, of either version. */
class RemoteProducer {
  readonly api: BrokerApi;
  readonly version: 1 | 2;
  identity: ProducerIdentity = { producerId: -1, producerEpoch: -1 };
  readonly #sequences = [0, 0];

  constructor(log: EmbeddedLog, version: 1 | 2) {
    this.api = log.api;
    this.version = version;
  }

  async begin(known: Partial<ProducerIdentity> = {}): Promise<ProducerIdentity> {
    const request = { transactionalId, transactionTimeoutMs: TIMEOUT_MS, ...known };
    return this.#goOn(await this.api.initProducerId(request));
  }

  add(partitions = places): Promise<unknown> {
    return this.api.addPartitionsToTxn({ transactionalId, ...this.identity, partitions });
  }

  /** Writes one value to each partition. Returns the codes of what failed. */
  async write(value: string, addsPartitions = false): Promise<string[]> {
    const batches = places.map((place) => {
      const writer = new BatchWriter(1024);
      writer.append(1_700_000_000_000, Buffer.alloc(0), 0, 0, string(), value, NO_HEADERS);
      const baseSequence = this.#sequences[place.partition]!;
      const seal = { ...this.identity, baseSequence, isTransactional: true };
      return { ...place, records: writer.close(seal) };
    });
    const request = { acks: 1, transactionalId, addsPartitions, batches } as const;
    const { results } = await this.api.produce(request);
    return results.flatMap(({ partition, error }) => {
      if (error !== undefined) return [error.code];
      this.#sequences[partition]!++;
      return [];
    });
  }

  /** Ends the transaction, for `identity` where that is not the newest. */
  async end(commit: boolean, identity = this.identity): Promise<ProducerIdentity> {
    const transactionVersion = this.version;
    const request = { transactionalId, ...identity, commit, transactionVersion };
    return this.#goOn(await this.api.endTxn(request));
  }

  #goOn(identity: ProducerIdentity): ProducerIdentity {
    if (identity.producerEpoch !== this.identity.producerEpoch) this.#sequences.fill(0);
    this.identity = identity;
    return identity;
  }
}

test('[BROKER-6] a producer of version 1 keeps its epoch and its sequences', async () => {
  await using log = await open();
  await create(log.api);
  const producer = new RemoteProducer(log, 1);
  const identity = await producer.begin();
  for (const [value, isCommit] of [
    ['a', true],
    ['b', false],
    ['c', true],
  ] as const) {
    // prettier-ignore
    await producer.add();
    expect(await producer.write(value)).toEqual([]);
    expect(await producer.end(isCommit)).toEqual(identity);
    // What comes late is of no transaction, and does not hang in the next one.
    expect(await producer.write('late')).toEqual(['INVALID_TXN_STATE', 'INVALID_TXN_STATE']);
  }
  const read = await readValues(log, letters, 'read_committed');
  expect(read.toSorted()).toEqual(['a', 'a', 'c', 'c']);
});

test('[BROKER-6] version 1: an end is repeated as often as its answer is lost', async () => {
  await using log = await open();
  await create(log.api);
  const producer = new RemoteProducer(log, 1);
  const identity = await producer.begin();
  const ends = async (): Promise<string[]> =>
    Promise.all([true, false].map((isCommit) => codeOf(producer.end(isCommit))));
  expect(await ends()).toEqual(['INVALID_TXN_STATE', 'INVALID_TXN_STATE']); // Empty
  await producer.add();
  await producer.end(true);
  expect(await ends()).toEqual(['resolved', 'INVALID_TXN_STATE']); // CompleteCommit
  await producer.add();
  await producer.end(false);
  expect(await ends()).toEqual(['INVALID_TXN_STATE', 'resolved']); // CompleteAbort
  expect(producer.identity).toEqual(identity);
});

test('[BROKER-7] version 2: an end is repeated as often as its answer is lost', async () => {
  const fileSystem = new MemoryFileSystem({ random: seededRandom(1) });
  {
    const log = await open(fileSystem);
    await create(log.api);
    const producer = new RemoteProducer(log, 2);
    const begun = await producer.begin();
    // Empty, asked with the epoch before: that one was never its own.
    const former = { ...begun, producerEpoch: begun.producerEpoch - 1 };
    expect(await codeOf(producer.end(true, former))).toBe('PRODUCER_FENCED');
    for (const isCommit of [true, false]) {
      const before = producer.identity;
      await producer.add();
      expect(await producer.write('a')).toEqual([]);
      const after = await producer.end(isCommit);
      expect(after.producerEpoch).toBe(before.producerEpoch + 1);
      expect(await producer.end(isCommit, before)).toEqual(after);
      expect(await codeOf(producer.end(!isCommit, before))).toBe('INVALID_TXN_STATE');
      expect(await codeOf(producer.end(true))).toBe('INVALID_TXN_STATE'); // nothing in it
    }
    const before = producer.identity;
    await producer.add();
    expect(await codeOf(producer.end(false, former))).toBe('PRODUCER_FENCED');
    await producer.write('last');
    await producer.end(true);
    // The process dies before the answer; the next one knows what was asked.
    const again = await open(fileSystem.crash(seededRandom(4)));
    const reconnected = new RemoteProducer(again, 2);
    expect(await reconnected.end(true, before)).toEqual(producer.identity);
    expect((await readValues(again, letters, 'read_committed')).toSorted()).toEqual([
      'a',
      'a',
      'last',
      'last',
    ]);
    await again.close();
    await log.close();
  }
});

test('[BROKER-7] one that ran into its timeout is fenced, and no retry', async () => {
  const clock = new ManualClock(1_700_000_000_000);
  await using log = await open(undefined, clock);
  await create(log.api);
  for (const version of [1, 2] as const) {
    const producer = new RemoteProducer(log, version);
    await producer.begin();
    await producer.add();
    await producer.write('late');
    const request = { transactionalIds: [transactionalId] };
    const stateLater = async () => {
      clock.advance(10_000);
      return (await log.api.describeTransactions(request)).transactions[0]?.state;
    };
    await expect.poll(stateLater, { timeout: 15_000 }).toBe('CompleteAbort');
    for (const isCommit of [false, true]) {
      expect(await codeOf(producer.end(isCommit))).toBe('PRODUCER_FENCED');
    }
  }
  const partitions = places.map((place) => ({ ...place, spec: 'latest' as const }));
  const stable = await log.api.listOffsets({ isolationLevel: 'read_committed', partitions });
  expect(stable.partitions.map(({ offset }) => offset)).toEqual([4, 4]); // nothing hangs
});

test('[BROKER-8] a producer gets the epoch after its own, and is fenced by another', async () => {
  await using log = await open();
  await create(log.api);
  const producer = new RemoteProducer(log, 2);
  const first = await producer.begin();
  await producer.add();
  await producer.write('open');
  const second = await producer.begin(first); // aborts its own
  expect(second.producerId).toBe(first.producerId);
  expect(second.producerEpoch).toBeGreaterThan(first.producerEpoch);
  expect(await producer.begin(first)).toEqual(second); // the answer was lost
  const other = await new RemoteProducer(log, 2).begin();
  expect(await codeOf(producer.begin(second))).toBe('PRODUCER_FENCED');
  expect(await codeOf(producer.begin(first))).toBe('PRODUCER_FENCED');
  const stranger = { producerId: other.producerId + 1, producerEpoch: 0 };
  expect(await codeOf(producer.begin(stranger))).toBe('INVALID_PRODUCER_ID_MAPPING');
  const { transactions } = await log.api.describeTransactions({
    transactionalIds: [transactionalId],
  });
  expect(transactions[0]).toMatchObject({ ...other, state: 'Empty' }); // the other goes on
  expect(await readValues(log, letters, 'read_committed')).toEqual([]);
});

test('[BROKER-9] a batch makes its partition part of the transaction, if it says so', async () => {
  await using log = await open();
  await create(log.api);
  const producer = new RemoteProducer(log, 2);
  const before = await producer.begin();
  expect(await producer.write('a')).toEqual(['INVALID_TXN_STATE', 'INVALID_TXN_STATE']);
  expect(await producer.write('b', true)).toEqual([]);
  expect(await producer.write('c', true)).toEqual([]);
  const [described] = (await log.api.describeTransactions({ transactionalIds: [transactionalId] }))
    .transactions;
  expect(described).toMatchObject({ state: 'Ongoing', partitions: places });
  await producer.end(true);
  expect((await readValues(log, letters, 'read_committed')).toSorted()).toEqual([
    'b',
    'b',
    'c',
    'c',
  ]);
  producer.identity = before;
  expect(await producer.write('z', true)).toEqual(['PRODUCER_FENCED', 'PRODUCER_FENCED']);
});

test('[BROKER-10] partitions that cannot be added say which of them is wrong', async () => {
  await using log = await open();
  await create(log.api);
  const producer = new RemoteProducer(log, 2);
  await producer.begin();
  const wrong = { topic: 'letters', partition: 2 };
  const request = { transactionalId, ...producer.identity };
  const { results } = await log.api.addPartitionsToTxn({
    ...request,
    partitions: [places[0]!, wrong],
  });
  const codes = results.map(({ error }) => error?.code);
  expect(codes).toEqual(['OPERATION_NOT_ATTEMPTED', 'UNKNOWN_TOPIC_OR_PARTITION']);
  expect(await codeOf(producer.end(true))).toBe('INVALID_TXN_STATE'); // neither takes part
  expect((await log.api.addPartitionsToTxn({ ...request, partitions: places })).results).toEqual(
    places,
  );
});

test.each([
  ['a power cut', 21],
  ['kill -9', 22],
] as const)('[BROKER-6] version 1: %s after any operation, seed %i', async (kind, seed) => {
  let hasBegun = false;
  const committed: string[] = [];
  const moments: { operation: string; disk: MemoryFileSystem; committed: string[] }[] = [];
  const disk = new MemoryFileSystem({
    random: seededRandom(seed),
    onOperation: ({ kind: operation, path }) => {
      if (!hasBegun) return;
      const random = seededRandom(seed * 1000 + moments.length);
      const after = kind === 'kill -9' ? disk.kill(random) : disk.crash(random);
      moments.push({
        operation: `${operation} ${path}`,
        disk: after,
        committed: [...committed],
      });
    },
  });
  const log = await open(disk);
  await create(log.api);
  const producer = new RemoteProducer(log, 1);
  await producer.begin();
  hasBegun = true;
  for (const [value, isCommit] of Object.entries({ a: true, b: true, c: false, d: true })) {
    await producer.add();
    expect(await producer.write(value)).toEqual([]);
    await producer.end(isCommit);
    if (isCommit) committed.push(value);
  }
  hasBegun = false;
  await log.close();
  expect(moments.length).toBeGreaterThan(15);
  for (const [index, moment] of moments.entries()) {
    const again = await open(moment.disk);
    try {
      await again.api.initProducerId({ transactionalId, transactionTimeoutMs: TIMEOUT_MS });
      const read = await readValues(again, letters, 'read_committed');
      const counts = new Map(read.map((value) => [value, 0]));
      for (const value of read) counts.set(value, counts.get(value)! + 1);
      expect([...counts.keys()]).toEqual(expect.arrayContaining(moment.committed));
      expect(counts.has('c')).toBe(false);
      // Of each all or nothing: one in each partition.
      for (const count of counts.values()) expect(count).toBe(2);
    } catch (cause) {
      const message = `seed ${seed}, operation ${index}: ${moment.operation}: ${String(cause)}`;
      throw new LogError('UNKNOWN_SERVER_ERROR', message, { reason: message }, { cause });
    } finally {
      await again.close();
    }
  }
});
