import { parquetWriteBuffer, type ColumnSource } from 'hyparquet-writer';
import type { SchemaElement } from 'hyparquet';
import { expect, test } from 'vitest';
import { nodeFileSystem } from '../../../core/index.ts';
import { connectFailure, inputFile, readRows, readTolerantly } from '../../../test/kit/connect.ts';
import {
  dataPage,
  element,
  oneColumn,
  parquetBytes,
  plainBytes,
  plainInt32,
  plainInt64,
  run,
  runs,
  struct,
  type TestElement,
  type TestPage,
  type TypeName,
} from '../../../test/kit/parquet-bytes.ts';
import { parquet, type ParquetOptions } from '../parquet.ts';

interface V {
  readonly v: unknown;
}

/** The values of column `v`. */
async function valuesOf(content: Buffer, options: ParquetOptions<V> = {}): Promise<unknown[]> {
  return (await readRows(parquet<V>(options), inputFile(content))).map(({ v }) => v);
}

/** The same for a column of the row with these values, which are not null. */
function flat(
  type: TypeName,
  entry: Omit<Partial<TestElement>, 'type'>,
  [count, values]: readonly [number, Buffer],
  options?: ParquetOptions<V>,
): Promise<unknown[]> {
  const pages = [dataPage({ count, values })];
  return valuesOf(oneColumn({ type, ...entry }, pages, { rowCount: count }), options);
}

/** A file that hyparquet-writer wrote, of one column. */
function written(entry: SchemaElement, data: ColumnSource['data']): Buffer {
  const schema = [{ name: 'root', num_children: 1 }, entry];
  return Buffer.from(parquetWriteBuffer({ columnData: [{ name: entry.name, data }], schema }));
}

interface NestedColumn extends Omit<TestPage, 'values'> {
  readonly type: TypeName;
  readonly values: Buffer;
}

/** A file of a nested column, of one page in each column of the file. */
function nested(
  elements: readonly TestElement[],
  columns: readonly NestedColumn[],
  rowCount: number,
): Buffer {
  const chunks = columns.map(({ type, ...page }) => {
    return { type, pages: [dataPage(page)], valueCount: page.count };
  });
  const schema = [element({ name: 'row', children: 1 }), ...elements.map(element)];
  return parquetBytes({ schema, groups: [{ rowCount, chunks }] });
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
      const entry = {
        name: 'v',
        converted_type: 'DECIMAL',
        precision: 28,
        scale,
        ...kind,
      } as const;
      const read = await valuesOf(written(entry, data));
      expect(read).toHaveLength(data.length);
      expect(read.slice(-unscaled.length)).toEqual(expected);
    }
  }
});

test('[CONNECT-PARQUET-11] decimals of lists keep their digits, too', async () => {
  const content = nested(
    [
      { name: 'v', repetition: 'optional', children: 1, converted: 3 },
      { name: 'list', repetition: 'repeated', children: 1 },
      { name: 'element', type: 'INT64', converted: 5, scale: 1 },
    ],
    [
      {
        type: 'INT64',
        count: 3,
        repetitions: runs([0, 1, 0], 1),
        definitions: runs([2, 2, 2], 2),
        values: plainInt64([3n, -(2n ** 62n), 7n]),
      },
    ],
    2,
  );
  expect(await valuesOf(content)).toEqual([[0.3, '-461168601842738790.4'], [0.7]]);
});

test('[CONNECT-PARQUET-12] untyped bytes are text if they are UTF-8, also in lists', async () => {
  const bytes = [Buffer.from('\ufeffä'), Buffer.from([0xff, 0xfe, 0x41]), Buffer.from('\ufffd')];
  const expected = ['\ufeffä', new Uint8Array([0xff, 0xfe, 0x41]), '\ufffd'];
  expect(await flat('BYTE_ARRAY', {}, [3, plainBytes(bytes)])).toEqual(expected);
  const content = nested(
    [
      { name: 'v', children: 1 },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition: 'repeated' },
    ],
    [
      {
        type: 'BYTE_ARRAY',
        count: 3,
        repetitions: runs([0, 1, 1], 1),
        definitions: run(1, 3, 1),
        values: plainBytes(bytes),
      },
    ],
    1,
  );
  expect(await valuesOf(content)).toEqual([{ bytes: expected }]);
});

