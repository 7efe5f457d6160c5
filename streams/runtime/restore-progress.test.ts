import { expect, test } from 'vitest';
import { silentLogger } from '../../core/index.ts';
import { ManualClock } from '../../core/testing/index.ts';
import { RestoreProgress, type RestoreEvent } from './restore-progress.ts';

const place = { taskId: '0_0', store: 'sums', topic: 'app-sums-changelog', partition: 0 };

test('[RT-LIFE-4] rate and time left follow from what was read; the log has it every 5 s', () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const progress = new RestoreProgress(clock, {
    ...silentLogger,
    info: (line) => void lines.push(line),
  });
  const events: RestoreEvent[] = [];
  progress.events$.subscribe((event) => events.push(event));
  const store = progress.begin(place, 500, 10_500);
  expect(events.at(-1)).toEqual({
    ...{ ...place, kind: 'start', restored: 0, total: 10_000 },
    ...{ recordsPerSecond: 0, etaMs: undefined },
  });
  for (let step = 1; step <= 60; step++) {
    clock.advance(100);
    store.advance(500 + step * 100);
  }
  expect(events).toHaveLength(1 + 20); // one in 300 ms: the first at least 250 ms later
  expect(events[1]).toMatchObject({ restored: 300, recordsPerSecond: 1_000, etaMs: 9_700 });
  expect(lines).toEqual(['restores 1 stores: 5000 of 10000 records, 1000 a second, 5 s left']);
  expect(progress.running).toMatchObject([{ restored: 6_000, etaMs: 4_000 }]);
  clock.advance(100);
  store.advance(10_500);
  expect(events.at(-1)).toMatchObject({ kind: 'end', restored: 10_000, etaMs: 0 });
  expect(lines.slice(1)).toEqual(['all stores are restored']);
  expect(progress.running).toEqual([]);
  store.suspend();
  expect(events).toHaveLength(22); // nothing: it has ended
  expect(progress.restored).toBe(10_000);
});

test('[RT-LIFE-4] a short restore has no line in the log, one that is interrupted no end', () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const progress = new RestoreProgress(clock, {
    ...silentLogger,
    info: (line) => void lines.push(line),
  });
  const kinds: string[] = [];
  progress.events$.subscribe({
    next: ({ kind, restored }) => kinds.push(`${kind} ${restored}`),
    complete: () => kinds.push('complete'),
  });
  const [one, two] = [progress.begin(place, 0, 10), progress.begin(place, 0, 20)];
  one.advance(10);
  two.advance(15);
  two.suspend();
  progress.end();
  expect(kinds).toEqual(['start 0', 'start 0', 'end 10', 'suspended 15', 'complete']);
  expect(lines).toEqual([]);
  expect(progress.restored).toBe(25);
});
