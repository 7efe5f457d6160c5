import { ThriftReader } from './thrift.ts';

/** `Encoding` of parquet.thrift, by number. */
export const ENCODINGS = [
  'PLAIN',
  undefined,
  'PLAIN_DICTIONARY',
  'RLE',
  'BIT_PACKED',
  'DELTA_BINARY_PACKED',
  'DELTA_LENGTH_BYTE_ARRAY',
  'DELTA_BYTE_ARRAY',
  'RLE_DICTIONARY',
  'BYTE_STREAM_SPLIT',
] as const;
export type Encoding = NonNullable<(typeof ENCODINGS)[number]>;

const PAGE_TYPES = ['data', 'index', 'dictionary', 'data-v2'] as const;

/** What stands before the bytes of a page (`PageHeader` of parquet.thrift). */
export interface PageHeader {
  readonly type: (typeof PAGE_TYPES)[number];
  /** Of the header itself. */
  readonly headerBytes: number;
  /** As it lies in the file, behind the header. */
  readonly sizeBytes: number;
  readonly unpackedBytes: number;
  /** CRC-32 of the bytes in the file; undefined if the writer gave none. */
  readonly crc: number | undefined;
  /** Values with nulls, or those of a dictionary. */
  readonly valueCount: number;
  readonly encoding: Encoding;
  /** Of levels in version 1 of data pages. */
  readonly definitionEncoding: Encoding;
  readonly repetitionEncoding: Encoding;
  /** Version 2: the sizes of the levels, which are never compressed. */
  readonly definitionBytes: number;
  readonly repetitionBytes: number;
  readonly isCompressed: boolean;
}

/**
 * Reads the header of a page from the start of `bytes`; undefined if it is longer than those.
 *
 * @throws RangeError or TypeError if it is damaged.
 */
export function readPageHeader(bytes: Buffer): PageHeader | undefined {
  const reader = new ThriftReader(bytes);
  const header: Writable<PageHeader> = {
    type: 'index',
    headerBytes: 0,
    sizeBytes: -1,
    unpackedBytes: -1,
    crc: undefined,
    valueCount: -1,
    encoding: 'PLAIN',
    definitionEncoding: 'RLE',
    repetitionEncoding: 'RLE',
    definitionBytes: 0,
    repetitionBytes: 0,
    isCompressed: true,
  };
  try {
    readFields(reader, header);
  } catch (error) {
    if (reader.ranOut) return undefined;
    throw error;
  }
  header.headerBytes = reader.position;
  if (header.sizeBytes === -1 || header.unpackedBytes === -1) {
    throw new RangeError('the header of a page has no sizes');
  }
  if (header.valueCount === -1 && header.type !== 'index') {
    throw new RangeError('the header of a page has no number of values');
  }
  return header;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function readFields(reader: ThriftReader, header: Writable<PageHeader>): void {
  reader.struct((id, type) => {
    switch (id) {
      case 1:
        header.type = pageTypeOf(reader.integer(type));
        return true;
      case 2:
        header.unpackedBytes = reader.natural(type, 'the unpacked size of a page');
        return true;
      case 3:
        header.sizeBytes = reader.natural(type, 'the size of a page');
        return true;
      case 4:
        header.crc = reader.integer(type) >>> 0;
        return true;
      case 5:
        if (header.type !== 'data') return false;
        readDataHeader(reader, type, header);
        return true;
      case 7:
        if (header.type !== 'dictionary') return false;
        readDictionaryHeader(reader, type, header);
        return true;
      case 8:
        if (header.type !== 'data-v2') return false;
        readDataHeaderV2(reader, type, header);
        return true;
      default:
        return false;
    }
  });
}

function pageTypeOf(number: number): PageHeader['type'] {
  const type = PAGE_TYPES[number];
  if (type === undefined) throw new RangeError(`a page of the unknown type ${number}`);
  return type;
}

function readDictionaryHeader(
  reader: ThriftReader,
  structType: number,
  header: Writable<PageHeader>,
): void {
  reader.structOf(structType, (id, type) => {
    switch (id) {
      case 1:
        header.valueCount = reader.natural(type, 'the number of values in a dictionary');
        return true;
      case 2:
        header.encoding = encodingOf(reader.integer(type));
        return true;
      default:
        return false;
    }
  });
}

function readDataHeader(
  reader: ThriftReader,
  structType: number,
  header: Writable<PageHeader>,
): void {
  reader.structOf(structType, (id, type) => {
    switch (id) {
      case 1:
        header.valueCount = reader.natural(type, 'the number of values in a page');
        return true;
      case 2:
        header.encoding = encodingOf(reader.integer(type));
        return true;
      case 3:
        header.definitionEncoding = encodingOf(reader.integer(type));
        return true;
      case 4:
        header.repetitionEncoding = encodingOf(reader.integer(type));
        return true;
      default:
        return false;
    }
  });
}

function readDataHeaderV2(
  reader: ThriftReader,
  structType: number,
  header: Writable<PageHeader>,
): void {
  reader.structOf(structType, (id, type) => {
    switch (id) {
      case 1:
        header.valueCount = reader.natural(type, 'the number of values in a page');
        return true;
      case 4:
        header.encoding = encodingOf(reader.integer(type));
        return true;
      case 5:
        header.definitionBytes = reader.natural(type, 'the size of definition levels');
        return true;
      case 6:
        header.repetitionBytes = reader.natural(type, 'the size of repetition levels');
        return true;
      case 7:
        header.isCompressed = reader.boolean(type);
        return true;
      default:
        return false;
    }
  });
}

function encodingOf(number: number): Encoding {
  const encoding = ENCODINGS[number];
  if (encoding === undefined) {
    throw new RangeError(`it is encoded in a way that cannot be read here (encoding ${number})`);
  }
  return encoding;
}
