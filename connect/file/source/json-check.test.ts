import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isJson } from './json-check.ts';

function isParsed(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Checks `text` in the middle of other bytes. */
function check(text: string): boolean {
  const before = '[1,"';
  const bytes = Buffer.from(`${before}${text}"]}1`);
  return isJson(bytes, before.length, bytes.length - 4);
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

test('[CONNECT-JSONL-5] nesting may be deep', () => {
  for (const depth of [255, 256, 257, 10_000]) {
    expect(check('['.repeat(depth) + ']'.repeat(depth))).toBe(true);
    expect(check('{"a":'.repeat(depth) + '1' + '}'.repeat(depth))).toBe(true);
    expect(check('['.repeat(depth) + ']'.repeat(depth - 1))).toBe(false);
  }
});
