import type { Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import {
  checkOptions,
  flag,
  given,
  integer,
  oneOf,
  show,
  type OptionChecks,
} from '../../options.ts';
import type { Random } from '../../random.ts';
import { CODECS, type Codec } from '../../record/batch.ts';
import {
  COMPRESSION_LEVEL_CHECKS,
  COMPRESSION_LEVELS,
  type CompressionLevels,
} from '../../record/compression.ts';
import type { Acks } from '../../protocol/broker-api.ts';
import { identifier } from '../arguments.ts';
import type { Partitioner, PartitionStrategy } from './partitioner.ts';
import type { ProducerInterceptor } from './producer-interceptor.ts';

/** Kafka's producer settings, in camelCase; sizes in bytes, times in milliseconds. */
export interface ProducerOptions extends Partial<CompressionLevels> {
  /** What `send` waits for: 0 nothing, 1 the operating system, all (default) stable storage. */
  readonly acks?: Acks;
  /**
   * The size at which a batch is sent, 128 to 64 MiB; default 16,384. It takes no more memory than
   * its records need, rounded up to four times as much.
   */
  readonly batchSize?: number;
  /** What may wait to be sent in all, 1 KiB or more; beyond it `send` waits. Default 32 MiB. */
  readonly bufferMemory?: number;
  /**
   * How batches are compressed; a topic with a `compressionType` of its own changes that. Default
   * `none`.
   */
  readonly compressionType?: Codec;
  /** How long a record is tried before it fails, `lingerMs` or more; default 2 min. */
  readonly deliveryTimeoutMs?: number;
  /** Each record lands once and in order, however often it has to be sent. Default true. */
  readonly enableIdempotence?: boolean;
  /** See every record and what becomes of it, in this order. Default: none. */
  readonly interceptors?: readonly ProducerInterceptor[];
  /**
   * How long a batch that is not full waits for more; default 0. Kafka: 5; here a linger saves no
   * round trip, and slows down a loop that awaits each send.
   */
  readonly lingerMs?: number;
  /** How long `send` waits for room; default 1 min. */
  readonly maxBlockMs?: number;
  /** Requests under way to one partition, 1 to 5; default 5. */
  readonly maxInFlight?: number;
  /** The largest record, 1 KiB to 64 MiB; default 1 MiB. */
  readonly maxRequestSize?: number;
  /**
   * The longest time until partitions that were added to a topic are written to. Default 10 s.
   * Kafka: 5 min; in the same process a look costs next to nothing.
   */
  readonly metadataMaxAgeMs?: number;
  /** Chooses the partition of records that name none; default `default`. */
  readonly partitioner?: PartitionStrategy | Partitioner;
  /**
   * How long to wait after a failure that may pass; twice as long after each further one. Default
   * 100 ms.
   */
  readonly retryBackoffMs?: number;
  /** The longest such wait; the only one where `retryBackoffMs` is larger. Default 1 s. */
  readonly retryBackoffMaxMs?: number;
  /**
   * Names the producer across restarts: a former one is fenced, and its open transaction aborted.
   * At most 32,767 bytes. Default: none, and no transactions.
   */
  readonly transactionalId?: string;
  /** How long a transaction may stay open until the broker aborts it; default 1 min, up to 15. */
  readonly transactionTimeoutMs?: number;
}

const MIB = 1024 * 1024;

/** Kafka 4's defaults, but for `lingerMs` and `metadataMaxAgeMs`. */
export const PRODUCER_DEFAULTS = {
  ...COMPRESSION_LEVELS,
  acks: 'all',
  batchSize: 16_384,
  bufferMemory: 32 * MIB,
  compressionType: 'none',
  deliveryTimeoutMs: 120_000,
  enableIdempotence: true,
  interceptors: [],
  // Kafka: 5. There is no network round trip to save here, and records gather while a batch is
  // under way; a linger would only slow down a loop that awaits each send.
  lingerMs: 0,
  maxBlockMs: 60_000,
  maxInFlight: 5,
  maxRequestSize: MIB,
  // Kafka: 5 min. In the same process a look costs next to nothing.
  metadataMaxAgeMs: 10_000,
  partitioner: 'default',
  retryBackoffMs: 100,
  retryBackoffMaxMs: 1_000,
  transactionTimeoutMs: 60_000,
} as const satisfies ProducerOptions;

/** The options with the defaults filled in. */
export type ProducerSettings = ProducerOptions &
  Required<Pick<ProducerOptions, keyof typeof PRODUCER_DEFAULTS>>;

const STRATEGIES: readonly PartitionStrategy[] = ['default', 'round_robin', 'uniform_sticky'];

const CHECKS: OptionChecks<ProducerOptions> = {
  acks: oneOf(0, 1, 'all'),
  batchSize: integer(128, 64 * MIB),
  bufferMemory: integer(1024),
  ...COMPRESSION_LEVEL_CHECKS,
  compressionType: oneOf(...CODECS),
  deliveryTimeoutMs: integer(0),
  enableIdempotence: flag,
  interceptors: (value) =>
    Array.isArray(value) && value.every((each) => typeof each === 'object' && each !== null)
      ? undefined
      : 'a list of interceptors',
  lingerMs: integer(0),
  maxBlockMs: integer(0),
  maxInFlight: integer(1, 5),
  maxRequestSize: integer(1024, 64 * MIB),
  metadataMaxAgeMs: integer(0),
  partitioner: (value) => {
    if (typeof value === 'function') return undefined;
    const fault = oneOf(...STRATEGIES)(value);
    return fault === undefined ? undefined : `${fault} or a function`;
  },
  retryBackoffMs: integer(1),
  retryBackoffMaxMs: integer(1),
  transactionalId: identifier(),
  transactionTimeoutMs: integer(1),
};

/** What a producer needs of its surroundings; the default of each is the real thing. */
export interface ProducerEnvironment {
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: the machine's. */
  readonly random?: Random;
  /**
   * Gets a line when a callback or an interceptor throws. Default: warnings and errors to stderr.
   */
  readonly logger?: Logger;
}

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function producerSettings(options: ProducerOptions): ProducerSettings {
  checkOptions('producer', options, CHECKS);
  const settings: ProducerSettings = { ...PRODUCER_DEFAULTS, ...given(options) };
  checkTogether(settings, options);
  return settings;
}

/** Checks the options that must fit each other (Kafka: `ProducerConfig`). */
function checkTogether(settings: ProducerSettings, given: ProducerOptions): void {
  const { acks, enableIdempotence, transactionalId, lingerMs, deliveryTimeoutMs } = settings;
  if (deliveryTimeoutMs < lingerMs) {
    throw unfit('deliveryTimeoutMs', deliveryTimeoutMs, `lingerMs (${lingerMs}) or more`);
  }
  if (transactionalId !== undefined && !enableIdempotence) {
    throw unfit('enableIdempotence', false, 'true with a transactionalId');
  }
  if (acks === 0 && (transactionalId !== undefined || given.enableIdempotence === true)) {
    // A refused batch would go unseen, and so would the gap in the sequence.
    throw unfit('acks', acks, '1 or "all" with a transactionalId or enableIdempotence');
  }
}

function unfit(option: string, value: unknown, allowed: string): LogError {
  const shown = show(value);
  const message = `producer: ${option} must be ${allowed}, not ${shown}`;
  return new LogError('INVALID_OPTION', message, { option, value: shown, allowed });
}
