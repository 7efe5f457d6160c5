import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  json,
  LogError,
  openLog,
  seededRandom,
  silentLogger,
  string,
  topic,
  type Log,
} from '../../core/index.ts';
import { changesNothing, MemoryFileSystem } from '../../core/testing/index.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { ConnectError } from '../errors.ts';
import { SinkRunner } from '../runtime/sink-runner.ts';
import { fileSink } from './file-sink.ts';
import { jsonl } from './jsonl.ts';
import { readManifest } from './manifest.ts';

const numbers = topic('numbers', { key: string(), value: json<string>(), partitions: 2 });
/** Two lines, so every commit rolls and most leave an open part. */
const PART_BYTES = 40;

const open = (fileSystem: MemoryFileSystem, seed: number): Promise<Log> =>
  openLog('/data', { fileSystem, random: seededRandom(seed), logger: silentLogger });

function runner(log: Log, fileSystem: MemoryFileSystem, path = '/out'): SinkRunner {
  const options = { topic: numbers, path, format: jsonl(), partBytes: PART_BYTES };
  return new SinkRunner(log, fileSink({ ...options, fileSystem }), { commitIntervalMs: 1 });
}

/** A transaction of a few records for both partitions. */
async function produce(log: Log, round: number): Promise<void> {
  await using producer = log.producer({ transactionalId: 'writer' });
  await producer.transaction((tx) => {
    for (let index = 0; index < 5; index++) {
      const value = `round ${round}, record ${index}`;
      tx.send(numbers, { key: 'k', value, partition: index % 2 });
    }
  });
}

/** Runs the sink while records arrive, until the output is complete. */
async function work(disk: MemoryFileSystem, seed: number, rounds = 4): Promise<void> {
  const log = await open(disk, seed);
  await produce(log, 0);
  const sink = runner(log, disk);
  const running = sink.run();
  running.catch(() => undefined);
  for (let round = 1; round < rounds; round++) {
    while (sink.progress.committedRecords < round * 5) {
      await Promise.race([running, new Promise((resolve) => setImmediate(resolve))]);
    }
    await produce(log, round);
  }
  await sink.finish();
  await log.close();
}

/** The output that counts, by partition; checks it against the manifest. */
async function committedLines(disk: MemoryFileSystem): Promise<string[]> {
  const manifest = await readManifest(disk, '/out');
  const texts = ['', ''];
  for (const { file, partition, sizeBytes, crc32: checksum } of manifest?.parts ?? []) {
    const content = await disk.readFile(`/out/${file}`);
    const committed = content.subarray(0, sizeBytes);
    expect(committed).toHaveLength(sizeBytes);
    expect(crc32(committed).toString(16).padStart(8, '0')).toBe(checksum);
    texts[partition] = (texts[partition] ?? '') + committed.toString('utf8');
  }
  return texts;
}

/** The output expected for the topic. */
async function expectedLines(log: Log): Promise<string[]> {
  const texts = ['', ''];
  for (const { partition, value } of await readTopic(log, numbers, 'read_committed')) {
    texts[partition] = `${texts[partition] ?? ''}${JSON.stringify(value)}\n`;
  }
  return texts;
}

/** Continues after a crash and checks the output against the topic: each record once, in order. */
async function checkRecovery(disk: MemoryFileSystem, seed: number): Promise<void> {
  const log = await open(disk, seed);
  const before = await committedLines(disk);
  await runner(log, disk).finish();
  const after = await committedLines(disk);
  const expected = await expectedLines(log);
  expect(after).toEqual(expected);
  for (const [partition, text] of before.entries()) {
    expect(expected[partition]?.startsWith(text)).toBe(true); // committed output is never lost
  }
  const manifest = await readManifest(disk, '/out');
  expect(manifest?.complete).toBe(true);
  for (const { file, sizeBytes } of manifest?.parts ?? []) {
    expect((await disk.stat(`/out/${file}`))?.sizeBytes).toBe(sizeBytes);
  }
  const names = (await disk.list('/out')).map(({ name }) => name).filter((n) => n !== '.lock');
  expect(names.sort()).toEqual(
    ['manifest.json', ...manifest!.parts.map(({ file }) => file)].sort(),
  );
  await log.close();
}

