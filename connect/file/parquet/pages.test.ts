import { expect, test } from 'vitest';
import {
  connectFailure,
  fileSystemOf,
  inputFile,
  readBatches,
  readRows,
} from '../../../test/kit/connect.ts';
import {
  dataPage,
  dataPageV2,
  dictionaryPage,
  element,
  oneColumn,
  parquetBytes,
  plainBytes,
  plainInt32,
  run,
  runs,
  varint,
  zigzag,
  type TestPage,
  type TypeName,
} from '../../../test/kit/parquet-bytes.ts';
import { parquet } from '../parquet.ts';

interface V {
  readonly v: unknown;
}

async function valuesOf(content: Buffer): Promise<unknown[]> {
  return (await readRows(parquet<V>(), inputFile(content))).map(({ v }) => v);
}

/** The values of a required column with one page. */
function page(type: TypeName, settings: TestPage, length = 0): Promise<unknown[]> {
  return valuesOf(oneColumn({ type, length }, [dataPage(settings)], { rowCount: settings.count }));
}

/** The reason of INVALID_PARQUET. */
async function reasonOf(values: Promise<unknown>): Promise<string> {
  const { code, details } = await connectFailure(values);
  expect(code).toBe('INVALID_PARQUET');
  return String(details['reason']);
}

test('[CONNECT-PARQUET-1] booleans in bits and in runs', async () => {
  const expected = [true, false, true, true, false, false, false, false, true];
  const bits = Buffer.from([0b0000_1101, 0b0000_0001]);
  expect(await page('BOOLEAN', { count: 9, values: bits })).toEqual(expected);
  const packed = Buffer.concat([varint((2 << 1) | 1), bits]);
  const size = Buffer.from([packed.length, 0, 0, 0]);
  const values = Buffer.concat([size, packed]);
  expect(await page('BOOLEAN', { count: 9, values, encoding: 'RLE' })).toEqual(expected);
});

test('[CONNECT-PARQUET-1] levels of the oldest files, packed from the highest bit on', async () => {
  const content = oneColumn(
    { type: 'INT32', repetition: 'optional' },
    [
      dataPage({
        count: 10,
        levelEncoding: 'BIT_PACKED',
        definitions: Buffer.from([0b1010_0000, 0b0100_0000]),
        values: plainInt32([1, 2, 3]),
      }),
    ],
    { rowCount: 10 },
  );
  expect(await valuesOf(content)).toEqual([1, null, 2, ...Array<null>(6).fill(null), 3]);
});

test('[CONNECT-PARQUET-1] differences of 64 bits that wrap around', async () => {
  const numbers = [2n ** 63n - 1n, -(2n ** 63n), 0n, 5n, -7n];
  // One block of one miniblock of 8 numbers, all of 64 bits.
  const least = -(2n ** 63n);
  const packed = Buffer.alloc(64);
  for (let index = 1; index < numbers.length; index++) {
    const difference = BigInt.asIntN(64, numbers[index]! - numbers[index - 1]!);
    packed.writeBigUInt64LE(BigInt.asUintN(64, difference - least), 8 * (index - 1));
  }
  const values = Buffer.concat([
    ...[8, 1, numbers.length].map(varint),
    zigzag(numbers[0]!),
    zigzag(least),
    Buffer.from([64]),
    packed,
  ]);
  expect(
    await page('INT64', { count: numbers.length, values, encoding: 'DELTA_BINARY_PACKED' }),
  ).toEqual(numbers.map((each) => (Number.isSafeInteger(Number(each)) ? Number(each) : each)));
});

test('[CONNECT-PARQUET-1] dictionaries, with indices of no bits and of 32', async () => {
  const dictionary = dictionaryPage({ count: 2, values: plainBytes(['a', 'b']) });
  const read = (values: Buffer, count: number): Promise<unknown[]> => {
    const data = dataPage({ count, values, encoding: 'RLE_DICTIONARY' });
    const counts = { rowCount: count, hasDictionary: true };
    return valuesOf(oneColumn({ type: 'BYTE_ARRAY', converted: 0 }, [dictionary, data], counts));
  };
  expect(await read(Buffer.from([0]), 3)).toEqual(['a', 'a', 'a']);
  const wide = Buffer.concat([
    Buffer.from([32]),
    run(1, 2, 32),
    varint(3),
    plainInt32([1, 0, 0, 0, 0, 0, 0, 1]),
  ]);
  expect(await read(wide, 10)).toEqual(['b', 'b', 'b', 'a', 'a', 'a', 'a', 'a', 'a', 'b']);
  expect(await reasonOf(read(Buffer.from([2, 4, 2]), 2))).toMatch(/not in the dictionary/);
  expect(await reasonOf(read(Buffer.from([32, 2, 255, 255, 255, 255]), 1))).toMatch(
    /not in the dictionary/,
  );
  expect(
    await reasonOf(page('INT32', { count: 1, values: run(0, 1, 1), encoding: 'PLAIN_DICTIONARY' })),
  ).toMatch(/without its dictionary/);
});

test('[CONNECT-PARQUET-1] old writers left the header of the dictionary uncounted', async () => {
  const dictionary = dictionaryPage({ count: 1, values: plainInt32([7]) });
  const data = dataPage({ count: 2, values: Buffer.from([1, 4, 0]), encoding: 'PLAIN_DICTIONARY' });
  const pages = [dictionary, data];
  const chunk = {
    type: 'INT32',
    pages,
    valueCount: 2,
    // The values take 4 bytes, all before them is the header.
    sizeBytes: data.length + 4,
    hasDictionary: true,
  } as const;
  const schema = [element({ name: 'row', children: 1 }), element({ name: 'v', type: 'INT32' })];
  const content = parquetBytes({ schema, groups: [{ rowCount: 2, chunks: [chunk] }] });
  expect(await valuesOf(content)).toEqual([7, 7]);
});

