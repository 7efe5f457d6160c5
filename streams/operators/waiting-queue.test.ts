import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { LmdbEnvironment } from '../state/lmdb-environment.ts';
import { StateUnderTest } from '../state/state-under-test.suite.ts';
import type { OperatorContext } from '../topology/operator.ts';
import { waitingSpec, waitingStoreOf, WaitingQueue } from './waiting-queue.ts';

const spec = waitingSpec('buffer', string());

async function open(): Promise<StateUnderTest> {
  const directory = temporaryDirectory();
  return StateUnderTest.open({ open: (names) => LmdbEnvironment.open(directory, names) }, [spec]);
}

/** As an operator does at its start. */
function queueOf({ state }: StateUnderTest, frontMax: number): WaitingQueue<string> {
  const context = { store: (handle) => state.store(handle) } as Pick<OperatorContext, 'store'>;
  return new WaitingQueue({
    ...{ buffer: 'buffer', key: string(), context: context as OperatorContext, frontMax },
  });
}

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      key: fc.constantFrom('', 'a', 'aa', 'b', 'ä', '\u{ff5e}', '\u{10000}'),
      fromMs: fc.nat(20),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('take' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('commit' as const, 'checkpoint', 'restart') }),
  },
);
const steps = fc.array(step, { minLength: 10, maxLength: 80, size: 'max' });

/** Sorts by time, then by the bytes of the key. */
function inOrder(waiting: ReadonlyMap<string, number>): string[] {
  const bytes = (key: string) => Buffer.from(key);
  return [...waiting]
    .sort(([a, aMs], [b, bMs]) => aMs - bMs || Buffer.compare(bytes(a), bytes(b)))
    .map(([key]) => key);
}

describe('[OP-TABLE-7] the queue of rows that wait', () => {
  test.each([2, 3, 100])(`is sorted, with %i of them in memory, seed ${SEED}`, async (frontMax) => {
    const property = fc.asyncProperty(steps, async (list) => {
      const it = await open();
      let queue = queueOf(it, frontMax);
      let model = new Map<string, number>();
      let committed = new Map(model);
      for (const each of list) {
        if (each.kind === 'add') {
          if (model.has(each.key)) continue;
          queue.add(each.key, each.fromMs);
          model.set(each.key, each.fromMs);
        } else if (each.kind === 'take') {
          const [first] = inOrder(model);
          expect(queue.take()).toBe(first);
          model.delete(first ?? '-');
        } else if (each.kind === 'restart') {
          await it.restart();
          queue = queueOf(it, frontMax);
          model = new Map(committed);
        } else {
          it.commit();
          committed = new Map(model);
          if (each.kind === 'checkpoint') it.checkpoint(0);
        }
        expect(queue.nextMs).toBe(Math.min(Infinity, ...model.values()));
      }
      for (const key of inOrder(model)) expect(queue.take()).toBe(key);
      expect(queue.take()).toBeUndefined();
      await it.close();
    });
    await fc.assert(property, { seed: SEED, numRuns: 40 });
  });

  test('reads what it does not hold in parts, and leaves it on disk', async () => {
    const it = await open();
    let queue = queueOf(it, 10);
    const keys = Array.from({ length: 1_000 }, (_, index) => `k${(index * 7) % 1_000}`);
    for (const key of keys) queue.add(key, Number(key.slice(1)) >> 2);
    it.commit();
    it.checkpoint(0);
    const { memoryCount } = it.state.stores.get(waitingStoreOf('buffer')) ?? {};
    expect(memoryCount).toBe(0);
    queue = queueOf(it, 10);
    for (let time = 0; time < 250; time++) {
      expect(queue.nextMs).toBe(time);
      const taken = [0, 1, 2, 3].map(() => queue.take());
      expect(taken).toEqual([0, 1, 2, 3].map((index) => `k${time * 4 + index}`).sort());
    }
    expect(queue.nextMs).toBe(Infinity);
    await it.close();
  });
});
