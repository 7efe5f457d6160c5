/**
 * Files in and out of the log, beside what else reads and writes files: a process for each run, in
 * turn, A B A B, all on the same input. README.md has the terms.
 *
 * Options: `--mb N` (size of the input, default 1,000), `--files N` (default 100,000; 0 for none),
 * `--only source,sink,copy,files`, `--rounds N`, `--results FILE`, `--smoke`, which keeps no
 * results.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile, compiledFolder } from '../../test/kit/compiled.ts';
import { currentCommit, keep, median, type Unit } from '../harness.ts';
import { writePages } from '../pages.ts';
import { writeFiles, writeRows } from './inputs.ts';
import type { Order, Report, Shape, Task } from './tasks.ts';

const PROGRAM = 'bench/connect/task-process.ts';
const RESULTS = fileURLToPath(new URL('results.ndjson', import.meta.url));
const PARTS = ['source', 'sink', 'copy', 'files'] as const;
const NO_DUCKDB =
  'DuckDB is left out: `npm install --no-save @duckdb/node-api` brings it, or NODE_PATH names it';

const { values: options } = parseArgs({
  options: {
    mb: { type: 'string' },
    files: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string' },
    results: { type: 'string' },
    smoke: { type: 'boolean', default: false },
  },
});
const isSmoke = options.smoke;
const megabytes = Number(options.mb ?? (isSmoke ? 2 : 1_000));
const fileCount = Number(options.files ?? (isSmoke ? 100 : 100_000));
const rounds = Number(options.rounds ?? (isSmoke ? 1 : 3));
const parts = options.only?.split(',') ?? PARTS;
const settings = {
  rounds,
  results: isSmoke ? undefined : (options.results ?? RESULTS),
  commit: currentCommit(),
};

const place = mkdtempSync(join(tmpdir(), 'millrace-connect-bench-'));
const folder = compiledFolder();
const program = join(folder, PROGRAM.replace(/\.ts$/, '.js'));

interface Contender {
  readonly name: string;
  readonly input: string;
  readonly task: Task | 'cat';
  /** Fills the log before, in a process of its own. */
  readonly before?: Task;
}

try {
  await compile(folder, [PROGRAM]);
  const rows = join(place, 'rows.jsonl');
  const { rows: count } = writeRows(rows, 'jsonl', megabytes * 1e6);
  console.log(`${megabytes} MB of JSON lines, ${count.toLocaleString('en')} rows`);
  if (parts.includes('source')) compareSources(rows, count);
  if (parts.includes('sink')) compareSinks(rows, count);
  if (parts.includes('copy')) compareCopies(rows, count);
  rmSync(rows);
  if (parts.includes('files') && fileCount > 0) measureFiles();
  if (settings.results !== undefined) await writePages();
} finally {
  rmSync(place, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
}

function compareSources(rows: string, count: number): void {
  const table = join(place, 'rows.csv');
  writeRows(table, 'csv', megabytes * 1e6);
  const source = (from: Shape): Task => ({ kind: 'source', from });
  compare('files into the log', count, [
    { name: 'cat', input: rows, task: 'cat' },
    { name: 'lines', input: rows, task: source('lines') },
    { name: 'JSONL, carried', input: rows, task: source('jsonl') },
    { name: 'JSONL, parsed for its key', input: rows, task: source('jsonl parsed') },
    { name: 'CSV', input: table, task: source('csv') },
  ]);
  rmSync(table);
}

function compareSinks(rows: string, count: number): void {
  const sink = (name: string, from: Shape, to: Shape): Contender => {
    return { name, input: rows, task: { kind: 'sink', to }, before: { kind: 'fill', from } };
  };
  compare('the log into files', count, [
    { name: 'cat', input: rows, task: 'cat' },
    sink('lines', 'lines', 'lines'),
    sink('JSONL, carried', 'jsonl', 'jsonl'),
    sink('JSONL, parsed for a function', 'jsonl', 'jsonl parsed'),
    sink('CSV', 'jsonl', 'csv'),
    sink('Parquet', 'jsonl', 'parquet'),
  ]);
}

function compareCopies(rows: string, count: number): void {
  const copy = (from: Shape, to: Shape): Task => ({ kind: 'copy', from, to });
  const duck = hasDuckDb();
  if (!duck) console.log(NO_DUCKDB);
  compare('file to file, exactly once', count, [
    { name: 'cat', input: rows, task: 'cat' },
    { name: 'readline, parse, stringify', input: rows, task: { kind: 'naive' } },
    ...(duck ? [duckDb(rows, 'jsonl')] : []),
    { name: 'Millrace, lines', input: rows, task: copy('lines', 'lines') },
    { name: 'Millrace, JSONL', input: rows, task: copy('jsonl', 'jsonl') },
    { name: 'Millrace, JSONL, parsed', input: rows, task: copy('jsonl parsed', 'jsonl parsed') },
  ]);
  const table = makeParquet(rows);
  compare('Parquet to JSON lines', count, [
    { name: 'cat', input: table, task: 'cat' },
    ...(duck ? [duckDb(table, 'parquet')] : []),
    { name: 'Millrace', input: table, task: copy('parquet', 'jsonl') },
  ]);
  rmSync(join(place, 'parquet'), { recursive: true });
}

function duckDb(input: string, from: Shape): Contender {
  return { name: 'DuckDB COPY', input, task: { kind: 'duckdb', from } };
}

/** A table of all rows, by our own sink. */
function makeParquet(rows: string): string {
  const directory = join(place, 'parquet');
  mkdirSync(directory);
  perform({ task: { kind: 'fill', from: 'jsonl' }, input: rows, directory });
  perform({ task: { kind: 'sink', to: 'parquet' }, input: rows, directory });
  rmSync(join(directory, 'log'), { recursive: true });
  const out = join(directory, 'out');
  const [first, ...others] = readdirSync(out).filter((name) => name.endsWith('.parquet'));
  return others.length === 0 && first !== undefined ? join(out, first) : `${out}/*.parquet`;
}

function hasDuckDb(): boolean {
  const found = spawnSync(process.execPath, ['-e', "require.resolve('@duckdb/node-api')"]);
  return found.status === 0;
}

/** The first pass over many files, a second one, and a look at them. */
function measureFiles(): void {
  const { pattern, rows } = writeFiles(join(place, 'files'), fileCount);
  const readings: Reading[] = [];
  const steps = [
    ['first pass', 'first'],
    ['another run', 'again'],
    ['a look, following', 'follow'],
  ] as const;
  for (let round = 0; round < rounds; round++) {
    const directory = join(place, `files-${round}`);
    mkdirSync(directory);
    for (const [name, step] of steps) {
      const { milliseconds, peakMb, records } = perform({
        task: { kind: 'files', step },
        ...{ input: pattern, directory },
      });
      const expected = step === 'first' ? rows : 0;
      if (records !== expected) throw new TypeError(`${name}: ${records} of ${expected} rows`);
      readings.push({ prefix: '', name, unit: 'ms', value: milliseconds }, memoryOf(name, peakMb));
    }
    rmSync(directory, { recursive: true });
  }
  report(`${fileCount.toLocaleString('en')} files`, fileCount, readings);
  rmSync(join(place, 'files'), { recursive: true });
}

interface Reading {
  /** Of the title under which it stands. */
  readonly prefix: string;
  readonly name: string;
  readonly unit: Unit;
  readonly value: number;
}

/** Runs the contenders in turn. */
function compare(title: string, count: number, contenders: readonly Contender[]): void {
  const readings: Reading[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) readings.push(...measure(contender, count, round));
  }
  report(title, count, readings);
}

