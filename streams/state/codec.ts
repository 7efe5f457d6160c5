import {
  AssertionFailure,
  int64,
  NO_ROOM,
  serializeToBytes,
  string,
  type Serde,
} from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { StoreSpec } from '../topology/store.ts';

/** One less than LMDB's longest key with pages of 4096 bytes: that one represents the empty key. */
const KEY_BYTES_MAX = 1977;
const INT64 = int64();
const TIMESTAMP_BYTES = 8;

/** A live entry of a store: one object per key, changed in place. */
export interface LiveEntry<K, V> {
  readonly key: K;
  /** Undefined in a store without windows. */
  readonly windowStartMs: number | undefined;
  /** Undefined when deleted. */
  value: V | undefined;
  timestampMs: number;
}

/** What a kind of store writes before each key. */
export interface KeyPrefix {
  readonly sizeBytes: number;
  write(target: Buffer, position: number, entry: LiveEntry<unknown, unknown>): void;
}

const NO_PREFIX: KeyPrefix = { sizeBytes: 0, write: () => undefined };

/**
 * The bytes of a store's entries, the same in LMDB and in the changelog:
 *
 *     key:   [prefix of the kind of store] key
 *     value: timestamp i64 | value
 *
 * The two serdes write an entry straight into a batch of the changelog.
 */
export class StoreCodec<K, V> {
  readonly entryKey: Serde<LiveEntry<K, V>>;
  readonly entryValue: Serde<LiveEntry<K, V>>;
  readonly #store: string;
  readonly #key: Serde<K>;
  readonly #value: Serde<V>;
  readonly #keyStart: number;

