import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { compressSync } from 'snappy';
import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic } from '../../../core/index.ts';
import { compress } from '../../../core/internal.ts';
import {
  connectFailure,
  fileSystemOf,
  inputFile,
  readBatches,
  readRows,
  readTolerantly,
} from '../../../test/kit/connect.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { ConnectError } from '../../errors.ts';
import { SinkRunner } from '../../runtime/sink-runner.ts';
import { SourceRunner } from '../../runtime/source-runner.ts';
import { avro } from '../avro.ts';
import { fileSource } from '../file-source.ts';
import { fileSink } from '../sink/file-sink.ts';

/** Another implementation, which writes what we read. */
interface AvscType {
  toBuffer(value: unknown): Buffer;
}
const { Type } = createRequire(import.meta.url)('avsc') as {
  readonly Type: { forSchema(schema: unknown, options?: object): AvscType };
};

type Codec = 'null' | 'deflate' | 'snappy' | 'zstandard';
const SYNC = Buffer.from('0123456789abcdef');
const PACK: Readonly<Record<Codec, (bytes: Buffer) => Buffer>> = {
  null: (bytes) => bytes,
  deflate: (bytes) => deflateRawSync(bytes),
  snappy: (bytes) => Buffer.concat([compressSync(bytes), Buffer.alloc(4)]),
  zstandard: (bytes) => compress('zstd', bytes),
};

const LONG = Type.forSchema('long');
const META = Type.forSchema({ type: 'map', values: 'bytes' });

/** A container file: the rows of each block. */
function container(
  schema: object | string,
  blocks: readonly (readonly unknown[])[],
  { codec = 'null', sync = SYNC }: { readonly codec?: Codec; readonly sync?: Buffer } = {},
): Buffer {
  const type = Type.forSchema(schema, { wrapUnions: false });
  const meta = {
    'avro.schema': Buffer.from(JSON.stringify(schema)),
    'avro.codec': Buffer.from(codec),
  };
  const head = Buffer.concat([Buffer.from('Obj\x01', 'latin1'), META.toBuffer(meta), sync]);
  return Buffer.concat([head, ...blocks.map((rows) => blockOf(type, rows, codec, sync))]);
}

function blockOf(type: AvscType, rows: readonly unknown[], codec: Codec, sync: Buffer): Buffer {
  const packed = PACK[codec](Buffer.concat(rows.map((row) => type.toBuffer(row))));
  return Buffer.concat([LONG.toBuffer(rows.length), LONG.toBuffer(packed.length), packed, sync]);
}

const ROW = {
  type: 'record',
  name: 'Row',
  namespace: 'a.b',
  fields: [
    { name: 'id', type: 'int' },
    { name: 'text', type: ['null', 'string'] },
    { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['A', 'B'] } },
    { name: 'tags', type: { type: 'array', items: 'string' } },
    { name: 'byName', type: { type: 'map', values: 'double' } },
    { name: 'next', type: ['null', 'Row'] },
  ],
};
const rowOf = (id: number, next: object | null = null) => ({
  ...{ id, text: id % 2 === 0 ? `ä${id}` : null, at: 1_700_000_000_000 + id, kind: 'B' },
  ...{
    tags: Array.from({ length: id % 4 }, (_, index) => `t${index}`),
    byName: { a: id / 2 },
    next,
  },
});
const rowsOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => rowOf(from + index, index === 1 ? rowOf(7) : null));
const read = (row: object): object => {
  const { at, next } = row as { readonly at: number; readonly next: object | null };
  return { ...row, at: new Date(at), next: next && read(next) };
};

test('[CONNECT-AVRO-1] rows of all types are read, whatever the codec', async () => {
  for (const codec of ['null', 'deflate', 'snappy', 'zstandard'] as const) {
    const file = inputFile(container(ROW, [rowsOf(3), [], rowsOf(5, 3)], { codec }), 'rows.avro');
    const expected = [...rowsOf(3), ...rowsOf(5, 3)].map(read);
    expect([codec, await readRows(avro(), file)]).toEqual([codec, expected]);
  }
  const packed = { ...ROW, fields: ROW.fields.slice(0, 2) };
  expect(await readRows(avro(), inputFile(container(packed, [])))).toEqual([]);
});

