import { describe, expect, test } from 'vitest';
import {
  LogError,
  openLog,
  seededRandom,
  silentLogger,
  string,
  topic,
  type Log,
} from '../../core/index.ts';
import {
  ManualClock,
  MemoryFileSystem,
  type DiskOperation,
  type Fault,
} from '../../core/testing/index.ts';
import { checkEach } from '../kit/check-each.ts';
import { readValues } from '../kit/read-topic.ts';
import { DIRECTORY, pump } from './world.ts';

/** One operation in this many fails; `npm run soak` makes each of them fail. */
const STRIDE = Number(process.env['FAULT_STRIDE'] ?? 10);
const TIMEOUT_MS = 3_600_000;
const SEED = 7;

const config = { segmentBytes: 1024, indexIntervalBytes: 200 };
const handle = (name: string) =>
  topic(name, { key: string(), value: string(), partitions: 1, config });
const [plain, left, right] = [handle('plain'), handle('left'), handle('right')];

/** What clients know after the script has ended. */
class Witness {
  readonly sent: string[] = [];
  readonly acknowledged: string[] = [];
  readonly committed: string[] = [];
  readonly aborted: string[] = [];
  readonly errors: unknown[] = [];
  groupOffset = { asked: 0, acknowledged: 0 };
  partitions = { asked: 0, acknowledged: 0 };

  /** Runs a step, which may fail; a later check looks for its code. */
  async step(run: () => Promise<unknown>, done?: () => void): Promise<void> {
    try {
      await run();
      done?.();
    } catch (error) {
      this.errors.push(error);
    }
  }
}

const open = (fileSystem: MemoryFileSystem, clock: ManualClock): Promise<Log> =>
  openLog(DIRECTORY, { fileSystem, clock, random: seededRandom(SEED), logger: silentLogger });

/** Producers, a transactional one, a group and an administrator, in turn. */
async function script(log: Log, clock: ManualClock, witness: Witness): Promise<void> {
  const producer = log.producer({ deliveryTimeoutMs: 3000 });
  const writer = log.producer({ transactionalId: 'writer', deliveryTimeoutMs: 3000 });
  const consumer = log.consumer({ groupId: 'readers', enableAutoCommit: false });
  const reader = consumer.subscribe([plain]);
  for (let round = 0; round < 4; round++) {
    const values = ['a', 'b', 'c'].map((name) => `${name}${round}`.repeat(40));
    for (const value of values) {
      witness.sent.push(value);
      const sent = () => producer.send(plain, { value });
      await witness.step(sent, () => witness.acknowledged.push(value));
    }
    await witness.step(async () => {
      const records = await reader.poll({ maxWaitMs: 500 });
      const next = (records.at(-1)?.offset ?? -1) + 1;
      witness.groupOffset.asked = Math.max(witness.groupOffset.asked, next);
      await reader.commit();
      witness.groupOffset.acknowledged = Math.max(witness.groupOffset.acknowledged, next);
    });
    const isAborted = round === 1;
    const value = String(round);
    await witness.step(
      () =>
        writer.transaction(async (tx) => {
          tx.send(left, { value });
          tx.send(right, { value });
          const offsets = [{ topic: plain.name, partition: 0, offset: round + 1, metadata: value }];
          await tx.sendOffsets(offsets, 'copiers');
          if (isAborted) {
            witness.aborted.push(value);
            throw new LogError('ABORTED', 'not this one', { operation: 'script' });
          }
        }),
      () => witness.committed.push(value),
    );
    clock.advance(10_000); // a checkpoint
  }
  await administer(log, witness);
  for (const each of [reader, producer, writer, log]) await witness.step(() => each.close());
}

async function administer(log: Log, witness: Witness): Promise<void> {
  const admin = log.admin();
  witness.partitions.asked = 1;
  await witness.step(
    () => admin.createTopic('grown', { partitions: 1 }),
    () => (witness.partitions.acknowledged = 1),
  );
  witness.partitions.asked = 2;
  await witness.step(
    () => admin.createPartitions('grown', 2),
    () => (witness.partitions.acknowledged = 2),
  );
  await witness.step(() => admin.alterConfigs('plain', { set: { segmentBytes: 2048 } }));
  await witness.step(() => admin.deleteRecords([{ topic: 'left', partition: 0, offset: 0 }]));
  await witness.step(async () => {
    await admin.createTopic('short-lived');
    await admin.deleteTopics(['short-lived']);
  });
}

