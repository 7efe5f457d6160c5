import { checkOptions, oneOf, type OptionChecks } from '../options.ts';
import { JSON_NUMBERS, parseJson, stringifyJson, type JsonNumbers } from './json-numbers.ts';
import { NO_ROOM, type Serde } from './serde.ts';

/**
 * Up to here a loop over characters beats the call into the engine (measured: 7 ns against 43 ns).
 */
const SHORT_CHARS = 16;

/** A UTF-8 character takes at most three bytes for each unit of a JavaScript string. */
const BYTES_PER_CHAR_MAX = 3;

/** Writes `text` as UTF-8 at `position`; returns the position after it, or NO_ROOM. */
export function writeText(text: string, target: Buffer, position: number): number {
  const room = target.length - position;
  const chars = text.length;
  if (chars <= SHORT_CHARS && chars <= room) {
    let index = 0;
    for (; index < chars; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) break;
      target[position + index] = unit;
    }
    if (index === chars) return position + chars;
  }
  if (chars * BYTES_PER_CHAR_MAX > room && Buffer.byteLength(text) > room) return NO_ROOM;
  return position + target.write(text, position);
}

/** Reads `source[start, end)` as UTF-8. Bytes that are not UTF-8 become U+FFFD, as Kafka's do. */
export function readText(source: Buffer, start: number, end: number): string {
  switch (end - start) {
    case 0:
      return '';
    case 1:
    case 2:
    case 3:
    case 4: {
      let text = '';
      for (let position = start; position < end; position++) {
        const byte = source[position]!;
        if (byte > 0x7f) return source.toString('utf8', start, end);
        text += String.fromCharCode(byte);
      }
      return text;
    }
    default:
      return source.toString('utf8', start, end);
  }
}

const STRING: Serde<string> = {
  name: 'string',
  serialize(value, target, position) {
    if (typeof value !== 'string') throw new TypeError(`expected a string, got ${typeof value}`);
    const end = writeText(value, target, position);
    // As many bytes as characters: all of it is ASCII.
    if (end - position !== value.length && end !== NO_ROOM) checkWellFormed(value);
    return end;
  },
  deserialize: readText,
};

/** @throws TypeError for half a surrogate pair: UTF-8 has no form for it. */
function checkWellFormed(text: string): void {
  const half = /\p{Surrogate}/u.exec(text);
  if (half === null) return;
  const code = half[0].charCodeAt(0).toString(16);
  throw new TypeError(
    `character ${half.index} is half of a surrogate pair (\\u${code}), which UTF-8 cannot hold; ` +
      'repair the text, for example with text.toWellFormed()',
  );
}

/** Text as UTF-8, as Kafka's StringSerializer writes it. Half a surrogate pair is refused. */
export function string(): Serde<string> {
  return STRING;
}

/** The options of `json`. */
export interface JsonOptions {
  /**
   * What becomes of numbers that a double cannot hold: `bigint` (default), `text`, `error`, or
   * `double`, which rounds them as `JSON.parse` does.
   */
  readonly numbers?: JsonNumbers;
}

const JSON_CHECKS: OptionChecks<JsonOptions> = { numbers: oneOf(...JSON_NUMBERS) };

const JSON_SERDES = {
  bigint: jsonSerde('bigint'),
  text: jsonSerde('text'),
  error: jsonSerde('error'),
  double: jsonSerde('double'),
} as const;

const ALL_JSON_SERDES: ReadonlySet<unknown> = new Set(Object.values(JSON_SERDES));

function jsonSerde(numbers: JsonNumbers): Serde<unknown> {
  return {
    name: 'json',
    serialize(value, target, position) {
      const text = stringifyJson(value);
      if (text === undefined) throw new TypeError(`${typeof value} has no JSON form`);
      return writeText(text, target, position);
    },
    deserialize: (source, start, end): unknown =>
      parseJson(source.toString('utf8', start, end), source, start, end, numbers),
  };
}

/**
 * JSON text. Integers of any size keep all their digits: those that a double cannot hold, which are
 * beyond 2^53, are bigints, and bigints are written as numbers. Values that JSON lacks change: a
 * Date returns as a string, a Map as `{}`, NaN as null. `msgpack()` keeps those.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function json<T>(options: JsonOptions = {}): Serde<T> {
  checkOptions('json', options, JSON_CHECKS);
  return JSON_SERDES[options.numbers ?? 'bigint'] as Serde<T>;
}

/** True if `serde` is one of `json()`: then any JSON text is the bytes of a value. */
export function isJsonSerde(serde: unknown): boolean {
  return ALL_JSON_SERDES.has(serde);
}
