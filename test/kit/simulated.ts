import { TestRunner } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    /** Crashes and failures that were simulated; `npm run soak` adds them up. */
    simulated?: number;
  }
}

/** Says how many crashes a test has simulated, in the test's report. */
export function noteCrashes(count: number): void {
  const task = TestRunner.getCurrentTest();
  if (task !== undefined) task.meta.simulated = (task.meta.simulated ?? 0) + count;
}
