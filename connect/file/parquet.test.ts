import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { parquetReadObjects, type Compressors } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetWriteBuffer, type ColumnSource } from 'hyparquet-writer';
import { expect, test } from 'vitest';
import { nodeFileSystem } from '../../core/index.ts';
import { connectFailure, inputFile, readBatches, readRows } from '../../test/kit/connect.ts';
import { expectEqual } from '../../test/kit/quick-expect.ts';
import { parquet } from './parquet.ts';

const ROWS = 15_000;

/** A file with columns of every kind, in several row groups and pages. */
function mixedFile(codec?: 'SNAPPY' | 'GZIP' | 'BROTLI' | 'UNCOMPRESSED'): string {
  const rows = Array.from({ length: ROWS }, (_, index) => index);
  const nulls = <T>(values: readonly T[]) => values.map((value, row) => (row % 7 ? value : null));
  const columnData: ColumnSource[] = [
    { name: 'id', data: rows.map(BigInt), type: 'INT64', nullable: false },
    { name: 'delay', data: nulls(rows.map((row) => BigInt(row % 50) - 20n)), type: 'INT64' },
    { name: 'small', data: rows.map((row) => row % 100), type: 'INT32' },
    { name: 'ratio', data: nulls(rows.map((row) => row / 3)), type: 'DOUBLE' },
    { name: 'origin', data: rows.map((row) => `ä${row % 300}`), type: 'STRING' },
    { name: 'text', data: nulls(rows.map((row) => `${row}`)), type: 'STRING', encoding: 'PLAIN' },
    { name: 'late', data: rows.map((row) => row % 3 === 0), type: 'BOOLEAN' },
    { name: 'at', data: nulls(rows.map((row) => new Date(row * 1000))), type: 'TIMESTAMP' },
    { name: 'more', data: nulls(rows.map((row) => ({ row }))), type: 'JSON' },
    { name: 'none', data: rows.map(() => null), type: 'STRING' },
  ];
  const packers: Compressors = {
    GZIP: (input) => gzipSync(input),
    BROTLI: (input) => brotliCompressSync(input),
  };
  const pack = codec === undefined ? undefined : packers[codec];
  const bytes = parquetWriteBuffer({
    columnData,
    pageSize: 4096,
    rowGroupSize: [1000, 4500],
    codec,
    compressors: pack && { [codec!]: pack },
  } as Parameters<typeof parquetWriteBuffer>[0]);
  return inputFile(Buffer.from(bytes), 'mixed.parquet');
}

/** A value of hyparquet as it should be: exact bigints as numbers, and null for undefined. */
function referenceValue(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  if (Array.isArray(value)) return value.map(referenceValue);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, referenceValue(each)]),
  );
}

/** The rows as hyparquet reads them. */
async function reference(path: string, rowEnd = Infinity): Promise<unknown[]> {
  const { buffer, byteOffset, length } = readFileSync(path);
  const file = buffer.slice(byteOffset, byteOffset + length);
  const rows = await parquetReadObjects({ file, compressors, rowEnd });
  return rows.map(referenceValue);
}

test.each(['SNAPPY', 'GZIP', 'BROTLI', 'UNCOMPRESSED'] as const)(
  '[CONNECT-PARQUET-1] every type, nulls, pages and row groups, packed with %s',
  async (codec) => {
    const path = mixedFile(codec);
    const rows = await readRows(parquet(), path);
    expect(rows).toHaveLength(ROWS);
    expectEqual(rows, await reference(path));
  },
);

test('[CONNECT-PARQUET-2] a zstd file from Polars: three million flights', async () => {
  const packageFile = createRequire(import.meta.url).resolve('vega-datasets');
  const path = join(dirname(packageFile), '../data/flights-3m.parquet');
  const format = parquet<{ delay: number; date: Date; origin: string }>({
    columns: ['origin', 'delay'],
  });
  const first = await reference(path, 1000);
  const expected = first.map((row) => {
    const { origin, delay } = row as { origin: string; delay: number };
    return { origin, delay };
  });
  const reader = await format.open({
    fileSystem: nodeFileSystem,
    path,
    offset: undefined,
    isFollowed: false,
    badOffset: () => new TypeError(),
  });
  const head = await reader.next();
  expect(head?.rows.slice(0, 1000)).toEqual(expected);
  let count = head?.rows.length ?? 0;
  let last = head;
  for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
    count += next.rows.length;
    last = next;
  }
  await reader.close();
  expect(count).toBe(3_000_000);
  expect(last?.doneBytes).toBe(13_493_022);
});

test('[CONNECT-PARQUET-3] any offset continues with the rows after it', async () => {
  const path = mixedFile();
  const batches = await readBatches(parquet(), path);
  expect(batches.length).toBeGreaterThan(7);
  const all = batches.flatMap(({ rows }) => rows);
  let read = 0;
  for (const { rows, offset, lineOf } of batches) {
    expect(lineOf(0)).toBe(read + 1);
    read += rows.length;
    expectEqual(await readRows(parquet(), path, offset), all.slice(read));
  }
});

