import { brotliCompressSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  connectFailure,
  fileSystemOf,
  readBatches,
  readTolerantly,
} from '../../../test/kit/connect.ts';
import {
  binary,
  dataPage,
  dataPageV2,
  dictionaryPage,
  element,
  i32,
  i64,
  list,
  oneColumn,
  parquetBytes,
  plainBytes,
  plainInt32,
  run,
  runs,
  struct,
  varint,
  zigzag,
  type Thrift,
} from '../../../test/kit/parquet-bytes.ts';
import { parquet } from '../parquet.ts';
import { ChunkReader } from './column-chunk.ts';
import { conversionOf } from './conversion.ts';
import { MemoryBudget } from './memory-budget.ts';

/** Reads a file up to its end, or its failure, which has to be INVALID_PARQUET: returns why. */
async function reasonOf(content: Buffer): Promise<string> {
  const batches = readBatches(parquet(), 'hostile.parquet', undefined, fileSystemOf(content));
  const { code, details } = await connectFailure(batches);
  expect(code).toBe('INVALID_PARQUET');
  expect(details).toMatchObject({ file: 'hostile.parquet', sizeBytes: content.length });
  const position = details['positionBytes'] as number;
  expect(position >= 0 && position <= content.length).toBe(true);
  return String(details['reason']);
}

const INT = { name: 'v', type: 'INT32' } as const;
const GOOD_PAGE = dataPage({ count: 2, values: plainInt32([1, 2]) });

/** A file with this schema, and a good column. */
function withSchema(schema: readonly Thrift[]): Buffer {
  const chunk = { type: 'INT32', pages: [GOOD_PAGE], valueCount: 2 } as const;
  return parquetBytes({ schema, groups: [{ rowCount: 2, chunks: [chunk] }] });
}

const row = (children: number): Thrift => element({ name: 'row', children });

test.each<readonly [what: string, schema: () => readonly Thrift[], reason: RegExp]>([
  ['no entries', () => [], /groups with too few fields/],
  ['a billion fields', () => [row(1_000_000_000), element(INT)], /groups with too few fields/],
  ['fewer fields than entries', () => [row(1), element(INT), element(INT)], /1 more entries/],
  ['no columns', () => [row(0)], /no columns/],
  ['an empty group', () => [row(2), element({ name: 'g' }), element(INT)], /group g, without/],
  [
    'a column with fields',
    () => [row(1), element({ ...INT, children: 1 }), element(INT)],
    /gives v both values and fields/,
  ],
  [
    'groups in groups without end',
    () => [...Array.from({ length: 5000 }, () => row(1)), element(INT)],
    /more than 100 levels deep/,
  ],
  [
    'more entries than any table',
    () => [row(100_000), ...Array.from({ length: 100_000 }, () => element(INT))],
    /more than 100000 entries/,
  ],
  ['an unknown type', () => [row(1), struct({ 1: i32(8), 4: binary('v') })], /unknown type 8/],
  [
    'an unknown repetition',
    () => [row(1), struct({ 1: i32(1), 3: i32(3), 4: binary('v') })],
    /unknown repetition 3/,
  ],
  [
    'values without a size',
    () => [row(1), element({ name: 'v', type: 'FIXED_LEN_BYTE_ARRAY', length: 0 })],
    /fixed length of 0 bytes/,
  ],
  [
    'decimals of a billion digits',
    () => [row(1), element({ ...INT, converted: 5, scale: 1_000_000_000 })],
    /scale of 1000000000/,
  ],
  [
    'a name that is not UTF-8',
    () => [row(1), struct({ 1: i32(1), 4: binary(Buffer.of(255)) })],
    /utf-8/,
  ],
  [
    'another type than the data',
    () => [row(1), element({ ...INT, type: 'INT64' })],
    /schema says INT64/,
  ],
  [
    'more columns than the data',
    () => [row(2), element(INT), element({ ...INT, name: 'w' })],
    /1 columns instead of 2/,
  ],
])('[CONNECT-PARQUET-14] a schema with %s', async (_, schema, reason) => {
  expect(await reasonOf(withSchema(schema()))).toMatch(reason);
});