test('[CONNECT-PARQUET-16] a row with text that is not UTF-8 is bad input', async () => {
  const values = ['a', Buffer.from([0xff]), 'c', Buffer.from([0xc3]), 'e'];
  const pages = [dataPage({ count: 5, values: plainBytes(values) })];
  const content = oneColumn({ type: 'BYTE_ARRAY', converted: 0 }, pages, { rowCount: 5 });
  const path = inputFile(content, 'text.parquet');
  const badOffset = () => new TypeError();
  const input = { fileSystem: nodeFileSystem, path, isFollowed: false, badOffset };
  const reader = await parquet<V>().open({ ...input, offset: undefined });
  const batch = await reader.next();
  expect(await reader.next()).toBeUndefined();
  await reader.close();
  expect(batch?.rows).toEqual([{ v: 'a' }, { v: 'c' }, { v: 'e' }]);
  expect([0, 1, 2].map((index) => batch?.lineOf(index))).toEqual([1, 3, 5]);
  expect(batch?.offset).toMatchObject({ row: 5 });
  const details = { file: path, positionBytes: 4 };
  expect(batch?.bad).toMatchObject([
    { raw: undefined, line: 2, error: { code: 'INVALID_PARQUET', details } },
    { raw: undefined, line: 4, error: { code: 'INVALID_PARQUET', details } },
  ]);
  expect(batch?.bad?.[0]?.error.message).toMatch(/row 2, column v: text that is not UTF-8/);
  // The next run goes on behind it.
  const next = await parquet<V>().open({ ...input, offset: batch?.offset });
  expect(await next.next()).toBeUndefined();
  await next.close();
});

test('[CONNECT-PARQUET-16] JSON that is none makes its row bad input', async () => {
  const values = plainBytes(['{"a":[1,null]}', '{', 'null']);
  const pages = [dataPage({ count: 3, values })];
  const content = oneColumn({ type: 'BYTE_ARRAY', converted: 19 }, pages, { rowCount: 3 });
  const { rows, bad } = await readTolerantly(parquet<V>(), inputFile(content));
  expect(rows).toEqual([{ v: { a: [1, null] } }, { v: null }]);
  expect(bad.map(({ error }) => error.message)).toEqual([
    expect.stringMatching(/row 2, column v: a value that is not JSON/),
  ]);
});

test('[CONNECT-PARQUET-13] __proto__ is a name like any other', async () => {
  const proto = element({ name: '__proto__', type: 'INT32' });
  const schema = [
    element({ name: 'row', children: 2 }),
    proto,
    element({ name: 'v', children: 1 }),
    proto,
  ];
  const chunk = (value: number) => {
    const pages = [dataPage({ count: 1, values: plainInt32([value]) })];
    return { type: 'INT32', pages, valueCount: 1 } as const;
  };
  const content = parquetBytes({ schema, groups: [{ rowCount: 1, chunks: [chunk(1), chunk(2)] }] });
  const rows = await readRows(parquet<V>(), inputFile(content));
  expect(JSON.stringify(rows)).toBe('[{"__proto__":1,"v":{"__proto__":2}}]');
  expect(Object.getPrototypeOf(rows[0])).toBe(Object.prototype);
});

test('[CONNECT-PARQUET-13] two columns or fields of one name are refused, not lost', async () => {
  const chunk = {
    type: 'INT32',
    pages: [dataPage({ count: 1, values: plainInt32([7]) })],
  } as const;
  const chunks = [1, 2, 3].map(() => ({ ...chunk, valueCount: 1 }));
  const int = (name: string) => element({ name, type: 'INT32' });
  const twice = parquetBytes({
    schema: [element({ name: 'row', children: 3 }), int('a'), int('v'), int('a')],
    groups: [{ rowCount: 1, chunks }],
  });
  expect(await connectFailure(valuesOf(twice))).toMatchObject({
    code: 'INVALID_PARQUET',
    message: expect.stringMatching(
      /two columns are called a, .* name the others in columns/,
    ) as string,
  });
  expect(await valuesOf(twice, { columns: ['v'] })).toEqual([7]);
  const fields = parquetBytes({
    schema: [
      element({ name: 'row', children: 2 }),
      int('v'),
      element({ name: 'g', children: 2 }),
      int('a'),
      int('a'),
    ],
    groups: [{ rowCount: 1, chunks }],
  });
  expect(await connectFailure(valuesOf(fields))).toMatchObject({
    code: 'INVALID_PARQUET',
    message: expect.stringMatching(/group g has two fields that are called a/) as string,
  });
  expect(await valuesOf(fields, { columns: ['v'] })).toEqual([7]);
});

/** The logical type TIMESTAMP, not adjusted to UTC, in a unit: 1 ms, 2 µs, 3 ns. */
const timestamp = (unit: number) => struct({ 8: struct({ 2: struct({ [unit]: struct({}) }) }) });

