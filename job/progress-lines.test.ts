import { expect, test } from 'vitest';
import { progressLines } from './progress-lines.ts';
import type { StageProgress } from './progress.ts';

const stage: StageProgress = {
  kind: 'source',
  name: '',
  records: 0,
  recordsPerSecond: 0,
  fraction: undefined,
  lag: undefined,
  etaMs: undefined,
  isDone: false,
  isStopped: false,
};

/** A job in the middle of its work, with long names and large numbers. */
const stages: readonly StageProgress[] = [
  { ...stage, name: 'airports-source', records: 3_376, fraction: 1, isDone: true },
  {
    ...stage,
    name: 'flights-source',
    records: 1_150_000,
    recordsPerSecond: 300_000,
    fraction: 0.38,
    etaMs: 8_000,
  },
  { ...stage, kind: 'topology', name: 'flight-delays/0', records: 1_100_000, lag: 50_000 },
  { ...stage, kind: 'topology', name: 'flight-delays/1', records: 999_999, lag: 100_001 },
  { ...stage, kind: 'sink', name: 'delays-by-airport-sink', records: 500, recordsPerSecond: 259 },
];

/** Stages that no longer move, as after a stop. */
const stopped = stages.map((each) => ({ ...each, isStopped: !each.isDone }));

test('[JOB-10] 110 columns: one line per stage, with a bar', () => {
  expect(progressLines(stages, 109).join('\n')).toBe(
    `
source   airports-source        [========================]     3,376 records        0/s  done
source   flights-source         [=========               ] 1,150,000 records  300,000/s  eta 8s
topology flight-delays/0                                   1,100,000 records        0/s  lag 50,000
topology flight-delays/1                                     999,999 records        0/s  lag 100,001
sink     delays-by-airport-sink                                  500 records      259/s
`.trim(),
  );
});

test('[JOB-10] 80 columns: one line per stage, with a percentage', () => {
  expect(progressLines(stopped, 79)).toEqual([
    'source   airports-source        100%     3,376 records        0/s  done',
    'source   flights-source          38% 1,150,000 records  300,000/s  stopped',
    'topology flight-delays/0             1,100,000 records        0/s  stopped',
    'topology flight-delays/1               999,999 records        0/s  stopped',
    'sink     delays-by-airport-sink            500 records      259/s  stopped',
  ]);
});

test('[JOB-10] 60 columns: a name has a line of its own', () => {
  expect(progressLines(stages, 59)).toEqual([
    'source   airports-source',
    '  [============]     3,376 records        0/s  done',
    'source   flights-source',
    '  [=====       ] 1,150,000 records  300,000/s  eta 8s',
    'topology flight-delays/0',
    '                 1,100,000 records        0/s  lag 50,000',
    'topology flight-delays/1',
    '                   999,999 records        0/s  lag 100,001',
    'sink     delays-by-airport-sink',
    '                       500 records      259/s',
  ]);
});

test('[JOB-10] no line exceeds any width, and only what cannot fit is cut', () => {
  for (let width = 1; width <= 200; width++) {
    const lines = progressLines(stages, width);
    expect(lines.length).toBeLessThanOrEqual(2 * stages.length);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
    const names = stages.map(({ name }) => name);
    const isCut = names.some((name) => !lines.some((line) => line.includes(name)));
    if (width >= 40) expect({ width, isCut }).toEqual({ width, isCut: false });
  }
});

test('[JOB-10] a wide name counts as wide, and control characters do not move the cursor', () => {
  const odd = { ...stage, name: '\u822a\u73ed\u001b[2A\n' };
  expect(progressLines([odd], 79)).toEqual(['source   \u822a\u73ed?[2A? 0 records  0/s']);
  expect(progressLines([odd], 14)[0]).toBe('source   \u822a\u73ed…');
});
