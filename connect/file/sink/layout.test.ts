import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  json,
  nodeFileSystem,
  openLog,
  silentLogger,
  string,
  topic,
  type ConsumerRecord,
} from '../../../core/index.ts';
import { filesBelow, manifestIn, readOutput } from '../../../test/kit/output.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { SinkRunner } from '../../runtime/sink-runner.ts';
import { jsonl } from '../jsonl.ts';
import { parquet } from '../parquet.ts';
import { fileSink } from './file-sink.ts';
import { Layout, layoutCheck } from './layout.ts';
import { isLevel } from './manifest.ts';

interface Sale {
  readonly country: string;
  readonly city?: { readonly name: string };
}
const sales = topic('sales', { key: string(), value: json<Sale>(), partitions: 2 });

const TIME_MS = Date.UTC(2026, 2, 29, 0, 59, 59);

/** A record, as far as a layout looks at it. */
function recordOf(timestampMs = TIME_MS, key: unknown = 'k'): ConsumerRecord {
  return { topic: 'sales', partition: 1, timestampMs, key } as unknown as ConsumerRecord;
}

function directoryOf(template: string, row: unknown = {}, timeZone = 'UTC', record = recordOf()) {
  expect(layoutCheck(template)).toBeUndefined();
  return new Layout(template, timeZone).directoryOf(record, row);
}

test('[CONNECT-PATH-1] directories are named after topic, key, event time and fields', () => {
  expect(directoryOf('{topic}/p{partition}/{key}')).toBe('sales/p1/k');
  expect(directoryOf('{date:yyyy-MM-dd}/{date:HH}h')).toBe('2026-03-29/00h');
  expect(directoryOf('year={date:yyyy}/{date:MMdd_HH-mm}')).toBe('year=2026/0329_00-59');
  const row = { country: 'de', city: { name: 'Ulm' }, n: 7, big: 7n, on: true, at: new Date(0) };
  expect(directoryOf('{field:country}-{field:city.name}', row)).toBe('de-Ulm');
  expect(directoryOf('{field:n}/{field:big}/{field:on}/{field:at}', row)).toBe(
    '7/7/true/1970-01-01T00%3A00%3A00.000Z',
  );
});

test('[CONNECT-PATH-2] dates are those of the time zone, also where clocks change', () => {
  const hour = (timestampMs: number, zone: string) =>
    directoryOf('{date:yyyy-MM-dd HH.mm}', {}, zone, recordOf(timestampMs));
  expect(hour(TIME_MS, 'Europe/Berlin')).toBe('2026-03-29 01.59');
  expect(hour(TIME_MS + 1000, 'Europe/Berlin')).toBe('2026-03-29 03.00');
  expect(hour(TIME_MS, 'Asia/Kolkata')).toBe('2026-03-29 06.29');
  expect(hour(TIME_MS, 'America/Los_Angeles')).toBe('2026-03-28 17.59');
  expect(hour(-1, 'UTC')).toBe('1969-12-31 23.59');
  expect(() => hour(8.64e15 + 1, 'UTC')).toThrow(/is no time/);
  // The same record after another, and the other way round.
  const layout = new Layout('{date:HH.mm}', 'Europe/Berlin');
  const times = [TIME_MS, TIME_MS + 1000, TIME_MS, -1, -1].map((timestampMs) => {
    return layout.directoryOf(recordOf(timestampMs), {});
  });
  expect(times).toEqual(['01.59', '03.00', '01.59', '00.59', '00.59']);
});

test('[CONNECT-PATH-3] no value leads out of the directory, or to a name that is refused', () => {
  const name = (value: unknown) => directoryOf('{field:v}', { v: value });
  expect(name('..')).toBe('%2E%2E');
  expect(name('a/../../b')).toBe('a%2F..%2F..%2Fb');
  expect(name('C:\\x\0y\n')).toBe('C%3A%5Cx%00y%0A');
  expect(name('.hidden')).toBe('%2Ehidden');
  expect(name('50%')).toBe('50%25');
  expect(name('aux')).toBe('%61ux');
  expect(name('COM1.txt')).toBe('%43OM1.txt');
  expect(name('end.')).toBe('end%2E');
  expect(name('')).toBe('__HIVE_DEFAULT_PARTITION__');
  expect(name(null)).toBe('__HIVE_DEFAULT_PARTITION__');
  expect(name('__HIVE_DEFAULT_PARTITION__')).toBe('%5F_HIVE_DEFAULT_PARTITION__');
  expect(() => name({ a: 1 })).toThrow(/v is an object, and names no directory/);
  expect(() => name([1])).toThrow(/v is a list/);
  const long = name('ü'.repeat(300));
  expect(Buffer.byteLength(long)).toBeLessThanOrEqual(200);
  expect(long).toMatch(/^ü{91}~[0-9a-f]{16}$/);
  expect(name(`${'ü'.repeat(299)}u`)).not.toBe(long);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme-ascii' }), (a, b) => {
      for (const value of [a, b]) {
        const path = directoryOf('x{field:v}/{field:v}', { v: value });
        const levels = path.split('/');
        expect(levels).toHaveLength(2);
        expect(levels.every(isLevel)).toBe(true);
        expect(relative('/out', join('/out', path)).startsWith('..')).toBe(false);
      }
      expect(name(a) === name(b)).toBe(a === b);
    }),
  );
});

