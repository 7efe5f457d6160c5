import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { followFiles, valuesOf } from '../../test/kit/follow-files.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { SourceStep } from '../runtime/source-run.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import { csv } from './csv.ts';
import { fileSource, type FileSourceOptions } from './file-source.ts';
import { lines } from './lines.ts';

const texts = topic('texts', { key: string(), value: string(), partitions: 1 });
type Options = Partial<FileSourceOptions<string, string, string>>;

async function run(
  log: Log,
  directory: string,
  options: Options,
  onStep: (step: SourceStep) => void = () => undefined,
): Promise<void> {
  const path = join(directory, '**/*.txt');
  const source = fileSource({ path, format: lines(), topic: texts, key: () => null, ...options });
  await new SourceRunner(log, source, { onStep }).run();
}

const read = (log: Log) => readValues(log, texts, 'read_committed');

test('[CONNECT-MANY-6] files are moved when the commit that covers them is done', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const directory = temporaryDirectory();
  const moveTo = join(directory, 'done');
  writeFileSync(join(directory, 'a.txt'), 'a1\n');
  writeFileSync(join(directory, 'b.txt'), 'b1\n');
  await run(log, directory, { whenRead: { moveTo } }, (step) => {
    if (step !== 'source-4-committed') expect(existsSync(join(directory, 'a.txt'))).toBe(true);
  });
  expect(readdirSync(moveTo).sort()).toEqual(['a.txt', 'b.txt']);
  expect(existsSync(join(directory, 'a.txt'))).toBe(false);
  // Another file of the same name is another file.
  writeFileSync(join(directory, 'a.txt'), 'a1\na2\n');
  await run(log, directory, { whenRead: { moveTo } });
  expect(readFileSync(join(moveTo, 'a.txt.1'), 'utf8')).toBe('a1\na2\n');
  expect(await read(log)).toEqual(['a1', 'b1', 'a1', 'a2']);
});

test('[CONNECT-MANY-6] a run that was killed before it removed a file is made up for', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const directory = temporaryDirectory();
  const path = join(directory, 'a.txt');
  writeFileSync(path, 'a1\n');
  await new Promise((resolve) => setTimeout(resolve, 150)); // its time is settled
  const dying = run(log, directory, { whenRead: 'delete' }, (step) => {
    if (step === 'source-4-committed') throw new RangeError('killed');
  });
  expect(await failureOf(dying)).toBeInstanceOf(Error);
  expect(existsSync(path)).toBe(true);
  await run(log, directory, { whenRead: 'delete' });
  expect(existsSync(path)).toBe(false);
  expect(await read(log)).toEqual(['a1']);
});

test('[CONNECT-MANY-6] a file that has changed meanwhile stays', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const directory = temporaryDirectory();
  const path = join(directory, 'a.txt');
  writeFileSync(path, 'a1\n');
  await run(log, directory, { whenRead: 'delete' }, (step) => {
    if (step === 'source-3-end') appendFileSync(path, 'a2\n');
  });
  expect(existsSync(path)).toBe(true);
  await run(log, directory, { whenRead: 'delete' });
  expect(existsSync(path)).toBe(false);
  expect(await read(log)).toEqual(['a1', 'a2']);
  const both = { path, format: lines(), topic: texts, key: () => null } as const;
  expect(() => fileSource({ ...both, follow: true, whenRead: 'delete' })).toThrow(
    /whenRead must be/,
  );
  expect(() => fileSource({ ...both, whenRead: { moveTo: '' } })).toThrow(/moveTo: directory/);
});

test('[CONNECT-FOLLOW-13] from the end on, only what is appended is read', async () => {
  const directory = temporaryDirectory();
  const [a, b] = [join(directory, 'a.log'), join(directory, 'b.log')];
  const long = 'a line that was there before\n'.repeat(30_000);
  writeFileSync(a, `${long}half`);
  const options = { path: join(directory, '*.log'), format: lines(), start: 'end' } as const;
  const first = await followFiles({
    ...options,
    steps: [() => appendFileSync(a, ' a line\na2\n'), () => writeFileSync(b, 'b1\n')],
  });
  expect(valuesOf(first)).toEqual(['half a line', 'a2', 'b1']);
  // Nothing was appended before the run ended: the next one has the same end.
  const silent = await followFiles({ ...options, steps: [] });
  appendFileSync(a, 'while nobody looked\n');
  const second = await followFiles({ ...options, committed: silent, steps: [] });
  expect(valuesOf([...silent, ...second])).toEqual(['while nobody looked']);
  const table = join(directory, 'c.csv');
  writeFileSync(table, 'a,b\n1,2\n');
  const rows = await followFiles({
    ...{ path: table, format: csv(), start: 'end' },
    steps: [() => appendFileSync(table, '3,4\n')],
  });
  expect(valuesOf(rows)).toEqual([{ a: '3', b: '4' }]);
});
