import {
  appendFileSync,
  mkdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  nodeFileSystem,
  openLog,
  silentLogger,
  string,
  systemClock,
  topic,
  type Clock,
  type FileSystem,
  type Log,
} from '../../core/index.ts';
import { connectFailure } from '../../test/kit/connect.ts';
import { followFiles, valuesOf } from '../../test/kit/follow-files.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { connectOffsets } from '../runtime/source-offsets.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import { fileSource, type FileSourceOptions } from './file-source.ts';
import { lines } from './lines.ts';

const texts = topic('texts', { key: string(), value: string(), partitions: 1 });

/** The disk, noting which files are opened. */
function watched(opened: string[]): FileSystem {
  return {
    ...nodeFileSystem,
    open(path, mode) {
      opened.push(path);
      return nodeFileSystem.open(path, mode);
    },
  };
}

/** Files count as settled at once: their times are long ago by this clock. */
const late: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + 60_000 };

/** A clock that stands where a file was written. */
function atTimeOf(path: string): Clock {
  const { ctimeMs } = statSync(path);
  return { ...systemClock, nowMs: () => Math.ceil(ctimeMs) };
}

async function run(
  log: Log,
  options: Partial<FileSourceOptions<string, string, string>> & { readonly path: string },
  clock = late,
): Promise<number> {
  const source = fileSource({ topic: texts, format: lines(), key: () => null, ...options });
  return (await new SourceRunner(log, source, { clock }).run()).records;
}

function directoryOf(count: number): string {
  const directory = temporaryDirectory();
  for (let index = 0; index < count; index++) {
    writeFileSync(join(directory, `${String(index).padStart(4, '0')}.txt`), `line ${index}\n`);
  }
  return directory;
}

test('[CONNECT-MANY-1] what has not changed since it was read is not opened again', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const directory = directoryOf(300);
  const opened: string[] = [];
  const options = { path: join(directory, '*.txt'), fileSystem: watched(opened) };
  expect(await run(log, options)).toBe(300);
  expect(opened).toHaveLength(300);
  expect(await readValues(log, texts, 'read_committed')).toEqual(
    Array.from({ length: 300 }, (_, index) => `line ${index}`),
  );
  expect(await run(log, options)).toBe(0);
  expect(opened).toHaveLength(300);
  appendFileSync(join(directory, '0123.txt'), 'more\n');
  writeFileSync(join(directory, '0124.txt'), 'line 124\n'); // the same, but who knows
  expect(await run(log, options)).toBe(1);
  expect(opened.slice(300).map((path) => path.slice(-8))).toEqual(['0123.txt', '0124.txt']);
  expect(await run(log, options)).toBe(0);
  expect(opened).toHaveLength(302);
});

test('[CONNECT-MANY-1] the same size and time do not hide a change', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const path = join(directoryOf(1), '0000.txt');
  utimesSync(path, 1_000, 1_000);
  expect(await run(log, { path })).toBe(1);
  writeFileSync(path, 'LINE 0\n');
  utimesSync(path, 1_000, 1_000);
  expect((await connectFailure(run(log, { path }))).code).toBe('FILE_CHANGED');
});

test('[CONNECT-MANY-2] a change within the tick of the last one is seen', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const path = join(directoryOf(1), '0000.txt');
  const source = fileSource({ path, topic: texts, format: lines(), key: () => null });
  const clock = atTimeOf(path); // as if it was read at once
  expect((await new SourceRunner(log, source, { clock }).run()).records).toBe(1);
  writeFileSync(path, 'LINE 0\n');
  expect((await connectFailure(run(log, { path }, systemClock))).code).toBe('FILE_CHANGED');
});

test('[CONNECT-MANY-2] a file just written is opened once more, and then noted', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const opened: string[] = [];
  const options = { path: join(directoryOf(1), '0000.txt'), fileSystem: watched(opened) };
  expect(await run(log, options, atTimeOf(options.path))).toBe(1);
  for (const count of [2, 2]) {
    expect(await run(log, options)).toBe(0);
    expect(opened).toHaveLength(count);
  }
  const offsets = await readTopic(log, connectOffsets, 'read_committed');
  expect(offsets).toHaveLength(2);
});

test('[CONNECT-MANY-3] files can be left out by a pattern and by their age', async () => {
  const directory = directoryOf(3);
  writeFileSync(join(directory, 'old.txt'), 'old\n');
  utimesSync(join(directory, 'old.txt'), 1_000, 1_000);
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const path = join(directory, '*.txt');
  const exclude = [join(directory, '*1.txt')];
  expect(await run(log, { path, exclude, minAgeMs: 60_000 }, systemClock)).toBe(1);
  expect(await run(log, { path, exclude }, systemClock)).toBe(2);
  expect(await readValues(log, texts, 'read_committed')).toEqual(['old', 'line 0', 'line 2']);
  const followed = await followFiles({
    ...{ path, exclude, format: lines(), minAgeMs: 60_000 },
    // A file that is old enough once is followed from then on.
    steps: [() => appendFileSync(join(directory, 'old.txt'), 'older\n')],
  });
  expect(valuesOf(followed)).toEqual(['old', 'older']);
});

test('[CONNECT-MANY-4] links that lead back end the search', async () => {
  const directory = directoryOf(1);
  mkdirSync(join(directory, 'sub'));
  symlinkSync(directory, join(directory, 'sub', 'up'));
  symlinkSync('self', join(directory, 'self'));
  writeFileSync(join(directory, 'sub', 'a.txt'), 'a\n');
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  await run(log, { path: `${directory}/**/*.txt` });
  const read = await readValues(log, texts, 'read_committed');
  expect([...new Set(read)].sort()).toEqual(['a', 'line 0']);
});

test('[CONNECT-MANY-5] a file that cannot be opened is reported in its turn', async () => {
  const directory = directoryOf(6);
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    async open(path, mode) {
      if (!path.endsWith('3.txt')) return nodeFileSystem.open(path, mode);
      throw Object.assign(new TypeError('EACCES'), { code: 'EACCES' });
    },
  };
  const source = fileSource({
    ...{ path: join(directory, '*.txt'), topic: texts, format: lines(), fileSystem },
    key: () => null,
  });
  const runner = new SourceRunner(log, source);
  expect(await connectFailure(runner.run())).toMatchObject({ code: 'ACCESS_DENIED' });
  expect(runner.progress.records).toBe(3);
});
