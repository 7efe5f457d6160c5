import { expect, test } from 'vitest';
import type { Timer } from './clock.ts';
import { Interruption } from './interruption.ts';
import { ManualClock } from './testing/manual-clock.ts';

test('[CONSUMER-18] an interrupt ends the waits under way, not those that follow', async () => {
  const interruption = new Interruption();
  const clock = new ManualClock();
  const ended: string[] = [];
  void interruption.wait().then(() => ended.push('first'));
  void interruption.waitUpTo(100, clock).then(() => ended.push('second'));
  interruption.interrupt();
  void interruption.wait().then(() => ended.push('third'));
  await Promise.resolve();
  expect(ended).toEqual(['first', 'second']);
  expect(interruption.waiterCount).toBe(1);
});

test('[CONSUMER-18] a waiter is forgotten with its timer, whatever ended its wait', async () => {
  const interruption = new Interruption();
  const clock = new CountingClock();
  for (let index = 0; index < 100; index++) {
    const late = interruption.waitUpTo(10, clock);
    clock.advance(10);
    await late;
    const interrupted = [interruption.waitUpTo(10, clock), interruption.wait()];
    interruption.interrupt();
    await Promise.all(interrupted);
  }
  expect([interruption.waiterCount, clock.pendingCount]).toEqual([0, 0]);
});

/** Counts timers that have neither run nor been cancelled. */
class CountingClock extends ManualClock {
  pendingCount = 0;

  override setTimer(delayMs: number, callback: () => void): Timer {
    this.pendingCount++;
    let isPending = true;
    const end = (): void => {
      if (isPending) this.pendingCount--;
      isPending = false;
    };
    const timer = super.setTimer(delayMs, () => {
      end();
      callback();
    });
    return {
      cancel: () => {
        end();
        timer.cancel();
      },
    };
  }
}
