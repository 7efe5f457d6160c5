import type { SourceFormat } from './format.ts';
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

/**
 * Text, one row per line: UTF-8, lines end with LF or CRLF, the last one also with the file. Empty
 * lines are rows.
 */
export function lines(options: TextOptions = {}): SourceFormat<string> {
  checkTextOptions('lines', options);
  const { lineBytesMax = LINE_BYTES_MAX } = options;
  return {
    name: 'lines',
    unit: 'line',
    canFollow: true,
    open: (file) => TextReader.open(file, { parser: PARSER, lineBytesMax }),
  };
}
