import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { openLog, type EmbeddedLog } from '../client/open-log.ts';
import { topic } from '../client/topic.ts';
import { silentLogger } from '../logger.ts';
import type { LedPartition } from '../protocol/topic-partition.ts';
import { string } from '../serde/text.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });
const place = { topic: 'letters', partition: 0 };

const open = (directory: string): Promise<EmbeddedLog> =>
  openLog(directory, { logger: silentLogger });

/** A log of ten records, with the epochs 2 from offset 0, 5 from 4 and 7 from 8. */
async function openWithEpochs(): Promise<EmbeddedLog> {
  const directory = temporaryDirectory();
  {
    await using log = await open(directory);
    await using producer = log.producer();
    const values = Array.from({ length: 10 }, (_, index) => ({ value: String(index) }));
    await producer.sendAll(letters, values);
  }
  const epochs = '0\n3\n2 0\n5 4\n7 8\n';
  writeFileSync(join(directory, 'letters-0', 'leader-epoch-checkpoint'), epochs);
  const properties = 'version=1\ncluster.id=abcdefghijklmnopqrstuv\nnode.id=4\n';
  writeFileSync(join(directory, 'meta.properties'), properties);
  return open(directory);
}

test('[BROKER-3] metadata has brokers, leaders and copies: this one is all of them', async () => {
  await using log = await openWithEpochs();
  const self = { nodeId: 4, host: '', port: -1 };
  const { clusterId, brokers, controllerId, topics } = await log.api.metadata({
    topics: ['letters', 'digits'],
  });
  const clusterIdWritten = 'abcdefghijklmnopqrstuv';
  expect({ clusterId, brokers, controllerId }).toEqual({
    clusterId: clusterIdWritten,
    brokers: [self],
    controllerId: 4,
  });
  const placed = { leaderId: 4, leaderEpoch: 7, replicas: [4], inSyncReplicas: [4] };
  expect(topics[0]).toMatchObject({ topic: 'letters', partitions: 1, placement: [placed] });
  expect(topics[1]?.error?.code).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  expect(topics[1]?.placement).toEqual([]);
  const keys = ['one', 'two'];
  for (const keyType of ['group', 'transaction'] as const) {
    const { coordinators } = await log.api.findCoordinator({ keyType, keys });
    expect(coordinators).toEqual(keys.map((key) => ({ key, ...self })));
  }
});

test('[BROKER-3] in a directory that is made here the broker is node 1', async () => {
  await using log = await open(temporaryDirectory());
  expect((await log.api.metadata({})).brokers).toEqual([{ nodeId: 1, host: '', port: -1 }]);
});

test('[BROKER-4] the end of each epoch, as Kafka finds it', async () => {
  await using log = await openWithEpochs();
  const ends = async (): Promise<unknown[]> => {
    const asked = [-1, 0, 1, 2, 3, 5, 6, 7, 8];
    const partitions = asked.map((leaderEpoch) => ({ ...place, leaderEpoch }));
    const answer = await log.api.offsetForLeaderEpoch({ partitions });
    return answer.partitions.map(({ leaderEpoch, endOffset }) => [leaderEpoch, endOffset]);
  };
  const unknown = [-1, -1];
  const known = [[0, 0], [1, 0], [2, 4], [2, 4], [5, 8], [5, 8], [7, 10]]; // prettier-ignore
  expect(await ends()).toEqual([unknown, ...known, unknown]);
  await log.api.deleteRecords({ partitions: [{ ...place, offset: 6 }] });
  const left = [[0, 6], [1, 6], [2, 6], [3, 6], [5, 8], [5, 8], [7, 10]]; // prettier-ignore
  expect(await ends()).toEqual([unknown, ...left, unknown]);
});

test('[BROKER-4] offsets are listed with their epoch', async () => {
  await using log = await openWithEpochs();
  const specs = ['earliest', 'latest', { timestampMs: Number.MAX_SAFE_INTEGER }] as const;
  const { partitions } = await log.api.listOffsets({
    isolationLevel: 'read_committed',
    partitions: specs.map((spec) => ({ ...place, spec })),
  });
  const found = partitions.map(({ offset, leaderEpoch }) => [offset, leaderEpoch]);
  expect(found).toEqual([[0, 2], [10, 7], [-1, -1]]); // prettier-ignore
});

test('[BROKER-5] another leader epoch than the broker has is refused', async () => {
  await using log = await openWithEpochs();
  const limits = { maxWaitMs: 0, minBytes: 1, maxBytes: 1000 };
  const codes = async (wanted: LedPartition): Promise<(string | undefined)[]> => {
    const isolationLevel = 'read_uncommitted';
    const fetched = await log.api.fetch({
      ...limits,
      isolationLevel,
      partitions: [{ ...wanted, fetchOffset: 0, maxBytes: 1000 }],
    });
    const listed = await log.api.listOffsets({
      isolationLevel,
      partitions: [{ ...wanted, spec: 'earliest' }],
    });
    const ended = await log.api.offsetForLeaderEpoch({
      partitions: [{ ...wanted, leaderEpoch: 2 }],
    });
    return [fetched, listed, ended].map(({ partitions }) => partitions[0]?.error?.code);
  };
  const fenced = 'FENCED_LEADER_EPOCH';
  expect(await codes({ ...place, currentLeaderEpoch: 6 })).toEqual([fenced, fenced, fenced]);
  const unknown = 'UNKNOWN_LEADER_EPOCH';
  expect(await codes({ ...place, currentLeaderEpoch: 8 })).toEqual([unknown, unknown, unknown]);
  for (const epoch of [undefined, -1, 7]) {
    const named = epoch === undefined ? place : { ...place, currentLeaderEpoch: epoch };
    expect(await codes(named)).toEqual([undefined, undefined, undefined]);
  }
});
