import { readInt64, writeInt64 } from '../int64.ts';
import { NO_ROOM, type Serde } from './serde.ts';

const BYTES: Serde<Uint8Array> = {
  name: 'bytes',
  serialize(value, target, position) {
    if (!(value instanceof Uint8Array)) throw new TypeError(`expected bytes, got ${typeof value}`);
    if (value.length > target.length - position) return NO_ROOM;
    target.set(value, position);
    return position + value.length;
  },
  deserialize: (source, start, end) => source.subarray(start, end),
};

/**
 * Bytes as they are. Reading returns a view of the fetched batch, not a copy: copy it
 * (`Uint8Array.from`) if you keep it, or the whole batch stays in memory.
 */
export function bytes(): Serde<Uint8Array> {
  return BYTES;
}

interface FixedWidth<T> {
  readonly name: string;
  readonly sizeBytes: number;
  readonly accepts: (value: T) => boolean;
  readonly range: string;
  readonly write: (target: Buffer, position: number, value: T) => unknown;
  readonly read: (source: Buffer, position: number) => T;
}

function fixedWidth<T>(width: FixedWidth<T>): Serde<T> {
  const { name, sizeBytes, accepts, range, write, read } = width;
  return {
    name,
    serialize(value, target, position) {
      if (!accepts(value)) throw new RangeError(`${String(value)} is not ${range}`);
      if (target.length - position < sizeBytes) return NO_ROOM;
      write(target, position, value);
      return position + sizeBytes;
    },
    deserialize(source, start, end) {
      if (end - start !== sizeBytes) {
        throw new RangeError(`${name} takes ${sizeBytes} bytes, got ${end - start}`);
      }
      return read(source, start);
    },
  };
}

function isIntegerWithin(min: number, max: number): (value: number) => boolean {
  return (value) => Number.isInteger(value) && value >= min && value <= max;
}

const INT16 = fixedWidth<number>({
  name: 'int16',
  sizeBytes: 2,
  accepts: isIntegerWithin(-0x8000, 0x7fff),
  range: 'an integer of 16 bits',
  write: (target, position, value) => target.writeInt16BE(value, position),
  read: (source, position) => source.readInt16BE(position),
});

const INT32 = fixedWidth<number>({
  name: 'int32',
  sizeBytes: 4,
  accepts: isIntegerWithin(-0x8000_0000, 0x7fff_ffff),
  range: 'an integer of 32 bits',
  write: (target, position, value) => target.writeInt32BE(value, position),
  read: (source, position) => source.readInt32BE(position),
});

const INT64 = fixedWidth<number>({
  name: 'int64',
  sizeBytes: 8,
  accepts: (value) => Number.isSafeInteger(value),
  range: 'a safe integer (within 2^53); bigint64() takes more',
  write: (target, position, value) => writeInt64(target, position, value),
  read: (source, position) => {
    const value = readInt64(source, position);
    if (Number.isSafeInteger(value)) return value;
    throw new RangeError(`${source.readBigInt64BE(position)} exceeds 2^53; use bigint64()`);
  },
});

const BIGINT64 = fixedWidth<bigint>({
  name: 'bigint64',
  sizeBytes: 8,
  accepts: (value) => typeof value === 'bigint' && BigInt.asIntN(64, value) === value,
  range: 'a bigint of 64 bits',
  write: (target, position, value) => target.writeBigInt64BE(value, position),
  read: (source, position) => source.readBigInt64BE(position),
});

const DOUBLE = fixedWidth<number>({
  name: 'double',
  sizeBytes: 8,
  accepts: (value) => typeof value === 'number',
  range: 'a number',
  write: (target, position, value) => target.writeDoubleBE(value, position),
  read: (source, position) => source.readDoubleBE(position),
});

/** Two bytes, big-endian, as Kafka's ShortSerializer. */
export function int16(): Serde<number> {
  return INT16;
}

/** Four bytes, big-endian, as Kafka's IntegerSerializer. */
export function int32(): Serde<number> {
  return INT32;
}

/** Eight bytes, big-endian, as Kafka's LongSerializer; any but a safe integer is an error. */
export function int64(): Serde<number> {
  return INT64;
}

/** Eight bytes, big-endian, as Kafka's LongSerializer, over its whole range. */
export function bigint64(): Serde<bigint> {
  return BIGINT64;
}

/** Eight bytes, IEEE 754 big-endian, as Kafka's DoubleSerializer. */
export function double(): Serde<number> {
  return DOUBLE;
}

const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const UUID_BYTES = 36;

const UUID: Serde<string> = {
  name: 'uuid',
  serialize(value, target, position) {
    if (!UUID_TEXT.test(value)) throw new TypeError(`${JSON.stringify(value)} is not a UUID`);
    if (target.length - position < UUID_BYTES) return NO_ROOM;
    return position + target.write(value.toLowerCase(), position, 'latin1');
  },
  deserialize(source, start, end) {
    const text = source.toString('latin1', start, end);
    if (!UUID_TEXT.test(text)) throw new TypeError(`${JSON.stringify(text)} is not a UUID`);
    return text;
  },
};

/** A UUID as its 36 characters, as Kafka's UUIDSerializer writes it. */
export function uuid(): Serde<string> {
  return UUID;
}
