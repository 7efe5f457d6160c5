import type { SourceFormat } from './format.ts';
import type { SinkFormat } from './sink/sink-format.ts';
import { lineEncoder } from './sink/text-encoders.ts';
import { checkTextOptions, type TextOptions } from './text-options.ts';
import { LINE_BYTES_MAX, TextReader, type TextParser } from './text-reader.ts';

const PARSER: TextParser<string> = {
  parse(text, _isLast, rows, limit) {
    let at = 0;
    let lines = 0;
    while (at < text.length && rows.length < limit) {
      const lineEnd = text.indexOf('\n', at);
      const end = lineEnd === -1 ? text.length : lineEnd;
      const isCrlf = end > at && text.charCodeAt(end - 1) === 13;
      rows.push(text.slice(at, isCrlf ? end - 1 : end));
      if (lineEnd === -1) return { at: end, lines };
      at = end + 1;
      lines++;
    }
    return { at, lines };
  },
};

/** Lines of text, for reading and writing. */
export interface LinesFormat extends SourceFormat<string>, SinkFormat<string | Uint8Array> {}

/**
 * Text, one row per line: UTF-8, lines end with LF or CRLF, the last one also with the file. Empty
 * lines are rows.
 *
 * A sink writes text, or the bytes of text, and LF behind each. With a topic of `bytes()` the lines
 * of a file go to another one without being decoded, whatever they hold, such as JSON.
 */
export function lines(options: TextOptions = {}): LinesFormat {
  checkTextOptions('lines', options);
  const { lineBytesMax = LINE_BYTES_MAX } = options;
  return {
    name: 'lines',
    extension: 'txt',
    unit: 'line',
    canFollow: true,
    isAppendable: true,
    isCompressible: true,
    open: (file) => TextReader.open(file, { parser: PARSER, lineBytesMax }),
    encoder: () => lineEncoder,
  };
}
