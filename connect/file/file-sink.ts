import { resolve } from 'node:path';
import {
  nodeFileSystem,
  type ConsumerRecord,
  type FileSystem,
  type Topic,
} from '../../core/index.ts';
import {
  callback,
  checkOptions,
  instance,
  integer,
  present,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { SinkConnector } from '../connector.ts';
import { FileSinkTask } from './file-sink-task.ts';
import type { SinkFormat } from './format.ts';
import { openOutput } from './output-directory.ts';

/** What `fileSink` writes, and where. */
export interface FileSinkOptions<Row, K, V> {
  /** Identifies the sink in the log, for ever. Default: `<topic>-sink`. */
  readonly name?: string;
  readonly topic: Topic<K, V>;
  /** A directory of its own. The sink creates it if it is missing. */
  readonly path: string;
  readonly format: SinkFormat<Row>;
  /**
   * Makes a record's row; undefined leaves the record out. Default: the record's value, if it is
   * such a row.
   */
  readonly value?: (record: ConsumerRecord<K, V>) => NoInfer<Row> | undefined;
  /** The size at which a file is full and the next one starts. Default: 128 MiB. */
  readonly partBytes?: number;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

const CHECKS: OptionChecks<FileSinkOptions<unknown, unknown, unknown>> = {
  name: text,
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  path: (value) => (text(value) === undefined ? undefined : 'the path of a directory'),
  format: (value) => (isFormat(value) ? undefined : 'a format to write: csv() or jsonl()'),
  partBytes: integer(1),
  fileSystem: instance,
  value: callback,
};

const PART_BYTES = 128 * 1024 * 1024;

/**
 * Writes a topic to files, each record once, whatever happens to the process or the machine. The
 * directory holds part files and `manifest.json`, which states how many bytes of each part count,
 * the offsets they reach and, with `"complete": true`, that the input has ended.
 *
 * Each part holds the records of one partition in order: the contents do not depend on the
 * interleaving of partitions, on crashes or on time.
 *
 * @example
 * fileSink({ topic: delaysByAirport, path: 'out/delays', format: jsonl() })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function fileSink<Row, K, V>(
  options: FileSinkOptions<Row, K, V> &
    ([V] extends [Row] ? unknown : Required<Pick<FileSinkOptions<Row, K, V>, 'value'>>),
): SinkConnector {
  const all: FileSinkOptions<Row, K, V> = options;
  const required = ['topic', 'path', 'format'] as const;
  checkOptions<object>('fileSink', all, CHECKS, required as never);
  const { topic, path, format, name = `${topic.name}-sink` } = all;
  const { fileSystem = nodeFileSystem, partBytes = PART_BYTES } = all;
  const value = all.value ?? ((record: ConsumerRecord<K, V>) => record.value as Row);
  return {
    name,
    topics: [topic],
    delivery: 'transactional',
    async open(context) {
      const directory = resolve(path); // the working directory may change while it runs
      const { columns } = format.encoder(undefined);
      const place = { fileSystem, directory, format: format.name, columns };
      const output = await openOutput({
        ...place,
        topic: present(context.topics[0], 'a sink gets the topics that it names'),
      });
      return new FileSinkTask({
        fileSystem,
        directory,
        partBytes,
        extension: format.name,
        encoder: format.encoder(output.manifest.columns),
        value: value as (record: ConsumerRecord) => unknown,
        output,
        context,
      });
    },
  };
}

function isFormat(value: unknown): boolean {
  return instance(value) === undefined && 'encoder' in (value as object);
}