function measure({ name, input, task, before }: Contender, count: number, round: number) {
  const sizeBytes = sizeOf(input);
  const rate = (prefix: string, milliseconds: number): Reading => {
    return { prefix, name, unit: 'MB/s', value: sizeBytes / 1e3 / milliseconds };
  };
  if (task === 'cat') return [rate('', cat(input))];
  const directory = join(place, `run-${round}`);
  mkdirSync(directory);
  try {
    if (before !== undefined) perform({ task: before, input, directory });
    const done = perform({ task, input, directory });
    const { milliseconds, processorMs, records = count, peakMb } = done;
    const isOther = !input.endsWith('.csv') && records !== count;
    if (isOther) throw new TypeError(`${name}: ${records} of ${count} rows`);
    return [
      rate('', milliseconds),
      rate('by processor time: ', processorMs),
      memoryOf(name, peakMb),
    ];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function memoryOf(name: string, value: number): Reading {
  return { prefix: 'memory: ', name, unit: 'MB', value };
}

function sizeOf(path: string): number {
  return path.endsWith('*.parquet')
    ? readdirSync(join(path, '..'))
        .filter((name) => name.endsWith('.parquet'))
        .reduce((sum, name) => sum + statSync(join(path, '..', name)).size, 0)
    : statSync(path).size;
}

function cat(path: string): number {
  const nothing = openSync(devNull, 'w');
  const startMs = performance.now();
  spawnSync('sh', ['-c', `cat ${path}`], { stdio: ['ignore', nothing, 'inherit'] });
  const milliseconds = performance.now() - startMs;
  closeSync(nothing);
  return milliseconds;
}

function perform(order: Order): Report {
  const { status, stdout } = spawnSync(process.execPath, [program, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new TypeError(`${JSON.stringify(order.task)} has failed`);
  return JSON.parse(stdout) as Report;
}

function report(title: string, records: number, readings: readonly Reading[]): void {
  for (const prefix of new Set(readings.map((reading) => reading.prefix))) {
    const own = readings.filter((reading) => reading.prefix === prefix);
    const { unit } = own[0]!;
    const names = [...new Set(own.map(({ name }) => name))];
    const figures = names.map((name) => {
      return { name, values: own.filter((each) => each.name === name).map(({ value }) => value) };
    });
    const full = prefix + title;
    console.log(`\n${full}  (${unit})`);
    for (const { name, values } of figures) {
      const spread = `${short(Math.min(...values))} to ${short(Math.max(...values))}`;
      console.log(`  ${name.padEnd(32)} ${short(median(values)).padStart(10)}  ${spread}`);
    }
    const notes = { megabytes };
    keep({ ...settings, records }, { title: full, unit, figures, notes });
  }
}

function short(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value >= 100 ? 0 : 1 });
}