test.each<readonly [what: string, metadata: () => Record<number, Thrift>, reason: RegExp]>([
  ['a list of 2^31 entries', () => ({ 2: list([row(1)], 2 ** 31) }), /a list of 2147483648 values/],
  ['a negative number of rows', () => ({ 3: i64(-2) }), /number of rows is -2/],
  ['2^63 rows', () => ({ 3: i64(2n ** 63n - 1n) }), /huge number/],
  ['another number of rows', () => ({ 3: i64(3) }), /counts 3 rows, but 2/],
  ['structs in structs without end', () => ({ 5: deep(5000) }), /nested too deeply/],
  ['lists in lists without end', () => ({ 5: deepLists(5000) }), /nested too deeply/],
  ['encryption', () => ({ 8: struct({}) }), /encrypted/],
])('[CONNECT-PARQUET-14] a footer with %s', async (_, footer, reason) => {
  const chunk = { type: 'INT32', pages: [GOOD_PAGE], valueCount: 2 } as const;
  const content = parquetBytes({
    schema: [row(1), element(INT)],
    groups: [{ rowCount: 2, chunks: [chunk] }],
    footer: footer(),
  });
  expect(await reasonOf(content)).toMatch(reason);
});

function deep(levels: number): Thrift {
  const heads = Buffer.concat(Array.from({ length: levels }, () => Buffer.from([0x1c])));
  return { type: 12, bytes: Buffer.concat([heads, Buffer.alloc(levels + 1)]) };
}

function deepLists(levels: number): Thrift {
  return { type: 9, bytes: Buffer.concat([Buffer.alloc(levels, 0x19), Buffer.of(0x05)]) };
}

const MiB = 1024 * 1024;

test.each<readonly [what: string, file: () => Buffer, reason: RegExp]>([
  [
    'a page that claims 2 GiB',
    () => int([dataPage({ count: 2, values: plainInt32([1, 2]), unpackedBytes: 2 ** 31 - 1 })], 1),
    /a page of 2147483647 bytes/,
  ],
  [
    'a page beyond its column',
    () => int([dataPage({ count: 2, values: plainInt32([1, 2]), sizeBytes: 1e6 })]),
    /reaches beyond its column/,
  ],
  [
    'a page of a negative size',
    () => int([dataPage({ count: 2, values: plainInt32([1, 2]), sizeBytes: -5 })]),
    /the size of a page is -5/,
  ],
  [
    'more values than its page',
    () => int([dataPage({ count: 2, values: plainInt32([1]) })]),
    /fewer values than its header/,
  ],
  [
    'more values than its pages',
    () => int([dataPage({ count: 1, values: plainInt32([1]) })]),
    /fewer values than the footer/,
  ],
  [
    'pages with more values',
    () => int([dataPage({ count: 3, values: plainInt32([1, 2, 3]) })]),
    /more values than the footer/,
  ],
  [
    'gzip that unpacks to more than the header says',
    () => int([bomb(gzipSync(Buffer.alloc(MiB)), 8)], 2),
    /larger than 8/,
  ],
  [
    'brotli that unpacks to more than the header says',
    () => int([bomb(brotliCompressSync(Buffer.alloc(MiB)), 8)], 4),
    /larger than 8/,
  ],
  [
    'snappy that claims more than the header says',
    () => int([bomb(Buffer.concat([varint(2 ** 31), Buffer.of(0, 0)]), 8)], 1),
    /more than 8/,
  ],
  [
    'zstd that unpacks to more than the header says',
    () => int([bomb(Buffer.from('28b52ffda40000000402000000', 'hex'), 8)], 6),
    /./,
  ],
  [
    'lz4 that cannot unpack to what the header says',
    () => int([bomb(Buffer.of(0), MiB)], 7),
    /do not unpack/,
  ],
  ['an unknown codec', () => int([GOOD_PAGE], 9), /unknown codec, 9/],
  ['LZO', () => int([GOOD_PAGE], 3), /LZO/],
  [
    'a dictionary of 2^31 values',
    () => dictionary(dictionaryPage({ count: 2 ** 31 - 1, values: plainInt32([1]) })),
    /dictionary of 2147483647 values/,
  ],
  [
    'a dictionary of more values than bytes',
    () => dictionary(dictionaryPage({ count: 1e6, values: plainInt32([1]) })),
    /dictionary of 1000000 values in 4 bytes/,
  ],
  [
    'two dictionaries',
    () => {
      const page = dictionaryPage({ count: 1, values: plainInt32([1]) });
      return int([page, page, GOOD_PAGE], 0, true);
    },
    /second dictionary/,
  ],
  ['runs that do not end', () => levels(Buffer.alloc(9, 0xff)), /a huge count/],
  ['runs that end too early', () => levels(Buffer.of(3)), /end too early/],
  ['runs of nothing', () => levels(Buffer.of(0, 0, 0, 0)), /no numbers/],
  ['a header that does not end', () => int([Buffer.alloc(200, 0x15)]), /./],
  [
    'levels beyond their page',
    () => {
      const values = Buffer.from([0xff, 0xff, 0xff, 0x7f, 0, 0]);
      return oneColumn(
        { type: 'INT32', repetition: 'optional' },
        [dataPage({ count: 2, values })],
        {
          rowCount: 2,
        },
      );
    },
    /levels reach beyond/,
  ],
  [
    'levels of version 2 beyond their page',
    () => {
      const page = dataPageV2({
        count: 2,
        definitions: Buffer.alloc(20),
        values: Buffer.alloc(0),
        sizeBytes: 10,
      });
      return oneColumn({ type: 'INT32', repetition: 'optional' }, [page], { rowCount: 2 });
    },
    /levels reach beyond/,
  ],
  [
    'text beyond its page',
    () => {
      const values = Buffer.from([0xff, 0xff, 0xff, 0xff, 65]);
      return oneColumn({ type: 'BYTE_ARRAY' }, [dataPage({ count: 1, values })], { rowCount: 1 });
    },
    /beyond its page/,
  ],
])('[CONNECT-PARQUET-14] a column with %s', async (_, file, reason) => {
  expect(await reasonOf(file())).toMatch(reason);
});

