import {
  AssertionFailure,
  bytes,
  LogError,
  topic as topicHandle,
  type Clock,
  type Header,
  type Headers,
  type Logger,
  type Topic,
} from '../../core/index.ts';
import {
  asBuffer,
  checkArgument,
  checkOptions,
  connectFailureHeaders,
  DEAD_LETTER_CONFIG,
  errorFields,
  integer,
  oneOf,
  type OptionChecks,
} from '../../core/internal.ts';
import { ConnectError } from '../errors.ts';
import type { RunCounts } from './run-counts.ts';

/** What becomes of input that cannot be handled: Kafka Connect's `errors.*`, for sources, too. */
export interface ToleranceOptions {
  /**
   * `none`: the first bad piece of input ends the run. `all`: the run goes on without it; it is
   * counted, and now and then logged. Default: `none`.
   */
  readonly tolerance?: 'none' | 'all';
  /**
   * The topic that gets what is tolerated: the bytes, and the reason in headers as Kafka Connect's,
   * `__connect.errors.*`. It is created if it is missing; true stands for
   * `connect-<name>-dead-letters`. Default: false, so that bad input is dropped.
   */
  readonly deadLetter?: string | boolean;
  /** How many may be tolerated in a run; one more ends it. Default: any number. */
  readonly max?: number;
}

/** Where a record failed: when it was read, converted (serdes too), transformed, or put. */
export type ConnectStage = 'read' | 'convert' | 'transform' | 'put';

/** A piece of input that failed. */
export interface ConnectFailure {
  readonly stage: ConnectStage;
  /** Ends the run if it is not tolerated. */
  readonly error: Error;
  /** Where it stands, for messages. */
  readonly place: string;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** -1 for none. */
  readonly timestampMs: number;
  readonly headers: Headers;
  /** The record that a sink read. */
  readonly source?:
    { readonly topic: string; readonly partition: number; readonly offset: number } | undefined;
  /** Where a source stood. */
  readonly position?: Readonly<Record<string, string | number>> | undefined;
  /** The record as text, if its bytes are not at hand. */
  readonly record?: string | undefined;
  /** The number of the source's task. */
  readonly taskId?: number | undefined;
}

/** A record for the topic of dead letters. */
export interface Letter {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly timestampMs: number;
  readonly headers: Headers;
}

const CHECKS: OptionChecks<ToleranceOptions> = {
  tolerance: oneOf('none', 'all'),
  deadLetter: (value) =>
    typeof value === 'boolean' || (typeof value === 'string' && /^[\w.-]{1,249}$/.test(value))
      ? undefined
      : 'true, false, or the name of a topic, of a-z A-Z 0-9 . _ -',
  max: integer(0),
};

/** How often the log tells of failures. */
const LOG_EVERY_MS = 60_000;

/** Kafka Connect's words for the stages (errors/Stage.java). */
const STAGES = {
  read: 'TASK_POLL',
  convert: 'VALUE_CONVERTER',
  transform: 'TRANSFORMATION',
  put: 'TASK_PUT',
} as const satisfies Record<ConnectStage, string>;

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function checkTolerance(what: string, options: ToleranceOptions | undefined): void {
  if (options === undefined) return;
  checkOptions(`${what}.errors`, options, CHECKS);
  const { tolerance, deadLetter = false, max } = options;
  if (tolerance === 'all' || (deadLetter === false && max === undefined)) return;
  const allowed = "'all' with deadLetter or max: otherwise the first bad input ends the run";
  checkArgument(`${what}.errors`, 'tolerance', tolerance, () => allowed);
}

/** The topic of dead letters; undefined if there is none. */
function letterTopic(
  connector: string,
  { tolerance, deadLetter = false }: ToleranceOptions,
): Topic<Uint8Array, Uint8Array> | undefined {
  if (tolerance !== 'all' || deadLetter === false) return undefined;
  const name = deadLetter === true ? `connect-${connector}-dead-letters` : deadLetter;
  return topicHandle(name, { key: bytes(), value: bytes(), config: DEAD_LETTER_CONFIG });
}

interface ToleranceContext {
  readonly connector: string;
  readonly kind: 'source' | 'sink';
  readonly options: ToleranceOptions;
  readonly counts: RunCounts;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Decides what becomes of bad input, counts and logs it [CONNECT-ERRORS-2]. */
export class Tolerance {
  readonly topic: Topic<Uint8Array, Uint8Array> | undefined;
  readonly #context: ToleranceContext;
  readonly #log: SparseLog;

