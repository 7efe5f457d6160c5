import fc from 'fast-check';
import { expect, expectTypeOf, test } from 'vitest';
import { connectFailure, inputFile, readBatches, readRows } from '../../test/kit/connect.ts';
import { writtenTexts } from '../../test/kit/output.ts';
import { csv } from './csv.ts';
import type { SourceFormat } from './format.ts';

test('[CONNECT-CSV-1] the header names the properties; fields are text', async () => {
  const path = inputFile('name,city\nAda,London\r\nGrace,"New York"\n');
  expect(await readRows(csv(), path)).toEqual([
    { name: 'Ada', city: 'London' },
    { name: 'Grace', city: 'New York' },
  ]);
  const noRows = await readRows(csv(), inputFile('name,city\n'));
  expect(noRows).toEqual([]);
  expect(await readRows(csv(), inputFile(''))).toEqual([]);
});

test('[CONNECT-CSV-2] quotes hold delimiters, quotes and line ends, as in RFC 4180', async () => {
  const text = 'a,b\n"x,y","say ""hi"""\n"two\r\nlines",""\n"",plain "quotes" inside\n';
  expect(await readRows(csv(), inputFile(text))).toEqual([
    { a: 'x,y', b: 'say "hi"' },
    { a: 'two\r\nlines', b: '' },
    { a: '', b: 'plain "quotes" inside' },
  ]);
});

test('[CONNECT-CSV-3] too few or too many fields are an error with place and counts', async () => {
  for (const [row, actual] of [
    ['1,2', 2],
    ['1,2,3,4', 4],
    ['"1",2', 2],
    ['"1","2","3","4","5"', 5],
  ] as const) {
    const path = inputFile(`a,b,c\n"two\nlines",2,3\nä,b,c\n${row}\n1,2,3\n`);
    const { code, message, details } = await connectFailure(readRows(csv(), path));
    expect(code).toBe('FIELD_COUNT');
    expect(details).toEqual({ file: path, line: 5, positionBytes: 29, expected: 3, actual });
    expect(message).toContain(`${path}, line 5 (byte 29): ${actual} fields instead of 3`);
  }
});

test('[CONNECT-CSV-4] a misplaced or unclosed quote is an error with its place', async () => {
  const stray = inputFile('a,b\n1,2\n"x"y,2\n');
  expect(await connectFailure(readRows(csv(), stray))).toMatchObject({
    code: 'INVALID_CSV',
    details: { line: 3, positionBytes: 8 },
    message: expect.stringMatching(/after the closing quote of field 1 comes "y"/) as string,
  });
  const open = inputFile('a,b\n1,2\n3,"x\n5,6\n');
  expect(await connectFailure(readRows(csv(), open))).toMatchObject({
    code: 'INVALID_CSV',
    details: { line: 3, positionBytes: 8 },
    message: expect.stringMatching(/never closed/) as string,
  });
});

test('[CONNECT-CSV-5] empty lines are skipped, except in a file of one column', async () => {
  expect(await readRows(csv(), inputFile('\na,b\n\n1,2\n\r\n\n'))).toEqual([{ a: '1', b: '2' }]);
  expect(await readRows(csv(), inputFile('\n\r\n'))).toEqual([]);
  const late = `${'\n'.repeat(600 * 1024)}a,b\n1,2\n`; // further than what is read at once
  expect(await readRows(csv(), inputFile(late))).toEqual([{ a: '1', b: '2' }]);
  expect(await readRows(csv(), inputFile('a\n1\n\n2'))).toEqual([
    { a: '1' },
    { a: '' },
    { a: '2' },
  ]);
});

test('[CONNECT-CSV-6] options set the delimiter and the header', async () => {
  const path = inputFile('1;"a;b"\n2;c\n');
  const format = csv({ delimiter: ';', header: ['id', 'text'] });
  expect(await readRows(format, path)).toEqual([
    { id: '1', text: 'a;b' },
    { id: '2', text: 'c' },
  ]);
  expect(await readRows(csv({ delimiter: '\t' }), inputFile('a\tb\n1,\t2\n'))).toEqual([
    { a: '1,', b: '2' },
  ]);
});

