import type { Headers, Serde } from '../../core/index.ts';
import type { PassedRow, ReadOnlyKeyValueStore, StoreHandle, TableRow } from './store.ts';
import type { StreamRecord } from './stream-record.ts';

/** What a function returns that has no result; a promise does not fit. */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- void alone accepts promises
export type NoResult = void | undefined;

/** Makes the processor of one task; called at each start of the task. */
export type ProcessorSupplier<K, V, K2, V2> = (
  context: ProcessorContext<K2, V2>,
) => RecordProcessor<K, V>;

/** As `ProcessorSupplier`, for a processor that keeps the keys. */
export type ValueProcessorSupplier<K, V, V2> = (
  context: ValueProcessorContext<V2>,
) => RecordProcessor<K, V>;

/**
 * A processor of your own, in one task. Calls never overlap. What it has to know of former records
 * belongs in stores: fields of its own are gone at a restart.
 */
export interface RecordProcessor<K, V> {
  /** Called with each record. After a crash it sees uncommitted records again. */
  process(record: StreamRecord<K, V>): NoResult;
  /** Called when the task ends, also after an error. The last commit is over. */
  close?(): NoResult;
}

/** Makes the transformer of one task; called at each start of the task. */
export type RowTransformerSupplier<K, V, V2> = (
  context: ProcessingContext,
) => RowTransformer<K, V, V2>;

/** Makes the rows of a table of the changes of another one, in one task. */
export interface RowTransformer<K, V, V2> {
  /**
   * Called with each change of a row, once; the value is null if the row was deleted. Returns the
   * new value; null or undefined deletes.
   */
  transform(record: StreamRecord<K, V>): V2;
  /** Called when the task ends, also after an error. The last commit is over. */
  close?(): NoResult;
}

/** What drives a punctuation: event time, or the application's clock. */
export type PunctuationType = 'stream-time' | 'wall-clock';

/** When a punctuation is due first. */
export interface ScheduleOptions {
  /**
   * Milliseconds since 1970 from which the interval counts. Default: 0 for `stream-time`, which is
   * due at once; one interval from now for `wall-clock`.
   */
  readonly startMs?: number;
}

/** A scheduled punctuation. */
export interface Cancellable {
  /** Ends it; a restart schedules it again if the supplier does. */
  cancel(): void;
}

/** Where a record comes from. */
export interface RecordMetadata {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Where a record goes. */
export interface ForwardOptions {
  /** The name of the node that is to get it. Default: all that follow. */
  readonly to?: string;
}

/** A record to forward. A `StreamRecord` is one. */
export interface ForwardedRecord<K, V> {
  readonly key: K;
  readonly value: V;
  /** Default: that of the record in process, or the time of the punctuation. */
  readonly timestampMs?: number;
  /** Default: those of the record in process; none in a punctuation. */
  readonly headers?: Headers;
}

/** What a processor can reach in its task. */
export interface ProcessingContext {
  /** The task's name, such as `1_3`: third partition of the second sub-topology. */
  readonly taskId: string;
  readonly partition: number;
  /** One of the stores that the option `stores` names. @throws StreamsError UNKNOWN_STORE */
  store<Store>(handle: StoreHandle<Store>): Store;
  /** One of the tables that the option `tables` names. @throws StreamsError UNKNOWN_STORE */
  table<K, V>(table: TableHandle<K, V>): ReadOnlyTable<K, NonNullable<V>>;
  /** A global table, which needs no connection. @throws StreamsError UNKNOWN_STORE */
  globalTable<K, V>(table: GlobalTableHandle<K, V>): ReadOnlyKeyValueStore<K, V>;
  /**
   * Calls `callback` with the current time whenever another `intervalMs` has passed.
   *
   * With `stream-time` that is after the record that has moved event time. A task that is behind by
   * several intervals makes one call, as Kafka Streams does. A restart continues where the last
   * commit was: no call is lost or made twice.
   *
   * With `wall-clock` it is between two records. What the supplier itself schedules is kept by
   * commits: if it fell due while the application was down, it is called at the start, once.
   *
   * Only what the supplier schedules, always in the same order, survives a restart; what `process`
   * or a callback schedules does not.
   *
   * @example
   * context.schedule(minutes(1), 'stream-time', (timeMs) => flushUpTo(timeMs));
   */
  schedule(
    intervalMs: number,
    type: PunctuationType,
    callback: (timeMs: number) => NoResult,
    options?: ScheduleOptions,
  ): Cancellable;
  /** Asks for a commit as soon as the record is processed. */
  commit(): void;
  /** Of the record in process; undefined in a punctuation. */
  recordMetadata(): RecordMetadata | undefined;
  /**
   * The event time reached, the record in process included; -Infinity before the first record. A
   * restart keeps it.
   */
  streamTimeMs(): number;
  /** The time of day by the application's clock. */
  wallClockMs(): number;
}

/** The context of a processor that may change keys. */
export interface ProcessorContext<K, V> extends ProcessingContext {
  /** Sends a record to what follows; when it returns, everything there has run. */
  forward(record: ForwardedRecord<K, V>, options?: ForwardOptions): void;
}

/** The context of a processor that keeps the keys. */
export interface ValueProcessorContext<V> extends ProcessingContext {
  /**
   * Sends a value with the key of the record in process to what follows; when it returns, all of
   * that has run. A punctuation has no key, so it cannot forward.
   */
  forward(value: V, options?: ForwardOptions & ForwardedTime): void;
}

/** Time and headers of a forwarded value; default: those of the record in process. */
export type ForwardedTime = Pick<ForwardedRecord<never, never>, 'timestampMs' | 'headers'>;

/** A global table, as `StreamsBuilder.globalTable` returns it. */
export interface GlobalTableHandle<K, V> {
  readonly store: string;
  readonly types?: { readonly key: K; readonly value: V };
}

/** A `KTable`, for a processor that reads it. */
export interface TableHandle<K, V> {
  /** For the types only. */
  readonly types?: { readonly key: K; readonly value: V };
  /** Tells a table from anything else with these types. */
  toStream(): unknown;
}

/**
 * A table as a processor reads it: as it was passed on, never ahead of its changes. Do not change
 * its values.
 */
export interface ReadOnlyTable<K, V> {
  /** The value of a key; undefined if there is no row. */
  get(key: K): V | undefined;
  /** The same with its time. */
  row(key: K): PassedRow<V> | undefined;
  /**
   * The rows of the keys from `from` to `to`, both included, in the order of the bytes of their
   * keys; undefined for no limit. Read while it is iterated, as in a key-value store; open windows
   * of an aggregation are sorted when the list is begun.
   */
  range(from: K | undefined, to: K | undefined): IterableIterator<TableRow<K, V>>;
  /** The same against the order. */
  reverseRange(from: K | undefined, to: K | undefined): IterableIterator<TableRow<K, V>>;
  /** The rows whose keys begin with the bytes of `prefix`; its serde is by default the keys'. */
  prefixScan<P = K>(
    prefix: P,
    serde?: Pick<Serde<P>, 'serialize'>,
  ): IterableIterator<TableRow<K, V>>;
  /** All rows, in the order of the bytes of their keys. */
  all(): IterableIterator<TableRow<K, V>>;
  /** The same against the order. */
  reverseAll(): IterableIterator<TableRow<K, V>>;
}
