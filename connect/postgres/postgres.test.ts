import { afterAll, describe, expect, test } from 'vitest';
import {
  bytes,
  json,
  openLog,
  silentLogger,
  string,
  systemClock,
  topic,
  type Log,
  type ProducerRecord,
  type Topic,
} from '../../core/index.ts';
import { connectFailure } from '../../test/kit/connect.ts';
import { schemaOf, startPostgres, type Postgres } from '../../test/kit/postgres.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { Secret } from '../config.ts';
import type { SinkConnector, SourceBatch, SourceOffset } from '../connector.ts';
import { SinkRunner, type SinkRunnerOptions } from '../runtime/sink-runner.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import { trySink, trySource } from '../testing/index.ts';
import { BUILT_IN_PLUGINS } from '../worker/built-in-plugins.ts';
import { ConnectWorker } from '../worker/worker.ts';
import { postgresSink, type PostgresSinkOptions } from './postgres-sink.ts';
import { postgresSource, type PostgresSourceOptions } from './postgres-source.ts';
import { parseArray } from './postgres-values.ts';

const started = await startPostgres();
afterAll(() => started?.stop());
const server = started as Postgres;

interface Airport {
  readonly name: string;
  readonly runways?: number;
}
interface Row {
  readonly id: number | bigint;
  readonly name: string;
}
const airports = topic('airports', { key: string(), value: json<Airport>() });
const people = topic('people', { key: string(), value: json<Row>() });
const CREATE = { iata: 'TEXT', name: 'TEXT NOT NULL', runways: 'INTEGER CHECK (runways < 10)' };

const temporaryLog = (): Promise<Log> => openLog(temporaryDirectory(), { logger: silentLogger });

async function produce<K, V>(
  log: Log,
  to: Topic<K, V>,
  records: readonly ProducerRecord<K, V>[],
): Promise<void> {
  await using producer = log.producer();
  await producer.sendAll(to, records);
}

/** A sink of a schema, which gives it its name, too. */
const upserts = (schema: string, options: Partial<PostgresSinkOptions<string, Airport>> = {}) =>
  postgresSink({
    ...{ name: schema, topic: airports, connection: server.connection },
    ...{ table: `${schema}.{topic}`, keyColumns: ['iata'], create: CREATE },
    ...options,
  });

const write = (log: Log, sink: SinkConnector, options: SinkRunnerOptions = {}) =>
  new SinkRunner(log, sink, { logger: silentLogger, ...options }).finish();

const many = (count: number): ProducerRecord<string, Airport>[] =>
  Array.from({ length: count }, (_, n) => ({ key: `k${n}`, value: { name: `${n}` } }));

const source = (options: Partial<PostgresSourceOptions<Row, string, Row>>) =>
  postgresSource<Row, string, Row>({
    ...{ topic: people, connection: server.connection, key: (row) => row.name, ...options },
  });

/** What one opening of the source finds behind an offset, until it ends. */
async function batchesOf(
  options: Partial<PostgresSourceOptions<Row, string, Row>>,
  offset?: SourceOffset,
): Promise<SourceBatch[]> {
  const { signal } = new AbortController();
  const context = { offset: () => offset, signal, clock: systemClock };
  const [task] = await source(options).open(context);
  const batches: SourceBatch[] = [];
  for (let next = await task!.poll(); next !== undefined; next = await task!.poll()) {
    batches.push(next);
  }
  await task!.close();
  return batches;
}

const namesOf = (batches: readonly SourceBatch[]): string[] =>
  batches.flatMap(({ records }) => records.map(({ value }) => (value as Row).name));

