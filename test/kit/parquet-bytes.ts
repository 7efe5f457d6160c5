/**
 * Writes Parquet files byte by byte, also such as no writer would: for tests of the reader. Sizes,
 * counts and levels are what the caller says.
 */
import { crc32 } from 'node:zlib';

/** A value in Thrift's compact protocol. */
export interface Thrift {
  readonly type: number;
  readonly bytes: Buffer;
}

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt(value);
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(left)]);
}

/** Of 64 bits. */
export function zigzag(value: number | bigint): Buffer {
  const wide = BigInt(value);
  return varint(BigInt.asUintN(64, (wide << 1n) ^ (wide >> 63n)));
}

export const i32 = (value: number): Thrift => ({ type: 5, bytes: zigzag(value) });
export const i64 = (value: number | bigint): Thrift => ({ type: 6, bytes: zigzag(value) });
const flag = (value: boolean): Thrift => ({ type: value ? 1 : 2, bytes: Buffer.alloc(0) });

export function binary(value: string | Buffer): Thrift {
  const bytes = Buffer.from(value as string);
  return { type: 8, bytes: Buffer.concat([varint(bytes.length), bytes]) };
}

/** @param count that it claims to have; default: as many as it has. */
export function list(items: readonly Thrift[], count = items.length): Thrift {
  const head = Buffer.concat([Buffer.from([0xf0 | (items[0]?.type ?? 12)]), varint(count)]);
  return { type: 9, bytes: Buffer.concat([head, ...items.map(({ bytes }) => bytes)]) };
}

export function struct(fields: Readonly<Record<number, Thrift | undefined>>): Thrift {
  const parts: Buffer[] = [];
  for (const [id, field] of Object.entries(fields)) {
    if (field === undefined) continue;
    parts.push(Buffer.from([field.type]), zigzag(Number(id)), field.bytes);
  }
  return { type: 12, bytes: Buffer.concat([...parts, Buffer.of(0)]) };
}

export const TYPE = {
  BOOLEAN: 0,
  INT32: 1,
  INT64: 2,
  INT96: 3,
  FLOAT: 4,
  DOUBLE: 5,
  BYTE_ARRAY: 6,
  FIXED_LEN_BYTE_ARRAY: 7,
} as const;
export type TypeName = keyof typeof TYPE;

const REPETITION = { required: 0, optional: 1, repeated: 2 } as const;

export interface TestElement {
  readonly name: string;
  readonly type?: TypeName | undefined;
  readonly length?: number;
  /** Default: required. */
  readonly repetition?: keyof typeof REPETITION;
  readonly children?: number;
  /** By their numbers in parquet.thrift. */
  readonly converted?: number;
  readonly scale?: number;
  readonly logical?: Thrift;
}

/** An entry of the schema. */
export function element(entry: TestElement): Thrift {
  const { name, type, length, repetition = 'required', children, converted, scale } = entry;
  const number = (value: number | undefined): Thrift | undefined => {
    return value === undefined ? undefined : i32(value);
  };
  return struct({
    1: type && i32(TYPE[type]),
    2: number(length),
    3: i32(REPETITION[repetition]),
    4: binary(name),
    5: number(children),
    6: number(converted),
    7: number(scale),
    10: entry.logical,
  });
}

export const ENCODING = {
  PLAIN: 0,
  PLAIN_DICTIONARY: 2,
  RLE: 3,
  BIT_PACKED: 4,
  DELTA_BINARY_PACKED: 5,
  DELTA_LENGTH_BYTE_ARRAY: 6,
  DELTA_BYTE_ARRAY: 7,
  RLE_DICTIONARY: 8,
  BYTE_STREAM_SPLIT: 9,
} as const;

export interface TestPage {
  readonly count: number;
  /** As they lie in the page, packed if the chunk's codec packs. */
  readonly values: Buffer;
  /** Default: PLAIN. */
  readonly encoding?: keyof typeof ENCODING;
  /** Runs, without their size. */
  readonly repetitions?: Buffer;
  readonly definitions?: Buffer;
  /** Of version 1. Default: RLE. */
  readonly levelEncoding?: 'RLE' | 'BIT_PACKED';
  /** Default: that of `values` and levels. */
  readonly unpackedBytes?: number;
  readonly sizeBytes?: number;
  readonly crc?: boolean | number;
}

function page(type: number, body: Buffer, { crc, ...settings }: TestPage, headers: object): Buffer {
  const { unpackedBytes = body.length, sizeBytes = body.length } = settings;
  const sum = crc === true ? crc32(body) : crc;
  const header = struct({
    1: i32(type),
    2: i32(unpackedBytes),
    3: i32(sizeBytes),
    4: typeof sum === 'number' ? i32(sum | 0) : undefined,
    ...headers,
  });
  return Buffer.concat([header.bytes, body]);
}

function sized(levels: Buffer | undefined): readonly Buffer[] {
  if (levels === undefined) return [];
  const size = Buffer.alloc(4);
  size.writeUInt32LE(levels.length);
  return [size, levels];
}

/** A data page of version 1. */
export function dataPage(settings: TestPage): Buffer {
  const { count, values, encoding = 'PLAIN', levelEncoding = 'RLE' } = settings;
  const levels = [settings.repetitions, settings.definitions].flatMap((each) => {
    return levelEncoding === 'RLE' ? sized(each) : (each ?? []);
  });
  const header = struct({
    1: i32(count),
    2: i32(ENCODING[encoding]),
    3: i32(ENCODING[levelEncoding]),
    4: i32(ENCODING[levelEncoding]),
  });
  const body = Buffer.concat([...levels, values]);
  return page(0, body, settings, { 5: header });
}