test('[CONNECT-PARQUET-5] parts of a millisecond are cut off, also before 1970', async () => {
  const micros = plainInt64([-1n, -1000n, -1001n, 1999n]);
  const nanos = plainInt64([-1n, -1_000_000n, -1_000_001n, 1_999_999n]);
  const expected = [-1, -1, -2, 1];
  for (const [unit, values] of [
    [2, micros],
    [3, nanos],
  ] as const) {
    const entry = { logical: timestamp(unit) };
    expect(await flat('INT64', entry, [4, values], { timestamps: 'ms' })).toEqual(expected);
    expect(await flat('INT64', entry, [4, values])).toEqual(expected.map((ms) => new Date(ms)));
  }
  // Nanoseconds of the day, and the Julian day; the last one is 1969-12-31T23:59:59.9999.
  const int96 = Buffer.alloc(24);
  int96.writeInt32LE(2_440_588, 8);
  int96.writeBigInt64LE(86_399_999_900_000n, 12);
  int96.writeInt32LE(2_440_587, 20);
  expect(await flat('INT96', {}, [2, int96], { timestamps: 'ms' })).toEqual([0, -1]);
});

test('[CONNECT-PARQUET-5] a time that no Date holds is bad input, or a number', async () => {
  const ms = [8_640_000_000_000_000n, 8_640_000_000_000_001n, 2n ** 62n];
  const pages = [dataPage({ count: 3, values: plainInt64(ms) })];
  const content = oneColumn({ type: 'INT64', logical: timestamp(1) }, pages, { rowCount: 3 });
  const path = inputFile(content);
  const { rows, bad } = await readTolerantly(parquet<V>(), path);
  expect(rows).toEqual([{ v: new Date(8.64e15) }]);
  expect(bad.map(({ error }) => error)).toMatchObject([
    {
      code: 'ROW_FAILED',
      details: { file: path, line: 2, option: 'timestamps' },
      message:
        `${path}, row 2, column v: a time that no Date can hold; ` +
        "read times as numbers (timestamps: 'ms')",
    },
    { code: 'ROW_FAILED' },
  ]);
  expect(await valuesOf(content, { timestamps: 'ms' })).toEqual([
    8_640_000_000_000_000,
    8_640_000_000_000_001,
    2n ** 62n,
  ]);
});

test('[CONNECT-PARQUET-4] large integers are bigints, text or bad input', async () => {
  const values = plainInt64([2n ** 53n, -(2n ** 63n), 5n]);
  expect(await flat('INT64', {}, [3, values])).toEqual([2n ** 53n, -(2n ** 63n), 5]);
  expect(await flat('INT64', {}, [3, values], { numbers: 'text' })).toEqual([
    '9007199254740992',
    '-9223372036854775808',
    5,
  ]);
  expect(await flat('INT64', {}, [3, values], { numbers: 'double' })).toEqual([
    2 ** 53,
    -(2 ** 63),
    5,
  ]);
  const pages = [dataPage({ count: 3, values })];
  const path = inputFile(oneColumn({ type: 'INT64' }, pages, { rowCount: 3 }));
  const { rows, bad } = await readTolerantly(parquet<V>({ numbers: 'error' }), path);
  expect(rows).toEqual([{ v: 5 }]);
  expect(bad.map(({ error }) => error.message)).toEqual([
    expect.stringMatching(/row 1, column v: 9007199254740992 is too large .* \(numbers: 'bigint'/),
    expect.stringMatching(/row 2/),
  ]);
  // Unsigned.
  expect(await flat('INT64', { converted: 14 }, [1, plainInt64([-1n])])).toEqual([2n ** 64n - 1n]);
  expect(await flat('INT32', { converted: 13 }, [1, plainInt32([-1])])).toEqual([2 ** 32 - 1]);
});

test('[CONNECT-PARQUET-17] intervals, half floats, UUIDs and geometries have values', async () => {
  const fixed = (length: number) => ({ length });
  const interval = plainInt32([1, 30, -1]);
  expect(
    await flat('FIXED_LEN_BYTE_ARRAY', { ...fixed(12), converted: 21 }, [1, interval]),
  ).toEqual([{ months: 1, days: 30, milliseconds: 2 ** 32 - 1 }]);
  const halves = Buffer.from(
    Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0xfc00, 0x8000, 0x7e00).buffer,
  );
  expect(
    await flat('FIXED_LEN_BYTE_ARRAY', { ...fixed(2), logical: struct({ 15: struct({}) }) }, [
      8,
      halves,
    ]),
  ).toEqual([1, -2, 2 ** -24, 65504, Infinity, -Infinity, -0, NaN]);
  const uuid = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
  expect(
    await flat('FIXED_LEN_BYTE_ARRAY', { ...fixed(16), logical: struct({ 14: struct({}) }) }, [
      1,
      uuid,
    ]),
  ).toEqual(['00112233-4455-6677-8899-aabbccddeeff']);
  const point = plainBytes(['ab']);
  expect(await flat('BYTE_ARRAY', { logical: struct({ 17: struct({}) }) }, [1, point])).toEqual([
    new Uint8Array(Buffer.from('ab')),
  ]);
  // A logical type of the future says nothing.
  expect(await flat('BYTE_ARRAY', { logical: struct({ 99: struct({}) }) }, [1, point])).toEqual([
    'ab',
  ]);
});