test('[CONNECT-PATH-4] a template that names no directories is refused', () => {
  const faults: readonly (readonly [string, RegExp])[] = [
    ['', /no level of it may be empty/],
    ['/a', /no level of it may be empty/],
    ['a//b', /no level of it may be empty/],
    ['..', /may begin with a dot/],
    ['a/.b', /may begin with a dot/],
    ['a\\b', /holds what no path may hold/],
    ['{date:yyyy/MM}', /no \/ stands in braces/],
    ['{date:yyyy', /a brace is not closed/],
    ['{date}', /must be of yyyy, MM, dd, HH and mm/],
    ['{date:YYYY}', /must be of yyyy, MM, dd, HH and mm/],
    ['{date:HH:mm}', /must be of yyyy, MM, dd, HH and mm/],
    ['{field:}', /is none of/],
    ['{topc}', /is none of \{topic\}/],
  ];
  for (const [layout, reason] of faults) {
    const options = { topic: sales, path: 'out', format: jsonl(), layout };
    expect(() => fileSink(options)).toThrow(reason);
  }
  const options = { topic: sales, path: 'out', format: jsonl() };
  expect(() => fileSink({ ...options, timeZone: 'UTC' })).toThrow(/unless there is a layout/);
  expect(() => fileSink({ ...options, openPartsMax: 2 })).toThrow(/unless there is a layout/);
  expect(() => fileSink({ ...options, layout: '{key}', timeZone: 'Berlin' })).toThrow(
    /the name of a time zone/,
  );
});

test.each([jsonl<Sale>(), parquet()])(
  '[CONNECT-PATH-5] each record is below its directory, with few files open ($name)',
  async (format) => {
    const countries = ['de', '../../x', 'DE', '', 'fr', 'de', 'it', 'fr', 'de', 'es'];
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    await using producer = log.producer();
    const rows = countries.map((country, index) => ({
      key: 'k',
      value: { country, id: index },
      partition: index % 2,
    }));
    await producer.sendAll(sales, rows);
    const path = join(temporaryDirectory(), 'deep/out');
    const sink = fileSink({
      ...{ topic: sales, path, format, layout: '{field:country}/p{partition}', openPartsMax: 4 },
    });
    await new SinkRunner(log, sink, { commitRecordsMax: 3 }).finish();
    const parts = await readOutput(nodeFileSystem, path);
    const found = parts.flatMap(({ file, partition, rows: written }) => {
      return (written as (Sale & { id: number })[]).map(({ country, id }) => {
        expect(partition).toBe(id % 2);
        const directory = country === '' ? '__HIVE_DEFAULT_PARTITION__' : country;
        const escaped = directory.replaceAll('/', '%2F').replace(/^\./, '%2E');
        expect(dirname(file)).toBe(`${escaped}/p${partition}`);
        return id;
      });
    });
    expect(found.toSorted((a, b) => a - b)).toEqual(countries.map((_, index) => index));
    expect(await filesBelow(nodeFileSystem, path)).toEqual(
      ['manifest.json', ...parts.map(({ file }) => file)].sort(),
    );
    expect(readdirSync(dirname(path))).toEqual(['out']);
    expect(existsSync(join(path, '../../x'))).toBe(false);
    // Numbers are those of the partition: no two of its parts have one name, even where case does
    // not distinguish directories.
    const names = parts.map(({ file }) => file.split('/').at(-1));
    expect(new Set(names).size).toBe(names.length);
    expect(await manifestIn(nodeFileSystem, path)).toMatchObject({
      layout: '{field:country}/p{partition}',
      offsets: { 0: 5, 1: 5 },
    });
  },
);
