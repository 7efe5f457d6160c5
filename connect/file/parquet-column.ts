/**
 * Decodes the pages of one column chunk with the parts of hyparquet's own reader
 * (`hyparquet/src/*`, pinned in package.json). Its public API decodes a whole row group and pushes
 * each value of a nullable column one by one; page by page, memory is bounded and it takes two
 * thirds of the time.
 */
import { crc32 } from 'node:zlib';
import { parquetHeader } from 'hyparquet/src/column.js';
import { convert, convertWithDictionary, DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import { decompressPage, readDataPage, readDataPageV2 } from 'hyparquet/src/datapage.js';
import { readPlain } from 'hyparquet/src/plain.js';
import type {
  ColumnMetaData,
  Compressors,
  DecodedArray,
  Encoding,
  PageHeader,
  SchemaTree,
} from 'hyparquet';
import { columnValues } from './parquet-values.ts';

/** What hyparquet's functions need to know about a column. */
type ColumnDecoder = Parameters<typeof convert>[1];

export interface ColumnOptions {
  /** From the root of the schema to the column. */
  readonly schemaPath: readonly SchemaTree[];
  readonly compressors: Compressors;
  readonly timestamps: 'date' | 'ms';
}

/** Yields the values of a column chunk, page by page; null for missing ones. */
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
    // Not every writer computes it.
    if (header.crc !== undefined && header.crc >>> 0 !== crc32(page)) {
      throw new TypeError('the checksum of a page is wrong');
    }
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
    const values = valuesOf(dataPage, dictionary, v1.encoding, decoder);
    return withNulls(values, definitionLevels, v1.num_values);
  }
  if (v2 === undefined) throw new TypeError('a data page without a header');
  const { definitionLevels, dataPage } = readDataPageV2(page, header, decoder);
  const values = valuesOf(dataPage, dictionary, v2.encoding, decoder);
  return withNulls(values, definitionLevels, v2.num_values);
}

function valuesOf(
  dataPage: DecodedArray,
  dictionary: DecodedArray | undefined,
  encoding: Encoding,
  decoder: ColumnDecoder,
): DecodedArray {
  const values = convertWithDictionary(dataPage, dictionary, encoding, decoder);
  if (encoding.endsWith('_DICTIONARY') && (!dictionary || values.includes(undefined))) {
    throw new TypeError('a value is not in the dictionary');
  }
  return values;
}

/** Puts a null wherever the definition level (0 or 1 in a flat column) marks a missing value. */
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
  const { element, parsers } = columnValues(schemaPath.at(-1)!.element, timestamps);
  const { path_in_schema: pathInSchema } = metadata;
  return {
    ...metadata,
    pathInSchema,
    element,
    schemaPath: [...schemaPath.slice(0, -1), { ...schemaPath.at(-1)!, element }],
    compressors,
    parsers: { ...DEFAULT_PARSERS, ...parsers },
  };
}
