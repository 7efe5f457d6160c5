import { crc32 } from 'node:zlib';
import type { ColumnMetaData, PageHeader, SchemaElement } from 'hyparquet';
import { ByteWriter, parquetWriteBuffer, type ColumnSource } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { expect, test } from 'vitest';
import { connectFailure, inputFile, readRows } from '../../test/kit/connect.ts';
import { decodePages } from './parquet-column.ts';
import { parquet } from './parquet.ts';

/** A file of one column. */
function fileOf(element: SchemaElement, data: ColumnSource['data']): string {
  const { name } = element;
  const schema = [{ name: 'root', num_children: 1 }, element];
  return inputFile(Buffer.from(parquetWriteBuffer({ columnData: [{ name, data }], schema })));
}

async function valuesOf(path: string): Promise<unknown[]> {
  return (await readRows(parquet<{ v: unknown }>(), path)).map(({ v }) => v);
}

test('[CONNECT-PARQUET-11] decimals are numbers, or text if digits would be lost', async () => {
  const few = [3n, -3n, 110n, 0n, 1234567n];
  const many = [12345678901234567890n, -12345678901234567890n, 5n];
  const kinds: readonly (readonly [Partial<SchemaElement>, number, readonly bigint[]])[] = [
    [{ type: 'INT32' }, 1, few],
    [{ type: 'INT64' }, 2, [...few, 2n ** 53n - 1n, -(2n ** 62n)]],
    [{ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 12 }, 4, [...few, ...many]],
    [{ type: 'BYTE_ARRAY' }, 20, [...few, ...many]],
    [{ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 12 }, 0, [...few, ...many]],
  ];
  for (const [kind, scale, unscaled] of kinds) {
    const expected = unscaled.map((value) => {
      const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
      const point = digits.length - scale;
      const fraction = scale === 0 ? '' : `.${digits.slice(point)}`;
      const text = `${value < 0n ? '-' : ''}${digits.slice(0, point)}${fraction}`;
      return Number.isSafeInteger(Number(value)) ? Number(text) : text;
    });
    for (const copies of [1, 500]) {
      // The second one comes from a dictionary.
      const data = Array.from({ length: copies }, () => unscaled).flat();
      const path = fileOf(
        { name: 'v', converted_type: 'DECIMAL', precision: 28, scale, ...kind },
        data,
      );
      const read = await valuesOf(path);
      expect(read).toHaveLength(data.length);
      expect(read.slice(-unscaled.length)).toEqual(expected);
    }
  }
});

test('[CONNECT-PARQUET-12] text is strict UTF-8; untyped bytes need not be', async () => {
  const bytes = [Buffer.from('\ufeffä'), Buffer.from([0xff, 0xfe, 0x41])];
  const text = fileOf({ name: 'v', type: 'BYTE_ARRAY', converted_type: 'UTF8' }, [bytes[0]!]);
  expect(await valuesOf(text)).toEqual(['\ufeffä']);
  const unnamed = fileOf({ name: 'v', type: 'BYTE_ARRAY' }, bytes);
  const [first, second] = await valuesOf(unnamed);
  expect(first).toBe('\ufeffä');
  expect([...(second as Uint8Array)]).toEqual([0xff, 0xfe, 0x41]);
  const bad = fileOf({ name: 'v', type: 'BYTE_ARRAY', converted_type: 'UTF8' }, bytes);
  const { code, message } = await connectFailure(valuesOf(bad));
  expect(code).toBe('INVALID_PARQUET');
  expect(message).toMatch(/row group 1, column v: .*utf-8/);
});

test('[CONNECT-PARQUET-13] a column that would set the prototype of rows is refused', async () => {
  const columnData = ['__proto__', 'a'].map((name) => ({ name, data: [1, 2] }));
  const path = inputFile(Buffer.from(parquetWriteBuffer({ columnData })));
  expect(await connectFailure(readRows(parquet(), path))).toMatchObject({
    code: 'UNKNOWN_COLUMN',
    details: { column: '__proto__' },
  });
  expect(await readRows(parquet<{ a: number }>({ columns: ['a'] }), path)).toEqual([
    { a: 1 },
    { a: 2 },
  ]);
});

test('[CONNECT-PARQUET-8] a page with a wrong checksum is an error', () => {
  const page = Buffer.from(Int32Array.of(1, 2, 3).buffer);
  const decode = (damage: number): unknown[] => {
    const writer = new ByteWriter();
    const header: PageHeader = {
      type: 'DATA_PAGE',
      uncompressed_page_size: page.length,
      compressed_page_size: page.length,
      crc: (crc32(page) | 0) + damage,
      data_page_header: {
        num_values: 3,
        encoding: 'PLAIN',
        definition_level_encoding: 'RLE',
        repetition_level_encoding: 'RLE',
      },
    };
    writePageHeader(writer, header);
    writer.appendBytes(page);
    const element: SchemaElement = { name: 'v', type: 'INT32', repetition_type: 'REQUIRED' };
    const tree = { children: [], count: 1, element, path: ['v'] };
    const root = { ...tree, element: { name: 'root' }, path: [] };
    const metadata = { codec: 'UNCOMPRESSED', type: 'INT32', path_in_schema: ['v'] };
    const pages = decodePages(writer.getBuffer(), metadata as unknown as ColumnMetaData, {
      schemaPath: [root, tree],
      compressors: {},
      timestamps: 'date',
    });
    return [...pages].flatMap((values) => [...(values as Int32Array)]);
  };
  expect(decode(0)).toEqual([1, 2, 3]);
  expect(() => decode(1)).toThrow(/checksum/);
});

test('[CONNECT-PARQUET-8] a wrong number of rows is an error', async () => {
  const columnData = [{ name: 'v', data: Array.from({ length: 1000 }, (_, row) => row % 7) }];
  const good = Buffer.from(parquetWriteBuffer({ columnData }));
  // 1000 as the footer encodes it: first for the file, last for the row group.
  const count = Buffer.from([0xd0, 0x0f]);
  const start = good.length - 8 - good.readUInt32LE(good.length - 8);
  const ofFile = good.indexOf(count, start);
  const ofGroup = good.lastIndexOf(count);
  expect(ofGroup).toBeGreaterThan(ofFile);
  for (const [places, low, reason] of [
    [[ofFile], 0xce, /it counts 999 rows, but 1000 in its row groups/],
    [[ofFile, ofGroup], 0xce, /column v: it has more values than the row group has rows/],
    [[ofFile, ofGroup], 0xd2, /column v: it has fewer values than the row group has rows/],
  ] as const) {
    const bytes = Buffer.from(good);
    for (const place of places) bytes[place] = low;
    const { code, message } = await connectFailure(readRows(parquet(), inputFile(bytes)));
    expect(code).toBe('INVALID_PARQUET');
    expect(message).toMatch(reason);
  }
});
