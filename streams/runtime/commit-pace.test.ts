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
