/// <reference types="node" preserve="true" />
/**
 * The log: topics, producers, consumers, administration. Start with `openLog` and `topic`.
 *
 * @packageDocumentation
 */
export { Log, type LogOptions } from './client/log.ts';
export { EmbeddedLog, openLog, type OpenLogOptions } from './client/open-log.ts';
export {
  topic,
  topicPattern,
  type AnyTopic,
  type Topic,
  type TopicOptions,
  type TopicPattern,
} from './client/topic.ts';
export { Producer } from './client/producer/producer.ts';
export {
  PRODUCER_DEFAULTS,
  type ProducerEnvironment,
  type ProducerOptions,
} from './client/producer/producer-options.ts';
export type { ProducerInterceptor } from './client/producer/producer-interceptor.ts';
export type { ProducerMetrics } from './client/producer/producer-metrics.ts';
export type {
  ProducerRecord,
  RecordMetadata,
  SendCallback,
} from './client/producer/producer-record.ts';
export {
  Transaction,
  type GroupMetadata,
  type TransactionStatus,
} from './client/producer/transaction.ts';
export { TopicWriter } from './client/producer/topic-writer.ts';
export {
  parseDeadLetter,
  type DeadLetter,
  type RawRecord,
} from './client/dead-letters/dead-letter.ts';
export {
  replayDeadLetters,
  type PlacedLetter,
  type Replay,
  type ReplayOptions,
} from './client/dead-letters/replay.ts';
export { Consumer } from './client/consumer/consumer.ts';
export type { OffsetReset } from './client/consumer/assigned-partitions.ts';
export type { Rebalance, RebalanceCallbacks } from './client/group/rebalancer.ts';
export type { OffsetToCommit } from './client/group/offset-committer.ts';
export type { AutoOffsetReset } from './client/consumer/start-offsets.ts';
export type { PartitionLag } from './client/consumer/consumer-positions.ts';
export {
  CONSUMER_DEFAULTS,
  type Assignment,
  type ConsumerEnvironment,
  type ConsumerOptions,
  type PollOptions,
} from './client/consumer/consumer-options.ts';
export {
  ConsumerRecord,
  type RecordOf,
  type RecordPositions,
} from './client/consumer/consumer-record.ts';
export { PartitionRecords } from './client/consumer/partition-records.ts';
export {
  rangeAssignor,
  roundRobinAssignor,
  type AssignedMember,
  type Assignor,
  type MemberPartitions,
} from './client/group/assignors.ts';
export { cooperativeStickyAssignor, stickyAssignor } from './client/group/sticky-assignor.ts';
export type { MemberSubscription } from './protocol/consumer-protocol.ts';
export {
  Admin,
  type AbortTransaction,
  type AlterConfigs,
  type ConsumerGroupDescription,
  type CreateTopicOptions,
  type GroupMemberDescription,
  type TopicSettingName,
  type TopicSettings,
} from './client/admin/admin.ts';
export { logPrometheusText } from './client/admin/log-metrics.ts';
export type {
  AlteredOffset,
  AlterGroupOffsets,
  GroupOffset,
  OffsetTarget,
} from './client/group/group-offsets.ts';
export type { MarkerType } from './record/control.ts';
export type { TopicConfig } from './protocol/topic-config.ts';
export {
  verifyLog,
  type Verification,
  type VerifiedPartition,
  type VerifyOptions,
} from './check/verify.ts';
export { repairLog, type Repair, type RepairOptions, type RepairPlan } from './check/repair.ts';
export {
  viewLog,
  LogView,
  type GroupView,
  type PartitionView,
  type RecordView,
  type TopicView,
} from './check/log-view.ts';
export type { Problem } from './check/finding.ts';
export {
  murmur2,
  partitionOfKey,
  type Partitioner,
  type PartitionStrategy,
} from './client/producer/partitioner.ts';
export type * from './protocol/broker-api.ts';
export type { CleanupPolicy, LogConfig } from './log/log-config.ts';
export type { BatchHeader, Codec } from './record/batch.ts';
export type { CompressionLevels } from './record/compression.ts';
export { NULL_POSITION, RecordCursor } from './record/record-cursor.ts';
export { NO_HEADERS, type Header, type Headers } from './record/record.ts';
export type { RecordPlace } from './record/unpack.ts';
export {
  customSerde,
  deserializeBytes,
  NO_ROOM,
  serializeToBytes,
  type Serde,
} from './serde/serde.ts';
export { json, string, type JsonOptions } from './serde/text.ts';
export type { JsonNumbers } from './serde/json-numbers.ts';
export { bigint64, bytes, double, int16, int32, int64, uuid } from './serde/binary.ts';
export { msgpack } from './serde/msgpack.ts';
export {
  validated,
  type SchemaIssue,
  type SchemaResult,
  type StandardSchema,
} from './serde/validated.ts';
export { versioned, type VersionedSerde } from './serde/versioned.ts';
export { LogError, type LogErrorCode, type LogErrorData, type LogErrorDetails } from './errors.ts';
export { AssertionFailure } from './assert.ts';
export { systemClock, type Clock, type Timer } from './clock.ts';
export type { RetryStatus } from './retry-pause.ts';
export { seededRandom, systemRandom, type Random } from './random.ts';
export {
  fieldsFirst,
  jsonLogger,
  silentLogger,
  stderrLogger,
  type FieldsFirstLogger,
  type LogFields,
  type Logger,
} from './logger.ts';
export type {
  DirectoryEntry,
  File,
  FileIdentity,
  FileStat,
  FileSystem,
  OpenMode,
} from './storage/file-system.ts';
export { nodeFileSystem } from './storage/node-fs.ts';
