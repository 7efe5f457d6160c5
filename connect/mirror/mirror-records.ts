/** The records by which Kafka's MirrorMaker 2 tells what it has mirrored, in its formats. */
import { customSerde, topic, type Topic, type TopicPartition } from '../../core/index.ts';

/** Which offset of the mirror follows from which offset of the source. */
export interface OffsetSync {
  /** The next offset to read there. */
  readonly upstreamOffset: number;
  /** The next offset to read here. */
  readonly offset: number;
}

/** Where a group of the source would go on in the mirror. */
export interface Checkpoint extends OffsetSync {
  /** As the group has committed it. */
  readonly metadata: string;
}

/** Whose checkpoint it is; the partition is the mirror's. */
export interface CheckpointKey extends TopicPartition {
  readonly group: string;
}

/** Between which logs a mirror lives. */
export interface HeartbeatKey {
  readonly source: string;
  readonly target: string;
}

const COMPACTED = { cleanupPolicy: 'compact' } as const;
/** Of values that may get other fields one day. */
const VERSION = 0;

/** Writes the fields of a record of Kafka's protocol, all big-endian. */
class Fields {
  readonly #parts: Buffer[] = [];

  text(value: string): this {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(2);
    length.writeInt16BE(bytes.length);
    this.#parts.push(length, bytes);
    return this;
  }

  int16(value: number): this {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16BE(value);
    this.#parts.push(bytes);
    return this;
  }

  int32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    this.#parts.push(bytes);
    return this;
  }

  int64(value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(value));
    this.#parts.push(bytes);
    return this;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Reads them. @throws RangeError where the bytes end too early. */
class FieldReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  text(): string {
    const length = this.int16();
    const end = this.#at + length;
    if (length < 0 || end > this.#bytes.length) throw new RangeError(`no text of ${length} bytes`);
    const value = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end;
    return value;
  }

  int16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  int64(): number {
    this.#at += 8;
    return Number(this.#bytes.readBigInt64BE(this.#at - 8));
  }
}

/** The topic of offset syncs with a log: MirrorMaker's, where it keeps them in the target. */
export function offsetSyncs(alias: string): Topic<TopicPartition, OffsetSync> {
  return topic(`mm2-offset-syncs.${alias}.internal`, {
    partitions: 1,
    config: COMPACTED,
    key: customSerde<TopicPartition>({
      name: 'offset-sync-key',
      serialize: (key) => new Fields().text(key.topic).int32(key.partition).bytes(),
      deserialize: (bytes) => {
        const fields = new FieldReader(bytes);
        return { topic: fields.text(), partition: fields.int32() };
      },
    }),
    value: customSerde<OffsetSync>({
      name: 'offset-sync',
      serialize: ({ upstreamOffset, offset }) => {
        return new Fields().int64(upstreamOffset).int64(offset).bytes();
      },
      deserialize: (bytes) => {
        const fields = new FieldReader(bytes);
        return { upstreamOffset: fields.int64(), offset: fields.int64() };
      },
    }),
  });
}

/** The topic of checkpoints of a log's groups. */
export function checkpoints(alias: string): Topic<CheckpointKey, Checkpoint> {
  return topic(`${alias}.checkpoints.internal`, {
    partitions: 1,
    config: COMPACTED,
    key: customSerde<CheckpointKey>({
      name: 'checkpoint-key',
      serialize: (key) => {
        return new Fields().text(key.group).text(key.topic).int32(key.partition).bytes();
      },
      deserialize: (bytes) => {
        const fields = new FieldReader(bytes);
        return { group: fields.text(), topic: fields.text(), partition: fields.int32() };
      },
    }),
    value: customSerde<Checkpoint>({
      name: 'checkpoint',
      serialize: ({ upstreamOffset, offset, metadata }) => {
        const fields = new Fields().int16(VERSION).int64(upstreamOffset).int64(offset);
        return fields.text(metadata).bytes();
      },
      deserialize: (bytes) => {
        const fields = new FieldReader(bytes);
        checkVersion(fields.int16());
        return {
          upstreamOffset: fields.int64(),
          offset: fields.int64(),
          metadata: fields.text(),
        };
      },
    }),
  });
}

/** The topic of heartbeats; the value is a time in milliseconds. */
export const heartbeats: Topic<HeartbeatKey, number> = topic('heartbeats', {
  partitions: 1,
  config: COMPACTED,
  key: customSerde<HeartbeatKey>({
    name: 'heartbeat-key',
    serialize: ({ source, target }) => new Fields().text(source).text(target).bytes(),
    deserialize: (bytes) => {
      const fields = new FieldReader(bytes);
      return { source: fields.text(), target: fields.text() };
    },
  }),
  value: customSerde<number>({
    name: 'heartbeat',
    serialize: (timestampMs) => new Fields().int16(VERSION).int64(timestampMs).bytes(),
    deserialize: (bytes) => {
      const fields = new FieldReader(bytes);
      checkVersion(fields.int16());
      return fields.int64();
    },
  }),
});

function checkVersion(version: number): void {
  if (version !== VERSION) throw new RangeError(`it has version ${version}, known is ${VERSION}`);
}
