import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic } from '../../core/index.ts';
import { connectFailure, inputFile, readRows } from '../../test/kit/connect.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import { csv } from './csv.ts';
import { fileSource } from './file-source.ts';
import { jsonl } from './jsonl.ts';

const values = topic('values', { key: string(), value: json<unknown>(), partitions: 1 });

test('[CONNECT-NUMBERS-1] jsonl() keeps the digits, or does as told', async () => {
  const path = inputFile('{"n":9007199254740993}\n{"n":18446744073709551615}\n{"n":1.5}\n');
  expect(await readRows(jsonl(), path)).toEqual([
    { n: 9007199254740993n },
    { n: 18446744073709551615n },
    { n: 1.5 },
  ]);
  expect(await readRows(jsonl({ numbers: 'text' }), path)).toEqual([
    { n: '9007199254740993' },
    { n: '18446744073709551615' },
    { n: 1.5 },
  ]);
  expect(await readRows(jsonl({ numbers: 'double' }), path)).toEqual([
    { n: 2 ** 53 },
    { n: 2 ** 64 },
    { n: 1.5 },
  ]);
  const refused = await connectFailure(readRows(jsonl({ numbers: 'error' }), path));
  expect(refused).toMatchObject({ code: 'INVALID_JSON', details: { line: 1 } });
  expect(refused.message).toMatch(/9007199254740993 does not fit.*option numbers/);
  const huge = await connectFailure(readRows(jsonl(), inputFile('1\n1e400\n')));
  expect(huge).toMatchObject({ code: 'INVALID_JSON', details: { line: 2 } });
});

test.each(['carried', 'looked at'] as const)(
  '[CONNECT-NUMBERS-2] JSON that is only carried keeps its bytes (%s)',
  async (how) => {
    const all = ['{"n":9007199254740993, "x":1.50}', '[1e3]', '"\\u00e9"'];
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    const source = fileSource({
      path: inputFile(`${all.join('\r\n')}\n`),
      format: jsonl(),
      topic: values,
      key: how === 'carried' ? () => null : (row) => typeof row,
    });
    await new SourceRunner(log, source).run();
    const text = topic('values', { key: string(), value: string(), partitions: 1 });
    expect(await readValues(log, text, 'read_committed')).toEqual(all);
    const [first] = await readValues(log, values, 'read_committed');
    expect(first).toEqual({ n: 9007199254740993n, x: 1.5 });
  },
);

test('[CONNECT-NUMBERS-3] numbers of CSV are decimal and exact, or an error', async () => {
  const format = csv<{ n: number }>({ columns: { n: 'number' } });
  const read = (text: string) => readRows(format, inputFile(`n\n${text}\n`));
  for (const good of [
    '-1.5e3',
    ' 7 ',
    '+0.25',
    '.5',
    '5.',
    '9007199254740991',
    '0.1234567890123456789',
  ]) {
    expect(await read(good)).toEqual([{ n: Number(good) }]);
  }
  for (const bad of [
    '0x10',
    '0b1',
    '1_000',
    'NaN',
    '1e400',
    '9007199254740993',
    '-9007199254740992',
  ]) {
    expect((await connectFailure(read(bad))).code).toBe('INVALID_CSV');
  }
  expect((await connectFailure(read('9007199254740993'))).message).toMatch(/read it as 'bigint'/);
});

test('[CONNECT-CSV-14] columns can be bigints, booleans and dates, or null', async () => {
  interface Row {
    readonly id: bigint;
    readonly ok: boolean;
    readonly at: Date;
    readonly until: Date | null;
  }
  const format = csv<Row>({ columns: { id: 'bigint', ok: 'boolean', at: 'date', until: 'date?' } });
  const read = (text: string) => readRows(format, inputFile(`id,ok,at,until\n${text}\n`));
  expect(
    await read(
      '18446744073709551615,TRUE,2001-02-03,\n+1,0,2001-02-03T04:05:06,2001-02-03T00:00:00+01:00',
    ),
  ).toEqual([
    { id: 18446744073709551615n, ok: true, at: new Date(Date.UTC(2001, 1, 3)), until: null },
    {
      id: 1n,
      ok: false,
      at: new Date(Date.UTC(2001, 1, 3, 4, 5, 6)),
      until: new Date(Date.UTC(2001, 1, 2, 23)),
    },
  ]);
  for (const bad of [
    '1.5,1,2001-02-03,',
    '1,yes,2001-02-03,',
    '1,1,2001-02-30,',
    '1,1,,',
    '1,1,1/2/03,',
  ]) {
    expect((await connectFailure(read(bad))).code).toBe('INVALID_CSV');
  }
  // @ts-expect-error -- a boolean is not read as a date
  csv<{ ok: boolean }>({ columns: { ok: 'date' } });
});

test('[CONNECT-CSV-14] lines of comment are skipped', async () => {
  const path = inputFile('# one\n\n#two\na,b\n1,2\n# three, "\n3,4\n#');
  expect(await readRows(csv({ comment: '#' }), path)).toEqual([
    { a: '1', b: '2' },
    { a: '3', b: '4' },
  ]);
  expect(() => csv({ comment: '//' })).toThrow(/comment must be one character/);
});

test('[CONNECT-CSV-15] a header may hold line ends in quotes, as in RFC 4180', async () => {
  const path = inputFile('"aaa","b\r\nbb","ccc"\r\nzzz,yyy,xxx\r\n');
  expect(await readRows(csv(), path)).toEqual([{ aaa: 'zzz', 'b\r\nbb': 'yyy', ccc: 'xxx' }]);
  const mac = inputFile('1,2\r3,4\r5,6');
  const failure = await connectFailure(readRows(csv({ header: ['a', 'b'] }), mac));
  expect(failure).toMatchObject({ code: 'FIELD_COUNT' });
  expect(failure.message).toMatch(/carriage returns without line feeds.*tr '\\r' '\\n'/);
});
