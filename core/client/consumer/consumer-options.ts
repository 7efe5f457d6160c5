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
  /**
   * Where to begin in a partition for which the group has committed nothing. Default `earliest`.
   * Kafka: `latest`; but here mostly the program that wrote the log reads it, and whatever it
   * wrote before its consumer's first start would be skipped without a word.
   */
  readonly autoOffsetReset?: AutoOffsetReset;
  /** How often `enableAutoCommit` commits; default 5 s. */
  readonly autoCommitIntervalMs?: number;
  /**
   * Begins the member's id, which descriptions of its group show; at most 32,724 bytes. Default
   * `consumer`.
   */
  readonly clientId?: string;
  /**
   * Commit what was handed out, every `autoCommitIntervalMs` and at the end. Needs a `groupId`.
   * Default true.
   */
  readonly enableAutoCommit?: boolean;
  /** How much one fetch brings from all partitions; default 50 MiB. */
  readonly fetchMaxBytes?: number;
  /** How long a fetch waits for `fetchMinBytes`; default 500 ms. */
  readonly fetchMaxWaitMs?: number;
  /** A fetch waits until there is so much; default 1. */
  readonly fetchMinBytes?: number;
  /**
   * Members of one group divide the partitions among them, and its committed offsets are kept. At
   * most 32,767 bytes, as `groupInstanceId`. Default: none.
   */
  readonly groupId?: string;
  /**
   * Makes the consumer a static member (KIP-345): closed, or gone with its process, it keeps its
   * seat until its session ends, and who comes back under this id has the same partitions without
   * a rebalance. Sessions begin anew when the log is opened. Of two that run at once, the later
   * one fences the earlier. Default: none.
   */
  readonly groupInstanceId?: string;
  /** How often a member shows its group that it lives; default 3 s. */
  readonly heartbeatIntervalMs?: number;
  /** Whether records of open and aborted transactions are read; default `read_uncommitted`. */
  readonly isolationLevel?: IsolationLevel;
  /** How much one fetch brings from a partition; default 1 MiB. */
  readonly maxPartitionFetchBytes?: number;
  /** A member that does not poll for so long loses its partitions; default 5 min. */
  readonly maxPollIntervalMs?: number;
  /** The most records that a poll returns; default 500. */
  readonly maxPollRecords?: number;
  /**
   * How long it takes at most until partitions that a topic has got are read. Default 10 s. Kafka:
   * 5 min; in the same process a look costs next to nothing.
   */
  readonly metadataMaxAgeMs?: number;
  /**
   * What becomes of a consumer whose next offset is gone, by retention for instance: it goes where
   * `autoOffsetReset` says and tells so (`resets$`, a warning), or its polls fail. Default
   * `reset`.
   */
  readonly offsetOutOfRange?: 'reset' | 'fail';
  /**
   * By preference; the group takes one that all its members know. Default: `rangeAssignor`, then
   * `cooperativeStickyAssignor`.
   */
  readonly partitionAssignmentStrategy?: readonly Assignor[];
  /** A member without a heartbeat for so long loses its partitions; default 45 s. */
  readonly sessionTimeoutMs?: number;
  /** Ends waiting polls and iterations. Default: none. */
  readonly signal?: AbortSignal;
}

/** What a consumer takes from outside. */
export interface ConsumerEnvironment {
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: the machine's. */
  readonly random?: Random;
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
}

/** What a consumer is told to read, by hand. */
export interface Assignment<T extends AnyTopic = AnyTopic> {
  readonly topic: T;
  readonly partition: number;
  /** The first offset to read; default: as committed, or `autoOffsetReset`. */
  readonly offset?: number;
}

/** How one poll waits. */
export interface PollOptions {
  /** Milliseconds; default: until there are records. */
  readonly maxWaitMs?: number;
  /**
   * Ends this poll with ABORTED, and nothing else: the next one goes on. Kafka: `wakeup`. Default:
   * none.
   */
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
