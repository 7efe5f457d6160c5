import type { IsolationLevel } from '../broker/broker-api.ts';
import {
  anything,
  checkOptions,
  flag,
  given,
  integer,
  oneOf,
  text,
  type OptionChecks,
} from '../options.ts';
import { rangeAssignor, type Assignor } from './assignors.ts';

/** Kafka's consumer settings, in camelCase; sizes in bytes, times in milliseconds. */
export interface ConsumerOptions {
  /** Where to begin in a partition for which the group has committed nothing. */
  readonly autoOffsetReset?: 'earliest' | 'latest' | 'none';
  readonly autoCommitIntervalMs?: number;
  readonly clientId?: string;
  /** Commit what was handed out, every `autoCommitIntervalMs` and at the end. Needs a `groupId`. */
  readonly enableAutoCommit?: boolean;
  readonly fetchMaxBytes?: number;
  readonly fetchMaxWaitMs?: number;
  readonly fetchMinBytes?: number;
  /** Members of one group divide the partitions among them, and its committed offsets are kept. */
  readonly groupId?: string;
  readonly heartbeatIntervalMs?: number;
  readonly isolationLevel?: IsolationLevel;
  readonly maxPartitionFetchBytes?: number;
  readonly maxPollIntervalMs?: number;
  readonly maxPollRecords?: number;
  /** How long it takes at most until partitions that a topic has got are read. */
  readonly metadataMaxAgeMs?: number;
  readonly partitionAssignmentStrategy?: readonly Assignor[];
  readonly sessionTimeoutMs?: number;
  /** Ends waiting polls and iterations. */
  readonly signal?: AbortSignal;
}

const MIB = 1024 * 1024;

/** Kafka's defaults, but for `autoOffsetReset`. */
export const CONSUMER_DEFAULTS = {
  // Kafka: latest. Here mostly the program that wrote the log reads it, and what it wrote before
  // its consumer's first start would be skipped without a word.
  autoOffsetReset: 'earliest',
  autoCommitIntervalMs: 5_000,
  clientId: 'consumer',
  enableAutoCommit: true,
  fetchMaxBytes: 50 * MIB,
  fetchMaxWaitMs: 500,
  fetchMinBytes: 1,
  heartbeatIntervalMs: 3_000,
  isolationLevel: 'read_uncommitted',
  maxPartitionFetchBytes: MIB,
  maxPollIntervalMs: 300_000,
  maxPollRecords: 500,
  // Kafka: 5 min. In the same process a look costs next to nothing.
  metadataMaxAgeMs: 10_000,
  partitionAssignmentStrategy: [rangeAssignor],
  sessionTimeoutMs: 45_000,
} as const satisfies ConsumerOptions;

const CHECKS: OptionChecks<ConsumerOptions> = {
  autoOffsetReset: oneOf('earliest', 'latest', 'none'),
  autoCommitIntervalMs: integer(0),
  clientId: text,
  enableAutoCommit: flag,
  fetchMaxBytes: integer(1024),
  fetchMaxWaitMs: integer(0),
  fetchMinBytes: integer(0),
  groupId: text,
  heartbeatIntervalMs: integer(1),
  isolationLevel: oneOf('read_uncommitted', 'read_committed'),
  maxPartitionFetchBytes: integer(1),
  maxPollIntervalMs: integer(1),
  maxPollRecords: integer(1),
  metadataMaxAgeMs: integer(0),
  partitionAssignmentStrategy: (value) =>
    Array.isArray(value) && value.length > 0 ? undefined : 'a list of assignors',
  sessionTimeoutMs: integer(1),
  signal: anything,
};

/** The options with the defaults filled in. */
export type ConsumerSettings = ConsumerOptions &
  Required<Pick<ConsumerOptions, keyof typeof CONSUMER_DEFAULTS>>;

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function consumerSettings(options: ConsumerOptions): ConsumerSettings {
  checkOptions('consumer', options, CHECKS);
  return { ...CONSUMER_DEFAULTS, ...given(options) };
}
