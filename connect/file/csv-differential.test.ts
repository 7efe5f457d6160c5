import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import Papa from 'papaparse';
import { expect, test } from 'vitest';
import { inputFile, readRows } from '../../test/kit/connect.ts';
import { ROOT } from '../../test/kit/root.ts';
import { SEED } from '../../test/kit/seed.ts';
import { ConnectError } from '../errors.ts';
import { csv } from './csv.ts';

type Rows = readonly (readonly string[])[];

const folderOf = (name: string): string => join(ROOT, 'node_modules', name);

/** As csv-parse reads it; undefined if it refuses. */
function byCsvParse(text: string, delimiter: string): Rows | undefined {
  try {
    return parse(text, {
      ...{ delimiter, bom: true, skip_empty_lines: true, relax_column_count: true },
      record_delimiter: ['\r\n', '\n'],
    });
  } catch {
    return undefined;
  }
}

/** As Papa Parse reads it; undefined if it finds errors. */
function byPapaParse(text: string, delimiter: string): Rows | undefined {
  const { data, errors } = Papa.parse<string[]>(text, { delimiter, skipEmptyLines: true });
  return errors.length > 0 ? undefined : data;
}

/** As we read it, with so many columns; the code of the error if we refuse. */
async function byUs(text: string, delimiter: string, columns: number): Promise<Rows | string> {
  const header = Array.from({ length: columns }, (_, index) => `c${index}`);
  const format = csv({ header, delimiter });
  try {
    const rows = await readRows(format, inputFile(text));
    return rows.map((row) => header.map((name) => row[name]!));
  } catch (cause) {
    if (cause instanceof ConnectError) return cause.code;
    throw cause;
  }
}

/** What both others read, if they agree and it is a table of several columns. */
function agreed(text: string, delimiter: string): Rows | undefined {
  const [one, other] = [byCsvParse(text, delimiter), byPapaParse(text, delimiter)];
  if (one === undefined || other === undefined) return undefined;
  if (JSON.stringify(one) !== JSON.stringify(other)) return undefined;
  const columns = one[0]?.length ?? 0;
  return columns > 1 && one.every(({ length }) => length === columns) ? one : undefined;
}

test('[CONNECT-CSV-16] files of csv-spectrum have the rows that it says', async () => {
  const folder = folderOf('csv-spectrum');
  const names = readdirSync(join(folder, 'csvs'))
    .map((name) => name.replace(/\.csv$/, ''))
    // What it says of this one has another phone number than the file.
    .filter((name) => name !== 'location_coordinates');
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) {
    const rows = await readRows(csv(), join(folder, 'csvs', `${name}.csv`));
    const expected: unknown = JSON.parse(
      readFileSync(join(folder, 'json', `${name}.json`), 'utf8'),
    );
    expect([name, rows]).toEqual([name, expected]);
  }
});

interface PapaCase {
  readonly description: string;
  readonly input: string;
  readonly config?: { readonly delimiter?: unknown };
}

/** The cases of Papa Parse's own tests. */
function papaCases(): readonly PapaCase[] {
  const text = readFileSync(join(folderOf('papaparse'), 'tests/test-cases.js'), 'utf8');
  const lists = ['CORE_PARSER_TESTS', 'PARSE_TESTS'].map((name) => {
    const start = text.indexOf('[', text.indexOf(`var ${name} = [`));
    return text.slice(start, text.indexOf('\n];', start) + 2);
  });
  const known = { Papa, RECORD_SEP: '\u001e', UNIT_SEP: '\u001f', BASE_PATH: './' };
  return runInNewContext(`[].concat(${lists.join(', ')})`, known) as readonly PapaCase[];
}

test('[CONNECT-CSV-16] cases of Papa Parse are read as by two other parsers', async () => {
  const compared: string[] = [];
  const different: unknown[] = [];
  for (const { description, input, config = {} } of papaCases()) {
    if (typeof input !== 'string') continue;
    const { delimiter = ',' } = config;
    if (typeof delimiter !== 'string' || delimiter.length !== 1) continue;
    const rows = agreed(input, delimiter);
    if (rows === undefined) continue;
    compared.push(description);
    const ours = await byUs(input, delimiter, rows[0]!.length);
    if (JSON.stringify(ours) !== JSON.stringify(rows)) different.push([description, input, ours]);
  }
  expect(different).toEqual([]);
  expect(compared.length).toBeGreaterThan(40);
});

const cell = fc.string({
  unit: fc.constantFrom('a', 'ä', '🚀', ' ', '"', ',', '\n', '\r\n', '\t', '0'),
  maxLength: 6,
});
const table = fc.integer({ min: 2, max: 4 }).chain((columns) => {
  const row = fc.array(fc.tuple(cell, fc.boolean()), { minLength: columns, maxLength: columns });
  return fc.array(row, { minLength: 1, maxLength: 6 });
});

test(`[CONNECT-CSV-16] any table is the same to all three, seed ${SEED}`, async () => {
  await fc.assert(
    fc.asyncProperty(
      table,
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      async (cells, end, last) => {
        const lines = cells.map((row) => {
          const fields = row.map(([value, isQuoted]) => {
            const mustQuote = isQuoted || /[",\r\n]/.test(value);
            return mustQuote ? `"${value.replaceAll('"', '""')}"` : value;
          });
          return fields.join(',');
        });
        const text = lines.join(end) + (last ? end : '');
        const expected = cells.map((row) => row.map(([value]) => value));
        expect(await byUs(text, ',', cells[0]!.length)).toEqual(expected);
        expect(byCsvParse(text, ',')).toEqual(expected);
        expect(byPapaParse(text, ',')).toEqual(expected);
      },
    ),
    { seed: SEED, numRuns: 300 },
  );
});

test(`[CONNECT-CSV-16] of any text nobody reads other rows, seed ${SEED}`, async () => {
  const text = fc.string({
    unit: fc.constantFrom('a', 'b', '"', '"', ',', ',', '\n'),
    maxLength: 24,
  });
  let compared = 0;
  await fc.assert(
    fc.asyncProperty(text, async (given) => {
      const rows = agreed(given, ',');
      if (rows === undefined) return;
      compared++;
      const ours = await byUs(given, ',', rows[0]!.length);
      // A quote that stands inside a field is text to some, and a mistake to others.
      if (ours === 'INVALID_CSV') expect(given).toMatch(/[^,\n]"|"[^,\n]/);
      else expect(ours).toEqual(rows);
    }),
    { seed: SEED, numRuns: 2_000 },
  );
  expect(compared).toBeGreaterThan(20);
});

test('[CONNECT-CSV-16] real files have the rows that csv-parse reads', async () => {
  const folder = join(folderOf('vega-datasets'), 'data');
  const files = readdirSync(folder).filter((name) => name.endsWith('.csv'));
  expect(files).toEqual(expect.arrayContaining(['birdstrikes.csv', 'zipcodes.csv']));
  for (const file of files) {
    const path = join(folder, file);
    const expected = parse<Record<string, string>>(readFileSync(path), {
      columns: true,
      bom: true,
    });
    const rows = await readRows(csv(), path);
    expect([file, rows.length]).toEqual([file, expected.length]);
    expect([file, digest(rows)]).toEqual([file, digest(expected)]);
  }
});

/** Of all values, in their order. */
function digest(rows: readonly object[]): string {
  const hash = createHash('sha256');
  for (const row of rows) hash.update(`${JSON.stringify(row)}\n`);
  return hash.digest('hex');
}
