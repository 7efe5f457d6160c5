import type { JsonNumbers } from '../../core/index.ts';
import { checkOptions, JSON_NUMBERS, oneOf, type OptionChecks } from '../../core/internal.ts';
import type { SourceFormat } from './format.ts';
import type { SinkFormat } from './sink/sink-format.ts';
import { JsonlEncoder } from './sink/text-encoders.ts';
import { jsonLines } from './source/jsonl-parser.ts';
import type { TextParser } from './source/text-chunk.ts';
import { encodingOf, UTF_8 } from './source/text-encoding.ts';
import { TEXT_CHECKS, type TextOptions } from './text-options.ts';
import { LINE_BYTES_MAX, TextReader } from './text-reader.ts';

/** JSON lines, for reading and writing. */
export interface JsonlFormat<Row> extends SourceFormat<Row>, SinkFormat<Row> {}

/** The options of `jsonl`. */
export interface JsonlOptions extends TextOptions {
  /**
   * What becomes of numbers that a double cannot hold: `bigint` (default), `text`, `error`, or
   * `double`, which rounds them as `JSON.parse` does.
   */
  readonly numbers?: JsonNumbers;
}

const CHECKS: OptionChecks<JsonlOptions> = { ...TEXT_CHECKS, numbers: oneOf(...JSON_NUMBERS) };

/**
 * JSON lines: one JSON value per line. Empty lines are skipped. `Row` is not checked: use
 * a `validated` serde if the data may differ.
 *
 * A sink writes values that JSON lacks as `JSON.stringify` does: a Date as text, NaN as null.
 */
export function jsonl<Row = unknown>(options: JsonlOptions = {}): JsonlFormat<Row> {
  checkOptions('jsonl', options, CHECKS);
  const { lineBytesMax = LINE_BYTES_MAX, numbers = 'bigint' } = options;
  const encoding = encodingOf('jsonl', options.encoding);
  const parser = jsonLines(numbers) as TextParser<Row>;
  // Those lines are JSON as it is written to a topic, unless their numbers are looked at.
  const isCarried = encoding === UTF_8 && (numbers === 'bigint' || numbers === 'double');
  return {
    name: 'jsonl',
    unit: 'line',
    canFollow: true,
    isAppendable: true,
    isCompressible: true,
    carries: isCarried ? 'json' : undefined,
    open: (file) => TextReader.open(file, { parser, lineBytesMax, encoding }),
    encoder: () => new JsonlEncoder(),
  };
}
