import { describe, expect, test } from 'vitest';
import { failureOf } from '../../test/kit/connect.ts';
import { liveQuery, type Watcher } from './live-query.ts';

/** A live query of what is pushed. */
function queryOf() {
  const pending = {
    items: [] as number[],
    get isEmpty() {
      return this.items.length === 0;
    },
    take() {
      return this.items.splice(0);
    },
  };
  const begun: Watcher<number>[] = [];
  let stopped = 0;
  const query = liveQuery<number>((makeWatcher) => {
    const watcher = makeWatcher(pending);
    begun.push(watcher);
    return { watcher, stop: () => stopped++ };
  });
  const push = (...items: readonly number[]): void => {
    pending.items.push(...items);
    for (const watcher of begun) watcher.flush();
  };
  const end = (error: unknown): void => {
    for (const watcher of begun) watcher.end(error);
  };
  const counts = () => ({ begun: begun.length, stopped });
  return { loop: query[Symbol.asyncIterator](), push, end, counts };
}

describe('[QUERY-LIVE-3] a loop lets go of everything when it ends', () => {
  test('by return while it waits', async () => {
    const { loop, push, counts } = queryOf();
    expect(counts()).toEqual({ begun: 0, stopped: 0 });
    const waiting = [loop.next(), loop.next()];
    expect(counts()).toEqual({ begun: 1, stopped: 0 });
    expect(await loop.return!()).toEqual({ done: true, value: undefined });
    expect(counts()).toEqual({ begun: 1, stopped: 1 });
    for (const each of waiting) expect((await each).done).toBe(true);
    push(1);
    expect((await loop.next()).done).toBe(true);
  });

  test('by return before it has begun', async () => {
    const { loop, counts } = queryOf();
    await loop.return!();
    expect((await loop.next()).done).toBe(true);
    expect(counts()).toEqual({ begun: 0, stopped: 0 });
  });

  test('by an error, after what came before it', async () => {
    const { loop, push, end, counts } = queryOf();
    const first = loop.next();
    push(1, 2);
    end(new TypeError('broken'));
    expect(await first).toEqual({ done: false, value: 1 });
    expect(await loop.next()).toEqual({ done: false, value: 2 });
    expect(await failureOf(loop.next())).toMatchObject({ message: 'broken' });
    expect((await loop.next()).done).toBe(true);
    expect(counts()).toEqual({ begun: 1, stopped: 1 });
  });

  test('of what comes meanwhile it gets the rest when it asks for it', async () => {
    const { loop, push } = queryOf();
    const [first, second] = [loop.next(), loop.next()];
    push(1);
    push(2);
    push(3);
    expect([(await first).value, (await second).value]).toEqual([1, 2]);
    expect((await loop.next()).value).toBe(3);
  });
});
