import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openLog, string, topic } from '../core/index.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');
const command = [tsx, '--tsconfig', join(root, 'tsconfig.json'), join(root, 'cli/main.ts')];

/** The number of the user nobody. */
const NOBODY = 65_534;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function millrace(directory: string, ...args: readonly string[]): Ended {
  return runAs(undefined, directory, args);
}

/** Runs the command as the user of this number; by default as the one who runs the tests. */
function runAs(uid: number | undefined, cwd: string, args: readonly string[]): Ended {
  const options = { cwd, encoding: 'utf8', ...(uid !== undefined && { uid }) } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...command, ...args], options);
  return { code: status, out: stdout, err: stderr };
}

/** A job that copies `in.csv` (columns id and total) to `out`, with changes to its text. */
function writeJob(directory: string, changes: Readonly<Record<string, string>> = {}): void {
  let text = `
    import { json, string, topic } from 'millrace';
    import { csv, fileSink, fileSource, jsonl, parquet } from 'millrace/connect';
    import { defineJob } from 'millrace/job';
    type Row = { id: string; total: number };
    const rows = topic('rows', { key: string(), value: json<Row>(), partitions: 2 });
    const copy = topic('copy', { key: string(), value: json<Row>() });
    export default defineJob({
      name: 'copy',
      sources: [fileSource({
        path: 'in.csv',
        format: csv<Row>({ columns: { total: 'number' } }),
        topic: rows,
        key: (row) => row.id,
      })],
      topology: (builder) => builder.stream(rows).to(copy),
      sinks: [fileSink({ topic: copy, path: 'out', format: jsonl() })],
    });
  `;
  for (const [from, to] of Object.entries(changes)) {
    expect(text).toContain(from);
    text = text.replace(from, to);
  }
  writeFileSync(join(directory, 'job.ts'), text);
}

function prepare(rows = ['1,10', '2,20'], changes: Readonly<Record<string, string>> = {}): string {
  const directory = temporaryDirectory();
  writeJob(directory, changes);
  writeFileSync(join(directory, 'in.csv'), ['id,total', ...rows, ''].join('\n'));
  return directory;
}

function outputOf(directory: string): string[] {
  const names = readdirSync(join(directory, 'out')).filter((name) => name.endsWith('.jsonl'));
  const texts = names.map((name) => readFileSync(join(directory, 'out', name), 'utf8'));
  return texts.flatMap((text) => text.trimEnd().split('\n'));
}

/** One message, on one line, that holds all of this. */
function expectComplaint({ code, out, err }: Ended, ...parts: readonly string[]): void {
  expect(code).toBe(1);
  expect(out).toBe('');
  const complaints = err.split('\n').filter((line) => line.startsWith('millrace: '));
  expect(complaints).toHaveLength(1);
  for (const part of parts) expect(complaints[0]).toContain(part);
}

test('[CLI-1] run runs a job of a file and prints what it did', () => {
  const directory = prepare();
  const ended = millrace(directory, 'run', 'job.ts');
  expect(ended).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^copy: done in [\d.]+ s, 2 records in, 2 out\n$/) as string,
  });
  expect(ended.err).toMatch(/source rows-source: 2 records 100%, .* done/);
});

