import { expect, test } from 'vitest';
import { settleAll } from './at-once.ts';

test('tasks run together up to the limit; the results keep the order of the items', async () => {
  let running = 0;
  let most = 0;
  const results = await settleAll([5, 1, 4, 2, 3], 2, async (item) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, item));
    running--;
    if (item === 4) throw new TypeError('four');
    return item;
  });
  expect(most).toBe(2);
  const found = results.map((each) => (each.status === 'fulfilled' ? each.value : 'failed'));
  expect(found).toEqual([5, 1, 'failed', 2, 3]);
});

test('nothing to do is done', async () => {
  expect(await settleAll([], 4, () => Promise.reject(new TypeError('never called')))).toEqual([]);
});
