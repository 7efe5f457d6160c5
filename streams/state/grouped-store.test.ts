import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64 } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { GroupedKey } from '../topology/store.ts';
import type { EnvironmentPlace } from './environment.suite.ts';
import { groupedStore, groupedStoreSpec } from './grouped-store.ts';
import { LmdbEnvironment } from './lmdb-environment.ts';
import { StateUnderTest } from './state-under-test.suite.ts';

const handle = groupedStore<number>('grouped');
const spec = groupedStoreSpec('grouped', int64());

/** Groups of which one begins another, and which end in the highest byte. */
const GROUPS = ['', 'a', 'ab', '\xff', '\xff\xff'];
const KEYS = ['', 'b', 'x', '\xff'];

const keyOf = (group: string, key: string): GroupedKey => ({
  group: Buffer.from(group, 'latin1'),
  key: Buffer.from(key, 'latin1'),
});

const place = (): EnvironmentPlace => {
  const directory = temporaryDirectory();
  return { open: (stores) => LmdbEnvironment.open(directory, stores) };
};

type Step =
  | { readonly kind: 'put' | 'delete'; readonly group: string; readonly key: string }
  | { readonly kind: 'commit' | 'checkpoint' | 'restart' };

const steps = fc.array(
  fc.oneof<{ weight: number; arbitrary: fc.Arbitrary<Step> }[]>(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constantFrom('put' as const, 'put' as const, 'delete' as const),
        group: fc.constantFrom(...GROUPS),
        key: fc.constantFrom(...KEYS),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom('commit' as const, 'checkpoint' as const, 'restart' as const),
      }),
    },
  ),
  { minLength: 10, maxLength: 60, size: 'max' },
);

describe('[STATE-GROUPED-1] a grouped store', () => {
  test(`finds the keys of each group in order, whatever happens, seed ${SEED}`, async () => {
    const property = fc.asyncProperty(steps, fc.constantFrom(0, 2, 100), async (list, cache) => {
      const it = await StateUnderTest.open(place(), [spec]);
      let model = new Map<string, number>();
      let committed = new Map(model);
      for (const [index, step] of list.entries()) {
        const store = it.state.store(handle);
        if (step.kind === 'put') {
          store.put(keyOf(step.group, step.key), index, index);
          model.set(JSON.stringify([step.group, step.key]), index);
        } else if (step.kind === 'delete') {
          store.delete(keyOf(step.group, step.key), index);
          model.delete(JSON.stringify([step.group, step.key]));
        } else if (step.kind === 'restart') {
          await it.restart();
          model = new Map(committed);
        } else {
          it.commit();
          committed = new Map(model);
          if (step.kind === 'checkpoint') it.checkpoint(cache);
        }
        for (const group of GROUPS) {
          const found = it.state
            .store(handle)
            .group(Buffer.from(group, 'latin1'))
            .map(({ key, value }) => [key.key.toString('latin1'), value]);
          const expected = KEYS.flatMap((key) => {
            const value = model.get(JSON.stringify([group, key]));
            return value === undefined ? [] : [[key, value]];
          });
          expect(found, group).toEqual(expected);
        }
      }
      await it.close();
    });
    await fc.assert(property, { seed: SEED, numRuns: 60 });
  });
});