test('[CONNECT-PARQUET-4] 64-bit integers are numbers if those are exact', async () => {
  const values = [0n, -1n, 2n ** 53n - 1n, 2n ** 53n, -(2n ** 63n), 2n ** 63n - 1n];
  const write = (columns: ColumnSource[]) =>
    inputFile(Buffer.from(parquetWriteBuffer({ columnData: columns })));
  const path = write([{ name: 'n', data: values, type: 'INT64' }]);
  expect((await readRows(parquet<{ n: number | bigint }>(), path)).map(({ n }) => n)).toEqual([
    0,
    -1,
    2 ** 53 - 1,
    2n ** 53n,
    -(2n ** 63n),
    2n ** 63n - 1n,
  ]);
  // The same from a dictionary.
  const many = Array.from({ length: 5000 }, (_, row) => values[row % values.length]!);
  const large = write([{ name: 'n', data: many, type: 'INT64' }]);
  const rows = await readRows(parquet<{ n: number | bigint }>(), large);
  expect(rows[5]?.n).toBe(2n ** 63n - 1n);
  expect(rows.filter(({ n }) => n === -1)).toHaveLength(833 + 1);
});

test('[CONNECT-PARQUET-5] timestamps and dates become Dates, or milliseconds', async () => {
  const at = [new Date('2001-01-01T00:01:00.123Z'), new Date('1969-12-31T23:59:59.999Z')];
  const days = [new Date('2001-02-03'), new Date('1968-01-01')];
  const path = inputFile(
    Buffer.from(
      parquetWriteBuffer({
        columnData: [
          { name: 'at', data: at },
          { name: 'day', data: days },
        ],
        schema: [
          { name: 'root', num_children: 2 },
          { name: 'at', type: 'INT64', converted_type: 'TIMESTAMP_MICROS' },
          { name: 'day', type: 'INT32', converted_type: 'DATE' },
        ],
      }),
    ),
  );
  expect(await readRows(parquet(), path)).toEqual(
    at.map((each, index) => ({ at: each, day: days[index] })),
  );
  expect(await readRows(parquet({ timestamps: 'ms' }), path)).toEqual(
    at.map((each, index) => ({ at: each.getTime(), day: days[index]?.getTime() })),
  );
});

test('[CONNECT-PARQUET-6] nested columns are objects and lists', async () => {
  const rows = Array.from({ length: 3000 }, (_, row) => ({
    id: row,
    tags: row % 5 === 0 ? null : Array.from({ length: row % 4 }, (_, n) => BigInt(n)),
  }));
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: 'id', data: rows.map(({ id }) => id) },
      { name: 'tags', data: rows.map(({ tags }) => tags) },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'id', type: 'INT32', repetition_type: 'REQUIRED' },
      { name: 'tags', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', type: 'INT64', repetition_type: 'REQUIRED' },
    ],
    rowGroupSize: 700,
  });
  const read = await readRows(parquet(), inputFile(Buffer.from(bytes)));
  expect(read).toEqual(rows.map(({ id, tags }) => ({ id, tags: tags?.map(Number) ?? null })));
});

test('[CONNECT-PARQUET-7] a file cut short, empty or of another format is an error', async () => {
  const whole = readFileSync(mixedFile());
  const cases: readonly (readonly [Buffer, RegExp])[] = [
    [Buffer.alloc(0), /\(0 bytes\) is no sound Parquet file: it is empty/],
    [Buffer.from('a,b\n1,2\n'), /begins with "a,b\\n", not with PAR1: is it another format/],
    [whole.subarray(0, 4), /does not end with PAR1: it was cut short/],
    [whole.subarray(0, whole.length - 1), /does not end with PAR1: it was cut short/],
    [whole.subarray(0, whole.length >> 1), /does not end with PAR1: it was cut short/],
    [Buffer.from('PAR1\xff\xff\xff\x7fPAR1', 'latin1'), /its metadata of 2147483647 bytes/],
    [Buffer.concat([whole.subarray(0, 50), whole.subarray(-400)]), /metadata|behind its own end/],
  ];
  for (const [content, reason] of cases) {
    const path = inputFile(content);
    const { code, message, details } = await connectFailure(readRows(parquet(), path));
    expect(code).toBe('INVALID_PARQUET');
    expect(message).toMatch(reason);
    expect(details).toMatchObject({ file: path, sizeBytes: content.length });
    expect(details['positionBytes']).toBeLessThanOrEqual(content.length);
    expect(message).toContain(`at byte ${String(details['positionBytes'])}`);
  }
});

test('[CONNECT-PARQUET-8] damage in the middle is an error that names the column', async () => {
  const path = mixedFile('SNAPPY');
  const bytes = readFileSync(path);
  bytes.fill(0xff, 100, 400);
  writeFileSync(path, bytes);
  const { code, message } = await connectFailure(readRows(parquet(), path));
  expect(code).toBe('INVALID_PARQUET');
  expect(message).toMatch(/row group 1, column id:/);
});

test('[CONNECT-PARQUET-9] only the wanted columns are read', async () => {
  const path = mixedFile();
  const [row] = await readRows(
    parquet<{ small: number; id: number }>({ columns: ['small', 'id'] }),
    path,
  );
  expect(row).toEqual({ small: 0, id: 0 });
  expect(
    await connectFailure(readRows(parquet<{ smal: number }>({ columns: ['smal'] }), path)),
  ).toMatchObject({ code: 'UNKNOWN_COLUMN', details: { file: path, column: 'smal' } });
});

test('[CONNECT-PARQUET-10] the footer reveals that a file was replaced', async () => {
  const path = mixedFile('SNAPPY');
  const offset = (await readBatches(parquet(), path))[2]?.offset;
  writeFileSync(path, readFileSync(mixedFile('GZIP')));
  expect(await connectFailure(readRows(parquet(), path, offset))).toMatchObject({
    code: 'FILE_CHANGED',
    message: expect.stringMatching(/its footer/) as string,
  });
});
