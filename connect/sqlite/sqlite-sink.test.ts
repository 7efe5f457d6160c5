import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import {
  bytes,
  json,
  openLog,
  silentLogger,
  string,
  topic,
  type Log,
  type ProducerRecord,
  type Topic,
} from '../../core/index.ts';
import { connectFailure } from '../../test/kit/connect.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { execute, rowsOf } from '../../test/kit/sqlite.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { SinkRunner, type SinkRunnerOptions } from '../runtime/sink-runner.ts';
import { trySink } from '../testing/index.ts';
import { sqliteSink, type SqliteSinkOptions } from './sqlite-sink.ts';

interface Airport {
  readonly name: string;
  readonly runways?: number;
}
const airports = topic('airports', { key: string(), value: json<Airport>() });
const CREATE = { iata: 'TEXT', name: 'TEXT NOT NULL', runways: 'INTEGER CHECK (runways < 10)' };

const temporaryLog = (): Promise<Log> => openLog(temporaryDirectory(), { logger: silentLogger });
const database = (): string => join(temporaryDirectory(), 'out.db');

async function produce<K, V>(
  log: Log,
  to: Topic<K, V>,
  records: readonly ProducerRecord<K, V>[],
): Promise<void> {
  await using producer = log.producer();
  await producer.sendAll(to, records);
}

const upserts = (
  path: string,
  options: Partial<SqliteSinkOptions<string, Airport>> = {},
): ReturnType<typeof sqliteSink> =>
  sqliteSink({ topic: airports, path, keyColumns: ['iata'], create: CREATE, ...options });

async function write(
  log: Log,
  sink: ReturnType<typeof sqliteSink>,
  options: SinkRunnerOptions = {},
): ReturnType<SinkRunner['finish']> {
  return new SinkRunner(log, sink, { logger: silentLogger, ...options }).finish();
}

test.each(['insert', 'upsert'] as const)(
  '[CONNECT-SQLITE-1] a crash at each step: each record once (%s)',
  async (kind) => {
    let path = database();
    const count = 45;
    const { steps } = await trySink({
      sink: () => {
        const create = { name: 'TEXT', ...(kind === 'upsert' && { iata: 'TEXT' }) };
        const options = { topic: airports, path, create };
        return sqliteSink(kind === 'insert' ? options : { ...options, keyColumns: ['iata'] });
      },
      topic: airports,
      records: Array.from({ length: count }, (_, n) => ({ key: `k${n}`, value: { name: `${n}` } })),
      read: () => rowsOf(path, 'SELECT name FROM airports').map(([name]) => String(name)),
      expected: Array.from({ length: count }, (_, n) => `${n}`),
      reset: () => {
        path = database();
      },
    });
    const own = ['sql-1-rows', 'sql-2-offsets', 'sql-3-commit', 'sql-4-committed'];
    expect(steps).toEqual(expect.arrayContaining(own));
  },
  60_000,
);

test('[CONNECT-SQLITE-1] the offsets are a table of the database', async () => {
  await using log = await temporaryLog();
  const path = database();
  await produce(log, airports, [
    { key: 'HAM', value: { name: 'Hamburg' } },
    { key: 'KEL', value: { name: 'Kiel' } },
  ]);
  expect(await write(log, upserts(path))).toMatchObject({ records: 2 });
  const [{ topicId } = { topicId: '' }] = await log.admin().describeTopics(['airports']);
  const offsets = rowsOf(path, 'SELECT * FROM millrace_offsets');
  expect(offsets).toEqual([['airports-sqlite', 'airports', 0n, topicId, 2n]]);
  expect(await write(log, upserts(path))).toMatchObject({ records: 0 });
});

