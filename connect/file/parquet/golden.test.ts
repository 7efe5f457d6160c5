import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { fileSystemOf, readBatches } from '../../../test/kit/connect.ts';
import { GOLDEN_NAMES, goldenBytes, goldenRows } from '../../../test/kit/parquet-golden.ts';
import { parquet } from '../parquet.ts';

async function rowsOf(content: Buffer, row = 0): Promise<unknown[]> {
  const read = async (offset?: Readonly<Record<string, number>>) => {
    return readBatches(parquet(), 'golden.parquet', offset, fileSystemOf(content));
  };
  if (row === 0) return (await read()).flatMap(({ rows }) => rows);
  const [first] = await read();
  return (await read({ ...(first!.offset as Record<string, number>), row })).flatMap(
    ({ rows }) => rows,
  );
}

test.each(GOLDEN_NAMES)('[CONNECT-PARQUET-15] the values of pyarrow: %s', async (name) => {
  const expected = goldenRows(name);
  expect(expected.length).toBeGreaterThan(2);
  const content = goldenBytes(name);
  expect(await rowsOf(content)).toEqual(expected);
  // From any row on.
  const step = Math.max(1, Math.floor(expected.length / 13));
  for (let row = 1; row < expected.length; row += step) {
    expect(await rowsOf(content, row)).toEqual(expected.slice(row));
  }
});

test('[CONNECT-PARQUET-15] nested __proto__ is compared, too', async () => {
  const rows = (await rowsOf(goldenBytes('nested.v1'))) as { struct: { b: object } | null }[];
  expect(JSON.stringify(rows[1]?.struct?.b)).toContain('"__proto__":1');
});

test('[CONNECT-PARQUET-3] offsets of earlier versions are continued', async () => {
  const content = goldenBytes('tiny.plain');
  const footer = content.subarray(content.length - 8 - content.readUInt32LE(content.length - 8));
  const offset = { row: 2, sizeBytes: content.length, check: crc32(footer) };
  const batches = await readBatches(parquet(), 'g.parquet', offset, fileSystemOf(content));
  expect(batches.flatMap(({ rows }) => rows)).toEqual(goldenRows('tiny.plain').slice(2));
  expect(batches.at(-1)?.offset).toEqual({ ...offset, row: 3 });
});
