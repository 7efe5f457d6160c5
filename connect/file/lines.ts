import { checkOptions, oneOf, type OptionChecks } from '../../core/internal.ts';
import type { SourceFormat } from './format.ts';
import type { SinkFormat } from './sink/sink-format.ts';
import { lineEncoder } from './sink/text-encoders.ts';
import { byteLines, multiLines, textLines, type Multiline } from './source/lines-parser.ts';
import { ANY_BYTES, encodingOf, UTF_8 } from './source/text-encoding.ts';
import { TEXT_CHECKS, type TextOptions } from './text-options.ts';
import { LINE_BYTES_MAX, TextReader } from './text-reader.ts';

/** The options of `lines`. */
export interface LinesOptions extends TextOptions {
  /**
   * What a row is: its text, or the bytes of the line, whatever they hold; then `encoding` does not
   * matter. Default: `text`.
   */
  readonly as?: 'text' | 'bytes';
  /**
   * Makes one row of several lines, such as an error and its stack: a row begins with each line
   * that
   * matches `start`, or goes on with each line that matches `continues`. The last one waits for the
   * first line of the next one, or for the end of a file that is not followed. Only for text.
   * Default: each line is a row.
   */
  readonly multiline?: Multiline;
}

const CHECKS: OptionChecks<LinesOptions> = {
  ...TEXT_CHECKS,
  as: oneOf('text', 'bytes'),
  multiline: (value) => {
    const { start, continues } = (value ?? {}) as Readonly<Record<string, unknown>>;
    const isPattern = (start ?? continues) instanceof RegExp;
    const isOne = (start === undefined) !== (continues === undefined);
    return isPattern && isOne ? undefined : '{ start: /.../ } or { continues: /.../ }';
  },
};

/** Lines of text, for reading and writing. */
export interface LinesFormat<Row extends string | Uint8Array = string>
  extends SourceFormat<Row>, SinkFormat<string | Uint8Array> {}

/**
 * Text, one row per line: lines end with LF or CRLF, the last one also with the file. Empty lines
 * are rows.
 *
 * A sink writes text, or the bytes of text, and LF behind each. With a topic of `bytes()` and
 * `as: 'bytes'` the lines of a file go to another one without being decoded, whatever they hold.
 */
export function lines(
  options: LinesOptions & { readonly as: 'bytes'; readonly multiline?: never },
): LinesFormat<Uint8Array>;
export function lines(options?: LinesOptions & { readonly as?: 'text' }): LinesFormat;
export function lines(options: LinesOptions = {}): LinesFormat | LinesFormat<Uint8Array> {
  checkOptions('lines', options, CHECKS);
  const { lineBytesMax = LINE_BYTES_MAX, as = 'text', multiline } = options;
  const common = {
    name: 'lines',
    extension: 'txt',
    unit: 'line',
    canFollow: true,
    isAppendable: true,
    isCompressible: true,
    encoder: () => lineEncoder,
  } as const;
  const encoding = encodingOf('lines', options.encoding);
  if (as === 'bytes') {
    const reading = { parser: byteLines, lineBytesMax, encoding: ANY_BYTES };
    return { ...common, carries: 'text', open: (file) => TextReader.open(file, reading) };
  }
  const parser = multiline === undefined ? textLines : multiLines(multiline);
  const reading = { parser, lineBytesMax, encoding };
  const carries = encoding === UTF_8 ? 'text' : undefined;
  return { ...common, carries, open: (file) => TextReader.open(file, reading) };
}
