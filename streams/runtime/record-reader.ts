import { NULL_POSITION, type RecordCursor, type Serde } from '../../core/index.ts';
import { present } from '../../core/internal.ts';
import type { TopicSpec } from '../topology/node.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import type { SourceBytes } from '../topology/record-errors.ts';
import { deserializationFailed } from './record-failures.ts';

/** A record that is in no log, as the test driver has it. */
export interface InjectedRecord extends SourceBytes {
  readonly offset: number;
}

/** Reads the records of one partition: where a cursor stands, or those of the test driver. */
export class RecordReader {
  readonly #topic: string;
  readonly #partition: number;
  readonly #key: Serde<unknown>;
  readonly #value: Serde<unknown>;
  /** The last record of the test driver; always undefined in an application. */
  #injected: InjectedRecord | undefined;

  constructor({ name, key, value }: TopicSpec, partition: number) {
    this.#topic = name;
    this.#partition = partition;
    this.#key = key;
    this.#value = value;
  }

  /** From here on this is the current record. */
  inject(record: InjectedRecord): void {
    this.#injected = record;
  }

  /** The offset of the current record. */
  offset(cursor: RecordCursor | undefined): number {
    return this.#injected?.offset ?? present(cursor, 'there is a current record').offset;
  }

  /** The current record. @throws StreamsError DESERIALIZATION_FAILED */
  read(cursor: RecordCursor | undefined): StreamRecord {
    if (this.#injected !== undefined) return this.#readInjected(this.#injected);
    const current = present(cursor, 'there is a current record');
    const { offset, timestampMs, source, headers } = current;
    const key = this.#field('key', source, current.keyStart, current.keyEnd, offset);
    const value = this.#field('value', source, current.valueStart, current.valueEnd, offset);
    return this.#made(key, value, timestampMs, headers, offset);
  }

  /** The bytes of a record that is at hand: the current one, or the last. */
  source(cursor: RecordCursor | undefined, offset: number): SourceBytes | undefined {
    const injected = this.#injected;
    if (injected !== undefined) return injected.offset === offset ? injected : undefined;
    // A fetch that has just come stands before its first record, at offset 0.
    if (cursor === undefined || cursor.offset !== offset || cursor.source.length === 0) return;
    const { source, keyStart, keyEnd, valueStart, valueEnd, timestampMs, headers } = cursor;
    const key = keyStart === NULL_POSITION ? null : source.subarray(keyStart, keyEnd);
    const value = valueStart === NULL_POSITION ? null : source.subarray(valueStart, valueEnd);
    return { key, value, timestampMs, headers };
  }

  #readInjected({ key, value, timestampMs, headers, offset }: InjectedRecord): StreamRecord {
    const readKey = key && this.#field('key', key, 0, key.length, offset);
    const readValue = value && this.#field('value', value, 0, value.length, offset);
    return this.#made(readKey, readValue, timestampMs, headers, offset);
  }

  #made(
    key: unknown,
    value: unknown,
    timestampMs: number,
    headers: StreamRecord['headers'],
    offset: number,
  ): StreamRecord {
    return new StreamRecord(key, value, timestampMs, headers, this.#topic, this.#partition, offset);
  }

  #field(
    field: 'key' | 'value',
    source: Buffer,
    start: number,
    end: number,
    offset: number,
  ): unknown {
    if (start === NULL_POSITION) return null;
    const serde = field === 'key' ? this.#key : this.#value;
    try {
      return serde.deserialize(source, start, end);
    } catch (cause) {
      const [topic, partition] = [this.#topic, this.#partition];
      throw deserializationFailed({ topic, partition, offset, field }, serde, cause);
    }
  }
}
