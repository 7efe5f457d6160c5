import { isAscii, isUtf8 } from 'node:buffer';
import { LogError } from '../../../core/index.ts';

const LF = 10;
const CR = 13;

/** How text is written as bytes, and where its lines end. */
export interface TextEncoding {
  /** As the option names it: `utf-8`. */
  readonly name: string;
  /** The bytes of a line feed; also those of a carriage return. 0 if records end without one. */
  readonly unitBytes: 0 | 1 | 2;
  /** The position of the next line feed at or after `from`; -1 if there is none. */
  readonly lineFeed: (bytes: Buffer, from: number) => number;
  /** The position behind the last line feed; 0 if there is none. */
  readonly behindLastLineFeed: (bytes: Buffer) => number;
  /** Where a line ends whose line feed is at `end`: before a carriage return. */
  readonly contentEnd: (bytes: Buffer, start: number, end: number) => number;
  /** The bytes of a byte order mark that they begin with; 0 if there is none. */
  readonly markBytes: (head: Buffer) => number;
  readonly isValid: (bytes: Buffer) => boolean;
  /** The text of valid bytes. */
  readonly decode: (bytes: Buffer) => string;
}

/** What all encodings share in which a line feed is the byte 10 and nothing else is. */
const byteLines: Pick<
  TextEncoding,
  'unitBytes' | 'lineFeed' | 'behindLastLineFeed' | 'contentEnd'
> = {
  unitBytes: 1,
  // A call into the engine costs as much as 100 bytes: an empty line needs none.
  lineFeed: (bytes, from) => (bytes[from] === LF ? from : bytes.indexOf(LF, from)),
  behindLastLineFeed: (bytes) => bytes.lastIndexOf(LF) + 1,
  contentEnd: (bytes, start, end) => (end > start && bytes[end - 1] === CR ? end - 1 : end),
};

/** The default. */
export const UTF_8: TextEncoding = {
  name: 'utf-8',
  ...byteLines,
  markBytes: (head) => (head.length >= 3 && head.readUIntBE(0, 3) === 0xefbbbf ? 3 : 0),
  isValid: isUtf8,
  decode: (bytes) => bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8'),
};

/** For lines that are not decoded. */
export const ANY_BYTES: TextEncoding = {
  ...UTF_8,
  name: 'bytes',
  markBytes: () => 0,
  isValid: () => true,
};

/** Encodings of one or more bytes a character in which the byte 10 is always a line feed. */
const BYTE_ENCODINGS = new RegExp(
  '^(?:windows-125\\d|windows-874|iso-8859-\\d+|koi8-[ru]|macintosh|ibm866|' +
    'gbk|gb18030|big5|shift_jis|euc-(?:jp|kr))$',
);

/**
 * The encoding of a name, such as `utf-16le`, `latin1` or `shift_jis`: one that the WHATWG Encoding
 * Standard has; `latin1` is windows-1252 there. Undefined if it has none, or one in which a line
 * feed cannot be told from other bytes.
 */
function textEncoding(name: string): TextEncoding | undefined {
  let decoder: InstanceType<typeof TextDecoder>;
  try {
    decoder = new TextDecoder(name, { fatal: true, ignoreBOM: true });
  } catch {
    return undefined;
  }
  const { encoding } = decoder;
  if (encoding === 'utf-8') return UTF_8;
  const decode = (bytes: Buffer): string => decoder.decode(bytes);
  const coding = { name: encoding, isValid: isValidBy(decode), decode };
  if (encoding === 'utf-16le') return { ...coding, ...wideLines(0, 0xfffe) };
  if (encoding === 'utf-16be') return { ...coding, ...wideLines(1, 0xfeff) };
  return BYTE_ENCODINGS.test(encoding)
    ? { ...coding, ...byteLines, markBytes: () => 0 }
    : undefined;
}

/** The encoding of an option. @throws LogError INVALID_OPTION */
export function encodingOf(what: string, option: string | undefined): TextEncoding {
  if (option === undefined) return UTF_8;
  const found = textEncoding(option);
  if (found !== undefined) return found;
  const allowed = 'the name of an encoding, such as utf-8, utf-16le, latin1 or shift_jis';
  const message = `${what}: encoding must be ${allowed}, not ${option}`;
  throw new LogError('INVALID_OPTION', message, { option: 'encoding', value: option, allowed });
}

function isValidBy(decode: (bytes: Buffer) => string): (bytes: Buffer) => boolean {
  return (bytes) => {
    try {
      decode(bytes);
      return true;
    } catch {
      return false;
    }
  };
}

/**
 * UTF-16: two bytes a unit.
 *
 * @param low the index of a unit's low byte.
 * @param mark the byte order mark, as its bytes read in order.
 */
function wideLines(
  low: 0 | 1,
  mark: number,
): Pick<
  TextEncoding,
  'unitBytes' | 'lineFeed' | 'behindLastLineFeed' | 'contentEnd' | 'markBytes'
> {
  const isUnit = (bytes: Buffer, at: number, unit: number): boolean =>
    bytes[at + low] === unit && bytes[at + 1 - low] === 0;
  const lineFeed = (bytes: Buffer, from: number): number => {
    for (let at = bytes.indexOf(LF, from); at !== -1; at = bytes.indexOf(LF, at + 1)) {
      const unit = at - low;
      if (unit % 2 === 0 && isUnit(bytes, unit, LF)) return unit;
    }
    return -1;
  };
  return {
    unitBytes: 2,
    lineFeed,
    behindLastLineFeed(bytes) {
      let at = bytes.lastIndexOf(LF);
      while (at > 0 && !((at - low) % 2 === 0 && isUnit(bytes, at - low, LF))) {
        at = bytes.lastIndexOf(LF, at - 1);
      }
      return at < 0 || !isUnit(bytes, at - low, LF) ? 0 : at - low + 2;
    },
    contentEnd: (bytes, start, end) =>
      end >= start + 2 && isUnit(bytes, end - 2, CR) ? end - 2 : end,
    markBytes: (head) => (head.length >= 2 && head.readUInt16BE(0) === mark ? 2 : 0),
  };
}
