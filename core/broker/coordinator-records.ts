import type { TopicPartition, TransactionState } from '../protocol/broker-api.ts';
import { StructReader, StructWriter } from '../protocol/struct-codec.ts';

/**
 * The records of `__consumer_offsets` and `__transaction_state` in Kafka's schemas: a key that
 * starts with an int16 type, a value that starts with an int16 version, null for "gone". All
 * versions that Kafka has written are read. (Kafka: `OffsetCommitKey.json`,
 * `OffsetCommitValue.json`, `GroupMetadataKey.json`, `GroupMetadataValue.json`,
 * `TransactionLogKey.json`, `TransactionLogValue.json`.)
 */

const OFFSET_KEY_TYPE = 1;
const GROUP_KEY_TYPE = 2;
const TRANSACTION_KEY_TYPE = 0;
const OFFSET_VALUE_VERSION = 3;
const GROUP_VALUE_VERSION = 3;
const TRANSACTION_VALUE_VERSION = 1;
const NO_LEADER_EPOCH = -1;
/** The tagged field `ClientTransactionVersion`, and the version that KIP-890 brought. */
const CLIENT_VERSION_TAG = 2;
const RAISES_EPOCH_FROM = 2;

export interface OffsetKey extends TopicPartition {
  readonly kind: 'offset';
  readonly groupId: string;
}
export interface GroupKey {
  readonly kind: 'group';
  readonly groupId: string;
}

export interface OffsetValue {
  readonly offset: number;
  readonly metadata: string;
  readonly commitMs: number;
}

export function encodeOffsetKey(key: Omit<OffsetKey, 'kind'>): Buffer {
  const writer = new StructWriter().int16(OFFSET_KEY_TYPE);
  return writer.string(key.groupId).string(key.topic).int32(key.partition).end();
}

export function encodeOffsetValue(value: OffsetValue): Buffer {
  const writer = new StructWriter().int16(OFFSET_VALUE_VERSION);
  writer.int64(value.offset).int32(NO_LEADER_EPOCH).string(value.metadata).int64(value.commitMs);
  return writer.end();
}

/**
 * The key of a record of `__consumer_offsets`, or undefined for kinds this broker has no use for.
 */
export function decodeGroupTopicKey(bytes: Buffer): OffsetKey | GroupKey | undefined {
  const reader = new StructReader(bytes);
  const type = reader.int16();
  switch (type) {
    case 0:
    case OFFSET_KEY_TYPE: {
      const [groupId, topic, partition] = [reader.string(), reader.string(), reader.int32()];
      return { kind: 'offset', groupId, topic, partition };
    }
    case GROUP_KEY_TYPE:
      return { kind: 'group', groupId: reader.string() };
    default:
      return undefined;
  }
}

/** The value of a committed offset, of any version that Kafka has written. */
export function decodeOffsetValue(bytes: Buffer): OffsetValue {
  const reader = new StructReader(bytes);
  const version = reader.int16();
  if (version > OFFSET_VALUE_VERSION) return decodeFlexibleOffset(reader);
  const offset = reader.int64();
  if (version === OFFSET_VALUE_VERSION) reader.int32(); // leader epoch
  return { offset, metadata: reader.string(), commitMs: reader.int64() };
}

/** Version 4: the string's length is an unsigned varint of length + 1. */
function decodeFlexibleOffset(reader: StructReader): OffsetValue {
  const offset = reader.int64();
  reader.int32();
  return { offset, metadata: reader.compactString(), commitMs: reader.int64() };
}

/** A group as it is kept over a restart. */
export interface GroupValue {
  readonly protocolType: string;
  readonly generation: number;
  readonly protocol: string | null;
  readonly leaderId: string | null;
  readonly stateMs: number;
  readonly members: readonly GroupValueMember[];
}
export interface GroupValueMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly subscription: Uint8Array;
  readonly assignment: Uint8Array;
}

export function encodeGroupKey(groupId: string): Buffer {
  return new StructWriter().int16(GROUP_KEY_TYPE).string(groupId).end();
}

export function encodeGroupValue(value: GroupValue): Buffer {
  const writer = new StructWriter().int16(GROUP_VALUE_VERSION).string(value.protocolType);
  writer.int32(value.generation).string(value.protocol).string(value.leaderId).int64(value.stateMs);
  writer.array(value.members, (member) => {
    writer.string(member.memberId).string(member.groupInstanceId).string(member.clientId);
    writer.string('/127.0.0.1').int32(member.rebalanceTimeoutMs).int32(member.sessionTimeoutMs);
    writer.bytes(member.subscription).bytes(member.assignment);
  });
  return writer.end();
}

/** The value of a group, of any version that Kafka has written. */
export function decodeGroupValue(bytes: Buffer): GroupValue {
  const reader = new StructReader(bytes);
  const version = reader.int16();
  if (version > GROUP_VALUE_VERSION) return decodeFlexibleGroup(reader);
  return {
    protocolType: reader.string(),
    generation: reader.int32(),
    protocol: reader.nullableString(),
    leaderId: reader.nullableString(),
    stateMs: version >= 2 ? reader.int64() : -1,
    members: reader.array(() => {
      const memberId = reader.string();
      const groupInstanceId = version >= 3 ? reader.nullableString() : null;
      const clientId = reader.string();
      reader.string(); // the client's host
      const timeoutMs = reader.int32();
      const sessionTimeoutMs = version >= 1 ? reader.int32() : timeoutMs;
      const times = { rebalanceTimeoutMs: timeoutMs, sessionTimeoutMs };
      const [subscription, assignment] = [reader.bytes(), reader.bytes()];
      return { memberId, groupInstanceId, clientId, ...times, subscription, assignment };
    }),
  };
}

