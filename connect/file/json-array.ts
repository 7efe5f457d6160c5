import {
  checkOptions,
  integer,
  JSON_NUMBERS,
  oneOf,
  type OptionChecks,
} from '../../core/internal.ts';
import type { JsonNumbers } from '../../core/index.ts';
import type { SourceFormat } from './format.ts';
import { arrayElements, UNLINED } from './source/json-array-parser.ts';
import type { TextParser } from './source/text-chunk.ts';
import { LINE_BYTES_MAX, TextReader } from './text-reader.ts';

/** The options of `jsonArray`. */
export interface JsonArrayOptions {
  /** As for `jsonl`. Default: `bigint`. */
  readonly numbers?: JsonNumbers;
  /** The largest element, in bytes, at most 256 MiB. Default: 1 MiB. */
  readonly elementBytesMax?: number;
}

const CHECKS: OptionChecks<JsonArrayOptions> = {
  numbers: oneOf(...JSON_NUMBERS),
  elementBytesMax: integer(1, 2 ** 28),
};

/**
 * A file that is one JSON array, in UTF-8, one row for each element. It is read element by element:
 * its size does not matter. `Row` is not checked.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function jsonArray<Row = unknown>(options: JsonArrayOptions = {}): SourceFormat<Row> {
  checkOptions('jsonArray', options, CHECKS);
  const { numbers = 'bigint', elementBytesMax: lineBytesMax = LINE_BYTES_MAX } = options;
  const parser = arrayElements(numbers) as TextParser<Row>;
  const reading = { parser, lineBytesMax, encoding: UNLINED };
  return {
    name: 'jsonArray',
    unit: 'line',
    canFollow: false, // it is whole when it is closed
    open: (file) => TextReader.open(file, reading),
  };
}
