/// <reference types="node" preserve="true" />
/**
 * Stream processing: build a topology with `StreamsBuilder`, run it with `StreamsApp`.
 *
 * @packageDocumentation
 */
export { StreamsBuilder, type BuilderOptions } from './dsl/streams-builder.ts';
export { AsyncStream } from './dsl/async-stream.ts';
export type {
  AsyncOptions,
  AsyncRekeyingOptions,
  LookupCacheOptions,
  LookupManyOptions,
  LookupOptions,
} from './dsl/async-options.ts';
export { RxStream } from './dsl/rx-stream.ts';
export { CogroupedStream } from './dsl/cogrouped-stream.ts';
export { CountWindowedStream } from './dsl/count-windowed-stream.ts';
export { SessionWindowedCogroupedStream } from './dsl/session-windowed-cogrouped-stream.ts';
export { TimeWindowedCogroupedStream } from './dsl/time-windowed-cogrouped-stream.ts';
export type { ForeignKeyJoin } from './dsl/foreign-key-joins.ts';
export { KGroupedStream } from './dsl/kgrouped-stream.ts';
export { KGroupedTable } from './dsl/kgrouped-table.ts';
export type { GroupedStream } from './dsl/parts.ts';
export { KStream } from './dsl/kstream.ts';
export { KTable } from './dsl/ktable.ts';
export { SessionWindowedStream } from './dsl/session-windowed-stream.ts';
export {
  untilTimeLimit,
  untilWindowCloses,
  type TimeLimitOptions,
  type UntilTimeLimit,
  type UntilWindowCloses,
} from './dsl/suppression.ts';
export { TimeWindowedStream } from './dsl/time-windowed-stream.ts';
export type {
  Adder,
  AsyncNotAllowed,
  Deletable,
  Joiner,
  LookupJoiner,
  Mapped,
  Merger,
  Predicate,
  Reducer,
  RowAdder,
  RowReducer,
  StreamJoiner,
  TableJoiner,
  Synchronous,
} from './dsl/functions.ts';
export { GlobalKTable } from './dsl/global-ktable.ts';
export type {
  ConnectionOptions,
  CopartitionOptions,
  DedupeOptions,
  ErrorOptions,
  GroupOptions,
  JoinedTableOptions,
  KeyOptions,
  MergeableOptions,
  NodeOptions,
  OrNull,
  PartitionOptions,
  PrintOptions,
  ProcessorOptions,
  RekeyingOptions,
  RepartitionOptions,
  StreamJoinOptions,
  StreamTableOptions,
  SuppressOptions,
  SinkOptions,
  SinkTopic,
  SourceOptions,
  StoreOptions,
  TableJoinOptions,
  TableOptions,
  TransformOptions,
  ValueProcessorOptions,
  VersionedOptions,
  ViewOptions,
  CountWindowedOptions,
  TtlOptions,
  WindowedOptions,
} from './dsl/node-options.ts';
export { StreamsApp } from './runtime/app.ts';
export type { StreamsState } from './runtime/app-life.ts';
export type { CloseOptions, CloseResult } from './runtime/closing.ts';
export type { RestoreEvent } from './runtime/restore-progress.ts';
export type { UncaughtErrorAction, UncaughtErrorHandler } from './runtime/uncaught-errors.ts';
export { STREAMS_DEFAULTS, type StreamsOptions } from './runtime/options.ts';
export type { MeterReading } from './runtime/meter.ts';
export type {
  GroupMetrics,
  InputMetrics,
  NodeMetrics,
  StoreMetrics,
  StreamsMetrics,
  TaskMetrics,
} from './runtime/metrics.ts';
export {
  observeMetrics,
  type InstrumentOptions,
  type ObserveAll,
  type OpenTelemetryMeter,
} from './runtime/open-telemetry.ts';
export { PROMETHEUS_CONTENT_TYPE, prometheusText } from './runtime/prometheus.ts';
export type { CommitStep } from './runtime/commit.ts';
export type { FailureOutcome } from './runtime/failures.ts';
export type {
  ErrorAction,
  ErrorHandler,
  ErrorStage,
  FinalAction,
  RecordFailure,
  RetryAction,
} from './topology/record-errors.ts';
export {
  fromObservable,
  type FromObservableOptions,
  type ObservableInput,
  type ObservableRecord,
} from './runtime/from-observable.ts';
export type { ObservedRecords, ObservedStream, ObserveOptions } from './topology/observed.ts';
export type { AsyncOrder } from './operators/awaiting.ts';
export type { AsyncCall } from './operators/calls.ts';
export type { FindMany, LookupKey } from './operators/lookups.ts';
export type { KeyValue } from './operators/results.ts';
export {
  keyValueStore,
  recordStore,
  sessionStore,
  versionedStore,
  windowStore,
  type OwnRecordStoreOptions,
  type OwnSessionStoreOptions,
  type OwnStore,
  type OwnStoreOptions,
  type OwnVersionedStoreOptions,
  type OwnKeyValueStoreOptions,
  type OwnWindowStoreOptions,
} from './dsl/stores.ts';
export type {
  Cancellable,
  ForwardedRecord,
  ForwardedTime,
  ForwardOptions,
  GlobalTableHandle,
  NoResult,
  ProcessingContext,
  ProcessorContext,
  ProcessorSupplier,
  PunctuationType,
  ReadOnlyTable,
  RecordMetadata,
  RecordProcessor,
  RowTransformer,
  RowTransformerSupplier,
  ScheduleOptions,
  TableHandle,
  ValueProcessorContext,
  ValueProcessorSupplier,
} from './topology/processor.ts';
export type { Emit, TableEmit } from './operators/emit.ts';
export type { Row } from './operators/table-view.ts';
export {
  hoppingWindow,
  sessionWindow,
  sessionWindowedSerde,
  slidingWindow,
  tumblingWindow,
  unlimitedWindow,
  windowedSerde,
  type AnyWindows,
  type FixedWindows,
  type IdleClosing,
  type SessionWindows,
  type SlidingWindows,
  type TimeWindows,
  type UnlimitedWindows,
  type Windowed,
  type WindowedSerde,
} from './topology/windows.ts';
export {
  countWindow,
  countWindowedSerde,
  type CountWindowed,
  type CountWindows,
} from './topology/count-windows.ts';
export { joinWindow, type JoinWindow, type JoinWindowOptions } from './topology/join-window.ts';
export { StreamRecord } from './topology/stream-record.ts';
export type { Ranking } from './operators/ranking.ts';
export type { DroppedOptions } from './dsl/dropped-records.ts';
export type { DroppedRecord, DropReason } from './topology/operator.ts';
export type { NullHandling, StreamPartitioner } from './topology/node.ts';
export {
  failOnInvalidTimestamp,
  logAndSkipOnInvalidTimestamp,
  SKIP_RECORD,
  usePartitionTimeOnInvalidTimestamp,
  wallclockTimestamp,
  type TimestampContext,
  type TimestampExtractor,
} from './topology/timestamps.ts';
export type {
  LiveQuery,
  QueriedRow,
  QueriedWindow,
  Queryable,
  QueryableKeyValueStore,
  QueryableRecordStore,
  QueryableSessionStore,
  QueryableTable,
  QueryableVersionedStore,
  QueryableWindowedTable,
  QueryableWindowStore,
  QueryOptions,
  QueryResults,
  ReadOnlyTableStore,
  ReadOnlyWindowedTable,
  TableChange,
  WatchedRow,
} from './topology/queryable.ts';
export type {
  ReadOnlyRecordStore,
  RecordEntry,
  WritableRecordStore,
} from './topology/record-store.ts';
export type {
  KeyedStore,
  KeysBetween,
  KeySelection,
  KeySession,
  KeysWithPrefix,
  KeyVersion,
  PassedRow,
  ReadOnlyKeyValueStore,
  ReadOnlySessionStore,
  ReadOnlyVersionedStore,
  ReadOnlyWindowStore,
  Session,
  SessionBounds,
  SessionRange,
  StoreEntry,
  StoreExpiry,
  StoreHandle,
  StoreSpec,
  StoreTtl,
  TableRow,
  VersionedPut,
  VersionedStore,
  VersionOf,
  WritableKeyValueStore,
  WritableSessionStore,
  WritableWindowStore,
} from './topology/store.ts';
export { resetApplication, type ResetOptions, type ResetResult } from './runtime/reset.ts';
export { readStoredState, type StoredState, type StoredStore } from './runtime/stored-state.ts';
export { TopologyDescription } from './topology/description.ts';
export type {
  NodeDescription,
  SerdeDescription,
  StoreDescription,
  SubTopologyDescription,
  TopicDescription,
  TopologyModel,
} from './topology/topology-model.ts';
export { TopologyDiff, type DiffOptions, type TopologyChange } from './topology/topology-diff.ts';
export type { ChangeEffect, Comparison, FieldChange } from './topology/store-changes.ts';
export type { SubTopology, Topology } from './topology/topology.ts';
export { StreamsError, type StreamsErrorCode, type StreamsErrorDetails } from './errors.ts';
export { days, hours, milliseconds, minutes, seconds } from './time.ts';
