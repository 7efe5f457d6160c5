/** The converters that need no schema: text, bytes, numbers and MessagePack. */
import {
  bigint64,
  bytes,
  customSerde,
  int16,
  int32,
  msgpack,
  NO_ROOM,
  string,
  uuid,
  type Serde,
} from '../../core/index.ts';
import { show } from '../../core/internal.ts';
import { configSchema } from '../config.ts';
import type { ConverterPlugin } from '../plugin.ts';

const NO_CONFIG = configSchema({});

function plain<T>(name: string, doc: string, serde: Serde<T>): ConverterPlugin {
  const create = (): Serde<unknown> => serde;
  return { kind: 'converter', name, doc, config: NO_CONFIG, create };
}

const TEXT = string();

/** Text as it is; numbers and booleans as JavaScript prints them. */
export const textConverter: Serde<unknown> = {
  name: 'string',
  serialize(value, target, position) {
    const isPlain = ['number', 'bigint', 'boolean'].includes(typeof value);
    return TEXT.serialize((isPlain ? String(value) : value) as string, target, position);
  },
  deserialize: (source, start, end) => TEXT.deserialize(source, start, end),
};

const BIGINT = bigint64();

/** Integers of 64 bits: bigints beyond 2^53. */
const LONG: Serde<unknown> = {
  name: 'long',
  serialize(value, target, position) {
    const integer = Number.isSafeInteger(value) ? BigInt(value as number) : value;
    return BIGINT.serialize(integer as bigint, target, position);
  },
  deserialize(source, start, end) {
    const value = BIGINT.deserialize(source, start, end);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  },
};

/** Eight or four bytes of IEEE 754. */
function fraction(name: 'float' | 'double', sizeBytes: 4 | 8): Serde<unknown> {
  return {
    name,
    serialize(value, target, position) {
      if (typeof value !== 'number') throw new TypeError(`${show(value)} is no number`);
      if (sizeBytes === 4 && Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
        throw new RangeError(`${value} is beyond the range of a float`);
      }
      if (target.length - position < sizeBytes) return NO_ROOM;
      if (sizeBytes === 4) target.writeFloatBE(value, position);
      else target.writeDoubleBE(value, position);
      return position + sizeBytes;
    },
    deserialize(source, start, end) {
      if (end - start === sizeBytes) {
        return sizeBytes === 4 ? source.readFloatBE(start) : source.readDoubleBE(start);
      }
      throw new RangeError(`${name} takes ${sizeBytes} bytes, got ${end - start}`);
    },
  };
}

/** One byte, 1 or 0. */
const BOOLEAN = customSerde<unknown>({
  name: 'boolean',
  serialize(value) {
    if (typeof value !== 'boolean') throw new TypeError(`${show(value)} is no boolean`);
    return Buffer.of(value ? 1 : 0);
  },
  deserialize(given) {
    const [byte] = given;
    if (given.length === 1 && (byte === 0 || byte === 1)) return byte === 1;
    throw new RangeError(
      `boolean takes one byte, 0 or 1, got ${Buffer.from(given).toString('hex')}`,
    );
  },
});

/** Kafka Connect's converters without options, by name, and two that it does not have. */
export const PLAIN_CONVERTERS: readonly ConverterPlugin[] = [
  plain('string', 'Text as UTF-8; numbers and booleans as text.', textConverter),
  plain('bytes', 'Bytes as they are.', bytes()),
  plain('boolean', 'One byte, 1 or 0.', BOOLEAN),
  plain('short', 'Integers of 16 bits, big-endian.', int16()),
  plain('integer', 'Integers of 32 bits, big-endian.', int32()),
  plain('long', 'Integers of 64 bits, big-endian; bigints beyond 2^53.', LONG),
  plain('float', 'Numbers as 32 bits of IEEE 754, rounded.', fraction('float', 4)),
  plain('double', 'Numbers as 64 bits of IEEE 754.', fraction('double', 8)),
  plain('uuid', 'UUIDs as text.', uuid()),
  plain('msgpack', 'MessagePack.', msgpack()),
];