/** Version 4, which Kafka reads and does not write yet. An empty string is read for null. */
function decodeFlexibleGroup(reader: StructReader): GroupValue {
  return {
    protocolType: reader.compactString(),
    generation: reader.int32(),
    protocol: reader.compactString() || null,
    leaderId: reader.compactString() || null,
    stateMs: reader.int64(),
    members: reader.compactArray(() => {
      const memberId = reader.compactString();
      const groupInstanceId = reader.compactString() || null;
      const clientId = reader.compactString();
      reader.compactString(); // the client's host
      const [rebalanceTimeoutMs, sessionTimeoutMs] = [reader.int32(), reader.int32()];
      const times = { rebalanceTimeoutMs, sessionTimeoutMs };
      const [subscription, assignment] = [reader.compactBytes(), reader.compactBytes()];
      reader.tags();
      return { memberId, groupInstanceId, clientId, ...times, subscription, assignment };
    }),
  };
}

/** The states of a transaction, numbered as Kafka keeps them. */
const TRANSACTION_STATES = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
] as const satisfies readonly TransactionState[];

export interface TransactionValue {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly timeoutMs: number;
  readonly state: TransactionState;
  readonly partitions: readonly TopicPartition[];
  readonly updatedMs: number;
  readonly startedMs: number;
  /**
   * True when the end of a transaction raises the epoch (KIP-890), so that markers carry another
   * one than the data. Only Kafka before version 4 does without.
   */
  readonly raisesEpoch: boolean;
}

export function encodeTransactionKey(transactionalId: string): Buffer {
  return new StructWriter().int16(TRANSACTION_KEY_TYPE).string(transactionalId).end();
}

export function decodeTransactionKey(bytes: Buffer): string | undefined {
  const reader = new StructReader(bytes);
  return reader.int16() === TRANSACTION_KEY_TYPE ? reader.string() : undefined;
}

export function encodeTransactionValue(value: TransactionValue): Buffer {
  const writer = new StructWriter().int16(TRANSACTION_VALUE_VERSION);
  writer.int64(value.producerId).int16(value.producerEpoch).int32(value.timeoutMs);
  writer.int8(TRANSACTION_STATES.indexOf(value.state));
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of value.partitions) {
    const partitions = byTopic.get(topic);
    if (partitions === undefined) byTopic.set(topic, [partition]);
    else partitions.push(partition);
  }
  writer.compactArray([...byTopic], ([topic, partitions]) => {
    writer.compactString(topic);
    writer.compactArray(partitions, (partition) => writer.int32(partition)).uvarint(0);
  });
  writer.int64(value.updatedMs).int64(value.startedMs);
  if (!value.raisesEpoch) return writer.uvarint(0).end();
  return writer.uvarint(1).uvarint(CLIENT_VERSION_TAG).uvarint(2).int16(RAISES_EPOCH_FROM).end();
}

/** A transaction, or undefined for one that is gone. */
export function decodeTransactionValue(bytes: Buffer): TransactionValue | undefined {
  const reader = new StructReader(bytes);
  const version = reader.int16();
  if (version > TRANSACTION_VALUE_VERSION) throw new RangeError(`unknown version ${version}`);
  const [producerId, producerEpoch, timeoutMs] = [reader.int64(), reader.int16(), reader.int32()];
  const status = reader.int8();
  const state = TRANSACTION_STATES[status];
  if (state === undefined) throw new RangeError(`unknown state ${status} of a transaction`);
  const isFlexible = version === TRANSACTION_VALUE_VERSION;
  const partitions = isFlexible ? readCompactPartitions(reader) : readPartitions(reader);
  const [updatedMs, startedMs] = [reader.int64(), reader.int64()];
  let clientVersion = 0;
  if (isFlexible) reader.tags({ [CLIENT_VERSION_TAG]: () => (clientVersion = reader.int16()) });
  if (state === 'Dead') return undefined;
  const raisesEpoch = clientVersion >= RAISES_EPOCH_FROM;
  const producer = { producerId, producerEpoch, timeoutMs };
  return { ...producer, state, partitions, updatedMs, startedMs, raisesEpoch };
}

function readPartitions(reader: StructReader): TopicPartition[] {
  const topics = reader.array(() => {
    const topic = reader.string();
    return reader.array(() => ({ topic, partition: reader.int32() }));
  });
  return topics.flat();
}

function readCompactPartitions(reader: StructReader): TopicPartition[] {
  const topics = reader.compactArray(() => {
    const topic = reader.compactString();
    const partitions = reader.compactArray(() => ({ topic, partition: reader.int32() }));
    reader.tags();
    return partitions;
  });
  return topics.flat();
}
