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
  isStopped: false,
};

/** What a display writes for one source's readings, a second apart. */
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

test('[JOB-8] the rate covers the last seconds, and the time left is estimated from it', () => {
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

test('[JOB-8] on a terminal each stage has one line, rewritten in place', () => {
  const [first, second] = shown(true, [{}, { records: 1500, fraction: 0.5 }]);
  expect(first).not.toContain('\u001b[1A');
  expect(second).toContain('\u001b[1A');
  expect(second).toMatch(
    /source +flights +\[============ {12}\] 1,500 records {2}1,500\/s {2}eta 1s\n$/,
  );
});

/** The rows of a terminal of this size after all these writes, from the top. */
function screenOf(written: readonly string[], columns: number): string[] {
  const rows: string[][] = [[]];
  let [row, column] = [0, 0];
  const tokens = written.join('').match(/\u001b\[\d*[A-Za-z]|[^]/gu) ?? [];
  for (const token of tokens) {
    const move = /^\u001b\[(\d*)([A-Za-z])$/.exec(token);
    if (token === '\r') column = 0;
    else if (token === '\n') [row, column] = [row + 1, 0];
    else if (move?.[2] === 'A') row -= Number(move[1]);
    else if (move?.[2] === 'K') rows[row] = [];
    else if (move?.[2] === 'J') rows.length = row;
    else if (move === null) {
      if (column === columns) [row, column] = [row + 1, 0]; // it wraps
      rows[row] ??= [];
      rows[row]![column++] = token;
    }
    rows[row] ??= [];
  }
  return rows.map((cells) => cells.join('')).slice(0, -1);
}

test.each([60, 80, 110])('[JOB-10] %i columns: each stage appears once', (columns) => {
  const written: string[] = [];
  const display = progressDisplay({ isTTY: true, columns, write: (text) => written.push(text) });
  const names = ['airports-source', 'flights-source', 'delays-by-airport-sink'];
  for (let tick = 0; tick < 5; tick++) {
    const stages = names.map((name, index) => {
      const reading = { ...source, name, records: 10 ** (2 + tick), fraction: tick / 4 };
      const progress = new StageMeter().read(reading, 0);
      return { ...progress, recordsPerSecond: 259, isDone: tick === 4 && index === 0 };
    });
    display.show({ job: 'job', elapsedMs: tick * 250, stages });
    if (tick === 2) display.note('a word');
  }
  display.end();
  const screen = screenOf(written, columns);
  expect(screen[0]).toBe('a word'); // above the progress, and not overwritten
  for (const name of names) {
    expect(screen.filter((line) => line.includes(name))).toHaveLength(1);
  }
  expect(screen.filter((line) => /1,000,000 records {2}259\/s/.test(line))).toHaveLength(3);
  expect(screen.filter((line) => / done$/.test(line))).toHaveLength(1);
  expect(screen).toHaveLength(columns === 60 ? 7 : 4);
});

test('[JOB-8] elsewhere a plain line appears every few seconds, and once at the end', () => {
  const lines = shown(
    false,
    Array.from({ length: 8 }, (_, second) => ({ records: second * 100, fraction: second / 10 })),
  );
  expect(lines).toEqual([
    '5.0s source flights: 500 records 50%, 100/s eta 5s\n',
    '7.0s source flights: 700 records 70%, 100/s eta 3s\n',
  ]);
});