test('[CONNECT-AVRO-1] each type has its value', async () => {
  const fixed = (name: string, size: number, more: object = {}) => {
    return { type: 'fixed', name, size, ...more };
  };
  const cases: readonly (readonly [schema: unknown, written: unknown, read: unknown])[] = [
    ...(['null', 'boolean', 'float', 'double', 'string'] as const).map((type, index) => {
      const value = [null, true, 1.5, -1e300, 'ü🚀'][index];
      return [type, value, value] as const;
    }),
    ...[0, -1, 2 ** 31 - 1, -(2 ** 31)].map((value) => ['int', value, value] as const),
    ...[0, -1, 2 ** 40, -(2 ** 52)].map((value) => ['long', value, value] as const),
    ['bytes', Buffer.from([1, 255]), Uint8Array.of(1, 255)],
    [fixed('F', 2), Buffer.from([1, 255]), Uint8Array.of(1, 255)],
    [{ type: 'int', logicalType: 'date' }, 1, new Date(86_400_000)],
    [{ type: 'long', logicalType: 'timestamp-micros' }, -1, new Date(-1)],
    [{ type: 'long', logicalType: 'local-timestamp-millis' }, 5, new Date(5)],
    [{ type: 'int', logicalType: 'time-millis' }, 5, 5],
    [{ type: 'string', logicalType: 'uuid' }, 'x', 'x'],
    [
      { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 },
      Buffer.from([255, 1]),
      -2.55,
    ],
    [fixed('D', 2, { logicalType: 'decimal', scale: 1 }), Buffer.from([0, 15]), 1.5],
    [
      fixed('P', 12, { logicalType: 'duration' }),
      Buffer.from('010000000200000003000000', 'hex'),
      { months: 1, days: 2, milliseconds: 3 },
    ],
    [
      fixed('U', 16, { logicalType: 'uuid' }),
      Buffer.alloc(16),
      `${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}`,
    ],
    [['null', 'int', 'string'], 'text', 'text'],
  ];
  for (const [type, written, expected] of cases) {
    const schema = { type: 'record', name: 'R', fields: [{ name: 'value', type }] };
    const file = inputFile(container(schema, [[{ value: written }]]), 'rows.avro');
    expect([type, await readRows(avro(), file)]).toEqual([type, [{ value: expected }]]);
  }
  // Longs beyond 2^53, which avsc does not write: the least and the largest.
  const long = { type: 'record', name: 'R', fields: [{ name: 'value', type: 'long' }] };
  for (const [hex, value] of [
    ['feffffffffffffffff01', 2n ** 63n - 1n],
    ['ffffffffffffffffff01', -(2n ** 63n)],
  ] as const) {
    const bytes = Buffer.from(hex, 'hex');
    const block = [LONG.toBuffer(1), LONG.toBuffer(bytes.length), bytes, SYNC];
    const file = inputFile(Buffer.concat([container(long, []), ...block]), 'rows.avro');
    expect(await readRows(avro(), file)).toEqual([{ value }]);
    expect(await readRows(avro({ numbers: 'text' }), file)).toEqual([{ value: String(value) }]);
    const { rows, bad } = await readTolerantly(avro({ numbers: 'error' }), file);
    expect([rows, bad.length, bad[0]?.line]).toEqual([[], 1, 1]);
  }
});

test('[CONNECT-AVRO-1] __proto__ is a name like any other', async () => {
  const schema = {
    ...{ type: 'record', name: 'R' },
    fields: [
      { name: '__proto__', type: 'int' },
      { name: 'map', type: { type: 'map', values: 'int' } },
    ],
  };
  const map = Object.fromEntries([['__proto__', 2]]);
  const row = Object.fromEntries<unknown>([
    ['__proto__', 1],
    ['map', map],
  ]);
  const type = Type.forSchema({ type: 'map', values: 'int' });
  const bytes = Buffer.concat([LONG.toBuffer(1), type.toBuffer(map)]);
  const block = [LONG.toBuffer(1), LONG.toBuffer(bytes.length), bytes, SYNC];
  const file = inputFile(Buffer.concat([container(schema, []), ...block]), 'rows.avro');
  const [found] = await readRows(avro<object>(), file);
  expect(Object.entries(found!)).toEqual(Object.entries(row));
});

