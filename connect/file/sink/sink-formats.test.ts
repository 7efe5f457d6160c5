import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { expect, test } from 'vitest';
import {
  bytes,
  json,
  nodeFileSystem,
  openLog,
  silentLogger,
  string,
  systemClock,
  topic,
  type ConsumerRecord,
  type Log,
} from '../../../core/index.ts';
import { connectFailure, failureOf } from '../../../test/kit/connect.ts';
import { manifestIn, readOutput } from '../../../test/kit/output.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { SinkConnector, SinkContext } from '../../connector.ts';
import { loadPackage } from '../../packages.ts';
import { SinkRunner, type SinkRunnerOptions } from '../../runtime/sink-runner.ts';
import { avro } from '../avro.ts';
import { csv } from '../csv.ts';
import { jsonl } from '../jsonl.ts';
import { lines } from '../lines.ts';
import { parquet } from '../parquet.ts';
import { fileSink } from './file-sink.ts';
import { OutputBuffer } from './output-buffer.ts';
import type { ParquetColumnType } from './parquet-columns.ts';
import type { SinkFormat } from './sink-format.ts';

const rows = topic('rows', { key: string(), value: json<object>() });
const texts = topic('texts', { key: string(), value: bytes() });

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

async function produce(log: Log, values: readonly object[]): Promise<void> {
  await using producer = log.producer();
  await producer.sendAll(
    rows,
    values.map((value) => ({ key: 'k', value })),
  );
}

const finish = (log: Log, sink: SinkConnector, options?: SinkRunnerOptions) =>
  new SinkRunner(log, sink, options).finish();

/** Runs a sink until it has taken so many records, and stops it behind a commit. */
async function runUntil(log: Log, sink: SinkConnector, records: number): Promise<void> {
  const runner = new SinkRunner(log, sink, { commitIntervalMs: 1 });
  void runner.run();
  while (runner.progress.records < records) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await runner.stop();
}

/** The rows of an output, and how many of them each part has. */
async function contentOf(path: string): Promise<{ rows: unknown[]; counts: number[] }> {
  const parts = await readOutput(nodeFileSystem, path);
  return { rows: parts.flatMap((part) => part.rows), counts: parts.map(({ records }) => records) };
}

const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ id: from + index, text: `ä${from + index}` }));

test('[CONNECT-FORMAT-2] each commit adds pieces that any reader takes in a row', async () => {
  for (const compression of ['gzip', 'zstd'] as const) {
    await using log = await temporaryLog();
    const path = temporaryDirectory();
    const sink = fileSink({ topic: rows, path, format: jsonl(), compression });
    await produce(log, numbered(5));
    await runUntil(log, sink, 5);
    await produce(log, numbered(3, 5));
    await finish(log, sink, { commitRecordsMax: 1 });
    expect(await contentOf(path)).toEqual({ rows: numbered(8), counts: [8] });
    const [part] = (await manifestIn(nodeFileSystem, path))!.parts;
    const extension = compression === 'gzip' ? 'gz' : 'zst';
    expect(part?.file).toBe(`part-0-00000.jsonl.${extension}`);
    const text = numbered(8)
      .map((row) => `${JSON.stringify(row)}\n`)
      .join('');
    expect(part?.contentBytes).toBe(Buffer.byteLength(text));
    // The tool for such files agrees, if this machine has it.
    const tool = spawnSync(compression, ['-dc', join(path, part!.file)]);
    if (tool.error === undefined) expect(tool.stdout.toString('utf8')).toBe(text);
  }
});

test('[CONNECT-FORMAT-2] compressed parts are measured before compression', async () => {
  await using log = await temporaryLog();
  await produce(log, numbered(100));
  const counts = [];
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    const path = temporaryDirectory();
    const format = csv();
    await finish(log, fileSink({ topic: rows, path, format, compression, partBytes: 200 }));
    counts.push((await manifestIn(nodeFileSystem, path))!.parts.map(({ records }) => records));
  }
  expect(counts[0]!.length).toBeGreaterThan(3);
  expect(counts[1]).toEqual(counts[0]);
  expect(counts[2]).toEqual(counts[0]);
});