/** A data page of version 2. */
export function dataPageV2(settings: TestPage & { readonly isCompressed?: boolean }): Buffer {
  const { count, values, encoding = 'PLAIN', isCompressed } = settings;
  const { repetitions = Buffer.alloc(0), definitions = Buffer.alloc(0) } = settings;
  const header = struct({
    1: i32(count),
    2: i32(0),
    3: i32(count),
    4: i32(ENCODING[encoding]),
    5: i32(definitions.length),
    6: i32(repetitions.length),
    7: isCompressed === undefined ? undefined : flag(isCompressed),
  });
  return page(3, Buffer.concat([repetitions, definitions, values]), settings, { 8: header });
}

/** A dictionary page. */
export function dictionaryPage(settings: TestPage): Buffer {
  const { count, values, encoding = 'PLAIN' } = settings;
  const header = struct({ 1: i32(count), 2: i32(ENCODING[encoding]) });
  return page(2, values, settings, { 7: header });
}

export interface TestChunk {
  readonly type: TypeName;
  readonly pages: readonly Buffer[];
  readonly valueCount: number;
  readonly codec?: number;
  /** Default: that of the pages. */
  readonly sizeBytes?: number;
  /** Default: where it is. */
  readonly position?: number | bigint;
  readonly hasDictionary?: boolean;
}

export interface TestFile {
  /** The first one is the row. */
  readonly schema: readonly Thrift[];
  readonly groups: readonly { readonly rowCount: number; readonly chunks: readonly TestChunk[] }[];
  /** Default: those of the groups. */
  readonly rowCount?: number | bigint;
  /** Further fields of the footer, or other ones. */
  readonly footer?: Readonly<Record<number, Thrift>>;
}

/** A whole file. */
export function parquetBytes({ schema, groups, rowCount, footer }: TestFile): Buffer {
  const body: Buffer[] = [Buffer.from('PAR1')];
  let position = 4;
  const rowGroups = groups.map((group) => {
    const chunks = group.chunks.map((chunk) => {
      const at = chunk.position ?? position;
      const bytes = Buffer.concat(chunk.pages);
      body.push(bytes);
      position += bytes.length;
      const dictionaryBytes = chunk.hasDictionary === true ? chunk.pages[0]!.length : 0;
      const metadata = struct({
        1: i32(TYPE[chunk.type]),
        2: list([i32(0)]),
        3: list([binary('v')]),
        4: i32(chunk.codec ?? 0),
        5: i64(chunk.valueCount),
        6: i64(bytes.length),
        7: i64(chunk.sizeBytes ?? bytes.length),
        9: i64(BigInt(at) + BigInt(dictionaryBytes)),
        11: dictionaryBytes > 0 ? i64(at) : undefined,
      });
      return struct({ 2: i64(0), 3: metadata });
    });
    return struct({ 1: list(chunks), 2: i64(0), 3: i64(group.rowCount) });
  });
  const sum = groups.reduce((before, group) => before + group.rowCount, 0);
  const metadata = struct({
    1: i32(1),
    2: list(schema),
    3: i64(rowCount ?? sum),
    4: list(rowGroups),
    ...footer,
  }).bytes;
  const size = Buffer.alloc(4);
  size.writeUInt32LE(metadata.length);
  return Buffer.concat([...body, metadata, size, Buffer.from('PAR1')]);
}

/** A file of one column `v` of the row, in one row group. */
export function oneColumn(
  entry: Omit<TestElement, 'name'> & { readonly type: TypeName },
  pages: readonly Buffer[],
  counts: { readonly rowCount: number; readonly codec?: number; readonly hasDictionary?: boolean },
): Buffer {
  const { rowCount, ...rest } = counts;
  const chunk = { type: entry.type, pages, valueCount: rowCount, ...rest };
  return parquetBytes({
    schema: [element({ name: 'row', children: 1 }), element({ name: 'v', ...entry })],
    groups: [{ rowCount, chunks: [chunk] }],
  });
}

/** A run of one number, as levels and indices have them. */
export function run(value: number, count: number, width: number): Buffer {
  const bytes = Buffer.alloc(Math.ceil(width / 8));
  if (bytes.length > 0) bytes.writeUIntLE(value, 0, bytes.length);
  return Buffer.concat([varint(BigInt(count) * 2n), bytes]);
}

/** Numbers one by one, in runs of one. */
export function runs(values: readonly number[], width: number): Buffer {
  return Buffer.concat(values.map((value) => run(value, 1, width)));
}

/** PLAIN values of BYTE_ARRAY. */
export function plainBytes(values: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const bytes = Buffer.from(value as string);
      const size = Buffer.alloc(4);
      size.writeUInt32LE(bytes.length);
      return [size, bytes];
    }),
  );
}

/** PLAIN values of INT32. */
export function plainInt32(values: readonly number[]): Buffer {
  return Buffer.from(Int32Array.from(values).buffer);
}

/** PLAIN values of INT64. */
export function plainInt64(values: readonly bigint[]): Buffer {
  return Buffer.from(BigInt64Array.from(values).buffer);
}