test('[CLI-2] with --json every line is JSON; the summary comes last', () => {
  const directory = prepare();
  const { code, out, err } = millrace(directory, 'run', 'job.ts', '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly type: string });
  expect(lines.at(-1)).toMatchObject({ type: 'summary', job: 'copy', isComplete: true });
  expect(lines.slice(0, -1).every(({ type }) => type === 'progress')).toBe(true);
});

test('[CLI-3] what makes no sense ends with exit code 2 and a hint', () => {
  const directory = temporaryDirectory();
  expect(millrace(directory, 'rum')).toMatchObject({
    code: 2,
    err: expect.stringContaining('Did you mean run?') as string,
  });
  expect(millrace(directory, 'run')).toMatchObject({
    code: 2,
    err: expect.stringContaining("argument 'file'") as string,
  });
  expect(millrace(directory, 'run', 'x.ts', '--dat', 'd')).toMatchObject({
    code: 2,
    err: expect.stringContaining('--data') as string,
  });
  expect(millrace(directory, '--version')).toMatchObject({ code: 0 });
});

test('[CLI-4] a job file that is missing, or holds no job', () => {
  const directory = temporaryDirectory();
  expectComplaint(millrace(directory, 'run', 'nope.ts'), 'nope.ts', 'no such file');
  writeFileSync(join(directory, 'empty.ts'), 'export default { name: "x" };');
  expectComplaint(millrace(directory, 'run', 'empty.ts'), 'empty.ts', 'export default defineJob');
});

test('[CLI-1] a job file is an ES module, whatever package.json says', () => {
  const directory = prepare();
  writeFileSync(join(directory, 'package.json'), '{ "type": "commonjs" }'); // as npm init makes it
  expect(millrace(directory, 'run', 'job.ts')).toMatchObject({ code: 0 });
  expect(outputOf(directory)).toHaveLength(2);
});

test('[CLI-4] a typo in an option names the nearest one', () => {
  const directory = prepare([], { 'topology:': 'toplogy:' });
  expectComplaint(millrace(directory, 'run', 'job.ts'), 'toplogy', 'did you mean topology?');
  const other = prepare([], { 'format: jsonl()': 'fromat: jsonl()' });
  expectComplaint(millrace(other, 'run', 'job.ts'), 'fromat', 'did you mean format?');
});

test('[CLI-4] a missing input file', () => {
  const directory = prepare([], { "path: 'in.csv'": "path: 'input/none.csv'" });
  expectComplaint(millrace(directory, 'run', 'job.ts'), 'input/none.csv', 'FILE_NOT_FOUND');
});

test('[CLI-4] a row with too few fields names file and line, and leaves nothing half-done', () => {
  const directory = prepare(['1,10', '2', '3,30']);
  expectComplaint(millrace(directory, 'run', 'job.ts'), 'in.csv', 'line 3', 'FIELD_COUNT');
  writeFileSync(join(directory, 'in.csv'), 'id,total\n1,10\n2,20\n3,30\n');
  expect(millrace(directory, 'run', 'job.ts')).toMatchObject({ code: 0 });
  expect(outputOf(directory).sort()).toEqual([
    '{"id":"1","total":10}',
    '{"id":"2","total":20}',
    '{"id":"3","total":30}',
  ]);
});

test('[CLI-4] a Parquet file that was cut short', () => {
  const directory = prepare([], {
    "path: 'in.csv'": "path: 'in.parquet'",
    "csv<Row>({ columns: { total: 'number' } })": 'parquet<Row>()',
  });
  const data = createRequire(import.meta.url).resolve('vega-datasets');
  const whole = join(dirname(data), '../data/flights-3m.parquet');
  writeFileSync(join(directory, 'in.parquet'), spawnSync('head', ['-c', '100000', whole]).stdout);
  expectComplaint(millrace(directory, 'run', 'job.ts'), 'in.parquet', '100000', 'INVALID_PARQUET');
});

test('[CLI-4] a data directory that cannot be one', () => {
  const directory = prepare();
  writeFileSync(join(directory, 'file'), '');
  const ended = millrace(directory, 'run', 'job.ts', '--data', 'file/below');
  expectComplaint(ended, 'file/below', 'choose another directory', 'DIRECTORY_UNUSABLE');
});

// No right is missing to root, so it becomes somebody else, who has to be able to read this
// project.
const user = process.getuid?.() === 0 ? NOBODY : undefined;
const canRun = runAs(user, tmpdir(), ['--version']).code === 0;

test.skipIf(!canRun)('[CLI-4] a data directory without rights', () => {
  const directory = prepare();
  mkdirSync(join(directory, 'locked'), { mode: 0o500 });
  chmodSync(directory, 0o755);
  const ended = runAs(user, directory, ['run', 'job.ts', '--data', 'locked/log']);
  expectComplaint(ended, 'locked/log', 'no right to write', 'DIRECTORY_UNUSABLE');
});

test('[CLI-4] a topic that exists with another number of partitions', async () => {
  const directory = prepare();
  {
    await using log = await openLog(join(directory, 'data'));
    await log.admin().ensureTopic(topic('rows', { key: string(), value: string(), partitions: 5 }));
  }
  expectComplaint(
    millrace(directory, 'run', 'job.ts'),
    'rows',
    '5 partitions',
    'PARTITION_MISMATCH',
  );
});

test('[CLI-4] a data directory in use by another process names that process', async () => {
  const directory = prepare();
  await using log = await openLog(join(directory, 'data'));
  expect(log.directory).toBe(join(directory, 'data'));
  expectComplaint(millrace(directory, 'run', 'job.ts'), `process ${process.pid}`, 'LOG_LOCKED');
});

test('[CLI-5] an exception of the job itself shows where it was thrown', () => {
  const directory = prepare(['1,10'], {
    'builder.stream(rows)': "builder.stream(rows).filter(() => { throw new Error('mine'); })",
  });
  const { code, err } = millrace(directory, 'run', 'job.ts');
  expect(code).toBe(1);
  expect(err).toMatch(/filter-\d+ failed on rows-\d at offset 0: mine \(PROCESSING_FAILED\)/);
  expect(err).toContain('job.ts');
});

test('[CLI-6] an interrupt commits what is processed, and the exit code says so', async () => {
  const directory = prepare(['1,10']);
  writeJob(directory, {
    'fileSource({': `{
    name: 'endless', topics: [rows], isBounded: false,
    open: async ({ signal }) => [{
      poll: () => new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(undefined));
        setTimeout(() => resolve({ records: [], partition: { p: '1' }, offset: { at: 1 } }), 20);
      }),
      close: async () => {},
    }],
  }, fileSource({`,
  });
  const child = spawn(process.execPath, [...command, 'run', 'job.ts', '--quiet'], {
    cwd: directory,
  });
  let out = '';
  child.stdout.on('data', (text) => (out += String(text)));
  setTimeout(() => child.kill('SIGINT'), 2500);
  const [code] = (await once(child, 'exit')) as [number];
  expect(code).toBe(130);
  expect(out).toMatch(/^copy: stopped in /);
});
