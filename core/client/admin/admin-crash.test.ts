import { expect, test } from 'vitest';
import { checkEach } from '../../../test/kit/check-each.ts';
import { codeOf } from '../../../test/kit/codes.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { silentLogger } from '../../logger.ts';
import { seededRandom } from '../../random.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { changesNothing } from '../../storage/memory-operations.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string() });

const open = (fileSystem: MemoryFileSystem) =>
  openLog('/data', { fileSystem, random: seededRandom(3), logger: silentLogger });

/** What was asked for, and what of it was acknowledged, when the crash came. */
interface Witness {
  asked: { partitions: number; retentionMs: string; isGroupDeleted: boolean };
  acknowledged: { partitions: number; retentionMs: string; isGroupDeleted: boolean };
  values: string[];
}

const NOTHING = { partitions: 0, retentionMs: '-1', isGroupDeleted: false };

/** Administers a log; `witness` says at any time how far it is. */
async function administer(log: Log, witness: Witness): Promise<void> {
  const admin = log.admin();
  const producer = log.producer({ metadataMaxAgeMs: 0 });
  const change = async (next: Partial<Witness['asked']>, done: Promise<unknown>) => {
    Object.assign(witness.asked, next);
    await done;
    Object.assign(witness.acknowledged, next);
  };
  const send = async (value: string, partition: number) => {
    await producer.send(letters, { value, partition });
    witness.values.push(value);
  };
  await change({ partitions: 1 }, admin.createTopic('letters', { partitions: 1 }));
  await send('a', 0);
  await change({ partitions: 3 }, admin.createPartitions('letters', 3));
  await send('b', 2);
  await log.api.offsetCommit({
    groupId: 'g',
    memberId: '',
    generation: -1,
    offsets: [0, 2].map((partition) => {
      return { topic: 'letters', partition, offset: 1, metadata: '' };
    }),
  });
  await change({ retentionMs: '5' }, admin.alterConfigs('letters', { set: { retentionMs: 5 } }));
  await change({ partitions: 4 }, admin.createPartitions('letters', 4));
  await change({ isGroupDeleted: true }, admin.deleteGroups(['g']));
  await send('c', 3);
}

/** Holds a log that was opened again against what was known when it crashed, and goes on. */
async function check(disk: MemoryFileSystem, witness: Witness): Promise<void> {
  const { asked, acknowledged, values } = witness;
  const log = await open(disk);
  const admin = log.admin();
  const [found] = (await log.api.metadata({ topics: ['letters'] })).topics;
  const count = found?.error === undefined ? (found?.partitions ?? 0) : 0;
  expect([asked.partitions, acknowledged.partitions]).toContain(count);
  const retentionMs = found?.config['retention.ms'] ?? '-1';
  expect([asked.retentionMs, acknowledged.retentionMs]).toContain(retentionMs);
  const { offsets } = await log.api.offsetFetch({ groupId: 'g', requireStable: false });
  expect([0, 2]).toContain(offsets.length); // all of a group goes, or nothing
  if (acknowledged.isGroupDeleted) expect(offsets).toEqual([]);
  expect(await readValues(log, letters)).toEqual(expect.arrayContaining([...values]));
  for (let partition = 0; partition < count; partition++) {
    for (const name of ['partition.metadata', 'leader-epoch-checkpoint']) {
      expect(await disk.stat(`/data/letters-${partition}/${name}`)).toBeDefined();
    }
  }
  if (count === 0) await admin.createTopic('letters');
  await admin.createPartitions('letters', 6);
  await log.producer().send(letters, { value: 'next', partition: 5 });
  await log.close();
  const again = await open(disk.crash(seededRandom(9)));
  expect(await again.admin().offsets('letters')).toHaveLength(6);
  expect(await readValues(again, letters)).toEqual(expect.arrayContaining([...values, 'next']));
  await again.close();
}

test.each([
  ['a power cut', 11],
  ['kill -9', 12],
] as const)('[ADMIN-2] %s after any operation, seed %i', async (kind, seed) => {
  const moments: { operation: string; disk: MemoryFileSystem; witness: Witness }[] = [];
  const witness: Witness = { asked: { ...NOTHING }, acknowledged: { ...NOTHING }, values: [] };
  let known = '';
  const disk = new MemoryFileSystem({
    random: seededRandom(seed),
    onOperation: (operation) => {
      const now = JSON.stringify(witness);
      if (changesNothing(operation.kind) && now === known) return; // as after the one before
      known = now;
      const random = seededRandom(seed * 1000 + moments.length);
      moments.push({
        operation: `${operation.kind} ${operation.path}`,
        disk: kind === 'kill -9' ? disk.kill(random) : disk.crash(random),
        witness: structuredClone(witness),
      });
    },
  });
  const log = await open(disk);
  await administer(log, witness);
  await log.close();
  expect(moments.length).toBeGreaterThan(80);
  await checkEach(moments.entries(), async ([index, moment]) => {
    await check(moment.disk, moment.witness).catch((cause: unknown) => {
      throw new Error(`seed ${seed}, operation ${index}: ${moment.operation}`, { cause });
    });
  });
});

test('[ADMIN-2] a disk that is full for a moment, at any operation', async () => {
  let failures = 0;
  for (let at = 0; ; at++) {
    const disk = new MemoryFileSystem({ random: seededRandom(at) });
    const log = await open(disk);
    const admin = log.admin();
    await admin.createTopic('letters', { partitions: 1 });
    await log.producer().send(letters, { value: 'a' });
    const first = disk.operationCount;
    const mend = disk.fail({ at: first + at, code: 'ENOSPC' });
    const code = await codeOf(admin.createPartitions('letters', 3));
    const count = disk.operationCount - first;
    mend();
    if (code !== 'resolved') {
      failures++;
      expect(code).toMatch(/^(DISK_FULL|KAFKA_STORAGE_ERROR)$/);
      expect(await admin.offsets('letters')).toHaveLength(1);
      await admin.createPartitions('letters', 2);
    }
    const latest = (await admin.offsets('letters')).length;
    await log.producer().send(letters, { value: 'b', partition: latest - 1 });
    await log.close();
    const again = await open(disk);
    expect(await again.admin().offsets('letters')).toHaveLength(latest);
    expect(await readValues(again, letters)).toEqual(['a', 'b']);
    // What was made and not used goes with the topic, and does not come back as one.
    await again.admin().deleteTopics(['letters']);
    await again.close();
    const last = await open(disk);
    expect(await last.admin().listTopics()).toEqual([]);
    await last.close();
    if (code === 'resolved' && count < at) break; // the fault lay behind all of it
  }
  expect(failures).toBeGreaterThan(5);
});