function int(pages: readonly Buffer[], codec = 0, hasDictionary = false): Buffer {
  return oneColumn({ type: 'INT32' }, pages, { rowCount: 2, codec, hasDictionary });
}

function bomb(values: Buffer, unpackedBytes: number): Buffer {
  return dataPage({ count: 2, values, unpackedBytes });
}

function dictionary(page: Buffer): Buffer {
  const data = dataPage({ count: 2, values: Buffer.of(1, 4, 0), encoding: 'RLE_DICTIONARY' });
  return int([page, data], 0, true);
}

function levels(definitions: Buffer): Buffer {
  const page = dataPage({ count: 2, definitions, values: plainInt32([1, 2]) });
  return oneColumn({ type: 'INT32', repetition: 'optional' }, [page], { rowCount: 2 });
}

/** Numbers as differences: all the same, which takes next to nothing. */
function equalDifferences(count: number, first: number, difference: number): Buffer {
  const blocks = Math.ceil((count - 1) / 65536);
  const block = Buffer.concat([zigzag(difference), Buffer.of(0)]);
  return Buffer.concat([
    ...[65536, 1, count].map(varint),
    zigzag(first),
    ...Array.from({ length: blocks }, () => block),
  ]);
}

test('[CONNECT-PARQUET-14] a few bytes that stand for terabytes of text', async () => {
  // Each value is the one before and a byte: a million of them have 500 GB.
  const count = 1_000_000;
  const values = Buffer.concat([
    equalDifferences(count, 0, 1),
    equalDifferences(count, 1, 0),
    Buffer.alloc(count, 97),
  ]);
  const page = dataPage({ count, values, encoding: 'DELTA_BYTE_ARRAY' });
  const content = oneColumn({ type: 'BYTE_ARRAY', converted: 0 }, [page], { rowCount: count });
  const before = process.memoryUsage().rss;
  const reader = await parquet<{ v: string }>({}).open({
    fileSystem: fileSystemOf(content),
    path: 'text.parquet',
    offset: undefined,
    isFollowed: false,
    badOffset: () => new TypeError(),
  });
  // Batches become smaller.
  let [read, smallest] = [0, Infinity];
  for (let next = 0; next < 40; next++) {
    const batch = await reader.next();
    read += batch?.rows.length ?? 0;
    smallest = Math.min(smallest, batch?.rows.length ?? Infinity);
  }
  await reader.close();
  expect(read).toBeGreaterThan(10_000);
  expect(smallest).toBeLessThan(1000);
  expect(process.memoryUsage().rss - before).toBeLessThan(800 * MiB);
});

