import { expect, test } from 'vitest';
import { CommitPace } from './commit-pace.ts';

test('[STREAMS-13] commits take up to a quarter of the time if there is nothing else to do', () => {
  const pace = new CommitPace(100, 1000);
  expect(pace.earlyDueMs).toBe(1000);
  expect(pace.dueMs).toBe(1100);
  pace.committed(1010, 4);
  expect(pace.earlyDueMs).toBe(1022);
  expect(pace.dueMs).toBe(1110);
});

test('[STREAMS-13] the interval is the longest wait', () => {
  const pace = new CommitPace(100, 0);
  pace.committed(50, 50);
  pace.committed(100, 50);
  expect(pace.earlyDueMs).toBe(200);
});

test('[STREAMS-13] one commit that took long delays no result behind it', () => {
  const pace = new CommitPace(100, 0);
  pace.committed(5, 5);
  pace.committed(50, 30);
  expect(pace.earlyDueMs).toBe(50 + 15);
  pace.committed(90, 30);
  expect(pace.earlyDueMs).toBe(90 + 90);
});

test('[STREAMS-13] while there is input, commits leave two thirds of the time to it', () => {
  const pace = new CommitPace(100, 0);
  pace.committed(200, 90);
  expect(pace.dueMs).toBe(200 + 180);
  pace.committed(400, 5_000);
  pace.committed(6_000, 4_000);
  expect(pace.dueMs).toBe(6_000 + 1_000);
  const slow = new CommitPace(30_000, 0);
  slow.committed(5_000, 5_000);
  expect(slow.dueMs).toBe(35_000);
});
