import { ConnectError } from '../errors.ts';
import type { SourceFormat } from './format.ts';
import type { SinkFormat } from './sink/sink-format.ts';
import { jsonlEncoder } from './sink/text-encoders.ts';
import { checkTextOptions, type TextOptions } from './text-options.ts';
import { LINE_BYTES_MAX, placeText, TextReader, type TextParser } from './text-reader.ts';

/** JSON lines, for reading and writing. */
export interface JsonlFormat<Row> extends SourceFormat<Row>, SinkFormat<Row> {}

const PARSER: TextParser<unknown> = {
  skipped: /^(?:[^\S\n]*\n)*/,
  parse(text, _isLast, rows, limit) {
    let at = 0;
    let lines = 0;
    while (at < text.length && rows.length < limit) {
      const lineEnd = text.indexOf('\n', at);
      const end = lineEnd === -1 ? text.length : lineEnd;
      const line = text.slice(at, end);
      try {
        rows.push(JSON.parse(line));
      } catch (cause) {
        if (line.trim() !== '') return { at, lines, problem: invalidJson(cause) };
      }
      if (lineEnd === -1) return { at: end, lines };
      at = end + 1;
      lines++;
    }
    return { at, lines };
  },
};

function invalidJson(cause: unknown) {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return (place: Parameters<typeof placeText>[0]): ConnectError => {
    const message =
      `${placeText(place)}: the line is not JSON: ${reason}; correct it, or if the file is one ` +
      "JSON array, make lines of it, for example with jq -c '.[]'";
    return new ConnectError('INVALID_JSON', message, { ...place, reason }, { cause });
  };
}

/**
 * JSON lines: one JSON value per line, in UTF-8. Empty lines are skipped. `Row` is not checked: use
 * a `validated` serde if the data may differ.
 *
 * A sink writes values that JSON lacks as `JSON.stringify` does: a Date as text, NaN as null.
 */
export function jsonl<Row = unknown>(options: TextOptions = {}): JsonlFormat<Row> {
  checkTextOptions('jsonl', options);
  const { lineBytesMax = LINE_BYTES_MAX } = options;
  const parser = PARSER as TextParser<Row>;
  return {
    name: 'jsonl',
    unit: 'line',
    canFollow: true,
    isAppendable: true,
    isCompressible: true,
    open: (file) => TextReader.open(file, { parser, lineBytesMax }),
    encoder: () => jsonlEncoder,
  };
}