  constructor(context: ToleranceContext) {
    const { connector, options, clock, logger } = context;
    this.#context = context;
    this.topic = letterTopic(connector, options);
    this.#log = new SparseLog(clock, logger);
  }

  /** False if the first bad input ends the run. */
  get isOn(): boolean {
    return this.#context.options.tolerance === 'all';
  }

  /**
   * Counts a failure and returns the dead letter to write, if there is to be one.
   *
   * @throws the error of the failure if nothing tolerates it; ConnectError TOO_MANY_FAILURES
   */
  handle(failure: ConnectFailure): Letter | undefined {
    const { error, place } = failure;
    const { connector, options, counts } = this.#context;
    if (!this.isOn || error instanceof AssertionFailure) throw error;
    const { max = Infinity } = options;
    const { now } = counts;
    if (now.skipped + now.deadLettered >= max) throw tooMany(connector, max, failure);
    if (this.topic === undefined) {
      now.skipped++;
      this.#log.tell(error, `${connector} left out ${place}`);
      return undefined;
    }
    now.deadLettered++;
    this.#log.tell(error, `${connector} wrote a dead letter of ${place}`);
    return this.#letterOf(failure);
  }

  #letterOf(failure: ConnectFailure): Letter {
    const { error, stage, source, place, position, record, taskId = 0 } = failure;
    const { key, value, timestampMs, headers } = failure;
    const { connector, kind } = this.#context;
    const added = connectFailureHeaders(
      {
        ...(source && {
          topic: source.topic,
          partition: String(source.partition),
          offset: String(source.offset),
        }),
        ...{ node: connector, taskId: String(taskId), stage: stageOf(stage, error), class: kind },
        ...errorFields(error),
        ...{ record, place: source === undefined ? place : undefined },
      },
      position,
    );
    const isTime = Number.isSafeInteger(timestampMs) && timestampMs >= 0;
    return {
      ...{ key, value, timestampMs: isTime ? timestampMs : -1 },
      headers: [...soundHeaders(headers), ...added],
    };
  }
}

/** Tells the first failure, and then once in a while one of them and how many there were. */
class SparseLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #last: { readonly sinceMs: number; count: number } | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  tell(error: Error, what: string): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#last !== undefined && nowMs - this.#last.sinceMs < LOG_EVERY_MS) {
      this.#last.count++;
      return;
    }
    const others =
      this.#last === undefined || this.#last.count === 0
        ? ''
        : `; so it did with ${this.#last.count} before`;
    const { code } = errorFields(error);
    this.#logger.warn(`${what}: ${error.message}${others}`, {
      ...(code !== undefined && { code }),
    });
    this.#last = { sinceMs: nowMs, count: 0 };
  }
}

/** Kafka tells key and value apart. */
function stageOf(stage: ConnectStage, error: Error): string {
  if (stage !== 'convert') return STAGES[stage];
  return fieldOf(error) === 'key' ? 'KEY_CONVERTER' : STAGES.convert;
}

/** The field whose serde failed, as far as the error, or its cause, tells. */
function fieldOf(error: unknown): string | undefined {
  if (LogError.is(error, 'SERIALIZATION_FAILED') || LogError.is(error, 'DESERIALIZATION_FAILED')) {
    return error.details.field;
  }
  return error instanceof Error && error.cause !== undefined ? fieldOf(error.cause) : undefined;
}

function tooMany(connector: string, max: number, { error }: ConnectFailure): ConnectError {
  const message =
    `connector ${connector} has met more bad input than errors.max=${max} allows; the last: ` +
    error.message;
  return new ConnectError('TOO_MANY_FAILURES', message, { connector, max }, { cause: error });
}

/** The headers that a dead letter can have: those of the record may be what is wrong. */
function soundHeaders(headers: Headers): Header[] {
  const given: unknown = headers;
  if (!Array.isArray(given)) return [];
  return given.flatMap((header: unknown): Header[] => {
    const { key, value } = (header ?? {}) as { readonly key?: unknown; readonly value?: unknown };
    if (typeof key !== 'string') return [];
    if (value === null) return [{ key, value }];
    return value instanceof Uint8Array ? [{ key, value: asBuffer(value) }] : [];
  });
}
