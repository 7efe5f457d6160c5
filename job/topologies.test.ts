import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { int64, json, string, topic } from '../core/index.ts';
import { fileSink, fileSource, jsonl, type SourceConnector } from '../connect/index.ts';
import type { StreamsBuilder } from '../streams/index.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';
import { defineJob, type Job } from './define-job.ts';
import type { JobProgress } from './progress.ts';
import { runJob } from './run-job.ts';
import { describeJob, jobTopologies } from './topologies.ts';

interface Word {
  readonly word: string;
}

const words = topic('words', { key: string(), value: json<Word>() });
const lower = topic('lower', { key: string(), value: json<Word>() });
const counts = topic('counts', { key: string(), value: int64() });

function lowering(builder: StreamsBuilder): void {
  builder
    .stream(words)
    .map(({ value: { word } }) => ({
      key: word.toLowerCase(),
      value: { word: word.toLowerCase() },
    }))
    .to(lower);
}

function counting(builder: StreamsBuilder): void {
  builder.stream(lower).groupByKey().count({ store: 'words' }).toStream().to(counts);
}

/** Two topologies, of which the first one reads what the second one writes. */
function wordJob(directory: string): Job {
  return defineJob({
    name: 'words',
    sources: [
      fileSource({
        path: join(directory, 'in.jsonl'),
        format: jsonl<Word>(),
        topic: words,
        key: (row) => row.word,
      }),
    ],
    topologies: { counting, lowering },
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

function write(directory: string, text: readonly string[]): void {
  const lines = text.map((word) => `${JSON.stringify({ word })}\n`);
  writeFileSync(join(directory, 'in.jsonl'), lines.join(''));
}

/** The newest count of each word. */
function newest(directory: string): Record<string, number> {
  const names = readdirSync(join(directory, 'out')).filter((name) => name.endsWith('.jsonl'));
  const lines = names.sort().flatMap((name) =>
    readFileSync(join(directory, 'out', name), 'utf8')
      .trimEnd()
      .split('\n'),
  );
  return Object.assign({}, ...lines.map((line) => JSON.parse(line) as object)) as Record<
    string,
    number
  >;
}

test('[JOB-TOPOLOGIES-1] each topology is an application, and goes on', async () => {
  const directory = temporaryDirectory();
  const progress: JobProgress[] = [];
  const run = () =>
    runJob(wordJob(directory), {
      directory: join(directory, 'log'),
      onProgress: (each) => progress.push(each),
    });
  write(directory, ['One', 'two', 'ONE']);
  const summary = await run();
  expect(summary).toMatchObject({ isComplete: true, sources: [{ records: 3 }] });
  expect(summary.streams.map(({ applicationId }) => applicationId)).toEqual([
    'words.lowering', // first to end: the other one reads what it writes
    'words.counting',
  ]);
  expect(newest(directory)).toEqual({ one: 2, two: 1 });
  const stages = progress.at(-1)?.stages ?? [];
  expect(stages.map(({ kind, name, isDone }) => `${kind} ${name} ${isDone}`)).toEqual([
    'source words-source true',
    'topology words.lowering true',
    'topology words.counting true',
    'sink counts-sink true',
  ]);
  write(directory, ['One', 'two', 'ONE', 'Two', 'one']);
  await run();
  expect(newest(directory)).toEqual({ one: 3, two: 2 });
  expect(readdirSync(join(directory, 'log/streams')).sort()).toEqual([
    'words.counting',
    'words.lowering',
  ]);
});

test('[JOB-TOPOLOGIES-1] one topology keeps the name of the job', () => {
  const directory = temporaryDirectory();
  const { topologies, ...others } = wordJob(directory);
  expect(topologies).toBeDefined();
  const [only, ...rest] = jobTopologies({ ...others, topology: lowering });
  expect(only).toMatchObject({ name: undefined, applicationId: 'words' });
  expect(rest).toEqual([]);
});

test('[JOB-TOPOLOGIES-2] a topology that fails ends the job, and all the others', async () => {
  const directory = temporaryDirectory();
  write(directory, ['one', 'two']);
  const failing = (builder: StreamsBuilder): void => {
    builder.stream(words).foreach(({ value }) => {
      if (value.word === 'two') throw new RangeError('not two');
    });
  };
  const job = { ...wordJob(directory), topologies: { counting, lowering, failing } };
  const settings = { directory: join(directory, 'log') };
  await expect(runJob(job, settings)).rejects.toMatchObject({ code: 'PROCESSING_FAILED' });
  expect(await runJob(wordJob(directory), settings)).toMatchObject({ isComplete: true });
  expect(newest(directory)).toEqual({ one: 1, two: 1 });
});

test('[JOB-TOPOLOGIES-3] topologies are checked, and described by their names', () => {
  const directory = temporaryDirectory();
  const { isJob, ...others } = wordJob(directory);
  expect(isJob).toBe(true);
  const define = defineJob as (definition: object) => Job;
  expect(() => define({ ...others, topology: lowering })).toThrow(/topologies must be left out/);
  expect(() => define({ ...others, topologies: {} })).toThrow(/a function for each topology/);
  expect(() => define({ ...others, topologies: [lowering] })).toThrow(/a function for each topo/);
  expect(() => define({ ...others, topologies: { 'a b': lowering } })).toThrow(/by names of a-z/);
  const job = define(others);
  expect(describeJob(job, 'lowering').topics.map(({ name }) => name)).toEqual(['words', 'lower']);
  expect(() => describeJob(job)).toThrow(/must be lowering or counting, not left out/);
  expect(() => describeJob(job, 'count')).toThrow(/must be lowering or counting, not count/);
});

test('[JOB-TOPOLOGIES-3] topologies that wait for each other cannot end', () => {
  const directory = temporaryDirectory();
  const back = (builder: StreamsBuilder): void => {
    builder
      .stream(lower)
      .map(({ key }) => ({ key, value: { word: 'x' } }))
      .to(words);
  };
  const job = { ...wordJob(directory), topologies: { lowering, back } };
  expect(() => jobTopologies(job)).toThrow(/lowering, back do: the input ends, but none of them/);
  const endless: SourceConnector = {
    ...{ name: 'endless', topics: [words], isBounded: false },
    open: () => Promise.resolve([]),
  };
  expect(jobTopologies({ ...job, sources: [endless] })).toHaveLength(2);
});
