import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { connectFailure, inputFile, readBatches, readRows } from '../../test/kit/connect.ts';
import { followFiles, valuesOf } from '../../test/kit/follow-files.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { fixedBytes } from './fixed-bytes.ts';
import { jsonArray } from './json-array.ts';
import { lines } from './lines.ts';
import { wholeFiles } from './whole-files.ts';

const TRACE = 'INFO a\nERROR b\n  at x\n  at y\r\nINFO c\n';

test.each([
  ['start', { start: /^[A-Z]/g }],
  ['continues', { continues: /^\s/ }],
] as const)('[CONNECT-TEXT-13] several lines become one row (%s)', async (_, multiline) => {
  const format = lines({ multiline });
  const rows = ['INFO a', 'ERROR b\n  at x\n  at y', 'INFO c'];
  expect(await readRows(format, inputFile(TRACE))).toEqual(rows);
  expect(await readRows(format, inputFile(`  odd\n${TRACE}  last`))).toEqual([
    '  odd',
    ...rows.slice(0, 2),
    'INFO c\n  last',
  ]);
  // From any offset, also where a chunk ends within a row.
  const many = TRACE.repeat(9_000);
  const path = inputFile(many);
  const batches = await readBatches(format, path);
  const all = batches.flatMap((batch) => batch.rows);
  expect(all).toHaveLength(27_000);
  expect(batches.length).toBeGreaterThan(1);
  let read = 0;
  for (const batch of batches) {
    // Three rows are five lines: 1, 3 and 1.
    expect(batch.lineOf(0)).toBe(5 * Math.floor(read / 3) + [1, 2, 5][read % 3]!);
    read += batch.rows.length;
    expect(await readRows(format, path, batch.offset)).toEqual(all.slice(read));
  }
});

test('[CONNECT-TEXT-13] followed, the last row waits for the next one', async () => {
  const path = inputFile('');
  const steps = ['A\n', ' 1\n', ' 2', '\nB\n', 'C\n'].map(
    (text) => () => appendFileSync(path, text),
  );
  const batches = await followFiles({
    path,
    format: lines({ multiline: { continues: /^ / } }),
    steps,
  });
  expect(valuesOf(batches)).toEqual(['A\n 1\n 2', 'B']);
  for (const multiline of [{}, { start: 'x' }, { start: /x/, continues: /y/ }]) {
    expect(() => lines({ multiline: multiline as never })).toThrow(/multiline must be/);
  }
});

test('[CONNECT-TEXT-13] a row of too many lines is bad, and cheap', async () => {
  const path = inputFile(`a\n${' more\n'.repeat(400_000)}b\n`);
  const format = lines({ multiline: { continues: /^ / } });
  const failure = await connectFailure(readRows(format, path));
  expect(failure).toMatchObject({ code: 'LINE_TOO_LONG', details: { line: 1, positionBytes: 0 } });
});

test('[CONNECT-TEXT-14] records of a fixed number of bytes', async () => {
  const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, index) => index % 251));
  const path = inputFile(bytes);
  const format = fixedBytes({ sizeBytes: 7 });
  const batches = await readBatches(format, path);
  const all = batches.flatMap((batch) => batch.rows);
  expect(Buffer.concat(all).equals(bytes)).toBe(true);
  expect(all).toHaveLength(100_000);
  let read = 0;
  for (const batch of batches) {
    expect(batch.lineOf(0)).toBe(read + 1);
    read += batch.rows.length;
    expect(await readRows(format, path, batch.offset)).toEqual(all.slice(read));
  }
  const cut = await connectFailure(readRows(fixedBytes({ sizeBytes: 3 }), inputFile('abcde')));
  expect(cut).toMatchObject({ code: 'FIELD_COUNT', details: { line: 2, expected: 3, actual: 2 } });
  const growing = inputFile('abcde');
  const followed = await followFiles({
    ...{ path: growing, format: fixedBytes({ sizeBytes: 3 }) },
    steps: [() => appendFileSync(growing, 'fg')],
  });
  expect(valuesOf(followed).map(String)).toEqual(['abc', 'def']);
});