test('[CONNECT-FORMAT-3] lines pass text and bytes on as they are, if they are lines', async () => {
  await using log = await temporaryLog();
  await using producer = log.producer();
  const good = ['{"a": 1.0}', '', 'ä🚀', 'a\rb'];
  await producer.sendAll(
    texts,
    good.map((text) => ({ key: 'k', value: Buffer.from(text) })),
  );
  const path = temporaryDirectory();
  await finish(log, fileSink({ topic: texts, path, format: lines() }));
  expect(readFileSync(join(path, 'part-0-00000.txt'), 'utf8')).toBe(`${good.join('\n')}\n`);
  const other = temporaryDirectory();
  const value = ({ value: text }: { value: Uint8Array | null }) => Buffer.from(text!).toString();
  await finish(log, fileSink({ topic: texts, path: other, format: lines(), value }));
  expect((await contentOf(other)).rows).toEqual(good);

  const out = new OutputBuffer();
  const encoder = await lines().encoder(undefined);
  const bad: readonly (readonly [unknown, RegExp])[] = [
    ['a\nb', /holds a line end/],
    ['a\r', /holds a line end/],
    ['\ud800', /half a surrogate pair/],
    [Buffer.from('a\nb'), /holds a line end/],
    [Buffer.from([0xc3]), /not UTF-8/],
    [null, /not null/],
    [7, /not number/],
  ];
  for (const [row, reason] of bad) {
    expect(() => encoder.part('x').encode(row as string, out)).toThrow(reason);
  }
  expect(out.positionBytes).toBe(0);
});

const SCHEMA = {
  type: 'record',
  name: 'Row',
  fields: [
    { name: 'id', type: 'int' },
    { name: 'text', type: ['null', 'string'], default: null },
    { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'day', type: { type: 'int', logicalType: 'date' } },
  ],
};

test('[CONNECT-FORMAT-4] Avro files have their schema, and go on after a restart', async () => {
  await using log = await temporaryLog();
  const path = temporaryDirectory();
  const value = ({ value: row }: ConsumerRecord<string, object>) => {
    const { id, text } = row as { id: number; text: string };
    return { id, text: id % 2 === 0 ? text : null, at: new Date(id), day: new Date(86_400_000) };
  };
  const sinkOf = (schema: object) => {
    return fileSink({ topic: rows, path, format: avro({ schema }), value });
  };
  await produce(log, numbered(3));
  await runUntil(log, sinkOf(SCHEMA), 3);
  await produce(log, numbered(2, 3));
  await runUntil(log, sinkOf(SCHEMA), 2);
  expect((await contentOf(path)).counts).toEqual([5]);
  // Another schema begins another file.
  const changed = { ...SCHEMA, fields: SCHEMA.fields.slice(0, 3) };
  await produce(log, numbered(1, 5));
  await finish(log, sinkOf(changed));
  const { rows: written, counts } = await contentOf(path);
  expect(counts).toEqual([5, 1]);
  expect(written.map((row) => ({ ...(row as object) }))).toEqual([
    { id: 0, text: 'ä0', at: 0, day: 1 },
    { id: 1, text: null, at: 1, day: 1 },
    { id: 2, text: 'ä2', at: 2, day: 1 },
    { id: 3, text: null, at: 3, day: 1 },
    { id: 4, text: 'ä4', at: 4, day: 1 },
    { id: 5, text: null, at: 5 },
  ]);
  const bad = fileSink({
    ...{ topic: rows, path: temporaryDirectory(), format: avro({ schema: SCHEMA }) },
    value: () => ({ id: 'x' }),
  });
  expect(await connectFailure(finish(log, bad))).toMatchObject({
    code: 'ROW_UNWRITABLE',
    details: { offset: 0 },
  });
  const unknown = avro({ schema: { type: 'nonsense' } });
  expect(await failureOf(unknown.encoder(undefined) as Promise<unknown>)).toMatchObject({
    code: 'INVALID_OPTION',
    message: expect.stringContaining('the schema is not one of Avro') as string,
  });
});

test('[CONNECT-FORMAT-4] an Avro file of many blocks, with rows larger than one', async () => {
  const format = avro({ schema: { type: 'array', items: 'string' }, compression: 'none' });
  const part = (await format.encoder(undefined)).part('part-0-00000.avro');
  const out = new OutputBuffer();
  const written = [1, 70_000, 30_000, 5, 200_000].map((size) => ['x'.repeat(size), 'y']);
  for (const row of written) part.encode(row, out);
  expect(() => part.encode(['x', 7], out)).toThrow();
  part.flush!(out);
  const path = temporaryDirectory();
  await nodeFileSystem.createExclusive(join(path, 'part.avro'), out.view());
  const { default: avsc } = await loadPackage<{
    default: { createFileDecoder: (file: string) => AsyncIterable<unknown> };
  }>('avsc', 'read Avro');
  const found: unknown[] = [];
  for await (const row of avsc.createFileDecoder(join(path, 'part.avro'))) found.push(row);
  expect(found).toEqual(written);
});

