/**
 * What each failure of the log carries, and thereby the one list of its codes. Codes that a Kafka
 * broker knows bear Kafka's name (`org.apache.kafka.common.protocol.Errors`); the rest are ours.
 * docs/ERRORS.md is checked against this table.
 */
export interface LogErrorDetails {
  // Kafka's codes.
  CONCURRENT_TRANSACTIONS: { transactionalId: string; state: string };
  CORRUPT_MESSAGE: { topic: string; partition: number; reason: string };
  FENCED_LEADER_EPOCH: { topic: string; partition: number; epoch: number; currentEpoch: number };
  FENCED_INSTANCE_ID: { groupId: string; groupInstanceId: string; memberId: string };
  GROUP_ID_NOT_FOUND: { groupId: string };
  GROUP_SUBSCRIBED_TO_TOPIC: { groupId: string; topic: string };
  ILLEGAL_GENERATION: { groupId: string; generation: number; currentGeneration: number };
  INCONSISTENT_GROUP_PROTOCOL: { groupId: string; protocols: readonly string[] };
  INVALID_CONFIG: { name: string; value: string; nearest?: string };
  INVALID_GROUP_ID: { groupId: string };
  INVALID_PARTITIONS: { topic: string; partitions: number; existing?: number };
  INVALID_PRODUCER_EPOCH: {
    producerId: number;
    epoch: number;
    currentEpoch: number;
    topic: string;
    partition: number;
  };
  INVALID_PRODUCER_ID_MAPPING: { transactionalId: string; producerId: number };
  INVALID_RECORD: { topic: string; partition: number; reason: string };
  INVALID_REQUEST: { request: string; field: string; value: string; allowed: string };
  INVALID_SESSION_TIMEOUT: { sessionTimeoutMs: number; minMs: number; maxMs: number };
  INVALID_TIMESTAMP: { topic: string; partition: number; timestampMs: number };
  INVALID_TOPIC: { topic: string; reason: string };
  INVALID_TRANSACTION_TIMEOUT: { transactionTimeoutMs: number; maxMs: number };
  INVALID_TXN_STATE: { transactionalId: string; state: string; reason: string };
  KAFKA_STORAGE_ERROR: { file: string; operation: string };
  MESSAGE_TOO_LARGE: { topic: string; sizeBytes: number; limitBytes: number };
  NON_EMPTY_GROUP: { groupId: string; state: string };
  OFFSET_METADATA_TOO_LARGE: { sizeBytes: number; limitBytes: number };
  OFFSET_OUT_OF_RANGE: {
    topic: string;
    partition: number;
    offset: number;
    logStartOffset: number;
    highWatermark: number;
  };
  OPERATION_NOT_ATTEMPTED: { reason: string };
  OUT_OF_ORDER_SEQUENCE_NUMBER: {
    topic: string;
    partition: number;
    producerId: number;
    sequence: number;
    expectedSequence: number;
  };
  PRODUCER_FENCED: { transactionalId: string; epoch: number; currentEpoch: number };
  REBALANCE_IN_PROGRESS: { groupId: string };
  TOPIC_ALREADY_EXISTS: { topic: string };
  TRANSACTIONAL_ID_NOT_FOUND: { transactionalId: string };
  UNKNOWN_LEADER_EPOCH: { topic: string; partition: number; epoch: number; currentEpoch: number };
  UNKNOWN_MEMBER_ID: { groupId: string; memberId: string };
  UNKNOWN_SERVER_ERROR: { reason: string };
  UNKNOWN_TOPIC_OR_PARTITION: { topic: string; partition?: number; nearest?: string };
  UNSTABLE_OFFSET_COMMIT: { groupId: string; topic: string; partition: number };
  UNSUPPORTED_COMPRESSION_TYPE: { codec: string };
  // Ours.
  ABORTED: { operation: string };
  BUFFER_EXHAUSTED: { bufferedBytes: number; limitBytes: number };
  CLOSED: { what: string };
  CONCURRENT_POLL: { operation: string };
  CORRUPT_BATCH: { file: string; positionBytes: number; reason: string };
  CORRUPT_FILE: { file: string; reason: string };
  DELIVERY_TIMEOUT: { topic: string; partition: number; waitedMs: number };
  DESERIALIZATION_FAILED: { topic: string; partition: number; offset: number; field: string };
  DIRECTORY_UNUSABLE: { directory: string; reason: string };
  DISK_FULL: { file: string; operation: string };
  INVALID_OPTION: { option: string; value: string; allowed: string };
  LOG_LOCKED: { directory: string; ownerPid: number };
  MARKERS_WAIT_FOR_ROOM: { transactionalId: string; state: string };
  METRICS_UNAVAILABLE: { host: string; port: number; reason: string };
  NO_TRANSACTION: { operation: string };
  NOT_ASSIGNED: { topic: string; partition: number };
  NOT_SUBSCRIBED: { groupId?: string };
  PACKAGE_MISSING: { package: string; purpose: string };
  PARTITION_MISMATCH: { topic: string; expected: number; actual: number };
  REBALANCE_CALLBACK_FAILED: { callback: string };
  REQUEST_REFUSED: { status: number; reason: string };
  SERIALIZATION_FAILED: { topic: string; field: string };
  SERVICE_UNAVAILABLE: { service: string; host: string; port: number; reason: string };
  STOP_TIMEOUT: { job: string; stopTimeoutMs: number; running: readonly string[] };
  TOO_MANY_OPEN_FILES: { file: string; operation: string; limit: number };
  UNKNOWN_OPTION: { option: string; nearest?: string };
  UNKNOWN_VALUE_VERSION: { serde: string; version: number; newest: number };
}
export type LogErrorCode = keyof LogErrorDetails;