test('[CONNECT-SQLITE-2] records change and delete the rows of their keys', async () => {
  await using log = await temporaryLog();
  const path = database();
  await produce(log, airports, [
    { key: 'HAM', value: { name: 'Fuhlsbüttel', runways: 2 } },
    { key: 'KEL', value: { name: 'Kiel' } },
    { key: 'HAM', value: { name: 'Hamburg' } },
    { key: 'KEL', value: null },
    { key: 'XFW', value: null },
    { key: 'TXL', value: { name: 'Tegel' } },
    { key: 'TXL', value: null },
    { key: 'TXL', value: { name: 'Berlin' } },
  ]);
  await write(log, upserts(path));
  const read = () => rowsOf(path, 'SELECT iata, name, runways FROM airports ORDER BY iata');
  // A column that a record does not have stays as it is.
  expect(read()).toEqual([
    ['HAM', 'Hamburg', 2n],
    ['TXL', 'Berlin', null],
  ]);
  await produce(log, airports, [{ key: 'BER', value: { name: 'Schönefeld' } }]);
  const row = ({ key, value }: { key: string | null; value: Airport | null }) =>
    key === 'none' ? undefined : { iata: `_${key}`, name: value?.name };
  await write(log, upserts(path, { row }));
  expect(read().map(([iata]) => iata)).toEqual(['HAM', 'TXL', '_BER']);
});

test('[CONNECT-SQLITE-2] a key of several columns comes from the fields of the key', async () => {
  await using log = await temporaryLog();
  const path = database();
  const seats = topic('seats', {
    key: json<{ readonly flight: string; readonly seat: string }>(),
    value: json<{ readonly name: string }>(),
  });
  const key = { flight: 'LH 1', seat: '2A' };
  await produce(log, seats, [
    { key, value: { name: 'Ada' } },
    { key: { ...key, seat: '2B' }, value: { name: 'Grace' } },
    { key, value: { name: 'Edith' } },
  ]);
  const create = { flight: 'TEXT', seat: 'TEXT', name: 'TEXT' };
  const keyColumns = ['flight', 'seat'];
  await write(log, sqliteSink({ topic: seats, path, create, keyColumns }));
  expect(rowsOf(path, 'SELECT * FROM seats ORDER BY seat')).toEqual([
    ['LH 1', '2A', 'Edith'],
    ['LH 1', '2B', 'Grace'],
  ]);
});

test('[CONNECT-SQLITE-3] values keep what they are', async () => {
  await using log = await temporaryLog();
  const path = database();
  const raw = topic('raw', { key: string(), value: bytes() });
  await produce(log, raw, [{ key: 'k', value: Buffer.from([0, 255, 10]) }]);
  const row = ({ value }: { value: Uint8Array | null }) => ({
    'a "b"': 1,
    big: 2n ** 63n - 1n,
    unsafe: 9007199254740993n,
    real: 0.5,
    yes: true,
    date: new Date(86_400_000),
    blob: value,
    text: 'ü\u{1F680}',
    none: null,
    left: undefined,
    object: { a: [1, 2n ** 60n] },
  });
  const names = ['a "b"', 'big', 'unsafe', 'real', 'yes', 'date', 'blob', 'text', 'none', 'object'];
  const create = Object.fromEntries(names.map((name) => [name, 'ANY']));
  await write(log, sqliteSink({ topic: raw, path, row, create }));
  const [values] = rowsOf(path, 'SELECT * FROM raw');
  const expected: readonly unknown[] = [
    ...[1n, 2n ** 63n - 1n, 9007199254740993n, 0.5, 1n, '1970-01-02T00:00:00.000Z'],
    ...[Buffer.from([0, 255, 10]), 'ü\u{1F680}', null, '{"a":[1,1152921504606846976]}'],
  ];
  expect(values).toEqual(expected);
});

test('[CONNECT-SQLITE-3] what would not come back as it is is rejected', async () => {
  await using log = await temporaryLog();
  const path = database();
  await produce(log, airports, [{ key: 'k', value: { name: 'x' } }]);
  for (const bad of [NaN, 2n ** 63n, 'a\0b', '\ud800', () => 1, new Date(NaN)]) {
    const sink = sqliteSink({ topic: airports, path, row: () => ({ iata: bad }), create: CREATE });
    expect(await connectFailure(write(log, sink))).toMatchObject({ code: 'ROW_UNWRITABLE' });
  }
});

