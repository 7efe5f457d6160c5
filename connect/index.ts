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
export { connectOffsets } from './runtime/source-offsets.ts';
export { fileSource, type FileSourceOptions } from './file/file-source.ts';
export { fileSink, type FileSinkOptions } from './file/file-sink.ts';
export {
  csv,
  type CsvColumn,
  type CsvColumns,
  type CsvFormat,
  type CsvOptions,
} from './file/csv.ts';
export { jsonl, type JsonlFormat } from './file/jsonl.ts';
export { lines } from './file/lines.ts';
export { parquet, type ParquetOptions } from './file/parquet.ts';
export type { TextOptions } from './file/text-options.ts';
export type {
  InputFile,
  RowBatch,
  RowEncoder,
  RowReader,
  SinkFormat,
  SourceFormat,
} from './file/format.ts';
export type { Manifest, ManifestPart } from './file/manifest.ts';
export type * from './connector.ts';
export { ConnectError, type ConnectErrorCode, type ConnectErrorDetails } from './errors.ts';
