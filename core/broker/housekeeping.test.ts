import { expect, test } from 'vitest';
import { silentLogger } from '../logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Housekeeping } from './housekeeping.ts';

const turnOfLoop = () => new Promise((resolve) => setImmediate(resolve));

/** A chore that runs until it is told to end, every 10 s. */
function chore() {
  const clock = new ManualClock();
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (message: string) => void errors.push(message) };
  const housekeeping = new Housekeeping(clock, logger);
  const ends: ((error?: Error) => void)[] = [];
  const hurry = housekeeping.every(10_000, () => {
    return new Promise<void>((resolve, reject) => {
      ends.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  });
  const end = async (error?: Error): Promise<void> => {
    ends.at(-1)!(error);
    await turnOfLoop();
  };
  return { clock, housekeeping, hurry, ends, end, errors };
}

test('[LOG-27] a chore runs every interval, one call at a time; it may fail', async () => {
  const { clock, ends, end, errors, housekeeping } = chore();
  clock.advance(9_999);
  expect(ends.length).toBe(0);
  clock.advance(1);
  expect(ends.length).toBe(1);
  clock.advance(60_000);
  expect(ends.length).toBe(1);
  await end(new RangeError('no room'));
  expect(errors).toEqual(['no room']);
  clock.advance(10_000);
  expect(ends.length).toBe(2);
  const stopped = housekeeping.stop();
  await end();
  await stopped;
  clock.advance(60_000);
  expect(ends.length).toBe(2);
});

test('[LOG-27] a chore that is in a hurry runs at once, or right behind itself', async () => {
  const { clock, ends, end, hurry, housekeeping } = chore();
  hurry();
  expect(ends.length).toBe(1);
  hurry();
  hurry();
  expect(ends.length).toBe(1);
  await end();
  expect(ends.length).toBe(2);
  await end();
  expect(ends.length).toBe(2);
  clock.advance(9_999);
  expect(ends.length).toBe(2);
  clock.advance(1);
  expect(ends.length).toBe(3);
  await end();
  await housekeeping.stop();
  hurry();
  expect(ends.length).toBe(3);
});