  constructor(spec: StoreSpec<K, V>, prefix = NO_PREFIX) {
    this.#store = spec.name;
    this.#key = spec.key;
    this.#value = spec.value;
    this.#keyStart = prefix.sizeBytes;
    this.entryKey = {
      name: spec.key.name,
      serialize: (entry, target, position) => {
        if (target.length - position < this.#keyStart) return NO_ROOM;
        prefix.write(target, position, entry);
        const end = spec.key.serialize(entry.key, target, position + this.#keyStart);
        if (end - position > KEY_BYTES_MAX) throw this.#tooLong(end - position);
        return end;
      },
      deserialize: unused,
    };
    this.entryValue = {
      name: spec.value.name,
      serialize: ({ value, timestampMs }, target, position) => {
        const start = INT64.serialize(timestampMs, target, position);
        return start === NO_ROOM ? NO_ROOM : spec.value.serialize(value as V, target, start);
      },
      deserialize: unused,
    };
  }

  /** Sorts entries of one prefix by the bytes of their keys. */
  sort<E extends { readonly key: K; readonly id: unknown }>(entries: E[]): E[] {
    return sortByKeyBytes(entries, this.#key);
  }

  /** The key's bytes, never overwritten. @throws StreamsError STATE_KEY_TOO_LONG */
  encodeKey(entry: LiveEntry<K, V>): Buffer {
    return this.#bytes(this.entryKey, entry, 'key');
  }

  /** The value's bytes, never overwritten. */
  encodeValue(entry: LiveEntry<K, V>): Buffer {
    return this.#bytes(this.entryValue, entry, 'value');
  }

  decodeKey(bytes: Buffer): K {
    return this.#key.deserialize(bytes, this.#keyStart, bytes.length);
  }

  decodeValue(bytes: Buffer): V {
    return this.#value.deserialize(bytes, TIMESTAMP_BYTES, bytes.length);
  }

  #bytes<T>(serde: Serde<T>, value: T, field: string): Buffer {
    try {
      return blockBytes(serde, value);
    } catch (cause) {
      if (cause instanceof StreamsError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const store = this.#store;
      const message = `a ${field} of store ${store} cannot be written by ${serde.name}: ${reason}`;
      throw new StreamsError(
        'SERIALIZATION_FAILED',
        message,
        { store: this.#store, field },
        { cause },
      );
    }
  }

  #tooLong(sizeBytes: number): StreamsError {
    const store = this.#store;
    const message =
      `a key of store ${store} takes ${sizeBytes} bytes; ` +
      `at most ${KEY_BYTES_MAX} are possible`;
    return new StreamsError('STATE_KEY_TOO_LONG', message, {
      store,
      sizeBytes,
      limitBytes: KEY_BYTES_MAX,
    });
  }
}

const BLOCK_BYTES = 64 * 1024;
/** Kafka's largest record is 2^31-1 bytes; nothing useful comes near. */
const BLOCK_BYTES_MAX = 0x4000_0000;
/** The current block. A checkpoint's keys and values fill a few blocks, one after the other. */
let block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
let blockPosition = 0;

/** Encodes a value into the block without a copy; starts a new block if it is full. */
function blockBytes<T>(serde: Serde<T>, value: T): Buffer {
  for (;;) {
    const start = blockPosition;
    const end = serde.serialize(value, block, start);
    if (end !== NO_ROOM) {
      blockPosition = end;
      return block.subarray(start, end);
    }
    const sizeBytes = start === 0 ? block.length * 4 : BLOCK_BYTES;
    if (sizeBytes > BLOCK_BYTES_MAX) {
      throw new RangeError(`a value exceeds ${BLOCK_BYTES_MAX} bytes`);
    }
    block = Buffer.allocUnsafeSlow(sizeBytes);
    blockPosition = 0;
  }
}

function unused(): never {
  throw new AssertionFailure('entries are read through decodeKey and decodeValue');
}

/** The time in front of a value. */
export function decodeTimestamp(bytes: Buffer): number {
  return INT64.deserialize(bytes, 0, TIMESTAMP_BYTES);
}

/** The bytes of a key as text, which sorts as they do. */
export function keyText<K>(serde: Serde<K>, key: K): string {
  return serializeToBytes(serde, key).toString('latin1');
}

/** What finds a key in a map: the key itself, or the bytes of an object. */
export function keyIdentity<K>(serde: Serde<K>, key: K): unknown {
  return typeof key === 'object' && key !== null ? keyText(serde, key) : key;
}

/** Sorts entries by the bytes of their keys. Each has the identity of its key. */
export function sortByKeyBytes<K, E extends Identified<K>>(entries: E[], serde: Serde<K>): E[] {
  if (entries.every(serde === TEXT ? hasPlainText : hasBytesAsId)) return entries.sort(byId);
  const texts = entries.map((entry) => ({ entry, id: keyText(serde, entry.key) }));
  return texts.sort(byId).map(({ entry }) => entry);
}

interface Identified<K> {
  readonly key: K;
  readonly id: unknown;
}

const TEXT: unknown = string();
const SURROGATE = /[\ud800-\udfff]/;

/** UTF-8 sorts as JavaScript's text does, but for surrogates. */
function hasPlainText({ id }: Identified<unknown>): boolean {
  return !SURROGATE.test(id as string);
}

function hasBytesAsId({ key }: Identified<unknown>): boolean {
  return typeof key === 'object' && key !== null;
}

/** In the order of keys' identities, which is that of their bytes if these sort so. */
export function byId(a: { readonly id: unknown }, b: { readonly id: unknown }): number {
  const [left, right] = [a.id as string, b.id as string];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The most that bytes in a store may keep in memory besides themselves. */
const PINNED_BYTES_MAX = 16 * 1024;

/** Bytes to keep: copied if they are a view of many more, such as those of a fetched batch. */
export function unpinned<T>(value: T): T {
  if (typeof value !== 'object' || !(value instanceof Uint8Array)) return value;
  const { buffer, byteLength } = value;
  return buffer.byteLength - byteLength > PINNED_BYTES_MAX ? owned(value) : value;
}

/** A copy of bytes: a view would keep the whole buffer that it was read from in memory. */
export function owned<T>(value: T): T {
  return value instanceof Uint8Array ? (Buffer.from(value) as T & Buffer) : value;
}
