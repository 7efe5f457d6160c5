import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { int64, json, openLog, string, systemClock, topic } from '../core/index.ts';
import { sleep } from '../core/internal.ts';
import { csv, fileSink, fileSource, jsonl, type SourceConnector } from '../connect/index.ts';
import { tumblingWindow } from '../streams/index.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';
import { defineJob, type Job } from './define-job.ts';
import type { JobProgress } from './progress.ts';
import { runJob } from './run-job.ts';

interface Row {
  readonly key: string;
  readonly at: number;
}

const events = topic('events', { key: string(), value: json<Row>(), partitions: 2 });
const counts = topic('counts', { key: string(), value: int64() });
const names = topic('names', { key: string(), value: json<{ key: string; name: string }>() });
const named = topic('named', { key: string(), value: json<{ name: string }>() });

/** Counts the rows of `in/*.csv` by key in windows of a second. */
function countJob(directory: string): Job {
  return defineJob({
    name: 'count',
    sources: [eventSource(directory)],
    topology: (builder) => {
      builder
        .stream(events)
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs: 1000 }))
        .count({ store: 'count', emit: 'final' })
        .toStream()
        .map(({ key, value }) => ({ key: `${key.key}@${key.windowStartMs}`, value }))
        .to(counts);
    },
    sinks: [
      fileSink({
        topic: counts,
        path: join(directory, 'out'),
        format: jsonl<object>(),
        value: ({ key, value }) => ({ [key ?? '']: value }),
      }),
    ],
  });
}

function eventSource(directory: string): SourceConnector {
  return fileSource({
    path: join(directory, 'in/*.csv'),
    format: csv<Row>({ columns: { at: 'number' } }),
    topic: events,
    key: (row) => row.key,
    timestamp: (row) => row.at,
  });
}

function write(directory: string, file: string, rows: readonly string[]): void {
  mkdirSync(join(directory, 'in'), { recursive: true });
  writeFileSync(join(directory, 'in', file), ['key,at', ...rows, ''].join('\n'));
}

function output(directory: string): string[] {
  return readdirSync(join(directory, 'out'))
    .filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) =>
      readFileSync(join(directory, 'out', name), 'utf8')
        .trim()
        .split('\n'),
    )
    .sort();
}

test('[JOB-2] bounded input runs to its end: windows close, sinks commit', async () => {
  const directory = temporaryDirectory();
  write(directory, '1.csv', ['a,0', 'b,10', 'a,20', 'a,1500']);
  const progress: JobProgress[] = [];
  const summary = await runJob(countJob(directory), {
    directory: join(directory, 'log'),
    onProgress: (each) => progress.push(each),
  });
  expect(summary).toMatchObject({ job: 'count', isComplete: true });
  expect(summary.sources).toMatchObject([{ name: 'events-source', records: 4 }]);
  const failed = { skipped: 0, deadLettered: 0 };
  expect(summary.sinks).toEqual([{ name: 'counts-sink', records: 3, failed }]);
  expect(output(directory)).toEqual(['{"a@0":2}', '{"a@1000":1}', '{"b@0":1}']);
  expect(progress.at(-1)?.stages.map(({ kind, isDone }) => `${kind} ${isDone}`)).toEqual([
    'source true',
    'topology true',
    'sink true',
  ]);
});

test('[JOB-3] the next run continues after the last one and counts late records', async () => {
  const directory = temporaryDirectory();
  const run = () => runJob(countJob(directory), { directory: join(directory, 'log') });
  write(directory, '1.csv', ['a,0', 'a,1500']);
  await run();
  write(directory, '2.csv', ['a,1600', 'a,5000']);
  const summary = await run();
  expect(summary.sources).toMatchObject([{ records: 2 }]);
  // The end of the first run closed its window.
  expect(summary.streams[0]?.droppedRecords.late).toBe(1);
  expect(output(directory)).toEqual(['{"a@0":1}', '{"a@1000":1}', '{"a@5000":1}']);
  expect(await run()).toMatchObject({ isComplete: true, sources: [{ records: 0 }] });
  expect(output(directory)).toHaveLength(3);
});