test('[CONNECT-AVRO-2] offsets are those of blocks, and a changed file is noticed', async () => {
  const content = container(ROW, [rowsOf(3), rowsOf(4, 3), rowsOf(2, 7)], { codec: 'deflate' });
  const path = inputFile(content, 'rows.avro');
  const batches = await readBatches(avro(), path);
  expect(batches.map(({ rows }) => rows.length)).toEqual([3, 4, 2]);
  expect(batches.map(({ lineOf }) => lineOf(1))).toEqual([2, 5, 9]);
  expect(await readRows(avro(), path, batches[0]!.offset)).toEqual(
    [...rowsOf(4, 3), ...rowsOf(2, 7)].map(read),
  );
  expect(await readRows(avro(), path, batches[2]!.offset)).toEqual([]);
  appendFileSync(path, content.subarray(content.lastIndexOf(SYNC, -17) + 16));
  expect(await readRows(avro(), path, batches[2]!.offset)).toHaveLength(2);
  const other = Buffer.from('another marker 1');
  writeFileSync(path, container(ROW, [rowsOf(30)], { sync: other }));
  const changed = await connectFailure(readRows(avro(), path, batches[0]!.offset));
  expect(changed.code).toBe('FILE_CHANGED');
  truncateSync(path, 100);
  const cut = await connectFailure(readRows(avro(), path, batches[0]!.offset));
  expect(cut).toMatchObject({ code: 'FILE_CHANGED', details: { file: path } });
});

test('[CONNECT-AVRO-2] what a sink has written is read back and followed, by block', async () => {
  const values = topic('values', { key: string(), value: json<object>(), partitions: 1 });
  const copies = topic('copies', { key: string(), value: json<object>(), partitions: 1 });
  const schema = { type: 'record', name: 'Row', fields: [{ name: 'id', type: 'int' }] };
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const ids = Array.from({ length: 30_000 }, (_, id) => ({ id }));
  await using producer = log.producer();
  await producer.sendAll(
    values,
    ids.map((value) => ({ key: 'k', value })),
  );
  const path = temporaryDirectory();
  await new SinkRunner(log, fileSink({ topic: values, path, format: avro({ schema }) })).finish();
  const content = readFileSync(join(path, 'part-0-00000.avro'));
  const growing = inputFile(content.subarray(0, 40), 'growing.avro');
  const source = fileSource({
    ...{ path: growing, format: avro<object>(), topic: copies, key: () => null },
    ...{ follow: true, pollIntervalMs: 1 },
  });
  const runner = new SourceRunner(log, source);
  const running = runner.run();
  for (let at = 40; at < content.length; at += 20_001) {
    appendFileSync(growing, content.subarray(at, at + 20_001));
    await Promise.race([running, new Promise((resolve) => setTimeout(resolve, 5))]);
  }
  while (runner.progress.records < ids.length) {
    await Promise.race([running, new Promise((resolve) => setTimeout(resolve, 5))]);
  }
  await runner.stop();
  expect(await readValues(log, copies, 'read_committed')).toEqual(ids);
});

test('[CONNECT-AVRO-3] text that is not UTF-8 makes its row bad', async () => {
  const schemaOf = (type: string) => ({
    type: 'record',
    name: 'R',
    fields: [{ name: 'text', type }],
  });
  const texts = ['a', Buffer.from([0xff]), 'c'].map((text) => ({
    text: Buffer.from(text as string),
  }));
  // The schema says text where bytes were written.
  const block = blockOf(Type.forSchema(schemaOf('bytes')), texts, 'null', SYNC);
  const file = inputFile(Buffer.concat([container(schemaOf('string'), []), block]), 'rows.avro');
  const { rows, bad } = await readTolerantly(avro(), file);
  expect(rows).toEqual([{ text: 'a' }, { text: 'c' }]);
  expect(bad).toMatchObject([
    { line: 2, raw: Buffer.from([2, 0xff]), error: { code: 'INVALID_AVRO' } },
  ]);
});