test('[CONNECT-CSV-7] columns become numbers or the result of a function', async () => {
  interface Row {
    readonly id: string;
    readonly count: number;
    readonly rate: number | null;
    readonly at: Date;
  }
  const format = csv<Row>({
    columns: { count: 'number', rate: 'number?', at: (text) => new Date(text) },
  });
  const at = new Date('2001-01-01T00:00:00Z');
  const good = 'id,count,rate,at\n7,-12,0.5,2001-01-01T00:00:00Z\n8,1e3,,2001-01-01T00:00:00Z\n';
  expect(await readRows(format, inputFile(good))).toEqual([
    { id: '7', count: -12, rate: 0.5, at },
    { id: '8', count: 1000, rate: null, at },
  ]);
  for (const [count, reason] of [
    ['', /column count: "" is not a number/],
    ['n/a', /column count: "n\/a" is not a number/],
    ['Infinity', /column count: "Infinity" is not a number/],
  ] as const) {
    const path = inputFile(`id,count,rate,at\n7,1,1,\n8,${count},1,\n`);
    expect(await connectFailure(readRows(format, path))).toMatchObject({
      code: 'INVALID_CSV',
      details: { line: 3 },
      message: expect.stringMatching(reason) as string,
    });
  }
});

test('[CONNECT-CSV-8] a header that lacks or repeats a column is an error', async () => {
  const format = csv<{ a: string; n: number }>({ columns: { n: 'number' } });
  const path = inputFile('a,m\n1,2\n');
  expect(await connectFailure(readRows(format, path))).toMatchObject({
    code: 'UNKNOWN_COLUMN',
    details: { file: path, column: 'n', columns: ['a', 'm'] },
  });
  const twice = await connectFailure(readRows(csv(), inputFile('a,b,a\n')));
  expect(twice.message).toMatch(/names the column "a" twice/);
  const proto = await connectFailure(readRows(csv(), inputFile('a,__proto__\n')));
  expect(proto.code).toBe('INVALID_CSV');
});

test('[CONNECT-CSV-12] a header with other line ends or characters is an error', async () => {
  const mac = await connectFailure(readRows(csv(), inputFile('a,b\r1,2\r')));
  expect(mac).toMatchObject({ code: 'INVALID_CSV', details: { line: 1, positionBytes: 0 } });
  expect(mac.message).toMatch(/carriage returns without line feeds.*tr '\\r' '\\n'/);
  const wide = await connectFailure(
    readRows(csv(), inputFile(Buffer.from('a,b\n1,2\n', 'utf16le'))),
  );
  expect(wide.code).toBe('INVALID_CSV');
  expect(wide.message).toMatch(/UTF-16.*encoding: 'utf-16le'/);
});

test('[CONNECT-CSV-10] numbers are quoted if they contain the delimiter', async () => {
  for (const [delimiter, line] of [
    ['.', '"1.5".x'],
    ['-', '1.5-x'],
    [';', '1.5;x'],
    ['5', '"1.5"5x'],
  ] as const) {
    const format = csv({ delimiter });
    expect((await writtenTexts(format, [{ a: 1.5, b: 'x' }], ['a', 'b'])).texts).toEqual([line]);
  }
});

test('[CONNECT-CSV-9] it compiles only if all columns that are not text are named', () => {
  expectTypeOf(csv()).toExtend<SourceFormat<Record<string, string>>>();
  expectTypeOf(csv<{ code: 'a' | 'b' }>()).toExtend<SourceFormat<{ code: 'a' | 'b' }>>();
  interface Row {
    readonly text: string;
    readonly count: number;
  }
  csv<Row>({ columns: { count: 'number' } });
  // @ts-expect-error -- count is missing
  csv<Row>({ columns: {} });
  // @ts-expect-error -- a number cannot be null
  csv<Row>({ columns: { count: 'number?' } });
  // @ts-expect-error -- columns is missing
  csv<Row>();
  expect(() => csv({ columns: { a: 'numeric' } } as never)).toThrow(/columns.a must be 'number'/);
  expect(() => csv({ delimiter: '"' })).toThrow(/delimiter must be one character/);
  expect(() => csv({ seperator: ';' } as never)).toThrow(/did you mean/);
});

