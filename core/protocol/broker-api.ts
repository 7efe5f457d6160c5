import type { ClusterRequests } from './cluster-requests.ts';
import type { RequestHandlers } from './exchange.ts';
import type { GroupRequests } from './group-requests.ts';
import type { RecordRequests } from './record-requests.ts';
import type { TopicRequests } from './topic-requests.ts';
import type { TransactionRequests } from './transaction-requests.ts';

export type * from './cluster-requests.ts';
export type * from './exchange.ts';
export type * from './group-requests.ts';
export type * from './record-requests.ts';
export type * from './topic-requests.ts';
export type * from './transaction-requests.ts';
export type { LedPartition, PartitionError, TopicPartition } from './topic-partition.ts';

/**
 * All that clients ask of a broker: Kafka's requests, in Kafka's meaning and with Kafka's error
 * codes, each with what it carries and what is answered. Both are plain data that structured clone
 * carries, and records travel as encoded batches. Never one request a record.
 */
export interface BrokerRequests
  extends ClusterRequests, RecordRequests, TransactionRequests, GroupRequests, TopicRequests {}

/** The name of a request. */
export type RequestName = keyof BrokerRequests;
/** What a request carries. */
export type RequestOf<Name extends RequestName> = BrokerRequests[Name]['request'];
/** The answer. */
export type ResponseOf<Name extends RequestName> = BrokerRequests[Name]['response'];

/**
 * The face of a broker: one method for each of `BrokerRequests`. The same clients work on the
 * embedded broker by a direct call, through a message port, or on a Kafka cluster.
 *
 * A method rejects, with a LogError, only when the request as a whole failed; what concerns one
 * partition, topic or group stands in its place of the answer as `error`.
 */
export type BrokerApi = RequestHandlers<BrokerRequests>;
