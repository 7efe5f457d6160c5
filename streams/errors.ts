/**
 * The details of each failure of a topology, and the one list of its codes. A test checks
 * docs/ERRORS.md against this table.
 */
export interface StreamsErrorDetails {
  APPLICATION_RUNNING: { applicationId: string };
  CALL_TIMED_OUT: { node: string; timeoutMs: number };
  COMMIT_FAILED: { applicationId: string; step: string };
  COMMIT_UNREADABLE: { applicationId: string; version: string };
  COPARTITIONING: { topics: readonly { topic: string; partitions: number }[] };
  DEAD_LETTER_FAILED: { node: string; topic: string };
  DESERIALIZATION_FAILED: { topic: string; partition: number; offset: number; field: string };
  ERROR_HANDLER_FAILED: { node: string; topic: string; partition: number; offset: number };
  INTERNAL_TOPIC_MISMATCH: { topic: string; expected: number; actual: number };
  INVALID_STATE: { operation: string; state: string };
  LAST_RUN_UNREADABLE: { file: string; reason: string };
  NAME_TAKEN: { name: string; kind: string };
  OBSERVABLE_OVERRUN: { topic: string; maxQueued: number };
  OBSERVER_OVERRUN: { node: string; maxQueued: number };
  PIPE_NOT_STATELESS: { node: string; reason: string };
  PROCESSING_FAILED: {
    node: string;
    topic: string;
    partition: number;
    offset: number;
  };
  SERIALIZATION_FAILED: { store: string; field: string };
  STARTING_OVER: { node: string; pauseMs: number; isRetry: boolean };
  STATE_AHEAD: { store: string; storeOffset: number; changelogEnd: number };
  STATE_CORRUPT: { directory: string; reason: string };
  STATE_KEY_TOO_LONG: { store: string; sizeBytes: number; limitBytes: number };
  STATE_LOCKED: { directory: string; ownerPid: number };
  STATE_MISMATCH: { applicationId: string; names: readonly string[] };
  STORE_UNAVAILABLE: { store: string; state: string };
  TOPOLOGY_INVALID: { reason: string };
  UNEXPECTED_NULL: {
    node: string;
    topic: string;
    partition: number;
    offset: number;
    field: string;
  };
  UNKNOWN_STORE: { store: string; nearest?: string };
}
export type StreamsErrorCode = keyof StreamsErrorDetails;

/**
 * Codes whose call may be repeated: the task went back to its last commit, or a store is read back.
 */
const RETRIABLE: ReadonlySet<StreamsErrorCode> = new Set<StreamsErrorCode>([
  'COMMIT_FAILED',
  'STARTING_OVER',
  'STORE_UNAVAILABLE',
]);

/** A failure of a topology. Switch on `code`; `message` is for people. */
export class StreamsError<C extends StreamsErrorCode = StreamsErrorCode> extends Error {
  override readonly name = 'StreamsError';
  readonly code: C;
  readonly details: Readonly<StreamsErrorDetails[C]>;
  readonly retriable: boolean;

  constructor(code: C, message: string, details: StreamsErrorDetails[C], options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
    this.retriable = RETRIABLE.has(code);
  }

  /** Narrows an unknown error to one code, so that `details` is typed. */
  static is<C extends StreamsErrorCode>(error: unknown, code: C): error is StreamsError<C> {
    return error instanceof StreamsError && error.code === code;
  }
}