test('[CONNECT-TEXT-15] whole files are rows', async () => {
  const path = inputFile('first\nsecond');
  const read = await readBatches(wholeFiles({ as: 'text' }), path);
  expect(read.map(({ rows }) => rows)).toEqual([[{ path, content: 'first\nsecond' }]]);
  expect(await readRows(wholeFiles(), path, read[0]?.offset)).toEqual([]);
  const large = inputFile(Buffer.alloc(700_000, 'x'));
  const [content] = await readRows(wholeFiles(), large);
  expect(content?.content).toHaveLength(700_000);
  const packed = inputFile(gzipSync('packed'), 'a.gz');
  expect(await readRows(wholeFiles({ as: 'text' }), packed)).toEqual([
    { path: packed, content: 'packed' },
  ]);

  const tooLarge = connectFailure(readRows(wholeFiles({ fileBytesMax: 699_999 }), large));
  expect(await tooLarge).toMatchObject({ code: 'LINE_TOO_LONG', details: { limitBytes: 699_999 } });
  const latin = inputFile(Buffer.from([0xff]));
  expect((await connectFailure(readRows(wholeFiles({ as: 'text' }), latin))).code).toBe('NOT_UTF8');
  writeFileSync(path, 'other');
  const changed = connectFailure(readRows(wholeFiles(), path, read[0]?.offset));
  expect((await changed).code).toBe('FILE_CHANGED');
});

test('[CONNECT-TEXT-15] with follow, a whole file that has changed is a row again', async () => {
  const directory = temporaryDirectory();
  const write = (name: string, text: string) => () => writeFileSync(join(directory, name), text);
  const batches = await followFiles({
    ...{ path: join(directory, '*'), format: wholeFiles({ as: 'text' }) },
    steps: [write('a', '1'), write('b', '2'), write('a', '3'), () => undefined],
  });
  const contents = valuesOf(batches).map((row) => (row as { content: string }).content);
  expect(contents).toEqual(['1', '2', '3']);
});

test('[CONNECT-JSONL-6] the elements of a JSON array are rows, from any offset', async () => {
  const rows = fc.array(fc.jsonValue(), { maxLength: 20 });
  const space = fc.constantFrom('', ' ', '\n', ' \r\n\t');
  await fc.assert(
    fc.asyncProperty(rows, space, fc.constantFrom(1, 1, 400), async (some, gap, copies) => {
      const all = Array.from({ length: copies }, () => some).flat();
      const elements = all.map((row) => JSON.stringify(row));
      const text = `\uFEFF${gap}[${gap}${elements.join(`${gap},${gap}`)}${gap}]${gap}`;
      const path = inputFile(text);
      const batches = await readBatches(jsonArray(), path);
      const expected = JSON.parse(`[${elements.join(',')}]`) as unknown[];
      expect(batches.flatMap((batch) => batch.rows)).toEqual(expected);
      let read = 0;
      for (const batch of batches.slice(0, 3)) {
        read += batch.rows.length;
        expect(await readRows(jsonArray(), path, batch.offset)).toEqual(expected.slice(read));
      }
    }),
    { numRuns: 20 },
  );
});

test('[CONNECT-JSONL-6] what is no JSON array is an error with its place', async () => {
  for (const [text, line, reason] of [
    ['[1,\n2', 2, /cut short/],
    ['[1,\n{"a":', 2, /last element is cut short/],
    ['[1 2]', 1, /, or \] was expected, not "2"/],
    ['{"a":1}', 1, /\[ was expected/],
    ['[1,\n\nnul]', 3, /not JSON/],
    ['[1]\n[2]', 2, /nothing may follow/],
    ['[1,]', 1, /not JSON/],
    ['  ', 1, /missing/],
    ['["\xff"]', 1, /not UTF-8/],
  ] as const) {
    const path = inputFile(Buffer.from(text, 'latin1'));
    const failure = await connectFailure(readRows(jsonArray(), path));
    expect([text, failure]).toMatchObject([text, { code: 'INVALID_JSON', details: { line } }]);
    expect(failure.message).toMatch(reason);
  }
  expect(await readRows(jsonArray(), inputFile(''))).toEqual([]);
  const long = inputFile(`[1,"${'x'.repeat(600_000)}"]`);
  expect(await readRows(jsonArray(), long)).toHaveLength(2);
  const limited = connectFailure(readRows(jsonArray({ elementBytesMax: 300_000 }), long));
  expect((await limited).code).toBe('LINE_TOO_LONG');
});
