import { expect, test } from 'vitest';
import { checkEach } from '../../../test/kit/check-each.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { silentLogger } from '../../logger.ts';
import { seededRandom } from '../../random.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { changesNothing } from '../../storage/memory-operations.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const left = topic('left', { key: string(), value: string(), partitions: 1 });
const right = topic('right', { key: string(), value: string(), partitions: 1 });
const input = topic('input', { key: string(), value: string(), partitions: 1 });

/** What the outside knows at one moment. */
interface Witness {
  readonly acknowledged: readonly string[];
  readonly aborted: readonly string[];
  readonly plain: readonly string[];
}

/** The log at one moment, as a crash right then would leave it. */
interface Moment {
  readonly operation: string;
  readonly witness: Witness;
  readonly disk: MemoryFileSystem;
}

/** Each test takes some seconds on an idle machine. */
const TIMEOUT_MS = 120_000;

const open = (fileSystem: MemoryFileSystem, seed: number) =>
  openLog('/data', { fileSystem, random: seededRandom(seed), logger: silentLogger });

/** Runs transactions over two topics and a group's offset, and crashes at each operation. */
async function crashEverywhere(
  seed: number,
  crash: (disk: MemoryFileSystem) => MemoryFileSystem,
): Promise<Moment[]> {
  const moments: Moment[] = [];
  const [acknowledged, aborted, plain]: string[][] = [[], [], []];
  let known = -1;
  const disk = new MemoryFileSystem({
    random: seededRandom(seed),
    onOperation: ({ kind, path }) => {
      const count = acknowledged!.length + aborted!.length + plain!.length;
      if (changesNothing(kind) && count === known) return; // as after the operation before
      known = count;
      const witness = {
        acknowledged: [...acknowledged!],
        aborted: [...aborted!],
        plain: [...plain!],
      };
      moments.push({ operation: `${kind} ${path}`, witness, disk: crash(disk) });
    },
  });
  const log = await open(disk, seed);
  await log.producer().send(input, { value: 'in' });
  const producer = log.producer({ transactionalId: 'writer' });
  const other = log.producer();
  for (const value of ['0', '1', '2', '3']) {
    const isAborted = value === '1';
    await producer
      .transaction(async (tx) => {
        tx.send(left, { value });
        tx.send(right, { value });
        await tx.sendOffsets(
          [{ topic: 'input', partition: 0, offset: Number(value) + 1, metadata: value }],
          'group',
        );
        if (isAborted) throw new TypeError('not this one');
      })
      .then(
        () => acknowledged!.push(value),
        () => aborted!.push(value),
      );
    await other.send(input, { value });
    plain!.push(value);
  }
  await log.close();
  return moments;
}

async function committed(log: Log): Promise<string[]> {
  const places = [{ topic: 'input', partition: 0 }];
  const { offsets } = await log.api.offsetFetch({
    groupId: 'group',
    partitions: places,
    requireStable: false,
  });
  const values = [
    await readValues(log, left, 'read_committed'),
    await readValues(log, right, 'read_committed'),
  ];
  expect(values[0]).toEqual(values[1]); // all or nothing
  const [offset] = offsets;
  expect(offset?.metadata).toBe(values[0]?.at(-1) ?? ''); // offsets and records together
  return values[0] as string[];
}

/** Opens the log after the crash, holds it against what the outside knew, and goes on with it. */
async function checkRecovery({ disk, witness }: Moment, seed: number): Promise<void> {
  const log = await open(disk, seed);
  const found = await committed(log);
  expect(found).toEqual(expect.arrayContaining([...witness.acknowledged]));
  for (const value of witness.aborted) expect(found).not.toContain(value);
  const plain = await readValues(log, input, 'read_committed');
  expect(plain).toEqual(expect.arrayContaining([...witness.plain]));
  expect(new Set(plain).size).toBe(plain.length);

  // What was seen once is there for good: a power cut now takes nothing of it.
  const again = await open(disk.crash(seededRandom(seed + 1)), seed);
  expect(await committed(again)).toEqual(found);
  for (const each of [log, again]) {
    const producer = each.producer({ transactionalId: 'writer' });
    await producer.transaction((tx) => {
      tx.send(left, { value: 'next' });
      tx.send(right, { value: 'next' });
    });
    const values = await readValues(each, left, 'read_committed');
    expect(values).toEqual([...found, 'next']);
    expect(await readValues(each, right, 'read_committed')).toEqual(values);
    await each.close();
  }
}

async function checkEverywhere(
  seed: number,
  crash: (disk: MemoryFileSystem) => MemoryFileSystem,
): Promise<void> {
  const moments = await crashEverywhere(seed, crash);
  expect(moments.length).toBeGreaterThan(100);
  await checkEach(moments.entries(), async ([index, moment]) => {
    try {
      await checkRecovery(moment, seed + index);
    } catch (cause) {
      throw new Error(`seed ${seed}, after operation ${index}: ${moment.operation}`, { cause });
    }
  });
}

test.each([1])(
  '[TXN-1] a power cut after any operation, seed %i',
  async (seed) => {
    let cut = 0;
    await checkEverywhere(seed, (disk) => disk.crash(seededRandom(seed * 1000 + cut++)));
  },
  TIMEOUT_MS,
);

test.each([2])(
  '[TXN-1] kill -9 after any operation, then a power cut, seed %i',
  async (seed) => {
    await checkEverywhere(seed, (disk) => disk.kill(seededRandom(seed)));
  },
  TIMEOUT_MS,
);
