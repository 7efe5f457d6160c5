/**
 * Decodes the pages of one column chunk, with the parts that hyparquet's own reader is made of
 * (`hyparquet/src/*`, pinned in package.json). Its front door decodes a whole row group, and pushes
 * each value of a nullable column one by one: page by page the memory is bounded, and it takes two
 * thirds of the time.
 */
import { parquetHeader } from 'hyparquet/src/column.js';
import { convert, convertWithDictionary, DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import { decompressPage, readDataPage, readDataPageV2 } from 'hyparquet/src/datapage.js';
import { readPlain } from 'hyparquet/src/plain.js';
import type {
  ColumnMetaData,
  Compressors,
  DecodedArray,
  PageHeader,
  ParquetParsers,
  SchemaElement,
  SchemaTree,
} from 'hyparquet';

/** What hyparquet's functions are told of a column. */
type ColumnDecoder = Parameters<typeof convert>[1];

export interface ColumnOptions {
  /** From the root of the schema to the column. */
  readonly schemaPath: readonly SchemaTree[];
  readonly compressors: Compressors;
  readonly timestamps: 'date' | 'ms';
}

/** Yields the values of a column chunk, page by page; null where there is none. */
export function* decodePages(
  bytes: ArrayBuffer,
  metadata: ColumnMetaData,
  options: ColumnOptions,
): Generator<DecodedArray, void, undefined> {
  const decoder = columnDecoder(metadata, options);
  const reader = { view: new DataView(bytes), offset: 0 };
  let dictionary: DecodedArray | undefined;
  while (reader.offset < bytes.byteLength) {
    const header = parquetHeader(reader);
    const page = new Uint8Array(bytes, reader.offset, header.compressed_page_size);
    reader.offset += header.compressed_page_size;
    const { codec, type, element, compressors } = decoder;
    if (header.dictionary_page_header !== undefined) {
      const plain = decompressPage(page, header.uncompressed_page_size, codec, compressors);
      const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
      const { num_values: count } = header.dictionary_page_header;
      const values = readPlain({ view, offset: 0 }, type, count, element.type_length);
      dictionary = convert(values, decoder);
    } else if (header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2') {
      yield decodePage(page, header, dictionary, decoder);
    }
  }
}

function decodePage(
  page: Uint8Array,
  header: PageHeader,
  dictionary: DecodedArray | undefined,
  decoder: ColumnDecoder,
): DecodedArray {
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  const { codec, compressors } = decoder;
  if (v1 !== undefined) {
    const plain = decompressPage(page, header.uncompressed_page_size, codec, compressors);
    const { definitionLevels, dataPage } = readDataPage(plain, v1, decoder);
    const values = convertWithDictionary(dataPage, dictionary, v1.encoding, decoder);
    return withNulls(values, definitionLevels, v1.num_values);
  }
  if (v2 === undefined) throw new TypeError('a data page without a header');
  const { definitionLevels, dataPage } = readDataPageV2(page, header, decoder);
  const values = convertWithDictionary(dataPage, dictionary, v2.encoding, decoder);
  return withNulls(values, definitionLevels, v2.num_values);
}

/** Puts nulls where the definition level (0 or 1 in a flat column) says that there is no value. */
function withNulls(
  values: DecodedArray,
  definitionLevels: readonly number[] | undefined,
  count: number,
): DecodedArray {
  if (values.length === count || definitionLevels === undefined) return values;
  const all: unknown[] = new Array(count);
  let next = 0;
  for (let index = 0; index < count; index++) {
    all[index] = definitionLevels[index] === 1 ? (values[next++] as unknown) : null;
  }
  return all;
}

function columnDecoder(metadata: ColumnMetaData, options: ColumnOptions): ColumnDecoder {
  const { schemaPath, compressors, timestamps } = options;
  let { element } = schemaPath.at(-1)!;
  let parsers: ParquetParsers = { ...DEFAULT_PARSERS, ...timestampParsers(timestamps) };
  if (isInteger64(element)) {
    // hyparquet leaves them as bigints, one made for each row. Told that the column is a timestamp
    // it calls a parser instead, and for a dictionary once for each of its values.
    const toNumber = isUnsigned(element) ? unsignedNumber : exactNumber;
    parsers = { ...parsers, timestampFromMilliseconds: toNumber };
    const { type = 'INT64', repetition_type: repetition = 'OPTIONAL', name } = element;
    element = {
      type,
      repetition_type: repetition,
      name,
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
    };
  }
  const { path_in_schema: pathInSchema } = metadata;
  return {
    ...metadata,
    pathInSchema,
    element,
    schemaPath: [...schemaPath.slice(0, -1), { ...schemaPath.at(-1)!, element }],
    compressors,
    parsers,
  };
}

/** What makes timestamps of the units that Parquet has. */
export function timestampParsers(timestamps: 'date' | 'ms'): Partial<ParquetParsers> {
  const make = timestamps === 'ms' ? (ms: number) => ms : (ms: number) => new Date(ms);
  return {
    timestampFromMilliseconds: (millis) => make(Number(millis)),
    timestampFromMicroseconds: (micros) => make(Math.floor(Number(micros) / 1e3)),
    timestampFromNanoseconds: (nanos) => make(Number(nanos / 1_000_000n)),
    dateFromDays: (days) => make(days * 86_400_000),
  };
}

/**
 * A value of a nested column: numbers for bigints where they are exact, null for what is not there.
 */
export function plainValue(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return exactNumber(value);
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date || ArrayBuffer.isView(value)) return value;
  const entries = Object.entries(value).map(([name, each]) => [name, plainValue(each)]);
  return Object.fromEntries(entries);
}

function isInteger64({ type, converted_type: old, logical_type: logical }: SchemaElement): boolean {
  if (type !== 'INT64') return false;
  const isPlain = old === undefined || ['INT_64', 'UINT_64', 'TIME_MICROS'].includes(old);
  return isPlain && (logical === undefined || ['INTEGER', 'TIME'].includes(logical.type));
}

function isUnsigned({ converted_type: old, logical_type: logical }: SchemaElement): boolean {
  return old === 'UINT_64' || (logical?.type === 'INTEGER' && !logical.isSigned);
}

function exactNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function unsignedNumber(value: bigint): number | bigint {
  return exactNumber(BigInt.asUintN(64, value));
}
