import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  json,
  openLog,
  silentLogger,
  string,
  systemClock,
  topic,
  viewLog,
  type Clock,
  type LogConfig,
  type PartitionView,
} from '../core/index.ts';
import { csv, fileSink, fileSource, jsonl, lines, type SinkConnector } from '../connect/index.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';
import { defineJob, type Job } from './define-job.ts';
import type { JobProgress } from './progress.ts';
import { runJob } from './run-job.ts';
import { describeJob, jobTopologies } from './topologies.ts';

interface Row {
  readonly id: string;
  readonly total: number;
}

const rows = topic('rows', { key: string(), value: json<Row>(), partitions: 2 });
const others = topic('others', { key: string(), value: json<Row>() });

function sourceOf(directory: string, name = 'in', to = rows) {
  return fileSource({
    path: join(directory, name, '*.csv'),
    format: csv<Row>({ columns: { total: 'number' } }),
    topic: to,
    key: (row) => row.id,
  });
}

function sinkTo(directory: string, out = 'out', from = rows) {
  return fileSink({ topic: from, name: out, path: join(directory, out), format: jsonl<object>() });
}

function write(directory: string, file: string, totals: readonly (number | string)[]): void {
  const path = join(directory, file);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, ['id,total', ...totals.map((total) => `k${total},${total}`), ''].join('\n'));
}

/** The totals that a sink has written, sorted. */
function totalsIn(directory: string, out = 'out'): number[] {
  return readdirSync(join(directory, out))
    .filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) =>
      readFileSync(join(directory, out, name), 'utf8')
        .trimEnd()
        .split('\n'),
    )
    .map((line) => (JSON.parse(line) as Row).total)
    .sort((a, b) => a - b);
}

test('[JOB-COPY-1] a job without a topology copies, and the next run goes on', async () => {
  const directory = temporaryDirectory();
  const run = () => {
    const job = defineJob({ name: 'copy', source: sourceOf(directory), sink: sinkTo(directory) });
    return runJob(job, {
      directory: join(directory, 'log'),
      onProgress: (each) => progress.push(each),
    });
  };
  const progress: JobProgress[] = [];
  write(directory, 'in/1.csv', [1, 2, 3]);
  const summary = await run();
  const failed = { skipped: 0, deadLettered: 0 };
  expect(summary).toMatchObject({ job: 'copy', isComplete: true, streams: [] });
  expect(summary.sources).toMatchObject([{ name: 'rows-source', records: 3 }]);
  expect(summary.sinks).toEqual([{ name: 'out', records: 3, failed }]);
  expect(progress.at(-1)?.stages.map(({ kind, isDone }) => `${kind} ${isDone}`)).toEqual([
    'source true',
    'sink true',
  ]);
  write(directory, 'in/2.csv', [4]);
  expect(await run()).toMatchObject({ sources: [{ records: 1 }], sinks: [{ records: 1 }] });
  expect(totalsIn(directory)).toEqual([1, 2, 3, 4]);
});

test('[JOB-COPY-1] several sources and sinks, transforms, and dead letters', async () => {
  const directory = temporaryDirectory();
  write(directory, 'in/1.csv', [1, 2, 'x', 3]);
  write(directory, 'more/1.csv', [10, 20]);
  const job = defineJob({
    name: 'copies',
    sources: [
      { source: sourceOf(directory), errors: { tolerance: 'all', deadLetter: 'bad' } },
      sourceOf(directory, 'more', others),
    ],
    sinks: [
      sinkTo(directory),
      {
        sink: sinkTo(directory, 'even'),
        transforms: [(record) => ((record.value as Row).total % 2 === 0 ? record : null)],
      },
      sinkTo(directory, 'more-out', others),
    ],
  });
  const summary = await runJob(job, { directory: join(directory, 'log'), logger: silentLogger });
  expect(summary.isComplete).toBe(true);
  expect(summary.sources).toMatchObject([
    { records: 3, failed: { deadLettered: 1 } },
    { records: 2, failed: { deadLettered: 0 } },
  ]);
  expect([totalsIn(directory), totalsIn(directory, 'even')]).toEqual([[1, 2, 3], [2]]);
  expect(totalsIn(directory, 'more-out')).toEqual([10, 20]);
});

