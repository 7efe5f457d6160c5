import { LogError } from '../errors.ts';
import { flag, integer, oneOf, type OptionCheck } from '../options.ts';
import type { BrokerRequests, RequestName, RequestOf } from './broker-api.ts';
import type { LedPartition, TopicPartition } from './topic-partition.ts';
import { fields, list, misfit, nullable, optional, value, type Shape } from './shape.ts';
import { STRING_BYTES_MAX } from './struct-codec.ts';

const INT16_MAX = 0x7fff;
const INT32_MAX = 0x7fff_ffff;
const bytesOnly: OptionCheck = (given) =>
  given instanceof Uint8Array ? undefined : 'bytes, in a Uint8Array';
const textOnly: OptionCheck = (given) => (typeof given === 'string' ? undefined : 'a string');
const numberOnly: OptionCheck = (given) => (typeof given === 'number' ? undefined : 'a number');

/** A remaining time may be a fraction, and negative. */
const wait: OptionCheck = (given) =>
  Number.isFinite(given) && (given as number) <= INT32_MAX
    ? undefined
    : `a number of milliseconds, at most ${INT32_MAX}`;

/** A string that is kept in a struct of Kafka. */
const name: Shape = (given) => {
  const allowed = `a string of at most ${STRING_BYTES_MAX} bytes of UTF-8`;
  if (typeof given !== 'string') return misfit(given, allowed);
  if (given.length * 3 <= STRING_BYTES_MAX) return undefined;
  const sizeBytes = Buffer.byteLength(given);
  if (sizeBytes <= STRING_BYTES_MAX) return undefined;
  return { field: '', value: `one of ${sizeBytes} bytes`, allowed };
};
const text = value(textOnly);
const bytes = value(bytesOnly);
const boolean = value(flag);
const names = list(name);
const count = value(integer(0));
const int32 = value(integer(-INT32_MAX - 1, INT32_MAX));
const epoch = value(integer(-1, INT32_MAX));
/** -1 stands for none. */
const offset = value(integer(-1));
const isolationLevel = value(oneOf('read_uncommitted', 'read_committed'));
const producerId = value(integer(-1));
const producerEpoch = value(integer(-1, INT16_MAX));
/** An unknown partition is UNKNOWN_TOPIC_OR_PARTITION, in its item of the answer. */
const partition = int32;
const topic = name;
const place = fields<TopicPartition>({ topic, partition });
const led = { topic, partition, currentLeaderEpoch: optional(epoch) };
const topics = fields<{ readonly topics: readonly string[] }>({ topics: names });
const validateOnly = optional(boolean);

const atTime = fields<{ timestampMs: number }>({ timestampMs: value(integer(-1)) });
const atEnd = value(oneOf('earliest', 'latest', 'max_timestamp'));
const spec: Shape = (given) =>
  typeof given === 'object' && given !== null ? atTime(given) : atEnd(given);

const texts = list(text);
const config: Shape = (given) =>
  typeof given === 'object' && given !== null
    ? texts(Object.values(given))
    : misfit(given, 'an object');

const transaction = { transactionalId: name, producerId, producerEpoch };
const member = {
  groupId: name,
  memberId: name,
  generation: epoch,
  groupInstanceId: optional(name),
};
const offsets = list(
  fields<RequestOf<'offsetCommit'>['offsets'][number]>({
    topic,
    partition,
    offset: count,
    metadata: optional(text),
  }),
);