/** Two rows: a map with the keys a and b, one with the key a twice. */
function maps(key: Partial<TestElement>, keys: Buffer): Buffer {
  const levels = { repetitions: runs([0, 1, 0, 1], 1), definitions: run(2, 4, 2) };
  return nested(
    [
      { name: 'v', repetition: 'optional', children: 1, converted: 1 },
      { name: 'key_value', repetition: 'repeated', children: 2 },
      { name: 'key', type: 'BYTE_ARRAY', ...key },
      { name: 'value', type: 'INT32', repetition: 'optional' },
    ],
    [
      { type: key.type ?? 'BYTE_ARRAY', count: 4, ...levels, values: keys },
      {
        type: 'INT32',
        count: 4,
        repetitions: levels.repetitions,
        definitions: runs([3, 2, 3, 3], 2),
        values: plainInt32([1, 3, 4]),
      },
    ],
    2,
  );
}

test('[CONNECT-PARQUET-18] maps are objects; one with a key twice is bad input', async () => {
  const content = maps({ converted: 0 }, plainBytes(['__proto__', 'b', 'a', 'a']));
  const path = inputFile(content);
  const { rows, bad } = await readTolerantly(parquet<V>(), path);
  expect(JSON.stringify(rows)).toBe('[{"v":{"__proto__":1,"b":null}}]');
  expect(bad.map(({ error }) => error)).toMatchObject([
    { code: 'ROW_FAILED', details: { file: path, line: 2, option: 'maps' } },
  ]);
  expect(await valuesOf(content, { maps: 'entries' })).toEqual([
    [
      ['__proto__', 1],
      ['b', null],
    ],
    [
      ['a', 3],
      ['a', 4],
    ],
  ]);
});

test('[CONNECT-PARQUET-18] maps with other keys are lists of entries', async () => {
  expect(await valuesOf(maps({ type: 'INT32' }, plainInt32([7, 8, 9, 9])))).toEqual([
    [
      [7, 1],
      [8, null],
    ],
    [
      [9, 3],
      [9, 4],
    ],
  ]);
});

test('[CONNECT-PARQUET-6] repeated fields without an annotation are lists', async () => {
  const content = nested(
    [
      { name: 'v', repetition: 'repeated', children: 1 },
      { name: 'n', type: 'INT32', repetition: 'repeated' },
    ],
    [
      {
        type: 'INT32',
        count: 5,
        repetitions: runs([0, 1, 2, 0, 0], 2),
        definitions: runs([1, 2, 2, 0, 2], 2),
        values: plainInt32([1, 2, 3]),
      },
    ],
    3,
  );
  expect(await valuesOf(content)).toEqual([[{ n: [] }, { n: [1, 2] }], [], [{ n: [3] }]]);
});

test.each([
  ['an element of a primitive type', [{ name: 'x', type: 'INT32' }], (n: number) => n],
  ['a group of the name array', [{ name: 'array', children: 1 }, 'leaf'], (n: number) => ({ n })],
  [
    'a group of the name v_tuple',
    [{ name: 'v_tuple', children: 1 }, 'leaf'],
    (n: number) => ({ n }),
  ],
  ['a group between', [{ name: 'bag', children: 1 }, 'leaf'], (n: number) => n],
] as const)('[CONNECT-PARQUET-6] lists of old writers: %s', async (_, entries, expected) => {
  const elements = entries.map((entry): TestElement => {
    return entry === 'leaf' ? { name: 'n', type: 'INT32' } : { ...entry, repetition: 'repeated' };
  });
  const content = nested(
    [{ name: 'v', repetition: 'optional', children: 1, converted: 3 }, ...elements],
    [
      {
        type: 'INT32',
        count: 4,
        repetitions: runs([0, 1, 0, 0], 1),
        definitions: runs([2, 2, 1, 0], 2),
        values: plainInt32([1, 2]),
      },
    ],
    3,
  );
  expect(await valuesOf(content)).toEqual([[expected(1), expected(2)], [], null]);
});