test('[CONNECT-PARQUET-1] version 2: nulls only, packed into nothing or unpacked', async () => {
  const nulls = (values: Buffer, codec: number, isCompressed?: boolean): Promise<unknown[]> => {
    const data = dataPageV2({
      count: 3,
      definitions: run(0, 3, 1),
      values,
      unpackedBytes: 2,
      ...(isCompressed !== undefined && { isCompressed }),
    });
    const entry = { type: 'FLOAT', repetition: 'optional' } as const;
    return valuesOf(oneColumn(entry, [data], { rowCount: 3, codec }));
  };
  const empty = Buffer.alloc(0);
  expect(await nulls(empty, 1)).toEqual([null, null, null]); // snappy
  expect(await nulls(zstdOfNothing(), 6)).toEqual([null, null, null]);
  expect(await nulls(empty, 6, false)).toEqual([null, null, null]);
});

/** A frame of zstd without content. */
function zstdOfNothing(): Buffer {
  return Buffer.from('28b52ffd2000010000', 'hex');
}

test('[CONNECT-PARQUET-1] lz4 in blocks, in frames of Hadoop, plain in their place', async () => {
  // 4 literals, then a match of 20 bytes at offset 4, then 1 literal.
  const block = Buffer.from([0x4f, 1, 0, 0, 0, 4, 0, 1, 0x10, 0]);
  const size = (length: number): Buffer => Buffer.from([0, 0, 0, length]);
  const framed = Buffer.concat([size(25), size(block.length), block]);
  for (const [codec, values] of [
    [7, block],
    [5, framed],
    [5, block],
  ] as const) {
    const data = dataPage({ count: 6, values, unpackedBytes: 25 });
    const content = oneColumn({ type: 'INT32' }, [data], { rowCount: 6, codec });
    expect(await valuesOf(content)).toEqual([1, 1, 1, 1, 1, 1]);
  }
  for (const [bytes, reason] of [
    [[0x40, 1, 0], /too many literals/],
    [[0x10, 1, 2, 0], /a match outside/],
    [[0x1f, 1, 1, 0, 255], /ends too early/],
    [[0x10, 1, 1, 0, 0], /instead of 25/],
  ] as const) {
    const data = dataPage({ count: 6, values: Buffer.from(bytes), unpackedBytes: 25 });
    const content = oneColumn({ type: 'INT32' }, [data], { rowCount: 6, codec: 7 });
    expect(await reasonOf(valuesOf(content))).toMatch(reason);
  }
});

test('[CONNECT-PARQUET-8] checksums of pages are verified, also in nested columns', async () => {
  const levels = { repetitions: runs([0, 1], 1), definitions: run(1, 2, 1) };
  for (const entry of [{}, { repetition: 'repeated' }] as const) {
    const read = (damage: boolean): Promise<unknown[]> => {
      const settings = {
        count: 2,
        values: plainInt32([1, 2]),
        ...('repetition' in entry && levels),
      };
      const good = dataPage({ ...settings, crc: true });
      const bytes = Buffer.from(good);
      if (damage) bytes[bytes.length - 1]! ^= 1;
      const schema = [
        element({ name: 'row', children: 1 }),
        element({ name: 'v', type: 'INT32', ...entry }),
      ];
      const chunk = { type: 'INT32', pages: [bytes], valueCount: 2 } as const;
      const rowCount = 'repetition' in entry ? 1 : 2;
      return valuesOf(parquetBytes({ schema, groups: [{ rowCount, chunks: [chunk] }] }));
    };
    expect((await read(false)).flat()).toEqual([1, 2]);
    expect(await reasonOf(read(true))).toMatch(/row group 1, column v: the checksum/);
  }
});

test('[CONNECT-PARQUET-8] an error tells where the damaged page begins', async () => {
  const good = dataPage({ count: 2, values: plainInt32([1, 2]), crc: true });
  const bad = dataPage({ count: 2, values: plainInt32([3, 4]), crc: 1 });
  const content = oneColumn({ type: 'INT32' }, [good, bad], { rowCount: 4 });
  const { details, message } = await connectFailure(valuesOf(content));
  expect(details).toMatchObject({ positionBytes: 4 + good.length });
  expect(message).toContain(`(at byte ${4 + good.length})`);
});

test('[CONNECT-PARQUET-3] pages that were read before are not even unpacked', async () => {
  const pages = [0, 1, 2].map((first) => {
    return dataPage({ count: 2, values: plainInt32([2 * first, 2 * first + 1]), crc: true });
  });
  const content = oneColumn({ type: 'INT32' }, pages, { rowCount: 6 });
  const path = inputFile(content);
  const [batch] = await readBatches(parquet<V>(), path);
  content[4 + pages[0]!.length - 1]! ^= 1; // in the first page
  const rest = async (row: number): Promise<unknown> => {
    const offset = { ...batch!.offset, row };
    const batches = await readBatches(parquet<V>(), path, offset, fileSystemOf(content));
    return batches.flatMap(({ rows }) => rows.map(({ v }) => v));
  };
  expect(await rest(2)).toEqual([2, 3, 4, 5]);
  expect(await rest(3)).toEqual([3, 4, 5]);
  expect(await rest(6)).toEqual([]);
  expect(await reasonOf(rest(1))).toMatch(/checksum/);
});
