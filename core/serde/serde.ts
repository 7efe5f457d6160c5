/**
 * Converts values of one type to bytes and back. On both sides the bytes are part of a larger
 * buffer, so that a record is written where it is sent from and read where it was fetched to.
 *
 * Null never reaches a serde: a null key or value is a fact of the record, not of its bytes.
 */
export interface Serde<T> {
  /** For messages and descriptions, such as `json` or `int64`. */
  readonly name: string;
  /**
   * The names of other serdes whose bytes this one reads: a store that one of them has written may
   * be handed over to it. It does not count for keys, which are found by the bytes that are
   * written. Default: none.
   */
  readonly reads?: readonly string[] | undefined;
  /**
   * Writes `value` at `position` and returns the position after it, or NO_ROOM if `target` is too
   * short; `target` is then undefined from `position` on.
   *
   * @throws Error if the value cannot be written at all; the caller adds topic and field.
   */
  serialize(value: T, target: Buffer, position: number): number;
  /**
   * Reads the value that fills `source[start, end)`. The result may be a view of `source`: only
   * `bytes()` returns one, and says so.
   *
   * @throws Error when the bytes are not a value of this kind; the caller adds where they stand.
   */
  deserialize(source: Buffer, start: number, end: number): T;
}

/** Returned by `Serde.serialize` when the target is too short. */
export const NO_ROOM = -1;

const SCRATCH_BYTES = 4096;
/** Kafka's largest record is 2^31-1 bytes; nothing useful comes near. */
const SCRATCH_BYTES_MAX = 0x4000_0000;

let scratch = Buffer.allocUnsafe(SCRATCH_BYTES);

/** The bytes of one value, in a buffer of its own. */
export function serializeToBytes<T>(serde: Serde<T>, value: T): Buffer {
  for (;;) {
    const end = serde.serialize(value, scratch, 0);
    if (end !== NO_ROOM) return Buffer.from(scratch.subarray(0, end));
    if (scratch.length >= SCRATCH_BYTES_MAX) {
      throw new RangeError(
        `a value serialised by ${serde.name} exceeds ${SCRATCH_BYTES_MAX} bytes`,
      );
    }
    scratch = Buffer.allocUnsafe(scratch.length * 4);
  }
}

/** The value that `bytes` hold. */
export function deserializeBytes<T>(serde: Serde<T>, bytes: Uint8Array): T {
  const source = asBuffer(bytes);
  return serde.deserialize(source, 0, source.length);
}

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * The names of a serde whose values hold those of another one: `change(json)`. It reads what the
 * other one reads.
 */
export function namesAround(
  nameOf: (inner: string) => string,
  inner: Pick<Serde<unknown>, 'name' | 'reads'>,
): Pick<Serde<unknown>, 'name' | 'reads'> {
  return { name: nameOf(inner.name), reads: inner.reads?.map(nameOf) };
}

/**
 * Makes a serde from two plain functions: the way to bring your own format (Avro, Protobuf ...). It
 * costs one more copy a value than a serde that writes in place.
 */
export function customSerde<T>(options: {
  readonly name: string;
  /** As `Serde.reads`. */
  readonly reads?: readonly string[];
  readonly serialize: (value: T) => Uint8Array;
  readonly deserialize: (bytes: Uint8Array) => T;
}): Serde<T> {
  return {
    name: options.name,
    reads: options.reads,
    serialize(value, target, position) {
      const bytes = options.serialize(value);
      if (bytes.length > target.length - position) return NO_ROOM;
      target.set(bytes, position);
      return position + bytes.length;
    },
    deserialize: (source, start, end) => options.deserialize(source.subarray(start, end)),
  };
}
