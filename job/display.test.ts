import { expect, test } from 'vitest';
import { progressDisplay } from './display.ts';
import { StageMeter, type JobProgress, type StageReading } from './progress.ts';

const source: StageReading = {
  kind: 'source',
  name: 'flights',
  records: 0,
  fraction: 0,
  lag: undefined,
  isDone: false,
};

/** What a display writes for readings of one source, a second apart. */
function shown(isTTY: boolean, readings: readonly Partial<StageReading>[]): string[] {
  const written: string[] = [];
  const display = progressDisplay({ isTTY, columns: 100, write: (text) => written.push(text) });
  const meter = new StageMeter();
  for (const [second, reading] of readings.entries()) {
    const elapsedMs = second * 1000;
    const stages = [meter.read({ ...source, ...reading }, elapsedMs)];
    display.show({ job: 'job', elapsedMs, stages } satisfies JobProgress);
  }
  display.end();
  return written;
}

test('[JOB-8] a rate is taken over the last seconds, and what is left is estimated from it', () => {
  const meter = new StageMeter();
  meter.read(source, 0);
  expect(meter.read({ ...source, records: 500, fraction: 0.25 }, 1000)).toMatchObject({
    recordsPerSecond: 500,
    etaMs: 3000,
  });
  for (let second = 2; second < 10; second++)
    meter.read({ ...source, records: 500, fraction: 0.25 }, second * 1000);
  expect(meter.read({ ...source, records: 500, fraction: 0.25 }, 10_000)).toMatchObject({
    recordsPerSecond: 0,
    etaMs: undefined,
  });
  expect(meter.read({ ...source, records: 500, isDone: true }, 11_000).etaMs).toBe(0);
});

test('[JOB-8] on a terminal each stage has a line that is rewritten in place', () => {
  const [first, second] = shown(true, [{}, { records: 1500, fraction: 0.5 }]);
  expect(first).not.toContain('\u001b[1A');
  expect(second).toContain('\u001b[1A');
  expect(second).toMatch(
    /source +flights +\[============ {12}\] 1,500 records {2}1,500\/s {2}eta 1s\n$/,
  );
});

test('[JOB-8] elsewhere a plain line comes every few seconds, and the last one at the end', () => {
  const lines = shown(
    false,
    Array.from({ length: 8 }, (_, second) => ({ records: second * 100, fraction: second / 10 })),
  );
  expect(lines).toEqual([
    '5.0s source flights: 500 records 50%, 100/s eta 5s\n',
    '7.0s source flights: 700 records 70%, 100/s eta 3s\n',
  ]);
});