/**
 * Codes whose call may simply be repeated. KAFKA_STORAGE_ERROR is not one: after a failed fsync the
 * kernel may have dropped the pages, and a second fsync would report success
 * (docs/decisions/0001-no-second-fsync.md).
 */
const RETRIABLE: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'CONCURRENT_TRANSACTIONS',
  'DISK_FULL',
  'FENCED_LEADER_EPOCH',
  'MARKERS_WAIT_FOR_ROOM',
  'REBALANCE_IN_PROGRESS',
  'TOO_MANY_OPEN_FILES',
  'UNKNOWN_LEADER_EPOCH',
  'UNSTABLE_OFFSET_COMMIT',
]);

/** Codes after which a producer can do nothing more: another replaced it, or it is closed. */
const FATAL: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'CLOSED',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
  'PRODUCER_FENCED',
]);

/** A failure of the log in plain data, as it crosses the broker API. */
export interface LogErrorData<C extends LogErrorCode = LogErrorCode> {
  readonly code: C;
  readonly message: string;
  readonly details: Readonly<LogErrorDetails[C]>;
}

/** A failure the caller is expected to handle. Switch on `code`; `message` is for people. */
export class LogError<C extends LogErrorCode = LogErrorCode> extends Error {
  /** Only a type: after `error instanceof LogError` the code is a `LogErrorCode`, not `any`. */
  declare static readonly [Symbol.hasInstance]: (value: unknown) => value is LogError;
  override readonly name = 'LogError';
  readonly code: C;
  readonly details: Readonly<LogErrorDetails[C]>;
  /** True when the same call may succeed later, unchanged. */
  readonly retriable: boolean;
  /**
   * True when the producer cannot continue and must be closed. After any other failure of a
   * transaction, abort it and begin the next one (KIP-1050).
   */
  readonly fatal: boolean;

  constructor(code: C, message: string, details: LogErrorDetails[C], options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
    this.retriable = RETRIABLE.has(code);
    this.fatal = FATAL.has(code);
  }

  /** Narrows an unknown error to one code, so that `details` is typed. */
  static is<C extends LogErrorCode>(error: unknown, code: C): error is LogError<C> {
    return error instanceof LogError && error.code === code;
  }

  /**
   * The error as plain data, for an answer of the broker API. The cause is folded into the text.
   */
  static toData(error: unknown): LogErrorData {
    if (error instanceof LogError) {
      return { code: error.code, message: error.message, details: error.details };
    }
    const reason = error instanceof Error ? error.message : String(error);
    return { code: 'UNKNOWN_SERVER_ERROR', message: reason, details: { reason } };
  }

  /** The error that an answer of the broker API carries. */
  static fromData<C extends LogErrorCode>(data: LogErrorData<C>): LogError<C> {
    return new LogError(data.code, data.message, data.details as LogErrorDetails[C]);
  }
}

/** What went wrong, as an error. */
export function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : asLogError(cause);
}

/** What went wrong, as a coded error. */
export function asLogError(cause: unknown): LogError {
  if (cause instanceof LogError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LogError('UNKNOWN_SERVER_ERROR', reason, { reason }, { cause });
}
