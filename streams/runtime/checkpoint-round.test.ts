import { expect, test } from 'vitest';
import { ManualClock } from '../../core/testing/index.ts';
import { CheckpointRound } from './checkpoint-round.ts';
import type { StreamsSettings } from './options.ts';
import type { Task } from './task.ts';

function taskOf(id: string, { tailCount = 0, isAwaited = false } = {}): Task {
  return { id, state: { tailCount, committed: { isAwaited } } } as unknown as Task;
}

function roundAt() {
  const clock = new ManualClock();
  const settings = {
    ...{ checkpointIntervalMs: 3_000, checkpointEntriesMax: 100, clock },
  } as unknown as StreamsSettings;
  const round = new CheckpointRound(settings, clock.monotonicMs());
  const due = (tasks: readonly Task[]) => round.due(tasks, clock.monotonicMs());
  const done = (waiting: readonly Task[]) => round.checkpointed(waiting, clock.monotonicMs());
  return { clock, round, due, done };
}

test('[STATE-24] all tasks are due once the interval is over, and then not until the next', () => {
  const tasks = ['a', 'b'].map((id) => taskOf(id));
  const { clock, due, done } = roundAt();
  clock.advance(2_999);
  expect(due(tasks)).toBeUndefined();
  clock.advance(1);
  expect(due(tasks)?.tasks).toEqual(tasks);
  expect(done([])).toBe(true);
  expect(due(tasks)).toBeUndefined();
});

test('[STATE-24] a round takes a third of the time since the last one, and goes on later', () => {
  const tasks = ['a', 'b', 'c'].map((id) => taskOf(id));
  const { clock, due, done } = roundAt();
  clock.advance(3_000);
  const first = due(tasks)!;
  expect(first.canWait(tasks[1]!)).toBe(false);
  clock.advance(1_000);
  expect(first.canWait(tasks[2]!)).toBe(true);
  expect(done([tasks[2]!])).toBe(false);
  clock.advance(90);
  const second = due(tasks)!;
  expect(second.tasks).toEqual([tasks[2]]);
  clock.advance(29);
  expect(second.canWait(tasks[2]!)).toBe(false);
  clock.advance(1);
  expect(second.canWait(tasks[2]!)).toBe(true);
  expect(done([])).toBe(true);
});

test('[STATE-24] a task that is asked for, or has much to write, waits for nothing', () => {
  const [plain, asked] = [taskOf('plain'), taskOf('asked', { isAwaited: true })];
  const full = taskOf('full', { tailCount: 100 });
  const { clock, due, done } = roundAt();
  clock.advance(10);
  const early = due([plain, asked, full])!;
  expect(early.tasks).toEqual([asked, full]);
  clock.advance(10_000);
  expect([asked, full].map(early.canWait)).toEqual([false, false]);
  expect(done([])).toBe(false);
  const late = due([plain, asked])!;
  expect(late.tasks).toEqual([asked, plain]);
  clock.advance(10_000);
  expect([asked, plain].map(late.canWait)).toEqual([false, true]);
});

test('[STATE-24] other tasks begin another round, at its time', () => {
  const tasks = ['a', 'b'].map((id) => taskOf(id));
  const { clock, round, due, done } = roundAt();
  clock.advance(3_000);
  due(tasks);
  done([tasks[1]!]);
  round.forget();
  expect(due(tasks)).toBeUndefined();
  clock.advance(3_000);
  expect(due(tasks)?.tasks).toEqual(tasks);
});
