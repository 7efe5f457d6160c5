import { ThriftReader } from './thrift.ts';

/** How values lie in pages. */
export const PHYSICAL_TYPES = [
  'BOOLEAN',
  'INT32',
  'INT64',
  'INT96',
  'FLOAT',
  'DOUBLE',
  'BYTE_ARRAY',
  'FIXED_LEN_BYTE_ARRAY',
] as const;
export type PhysicalType = (typeof PHYSICAL_TYPES)[number];

export type TimeUnit = 'MILLIS' | 'MICROS' | 'NANOS';

/**
 * What a column or group stands for. Older files use converted types, newer ones logical types and
 * both; they are the same here.
 */
export type Annotation =
  | { readonly is: 'text' | 'json' | 'bytes' | 'uuid' | 'float16' | 'interval' | 'nothing' }
  | { readonly is: 'date' | 'time' | 'list' | 'map' | 'variant' }
  | { readonly is: 'decimal'; readonly scale: number }
  | { readonly is: 'timestamp'; readonly unit: TimeUnit }
  | { readonly is: 'integer'; readonly isSigned: boolean };

/** One entry of the schema, which is a tree written in depth-first order. */
export interface SchemaElement {
  readonly name: string;
  /** Undefined for groups. */
  readonly type: PhysicalType | undefined;
  /** The size of FIXED_LEN_BYTE_ARRAY values. */
  readonly typeLength: number;
  readonly repetition: 'required' | 'optional' | 'repeated';
  readonly childCount: number;
  readonly annotation: Annotation | undefined;
}

export interface RowGroup {
  readonly rowCount: number;
  /** Where the list of its column chunks begins in the footer; it is read when it is needed. */
  readonly columnsPosition: number;
}

/** What the footer says. */
export interface FileMetadata {
  readonly schema: readonly SchemaElement[];
  readonly rowCount: number;
  readonly rowGroups: readonly RowGroup[];
}

/** The values of one column in one row group. */
export interface ColumnChunk {
  readonly type: PhysicalType;
  readonly codec: number;
  /** Including nulls, and one for each empty list. */
  readonly valueCount: number;
  /** Where its first page begins. */
  readonly position: number;
  readonly sizeBytes: number;
  /** Why it cannot be read: it is encrypted, or in another file. */
  readonly obstacle: string | undefined;
}

/** More columns would be no table, but an attack: each takes some hundred bytes of memory. */
const ELEMENTS_MAX = 100_000;

/** Decimals of 256 bits have 77 digits. A scale is that many characters of each value. */
const SCALE_MAX = 1000;

const REPETITIONS = ['required', 'optional', 'repeated'] as const;

const integer = (isSigned: boolean): Annotation => ({ is: 'integer', isSigned });

/** `ConvertedType` of parquet.thrift, by number. */
const CONVERTED: readonly (Annotation | undefined)[] = [
  { is: 'text' }, // UTF8
  { is: 'map' },
  { is: 'map' }, // MAP_KEY_VALUE
  { is: 'list' },
  { is: 'text' }, // ENUM
  undefined, // DECIMAL: needs the scale
  { is: 'date' },
  { is: 'time' },
  { is: 'time' },
  { is: 'timestamp', unit: 'MILLIS' },
  { is: 'timestamp', unit: 'MICROS' },
  ...[false, false, false, false, true, true, true, true].map(integer),
  { is: 'json' },
  { is: 'bytes' }, // BSON
  { is: 'interval' },
];
const CONVERTED_DECIMAL = 5;

/** The members of the union `LogicalType` of parquet.thrift without settings, by field id. */
const LOGICAL: Readonly<Record<number, Annotation>> = {
  1: { is: 'text' },
  2: { is: 'map' },
  3: { is: 'list' },
  4: { is: 'text' }, // ENUM
  6: { is: 'date' },
  7: { is: 'time' },
  11: { is: 'nothing' }, // UNKNOWN: every value is null
  12: { is: 'json' },
  13: { is: 'bytes' }, // BSON
  14: { is: 'uuid' },
  15: { is: 'float16' },
  16: { is: 'variant' },
  17: { is: 'bytes' }, // GEOMETRY: well-known binary
  18: { is: 'bytes' }, // GEOGRAPHY
};
const LOGICAL_DECIMAL = 5;
const LOGICAL_TIMESTAMP = 8;
const LOGICAL_INTEGER = 10;
const UNITS: readonly (TimeUnit | undefined)[] = [undefined, 'MILLIS', 'MICROS', 'NANOS'];