describe.skipIf(started === undefined)('the sink', () => {
  test.each(['insert', 'upsert'] as const)(
    '[CONNECT-POSTGRES-1] a crash at each step: each record once (%s)',
    async (kind) => {
      let trials = 0;
      const schema = (): string => `try_${kind}_${trials}`;
      const { steps } = await trySink({
        sink: () => {
          const create = { name: 'TEXT', iata: 'TEXT' };
          const { keyColumns, ...others } = { keyColumns: ['iata'], create };
          const connection = server.connection;
          const options = { ...others, topic: airports, connection, table: `${schema()}.{topic}` };
          const name = schema();
          return postgresSink(
            kind === 'insert' ? { ...options, name } : { ...options, name, keyColumns },
          );
        },
        topic: airports,
        records: many(25),
        read: async () => {
          const rows = await server.query(`SELECT name FROM ${schema()}.airports`);
          return rows.map(([name]) => String(name));
        },
        expected: many(25).map(({ value }) => value!.name),
        reset: async () => {
          trials++;
          await server.query(`CREATE SCHEMA ${schema()}`);
        },
      });
      expect(steps).toContain('sql-3-commit');
    },
    120_000,
  );

  test('[CONNECT-POSTGRES-2] records change and delete the rows of their keys', async () => {
    await schemaOf(server, 'changes');
    await using log = await temporaryLog();
    await produce(log, airports, [
      { key: 'HAM', value: { name: 'Fuhlsbüttel', runways: 2 } },
      { key: 'KEL', value: { name: 'Kiel' } },
      { key: 'HAM', value: { name: 'Hamburg' } },
      { key: 'HAM', value: { name: 'Hamburg Airport' } },
      { key: 'KEL', value: null },
      { key: 'XFW', value: null },
      { key: 'TXL', value: { name: 'Tegel' } },
      { key: 'TXL', value: null },
      { key: 'TXL', value: { name: 'Berlin' } },
    ]);
    await write(log, upserts('changes'));
    expect(await server.query('SELECT * FROM changes.airports ORDER BY iata')).toEqual([
      ['HAM', 'Hamburg Airport', 2],
      ['TXL', 'Berlin', null],
    ]);
    expect(await write(log, upserts('changes'))).toMatchObject({ records: 0 });
  });

  test('[CONNECT-POSTGRES-3] values become what the columns are, and come back', async () => {
    await schemaOf(server, 'kinds');
    await using log = await temporaryLog();
    const raw = topic('raw', { key: string(), value: bytes() });
    await produce(log, raw, [{ key: 'k', value: Buffer.from([0, 255, 92]) }]);
    const create = {
      ...{ 'a "b"': 'INT', big: 'BIGINT', amount: 'NUMERIC', real: 'FLOAT8', yes: 'BOOLEAN' },
      ...{ at: 'TIMESTAMPTZ', day: 'DATE', raw: 'BYTEA', text: 'TEXT', none: 'INT', doc: 'JSONB' },
      ...{ list: 'INT[]', names: 'TEXT[]', infinite: 'FLOAT8', kept: "TEXT DEFAULT 'x'" },
    };
    const row = ({ value }: { value: Uint8Array | null }) => ({
      ...{ 'a "b"': 1, big: 2n ** 63n - 1n, amount: '12345678901234567890.10', real: 0.1 },
      ...{ yes: true, at: new Date(86_400_123), day: '2026-02-28', raw: value, text: 'ü"\\🚀' },
      ...{ none: null, doc: { a: [1, 2n ** 60n] }, list: [1, 2], names: ['a,"b', 'NULL', null] },
      ...{ infinite: Infinity, kept: undefined },
    });
    const { connection } = server;
    const table = 'kinds.{topic}';
    await write(log, postgresSink({ name: 'kinds', topic: raw, connection, row, create, table }));
    const [values] = await server.query('SELECT * FROM kinds.raw');
    const expected: readonly unknown[] = [
      ...[1, 2n ** 63n - 1n, '12345678901234567890.10', 0.1, true, '1970-01-02T00:00:00.123Z'],
      ...['2026-02-28', Buffer.from([0, 255, 92]), 'ü"\\🚀', null, { a: [1, 2n ** 60n] }],
      ...[[1, 2], ['a,"b', 'NULL', null], Infinity, 'x'],
    ];
    expect(values).toEqual(expected);
    expect(parseArray('[0:1]={{1,2},{3,NULL}}', Number)).toEqual([
      [1, 2],
      [3, null],
    ]);
    expect(parseArray('{}', Number)).toEqual([]);
  });

  test('[CONNECT-POSTGRES-4] rows that the table refuses are left out, others stay', async () => {
    await schemaOf(server, 'refusals');
    await using log = await temporaryLog();
    const records: ProducerRecord<string, Airport>[] = many(100).map((record, index) => {
      if (index % 30 !== 7) return record;
      return { ...record, value: { name: 'too many', runways: 10 } };
    });
    const more: ProducerRecord<string, Airport>[] = [
      { key: 'k1', value: { name: 'a\u0000b' } },
      { key: 'k2', value: { name: 'good', runways: 3 } },
      { key: 'k2', value: { name: 'bad', runways: 'x' as never } },
      { key: 'k3', value: { name: 'unknown column', towers: 1 } as never },
    ];
    await produce(log, airports, [...records, ...more]);
    expect(await connectFailure(write(log, upserts('refusals')))).toMatchObject({
      code: 'ROW_UNWRITABLE',
      details: { offset: 7, reason: expect.stringContaining('runways') as unknown },
    });
    expect(await server.query('SELECT * FROM refusals.airports')).toEqual([]);
    const errors = { tolerance: 'all', deadLetter: 'refused' } as const;
    const summary = await write(log, upserts('refusals'), { errors });
    expect(summary).toMatchObject({ records: 97, failed: { deadLettered: 7 } });
    const sql =
      "SELECT name, runways FROM refusals.airports WHERE iata IN ('k1', 'k2', 'k3', 'k7')";
    expect(await server.query(`${sql} ORDER BY iata`)).toEqual([
      ['1', null],
      ['good', 3],
      ['3', null],
    ]);
    const letters = topic('refused', { key: string(), value: string() });
    const dead = await readTopic(log, letters, 'read_committed');
    expect(dead.map(({ key }) => key).sort()).toEqual([
      'k1',
      'k2',
      'k3',
      'k37',
      'k67',
      'k7',
      'k97',
    ]);
  });

  test('[CONNECT-POSTGRES-5] a later run of the name fences the one before', async () => {
    await schemaOf(server, 'fenced');
    await using log = await temporaryLog();
    await produce(log, airports, many(1));
    const first = new SinkRunner(log, upserts('fenced'), {
      ...{ logger: silentLogger, commitIntervalMs: 1 },
    });
    const running = first.run();
    running.catch(() => undefined);
    await expect.poll(() => first.progress.committedRecords, { timeout: 20_000 }).toBe(1);
    await write(log, upserts('fenced'));
    await produce(log, airports, [{ key: 'x', value: { name: 'x' } }]);
    expect(await connectFailure(running)).toMatchObject({ code: 'SINK_FENCED' });
    await write(log, upserts('fenced'));
    expect(await server.query('SELECT name FROM fenced.airports')).toEqual([['0'], ['x']]);
  });

  test('[CONNECT-POSTGRES-6] kill -9 of the server: each record is there once', async () => {
    await schemaOf(server, 'killed');
    await using log = await temporaryLog();
    const wide = topic('wide', { key: string(), value: json<Airport>(), partitions: 20 });
    const records = many(2_000).map((record, index) => ({ ...record, partition: index % 20 }));
    await produce(log, wide, records);
    const { connection } = server;
    const sink = postgresSink({
      ...{ name: 'killed', topic: wide, connection, table: 'killed.{topic}' },
      create: { name: 'TEXT' },
    });
    let [steps, kills] = [0, 0];
    await new SinkRunner(log, sink, {
      ...{ logger: silentLogger, commitRecordsMax: 200 },
      retries: { max: 1_000, backoffMs: 20, backoffMaxMs: 20 },
      onStep: (step) => {
        if (!step.startsWith('sql-') || ++steps % 7 !== 0 || kills >= 6) return;
        if (server.killBackends() > 0) kills++;
      },
    }).finish();
    const found = await server.query('SELECT name FROM killed.wide');
    expect(found.map(([name]) => Number(name)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 2_000 }, (_, n) => n),
    );
    expect(kills).toBe(6);
  }, 120_000);

  test('[CONNECT-POSTGRES-6] a server that is away may come back, a wrong name not', async () => {
    await using log = await temporaryLog();
    await produce(log, airports, many(1));
    const failing = (connection: object) => {
      const all = { ...server.connection, ...connection };
      return connectFailure(write(log, upserts('public', { connection: all })));
    };
    expect(await failing({ port: 1 })).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    const password = 'top secret';
    const wrong = await failing({ database: 'nowhere', password });
    expect(wrong).toMatchObject({ code: 'DATABASE_FAILED', details: { sqlCode: '3D000' } });
    expect(JSON.stringify(wrong)).not.toContain(password);
    const missing = postgresSink({ topic: airports, connection: server.connection });
    expect(await connectFailure(write(log, missing))).toMatchObject({ code: 'UNKNOWN_TABLE' });
  });
});

