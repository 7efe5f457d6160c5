import { unpack } from './compression.ts';
import { DeltaBytes, DeltaIntegers, DeltaLengthBytes } from './delta.ts';
import { bitWidth, PackedLevelReader, RunReader, type NumberReader } from './levels.ts';
import type { Encoding, PageHeader } from './page-header.ts';
import {
  DictionaryReader,
  plainReader,
  RunBooleans,
  type ValueReader,
  type ValueType,
} from './plain.ts';

/** What to know of a column to read its pages. */
export interface PageColumn extends ValueType {
  /** The highest definition level, which a value has that is there; as in `SchemaNode`. */
  readonly definition: number;
  /** The highest repetition level. */
  readonly repetitions: number;
  readonly codec: number;
}

/** A data page: levels of all its values, and those values that are there. */
export interface Page {
  /** How many of its values were not read yet; whoever reads them counts. */
  left: number;
  /** Undefined if all levels are 0. */
  readonly repetitions: NumberReader | undefined;
  readonly definitions: NumberReader | undefined;
  readonly values: ValueReader;
}

/**
 * Opens a data page.
 *
 *     version 1: all compressed: [size u32 LE] repetition levels | the same for definition levels |
 *                values
 *     version 2: repetition levels | definition levels | maybe compressed: values
 *
 * @param bytes as they lie in the file.
 * @throws RangeError, or Error of any class, for bytes that are no such page.
 */
export function openPage(
  bytes: Buffer,
  header: PageHeader,
  column: PageColumn,
  dictionary: readonly unknown[] | undefined,
): Page {
  return header.type === 'data'
    ? openPageV1(bytes, header, column, dictionary)
    : openPageV2(bytes, header, column, dictionary);
}

function openPageV1(
  packed: Buffer,
  header: PageHeader,
  column: PageColumn,
  dictionary: readonly unknown[] | undefined,
): Page {
  const { valueCount, encoding } = header;
  const bytes = unpack(column.codec, packed, header.unpackedBytes);
  const repetitions = levelsV1(bytes, 0, {
    max: column.repetitions,
    encoding: header.repetitionEncoding,
    valueCount,
  });
  const definitions = levelsV1(bytes, repetitions.end, {
    max: column.definition,
    encoding: header.definitionEncoding,
    valueCount,
  });
  const values = valuesOf(bytes.subarray(definitions.end), encoding, column, dictionary);
  return {
    left: valueCount,
    repetitions: repetitions.levels,
    definitions: definitions.levels,
    values,
  };
}

interface LevelsV1 {
  readonly max: number;
  readonly encoding: Encoding;
  readonly valueCount: number;
}

function levelsV1(
  bytes: Buffer,
  start: number,
  { max, encoding, valueCount }: LevelsV1,
): { readonly levels: NumberReader | undefined; readonly end: number } {
  if (max === 0) return { levels: undefined, end: start };
  const width = bitWidth(max);
  if (encoding === 'BIT_PACKED') {
    const end = start + Math.ceil((valueCount * width) / 8);
    checkEnd(bytes, end);
    return { levels: new PackedLevelReader(bytes, start, end, width), end };
  }
  if (encoding !== 'RLE') throw new RangeError(`levels that are encoded as ${encoding}`);
  const end = sizedEnd(bytes, start);
  return { levels: new RunReader(bytes, start + 4, end, width), end };
}

/** The end of what has its size, u32 LE, before it. */
function sizedEnd(bytes: Buffer, start: number): number {
  checkEnd(bytes, start + 4);
  const end = start + 4 + bytes.readUInt32LE(start);
  checkEnd(bytes, end);
  return end;
}

function checkEnd(bytes: Buffer, end: number): void {
  if (end > bytes.length) throw new RangeError('levels reach beyond their page');
}

function openPageV2(
  bytes: Buffer,
  header: PageHeader,
  column: PageColumn,
  dictionary: readonly unknown[] | undefined,
): Page {
  const { valueCount, encoding, repetitionBytes, definitionBytes, unpackedBytes } = header;
  const levelBytes = repetitionBytes + definitionBytes;
  checkEnd(bytes, levelBytes);
  if (levelBytes > unpackedBytes) throw new RangeError('levels reach beyond their page');
  const packed = bytes.subarray(levelBytes);
  const codec = header.isCompressed ? column.codec : 0;
  const values = unpack(codec, packed, unpackedBytes - levelBytes);
  return {
    left: valueCount,
    repetitions: levelsV2(bytes, 0, repetitionBytes, column.repetitions),
    definitions: levelsV2(bytes, repetitionBytes, levelBytes, column.definition),
    values: valuesOf(values, encoding, column, dictionary),
  };
}

function levelsV2(
  bytes: Buffer,
  start: number,
  end: number,
  max: number,
): NumberReader | undefined {
  return max === 0 ? undefined : new RunReader(bytes, start, end, bitWidth(max));
}

function valuesOf(
  bytes: Buffer,
  encoding: Encoding,
  column: PageColumn,
  dictionary: readonly unknown[] | undefined,
): ValueReader {
  const { type, conversion } = column;
  // All values are null: not even a header is needed then.
  if (bytes.length === 0) return plainReader(bytes, column);
  switch (encoding) {
    case 'PLAIN':
      return plainReader(bytes, column);
    case 'PLAIN_DICTIONARY':
    case 'RLE_DICTIONARY':
      if (dictionary === undefined) throw new RangeError('a page without its dictionary');
      return new DictionaryReader(new RunReader(bytes, 1, bytes.length, bytes[0]!), dictionary);
    case 'RLE':
      if (type !== 'BOOLEAN') break;
      return new RunBooleans(new RunReader(bytes, 4, sizedEnd(bytes, 0), 1));
    case 'DELTA_BINARY_PACKED':
      if (type !== 'INT32' && type !== 'INT64') break;
      return new DeltaIntegers(bytes, type, conversion);
    case 'DELTA_LENGTH_BYTE_ARRAY':
      if (type !== 'BYTE_ARRAY') break;
      return new DeltaLengthBytes(bytes, conversion);
    case 'DELTA_BYTE_ARRAY':
      if (type !== 'BYTE_ARRAY' && type !== 'FIXED_LEN_BYTE_ARRAY') break;
      return new DeltaBytes(bytes, conversion);
    case 'BYTE_STREAM_SPLIT': {
      const size = splitSize(column);
      if (size === undefined) break;
      return plainReader(joinStreams(bytes, size), column);
    }
    case 'BIT_PACKED':
      break;
  }
  throw new RangeError(`values of the type ${type} that are encoded as ${encoding}`);
}

function splitSize({ type, typeLength }: PageColumn): number | undefined {
  switch (type) {
    case 'INT32':
    case 'FLOAT':
      return 4;
    case 'INT64':
    case 'DOUBLE':
      return 8;
    case 'FIXED_LEN_BYTE_ARRAY':
      return typeLength;
    default:
      return undefined;
  }
}

/** Encoding BYTE_STREAM_SPLIT: the first bytes of all values, then the second ones ... */
function joinStreams(bytes: Buffer, sizeBytes: number): Buffer {
  const count = bytes.length / sizeBytes;
  if (!Number.isInteger(count)) {
    throw new RangeError(`${bytes.length} bytes of values of ${sizeBytes} bytes each`);
  }
  const joined = Buffer.allocUnsafe(bytes.length);
  let from = 0;
  for (let stream = 0; stream < sizeBytes; stream++) {
    for (let to = stream; to < joined.length; to += sizeBytes) joined[to] = bytes[from++]!;
  }
  return joined;
}