/**
 * Reads a footer (`FileMetaData` of parquet.thrift).
 *
 * @throws RangeError or TypeError for one that is damaged.
 */
export function readFileMetadata(footer: Buffer): FileMetadata {
  const reader = new ThriftReader(footer);
  const found: { schema?: readonly SchemaElement[]; rowCount?: number } = {};
  const rowGroups: RowGroup[] = [];
  reader.struct((id, type) => {
    switch (id) {
      case 2:
        found.schema = readSchema(reader, type);
        return true;
      case 3:
        found.rowCount = reader.natural(type, 'its number of rows');
        return true;
      case 4:
        reader.list(type, (element) => {
          rowGroups.push(readRowGroup(reader, element));
        });
        return true;
      case 8:
        throw new RangeError('it is encrypted');
      default:
        return false;
    }
  });
  const { schema, rowCount } = found;
  if (schema === undefined) throw new RangeError('it has no schema');
  if (rowCount === undefined) throw new RangeError('it has no number of rows');
  return { schema, rowCount, rowGroups };
}

function readSchema(reader: ThriftReader, type: number): readonly SchemaElement[] {
  const schema: SchemaElement[] = [];
  reader.list(type, (element) => {
    if (schema.length >= ELEMENTS_MAX) {
      throw new RangeError(`its schema has more than ${ELEMENTS_MAX} entries`);
    }
    schema.push(readSchemaElement(reader, element));
  });
  return schema;
}

/** A `SchemaElement` of parquet.thrift. */
interface RawElement {
  physical?: number;
  typeLength: number;
  repetition: number;
  name: string;
  childCount: number;
  converted: number;
  scale: number;
  logical?: Annotation | undefined;
}

function readSchemaElement(reader: ThriftReader, elementType: number): SchemaElement {
  const raw = readRawElement(reader, elementType);
  const { physical, name, typeLength, childCount, converted, scale } = raw;
  const repetition = REPETITIONS[raw.repetition];
  if (repetition === undefined) {
    throw new RangeError(`column ${name}: unknown repetition ${raw.repetition}`);
  }
  const old: Annotation | undefined =
    converted === CONVERTED_DECIMAL ? { is: 'decimal', scale } : CONVERTED[converted];
  return {
    name,
    type: physical === undefined ? undefined : physicalType(physical),
    typeLength,
    repetition,
    childCount,
    annotation: checkScale(raw.logical ?? old, name),
  };
}

function readRawElement(reader: ThriftReader, elementType: number): RawElement {
  const raw: RawElement = {
    typeLength: 0,
    repetition: 0,
    name: '',
    childCount: 0,
    converted: -1,
    scale: 0,
  };
  reader.structOf(elementType, (id, type) => {
    switch (id) {
      case 1:
        raw.physical = reader.integer(type);
        return true;
      case 2:
        raw.typeLength = reader.integer(type);
        return true;
      case 3:
        raw.repetition = reader.integer(type);
        return true;
      case 4:
        raw.name = reader.text(type);
        return true;
      case 5:
        raw.childCount = reader.natural(type, 'the number of fields in a group');
        return true;
      case 6:
        raw.converted = reader.integer(type);
        return true;
      case 7:
        raw.scale = reader.integer(type);
        return true;
      case 10:
        raw.logical = readLogicalType(reader, type);
        return true;
      default:
        return false;
    }
  });
  return raw;
}

function checkScale(annotation: Annotation | undefined, name: string): Annotation | undefined {
  if (annotation?.is !== 'decimal' || Math.abs(annotation.scale) <= SCALE_MAX) return annotation;
  throw new RangeError(`column ${name}: decimals with a scale of ${annotation.scale}`);
}

function physicalType(number: number): PhysicalType {
  const type = PHYSICAL_TYPES[number];
  if (type === undefined) throw new RangeError(`unknown type ${number}`);
  return type;
}

/** Undefined for one that is not known here. */
function readLogicalType(reader: ThriftReader, unionType: number): Annotation | undefined {
  const found: { annotation?: Annotation | undefined } = {};
  reader.structOf(unionType, (member, type) => {
    found.annotation = LOGICAL[member];
    switch (member) {
      case LOGICAL_DECIMAL:
      case LOGICAL_TIMESTAMP:
      case LOGICAL_INTEGER:
        found.annotation = readSettings(reader, member, type);
        return true;
      default:
        return false;
    }
  });
  return found.annotation;
}