test('[CONNECT-FORMAT-5] Parquet takes each type exactly, or refuses the row', async () => {
  const types: Readonly<Record<string, ParquetColumnType>> = {
    ...({ on: 'boolean', i: 'int32', l: 'int64', f: 'float', d: 'double', s: 'string' } as const),
    ...({ b: 'bytes', j: 'json', t: 'timestamp', day: 'date' } as const),
  };
  const good = [
    {
      ...{ on: true, i: -(2 ** 31), l: 2n ** 63n - 1n, f: 0.5, d: 1 / 3, s: 'ä🚀' },
      ...{ b: Buffer.from([0, 255]), j: { a: [1, null] }, t: new Date(1.5e12), day: new Date(0) },
    },
    {},
    { l: 2 ** 53 - 1, s: '', j: 'text', t: -1, day: -1, on: null, d: Number.NaN },
  ];
  for (const compression of ['snappy', 'gzip', 'zstd', 'none'] as const) {
    const out = new OutputBuffer();
    const encoder = await parquet({ types, compression }).encoder(undefined);
    const part = encoder.part('x');
    for (const row of good) part.encode(row, out);
    const bad: readonly (readonly [object, RegExp])[] = [
      [{ i: 2 ** 31 }, /column i takes an integer of 32 bits, not 2147483648/],
      [{ i: 0.5 }, /column i takes/],
      [{ l: 2n ** 63n }, /column l takes/],
      [{ l: 2 ** 53 }, /column l takes/],
      [{ s: 7 }, /column s takes text, not 7/],
      [{ s: '\ud800' }, /column s takes text/],
      [{ d: '1' }, /column d takes a number/],
      [{ on: 1 }, /column on takes true or false/],
      [{ b: 'text' }, /column b takes bytes/],
      [{ j: () => 1 }, /column j takes a value that JSON has/],
      [{ t: new Date(Number.NaN) }, /column t takes a Date/],
      [{ t: 8.65e15 }, /column t takes a Date/],
      [{ more: 1 }, /column more is not in the file, whose columns are on, i, l/],
      [[1], /a Parquet row is an object/],
    ];
    for (const [row, reason] of bad) expect(() => part.encode(row, out)).toThrow(reason);
    part.end!(out);
    const file = Uint8Array.from(out.view()).buffer;
    const compressors = (await import('hyparquet-compressors')).compressors;
    const found = await parquetReadObjects({ file, compressors, utf8: false });
    const nothing = Object.fromEntries(Object.keys(types).map((name) => [name, null]));
    expect(found).toEqual(
      [
        { ...good[0], b: Uint8Array.from([0, 255]), i: -(2 ** 31) },
        nothing,
        {
          ...{ ...nothing, l: 2n ** 53n - 1n, s: '', j: 'text', t: new Date(-1) },
          ...{ day: new Date(-86_400_000), d: Number.NaN },
        },
      ].map((row) => expect.objectContaining(row) as object),
    );
  }
});

test('[CONNECT-FORMAT-5] Parquet takes its columns from the first row', async () => {
  await using log = await temporaryLog();
  const path = temporaryDirectory();
  const value = ({ value: row }: ConsumerRecord<string, object>) => ({ ...row, at: new Date(0) });
  const sink = fileSink({ topic: rows, path, format: parquet(), value });
  await produce(log, numbered(2));
  await runUntil(log, sink, 2);
  await produce(log, [{ text: 'without an id' }]);
  await finish(log, sink);
  expect((await manifestIn(nodeFileSystem, path))?.columns).toEqual([
    ...['id double', 'text string', 'at timestamp'],
  ]);
  expect(await contentOf(path)).toEqual({
    rows: [
      { id: 0, text: 'ä0', at: new Date(0) },
      { id: 1, text: 'ä1', at: new Date(0) },
      { id: null, text: 'without an id', at: new Date(0) },
    ].map((row) => expect.objectContaining(row) as object),
    counts: [2, 1],
  });
  const types = { id: 'int32' } as const;
  const other = fileSink({ topic: rows, path, format: parquet({ types }), value });
  expect(await connectFailure(finish(log, other))).toMatchObject({
    code: 'OUTPUT_MISMATCH',
    details: { field: 'columns' },
  });
  const none = fileSink({
    ...{ topic: rows, path: temporaryDirectory(), format: parquet() },
    value: () => ({ id: null }),
  });
  expect((await connectFailure(finish(log, none))).message).toMatch(
    /the type of column id is unknown/,
  );
});

