import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import {
  json,
  nodeFileSystem,
  openLog,
  silentLogger,
  string,
  topic,
  type Log,
} from '../../core/index.ts';
import { connectFailure } from '../../test/kit/connect.ts';
import { errno, FaultyFileSystem } from '../../test/kit/faulty-fs.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { SourceConnector } from '../connector.ts';
import { connectOffsets } from '../runtime/source-offsets.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import { csv } from './csv.ts';
import { fileSource } from './file-source.ts';
import { jsonl } from './jsonl.ts';
import { lines } from './lines.ts';

interface Flight {
  readonly at: string;
  readonly origin: string;
  readonly delay: number;
}

const flights = topic('flights', { key: string(), value: json<Flight>(), partitions: 1 });
const texts = topic('texts', { key: string(), value: string(), partitions: 1 });

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

/** Reads lines into `texts`. */
function textSource(path: string): SourceConnector {
  return fileSource({ path, format: lines(), topic: texts, key: () => null });
}

const run = (log: Log, source: SourceConnector) => new SourceRunner(log, source).run();
const committed = (log: Log) => readValues(log, texts, 'read_committed');

/** Writes files into a new directory. */
function directoryOf(files: Readonly<Record<string, string>>): string {
  const directory = temporaryDirectory();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(directory, name, '..'), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  return directory;
}

test('[CONNECT-INPUT-1] functions turn a row into a record', async () => {
  await using log = await temporaryLog();
  const content = 'at,origin,delay\n2001-01-01,LAX,-3\n2001-01-02,JFK,12\n';
  const source = fileSource({
    path: join(directoryOf({ 'f.csv': content }), 'f.csv'),
    format: csv<Flight>({ columns: { delay: 'number' } }),
    topic: flights,
    key: (row) => row.origin,
    value: (row) => ({ ...row, delay: row.delay * 60 }),
    timestamp: (row) => new Date(row.at),
  });
  expect(source).toMatchObject({ name: 'flights-source', isBounded: true, topics: [flights] });
  await run(log, source);
  const records = await readTopic(log, flights, 'read_committed');
  expect(records.map(({ key, value, timestampMs }) => ({ key, value, timestampMs }))).toEqual([
    {
      key: 'LAX',
      value: { at: '2001-01-01', origin: 'LAX', delay: -180 },
      timestampMs: Date.UTC(2001, 0, 1),
    },
    {
      key: 'JFK',
      value: { at: '2001-01-02', origin: 'JFK', delay: 720 },
      timestampMs: Date.UTC(2001, 0, 2),
    },
  ]);
});

test('[CONNECT-INPUT-2] the files of a pattern are read by name, one by one', async () => {
  const directory = directoryOf({
    'b.txt': 'b1\nb2\n',
    'a.txt': 'a1\n',
    'c.log': 'no\n',
    'sub/d.txt': 'd1',
    '.hidden.txt': 'h1',
    'empty.txt': '',
  });
  await using log = await temporaryLog();
  await run(log, textSource(`${directory}/*.txt`));
  expect(await committed(log)).toEqual(['h1', 'a1', 'b1', 'b2']);
  await using deep = await temporaryLog();
  await run(deep, textSource(`${directory}/**/*.txt`));
  expect(await committed(deep)).toEqual(['h1', 'a1', 'b1', 'b2', 'd1']);
});

test('[CONNECT-INPUT-3] a file whose name looks like a pattern is that file', async () => {
  const directory = directoryOf({ 'a[1].txt': 'itself\n', 'a1.txt': 'other\n' });
  await using log = await temporaryLog();
  await run(log, textSource(join(directory, 'a[1].txt')));
  expect(await committed(log)).toEqual(['itself']);
});

test('[CONNECT-INPUT-16] of a directory its own files are read, but no hidden ones', async () => {
  await using log = await temporaryLog();
  const directory = join(directoryOf({}), 'in (1) [a]*');
  mkdirSync(join(directory, 'below'), { recursive: true });
  for (const [name, text] of [
    ...[
      ['b.txt', 'b'],
      ['a.txt', 'a'],
      ['.c.txt', 'c'],
      ['below/d.txt', 'd'],
    ],
  ] as [string, string][]) {
    writeFileSync(join(directory, name), text);
  }
  await run(log, textSource(`${directory}/`));
  expect(await committed(log)).toEqual(['a', 'b']);
  // The name of a file is the same as by a pattern: nothing is read again.
  writeFileSync(join(directory, 'e.txt'), 'e');
  await run(log, textSource(directory));
  expect(await committed(log)).toEqual(['a', 'b', 'e']);
});

