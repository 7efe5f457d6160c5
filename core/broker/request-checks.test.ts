import { expect, test } from 'vitest';
import { LogError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { seededRandom } from '../random.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import type { BrokerApi, JoinGroupRequest } from '../protocol/broker-api.ts';
import { Broker } from './broker.ts';
import { systemClock } from '../clock.ts';

const tooLong = 'é'.repeat(16_384); // 32,768 bytes
const longest = `${'é'.repeat(16_383)}x`;
const place = { topic: 'letters', partition: 0 };
const noMember = { memberId: '', generation: -1 };
const join: JoinGroupRequest = {
  groupId: 'g',
  memberId: '',
  clientId: 'c',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: new Uint8Array(0) }],
};

/** Requests with one bad field each, by the name of the field. */
const bad: Readonly<Record<string, (api: BrokerApi) => Promise<unknown>>> = {
  transactionalId: (api) =>
    api.initProducerId({ transactionalId: tooLong, transactionTimeoutMs: 1000 }),
  transactionTimeoutMs: (api) =>
    api.initProducerId({ transactionalId: 't', transactionTimeoutMs: NaN }),
  'groupId of a join': (api) => api.joinGroup({ ...join, groupId: tooLong }),
  'groupId of a commit': (api) =>
    api.offsetCommit({ groupId: tooLong, ...noMember, offsets: [{ ...place, offset: 1 }] }),
  'groupId in a transaction': (api) =>
    api.addOffsetsToTxn({
      transactionalId: 'known',
      producerId: 0,
      producerEpoch: 0,
      groupId: tooLong,
    }),
  clientId: (api) => api.joinGroup({ ...join, clientId: tooLong }),
  groupInstanceId: (api) => api.joinGroup({ ...join, groupInstanceId: tooLong }),
  memberId: (api) => api.joinGroup({ ...join, memberId: tooLong }),
  protocolType: (api) => api.joinGroup({ ...join, protocolType: tooLong }),
  'a protocol': (api) =>
    api.joinGroup({ ...join, protocols: [{ name: tooLong, metadata: new Uint8Array(0) }] }),
  rebalanceTimeoutMs: (api) => api.joinGroup({ ...join, rebalanceTimeoutMs: 2 ** 31 }),
  sessionTimeoutMs: (api) => api.joinGroup({ ...join, sessionTimeoutMs: NaN }),
  'an offset': (api) =>
    api.offsetCommit({ groupId: 'g', ...noMember, offsets: [{ ...place, offset: 1.5 }] }),
  'deleted records': async (api) => {
    const { results } = await api.deleteRecords({ partitions: [{ ...place, offset: 0.5 }] });
    throw LogError.fromData(results[0]!.error!);
  },
};

const open = (fileSystem: MemoryFileSystem): Promise<Broker> =>
  Broker.open({
    directory: '/data',
    fileSystem,
    clock: systemClock,
    random: seededRandom(1),
    logger: silentLogger,
  });

test.each(Object.entries(bad))(
  '[KAFKA-8] %s: what no record can hold is refused',
  async (_, request) => {
    const fileSystem = new MemoryFileSystem();
    const broker = await open(fileSystem);
    await broker.api.createTopics({ topics: [{ topic: 'letters', partitions: 1 }] });
    await broker.api.initProducerId({ transactionalId: 'known', transactionTimeoutMs: 1000 });
    const error: unknown = await request(broker.api).catch((cause: unknown) => cause);
    const codes = ['INVALID_REQUEST', 'INVALID_TRANSACTION_TIMEOUT', 'INVALID_SESSION_TIMEOUT'];
    expect(codes).toContain(error instanceof LogError ? error.code : String(error));
    if (LogError.is(error, 'INVALID_REQUEST') && !/offset|Ms$/.test(error.details.field)) {
      expect(error.message).toContain('at most 32767 bytes of UTF-8, not one of 32768 bytes');
    }
    await broker.close();
    await (await open(fileSystem)).close();
  },
);

test('[KAFKA-8] strings of the greatest length are kept, and found at the next opening', async () => {
  const fileSystem = new MemoryFileSystem();
  const broker = await open(fileSystem);
  await broker.api.createTopics({ topics: [{ topic: 'letters', partitions: 1 }] });
  const producer = { transactionalId: longest, transactionTimeoutMs: 1000 };
  const first = await broker.api.initProducerId(producer);
  const seat = { groupId: longest, groupInstanceId: longest, clientId: longest };
  const { memberId, generation } = await broker.api.joinGroup({ ...join, ...seat });
  const member = { groupId: longest, memberId, generation, groupInstanceId: longest };
  await broker.api.syncGroup({ ...member, assignments: [] });
  await broker.api.offsetCommit({ ...member, offsets: [{ ...place, offset: 7 }] });
  await broker.close();
  const next = await open(fileSystem);
  const second = await next.api.initProducerId(producer);
  expect(second.producerId).toBe(first.producerId);
  const { offsets } = await next.api.offsetFetch({ groupId: longest, requireStable: false });
  expect(offsets).toMatchObject([{ ...place, offset: 7 }]);
  const { groups } = await next.api.describeGroups({ groupIds: [longest] });
  expect(groups[0]?.members).toMatchObject([{ memberId, groupInstanceId: longest }]);
  await next.close();
});