test('[CONNECT-PARQUET-14] a row of more values than any row has', async () => {
  const count = 2 ** 30;
  const page = dataPage({
    count,
    repetitions: Buffer.concat([run(0, 1, 1), run(1, count - 1, 1)]),
    definitions: run(0, count, 1),
    values: Buffer.alloc(0),
  });
  const schema = [row(1), element({ ...INT, repetition: 'repeated' })];
  const chunk = { type: 'INT32', pages: [page], valueCount: count } as const;
  const content = parquetBytes({ schema, groups: [{ rowCount: 1, chunks: [chunk] }] });
  expect(await reasonOf(content)).toMatch(/a row with more than 16777216 values/);
});

test('[CONNECT-PARQUET-14] a billion rows of nothing come batch by batch', async () => {
  const count = 2 ** 30;
  const page = dataPage({ count, definitions: run(0, count, 1), values: Buffer.alloc(0) });
  const content = oneColumn({ type: 'INT32', repetition: 'optional' }, [page], { rowCount: count });
  const reader = await parquet<{ v: null }>({}).open({
    fileSystem: fileSystemOf(content),
    path: 'nothing.parquet',
    offset: undefined,
    isFollowed: false,
    badOffset: () => new TypeError(),
  });
  for (let next = 0; next < 10; next++) expect((await reader.next())?.rows).toHaveLength(4096);
  await reader.close();
});

test('[CONNECT-PARQUET-14] columns whose pages need too much memory together', async () => {
  const memory = new MemoryBudget();
  const page = dataPage({ count: 250, values: plainInt32(Array<number>(250).fill(7)) });
  const file = await fileSystemOf(page).open('pages', 'read');
  const source = { file, endPosition: page.length, readBytes: 4096, memory };
  const chunk = { type: 'INT32', codec: 0, valueCount: 250, position: 0 } as const;
  const type = { type: 'INT32', annotation: undefined, isVariantPart: false } as const;
  const conversion = conversionOf(type, { timestamps: 'ms', numbers: 'bigint' });
  const column = {
    type: 'INT32',
    typeLength: 0,
    conversion,
    definition: 0,
    repetitions: 0,
    codec: 0,
  } as const;
  const open = () => {
    return new ChunkReader(
      source,
      { ...chunk, sizeBytes: page.length, obstacle: undefined },
      column,
    );
  };
  const others = 2 ** 31 - 2500;
  memory.replace(0, others);
  // The file's bytes and the page's count.
  const first = open();
  expect((await first.nextPage())?.left).toBe(250);
  const second = open();
  await expect(second.nextPage()).rejects.toThrow(/2147483648 bytes of memory .* fewer columns/);
  second.close();
  // At its end a column gives back what it took.
  expect(await first.nextPage()).toBeUndefined();
  expect((await open().nextPage())?.left).toBe(250);
});

const STRUCT = [
  row(1),
  element({ name: 'g', repetition: 'repeated', children: 2 }),
  element({ name: 'a', type: 'INT32' }),
  element({ name: 'b', type: 'INT32' }),
];

test.each<readonly [what: string, repetitions: readonly number[], definitions: readonly number[]]>([
  ['more elements', [0, 1, 1], [1, 1, 1]],
  ['fewer elements', [0, 0, 1], [1, 1, 1]],
  ['no elements', [0, 1, 0], [1, 1, 0]],
  ['a list that begins inside of a row', [1, 1, 0], [1, 1, 1]],
])(
  '[CONNECT-PARQUET-14] columns of a list that disagree: %s',
  async (_, repetitions, definitions) => {
    const column = (reps: readonly number[], defs: readonly number[]) => {
      const present = defs.filter((level) => level === 1);
      const page = dataPage({
        count: 3,
        repetitions: runs(reps, 1),
        definitions: runs(defs, 1),
        values: plainInt32(present),
      });
      return { type: 'INT32', pages: [page], valueCount: 3 } as const;
    };
    const chunks = [column([0, 1, 0], [1, 1, 1]), column(repetitions, definitions)];
    const content = parquetBytes({ schema: STRUCT, groups: [{ rowCount: 2, chunks }] });
    expect(await reasonOf(content)).toMatch(/contradict|fewer values|more values/);
  },
);

