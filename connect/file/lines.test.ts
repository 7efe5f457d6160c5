import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { connectFailure, inputFile, readBatches, readRows } from '../../test/kit/connect.ts';
import { lines } from './lines.ts';

const KIB = 1024;

test('[CONNECT-TEXT-1] lines end with LF or CRLF, the last one with the file', async () => {
  const read = (content: string) => readRows(lines(), inputFile(content));
  expect(await read('a\nb\n')).toEqual(['a', 'b']);
  expect(await read('a\r\nb\r\n')).toEqual(['a', 'b']);
  expect(await read('a\nb')).toEqual(['a', 'b']);
  expect(await read('\n\na\n\n')).toEqual(['', '', 'a', '']);
  expect(await read('a\rb\n')).toEqual(['a\rb']);
  expect(await read('')).toEqual([]);
  expect(await read('\n')).toEqual(['']);
});

test('[CONNECT-TEXT-2] text is UTF-8; a byte order mark is not part of it', async () => {
  const text = 'Zürich\n東京 🚀\nnaïve\u0000\n';
  expect(await readRows(lines(), inputFile(text))).toEqual(['Zürich', '東京 🚀', 'naïve\u0000']);
  expect(await readRows(lines(), inputFile(`\uFEFF${text}`))).toHaveLength(3);
  expect(await readRows(lines(), inputFile('\uFEFFx'))).toEqual(['x']);
  expect(await readRows(lines(), inputFile('\uFEFF'))).toEqual([]);
  expect(await readRows(lines(), inputFile('x\n\uFEFFy\n'))).toEqual(['x', '\uFEFFy']);
});

test('[CONNECT-TEXT-3] invalid UTF-8 is an error with its place', async () => {
  const path = inputFile(Buffer.concat([Buffer.from('ä\nb\n'), Buffer.from([0x63, 0xfc, 0x0a])]));
  const { code, details } = await connectFailure(readRows(lines(), path));
  expect(code).toBe('NOT_UTF8');
  expect(details).toEqual({ file: path, line: 3, positionBytes: 5 });

  const latin = Buffer.from('ä'.repeat(3), 'latin1');
  for (const [content, toDo] of [
    [latin, /encoding: 'windows-1252'/],
    [Buffer.from('\uFEFFab', 'utf16le'), /encoding: 'utf-16le'/],
    [Buffer.from([0xfe, 0xff, 0, 0x61]), /encoding: 'utf-16be'/],
    [gzipSync('a\n'), /packed with gzip/],
    [Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), latin]), /packed with zstd/],
    [Buffer.concat([Buffer.from('PK\x03\x04'), latin]), /zip archive/],
    [Buffer.concat([Buffer.from('PAR1'), latin]), /read it with parquet\(\)/],
  ] as const) {
    const failure = await connectFailure(readRows(lines(), inputFile(content)));
    expect(failure.code).toBe('NOT_UTF8');
    expect(failure.message).toMatch(toDo);
  }
});

test('[CONNECT-TEXT-4] long lines are read, up to lineBytesMax', async () => {
  const long = 'é'.repeat(400 * KIB);
  const path = inputFile(`first\n${long}\nlast\n`);
  expect(await readRows(lines(), path)).toEqual(['first', long, 'last']);

  const { code, details } = await connectFailure(
    readRows(lines({ lineBytesMax: 300 * KIB }), path),
  );
  expect(code).toBe('LINE_TOO_LONG');
  expect(details).toEqual({ file: path, line: 2, positionBytes: 6, limitBytes: 300 * KIB });
});

test('[CONNECT-TEXT-5] any text, from any offset: the lines after it, to the byte', async () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('', '🚀'.repeat(9), 'é', '\r', 'plain text'),
  );
  const text = fc.record({
    all: fc.array(line, { maxLength: 40 }),
    end: fc.constantFrom('\n', '\r\n'),
    isEnded: fc.boolean(),
    // Fillers move the chunk borders.
    fillers: fc.integer({ min: 0, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(text, async ({ all, end, isEnded, fillers }) => {
      const filler = Array.from({ length: fillers }, (_, index) => '🚀x'.repeat(30_000 + index));
      const content = [...filler, ...all].join(end) + (isEnded ? end : '');
      const path = inputFile(content);
      const batches = await readBatches(lines(), path);
      const rows = batches.flatMap((batch) => batch.rows);
      expect(rows).toEqual(referenceLines(content));
      for (let index = 0; index < batches.length; index++) {
        const { offset } = batches[index]!;
        const rest = batches.slice(index + 1).flatMap((batch) => batch.rows);
        expect(await readRows(lines(), path, offset)).toEqual(rest);
      }
    }),
    { numRuns: 40 },
  );
});

/** The lines of a text, by a regular expression. */
function referenceLines(content: string): string[] {
  const text = content.startsWith('\uFEFF') ? content.slice(1) : content;
  const all = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (text.endsWith('\n') || text === '') all.pop();
  return all;
}

test('[CONNECT-TEXT-6] a file that has grown is read from its former end', async () => {
  const path = inputFile('a\nb\n');
  const offset = (await readBatches(lines(), path)).at(-1)?.offset;
  expect(await readRows(lines(), path, offset)).toEqual([]);
  appendFileSync(path, 'c\nd');
  const [batch] = await readBatches(lines(), path, offset);
  expect(batch?.rows).toEqual(['c', 'd']);
  expect(batch?.offset['line']).toBe(3);

  // The last line was read as whole; its line end, which came later, is not another line.
  for (const [added, rows] of [
    ['\n', []],
    ['\r\ne\n', ['e']],
  ] as const) {
    const copy = inputFile(`a\nb\nc\nd${added}`);
    expect(await readRows(lines(), copy, batch?.offset)).toEqual(rows);
  }
});

test('[CONNECT-TEXT-7] a file that was replaced or has shrunk is detected', async () => {
  const path = inputFile('a\nb\nc');
  const offset = (await readBatches(lines(), path)).at(-1)?.offset;
  const read = () => connectFailure(readRows(lines(), path, offset));

  writeFileSync(path, 'a\nB\nc\nd\n');
  expect(await read()).toMatchObject({ code: 'FILE_CHANGED', details: { file: path } });
  writeFileSync(path, 'a\nb\nc-more\n');
  expect((await read()).message).toMatch(/last line had no line end/);
  writeFileSync(path, 'a\nb\nc');
  truncateSync(path, 3);
  expect((await read()).message).toMatch(/shrunk from 5 to 3 bytes.*put the old file back/);
});

test('[CONNECT-TEXT-8] lineOf gives the line of each row of a batch', async () => {
  const [batch] = await readBatches(lines(), inputFile('a\n\nb\nc\n'));
  expect([0, 1, 2, 3].map((index) => batch?.lineOf(index))).toEqual([1, 2, 3, 4]);
});

test('[CONNECT-TEXT-9] an unknown option is an error, and so is a limit below 1', () => {
  expect(() => lines({ lineByteMax: 1 } as never)).toThrow(/did you mean lineBytesMax/);
  expect(() => lines({ lineBytesMax: 0 })).toThrow(/lines: lineBytesMax must be an integer/);
});
