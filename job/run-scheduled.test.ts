import { join } from 'node:path';
import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic } from '../core/index.ts';
import { ManualClock } from '../core/testing/index.ts';
import type { SinkConnector, SourceBatch, SourceConnector } from '../connect/index.ts';
import { until } from '../test/kit/app.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';
import { defineJob, type Job } from './define-job.ts';
import { runJob } from './run-job.ts';
import { runScheduled, type ScheduledRun } from './run-scheduled.ts';
import { checkedSchedule, nextTimeMs, type JobSchedule } from './schedule.ts';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 0, 1, 0, 30);

const ticks = topic('ticks', { key: string(), value: json<number>() });

/** A source with one record a run, which waits for `gate` before it ends. */
function source(gate: () => Promise<void>): SourceConnector {
  return {
    ...{ name: 'ticks', topics: [ticks], isBounded: true },
    open: ({ offset }) => {
      const partition = { only: 'one' };
      const value = Number(offset(partition)?.['next'] ?? 0);
      let isRead = false;
      const poll = async (): Promise<SourceBatch | undefined> => {
        await gate();
        if (isRead) return undefined;
        isRead = true;
        const records = [{ topic: ticks, key: 'k', value }];
        return { records, partition, offset: { next: value + 1 } };
      };
      return Promise.resolve([{ poll, close: () => Promise.resolve() }]);
    },
  };
}

function sinkInto(values: unknown[]): SinkConnector {
  return {
    ...{ name: 'values', topics: [ticks], delivery: 'at-least-once' },
    open: () =>
      Promise.resolve({
        committedOffsets: undefined,
        put: (records) => void values.push(...records.map(({ value }) => value)),
        commit: () => Promise.resolve(),
        close: () => Promise.resolve(),
      }),
  };
}

/** A job that runs every hour, and what is seen of it. */
class Hourly {
  readonly clock = new ManualClock(START_MS);
  readonly directory = join(temporaryDirectory(), 'log');
  readonly values: unknown[] = [];
  readonly runs: ScheduledRun[] = [];
  readonly waits: string[] = [];
  readonly lines: string[] = [];
  gate: () => Promise<void> = () => Promise.resolve();
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  job(schedule: string | JobSchedule = '0 * * * *'): Job {
    const sink = sinkInto(this.values);
    return defineJob({ name: 'hourly', source: source(() => this.gate()), sink, schedule });
  }