test('[CONNECT-FORMAT-5] a Parquet file of several row groups', async () => {
  const out = new OutputBuffer();
  const part = (await parquet().encoder(undefined)).part('x');
  for (let id = 0; id < 100_001; id++) part.encode({ id }, out);
  for (let id = 0; id < 3; id++) part.encode({ id: -id }, out);
  part.end!(out);
  const found = await parquetReadObjects({ file: Uint8Array.from(out.view()).buffer });
  expect(found).toHaveLength(100_004);
  expect(found.at(100_000)).toMatchObject({ id: 100_000 });
  expect(found.at(-1)).toMatchObject({ id: -2 });
});

test('[CONNECT-FORMAT-6] a row that cannot be written may be left out', async () => {
  const formats: readonly SinkFormat<object>[] = [
    jsonl(),
    csv({ header: ['id', 'text'] }),
    avro({ schema: { ...SCHEMA, fields: SCHEMA.fields.slice(0, 2) } }),
    parquet({ types: { id: 'int32', text: 'string' } }),
  ];
  const values: readonly unknown[] = [
    Symbol('none'),
    { id: 1, text: 'a' },
    () => 7,
    { id: 2, text: 'b' },
  ];
  for (const format of formats) {
    const path = temporaryDirectory();
    const rejected: string[] = [];
    const context: SinkContext = {
      topics: [{ topic: 'rows', topicId: 'id', partitions: 1 }],
      signal: new AbortController().signal,
      clock: systemClock,
      onStep: () => undefined,
      reject: ({ offset }, error) => {
        rejected.push(`${offset} ${(error as { code?: string }).code ?? ''}`);
      },
    };
    const sink = fileSink({ topic: rows, path, format, partRecords: 1 });
    const task = await sink.open(context);
    const records = values.map((value, offset) => {
      return {
        topic: 'rows',
        partition: 0,
        offset,
        timestampMs: 0,
        value,
      } as unknown as ConsumerRecord;
    });
    await task.put(records);
    await task.commit([{ topic: 'rows', partition: 0, offset: 4 }], { isFinal: true });
    await task.close();
    expect(rejected).toEqual(['0 ROW_UNWRITABLE', '2 ROW_UNWRITABLE']);
    const { rows: written, counts } = await contentOf(path);
    expect([counts, written.length]).toEqual([[1, 1], 2]);
    expect(written.at(-1)).toEqual(
      format.name === 'csv' ? '2,b' : expect.objectContaining({ id: 2, text: 'b' }),
    );
  }
});

test('[CONNECT-FORMAT-7] a missing package is named, with how to install it', async () => {
  expect(await failureOf(loadPackage('no-such-package', 'write Nothing'))).toMatchObject({
    code: 'PACKAGE_MISSING',
    message: expect.stringMatching(
      /needed to write Nothing; .*: npm install no-such-package$/,
    ) as string,
    details: { package: 'no-such-package', purpose: 'write Nothing' },
  });
  const options = { topic: rows, path: 'out', compression: 'gzip' } as const;
  expect(() => fileSink({ ...options, format: parquet() })).toThrow(/parquet compresses by itself/);
  expect(() => fileSink({ ...options, format: avro({ schema: SCHEMA }) })).toThrow(
    /avro compresses/,
  );
  expect(() => avro({ schema: 'no JSON' })).toThrow(/a schema of Avro/);
  expect(() => parquet({ types: { a: 'text' } as never })).toThrow(/the type of each column/);
});

test('[CONNECT-FORMAT-8] a buffer of output grows, and takes back what it was given', () => {
  const out = new OutputBuffer(10);
  const pieces = ['ä', 'x'.repeat(70_000), '', 'é'.repeat(30_000), '🚀'];
  for (const piece of pieces) out.appendText(piece);
  const text = pieces.join('');
  expect(out.positionBytes).toBe(10 + Buffer.byteLength(text));
  out.appendBytes(Buffer.alloc(3 * 1024 * 1024, 'z'));
  out.truncate(10 + Buffer.byteLength(text));
  expect(out.view().toString('utf8')).toBe(text);
  out.pass();
  expect([out.waitingBytes, out.positionBytes]).toEqual([0, 10 + Buffer.byteLength(text)]);
  out.appendLine('end');
  expect(out.view().toString('utf8')).toBe('end\n');
});