describe.skipIf(started === undefined)('the source', () => {
  test.each(['bulk', 'incrementing', 'timestamp'] as const)(
    '[CONNECT-POSTGRES-7] a crash at each step: each row once (%s)',
    async (mode) => {
      await schemaOf(server, 'steps');
      await server.query(
        'CREATE TABLE steps.people AS SELECT id, $$p$$ || id AS name, ' +
          "timestamp '2026-01-01' + id / 7 * interval '1 us' AS changed " +
          'FROM generate_series(1, 25) AS id',
      );
      const columns = {
        bulk: {},
        incrementing: { incrementingColumn: 'id', pageRows: 7 },
        timestamp: { incrementingColumn: 'id', timestampColumn: 'changed', pageRows: 4 },
      } as const;
      await trySource({
        source: () => source({ table: 'steps.people', ...columns[mode] }),
        expected: Array.from({ length: 25 }, (_, index) => `p${index + 1}`),
        describe: ({ value }) => (value as Row).name,
      });
    },
    60_000,
  );

  test('[CONNECT-POSTGRES-8] places keep microseconds and integers of 64 bits', async () => {
    await schemaOf(server, 'places');
    await server.query(
      'CREATE TABLE places.people (id BIGINT, name TEXT, changed TIMESTAMPTZ DEFAULT now());' +
        "INSERT INTO places.people VALUES (9007199254740993, 'a', '2026-01-01 10:00:00.000001Z')," +
        "(9007199254740994, 'b', '2026-01-01 10:00:00.000001Z')," +
        "(1, 'c', '2026-01-01 10:00:00.000002Z'), (2, 'd', NULL)",
    );
    const options = {
      ...{ table: 'places.people', incrementingColumn: 'id', timestampColumn: 'changed' },
      pageRows: 1,
    };
    const batches = await batchesOf(options);
    expect(namesOf(batches)).toEqual(['a', 'b', 'c']);
    expect(batches[0]?.offset).toEqual({
      timestamp: '2026-01-01 10:00:00.000001+00',
      incrementing: '9007199254740993',
    });
    expect(batches[0]?.records[0]?.value).toEqual({
      ...{ id: 9007199254740993n, name: 'a', changed: '2026-01-01T10:00:00.000001Z' },
    });
    expect(namesOf(await batchesOf(options, batches[1]?.offset))).toEqual(['c']);
    await server.query(
      "INSERT INTO places.people VALUES (3, 'new', now()), (4, 'old', now() - interval '1 h')",
    );
    const delayed = { ...options, timestampDelayMs: 600_000 };
    expect(namesOf(await batchesOf(delayed, batches.at(-1)?.offset))).toEqual(['old']);
    const start = { incrementing: 2n ** 53n + 2n, timestamp: new Date('2026-01-01T10:00:00Z') };
    expect(namesOf(await batchesOf({ ...options, startAfter: start })).slice(0, 2)).toEqual([
      'a',
      'b',
    ]);
  });

  test('[CONNECT-POSTGRES-8] with follow it finds rows as they come; mistakes fail', async () => {
    await schemaOf(server, 'follow');
    await using log = await temporaryLog();
    await server.query(
      "CREATE TABLE follow.people (id INT, name TEXT); INSERT INTO follow.people VALUES (1, 'p1')",
    );
    const options = { query: 'SELECT * FROM follow.people', incrementingColumn: 'id' };
    const following = source({ ...options, follow: true, pollIntervalMs: 5 });
    const runner = new SourceRunner(log, following, { logger: silentLogger });
    const running = runner.run();
    await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(1);
    await server.query("INSERT INTO follow.people VALUES (2, 'p2')");
    await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(2);
    await runner.stop();
    await running;
    const names = (await readValues(log, people, 'read_committed')).map((value) => value?.name);
    expect(names).toEqual(['p1', 'p2']);
    const failed = (given: object) =>
      connectFailure(new SourceRunner(log, source(given), { logger: silentLogger }).run());
    expect(await failed({ ...options, incrementingColumn: 'nr' })).toMatchObject({
      code: 'UNKNOWN_COLUMN',
    });
    expect(await failed({ query: 'DELETE FROM follow.people RETURNING *' })).toMatchObject({
      code: 'DATABASE_FAILED',
    });
  });

  test('[CONNECT-POSTGRES-9] a worker runs both by configuration', async () => {
    await schemaOf(server, 'worked');
    await using log = await temporaryLog();
    await server.query(
      "CREATE TABLE worked.a (id INT, x BYTEA); INSERT INTO worked.a VALUES (1, '\\x00ff')",
    );
    await using worker = new ConnectWorker(log, {
      ...{ plugins: BUILT_IN_PLUGINS, logger: silentLogger },
    });
    await worker.start();
    const { host, port, user, database } = server.connection;
    const place = { host, port, user, database, password: 'unused', topic: 't' };
    const config = { ...place, table: 'worked.a', incrementingColumn: 'id', key: 'id' };
    await worker.create({ name: 'in', connector: 'postgres-source', config });
    const create = { id: 'INT', x: 'TEXT' };
    const to = { ...place, table: 'worked.{topic}', create };
    await worker.create({ name: 'out', connector: 'postgres-sink', config: to });
    const rows = () => server.query('SELECT * FROM worked.t').catch(() => []);
    await expect.poll(rows, { timeout: 30_000 }).toEqual([[1, 'AP8=']]);
  }, 60_000);
});

test('[CONNECT-POSTGRES-10] wrong types do not compile; wrong options are errors', () => {
  const connection = { database: 'd', user: 'u', password: new Secret('p') };
  const texts = topic('texts', { key: string(), value: string() });
  postgresSink({ topic: airports, connection });
  // @ts-expect-error a string is no row
  postgresSink({ topic: texts, connection });
  const key = (row: Row): string => row.name;
  postgresSource({ topic: people, connection, table: 't', key });
  // @ts-expect-error the rows are no strings
  postgresSource({ topic: texts, connection, table: 't', key });
  const failure = (given: object): unknown => {
    try {
      return postgresSink({ topic: airports, connection: { ...connection, ...given } } as never);
    } catch (error) {
      return error;
    }
  };
  expect(failure({ database: '' })).toMatchObject({ code: 'INVALID_OPTION' });
  expect(failure({ port: 0 })).toMatchObject({ code: 'INVALID_OPTION' });
  expect(failure({ prot: 1 })).toMatchObject({ code: 'UNKNOWN_OPTION' });
  expect(String(failure({ password: { hidden: 'abc' } }))).not.toContain('abc');
});
