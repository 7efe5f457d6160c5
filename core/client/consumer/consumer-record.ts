import { LogError } from '../../errors.ts';
import { NULL_POSITION, type RecordCursor } from '../../record/record-cursor.ts';
import type { Headers } from '../../record/record.ts';
import type { Serde } from '../../serde/serde.ts';
import type { Topic } from '../topic.ts';

/** Stands for "not read yet": no key or value can be it. */
const UNREAD: unique symbol = Symbol('unread');

/** Where a record is, as a `ConsumerRecord` keeps it; a cursor on the record is such a one. */
export type RecordPositions = Pick<
  RecordCursor,
  | 'offset'
  | 'timestampMs'
  | 'headers'
  | 'source'
  | 'keyStart'
  | 'keyEnd'
  | 'valueStart'
  | 'valueEnd'
>;

/** Where bytes stand: `source[start, end)`. */
export interface ByteSpan {
  source: Buffer;
  start: number;
  end: number;
}

let locate: (record: ConsumerRecord, span: ByteSpan) => boolean;

/**
 * Points `span` at the bytes of a record's value as they stand in the log, without a view. False
 * for null, and for a record whose value is not what the log has.
 */
export function locateValue(record: ConsumerRecord, span: ByteSpan): boolean {
  return locate(record, span);
}

/**
 * A record as it was fetched. Key and value are deserialised when they are first looked at, so what
 * nobody reads costs nothing.
 */
export class ConsumerRecord<K = unknown, V = unknown> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** Their values are views of the fetched batch; copy what you keep. */
  readonly headers: Headers;
  readonly #handle: Topic<K, V>;
  readonly #source: Buffer;
  readonly #keyStart: number;
  readonly #keyEnd: number;
  readonly #valueStart: number;
  readonly #valueEnd: number;
  #key: K | null | typeof UNREAD = UNREAD;
  #value: V | null | typeof UNREAD = UNREAD;

  static {
    locate = (record, span) => {
      // A caller may have made what only looks like a record.
      if (!(#source in record) || record.#valueStart === NULL_POSITION) return false;
      span.source = record.#source;
      span.start = record.#valueStart;
      span.end = record.#valueEnd;
      return true;
    };
  }

  constructor(handle: Topic<K, V>, partition: number, cursor: RecordPositions) {
    this.topic = handle.name;
    this.partition = partition;
    this.offset = cursor.offset;
    this.timestampMs = cursor.timestampMs;
    this.headers = cursor.headers;
    this.#handle = handle;
    this.#source = cursor.source;
    this.#keyStart = cursor.keyStart;
    this.#keyEnd = cursor.keyEnd;
    this.#valueStart = cursor.valueStart;
    this.#valueEnd = cursor.valueEnd;
  }

  /** @throws LogError DESERIALIZATION_FAILED with topic, partition and offset. */
  get key(): K | null {
    if (this.#key === UNREAD)
      this.#key = this.#read('key', this.#handle.key, this.#keyStart, this.#keyEnd);
    return this.#key;
  }

  /** @throws LogError DESERIALIZATION_FAILED with topic, partition and offset. */
  get value(): V | null {
    if (this.#value === UNREAD) {
      this.#value = this.#read('value', this.#handle.value, this.#valueStart, this.#valueEnd);
    }
    return this.#value;
  }

  /** The key as it stands in the log: a view of the fetched batch; copy what you keep. */
  get rawKey(): Buffer | null {
    return this.#view(this.#keyStart, this.#keyEnd);
  }

  /** The value as it stands in the log: a view of the fetched batch; copy what you keep. */
  get rawValue(): Buffer | null {
    return this.#view(this.#valueStart, this.#valueEnd);
  }

  /** Narrows a record of one of several topics: `if (record.is(orders)) record.value.total`. */
  is<K2, V2>(topic: Topic<K2, V2>): this is ConsumerRecord<K2, V2> {
    return this.topic === topic.name;
  }

  #view(start: number, end: number): Buffer | null {
    return start === NULL_POSITION ? null : this.#source.subarray(start, end);
  }

  #read<T>(field: 'key' | 'value', serde: Serde<T>, start: number, end: number): T | null {
    if (start === NULL_POSITION) return null;
    try {
      return serde.deserialize(this.#source, start, end);
    } catch (cause) {
      throw deserializationFailed(this, field, serde, cause);
    }
  }
}

/** The records of a topic, or of several. */
export type RecordOf<T> = T extends Topic<infer K, infer V> ? ConsumerRecord<K, V> : never;

/** DESERIALIZATION_FAILED for one record. */
function deserializationFailed(
  record: { readonly topic: string; readonly partition: number; readonly offset: number },
  field: 'key' | 'value',
  serde: Serde<unknown>,
  cause: unknown,
): LogError {
  const { topic, partition, offset } = record;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message =
    `the ${field} of ${topic}-${partition} at offset ${offset} ` +
    `is not ${serde.name}: ${reason}`;
  return new LogError(
    'DESERIALIZATION_FAILED',
    message,
    { topic, partition, offset, field },
    { cause },
  );
}
