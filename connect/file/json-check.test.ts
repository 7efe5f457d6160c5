import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isJsonLine } from './json-check.ts';

/** The truth: line ends may stand between the parts of JSON, but not in a line. */
function isParsed(text: string): boolean {
  try {
    JSON.parse(text);
    return !/[\r\n]/.test(text);
  } catch {
    return false;
  }
}

/** Checks `text` in the middle of other bytes. */
function check(text: string): boolean {
  const before = '[1,"';
  const bytes = Buffer.from(`${before}${text}"]}1`);
  return isJsonLine(bytes, before.length, bytes.length - 4);
}

const piece = fc.constantFrom(
  ...['{', '}', '[', ']', ',', ':', '"', '"a"', '""', '\\', '\\u00e9', '\\u12', '\\n', '\\x'],
  ...['true', 'false', 'null', 'tru', '0', '-', '1', '01', '1.5', '.', 'e', 'E+5', '-0', '1e5'],
  ...[' ', '\t', '\r', '\u00a0', '\u0001', 'é', '🚀', '"k":', '{"k":1}', '[]', '{}'],
);

test('[CONNECT-JSONL-5] what is carried is JSON by the rules of JSON.parse', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join('');
      expect([text, check(text)]).toEqual([text, isParsed(text)]);
    }),
    { numRuns: 5_000 },
  );
  fc.assert(
    fc.property(fc.json(), fc.nat(), piece, (text, seed, other) => {
      expect(check(text)).toBe(true);
      // Sound JSON with one change.
      const at = seed % (text.length + 1);
      const changed = text.slice(0, at) + other + text.slice(at + (seed % 2));
      if (!/\p{Surrogate}/u.test(changed))
        expect([changed, check(changed)]).toEqual([changed, isParsed(changed)]);
    }),
    { numRuns: 3_000 },
  );
});

test('[CONNECT-JSONL-5] nesting is left to JSON.parse from 257 levels on', () => {
  for (const depth of [255, 256, 257, 10_000]) {
    const isChecked = depth <= 256;
    expect(check('['.repeat(depth) + '1' + ']'.repeat(depth))).toBe(isChecked);
    expect(check('{"a":'.repeat(depth) + '1' + '}'.repeat(depth))).toBe(isChecked);
    expect(check('['.repeat(depth) + ']'.repeat(depth - 1))).toBe(false);
  }
});

test('[CONNECT-JSONL-5] bytes that are not UTF-8 are no line', () => {
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]]) {
    const line = Buffer.concat([Buffer.from('"a'), Buffer.from(bytes), Buffer.from('"')]);
    expect(isJsonLine(line, 0, line.length)).toBe(false);
  }
  const sound = Buffer.from('"ü🚀"');
  expect(isJsonLine(sound, 0, sound.length)).toBe(true);
});