test('[JOB-COPY-1] an unbounded copy runs until it is stopped', async () => {
  const directory = temporaryDirectory();
  write(directory, 'in/1.csv', [1, 2]);
  const source = fileSource({
    ...{ path: join(directory, 'in/*.csv'), topic: rows, key: () => null, follow: true },
    ...{ format: csv<Row>({ columns: { total: 'number' } }), pollIntervalMs: 10 },
  });
  const job = defineJob({ name: 'copy', source, sink: sinkTo(directory) });
  const stop = new AbortController();
  const onProgress = ({ stages }: JobProgress): void => {
    if (stages.at(-1)?.records === 2) stop.abort();
  };
  const options = { directory: join(directory, 'log'), signal: stop.signal, onProgress };
  expect(await runJob(job, options)).toMatchObject({ isComplete: false, sinks: [{ records: 2 }] });
  expect(totalsIn(directory)).toEqual([1, 2]);
});

test('[JOB-COPY-2] a sink must take what the source writes', () => {
  const directory = temporaryDirectory();
  const source = sourceOf(directory);
  const names = topic('rows', { key: string(), value: string() });
  const toLines = fileSink({ topic: names, path: 'out', format: lines() });
  // @ts-expect-error -- the values of the source's topic are no strings
  defineJob({ name: 'copy', source, sink: toLines });
  // @ts-expect-error -- nor of any in a list
  defineJob({ name: 'copy', sources: [source], sinks: [toLines] });
  const define = defineJob as (definition: object) => Job;
  const sink = sinkTo(directory);
  const whole = { name: 'copy', source, sink };
  expect(() => define({ ...whole, sink: sinkTo(directory, 'out', others) })).toThrow(
    /sink out reads topic others, which no source writes.*sinks of rows, or there must be a topol/,
  );
  expect(() => define({ ...whole, sources: [source] })).toThrow(/source must be left out if/);
  expect(() => define({ name: 'copy', sink })).toThrow(/sources is missing; .* source must be gi/);
  expect(() => define({ name: 'copy', source })).toThrow(/sinks is missing; .* sink must be given/);
  expect(() => define({ ...whole, streams: {} })).toThrow(/streams must be left out/);
  const topology = (): void => undefined;
  expect(() => define({ ...whole, topology, keepTopics: true })).toThrow(/keepTopics must be left/);
  // A transform may send records to any topic.
  const moved = { source, transforms: [(record: object) => record] };
  expect(define({ ...whole, source: moved, sink: sinkTo(directory, 'out', others) }).isJob).toBe(
    true,
  );
});

test('[JOB-COPY-2] a copy has no topology to describe', () => {
  const directory = temporaryDirectory();
  const job = defineJob({ name: 'copy', source: sourceOf(directory), sink: sinkTo(directory) });
  expect(jobTopologies(job)).toEqual([]);
  expect(() => describeJob(job)).toThrow(/the topology of copy must be of a job with a topology/);
});

/** The machine's clock, on which what a job does now and then comes a hundred times as often. */
const hasty: Clock = {
  ...systemClock,
  setBackgroundTimer: (ms, callback) => systemClock.setBackgroundTimer(ms / 100, callback),
};

/** A copy of lines, through a topic of the smallest segments. */
function lineCopy(directory: string, changes: object = {}, sinks?: readonly SinkConnector[]): Job {
  const config: Partial<LogConfig> = {
    ...{ segmentBytes: 1 << 20, maxMessageBytes: 1 << 19, fileDeleteDelayMs: 0 },
  };
  const text = topic('text', { key: string(), value: string(), config });
  const out = fileSink({ topic: text, path: join(directory, 'out'), format: lines() });
  return defineJob({
    name: 'copy',
    source: {
      source: fileSource({
        ...{ path: join(directory, 'in.txt'), format: lines(), topic: text, key: () => null },
      }),
      commitRecordsMax: 2_000,
    },
    sinks: [{ sink: out, commitIntervalMs: 5 }, ...(sinks ?? [])],
    ...changes,
  });
}

