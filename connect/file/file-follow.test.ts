import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  json,
  LogError,
  nodeFileSystem,
  openLog,
  seededRandom,
  silentLogger,
  string,
  systemClock,
  topic,
  type Clock,
  type FileSystem,
  type Log,
} from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { connectFailure } from '../../test/kit/connect.ts';
import { writtenTexts } from '../../test/kit/output.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import { csv } from './csv.ts';
import { fileSource } from './file-source.ts';
import type { SourceFormat } from './format.ts';
import { jsonl } from './jsonl.ts';
import { lines } from './lines.ts';
import { parquet } from './parquet.ts';

const rows = topic('rows', { key: string(), value: json<unknown>(), partitions: 1 });
const options = { topic: rows, key: () => null, follow: true } as const;

/**
 * Follows `path` and yields the source's records as JSON. Each time the source starts to wait, it
 * takes the next step, and after the last step it stops the source: no time passes.
 */
async function follow(
  path: string,
  format: SourceFormat<unknown>,
  steps: readonly (() => void)[],
  fileSystem: FileSystem = nodeFileSystem,
): Promise<unknown[]> {
  const stop = new AbortController();
  const left = [...steps];
  const clock: Clock = {
    ...systemClock,
    // The files look as if they had been written long ago: what has not changed is seen as such.
    nowMs: () => systemClock.nowMs() + 60_000,
    setTimer(delayMs, callback) {
      expect(delayMs).toBe(1_000);
      const step = left.shift();
      if (step === undefined) stop.abort();
      else step();
      return systemClock.setTimer(0, callback);
    },
  };
  const source = fileSource({ ...options, path, format, fileSystem });
  expect(source.isBounded).toBe(false);
  const context = { offset: () => undefined, signal: stop.signal, clock };
  const [task] = await source.open(context);
  const values: unknown[] = [];
  try {
    for (let batch = await task?.poll(); batch !== undefined; batch = await task?.poll()) {
      for (const { error } of batch.bad ?? []) throw error;
      values.push(...batch.records.map(({ value }) => value));
    }
  } finally {
    await task?.close();
  }
  expect(left).toEqual([]);
  return values;
}

test('[CONNECT-FOLLOW-1] appended lines and new files are read', async () => {
  const directory = temporaryDirectory();
  const [a, b] = [join(directory, 'a.log'), join(directory, 'b.log')];
  const values = await follow(join(directory, '*.log'), lines(), [
    () => writeFileSync(b, 'b1\n'),
    () => appendFileSync(b, 'b2\nb3\n'),
    () => undefined,
    () => {
      writeFileSync(a, 'a1\n');
      appendFileSync(b, 'b4\n');
    },
    () => rmSync(a), // a file that was read may go
    () => appendFileSync(b, 'b5\n'),
  ]);
  expect(values).toEqual(['b1', 'b2', 'b3', 'a1', 'b4', 'b5']);
  const single = join(directory, 'later.txt');
  expect(await follow(single, lines(), [() => writeFileSync(single, '1\n')])).toEqual(['1']);
});

test('[CONNECT-FOLLOW-1] only files that have changed are opened again', async () => {
  const directory = temporaryDirectory();
  const [a, b] = [join(directory, 'a.log'), join(directory, 'b.log')];
  const opened: string[] = [];
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    open(path, mode) {
      opened.push(path);
      return nodeFileSystem.open(path, mode);
    },
  };
  writeFileSync(a, 'a1\n');
  writeFileSync(b, 'b1\nnot whole');
  const steps = [() => undefined, () => appendFileSync(a, 'a2\n'), () => undefined];
  const pattern = join(directory, '*.log');
  expect(await follow(pattern, lines(), steps, fileSystem)).toEqual(['a1', 'b1', 'a2']);
  expect(opened).toEqual([a, b, a]);
});

test('[CONNECT-FOLLOW-2] only whole records are read, wherever the writer stops', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'é', '🚀', ',', '"', '\n', '\r\n') });
  const table = fc.record({
    cells: fc.array(fc.tuple(text, text), { maxLength: 12 }),
    cuts: fc.array(fc.nat(400), { maxLength: 8 }),
    rest: fc.constantFrom('', 'x', 'x,"y', '"x\n,'),
  });
  const quote = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;
  await fc.assert(
    fc.asyncProperty(table, async ({ cells, cuts, rest }) => {
      const objects = cells.map(([a, b]) => ({ a, b }));
      const { texts } = await writtenTexts(csv(), objects, ['a', 'b']);
      const records = texts.map((record) => `${record}\n`).join('');
      const forms: readonly (readonly [SourceFormat<unknown>, string, readonly unknown[]])[] = [
        [csv(), `a,${quote('b')}\n${records}${rest}`, objects],
        [jsonl(), objects.map((row) => `${JSON.stringify(row)}\n`).join('') + rest, objects],
        [lines(), `1\n\n2\r\n${rest}`, rest.includes('\n') ? ['1', '', '2', '"x'] : ['1', '', '2']],
      ];
      for (const [format, content, expected] of forms) {
        if (format.name === 'jsonl' && rest.includes('\n')) continue; // a whole line, but not JSON
        const path = join(temporaryDirectory(), 'file');
        const bytes = Buffer.from(content);
        const places = [0, ...cuts.filter((cut) => cut < bytes.length), bytes.length];
        places.sort((one, other) => one - other);
        const steps = places.map((place, index) => {
          const part = bytes.subarray(places[index - 1] ?? 0, place);
          return () => appendFileSync(path, part);
        });
        expect(await follow(path, format, steps)).toEqual(expected);
      }
    }),
    { numRuns: 60 },
  );
});

