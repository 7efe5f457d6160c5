import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { openLog } from '../client/open-log.ts';
import { LogError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { sendTo } from '../protocol/dispatch.ts';
import type { RequestName } from '../protocol/broker-api.ts';
import { REQUEST_NAMES } from '../protocol/request-shapes.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';

const open = () => openLog(temporaryDirectory(), { logger: silentLogger });

/** What a request fails with. */
async function failureOf(answer: Promise<unknown>): Promise<LogError> {
  const error = await answer.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof LogError) return error;
  throw new TypeError(`no coded error: ${String(error)}`);
}

test('[BROKER-11] no request is a request without its fields', async () => {
  await using log = await open();
  const send = sendTo(log.api);
  for (const name of REQUEST_NAMES) {
    for (const given of [undefined, null, 7]) {
      const { code } = await failureOf(send(name, given as never));
      expect([name, code]).toEqual([name, 'INVALID_REQUEST']);
    }
  }
});

const place = { topic: 'letters', partition: 0 };
const long = 'x'.repeat(32_768);
const longest = `${'é'.repeat(16_383)}x`; // 32,767 bytes
const fetch = { isolationLevel: 'read_committed', maxWaitMs: 0, minBytes: 1, maxBytes: 1 };
const member = { groupId: 'g', memberId: '', generation: -1 };
const join = {
  groupId: 'g',
  memberId: '',
  clientId: 'c',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  protocolType: 'consumer',
  protocols: [],
};
const range = { name: 'range', metadata: new Uint8Array(0) };
const producer = { transactionalId: 't', producerId: 1, producerEpoch: 0 };

test.each<[RequestName, object, string]>([
  ['produce', { acks: 2, batches: [] }, 'acks'],
  ['produce', { acks: 1, batches: [{ ...place, records: 'abc' }] }, 'batches[0].records'],
  ['fetch', { ...fetch, maxWaitMs: NaN, partitions: [] }, 'maxWaitMs'],
  ['fetch', { ...fetch, partitions: [{ ...place, maxBytes: 1 }] }, 'partitions[0].fetchOffset'],
  ['listOffsets', { ...fetch, partitions: [{ ...place, spec: 'last' }] }, 'partitions[0].spec'],
  [
    'listOffsets',
    { ...fetch, partitions: [{ ...place, spec: { timestampMs: 0.5 } }] },
    'partitions[0].spec.timestampMs',
  ],
  ['offsetCommit', { ...member, offsets: [{ ...place, offset: -5 }] }, 'offsets[0].offset'],
  ['offsetCommit', { ...member, offsets: [{ ...place, offset: 2 ** 60 }] }, 'offsets[0].offset'],
  ['offsetCommit', { ...member, offsets: [{ ...place, offset: 1.5 }] }, 'offsets[0].offset'],
  ['deleteRecords', { partitions: [{ ...place, offset: 0.5 }] }, 'partitions[0].offset'],
  ['offsetCommit', { ...member, groupId: long, offsets: [] }, 'groupId'],
  ['offsetCommit', { ...member, groupId: 'ü'.repeat(16_384), offsets: [] }, 'groupId'],
  ['joinGroup', { ...join, sessionTimeoutMs: NaN }, 'sessionTimeoutMs'],
  ['joinGroup', { ...join, clientId: long }, 'clientId'],
  ['joinGroup', { ...join, groupInstanceId: long }, 'groupInstanceId'],
  ['joinGroup', { ...join, rebalanceTimeoutMs: 2 ** 31 }, 'rebalanceTimeoutMs'],
  ['joinGroup', { ...join, groupId: long }, 'groupId'],
  ['joinGroup', { ...join, memberId: long }, 'memberId'],
  ['joinGroup', { ...join, protocolType: long }, 'protocolType'],
  ['joinGroup', { ...join, protocols: [{ ...range, name: long }] }, 'protocols[0].name'],
  ['joinGroup', { ...join, protocols: [{ name: 'range' }] }, 'protocols[0].metadata'],
  ['initProducerId', { transactionalId: 't', transactionTimeoutMs: NaN }, 'transactionTimeoutMs'],
  ['initProducerId', { transactionalId: long, transactionTimeoutMs: 1 }, 'transactionalId'],
  ['addOffsetsToTxn', { ...producer, groupId: long }, 'groupId'],
  ['endTxn', { ...producer, commit: 1 }, 'commit'],
  ['endTxn', { ...producer, commit: true, transactionVersion: 3 }, 'transactionVersion'],
  ['endTxn', { ...producer, producerEpoch: 32_768, commit: true }, 'producerEpoch'],
  ['createTopics', { topics: [{ topic: 't', partitions: '2' }] }, 'topics[0].partitions'],
  [
    'createTopics',
    { topics: [{ topic: 't', partitions: 1, config: { 'retention.ms': 5 } }] },
    'topics[0].config[0]',
  ],
])('[BROKER-11] %s of %j: %s', async (name, request, field) => {
  const fileSystem = new MemoryFileSystem();
  const log = await openLog('/data', { fileSystem, logger: silentLogger });
  const error = await failureOf(sendTo(log.api)(name, request as never));
  expect(LogError.is(error, 'INVALID_REQUEST') && error.details.field).toBe(field);
  expect(error.message).toContain(`${name}: ${field} must be `);
  await log.close(); // neither this nor an opening finds anything of the request
  await (await openLog('/data', { fileSystem, logger: silentLogger })).close();
});

test('[BROKER-11] strings of the greatest length are kept over an opening', async () => {
  const fileSystem = new MemoryFileSystem();
  const log = await openLog('/data', { fileSystem, logger: silentLogger });
  const { api } = log;
  await api.createTopics({ topics: [{ topic: 'letters', partitions: 1 }] });
  const transactions = { transactionalId: longest, transactionTimeoutMs: 1000 };
  const first = await api.initProducerId(transactions);
  const seat = { groupId: longest, groupInstanceId: longest, clientId: longest };
  const protocols = [range];
  const { memberId, generation } = await api.joinGroup({ ...join, ...seat, protocols });
  const joined = { groupId: longest, memberId, generation, groupInstanceId: longest };
  await api.syncGroup({ ...joined, assignments: [] });
  await api.offsetCommit({ ...joined, offsets: [{ ...place, offset: 7 }] });
  await log.close();
  await using next = await openLog('/data', { fileSystem, logger: silentLogger });
  const second = await next.api.initProducerId(transactions);
  expect(second.producerId).toBe(first.producerId);
  const { offsets } = await next.api.offsetFetch({ groupId: longest, requireStable: false });
  expect(offsets).toMatchObject([{ ...place, offset: 7 }]);
  const { groups } = await next.api.describeGroups({ groupIds: [longest] });
  expect(groups[0]?.members).toMatchObject([{ memberId, groupInstanceId: longest }]);
});

test('[BROKER-11] what is at its limit passes', async () => {
  await using log = await open();
  const groupId = 'x'.repeat(32_767);
  await log.api.offsetCommit({ ...member, groupId, offsets: [] });
  const { groups } = await log.api.listGroups({});
  expect(groups).toEqual([]);
  const partitions = [{ ...place, partition: 2 ** 31 - 1 }];
  const answer = await log.api.offsetFetch({ groupId, partitions, requireStable: true });
  expect(answer.offsets[0]?.offset).toBe(-1);
});