test('[CONNECT-SQLITE-4] a row that the table refuses is left out, the others stay', async () => {
  await using log = await temporaryLog();
  const path = database();
  const records: ProducerRecord<string, Airport>[] = [
    { key: 'AAA', value: { name: 'good' } },
    { key: 'BBB', value: { name: 'too many', runways: 10 } },
    { key: 'CCC', value: { name: null as never } },
    { key: 'DDD', value: { name: 'unknown column', towers: 1 } as never },
    { key: null, value: { name: 'no key' } },
    { key: 'EEE', value: 'no object' as never },
    { key: 'FFF', value: { name: 'good' } },
  ];
  await produce(log, airports, records);
  expect(await connectFailure(write(log, upserts(path)))).toMatchObject({
    code: 'ROW_UNWRITABLE',
    details: { topic: 'airports', partition: 0, offset: 1 },
  });
  expect(rowsOf(path, 'SELECT * FROM airports')).toEqual([]); // all or nothing
  const errors = { tolerance: 'all', deadLetter: true } as const;
  const summary = await write(log, upserts(path), { errors });
  expect(summary).toMatchObject({ records: 2, failed: { deadLettered: 5 } });
  expect(rowsOf(path, 'SELECT iata FROM airports')).toEqual([['AAA'], ['FFF']]);
  const letters = topic('connect-airports-sqlite-dead-letters', { key: string(), value: string() });
  const dead = await readTopic(log, letters, 'read_committed');
  expect(dead.map(({ key }) => key)).toEqual(['BBB', 'CCC', 'DDD', null, 'EEE']);
});

test('[CONNECT-SQLITE-5] a later run of the name fences the one before', async () => {
  await using log = await temporaryLog();
  const path = database();
  await produce(log, airports, [{ key: 'HAM', value: { name: 'Hamburg' } }]);
  const first = new SinkRunner(log, upserts(path), { logger: silentLogger, commitIntervalMs: 1 });
  const running = first.run();
  running.catch(() => undefined);
  await expect.poll(() => first.progress.committedRecords, { timeout: 20_000 }).toBe(1);
  await write(log, upserts(path));
  await produce(log, airports, [{ key: 'KEL', value: { name: 'Kiel' } }]);
  expect(await connectFailure(running)).toMatchObject({
    code: 'SINK_FENCED',
    details: { connector: 'airports-sqlite' },
  });
  await write(log, upserts(path));
  expect(rowsOf(path, 'SELECT iata FROM airports')).toEqual([['HAM'], ['KEL']]);
});

let unlock: (() => void) | undefined;
afterEach(() => unlock?.());

test('[CONNECT-SQLITE-6] while others have the lock it waits, then ends or retries', async () => {
  await using log = await temporaryLog();
  const path = database();
  await write(log, upserts(path)); // makes the tables
  await produce(log, airports, [{ key: 'HAM', value: { name: 'Hamburg' } }]);
  unlock = execute(path, 'BEGIN IMMEDIATE');
  const busy = await connectFailure(write(log, upserts(path, { busyTimeoutMs: 30 })));
  expect(busy).toMatchObject({ code: 'DATABASE_UNAVAILABLE', details: { operation: 'begin' } });
  const waiting = write(log, upserts(path, { busyTimeoutMs: 60_000 }));
  await new Promise((resolve) => setTimeout(resolve, 50));
  unlock();
  expect(await waiting).toMatchObject({ records: 1 });
  unlock = execute(path, 'BEGIN IMMEDIATE');
  await produce(log, airports, [{ key: 'KEL', value: { name: 'Kiel' } }]);
  const retries = { max: 100, backoffMs: 5, backoffMaxMs: 5 };
  const trying = write(log, upserts(path, { busyTimeoutMs: 1 }), { retries });
  await new Promise((resolve) => setTimeout(resolve, 50));
  unlock();
  expect(await trying).toMatchObject({ records: 1 });
});

test('[CONNECT-SQLITE-7] each topic has its table, by the template', async () => {
  await using log = await temporaryLog();
  const path = database();
  const options = { key: string(), value: json<Airport>() };
  const topics = [topic('north.v1', options), topic('south', options)] as const;
  await produce(log, topics[0], [{ key: 'k', value: { name: 'a' } }]);
  await produce(log, topics[1], [{ key: 'k', value: { name: 'b' } }]);
  const create = { name: 'TEXT' };
  await write(log, sqliteSink({ topic: topics, path, create, table: 'main.t_{topic}' }));
  expect(rowsOf(path, 'SELECT * FROM "t_north.v1"')).toEqual([['a']]);
  expect(rowsOf(path, 'SELECT * FROM t_south')).toEqual([['b']]);
  const transforms = [(record: object) => ({ ...record, topic: 'west' }) as never];
  await produce(log, topics[1], [{ key: 'k', value: { name: 'c' } }]);
  await write(log, sqliteSink({ topic: topics, path, create, table: 'main.t_{topic}' }), {
    transforms,
  });
  expect(rowsOf(path, 'SELECT * FROM t_west')).toEqual([['c']]);
});