/** Reads the settings of a decimal, a timestamp or an integer. */
function readSettings(
  reader: ThriftReader,
  member: number,
  structType: number,
): Annotation | undefined {
  const settings = { scale: 0, isSigned: false, unit: 0 };
  reader.structOf(structType, (id, type) => {
    if (member === LOGICAL_DECIMAL && id === 1) settings.scale = reader.integer(type);
    else if (member === LOGICAL_INTEGER && id === 2) settings.isSigned = reader.boolean(type);
    else if (member === LOGICAL_TIMESTAMP && id === 2) {
      reader.structOf(type, (unit) => {
        settings.unit = unit;
        return false;
      });
    } else return false;
    return true;
  });
  const { scale, isSigned } = settings;
  if (member === LOGICAL_DECIMAL) return { is: 'decimal', scale };
  if (member === LOGICAL_INTEGER) return integer(isSigned);
  const unit = UNITS[settings.unit];
  return unit && { is: 'timestamp', unit };
}

/** The type of the field `columns`, which stands before `RowGroup.columnsPosition`. */
const LIST = 9;

function readRowGroup(reader: ThriftReader, elementType: number): RowGroup {
  const group = { columnsPosition: -1, rowCount: -1 };
  reader.structOf(elementType, (id, type) => {
    if (id === 1 && type === LIST) group.columnsPosition = reader.position;
    if (id !== 3) return false;
    group.rowCount = reader.natural(type, 'the number of rows in a row group');
    return true;
  });
  if (Object.values(group).includes(-1)) throw new RangeError('a row group is incomplete');
  return group;
}

/**
 * Reads what a footer says about the column chunks of a row group, one for each column of the
 * schema, in its order.
 */
export function readColumnChunks(footer: Buffer, { columnsPosition }: RowGroup): ColumnChunk[] {
  const reader = new ThriftReader(footer, columnsPosition);
  const chunks: ColumnChunk[] = [];
  reader.list(LIST, (element) => {
    chunks.push(readColumnChunk(reader, element));
  });
  return chunks;
}

function readColumnChunk(reader: ThriftReader, elementType: number): ColumnChunk {
  const found: { obstacle?: string; metadata?: ColumnMetadata } = {};
  reader.structOf(elementType, (id, type) => {
    switch (id) {
      case 1:
        // Some writers fill it in, but with nothing.
        if (reader.text(type) !== '') found.obstacle = 'its data is in another file';
        return true;
      case 3:
        found.metadata = readColumnMetadata(reader, type);
        return true;
      case 8:
        found.obstacle = 'it is encrypted';
        return false;
      default:
        return false;
    }
  });
  const { obstacle, metadata } = found;
  if (metadata === undefined) {
    const missing = obstacle ?? 'its data is not in the file';
    const nothing = { codec: 0, valueCount: 0, position: 0, sizeBytes: 0 };
    return { type: 'BOOLEAN', ...nothing, obstacle: missing };
  }
  const { physical, codec, valueCount, sizeBytes, dataPosition, dictionaryPosition } = metadata;
  // 0, which is inside the magic, or a position behind the data is a slip of the writer.
  const hasDictionary = dictionaryPosition > 0 && dictionaryPosition < dataPosition;
  const position = hasDictionary ? dictionaryPosition : dataPosition;
  return { type: physicalType(physical), codec, valueCount, position, sizeBytes, obstacle };
}

interface ColumnMetadata {
  physical: number;
  codec: number;
  valueCount: number;
  sizeBytes: number;
  dataPosition: number;
  dictionaryPosition: number;
}

function readColumnMetadata(reader: ThriftReader, structType: number): ColumnMetadata {
  const metadata: ColumnMetadata = {
    physical: -1,
    codec: -1,
    valueCount: -1,
    sizeBytes: -1,
    dataPosition: -1,
    dictionaryPosition: 0,
  };
  reader.structOf(structType, (id, type) => {
    switch (id) {
      case 1:
        metadata.physical = reader.integer(type);
        return true;
      case 4:
        metadata.codec = reader.integer(type);
        return true;
      case 5:
        metadata.valueCount = reader.natural(type, 'the number of values in a column');
        return true;
      case 7:
        metadata.sizeBytes = reader.natural(type, 'the size of a column');
        return true;
      case 9:
        metadata.dataPosition = reader.natural(type, 'the position of a page');
        return true;
      case 11:
        metadata.dictionaryPosition = reader.integer(type);
        return true;
      default:
        return false;
    }
  });
  if (Object.values(metadata).includes(-1)) throw new RangeError('a column is incomplete');
  return metadata;
}
