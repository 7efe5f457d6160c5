import { TestRunner } from 'vitest';

/** Says how many crashes a test has simulated, in its report: `npm run soak` adds them up. */
export function noteCrashes(count: number): void {
  const meta = TestRunner.getCurrentTest()?.meta as { simulated?: number } | undefined;
  if (meta !== undefined) meta.simulated = (meta.simulated ?? 0) + count;
}