test('[CONNECT-INPUT-4] no file, no match and an empty directory are one error each', async () => {
  await using log = await temporaryLog();
  const directory = directoryOf({ 'a.txt': 'a' });
  const missing = join(directory, 'b.txt');
  expect(await connectFailure(run(log, textSource(missing)))).toMatchObject({
    code: 'FILE_NOT_FOUND',
    details: { path: missing },
    message: expect.stringContaining(`there is no file ${missing}`) as string,
  });
  const pattern = `${directory}/*.csv`;
  expect(await connectFailure(run(log, textSource(pattern)))).toMatchObject({
    code: 'NO_FILE_MATCHES',
    details: { pattern },
  });
  const empty = join(directory, 'empty');
  mkdirSync(empty);
  expect(await connectFailure(run(log, textSource(empty)))).toMatchObject({
    code: 'NO_FILE_MATCHES',
    details: { pattern: empty },
    message: expect.stringContaining(`no file is in the directory ${empty}`) as string,
  });
  expect(await connectFailure(run(log, textSource('gone.txt')))).toMatchObject({
    message: `there is no file gone.txt; the path is taken from ${process.cwd()}`,
  });
  const below = join(directory, 'a.txt/b.txt');
  expect((await connectFailure(run(log, textSource(below)))).code).toBe('NOT_A_DIRECTORY');
  expect(await committed(log)).toEqual([]);
});

test('[CONNECT-INPUT-12] a pipe or a device is not an empty file', async () => {
  await using log = await temporaryLog();
  for (const path of ['/dev/null', '/dev/zero']) {
    expect(await connectFailure(run(log, textSource(path)))).toMatchObject({
      code: 'NOT_A_FILE',
      details: { path },
    });
  }
});

test('[CONNECT-INPUT-13] file names do not depend on the working directory', async () => {
  await using log = await temporaryLog();
  const directory = directoryOf({ 'a.txt': 'a\n' });
  await run(log, textSource(`${directory}/*.txt`));
  const offsets = await readTopic(log, connectOffsets, 'read_committed');
  expect(offsets.map(({ key }) => key?.[1])).toEqual([{ file: join(directory, 'a.txt') }]);
});

test('[CONNECT-INPUT-5] an unreadable file is an error, not an empty input', async () => {
  await using log = await temporaryLog();
  const directory = directoryOf({ 'a.txt': 'a' });
  for (const call of ['stat', 'open', 'read'] as const) {
    const code = call === 'read' ? 'EIO' : 'EACCES';
    const fault = ({ name }: { name: string }) => (name === call ? errno(code) : undefined);
    const source = fileSource({
      path: join(directory, 'a.txt'),
      format: lines(),
      topic: texts,
      key: () => null,
      fileSystem: new FaultyFileSystem(fault, nodeFileSystem),
    });
    const failure = await connectFailure(run(log, source));
    expect(failure.code).toBe(call === 'read' ? 'STORAGE_FAILED' : 'ACCESS_DENIED');
    expect(failure.message).toContain(join(directory, 'a.txt'));
  }
  expect(await committed(log)).toEqual([]);
});

test('[CONNECT-INPUT-6] the next run reads what was added since', async () => {
  const directory = directoryOf({ 'a.txt': 'a1\n', 'c.txt': 'c1\n' });
  await using log = await temporaryLog();
  await run(log, textSource(`${directory}/*.txt`));
  appendFileSync(join(directory, 'a.txt'), 'a2\n');
  writeFileSync(join(directory, 'b.txt'), 'b1\n');
  expect(await run(log, textSource(`${directory}/*.txt`))).toMatchObject({ records: 2 });
  expect(await committed(log)).toEqual(['a1', 'c1', 'a2', 'b1']);
});

test('[CONNECT-INPUT-7] a replaced file is an error, not silence', async () => {
  const directory = directoryOf({ 'a.txt': 'a1\na2\n' });
  const path = join(directory, 'a.txt');
  await using log = await temporaryLog();
  await run(log, textSource(path));
  writeFileSync(path, 'b1\nb2\nb3\n');
  expect(await connectFailure(run(log, textSource(path)))).toMatchObject({
    code: 'FILE_CHANGED',
    details: { file: path },
  });
  expect(await committed(log)).toEqual(['a1', 'a2']);
});

