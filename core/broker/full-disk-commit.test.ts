import { expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { LogError } from '../errors.ts';
import { silentLogger, type Logger } from '../logger.ts';
import { seededRandom } from '../random.ts';
import { string } from '../serde/text.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { Log } from '../client/log.ts';
import { openLog } from '../client/open-log.ts';
import { topic } from '../client/topic.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 3 });
const values = ['a', 'b', 'c'];

/** Keeps what is written to it. */
class LineLogger implements Logger {
  readonly lines: string[] = [];
  debug = (): void => undefined;
  info = (): void => undefined;
  warn = (line: string): void => void this.lines.push(line);
  error = (line: string): void => void this.lines.push(line);
}

interface FullDisk {
  readonly log: Log;
  readonly disk: MemoryFileSystem;
  readonly clock: ManualClock;
  readonly lines: string[];
}

/** A log whose disk is full from the moment at which a commit is on it. */
async function fullBehindTheCommit(seed = 1): Promise<FullDisk> {
  const clock = new ManualClock();
  const { lines, ...logger } = new LineLogger();
  const disk = new MemoryFileSystem({ random: seededRandom(seed) });
  const log = await openLog('/data', { fileSystem: disk, clock, logger });
  return { log, disk, clock, lines };
}

/** Writes a transaction over all partitions, and fills the disk when its commit has been synced. */
async function commitOnFullDisk({ log, disk }: FullDisk, transactionalId = 't') {
  const producer = log.producer({ transactionalId });
  const transaction = await producer.beginTransaction();
  await transaction.sendAll(
    letters,
    values.map((value, partition) => ({ value, partition })),
  );
  await producer.flush();
  let isCommitWritten = false;
  disk.onOperation = ({ kind, path }) => {
    if (!path.includes('__transaction_state')) return;
    if (kind === 'write') isCommitWritten = true;
    if (kind === 'sync' && isCommitWritten) disk.capacityBytes = disk.usedBytes;
  };
  return { producer, transaction, committing: codeOf(transaction.commit()) };
}

/** Lets what is under way come as far as it can, moving the clock on by `ms` in small steps. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 250) {
    clock.advance(250);
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

test('[TXN-14] a commit waits a bounded time for the room of its markers', async () => {
  const full = await fullBehindTheCommit();
  const { log, disk, clock, lines } = full;
  const { producer, transaction, committing } = await commitOnFullDisk(full);
  await pass(clock, 60_000);
  expect(await committing).toBe('MARKERS_WAIT_FOR_ROOM');
  expect(transaction.status).toBe('committed');
  const ofTransaction = () => lines.filter((line) => line.includes('transaction of t'));
  expect(ofTransaction()).toHaveLength(1);
  expect(ofTransaction()[0]).toContain('its markers wait for room');
  // What a client may do meanwhile has the same answer, each time within a bounded time.
  for (let round = 0; round < 3; round++) {
    const again = codeOf(transaction.commit());
    await pass(clock, 10_000);
    expect(await again).toBe('MARKERS_WAIT_FOR_ROOM');
    expect(await codeOf(producer.beginTransaction())).toBe('CONCURRENT_TRANSACTIONS');
  }
  await transaction.abort(); // too late: the commit has decided
  disk.onOperation = undefined;
  disk.capacityBytes = Infinity;
  const last = codeOf(transaction.commit());
  await pass(clock, 2_000);
  expect(await last).toBe('resolved');
  expect(ofTransaction()).toHaveLength(2);
  expect(ofTransaction()[1]).toBe('the transaction of t has all its markers now');
  expect(await readValues(log, letters, 'read_committed')).toEqual(values);
  const next = await producer.beginTransaction();
  await next.sendAll(letters, [{ value: 'd', partition: 0 }]);
  await next.commit();
  expect(await readValues(log, letters, 'read_committed')).toHaveLength(4);
  expect(await codeOf(transaction.commit())).toBe('NO_TRANSACTION');
  await log.close();
});

test('[TXN-14] after the next transaction, a repeated commit is still a commit', async () => {
  const full = await fullBehindTheCommit();
  const { log, disk, clock } = full;
  const { producer, transaction, committing } = await commitOnFullDisk(full);
  await pass(clock, 10_000);
  expect(await committing).toBe('MARKERS_WAIT_FOR_ROOM');
  disk.onOperation = undefined;
  disk.capacityBytes = Infinity;
  await pass(clock, 2_000);
  await producer.transaction((tx) => tx.send(letters, { value: 'd', partition: 0 }));
  expect(await codeOf(transaction.commit())).toBe('resolved');
  expect(await readValues(log, letters, 'read_committed')).toHaveLength(4);
  await log.close();
});

test.each([1, 2, 3])(
  '[TXN-14] seed %i: neither a crash nor the end of the log takes such a commit',
  async (seed) => {
    const full = await fullBehindTheCommit(seed);
    const { log, disk, clock } = full;
    const { committing } = await commitOnFullDisk(full);
    await pass(clock, 10_000);
    expect(await committing).toBe('MARKERS_WAIT_FOR_ROOM');
    const images = [disk.crash(), disk.kill()];
    await log.close().catch((error: unknown) => {
      if (!LogError.is(error, 'DISK_FULL')) throw error;
    });
    for (const image of [...images, disk.kill()]) {
      image.capacityBytes = Infinity;
      await using next = await openLog('/data', { fileSystem: image, logger: silentLogger });
      expect(await readValues(next, letters, 'read_committed')).toEqual(values);
    }
  },
);

test('[TXN-14] an end that is asked for again is the same end, and no other one', async () => {
  const { log } = await fullBehindTheCommit();
  const transactionalId = 't';
  const identity = await log.api.initProducerId({ transactionalId, transactionTimeoutMs: 1000 });
  await log.api.createTopics({ topics: [{ topic: 'letters', partitions: 1 }] });
  const partitions = [{ topic: 'letters', partition: 0 }];
  const request = { transactionalId, ...identity };
  await log.api.addPartitionsToTxn({ ...request, partitions });
  const first = await log.api.endTxn({ ...request, commit: true });
  expect(await log.api.endTxn({ ...request, commit: true })).toEqual(first);
  expect(await codeOf(log.api.endTxn({ ...request, commit: false }))).toBe('PRODUCER_FENCED');
  // The next transaction has begun: the end before is out of date.
  await log.api.addPartitionsToTxn({ transactionalId, ...first, partitions });
  expect(await codeOf(log.api.endTxn({ ...request, commit: true }))).toBe('PRODUCER_FENCED');
  await log.close();
});