  start(job = this.job()): void {
    this.#stop = new AbortController();
    const note = (line: string): void => void this.lines.push(line);
    this.#running = runScheduled(job, {
      ...{ directory: this.directory, clock: this.clock, signal: this.#stop.signal },
      logger: { ...silentLogger, warn: note, error: note },
      onRun: (run) => this.runs.push(run),
      onWait: (nextMs) => this.waits.push(new Date(nextMs).toISOString()),
    });
  }

  /** Waits until it waits for that time, or has `runs`. */
  async waitsFor(time: string): Promise<void> {
    await until(() => this.waits.at(-1) === time);
  }

  async ranTimes(count: number): Promise<void> {
    await until(() => this.runs.length === count);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** What became of a time, in short. */
function inShort({ dueMs, outcome }: ScheduledRun): string {
  return `${new Date(dueMs).toISOString().slice(11, 16)} ${outcome}`;
}

test('[JOB-SCHEDULE-1] a job runs at each time, and the log is closed in between', async () => {
  const hourly = new Hourly();
  hourly.start();
  await hourly.waitsFor('2026-01-01T01:00:00.000Z');
  expect(hourly.runs).toEqual([]);
  await (await openLog(hourly.directory)).close();
  hourly.clock.advance(HOUR_MS / 2);
  await hourly.waitsFor('2026-01-01T02:00:00.000Z');
  hourly.clock.advance(HOUR_MS);
  await hourly.waitsFor('2026-01-01T03:00:00.000Z');
  await hourly.stop();
  expect(hourly.runs.map(inShort)).toEqual(['01:00 done', '02:00 done']);
  expect(hourly.runs[1]).toMatchObject({ summary: { isComplete: true, sinks: [{ records: 1 }] } });
  expect(hourly.values).toEqual([0, 1]);
  expect(hourly.lines).toEqual([]);
});

test('[JOB-SCHEDULE-2] a time at which a run still goes on is skipped', async () => {
  const hourly = new Hourly();
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  hourly.gate = () => opened;
  hourly.start();
  await hourly.waitsFor('2026-01-01T01:00:00.000Z');
  hourly.clock.advance(HOUR_MS / 2);
  // Until the timer for the next time is set, the clock may not go on.
  for (const count of [1, 2]) {
    await until(() => {
      if (hourly.runs.length < count) hourly.clock.advance(HOUR_MS / 4);
      return hourly.runs.length >= count;
    });
  }
  expect(hourly.runs.slice(0, 2).map(inShort)).toEqual(['02:00 skipped', '03:00 skipped']);
  expect(hourly.lines[0]).toBe(
    'hourly: the run of 2026-01-01T02:00:00.000Z is skipped: that of 2026-01-01T01:00:00.000Z ' +
      'still goes on',
  );
  open();
  await until(() => hourly.runs.some(({ outcome }) => outcome === 'done'));
  await hourly.stop();
  expect(hourly.runs.map(inShort)).toContain('01:00 done');
  expect(hourly.values).toEqual([0]);
});

test.each([
  ['run-once', ['01:00 done'], 'it runs once for all that were missed'],
  ['skip', [], 'missed runs are skipped'],
] as const)('[JOB-SCHEDULE-3] times that were missed: %s', async (missed, expected, words) => {
  const hourly = new Hourly();
  const job = hourly.job({ cron: '0 * * * *', missed });
  hourly.start(job);
  await hourly.waitsFor('2026-01-01T01:00:00.000Z');
  await hourly.stop();
  hourly.clock.advance(3 * HOUR_MS);
  hourly.start(job);
  await hourly.waitsFor('2026-01-01T04:00:00.000Z');
  await hourly.stop();
  expect(hourly.runs.map(inShort)).toEqual(expected);
  expect(hourly.lines).toEqual([
    `hourly: nothing ran to its end at 2026-01-01T01:00:00.000Z; ${words}`,
  ]);
});

test('[JOB-SCHEDULE-3] a run that was cut off was missed; one by hand counts', async () => {
  const hourly = new Hourly();
  const job = hourly.job({ cron: '0 * * * *', missed: 'run-once' });
  hourly.gate = () => Promise.reject(new TypeError('no luck'));
  hourly.start(job);
  await hourly.waitsFor('2026-01-01T01:00:00.000Z');
  hourly.clock.advance(HOUR_MS / 2);
  await hourly.waitsFor('2026-01-01T02:00:00.000Z');
  await hourly.stop();
  expect(hourly.runs.map(inShort)).toEqual(['01:00 failed']);
  expect(hourly.lines[0]).toMatch(/^hourly: the run of 2026-01-01T01:00.* failed: .*no luck/);
  hourly.gate = () => Promise.resolve();
  hourly.start(job);
  await hourly.ranTimes(2);
  await hourly.stop();
  expect(hourly.runs.map(inShort)).toEqual(['01:00 failed', '01:00 done']);
  hourly.clock.advance(HOUR_MS);
  await runJob(job, { directory: hourly.directory, clock: hourly.clock });
  hourly.start(job);
  await hourly.waitsFor('2026-01-01T03:00:00.000Z');
  await hourly.stop();
  expect(hourly.runs).toHaveLength(2);
});

test('[JOB-SCHEDULE-4] a run that fails does not end the schedule', async () => {
  const hourly = new Hourly();
  hourly.start();
  await hourly.waitsFor('2026-01-01T01:00:00.000Z');
  const log = await openLog(hourly.directory);
  hourly.clock.advance(HOUR_MS / 2);
  await hourly.waitsFor('2026-01-01T02:00:00.000Z');
  expect(hourly.runs).toMatchObject([{ outcome: 'failed', error: { code: 'LOG_LOCKED' } }]);
  await log.close();
  hourly.clock.advance(HOUR_MS);
  await hourly.waitsFor('2026-01-01T03:00:00.000Z');
  await hourly.stop();
  expect(hourly.runs.map(inShort)).toEqual(['01:00 failed', '02:00 done']);
});

test('[JOB-SCHEDULE-5] schedules are checked', async () => {
  const hourly = new Hourly();
  expect(() => hourly.job('61 * * * *')).toThrow(/cron must be .* not "61 \* \* \* \*": /);
  expect(() => hourly.job('soon')).toThrow(/cron must be a cron expression of five parts/);
  expect(() => hourly.job({ cron: '0 * * * *', timeZone: 'Berlin' })).toThrow(/a time zone, such/);
  expect(() => hourly.job({ cron: '0 * * * *', missed: 'all' as 'skip' })).toThrow(/"run-once"/);
  const given = { cron: '0 * * * *', zone: 'UTC' } as object as JobSchedule;
  expect(() => hourly.job(given)).toThrow(/no option zone; did you mean/);
  const endless: SourceConnector = { ...source(hourly.gate), isBounded: false };
  const parts = { name: 'hourly', source: endless, sink: sinkInto([]) };
  expect(() => defineJob({ ...parts, schedule: '0 * * * *' })).toThrow(
    /schedule must be left out: source ticks never ends/,
  );
  const { directory } = hourly;
  await expect(runScheduled(defineJob(parts), { directory })).rejects.toThrow(/hourly has none/);
  const never = hourly.job('0 0 30 2 *');
  await expect(runScheduled(never, { directory })).rejects.toThrow(/no time follows/);
});

test('[JOB-SCHEDULE-5] times are those of the time zone, also when its clocks change', () => {
  const daily = checkedSchedule({ cron: '30 8 * * *', timeZone: 'Europe/Berlin' });
  const times = [Date.UTC(2026, 2, 28)];
  for (let day = 0; day < 3; day++) times.push(nextTimeMs(daily, times.at(-1)!));
  expect(times.slice(1).map((timeMs) => new Date(timeMs).toISOString())).toEqual([
    '2026-03-28T07:30:00.000Z',
    '2026-03-29T06:30:00.000Z',
    '2026-03-30T06:30:00.000Z',
  ]);
  expect(nextTimeMs(checkedSchedule('0 * * * *'), START_MS)).toBe(START_MS + HOUR_MS / 2);
});