test('[CONNECT-INPUT-8] an offset of another format is an error that says what to do', async () => {
  const path = join(directoryOf({ 'a.jsonl': '{}\n' }), 'a.jsonl');
  await using log = await temporaryLog();
  await run(log, textSource(path));
  appendFileSync(path, '{}\n'); // or it would not be opened again
  const { parquet } = await import('./parquet.ts');
  const source = fileSource({
    path,
    format: parquet(),
    topic: texts,
    key: () => null,
    value: () => '',
  });
  // It is not a Parquet file either, and that error comes first.
  expect((await connectFailure(run(log, source))).code).toBe('INVALID_PARQUET');
  const { connectOffsets } = await import('../runtime/source-offsets.ts');
  const key = ['texts-source', { file: path }] as const;
  await log.producer().send(connectOffsets, { key, value: { row: 5 } });
  expect(await connectFailure(run(log, textSource(path)))).toMatchObject({
    code: 'INVALID_SOURCE_OFFSET',
    details: { connector: 'texts-source', partition: path, offset: '{"row":5}' },
  });
});

test('[CONNECT-INPUT-9] if a function throws, the error has the place of the row', async () => {
  const rows = Array.from({ length: 9 }, (_, id) => `${JSON.stringify({ id })}\n`).join('\n');
  const path = join(directoryOf({ 'a.jsonl': rows }), 'a.jsonl');
  await using log = await temporaryLog();
  const fail = (row: { id: number }): never => {
    throw new RangeError(`row ${row.id}`);
  };
  const only =
    <T>(id: number, good: T) =>
    (row: { id: number }) =>
      row.id === id ? fail(row) : good;
  for (const [option, functions] of [
    ['key', { key: only(4, 'k') }],
    ['value', { value: only(4, 'v') }],
    ['timestamp', { timestamp: only(4, 0) }],
    ['timestamp', { timestamp: (row: { id: number }) => (row.id === 4 ? Number.NaN : 0) }],
  ] as const) {
    const source = fileSource({
      path,
      format: jsonl<{ id: number }>(),
      topic: texts,
      key: () => 'k',
      value: () => 'v',
      ...functions,
    });
    const { code, details, message } = await connectFailure(run(log, source));
    expect(code).toBe('ROW_FAILED');
    expect(details).toEqual({ file: path, line: 9, option });
    expect(message).toContain(`${basename(path)}, line 9: the function given as ${option} failed`);
  }
  expect(await committed(log)).toEqual([]);
});

test('[CONNECT-INPUT-10] progress is in bytes, over all files', async () => {
  const directory = directoryOf({ 'a.txt': 'a'.repeat(99) + '\n', 'b.txt': 'b\n' });
  await using log = await temporaryLog();
  const runner = new SourceRunner(log, textSource(`${directory}/*.txt`));
  const seen: unknown[] = [];
  const files: unknown[] = [];
  runner.progress$.subscribe(({ done, total, current, currentDone, currentTotal, parts }) => {
    seen.push([done, total, current && basename(current)]);
    files.push([current && basename(current), currentDone, currentTotal, parts?.done]);
  });
  await runner.run();
  expect(seen).toContainEqual([100, 102, 'a.txt']);
  expect(seen).toContainEqual([102, 102, 'b.txt']);
  expect(files).toContainEqual(['a.txt', 100, 100, 0]);
  expect(files).toContainEqual(['b.txt', 2, 2, 1]);
  expect(runner.progress).toMatchObject({ unit: 'bytes', done: 102, total: 102 });
  expect(runner.progress).toMatchObject({ parts: { done: 2, total: 2 }, currentDone: undefined });
});

test('[CONNECT-INPUT-11] wrong types do not compile, and wrong options are errors', () => {
  const path = 'x';
  // @ts-expect-error -- the topic needs a string as key
  fileSource({ path, format: lines(), topic: texts, key: () => 7 });
  // @ts-expect-error -- a row is not a value of the topic: value is missing
  fileSource({ path, format: csv(), topic: flights, key: () => 'k' });
  const format = csv<{ a: string }>();
  // @ts-expect-error -- a row has no such column
  fileSource({ path, format, topic: texts, key: ({ b }) => String(b), value: () => '' });
  const good = { path, format: lines(), topic: texts, key: () => null };
  expect(() => fileSource({ ...good, timestmp: 1 } as never)).toThrow(/did you mean timestamp/);
  const { key, ...noKey } = good;
  expect(key()).toBe(null);
  expect(() => fileSource(noKey as never)).toThrow(/fileSource: key is missing/);
  expect(() => fileSource({ ...good, format: 'csv' } as never)).toThrow(/format must be a format/);
});