const field = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.string({
    unit: fc.constantFrom(',', '"', '\n', '\r\n', ' ', 'é', '🚀', 'x', '\ufeff'),
    maxLength: 8,
  }),
  fc.constantFrom('', '0', 'x'.repeat(5000)),
);

test('[CONNECT-CSV-10] written rows are read back, from any offset', async () => {
  const table = fc.integer({ min: 1, max: 4 }).chain((width) =>
    fc.record({
      width: fc.constant(width),
      rows: fc.array(fc.array(field, { minLength: width, maxLength: width }), { maxLength: 30 }),
      end: fc.constantFrom('\n', '\r\n'),
      copies: fc.constantFrom(1, 1, 30),
    }),
  );
  await fc.assert(
    fc.asyncProperty(table, async ({ width, rows, end, copies }) => {
      const names = Array.from({ length: width }, (_, column) => `c${column}`);
      const objects = rows.map((row) => Object.fromEntries(names.map((n, i) => [n, row[i]])));
      const all = Array.from({ length: copies }, () => objects).flat();
      const { header, texts } = await writtenTexts(csv(), all, names);
      const content = [header, ...texts].join(end) + end;
      const path = inputFile(content);
      const batches = await readBatches(csv(), path);
      expect(batches.flatMap((batch) => batch.rows)).toEqual(all);
      for (const [index, { offset }] of batches.entries()) {
        const rest = batches.slice(index + 1).flatMap((batch) => batch.rows);
        expect(await readRows(csv(), path, offset)).toEqual(rest);
      }
    }),
    { numRuns: 60 },
  );
});

test('[CONNECT-CSV-11] any text is read as a simple parser reads it', async () => {
  const piece = fc.constantFrom('a', 'b', ',', '"', '""', '\n', '\r\n', '\r', ' ', '",', '\n"');
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
      const text = pieces.join('');
      const expected = referenceRecords(text, 2);
      const read = readRows(csv({ header: ['a', 'b'] }), inputFile(text));
      if (typeof expected === 'string') {
        expect((await connectFailure(read)).code).toBe(expected);
      } else {
        expect((await read).map(({ a, b }) => [a, b])).toEqual(expected);
      }
    }),
    { numRuns: 400 },
  );
});

/** The records of a text of `width` columns, or the code of the first error. */
function referenceRecords(text: string, width: number): string[][] | string {
  const records: string[][] = [];
  let at = 0;
  while (at < text.length) {
    const isBlank = /^\r?\n|^\r$/.exec(text.slice(at));
    if (isBlank !== null) {
      at += isBlank[0].length;
      continue;
    }
    const record: string[] = [];
    for (;;) {
      let value = '';
      if (text[at] === '"') {
        for (at++; ; at++) {
          if (at >= text.length) return 'INVALID_CSV';
          if (text[at] !== '"') value += text.charAt(at);
          else if (text[at + 1] === '"') value += text.charAt(at++);
          else break;
        }
        at++;
        const behind = text.slice(at);
        if (behind !== '' && !/^(?:,|\r?\n|\r$)/.test(behind)) return 'INVALID_CSV';
      } else {
        while (at < text.length && text[at] !== ',' && text[at] !== '\n')
          value += text.charAt(at++);
        if (text[at] !== ',') value = value.replace(/\r$/, '');
      }
      record.push(value);
      if (text[at] !== ',') break;
      at++;
    }
    at += /^(?:\r?\n|\r)?/.exec(text.slice(at))?.[0].length ?? 0;
    if (record.length !== width) return 'FIELD_COUNT';
    records.push(record);
  }
  return records;
}