/** The shape of each request: what would do harm, or make no sense, further inside. */
const SHAPES: { readonly [Name in keyof BrokerRequests]: Shape } = {
  metadata: fields<RequestOf<'metadata'>>({ topics: optional(names) }),
  findCoordinator: fields<RequestOf<'findCoordinator'>>({
    keyType: value(oneOf('group', 'transaction')),
    keys: names,
  }),

  produce: fields<RequestOf<'produce'>>({
    acks: value(oneOf(0, 1, 'all')),
    transactionalId: optional(name),
    addsPartitions: optional(boolean),
    batches: list(
      fields<RequestOf<'produce'>['batches'][number]>({ topic, partition, records: bytes }),
    ),
  }),
  fetch: fields<RequestOf<'fetch'>>({
    isolationLevel,
    maxWaitMs: value(wait),
    minBytes: count,
    maxBytes: count,
    partitions: list(
      fields<RequestOf<'fetch'>['partitions'][number]>({
        ...led,
        fetchOffset: offset,
        maxBytes: count,
      }),
    ),
  }),
  listOffsets: fields<RequestOf<'listOffsets'>>({
    isolationLevel,
    partitions: list(fields<RequestOf<'listOffsets'>['partitions'][number]>({ ...led, spec })),
  }),
  offsetForLeaderEpoch: fields<RequestOf<'offsetForLeaderEpoch'>>({
    partitions: list(
      fields<LedPartition & { leaderEpoch: number }>({ ...led, leaderEpoch: epoch }),
    ),
  }),
  deleteRecords: fields<RequestOf<'deleteRecords'>>({
    partitions: list(fields<TopicPartition & { offset: number }>({ topic, partition, offset })),
  }),

  initProducerId: fields<RequestOf<'initProducerId'>>({
    transactionalId: nullable(name),
    transactionTimeoutMs: int32,
    producerId: optional(producerId),
    producerEpoch: optional(producerEpoch),
  }),
  addPartitionsToTxn: fields<RequestOf<'addPartitionsToTxn'>>({
    ...transaction,
    partitions: list(place),
  }),
  addOffsetsToTxn: fields<RequestOf<'addOffsetsToTxn'>>({ ...transaction, groupId: name }),
  txnOffsetCommit: fields<RequestOf<'txnOffsetCommit'>>({ ...transaction, ...member, offsets }),
  endTxn: fields<RequestOf<'endTxn'>>({
    ...transaction,
    commit: boolean,
    transactionVersion: optional(value(oneOf(1, 2))),
  }),
  listTransactions: fields<RequestOf<'listTransactions'>>({
    states: optional(texts),
    producerIds: optional(list(value(numberOnly))),
    durationMs: optional(value(numberOnly)),
  }),
  describeTransactions: fields<RequestOf<'describeTransactions'>>({ transactionalIds: names }),
  describeProducers: fields<RequestOf<'describeProducers'>>({ partitions: list(place) }),
  writeTxnMarkers: fields<RequestOf<'writeTxnMarkers'>>({
    markers: list(
      fields<RequestOf<'writeTxnMarkers'>['markers'][number]>({
        producerId,
        producerEpoch,
        partitions: list(place),
      }),
    ),
  }),

  joinGroup: fields<RequestOf<'joinGroup'>>({
    groupId: name,
    memberId: name,
    groupInstanceId: optional(name),
    clientId: name,
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: value(integer(0, INT32_MAX)),
    protocolType: name,
    protocols: list(fields<RequestOf<'joinGroup'>['protocols'][number]>({ name, metadata: bytes })),
  }),
  syncGroup: fields<RequestOf<'syncGroup'>>({
    ...member,
    assignments: list(
      fields<RequestOf<'syncGroup'>['assignments'][number]>({ memberId: name, assignment: bytes }),
    ),
  }),
  heartbeat: fields<RequestOf<'heartbeat'>>(member),
  leaveGroup: fields<RequestOf<'leaveGroup'>>({
    groupId: name,
    memberId: name,
    groupInstanceId: optional(name),
  }),
  offsetCommit: fields<RequestOf<'offsetCommit'>>({ ...member, offsets }),
  offsetFetch: fields<RequestOf<'offsetFetch'>>({
    groupId: name,
    partitions: optional(list(place)),
    requireStable: boolean,
  }),
  listGroups: fields<RequestOf<'listGroups'>>({ states: optional(texts) }),
  describeGroups: fields<RequestOf<'describeGroups'>>({ groupIds: names }),
  deleteGroups: fields<RequestOf<'deleteGroups'>>({ groupIds: names }),
  offsetDelete: fields<RequestOf<'offsetDelete'>>({ groupId: name, partitions: list(place) }),

  createTopics: fields<RequestOf<'createTopics'>>({
    topics: list(
      fields<RequestOf<'createTopics'>['topics'][number]>({
        topic: text, // which names are good is for the broker to say
        partitions: value(numberOnly),
        config: optional(config),
      }),
    ),
    validateOnly,
  }),
  createPartitions: fields<RequestOf<'createPartitions'>>({
    topics: list(
      fields<RequestOf<'createPartitions'>['topics'][number]>({
        topic: text,
        count: value(numberOnly),
      }),
    ),
    validateOnly,
  }),
  deleteTopics: topics,
  describeConfigs: topics,
  incrementalAlterConfigs: fields<RequestOf<'incrementalAlterConfigs'>>({
    topics: list(
      fields<RequestOf<'incrementalAlterConfigs'>['topics'][number]>({
        topic,
        changes: list(
          fields<RequestOf<'incrementalAlterConfigs'>['topics'][number]['changes'][number]>({
            name,
            operation: value(oneOf('SET', 'DELETE', 'APPEND', 'SUBTRACT')),
            value: optional(text),
          }),
        ),
      }),
    ),
    validateOnly,
  }),
  describeLogDirs: fields<RequestOf<'describeLogDirs'>>({ topics: optional(names) }),
};

/** The names of all requests. */
export const REQUEST_NAMES = Object.keys(SHAPES) as readonly RequestName[];

/**
 * Checks a request as a broker gets it: what comes through a connection is input. Once for each
 * request; records are checked where they are appended.
 *
 * What the broker keeps of a request is encoded later, at a checkpoint or when the log closes. What
 * Kafka's formats cannot hold must be refused before, or it would fail there, each time.
 *
 * @throws LogError INVALID_REQUEST
 */
export function checkRequest<Name extends RequestName>(
  request: Name,
  given: RequestOf<Name>,
): void {
  const found = SHAPES[request](given);
  if (found === undefined) return;
  const { field: path, value: shown, allowed } = found;
  const field = path || 'request'; // it is itself no object
  const message = `${request}: ${field} must be ${allowed}, not ${shown}`;
  throw new LogError('INVALID_REQUEST', message, { request, field, value: shown, allowed });
}
