/// <reference types="node" preserve="true" />
/**
 * Connectors: move data into the log and out of it, each record once. Start with `fileSource` and
 * `SourceRunner`, or `fileSink` and `SinkRunner`; `connector.ts` documents how to write one.
 *
 * @packageDocumentation
 */
export {
  SOURCE_DEFAULTS,
  SourceRunner,
  type SourceProgress,
  type SourceRunnerOptions,
  type SourceSummary,
} from './runtime/source-runner.ts';
export type { SourceStep } from './runtime/source-run.ts';
export {
  SINK_DEFAULTS,
  SinkRunner,
  type SinkProgress,
  type SinkRunnerOptions,
  type SinkSummary,
} from './runtime/sink-runner.ts';
export {
  connectMetricsText,
  type ConnectorMetrics,
  type Timing,
} from './runtime/connector-metrics.ts';
export { RETRY_DEFAULTS, type RetryOptions } from './runtime/retries.ts';
export type { FailedRecords } from './runtime/run-counts.ts';
export type { RunnerState } from './runtime/runner-life.ts';
export type { TransactionBoundary } from './runtime/source-writer.ts';
export type {
  TopicCreationGroup,
  TopicCreationOptions,
  TopicCreationRule,
} from './runtime/topic-creation.ts';
export type { ToleranceOptions } from './runtime/tolerance.ts';
export type { ConnectRecord, Transform } from './transform.ts';
export { connectOffsets } from './runtime/source-offsets.ts';
export { fileSource, type FileSourceOptions } from './file/file-source.ts';
export { fileSink, type FileSinkOptions } from './file/sink/file-sink.ts';
export {
  csv,
  type CsvColumn,
  type CsvColumns,
  type CsvFormat,
  type CsvKeyword,
  type CsvOptions,
} from './file/csv.ts';
export { fixedBytes, type FixedBytesOptions } from './file/fixed-bytes.ts';
export { jsonArray, type JsonArrayOptions } from './file/json-array.ts';
export { jsonl, type JsonlFormat, type JsonlOptions } from './file/jsonl.ts';
export { lines, type LinesFormat, type LinesOptions } from './file/lines.ts';
export { wholeFiles, type WholeFile, type WholeFilesOptions } from './file/whole-files.ts';
export type { Multiline } from './file/source/lines-parser.ts';
export type { RowHeaders } from './file/source/record-maker.ts';
export { avro, type AvroFormat, type AvroOptions } from './file/avro.ts';
export { parquet, type ParquetFormat, type ParquetOptions } from './file/parquet.ts';
export type { ParquetColumnType } from './file/sink/parquet-columns.ts';
export type { TextOptions } from './file/text-options.ts';
export type {
  BadRow,
  InputFile,
  PackedRows,
  RawRow,
  RowBatch,
  RowReader,
  SourceFormat,
} from './file/format.ts';
export type { PartEncoder, RowEncoder, SinkFormat } from './file/sink/sink-format.ts';
export type { OutputBuffer } from './file/sink/output-buffer.ts';
export type { Manifest, ManifestPart } from './file/sink/manifest.ts';
export {
  verifyOutput,
  type OutputProblem,
  type VerifiedOutput,
  type VerifiedOutputPartition,
  type VerifyOutputOptions,
} from './file/sink/verify-output.ts';
export {
  ConnectWorker,
  WORKER_DEFAULTS,
  type CreateOptions,
  type UpdateOptions,
  type WorkerOptions,
} from './worker/worker.ts';
export {
  buildConnector,
  validateConnector,
  type MakingOptions,
  type PathOptions,
} from './worker/making-options.ts';
export type { ConnectorState, ConnectorStatus } from './worker/connector-status.ts';
export type {
  ConnectorDefinition,
  ConverterDefinition,
  MadeConnector,
  TransformDefinition,
} from './worker/definition.ts';
export type { ConfigProvider } from './worker/providers.ts';
export type { ConnectorOffset } from './worker/connector-offsets.ts';
export {
  connectConfigs,
  connectStatus,
  type ConfigRecord,
  type ConnectorKind,
  type Properties,
  type StatusRecord,
  type TargetState,
} from './worker/worker-store.ts';
export { BUILT_IN_PLUGINS } from './worker/built-in-plugins.ts';
export { httpSink, type HttpSinkOptions } from './http/http-sink.ts';
export { httpSource, type HttpSourceOptions } from './http/http-source.ts';
export type { HttpPage } from './http/http-source-task.ts';
export type { HttpOptions } from './http/http-options.ts';
export { mirror } from './mirror/mirror.ts';
export type { MirrorOptions, NameFilter } from './mirror/mirror-options.ts';
export { translateOffsets, type TranslateOffsetsOptions } from './mirror/translate-offsets.ts';
export type { PostgresConnection, PostgresOptions } from './postgres/postgres-options.ts';
export { postgresSink, type PostgresSinkOptions } from './postgres/postgres-sink.ts';
export { postgresSource, type PostgresSourceOptions } from './postgres/postgres-source.ts';
export type { SqlRow, SqlSinkOptions } from './sql/sql-sink-options.ts';
export type { SqlSourceOptions, SqlStart } from './sql/sql-source-options.ts';
export type { SqliteOptions } from './sqlite/sqlite-options.ts';
export { sqliteSink, type SqliteSinkOptions } from './sqlite/sqlite-sink.ts';
export { sqliteSource, type SqliteSourceOptions } from './sqlite/sqlite-source.ts';
export { stdinSource, type StdinSource, type StdinSourceOptions } from './stdio/stdin-source.ts';
export { stdoutSink, type StdoutSinkOptions } from './stdio/stdout-sink.ts';
export type * from './connector.ts';
export { parseConfigDocument, type ConfigDocument, type TextPlace } from './config-document.ts';
export {
  checkConfig,
  configSchema,
  explainConfig,
  field,
  invalidConfig,
  parseConfig,
  Secret,
  type ConfigField,
  type ConfigFields,
  type ConfigIssue,
  type ConfigOf,
  type ConfigSchema,
  type ConfigType,
  type ConfigValues,
  type FieldOptions,
  type FieldValue,
  type FieldsCheck,
  type RangeOptions,
  type ReadConfig,
  withChecks,
} from './config.ts';
export {
  PluginRegistry,
  type ConnectPlugin,
  type ConverterPlugin,
  type Converters,
  type PluginContext,
  type PluginParts,
  type PredicatePlugin,
  type SinkPlugin,
  type SourcePlugin,
  type TransformPlugin,
} from './plugin.ts';
export { ConnectError, type ConnectErrorCode, type ConnectErrorDetails } from './errors.ts';