/** A disk for each operation on the output, as a crash right after it leaves it. */
async function crashes(
  seed: number,
  crash: (disk: MemoryFileSystem) => MemoryFileSystem,
): Promise<{ readonly operation: string; readonly disk: MemoryFileSystem }[]> {
  const found: { operation: string; disk: MemoryFileSystem }[] = [];
  const disk: MemoryFileSystem = new MemoryFileSystem({
    random: seededRandom(seed),
    onOperation: ({ number, kind, path }) => {
      if (!changesNothing(kind) && path.startsWith('/out')) {
        found.push({ operation: `${number} ${kind} ${path}`, disk: crash(disk) });
      }
    },
  });
  await work(disk, seed);
  return found;
}

test.each([1, 2])(
  '[CONNECT-FILES-1] power cut after each operation on the output: each record once (seed %i)',
  async (seed) => {
    const random = seededRandom(seed * 7);
    const moments = await crashes(seed, (disk) => disk.crash(random));
    expect(moments.length).toBeGreaterThan(40);
    for (const { disk } of moments) await checkRecovery(disk, seed);
  },
  60_000,
);

test('[CONNECT-FILES-1] kill after each operation on the output: each record once', async () => {
  const moments = await crashes(3, (disk) => disk.kill());
  for (const { disk } of moments) await checkRecovery(disk, 3);
}, 60_000);

test('[CONNECT-FILES-14] the next run recovers from any failed operation', async () => {
  for (const code of ['ENOSPC', 'EIO']) {
    let failures = 0;
    for (let nth = 1; ; nth++) {
      const disk = new MemoryFileSystem({ random: seededRandom(nth) });
      let count = 0;
      disk.fail({
        at: ({ path, kind }) => path.startsWith('/out') && kind !== 'close' && ++count === nth,
        code,
        writtenBytes: 7,
      });
      const error = await failureOf(work(disk, nth, 2));
      if (count < nth) break; // the whole run has fewer operations
      const isRefused = error instanceof ConnectError;
      if (isRefused) {
        failures++;
        expect(['DISK_FULL', 'STORAGE_FAILED']).toContain(error.code);
        expect(error.code === 'DISK_FULL').toBe(code === 'ENOSPC');
        expect(error.retriable).toBe(code === 'ENOSPC');
        expect(error.message).toContain('/out');
      } else {
        expect(error).toMatchObject({ message: 'resolved with undefined' });
      }
      // The failed run's lock ends with its process.
      await checkRecovery(disk.kill(), nth);
    }
    expect(failures).toBeGreaterThan(20);
  }
}, 60_000);

test('[CONNECT-FILES-15] a full disk ends the run; with room the next run continues', async () => {
  const disk = new MemoryFileSystem({ random: seededRandom(5) });
  const log = await open(disk, 5);
  await produce(log, 0);
  await runner(log, disk).finish();
  await produce(log, 1);
  disk.capacityBytes = disk.usedBytes + 20;
  const error = await failureOf(runner(log, disk).finish());
  expect(ConnectError.is(error, 'DISK_FULL') || LogError.is(error, 'DISK_FULL')).toBe(true);
  disk.capacityBytes = Infinity;
  await runner(log, disk).finish();
  expect(await committedLines(disk)).toEqual(await expectedLines(log));
  await log.close();
});

test('[CONNECT-FILES-1] a finished output survives a power cut, with its directories', async () => {
  const disk = new MemoryFileSystem({ random: seededRandom(6) });
  const log = await open(disk, 6);
  await produce(log, 0);
  await runner(log, disk, '/new/deeper/out').finish();
  for (let seed = 0; seed < 10; seed++) {
    const after = disk.crash(seededRandom(seed));
    expect((await readManifest(after, '/new/deeper/out'))?.complete).toBe(true);
  }
});