test('[CONNECT-PARQUET-14] numbers that are packed into broken blocks', async () => {
  const read = (values: Buffer, encoding: 'DELTA_BINARY_PACKED' | 'DELTA_BYTE_ARRAY') => {
    const page = dataPage({ count: 2, values, encoding });
    const type = encoding === 'DELTA_BYTE_ARRAY' ? 'BYTE_ARRAY' : 'INT32';
    return reasonOf(oneColumn({ type }, [page], { rowCount: 2 }));
  };
  const head = (...numbers: readonly number[]) => Buffer.concat(numbers.map(varint));
  const numbers = 'DELTA_BINARY_PACKED';
  expect(await read(head(0, 1, 2, 0), numbers)).toMatch(/blocks of 0 numbers/);
  expect(await read(head(128, 0, 2, 0), numbers)).toMatch(/blocks of 128 numbers in 0 parts/);
  expect(await read(head(128, 3, 2, 0), numbers)).toMatch(/blocks of 128 numbers in 3 parts/);
  expect(await read(head(2 ** 30, 1, 2, 0), numbers)).toMatch(/blocks of 1073741824/);
  expect(await read(head(128, 4, 1, 0), numbers)).toMatch(/fewer values/);
  expect(await read(head(128, 4, 2, 0, 0), numbers)).toMatch(/end too early/);
  expect(await read(head(128, 4, 2, 0, 0, 65, 0, 0, 0), numbers)).toMatch(/differences of 65 bits/);
  expect(await read(head(128, 4, 2, 0, 0, 8, 0, 0, 0), numbers)).toMatch(/fewer values/);
  expect(await read(Buffer.alloc(20, 0xff), numbers)).toMatch(/huge/);
  // The second value shares more than the first one has.
  const shares = Buffer.concat([
    equalDifferences(2, 0, 9),
    equalDifferences(2, 1, 0),
    Buffer.from('ab'),
  ]);
  expect(await read(shares, 'DELTA_BYTE_ARRAY')).toMatch(/shares more than there is/);
  const negative = Buffer.concat([equalDifferences(2, 0, 0), equalDifferences(2, -1, 0)]);
  expect(await read(negative, 'DELTA_BYTE_ARRAY')).toMatch(/a value of -1 bytes/);
});

test('[CONNECT-PARQUET-8] a file that leaves its number of rows at 0 is read', async () => {
  const chunk = { type: 'INT32', pages: [GOOD_PAGE], valueCount: 2 } as const;
  const groups = [{ rowCount: 2, chunks: [chunk] }];
  const content = parquetBytes({ schema: [row(1), element(INT)], groups, rowCount: 0 });
  const { rows } = await readTolerantly(parquet(), 'zero.parquet', fileSystemOf(content));
  expect(rows).toEqual([{ v: 1 }, { v: 2 }]);
});

test('[CONNECT-PARQUET-14] a file that is encrypted is refused with that word', async () => {
  const content = Buffer.from('PARE....PARE');
  expect(await reasonOf(content)).toMatch(/encrypted/);
});

test('[CONNECT-PARQUET-14] a decimal of a million digits makes its row bad input', async () => {
  const page = dataPage({ count: 2, values: plainBytes([Buffer.alloc(1e6, 1), Buffer.of(7)]) });
  const content = oneColumn({ type: 'BYTE_ARRAY', converted: 5 }, [page], { rowCount: 2 });
  const { rows, bad } = await readTolerantly(parquet(), 'd.parquet', fileSystemOf(content));
  expect(rows).toEqual([{ v: 7 }]);
  expect(bad[0]?.error.message).toMatch(/a decimal of 1000000 bytes/);
});
