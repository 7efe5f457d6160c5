import type { Readable, Writable } from 'node:stream';
import { configSchema, field, withChecks, type ConfigOf } from '../config.ts';
import type { SinkConnector, SourceConnector } from '../connector.ts';
import {
  formatCheck,
  formatFields,
  formatOf,
  formatOptionFields,
  PRINTED_FORMATS,
} from '../file/format-options.ts';
import {
  ROW,
  rowFunctions,
  SUNK,
  sunkValue,
  TOPIC,
  TOPIC_CHECKS,
  topicOf,
} from '../plugin-fields.ts';
import type { SinkPlugin, SourcePlugin } from '../plugin.ts';
import { stdinSource } from './stdin-source.ts';
import { stdoutSink } from './stdout-sink.ts';

const SOURCE_CONFIG = withChecks(
  configSchema({
    format: field.choice(['lines', 'jsonl'], { doc: 'What a line is: text, or JSON.' }),
    lineBytesMax: field.integer({
      ...{ doc: 'The longest line.', default: 2 ** 20, min: 1, max: 2 ** 28 },
    }),
    ...TOPIC,
    ...ROW,
  }),
  TOPIC_CHECKS,
);

const SINK_CONFIG = withChecks(
  configSchema({
    ...formatFields(PRINTED_FORMATS, 'How records are printed.'),
    ...TOPIC,
    ...SUNK,
  }),
  [...TOPIC_CHECKS, formatCheck(PRINTED_FORMATS)],
  formatOptionFields(PRINTED_FORMATS),
);

/** The config of `stdin-source`. */
export type StdinSourceConfig = ConfigOf<typeof SOURCE_CONFIG>;
/** The config of `stdout-sink`. */
export type StdoutSinkConfig = ConfigOf<typeof SINK_CONFIG>;

/** `stdin-source` for config files: `stdinSource`. */
export function stdinSourcePlugin(
  environment: { readonly input?: Readable } = {},
): SourcePlugin<StdinSourceConfig> {
  return {
    kind: 'source',
    name: 'stdin-source',
    doc: 'Reads standard input into a topic, once: lines, or JSON lines.',
    config: SOURCE_CONFIG,
    takesConverters: true,
    create(config, { name, converters }): SourceConnector {
      const { format, lineBytesMax } = config;
      const topic = topicOf(config, converters);
      const options = { name, topic, lineBytesMax, ...rowFunctions(config), ...environment };
      // Rows of lines are text, which the functions take as any other value.
      return format === 'jsonl'
        ? stdinSource<unknown, unknown, unknown>({ ...options, format })
        : stdinSource<unknown, unknown>({ ...options, format });
    },
  };
}

/** `stdout-sink` for config files: `stdoutSink`. */
export function stdoutSinkPlugin(
  environment: { readonly output?: Writable } = {},
): SinkPlugin<StdoutSinkConfig> {
  return {
    kind: 'sink',
    name: 'stdout-sink',
    doc: 'Prints a topic to standard output: lines, CSV or JSON lines.',
    config: SINK_CONFIG,
    takesConverters: true,
    create(config, { name, converters }): SinkConnector {
      return stdoutSink<unknown, unknown, unknown>({
        ...{ name, ...environment },
        topic: topicOf(config, converters),
        format: formatOf(PRINTED_FORMATS, config),
        ...sunkValue(config),
      });
    },
  };
}
