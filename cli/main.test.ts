import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog, string, topic } from '../core/index.ts';
import { millrace, millraceAs, type Ended } from '../test/kit/command.ts';
import { outputOf, prepare } from '../test/kit/copy-job.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

/** The user id of nobody. */
const NOBODY = 65_534;

/** Expects one message, on one line, with all of these parts. */
function expectComplaint({ code, out, err }: Ended, ...parts: readonly string[]): void {
  expect(code).toBe(1);
  expect(out).toBe('');
  const complaints = err.split('\n').filter((line) => line.startsWith('millrace: '));
  expect(complaints).toHaveLength(1);
  for (const part of parts) expect(complaints[0]).toContain(part);
}

test('[CLI-1] run runs the job in a file and prints a summary', () => {
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

test('[CLI-2] a failing run with --json ends with the error as a line of JSON', () => {
  const directory = prepare(['1,10', '2']);
  const { code, out, err } = millrace(directory, 'run', 'job.ts', '--json');
  expect(code).toBe(1);
  expect(err).toMatch(/^millrace: .*FIELD_COUNT/m);
  const lines = out.trim().split('\n');
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({
    type: 'error',
    code: 'FIELD_COUNT',
    message: expect.stringContaining('line 3') as string,
    details: { line: 3, expected: 2, actual: 1 },
  });
  const missing = millrace(directory, 'run', 'nope.ts', '--json');
  expect(JSON.parse(missing.out)).toMatchObject({ type: 'error', code: 'INVALID_OPTION' });
});

test('[CLI-3] a wrong command line ends with exit code 2 and a hint', () => {
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

test('[CLI-4] a data directory that is not a directory', () => {
  const directory = prepare();
  writeFileSync(join(directory, 'file'), '');
  const ended = millrace(directory, 'run', 'job.ts', '--data', 'file/below');
  expectComplaint(ended, 'file/below', 'choose another directory', 'DIRECTORY_UNUSABLE');
});

// Root lacks no permission, so the child becomes another user, who must be able to read this
// project.
const user = process.getuid?.() === 0 ? NOBODY : undefined;
const canRun = millraceAs(user, tmpdir(), ['--version']).code === 0;

test.skipIf(!canRun)('[CLI-4] a data directory without permission', () => {
  const directory = prepare();
  mkdirSync(join(directory, 'locked'), { mode: 0o500 });
  chmodSync(directory, 0o755);
  const ended = millraceAs(user, directory, ['run', 'job.ts', '--data', 'locked/log']);
  expectComplaint(ended, 'locked/log', 'no right to write', 'DIRECTORY_UNUSABLE');
});

test.skipIf(!canRun)(
  '[CLI-4] reading a directory without permission',
  () => {
    const directory = prepare();
    expect(millrace(directory, 'run', 'job.ts', '--data', 'closed')).toMatchObject({ code: 0 });
    chmodSync(join(directory, 'closed'), 0o700);
    chmodSync(directory, 0o755);
    for (const command of ['topics', 'groups', 'verify', 'repair']) {
      const ended = millraceAs(user, directory, [command, 'closed']);
      expectComplaint(ended, 'closed', 'no right to read', 'DIRECTORY_UNUSABLE');
    }
    writeFileSync(join(directory, 'file'), '');
    expectComplaint(millrace(directory, 'topics', 'file'), 'file', 'it is a file');
  },
  60_000,
);

test('[CLI-4] a topic that exists with a different number of partitions', async () => {
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

test('[CLI-4] an async topology is refused', () => {
  const directory = prepare([], { 'topology: (builder)': 'topology: async (builder)' });
  expectComplaint(millrace(directory, 'run', 'job.ts'), 'topology', 'not async', 'INVALID_OPTION');
});

test('[CLI-5] an exception in the code of a job shows where it was thrown', () => {
  const directory = prepare(['1,10'], {
    'builder.stream(rows)': "builder.stream(rows).filter(() => { throw new Error('mine'); })",
  });
  const { code, err } = millrace(directory, 'run', 'job.ts');
  expect(code).toBe(1);
  expect(err).toMatch(/filter-rows failed on rows-\d at offset 0: mine \(PROCESSING_FAILED\)/);
  expect(err).toContain('job.ts');
});

test('[CLI-14] run says where its metrics are, logs as JSON and counts skipped records', () => {
  const topology = 'builder.stream(rows).to(copy)';
  const checking = `builder.stream(rows).filter(({ value }) => {
    if (value.total < 0) throw new RangeError('less');
    return true;
  }, { name: 'check', onError: 'skip' }).to(copy)`;
  const directory = prepare(['1,10', '2,-5'], { [topology]: checking });
  const flags = ['--metrics-port', '0', '--log', 'json', '--quiet'];
  const { code, out, err } = millrace(directory, 'run', 'job.ts', ...flags);
  expect(code).toBe(0);
  expect(out).toMatch(/^copy: done in [\d.]+ s, 2 records in, 1 out, 1 skipped\n$/);
  const lines = err.trim().split('\n');
  expect(lines[0]).toMatch(/^millrace: metrics at http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  expect(lines.slice(1).map((line) => JSON.parse(line) as object)).toMatchObject([
    { level: 'warn', applicationId: 'copy', node: 'check', topic: 'rows' },
  ]);
  expect(millrace(directory, 'run', 'job.ts', '--metrics-port', '70000').code).toBe(2);
  expect(millrace(directory, 'run', 'job.ts', '--log', 'xml').code).toBe(2);
});
