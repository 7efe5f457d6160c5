import type { Clock } from '../../clock.ts';
import type { IsolationLevel } from '../../protocol/broker-api.ts';
import { LogError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Random } from '../../random.ts';
import {
  able,
  checkArgument,
  checkOptions,
  flag,
  given,
  integer,
  listOf,
  oneOf,
  plain,
  type OptionChecks,
} from '../../options.ts';
import { checkHandle, clientIdentifier, identifier, signalLike, waitMs } from '../arguments.ts';
import { rangeAssignor, type Assignor } from '../group/assignors.ts';
import type { AutoOffsetReset } from './start-offsets.ts';
import { cooperativeStickyAssignor } from '../group/sticky-assignor.ts';
import type { AnyTopic } from '../topic.ts';

/** Kafka's consumer settings, in camelCase; sizes in bytes, times in milliseconds. */
export interface ConsumerOptions {
  /** Where to begin in a partition for which the group has committed nothing. */
  readonly autoOffsetReset?: AutoOffsetReset;
  readonly autoCommitIntervalMs?: number;
  /** Begins the member's id, for the eyes of administrators; at most 32,724 bytes. */
  readonly clientId?: string;
  /** Commit what was handed out, every `autoCommitIntervalMs` and at the end. Needs a `groupId`. */
  readonly enableAutoCommit?: boolean;
  readonly fetchMaxBytes?: number;
  readonly fetchMaxWaitMs?: number;
  readonly fetchMinBytes?: number;
  /**
   * Members of one group divide the partitions among them, and its committed offsets are kept. At
   * most 32,767 bytes, as `groupInstanceId`.
   */
  readonly groupId?: string;
  /**
   * Makes the consumer a static member (KIP-345): closed, or gone with its process, it keeps its
   * seat until its session ends; a consumer that comes back under this id has the same partitions
   * without a rebalance. Sessions begin again when the log is opened. Of two that run at once, the
   * later one fences the earlier.
   */
  readonly groupInstanceId?: string;
  readonly heartbeatIntervalMs?: number;
  readonly isolationLevel?: IsolationLevel;
  readonly maxPartitionFetchBytes?: number;
  readonly maxPollIntervalMs?: number;
  readonly maxPollRecords?: number;
  /** The longest time until partitions that were added to a topic are read. */
  readonly metadataMaxAgeMs?: number;
  /**
   * What a consumer does when its next offset is gone, by retention for instance: it goes where
   * `autoOffsetReset` leads and reports that (`resets$`, a warning), or its polls fail.
   */
  readonly offsetOutOfRange?: 'reset' | 'fail';
  /** By preference; the group takes one that all its members know. */
  readonly partitionAssignmentStrategy?: readonly Assignor[];
  readonly sessionTimeoutMs?: number;
  /** Ends waiting polls and iterations. */
  readonly signal?: AbortSignal;
}

/** What a consumer takes from outside. */
export interface ConsumerEnvironment {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** A partition that a caller assigns to a consumer. */
export interface Assignment<T extends AnyTopic = AnyTopic> {
  readonly topic: T;
  readonly partition: number;
  /** The first offset to read; default: as committed, or `autoOffsetReset`. */
  readonly offset?: number;
}

/** What limits the wait of one poll. */
export interface PollOptions {
  /** Milliseconds; default: until there are records. */
  readonly maxWaitMs?: number;
  /** Ends this poll with ABORTED, and nothing else: the next one goes on. Kafka: `wakeup`. */
  readonly signal?: AbortSignal;
}

/** For `checkOptions`. */
export const POLL_CHECKS: OptionChecks<PollOptions> = { maxWaitMs: waitMs, signal: signalLike };

/** The group of a consumer. @throws LogError NOT_SUBSCRIBED where it has none. */
export function groupIdOf({ groupId }: { readonly groupId?: string | undefined }): string {
  if (groupId !== undefined) return groupId;
  const message = 'the consumer has no groupId, for which offsets would be committed';
  throw new LogError('NOT_SUBSCRIBED', message, {});
}

/** @throws LogError INVALID_OPTION unless they say what to read. */
export function checkAssignments(given: unknown): void {
  checkArgument('assign', 'assignments', given, listOf('{ topic, partition }'));
  for (const [index, each] of (given as unknown[]).entries()) {
    const at = `assignments[${index}]`;
    checkArgument('assign', at, each, plain);
    const { topic, partition, offset = 0 } = each as Record<string, unknown>;
    checkHandle('assign', topic, `${at}.topic`);
    checkArgument('assign', `${at}.partition`, partition, integer(0));
    checkArgument('assign', `${at}.offset`, offset, integer(0));
  }
}

const MIB = 1024 * 1024;

/** Kafka's defaults, but for `autoOffsetReset`. */
export const CONSUMER_DEFAULTS = {
  // Kafka: latest. Here the program that reads a log has mostly written it too, and what it wrote
  // before its consumer's first start would be skipped silently.
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
  // Kafka: 5 min. In the same process a lookup costs next to nothing.
  metadataMaxAgeMs: 10_000,
  offsetOutOfRange: 'reset',
  partitionAssignmentStrategy: [rangeAssignor, cooperativeStickyAssignor],
  sessionTimeoutMs: 45_000,
} as const satisfies ConsumerOptions;

const ALLOWED_RESETS =
  '"earliest", "latest", "none", { timestampMs } or { byDurationMs } with an integer, 0 or more';

function isReset(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) {
    return value === 'earliest' || value === 'latest' || value === 'none';
  }
  const [[field, ms] = [], ...others] = Object.entries(value) as [string, unknown][];
  const isKnown = field === 'timestampMs' || field === 'byDurationMs';
  return isKnown && others.length === 0 && Number.isSafeInteger(ms) && (ms as number) >= 0;
}

const isAssignor = (value: unknown): boolean => able('', 'assign')(value) === undefined;

const CHECKS: OptionChecks<ConsumerOptions> = {
  autoOffsetReset: (value) => (isReset(value) ? undefined : ALLOWED_RESETS),
  autoCommitIntervalMs: integer(0),
  clientId: clientIdentifier,
  enableAutoCommit: flag,
  fetchMaxBytes: integer(1024),
  fetchMaxWaitMs: integer(0),
  fetchMinBytes: integer(0),
  groupId: identifier(),
  groupInstanceId: identifier(),
  heartbeatIntervalMs: integer(1),
  isolationLevel: oneOf('read_uncommitted', 'read_committed'),
  maxPartitionFetchBytes: integer(1),
  maxPollIntervalMs: integer(1),
  maxPollRecords: integer(1),
  metadataMaxAgeMs: integer(0),
  offsetOutOfRange: oneOf('reset', 'fail'),
  partitionAssignmentStrategy: (value) =>
    Array.isArray(value) && value.length > 0 && value.every(isAssignor)
      ? undefined
      : 'a list of assignors, such as [rangeAssignor]',
  sessionTimeoutMs: integer(1),
  signal: signalLike,
};

/** The options with the defaults filled in. */
export type ConsumerSettings = ConsumerOptions &
  Required<Pick<ConsumerOptions, keyof typeof CONSUMER_DEFAULTS>>;

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function consumerSettings(options: ConsumerOptions): ConsumerSettings {
  checkOptions('consumer', options, CHECKS);
  return { ...CONSUMER_DEFAULTS, ...given(options) };
}
