import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  json,
  openLog,
  silentLogger,
  string,
  systemClock,
  topic,
  type Log,
} from '../../core/index.ts';
import { ManualClock } from '../../core/testing/index.ts';
import { connectFailure } from '../../test/kit/connect.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { execute } from '../../test/kit/sqlite.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { SourceBatch, SourceOffset } from '../connector.ts';
import { SourceRunner, type SourceRunnerOptions } from '../runtime/source-runner.ts';
import { trySource } from '../testing/index.ts';
import { sqliteSource, type SqliteSourceOptions } from './sqlite-source.ts';

interface Row {
  readonly id: number | bigint;
  readonly name: string;
}
const people = topic('people', { key: string(), value: json<Row>() });

const temporaryLog = (): Promise<Log> => openLog(temporaryDirectory(), { logger: silentLogger });

/** A database with so many people. */
function databaseOf(count: number): string {
  const path = join(temporaryDirectory(), 'in.db');
  run(path, 'CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, changed)');
  add(path, 1, count);
  return path;
}

const run = (path: string, sql: string): void => execute(path, sql)();

function add(path: string, first: number, last: number): void {
  const rows = Array.from({ length: last - first + 1 }, (_, index) => {
    return `(${first + index}, 'p${first + index}', NULL)`;
  });
  if (rows.length > 0) run(path, `INSERT INTO people VALUES ${rows.join(', ')}`);
}

const source = (path: string, options: Partial<SqliteSourceOptions<Row, string, Row>> = {}) =>
  sqliteSource<Row, string, Row>({
    ...{ topic: people, path, key: (row) => row.name },
    ...(options.query === undefined && { table: 'people' }),
    ...options,
  });

const read = (log: Log, path: string, options = {}, runner: SourceRunnerOptions = {}) =>
  new SourceRunner(log, source(path, options), { logger: silentLogger, ...runner }).run();

/** What one opening of the source finds behind an offset, until it ends. */
async function batchesOf(
  path: string,
  options: Partial<SqliteSourceOptions<Row, string, Row>>,
  offset?: SourceOffset,
  clock = systemClock,
): Promise<SourceBatch[]> {
  const { signal } = new AbortController();
  const [task] = await source(path, options).open({ offset: () => offset, signal, clock });
  const batches: SourceBatch[] = [];
  for (;;) {
    const batch = await task!.poll();
    if (batch === undefined) break;
    batches.push(batch);
  }
  await task!.close();
  return batches;
}

const namesOf = (batches: readonly SourceBatch[]): string[] =>
  batches.flatMap(({ records }) => records.map(({ value }) => (value as Row).name));

const MODES = {
  bulk: {},
  incrementing: { incrementingColumn: 'id', pageRows: 7 },
  timestamp: { incrementingColumn: 'id', timestampColumn: 'changed', pageRows: 7 },
  query: { query: 'SELECT id, name FROM people WHERE id > 0', incrementingColumn: 'id' },
} as const;

test.each(Object.keys(MODES) as (keyof typeof MODES)[])(
  '[CONNECT-SQLITE-8] a crash at each step: each row once (%s)',
  async (mode) => {
    const path = databaseOf(30);
    run(path, 'UPDATE people SET changed = id / 10');
    const { steps } = await trySource({
      source: () => source(path, MODES[mode]),
      expected: Array.from({ length: 30 }, (_, index) => `p${index + 1}`),
      describe: ({ value }) => (value as Row).name,
    });
    expect(steps).toContain('source-3-end');
  },
  60_000,
);

test('[CONNECT-SQLITE-9] the next run reads rows whose column is larger, no others', async () => {
  await using log = await temporaryLog();
  const path = databaseOf(5);
  const options = { incrementingColumn: 'id', startAfter: { incrementing: 2 } };
  expect(await read(log, path, options)).toMatchObject({ records: 3, isEnded: true });
  add(path, 6, 7);
  run(path, "INSERT INTO people VALUES (-1, 'late', NULL)");
  expect(await read(log, path, options)).toMatchObject({ records: 2 });
  expect(await read(log, path, options)).toMatchObject({ records: 0 });
  const names = (await readValues(log, people, 'read_committed')).map((value) => value?.name);
  expect(names).toEqual(['p3', 'p4', 'p5', 'p6', 'p7']);
});

test('[CONNECT-SQLITE-9] places beyond 2^53 stay exact', async () => {
  const path = databaseOf(0);
  const first = 9007199254740993n;
  run(path, `INSERT INTO people VALUES (${first}, 'a', 0), (${first + 1n}, 'b', 0)`);
  const [batch] = await batchesOf(path, { incrementingColumn: 'id', pageRows: 1 });
  expect(batch?.records[0]?.value).toEqual({ id: first, name: 'a', changed: 0 });
  expect(batch?.offset).toEqual({ incrementing: { integer: String(first) } });
  const rest = await batchesOf(path, { incrementingColumn: 'id' }, batch?.offset);
  expect(namesOf(rest)).toEqual(['b']);
});

test('[CONNECT-SQLITE-10] rows of one time are not lost where a page ends', async () => {
  const path = databaseOf(9);
  run(path, "UPDATE people SET changed = '2026-01-01 00:00:0' || (id / 5)");
  const options = { incrementingColumn: 'id', timestampColumn: 'changed', pageRows: 2 };
  const batches = await batchesOf(path, options);
  expect(namesOf(batches)).toEqual(['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8', 'p9']);
  const offset = { timestamp: '2026-01-01 00:00:00', incrementing: 2 };
  expect(batches[0]?.offset).toEqual(offset);
  run(path, "UPDATE people SET changed = '2026-01-01 00:00:02' WHERE id IN (1, 8)");
  const again = namesOf(await batchesOf(path, options, batches.at(-1)?.offset));
  expect(again).toEqual(['p1', 'p8']);
  const start = { startAfter: { incrementing: 6, timestamp: '2026-01-01 00:00:01' } };
  expect(namesOf(await batchesOf(path, { ...options, ...start }))).toEqual([
    'p7',
    'p9',
    'p1',
    'p8',
  ]);
});