test('[CONNECT-FOLLOW-2] a record that never ends is an error, not waited for', async () => {
  const path = join(temporaryDirectory(), 'file');
  writeFileSync(path, `a\n${'x'.repeat(99)}`);
  const format = lines({ lineBytesMax: 99 });
  expect(await connectFailure(follow(path, format, []))).toMatchObject({
    code: 'LINE_TOO_LONG',
    details: { file: path, line: 2, positionBytes: 2, limitBytes: 99 },
  });
});

test('[CONNECT-FOLLOW-4] Parquet cannot be followed', () => {
  let failure: unknown;
  try {
    fileSource({ ...options, path: 'x', format: parquet() });
  } catch (error) {
    failure = error;
  }
  expect(LogError.is(failure, 'INVALID_OPTION') && failure.details).toEqual({
    option: 'follow',
    value: 'true',
    allowed: 'false, or left out, for parquet()',
  });
  expect(() => fileSource({ ...options, path: 'x', format: lines(), pollIntervalMs: 0 })).toThrow(
    /pollIntervalMs/,
  );
});

const open = (fileSystem: MemoryFileSystem, seed: number): Promise<Log> =>
  openLog('/data', { fileSystem, random: seededRandom(seed), logger: silentLogger });

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `line ${from + index}`);

test('[CONNECT-FOLLOW-5] a waiting run stops at once and commits what was read', async () => {
  const disk = new MemoryFileSystem({ random: seededRandom(1) });
  await using log = await open(disk, 1);
  const path = join(temporaryDirectory(), 'file');
  writeFileSync(path, `${numbers(0, 3).join('\n')}\n`);
  const source = fileSource({ ...options, path, format: lines(), pollIntervalMs: 3_600_000 });
  let isWaiting = (): void => undefined;
  const waiting = new Promise<void>((resolve) => (isWaiting = resolve));
  const clock: Clock = {
    ...systemClock,
    setTimer(delayMs, callback) {
      if (delayMs === 3_600_000) isWaiting();
      return systemClock.setTimer(delayMs, callback);
    },
  };
  const runner = new SourceRunner(log, source, { commitIntervalMs: 600_000, clock });
  const running = runner.run();
  await waiting;
  await runner.stop();
  expect(await running).toMatchObject({ records: 3, isEnded: false });
  expect(await readValues(log, rows, 'read_committed')).toEqual(numbers(0, 3));
});

/** Follows a file that grows piece by piece; yields a disk for each moment of the log. */
async function followWhileWriting(
  path: string,
  seed: number,
  crash: (disk: MemoryFileSystem) => MemoryFileSystem,
): Promise<MemoryFileSystem[]> {
  const moments: MemoryFileSystem[] = [];
  const disk: MemoryFileSystem = new MemoryFileSystem({
    random: seededRandom(seed),
    onOperation: ({ kind }) => {
      if (['write', 'sync', 'rename'].includes(kind)) moments.push(crash(disk));
    },
  });
  const log = await open(disk, seed);
  const source = fileSource({ ...options, path, format: lines(), pollIntervalMs: 1 });
  const runner = new SourceRunner(log, source, { commitRecordsMax: 4, commitIntervalMs: 1 });
  const running = runner.run();
  running.catch(() => undefined);
  for (let count = 0; count < 15; count += 3) {
    const text = numbers(count, count + 3).join('\n');
    appendFileSync(path, text.slice(0, -2)); // a line that is not whole yet
    while (runner.progress.records < count + 2) {
      await Promise.race([running, new Promise((resolve) => setImmediate(resolve))]);
    }
    appendFileSync(path, `${text.slice(-2)}\n`);
  }
  while (runner.progress.committedRecords < 15) {
    await Promise.race([running, new Promise((resolve) => setImmediate(resolve))]);
  }
  await runner.stop();
  await log.close();
  return moments;
}

test.each([
  ['power cut', 1, (disk: MemoryFileSystem) => disk.crash(seededRandom(21))],
  ['kill', 2, (disk: MemoryFileSystem) => disk.kill()],
] as const)(
  '[CONNECT-FOLLOW-6] %s while a growing file is followed: each line once (seed %i)',
  async (_, seed, crash) => {
    const path = join(temporaryDirectory(), 'file');
    const moments = await followWhileWriting(path, seed, crash);
    expect(moments.length).toBeGreaterThan(30);
    for (const disk of moments) {
      const log = await open(disk, seed);
      // Without `follow` it continues at the same offsets, and ends.
      const rest = fileSource({ ...options, follow: false, path, format: lines() });
      await new SourceRunner(log, rest).run();
      const found = await readTopic(log, rows, 'read_committed');
      expect(found.map(({ value }) => value)).toEqual(numbers(0, 15));
      await log.close();
    }
  },
  60_000,
);