test('[CONNECT-SQLITE-7] a table that is missing, or of another log, is an error', async () => {
  await using log = await temporaryLog();
  const path = database();
  await produce(log, airports, [{ key: 'HAM', value: { name: 'Hamburg' } }]);
  const bare = sqliteSink({ topic: airports, path, keyColumns: ['iata'] });
  expect(await connectFailure(write(log, bare))).toMatchObject({
    code: 'UNKNOWN_TABLE',
    details: { table: 'airports' },
  });
  execute(path, 'CREATE TABLE airports (iata TEXT, name TEXT, runways INTEGER)')();
  expect(await connectFailure(write(log, bare))).toMatchObject({
    code: 'DATABASE_FAILED', // no unique constraint
    details: { operation: 'write' },
  });
  execute(path, 'CREATE UNIQUE INDEX by_iata ON airports (iata)')();
  await write(log, bare);
  await using other = await temporaryLog();
  await produce(other, airports, [{ key: 'HAM', value: { name: 'Hamburg' } }]);
  expect(await connectFailure(write(other, bare))).toMatchObject({
    code: 'OUTPUT_MISMATCH',
    details: { field: 'topicId' },
  });
  const notADatabase = sqliteSink({ topic: airports, path: temporaryDirectory() });
  expect(await connectFailure(write(log, notADatabase))).toMatchObject({ code: 'DATABASE_FAILED' });
});

test('[CONNECT-SQLITE-13] wrong types of a sink do not compile; wrong options are errors', () => {
  const path = 'out.db';
  const texts = topic('texts', { key: string(), value: string() });
  sqliteSink({ topic: texts, path, row: ({ value }) => ({ value: value?.length }) });
  // @ts-expect-error a string is no row
  sqliteSink({ topic: texts, path });
  // @ts-expect-error a row is an object
  sqliteSink({ topic: texts, path, row: ({ value }) => value });
  // @ts-expect-error the values of the topic have no such field
  sqliteSink({ topic: airports, path, row: ({ value }) => ({ a: value?.towers }) });
  const codeOf = (options: object): unknown => {
    try {
      return sqliteSink(options as never);
    } catch (error) {
      return (error as { readonly code?: unknown }).code;
    }
  };
  const given = { topic: airports, path };
  expect(codeOf({ topic: airports })).toBe('INVALID_OPTION');
  expect(codeOf({ path })).toBe('INVALID_OPTION');
  expect(codeOf({ path, topic: [] })).toBe('INVALID_OPTION');
  expect(codeOf({ ...given, keyColumns: [] })).toBe('INVALID_OPTION');
  expect(codeOf({ ...given, keyColumns: ['a'], columns: ['b'] })).toBe('INVALID_OPTION');
  expect(codeOf({ ...given, keyColumns: ['a'], create: { b: 'TEXT' } })).toBe('INVALID_OPTION');
  expect(codeOf({ ...given, create: { b: 1 } })).toBe('INVALID_OPTION');
  expect(codeOf({ ...given, table: 'a..b' })).toBe('INVALID_OPTION');
  expect(codeOf({ ...given, tabel: 'a' })).toBe('UNKNOWN_OPTION');
});

test('[CONNECT-SQLITE-1] what a failed run has not committed is rolled back', async () => {
  await using log = await temporaryLog();
  const path = database();
  await produce(log, airports, [{ key: 'HAM', value: { name: 'Hamburg' } }]);
  const onStep = (step: string): void => {
    if (step === 'sql-3-commit') throw new RangeError('killed');
  };
  expect(await connectFailure(write(log, upserts(path), { onStep }))).toMatchObject({
    code: 'CONNECTOR_FAILED',
    message: expect.stringContaining('killed') as unknown,
  });
  expect(rowsOf(path, 'SELECT * FROM airports')).toEqual([]);
});