test.each(['text', 'number'] as const)(
  '[CONNECT-SQLITE-10] rows wait until they are so old that no other can come before (%s)',
  async (kind) => {
    const path = databaseOf(3);
    const iso = "strftime('%Y-%m-%dT%H:%M:%fZ', id, 'unixepoch')";
    run(path, `UPDATE people SET changed = ${kind === 'text' ? iso : 'id * 1000'}`);
    const clock = new ManualClock(4_500);
    const options = {
      ...{ incrementingColumn: 'id', timestampColumn: 'changed', timestampDelayMs: 2_000 },
    };
    expect(namesOf(await batchesOf(path, options, undefined, clock))).toEqual(['p1', 'p2']);
    clock.advance(1_000);
    expect(namesOf(await batchesOf(path, options, undefined, clock))).toEqual(['p1', 'p2', 'p3']);
  },
);

test('[CONNECT-SQLITE-11] without such a column everything is read, once a pass', async () => {
  await using log = await temporaryLog();
  const path = databaseOf(2);
  const [batch] = await batchesOf(path, { query: 'SELECT 7 AS id, NULL AS name' });
  expect(batch?.records.map(({ value }) => value)).toEqual([{ id: 7, name: null }]);
  expect(await read(log, path)).toMatchObject({ records: 2 });
  expect(await read(log, path)).toMatchObject({ records: 0 });
  const runner = new SourceRunner(log, source(path, { follow: true, pollIntervalMs: 40 }));
  const running = runner.run();
  await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBeGreaterThan(3);
  await runner.stop();
  expect((await running).records % 2).toBe(0);
});

test('[CONNECT-SQLITE-12] with follow it finds rows as they come until it is stopped', async () => {
  await using log = await temporaryLog();
  const path = databaseOf(1);
  const options = { incrementingColumn: 'id', follow: true, pollIntervalMs: 5 };
  const runner = new SourceRunner(log, source(path, options));
  const running = runner.run();
  await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(1);
  add(path, 2, 4);
  await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(4);
  await runner.stop();
  expect(await running).toMatchObject({ records: 4, isEnded: false });
});

test('[CONNECT-SQLITE-12] a bad row has its JSON; what cannot be read is an error', async () => {
  await using log = await temporaryLog();
  const path = databaseOf(3);
  const key = (row: Row): string => {
    if (row.id === 2) throw new TypeError('no two');
    return row.name;
  };
  const [batch] = await batchesOf(path, { key, incrementingColumn: 'id' });
  expect(batch?.bad?.map(({ raw, place }) => [String(raw), place])).toEqual([
    ['{"id":2,"name":"p2","changed":null}', `people of ${path}, row 2`],
  ]);
  expect(namesOf([batch!])).toEqual(['p1', 'p3']);
  const failed = (options: object, at = path) => connectFailure(read(log, at, options));
  expect(await failed({ incrementingColumn: 'nr' })).toMatchObject({
    code: 'UNKNOWN_COLUMN',
    details: { column: 'nr', columns: ['id', 'name', 'changed'] },
  });
  expect(await failed({ query: 'SELECT * FROM nobody' })).toMatchObject({
    code: 'DATABASE_FAILED',
    details: { reason: 'no such table: nobody' },
  });
  expect(await failed({}, `${path}.gone`)).toMatchObject({ code: 'FILE_NOT_FOUND' });
  await read(log, path);
  expect(await failed({ incrementingColumn: 'id' })).toMatchObject({
    code: 'INVALID_SOURCE_OFFSET',
    details: { connector: 'people-sqlite' },
  });
});

test('[CONNECT-SQLITE-13] wrong types of a source do not compile, wrong options are errors', () => {
  const path = 'in.db';
  const table = 'people';
  const numbers = topic('numbers', { key: string(), value: json<number>() });
  const key = (row: Row): string => row.name;
  sqliteSource({ topic: people, path, table, key });
  sqliteSource({ topic: numbers, path, table, key, value: (row) => Number(row.id) });
  // @ts-expect-error the rows are no numbers
  sqliteSource({ topic: numbers, path, table, key });
  // @ts-expect-error the topic's keys are strings
  sqliteSource({ topic: people, path, table, key: (row: Row) => row.id });
  const codeOf = (options: object): unknown => {
    try {
      return sqliteSource({ topic: people, path, key, ...options } as never);
    } catch (error) {
      return (error as { readonly code?: unknown }).code;
    }
  };
  expect(codeOf({})).toBe('INVALID_OPTION');
  expect(codeOf({ table, query: 'SELECT 1' })).toBe('INVALID_OPTION');
  expect(codeOf({ table, timestampColumn: 'changed' })).toBe('INVALID_OPTION');
  expect(codeOf({ table, timestampDelayMs: 1 })).toBe('INVALID_OPTION');
  expect(codeOf({ table, startAfter: { incrementing: 1 } })).toBe('INVALID_OPTION');
  expect(codeOf({ table, incrementing: 'id' })).toBe('UNKNOWN_OPTION');
});