/** 8 MB of lines. */
function writeLines(directory: string): void {
  writeFileSync(join(directory, 'in.txt'), `${'x'.repeat(99)}\n`.repeat(80_000));
}

/** The partition of the lines, as its files have it, also while the log is in use. */
async function partitionOf(directory: string): Promise<PartitionView | undefined> {
  const view = await viewLog(join(directory, 'log'));
  const topics = await view.topics();
  return topics.find((each) => each.topic === 'text')?.partitions[0];
}

test('[JOB-COPY-3] what is copied is deleted, also while the job runs', async () => {
  const directory = temporaryDirectory();
  writeLines(directory);
  const firstOffsets = new Set<number>();
  const onProgress = (): void => {
    void partitionOf(directory).then((found) => firstOffsets.add(found?.firstOffset ?? 0), ignore);
  };
  const settings = { directory: join(directory, 'log'), clock: hasty, onProgress };
  expect(await runJob(lineCopy(directory), settings)).toMatchObject({ isComplete: true });
  expect(firstOffsets.size).toBeGreaterThan(2);
  const { firstOffset, nextOffset = 0, bytes } = (await partitionOf(directory)) ?? {};
  expect(nextOffset).toBeGreaterThan(80_000);
  expect(firstOffset).toBe(nextOffset);
  expect(bytes).toBeLessThan(3 << 20); // the newest segment, at most
  const texts = readdirSync(join(directory, 'out')).filter((name) => name.endsWith('.txt'));
  const sizes = texts.map((name) => readFileSync(join(directory, 'out', name)).length);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(8_000_000);
});

test('[JOB-COPY-3] what a group has yet to read stays, and all with keepTopics', async () => {
  const directory = temporaryDirectory();
  writeLines(directory);
  const run = (changes = {}) =>
    runJob(lineCopy(directory, changes), { directory: join(directory, 'log') });
  await run({ keepTopics: true });
  expect((await partitionOf(directory))?.firstOffset).toBe(0);
  {
    await using log = await openLog(join(directory, 'log'));
    await log.api.offsetCommit({
      ...{ groupId: 'audit', memberId: '', generation: -1 },
      offsets: [{ topic: 'text', partition: 0, offset: 5_000, metadata: '' }],
    });
  }
  await run();
  expect((await partitionOf(directory))?.firstOffset).toBe(5_000);
});

test('[JOB-COPY-3] a new output, of which the beginning is deleted, is told', async () => {
  const directory = temporaryDirectory();
  write(directory, 'in/1.csv', [1, 2, 3]);
  const lines: string[] = [];
  const run = (out: string) => {
    const job = defineJob({
      name: 'copy',
      source: sourceOf(directory),
      sink: sinkTo(directory, out),
    });
    const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };
    return runJob(job, { directory: join(directory, 'log'), logger });
  };
  await run('out');
  expect(lines).toEqual([]);
  await run('another');
  expect(lines.length).toBeGreaterThan(0);
  expect(lines[0]).toMatch(
    /^sink another begins at offset \d+ of rows-[01]: what was before is del/,
  );
});

test('[JOB-COPY-3] what one of the sinks has not committed stays', async () => {
  const directory = temporaryDirectory();
  writeLines(directory);
  const text = topic('text', { key: string(), value: string() });
  const failing: SinkConnector = {
    ...{ name: 'failing', topics: [text], delivery: 'at-least-once' },
    open: () =>
      Promise.resolve({
        committedOffsets: undefined,
        put: () => Promise.reject(new TypeError('no room')),
        commit: () => Promise.resolve(),
        close: () => Promise.resolve(),
      }),
  };
  const settings = { directory: join(directory, 'log'), clock: hasty, logger: silentLogger };
  await expect(runJob(lineCopy(directory, {}, [failing]), settings)).rejects.toMatchObject({
    code: 'CONNECTOR_FAILED',
  });
  expect((await partitionOf(directory))?.firstOffset).toBe(0);
  await runJob(lineCopy(directory), settings);
  const { firstOffset = 0, nextOffset } = (await partitionOf(directory)) ?? {};
  expect(firstOffset).toBe(nextOffset);
});

function ignore(): void {
  // a file was deleted while it was looked at: the next look will do
}