test('[CONNECT-AVRO-4] every bit flipped ends in rows or INVALID_AVRO', async () => {
  const good = container({ ...ROW, fields: ROW.fields.slice(0, 6) }, [rowsOf(2), rowsOf(2)]);
  let refused = 0;
  for (let at = 0; at < good.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const damaged = Buffer.from(good);
      damaged[at]! ^= 1 << bit;
      try {
        await readTolerantly(avro(), 'damaged.avro', fileSystemOf(damaged));
      } catch (error) {
        expect([at, bit, ConnectError.is(error, 'INVALID_AVRO')]).toEqual([at, bit, true]);
        refused++;
      }
    }
  }
  expect(refused).toBeGreaterThan(good.length);
});

test('[CONNECT-AVRO-4] hostile counts, sizes and schemas end soon', async () => {
  const blockOfBytes = (rows: number, bytes: Buffer): Buffer =>
    Buffer.concat([LONG.toBuffer(rows), LONG.toBuffer(bytes.length), bytes, SYNC]);
  const nested = (depth: number): object =>
    depth === 0 ? { type: 'array', items: 'null' } : { type: 'array', items: nested(depth - 1) };
  const twins = Array.from({ length: 40 }, (_, index) => ({
    ...{ type: 'record', name: `T${index}` },
    fields: ['a', 'b'].map((name) => ({ name, type: index === 0 ? 'null' : `T${index - 1}` })),
  }));
  const many = LONG.toBuffer(2 ** 52);
  const cases: readonly Buffer[] = [
    Buffer.concat([container('null', []), blockOfBytes(2 ** 52, Buffer.alloc(0))]),
    Buffer.concat([container(nested(0), []), blockOfBytes(1, many)]),
    Buffer.concat([
      container(nested(1), []),
      blockOfBytes(
        1,
        Buffer.concat([LONG.toBuffer(1000), ...Array.from({ length: 1000 }, () => many)]),
      ),
    ]),
    Buffer.concat([container('bytes', []), blockOfBytes(1, many)]),
    Buffer.concat([container('int', []), LONG.toBuffer(1), many]),
    Buffer.concat([
      container('null', []).subarray(0, 4),
      META.toBuffer({
        'avro.schema': Buffer.from(
          JSON.stringify({
            type: 'record',
            name: 'All',
            fields: twins.map((type, index) => ({ name: `f${index}`, type })),
          }),
        ),
      }),
      SYNC,
      blockOfBytes(1, Buffer.alloc(0)),
    ]),
    Buffer.concat([
      container('null', []).subarray(0, 4),
      META.toBuffer({
        'avro.schema': Buffer.from(`${'['.repeat(100_000)}"null"${']'.repeat(100_000)}`),
      }),
      SYNC,
      blockOfBytes(1, Buffer.alloc(1)),
    ]),
    Buffer.alloc(0),
    Buffer.from('PAR1'),
    container(ROW, [rowsOf(3)]).subarray(0, -1),
  ];
  for (const [index, content] of cases.entries()) {
    const failure = await connectFailure(readRows(avro(), inputFile(content, 'rows.avro')));
    expect([index, failure.code]).toEqual([index, 'INVALID_AVRO']);
  }
});

test('[CONNECT-AVRO-1] a sink needs a schema, and options are checked', () => {
  const values = topic('values', { key: string(), value: json<object>() });
  // @ts-expect-error -- without a schema it only reads
  expect(() => fileSink({ topic: values, path: 'out', format: avro() })).toThrow(
    /a format to write/,
  );
  expect(() => avro({ numbers: 'float' as never })).toThrow(/numbers/);
  expect(() => avro({ schema: 'no JSON' })).toThrow(/schema/);
});
