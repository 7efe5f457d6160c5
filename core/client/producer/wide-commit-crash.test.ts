import { expect, test } from 'vitest';
import { checkEach } from '../../../test/kit/check-each.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { silentLogger } from '../../logger.ts';
import { seededRandom } from '../../random.ts';
import { bytes } from '../../serde/binary.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { changesNothing, type Operation } from '../../storage/memory-operations.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const PARTITIONS = 6;
const places = Array.from({ length: PARTITIONS }, (_, partition) => partition);
const wide = topic('wide', { key: string(), value: string(), partitions: PARTITIONS });
const large = topic('wide', { key: string(), value: bytes(), partitions: PARTITIONS });

const open = (fileSystem: MemoryFileSystem, seed: number) =>
  openLog('/data', { fileSystem, random: seededRandom(seed), logger: silentLogger });

/** Commits transactions over many partitions; returns what each crash on the way would leave. */
async function crashes(seed: number) {
  const moments: { acknowledged: number; cut: MemoryFileSystem; operation: string }[] = [];
  let acknowledged = 0;
  const syncsOfJournal: string[] = [];
  const disk: MemoryFileSystem = new MemoryFileSystem({
    random: seededRandom(seed),
    onOperation: ({ kind, path, number }) => {
      if (kind === 'sync' && path.includes('journal')) syncsOfJournal.push(path);
      if (changesNothing(kind)) return;
      const cut = disk.crash(seededRandom(seed * 1000 + number));
      moments.push({ acknowledged, cut, operation: `${number} (${kind} ${path})` });
    },
  });
  const log = await open(disk, seed);
  const producer = log.producer({ transactionalId: 'writer' });
  for (let count = 0; count < 6; count++) {
    await producer.transaction(async (tx) => {
      await tx.sendAll(
        wide,
        places.map((partition) => ({ value: String(count), partition })),
      );
      // Too much for the journal: such a partition is synced itself.
      if (count === 3) await tx.sendAll(large, [{ value: Buffer.alloc(40_000), partition: 0 }]);
    });
    acknowledged = count + 1;
  }
  await log.close();
  return { moments, syncsOfJournal };
}

test.each([1, 2])(
  '[LOG-25] [TXN-1] seed %i: a power cut leaves each commit over many partitions whole',
  async (seed) => {
    const { moments, syncsOfJournal } = await crashes(seed);
    expect(syncsOfJournal.length).toBeGreaterThanOrEqual(5);
    expect(moments.length).toBeGreaterThan(200);
    await checkEach(moments, async ({ acknowledged, cut, operation }) => {
      const log = await open(cut, seed + 1);
      const isThere = (await log.admin().listTopics()).includes('wide');
      const values = isThere ? await readValues(log, wide, 'read_committed') : [];
      const plain = values.filter((value) => (value ?? '').length === 1);
      const counts = new Map<string, number>();
      for (const value of plain) counts.set(value!, (counts.get(value!) ?? 0) + 1);
      const whole = [...counts.values()].every((count) => count === PARTITIONS);
      expect([operation, whole]).toEqual([operation, true]);
      expect(counts.size).toBeGreaterThanOrEqual(acknowledged);
      await log.close();
    });
  },
  120_000,
);

/** A journal has been written to in a log on this disk, which is open. */
async function openWithJournal(fileSystem: MemoryFileSystem) {
  const log = await open(fileSystem, 1);
  const producers = ['a', 'b', 'c'].map((transactionalId) => log.producer({ transactionalId }));
  const records = places.map((partition) => ({ value: 'x', partition }));
  const commitAll = () =>
    Promise.all(producers.map((each) => each.transaction((tx) => tx.sendAll(wide, records))));
  await commitAll();
  await commitAll();
  expect((await fileSystem.list('/data')).map(({ name }) => name)).toContain('sync-journal-0');
  return { log, commitAll };
}

test('[LOG-21] an end that fails leaves no file of the journal open', async () => {
  const fileSystem = new MemoryFileSystem();
  const { log } = await openWithJournal(fileSystem);
  const at = ({ path }: Operation) => path.includes('recovery-point');
  fileSystem.fail({ at, code: 'EIO' });
  await expect(log.close()).rejects.toMatchObject({ code: 'KAFKA_STORAGE_ERROR' });
  expect(fileSystem.openFileCount).toBe(0);
});

test('[LOG-21] an opening that fails leaves no file of the journal open', async () => {
  const fileSystem = new MemoryFileSystem();
  const { log, commitAll } = await openWithJournal(fileSystem);
  const killed: MemoryFileSystem[] = [];
  fileSystem.onOperation = ({ kind, path }) => {
    if (kind === 'write' && path.includes('wide-')) killed.push(fileSystem.kill());
  };
  await commitAll();
  fileSystem.onOperation = undefined;
  await log.close();
  let failed = 0;
  for (const image of killed) {
    // Some are left with two decided transactions: to finish them the journal is written to.
    const isUsed = ({ kind, path }: Operation) => kind === 'sync' && path.includes('journal');
    image.onOperation = (operation) => {
      if (isUsed(operation)) image.fail({ at: ({ kind }) => kind === 'write', code: 'EIO' });
    };
    const isOpen = await open(image, 1).then(
      async (opened) => opened.close().then(() => true),
      () => false,
    );
    if (!isOpen) failed++;
    expect(image.openFileCount).toBe(0);
  }
  expect(failed).toBeGreaterThan(0);
});