test('[JOB-4] a global table is complete before the first record joins with it', async () => {
  const directory = temporaryDirectory();
  write(directory, '1.csv', ['k1999,0', 'k0,1']);
  const rows = Array.from({ length: 2000 }, (_, index) => `k${index},name ${index}`);
  writeFileSync(join(directory, 'names.csv'), ['key,name', ...rows, ''].join('\n'));
  const job = defineJob({
    name: 'named',
    sources: [
      eventSource(directory), // named first, yet it waits
      fileSource({
        path: join(directory, 'names.csv'),
        format: csv<{ key: string; name: string }>(),
        topic: names,
        key: (row) => row.key,
      }),
    ],
    topology: (builder) => {
      const table = builder.globalTable(names);
      builder
        .stream(events)
        .join(
          table,
          ({ key }) => key,
          (_, { name }) => ({ name }),
        )
        .to(named);
    },
    sinks: [fileSink({ topic: named, path: join(directory, 'out'), format: jsonl() })],
  });
  await runJob(job, { directory: join(directory, 'log') });
  expect(output(directory)).toEqual(['{"name":"name 0"}', '{"name":"name 1999"}']);
});

/** A source that never ends: a record every few milliseconds. */
function endless(): SourceConnector {
  let next = 0;
  return {
    name: 'endless',
    topics: [events],
    isBounded: false,
    open: ({ offset, signal }) => {
      const partition = { only: 'one' };
      next = Number(offset(partition)?.['next'] ?? 0);
      return Promise.resolve([
        {
          poll: async () => {
            await sleep(systemClock, 5);
            if (signal.aborted) return undefined;
            const at = next++ * 100;
            const record = { topic: events, key: 'k', value: { key: 'k', at }, timestampMs: at };
            return { records: [record], partition, offset: { next } };
          },
          close: () => Promise.resolve(),
        },
      ]);
    },
  };
}

test('[JOB-5] unbounded input runs until aborted, and the next run continues there', async () => {
  const directory = temporaryDirectory();
  const job = { ...countJob(directory), sources: [endless()] };
  const run = async (): Promise<void> => {
    const stop = new AbortController();
    const running = runJob(job, { directory: join(directory, 'log'), signal: stop.signal });
    await sleep(systemClock, 600);
    stop.abort();
    expect(await running).toMatchObject({ isComplete: false });
  };
  await run();
  await run();
  await using log = await openLog(join(directory, 'log'));
  const consumer = log.consumer({ isolationLevel: 'read_committed' }).subscribe([events]);
  const times: number[] = [];
  for (let records = await consumer.poll({ maxWaitMs: 100 }); records.length > 0;) {
    times.push(...records.map(({ timestampMs }) => timestampMs));
    records = await consumer.poll({ maxWaitMs: 100 });
  }
  expect(times).toEqual(times.map((_, index) => index * 100)); // none lost, none twice
  expect(times.length).toBeGreaterThan(20);
});

test('[JOB-6] a failing part ends the job with its error; the next run continues', async () => {
  const directory = temporaryDirectory();
  const run = () => runJob(countJob(directory), { directory: join(directory, 'log') });
  write(directory, '1.csv', ['a,0', 'a,20']);
  write(directory, '2.csv', ['a,30', 'too,many,fields']);
  await expect(run()).rejects.toMatchObject({ code: 'FIELD_COUNT' });
  write(directory, '2.csv', ['a,30', 'b,40']);
  await expect(run()).resolves.toMatchObject({ isComplete: true });
  expect(output(directory)).toEqual(['{"a@0":3}', '{"b@0":1}']);
});

test('[JOB-7] defineJob checks its argument when it is called', () => {
  const directory = temporaryDirectory();
  const good = countJob(directory);
  const define = defineJob as (definition: object) => Job;
  const bad = (change: object): (() => Job) => {
    const { isJob, ...definition } = good;
    expect(isJob).toBe(true);
    return () => define({ ...definition, ...change });
  };
  expect(bad({ sourcess: [] })).toThrow(/no option sourcess; did you mean sources/);
  expect(bad({ name: 'a name' })).toThrow(/name must be a name of/);
  expect(bad({ sources: [] })).toThrow(/sources must be a list of sources/);
  expect(bad({ topology: 'all' })).toThrow(/topology must be a function/);
  expect(bad({ sources: [good.sources[0], good.sources[0]] })).toThrow(
    /two of the sources are called/,
  );
});