async function play(options: { onOperation?: (operation: DiskOperation) => void; fault?: Fault }) {
  const { onOperation, fault } = options;
  const clock = new ManualClock();
  const disk = new MemoryFileSystem({
    random: seededRandom(SEED),
    clock,
    ...(onOperation && { onOperation }),
  });
  if (fault !== undefined) disk.fail(fault);
  const witness = new Witness();
  const played = witness.step(async () => script(await open(disk, clock), clock, witness));
  await pump(clock, played);
  return { disk, witness };
}

/** Errors that clients may get from a disk that fails once, at once or later. */
const ALLOWED: ReadonlySet<string> = new Set([
  'ABORTED',
  'CLOSED',
  'DELIVERY_TIMEOUT',
  'DIRECTORY_UNUSABLE',
  'DISK_FULL',
  'KAFKA_STORAGE_ERROR',
  'TOPIC_ALREADY_EXISTS',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);

/** Opens the remaining log and compares it with what clients know. */
async function check(disk: MemoryFileSystem, witness: Witness): Promise<void> {
  const clock = new ManualClock();
  const checked = (async () => {
    const log = await open(disk, clock);
    // The next producer ends what the previous one left open.
    const writer = log.producer({ transactionalId: 'writer' });
    await (await writer.beginTransaction()).abort();
    const values = await readValues(log, plain);
    expect(values).toEqual(expect.arrayContaining([...witness.acknowledged]));
    expect(witness.sent).toEqual(expect.arrayContaining(values));
    expect(new Set(values).size).toBe(values.length);
    const [inLeft, inRight] = [
      await readValues(log, left, 'read_committed'),
      await readValues(log, right, 'read_committed'),
    ];
    expect(inLeft).toEqual(inRight);
    expect(inLeft).toEqual(expect.arrayContaining([...witness.committed]));
    for (const value of witness.aborted) expect(inLeft).not.toContain(value);
    const [copied] = await offsetsOf(log, 'copiers');
    expect(copied?.metadata).toBe(inLeft.at(-1)); // both undefined before the first
    const offset = (await offsetsOf(log, 'readers'))[0]?.offset ?? 0;
    expect(offset).toBeGreaterThanOrEqual(witness.groupOffset.acknowledged);
    expect(offset).toBeLessThanOrEqual(witness.groupOffset.asked);
    const [grown] = (await log.api.metadata({ topics: ['grown'] })).topics;
    const partitions = grown?.error === undefined ? (grown?.partitions ?? 0) : 0;
    expect(partitions).toBeGreaterThanOrEqual(witness.partitions.acknowledged);
    expect(partitions).toBeLessThanOrEqual(witness.partitions.asked);
    await log.producer().send(plain, { value: 'next' });
    expect((await readValues(log, plain)).at(-1)).toBe('next');
    await log.close();
  })();
  await pump(clock, checked);
}

async function offsetsOf(log: Log, groupId: string) {
  return (await log.api.offsetFetch({ groupId, requireStable: false })).offsets;
}

function faultsFor({ kind }: DiskOperation): Omit<Fault, 'at'>[] {
  if (kind === 'write') {
    return [{ code: 'EIO' }, { code: 'ENOSPC' }, { code: 'EIO', writtenBytes: 100 }];
  }
  const mayBeFull = ['create', 'makeDirectory', 'rename', 'sync', 'syncDirectory'].includes(kind);
  return mayBeFull ? [{ code: 'EIO' }, { code: 'ENOSPC' }] : [{ code: 'EIO' }];
}

describe('clients on a disk that fails once', () => {
  test(
    '[SIM-2] at any operation: only coded errors, no endless wait, no acknowledged data lost',
    async () => {
      const operations: DiskOperation[] = [];
      const { witness } = await play({ onOperation: (operation) => operations.push(operation) });
      expect(witness.errors).toMatchObject([{ code: 'ABORTED' }]);
      expect(operations.length).toBeGreaterThan(300);
      const tried = operations.filter(({ number }) => number % STRIDE === 0);
      const faults = tried.flatMap((operation) => {
        return faultsFor(operation).map((fault) => ({ ...operation, fault }));
      });
      await checkEach(faults, async ({ number, kind, path, fault }) => {
        await checkFault({ ...fault, at: number }).catch((cause: unknown) => {
          const name = `${JSON.stringify(fault)} in operation ${number} (${kind} ${path})`;
          throw new Error(`${name}: ${String(cause)}`, { cause });
        });
      });
    },
    TIMEOUT_MS,
  );
});

async function checkFault(fault: Fault): Promise<void> {
  const { disk, witness } = await play({ fault });
  const odd = witness.errors.filter((error) => {
    return !(error instanceof LogError) || !ALLOWED.has(error.code);
  });
  expect(odd).toEqual([]);
  await check(disk.kill(seededRandom(1)), witness);
  await check(disk.crash(seededRandom(2)), witness);
}
