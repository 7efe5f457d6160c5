import { join } from 'node:path';
import { expect, test } from 'vitest';
import { json, openLog, string, systemClock, topic } from '../core/index.ts';
import { sleep } from '../core/internal.ts';
import type { SourceConnector } from '../connect/index.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';
import { defineJob, type Job } from './define-job.ts';
import type { JobProgress } from './progress.ts';
import { runJob } from './run-job.ts';

const rows = topic('rows', { key: string(), value: json() });
const copy = topic('copy', { key: string(), value: json() });

/** A source whose polls settle as what `poll` returns. */
function source(name: string, poll: () => Promise<undefined>, isBounded = false): SourceConnector {
  const task = { poll, close: () => Promise.resolve() };
  return { name, topics: [rows], isBounded, open: () => Promise.resolve([task]) };
}

function copyJob(...sources: readonly SourceConnector[]): Job {
  return defineJob({
    name: 'copy',
    sources,
    topology: (builder) => {
      builder.stream(rows).to(copy);
    },
    sinks: [],
  });
}

/** A source that does not answer until told to. */
function deaf(): {
  readonly connector: SourceConnector;
  readonly answer: () => void;
  /** True once it is asked. */
  readonly isAsked: () => boolean;
} {
  let isAsked = false;
  let answer = (): void => undefined;
  const answered = new Promise<undefined>((resolve) => {
    answer = () => resolve(undefined);
  });
  const ask = (): Promise<undefined> => {
    isAsked = true;
    return answered;
  };
  return { connector: source('deaf', ask), answer: () => answer(), isAsked: () => isAsked };
}

/** Waits until nobody has the log open. */
async function opensAgain(directory: string): Promise<void> {
  for (;;) {
    try {
      await (await openLog(directory)).close();
      return;
    } catch (error) {
      expect(error).toMatchObject({ code: 'LOG_LOCKED' });
      await sleep(systemClock, 20);
    }
  }
}

test('[JOB-9] a stop that takes too long fails and names what still runs', async () => {
  const directory = join(temporaryDirectory(), 'log');
  const { connector, answer, isAsked } = deaf();
  const stop = new AbortController();
  const progress: JobProgress[] = [];
  const running = runJob(copyJob(connector), {
    directory,
    signal: stop.signal,
    stopTimeoutMs: 200,
    onProgress: (each) => {
      progress.push(each);
      if (isAsked()) stop.abort();
    },
  });
  await expect(running).rejects.toMatchObject({
    code: 'STOP_TIMEOUT',
    details: { job: 'copy', stopTimeoutMs: 200, running: ['source deaf'] },
  });
  const heard = progress.length;
  // If it answers after all, the job ends cleanly and reports nothing more.
  answer();
  await opensAgain(directory);
  expect(progress).toHaveLength(heard);
});

test('[JOB-9] after a failure the others get the same deadline, then it is thrown', async () => {
  const directory = join(temporaryDirectory(), 'log');
  const { connector, answer } = deaf();
  const failing = source('failing', () => Promise.reject(new TypeError('no luck')));
  const running = runJob(copyJob(connector, failing), { directory, stopTimeoutMs: 200 });
  await expect(running).rejects.toMatchObject({
    code: 'CONNECTOR_FAILED',
    details: { connector: 'failing' },
  });
  answer();
  await opensAgain(directory);
});

test('[JOB-9] a job that ends by itself has no deadline', async () => {
  const directory = join(temporaryDirectory(), 'log');
  const ended = source('ended', () => Promise.resolve(undefined), true);
  const summary = await runJob(copyJob(ended), { directory, stopTimeoutMs: 0 });
  expect(summary.isComplete).toBe(true);
});

test('[JOB-9] a job that is stopped while it starts ends in order', async () => {
  const polled: boolean[] = [];
  for (let turns = 1; turns < 40; turns += 3) {
    const stop = new AbortController();
    const directory = join(temporaryDirectory(), 'log');
    let isPolled = false;
    const idle = source('idle', async () => {
      isPolled = true;
      await sleep(systemClock, 1);
      return undefined;
    });
    // The first report comes when the parts are about to start.
    const onProgress = async (): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      stop.abort();
    };
    const settings = { directory, signal: stop.signal, onProgress: () => void onProgress() };
    expect(await runJob(copyJob(idle), settings)).toMatchObject({ isComplete: false });
    polled.push(isPolled);
  }
  expect(polled).toContain(false); // stopped before the topology had started
});

test('[JOB-10] a stopped stage is not called done', async () => {
  const directory = join(temporaryDirectory(), 'log');
  const { connector, answer } = deaf();
  const stop = new AbortController();
  let last: JobProgress | undefined;
  const onProgress = (each: JobProgress): void => {
    last = each;
    if (each.elapsedMs < 200) return;
    stop.abort();
    answer();
  };
  const summary = await runJob(copyJob(connector), { directory, signal: stop.signal, onProgress });
  expect(summary.isComplete).toBe(false);
  expect(last?.stages).toMatchObject([
    { kind: 'source', isDone: false, isStopped: true },
    { kind: 'topology', isDone: false, isStopped: true },
  ]);
});

test('[JOB-11] runJob checks its options before it opens anything', async () => {
  const directory = join(temporaryDirectory(), 'log');
  const job = copyJob(deaf().connector);
  const bad = { directory, stopTimeout: 1 } as object as { directory: string };
  await expect(runJob(job, bad)).rejects.toMatchObject({
    code: 'UNKNOWN_OPTION',
    details: { nearest: 'stopTimeoutMs' },
  });
  await expect(runJob(job, { directory, stopTimeoutMs: -1 })).rejects.toMatchObject({
    code: 'INVALID_OPTION',
  });
  await expect(runJob({ ...job, isJob: false } as object as Job, { directory })).rejects.toThrow(
    /job must be a job, as defineJob returns it/,
  );
  const late = { ...job, topology: () => Promise.reject(new TypeError('late')) };
  await expect(runJob(late, { directory })).rejects.toThrow(/topology must be .* not async/);
});
