import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isJsonLine, JsonLineFinder, JsonValueCheck } from './json-check.ts';

/** The truth: line ends may stand between the parts of JSON, but not in a line. */
function isParsed(text: string): boolean {
  try {
    JSON.parse(text);
    return !/[\r\n]/.test(text);
  } catch {
    return false;
  }
}

const finder = new JsonLineFinder();
const values = new JsonValueCheck();

/** Checks `text` in the middle of other bytes, in each way. */
function check(text: string): boolean {
  const before = '[1,"';
  const bytes = Buffer.from(`${before}${text}"]}1`);
  const isSound = isJsonLine(bytes, before.length, bytes.length - 4);
  const line = Buffer.from(`7\n${text}\n{}\n"`);
  // An expression may know less, but never more.
  expect(values.isLine(bytes, before.length, bytes.length - 4)).toBe(isSound);
  const found = finder.endOfSound(line, 2, line.length);
  const first = line.indexOf(10, 2);
  const end = line[first - 1] === 13 ? first - 1 : first;
  if (found > 2) expect([found > first, isJsonLine(line, 2, end)]).toEqual([true, true]);
  return isSound;
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

test('[CONNECT-JSONL-5] whole lines of sound JSON are found at once', () => {
  const rows = [
    '{"a":[1,{"b":null}],"c":"\\u00e9\\n"}',
    '[]',
    '"ü"',
    ' 1.5e3 ',
    '{ "x" : [ ] }',
    'true',
  ];
  const text = `${rows.join('\r\n')}\n`;
  const bytes = Buffer.from(text.repeat(2_000));
  let at = 0;
  for (let end = 0; at < bytes.length; at = end) {
    end = new JsonLineFinder().endOfSound(bytes, at, bytes.length);
    expect(end - at).toBeGreaterThan(Math.min(60_000, bytes.length - at - 1));
  }
  for (const odd of [
    '',
    '{"a":1}}',
    "{'a':1}",
    '[1,]',
    '[1 2]',
    '{"a":1,}',
    '01',
    '"\t"',
    '\u00a0',
  ]) {
    const mixed = Buffer.from(`1\n2\n${odd}\n3\n`);
    expect([odd, new JsonLineFinder().endOfSound(mixed, 0, mixed.length)]).toEqual([odd, 4]);
  }
});

test('[CONNECT-JSONL-5] what the expressions do not know does not slow them down for good', () => {
  const deep = Buffer.from(`${'['.repeat(9)}1${']'.repeat(9)}\n1\n`);
  const patient = new JsonLineFinder();
  for (let time = 0; time < 100; time++) expect(patient.endOfSound(deep, 0, deep.length)).toBe(0);
  let tries = 0;
  while (patient.endOfSound(deep, deep.length - 2, deep.length) !== deep.length) tries++;
  expect(tries).toBeLessThan(256);
  expect(patient.endOfSound(deep, deep.length - 2, deep.length)).toBe(deep.length);
});
