/**
 * The details of each connector failure, and the only list of codes. Tests check docs/ERRORS.md
 * against this table.
 */
export interface ConnectErrorDetails {
  ACCESS_DENIED: { path: string; operation: string };
  CONNECTOR_EXISTS: { connector: string };
  CONNECTOR_FAILED: { connector: string; operation: string };
  DATABASE_FAILED: { database: string; operation: string; sqlCode: string; reason: string };
  DATABASE_UNAVAILABLE: { database: string; operation: string; reason: string };
  DEAD_LETTER_FAILED: { connector: string; topic: string };
  DISK_FULL: { file: string; operation: string };
  FIELD_COUNT: {
    file: string;
    line: number;
    positionBytes: number;
    expected: number;
    actual: number;
  };
  FILE_CHANGED: { file: string; reason: string };
  FILE_NOT_FOUND: { path: string };
  HTTP_REFUSED: { url: string; status: number; reason: string };
  HTTP_UNAVAILABLE: { url: string; status: number; reason: string };
  INPUT_CONSUMED: { input: string };
  INVALID_AVRO: { file: string; positionBytes: number; reason: string };
  INVALID_CONFIG: { config: string; issues: readonly { field: string; problem: string }[] };
  INVALID_CSV: { file: string; line: number; positionBytes: number; reason: string };
  INVALID_JSON: { file: string; line: number; positionBytes: number; reason: string };
  INVALID_PACKING: { file: string; packing: string; reason: string };
  INVALID_PARQUET: { file: string; sizeBytes: number; positionBytes: number; reason: string };
  INVALID_SOURCE_OFFSET: { connector: string; partition: string; offset: string };
  INVALID_STATE: { operation: string; state: string };
  LINE_TOO_LONG: { file: string; line: number; positionBytes: number; limitBytes: number };
  NOT_A_DIRECTORY: { path: string };
  NOT_A_FILE: { path: string };
  NOT_UTF8: { file: string; line: number; positionBytes: number };
  NO_FILE_MATCHES: { pattern: string };
  OUTPUT_AHEAD: { topic: string; partition: number; offset: number; endOffset: number };
  OUTPUT_CLOSED: { output: string };
  OUTPUT_DAMAGED: { file: string; reason: string };
  OUTPUT_FOREIGN: { directory: string; entries: readonly string[] };
  OUTPUT_LOCKED: { directory: string; ownerPid: number };
  OUTPUT_MISMATCH: { directory: string; field: string; expected: string; actual: string };
  PACKAGE_MISSING: { package: string; purpose: string };
  PATH_NOT_ALLOWED: { path: string; roots: readonly string[] };
  PLUGIN_EXISTS: { plugin: string };
  RECORD_REFUSED: { connector: string; topic: string; place: string };
  ROW_FAILED: { file: string; line: number; option: string };
  ROW_UNWRITABLE: { topic: string; partition: number; offset: number; reason: string };
  SINK_FENCED: { connector: string; database: string };
  STORAGE_FAILED: { file: string; operation: string };
  TOO_MANY_FAILURES: { connector: string; max: number };
  TRANSFORM_FAILED: { connector: string; place: string };
  TRIAL_FAILED: { connector: string; step: string; problem: string };
  UNDECLARED_TOPIC: { connector: string; topic: string };
  UNKNOWN_COLUMN: { file: string; column: string; columns: readonly string[] };
  UNKNOWN_CONNECTOR: { connector: string; nearest?: string };
  UNKNOWN_PLUGIN: { plugin: string; nearest?: string };
  UNKNOWN_TABLE: { database: string; table: string };
}
export type ConnectErrorCode = keyof ConnectErrorDetails;

/** After these, simply run the connector again: it continues at its last commit. */
const RETRIABLE: ReadonlySet<ConnectErrorCode> = new Set<ConnectErrorCode>([
  'DATABASE_UNAVAILABLE',
  'DISK_FULL',
  'HTTP_UNAVAILABLE',
]);

/** A failure of a connector. Switch on `code`; `message` is for people. */
export class ConnectError<C extends ConnectErrorCode = ConnectErrorCode> extends Error {
  /** A type only: after `error instanceof ConnectError` the code is not `any`. */
  declare static readonly [Symbol.hasInstance]: (value: unknown) => value is ConnectError;
  override readonly name = 'ConnectError';
  readonly code: C;
  readonly details: Readonly<ConnectErrorDetails[C]>;
  /** True if the connector may be run again, unchanged. */
  readonly retriable: boolean;

  constructor(code: C, message: string, details: ConnectErrorDetails[C], options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
    this.retriable = RETRIABLE.has(code);
  }

  /** Narrows an unknown error to one code, so that `details` is typed. */
  static is<C extends ConnectErrorCode>(error: unknown, code: C): error is ConnectError<C> {
    return error instanceof ConnectError && error.code === code;
  }
}
