import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64, json, string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { StoreSpec, VersionedStore } from '../topology/store.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { StateUnderTest } from './state-under-test.suite.ts';
import { versionedStore } from './versioned-store.ts';

const HISTORY_MS = 10;
type Key = string | { readonly id: string };

const rows = (key: StoreSpec<Key, number>['key']): StoreSpec<Key, number> => ({
  ...versionedStore('rows'),
  key,
  value: int64(),
  backing: 'changelog',
  historyMs: HISTORY_MS,
});

/** The tests of versioned stores on any environment. */
export function versionedStoreSuite(kind: EnvironmentKind): void {
  describe(`a versioned store on a ${kind.name} environment`, () => {
    versionedTests(kind);
    propertyTest(kind);
  });
}

function versionedTests({ place }: EnvironmentKind): void {
  const open = async () => {
    const it = await StateUnderTest.open(place(), [rows(string())]);
    return { it, store: () => it.state.store(versionedStore<Key, number>('rows')) };
  };

  test('[STATE-VERSIONED-1] a version is valid from its time until the next one', async () => {
    const { it, store } = await open();
    expect(store().put('a', 1, 5)).toBe('latest');
    expect(store().put('a', 3, 9)).toBe('latest');
    expect(store().put('a', 2, 7)).toBe('past');
    expect(store().put('a', 4, 9)).toBe('latest'); // replaces
    const at = (timeMs: number) => store().getVersion('a', timeMs);
    expect([4, 5, 6, 7, 8, 9, 99].map((timeMs) => at(timeMs)?.value)).toEqual(
      [undefined, 1, 1, 2, 2, 4, 4], // prettier-ignore
    );
    expect(at(6)).toEqual({ value: 1, timestampMs: 5, validToMs: 7 });
    expect(at(9)).toEqual({ value: 4, timestampMs: 9, validToMs: Infinity });
    expect([store().get('a'), store().get('b'), store().get('b', 9)]).toEqual([
      4,
      undefined,
      undefined,
    ]);
    expect([...store().entries()]).toEqual([['a', 4]]);
    await it.close();
  });

  test('[STATE-VERSIONED-2] what is older than the history is gone, not the latest', async () => {
    const { it, store } = await open();
    store().put('a', 1, 5);
    store().put('a', 2, 8);
    store().put('b', 9, 18); // 8 is the oldest time of the history
    expect(store().put('a', 3, 7)).toBe('expired');
    expect(store().get('a', 7)).toBeUndefined();
    expect(store().get('a', 8)).toBe(2);
    store().put('b', 9, 100);
    expect([store().get('a'), store().get('a', 50), store().get('a', 8)]).toEqual([2, 2, 2]);
    expect(store().get('a', 7)).toBeUndefined();
    await it.close();
  });

  test('[STATE-VERSIONED-3] a deleted key leaves nothing once that is history', async () => {
    const { it, store } = await open();
    store().put('a', 1, 5);
    store().put('a', null, 6);
    store().put('b', 1, 6);
    expect([store().get('a'), store().get('a', 5)]).toEqual([undefined, 1]);
    it.commit();
    it.checkpoint(0);
    store().put('b', 2, 16);
    it.commit();
    it.checkpoint(0); // finds that a is history
    await it.restart(); // before that was committed
    it.checkpoint(0);
    expect(it.commit()).toEqual({ rows: ['"a" undefined @6'] });
    it.checkpoint(0);
    it.checkpoint(0);
    await it.restart();
    expect(it.state.stores.get('rows')?.takePending()).toHaveLength(1); // only the newest time
    expect([...store().entries()]).toEqual([['b', 2]]);
    expect(it.changelogs.get('rows')?.at(-1)?.value).toBeUndefined();
    await it.close();
  });
}

const KEYS = ['a', 'ab', 'b'];
const key = fc.constantFrom(...KEYS);
const timeMs = fc.integer({ min: 0, max: 40 });
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      key,
      timeMs,
      value: fc.option(fc.nat(99)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('commit' as const, 'restart' as const) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('checkpoint' as const), cache: fc.nat(3) }),
  },
);

interface Model {
  newestMs: number;
  /** All versions that were ever put, by key and time. */
  readonly versions: Map<string, Map<number, number | null>>;
}

function propertyTest({ place, share }: EnvironmentKind): void {
  test.each([
    ['texts', rows(string()), (text: string): Key => text],
    ['objects', rows(json<Key>()), (id: string): Key => ({ id })],
  ])(
    `[STATE-VERSIONED-1] [STATE-VERSIONED-2] as all puts, keys are %s, seed ${SEED}`,
    async (...args) => {
      const [, spec, keyOf] = args;
      const steps = fc.array(step, { minLength: 10, maxLength: 60, size: 'max' });
      const property = fc.asyncProperty(steps, async (list) => {
        const it = await StateUnderTest.open(place(), [spec]);
        let model: Model = { newestMs: -Infinity, versions: new Map() };
        let committed = structuredClone(model);
        const store = () => it.state.store(versionedStore<Key, number>('rows'));
        for (const each of list) {
          if (each.kind === 'put') {
            const put = store().put(keyOf(each.key), each.value, each.timeMs);
            expect(put).toBe(putInto(model, each.key, each.value, each.timeMs));
          } else if (each.kind === 'read') {
            expectSame(store(), model, each.key, keyOf(each.key));
          } else if (each.kind === 'restart') {
            await it.restart();
            model = structuredClone(committed);
          } else {
            it.commit();
            committed = structuredClone(model);
            if (each.kind === 'checkpoint') it.checkpoint(each.cache);
          }
        }
        await it.restart();
        for (const text of KEYS) expectSame(store(), committed, text, keyOf(text));
        await it.close();
      });
      await fc.assert(property, { seed: SEED, numRuns: 150 * share });
    },
  );
}

function putInto(model: Model, key: string, value: number | null, timeMs: number): string {
  if (timeMs < model.newestMs - HISTORY_MS) return 'expired';
  model.newestMs = Math.max(model.newestMs, timeMs);
  const versions = model.versions.get(key) ?? new Map<number, number | null>();
  model.versions.set(key, versions.set(timeMs, value));
  return timeMs === Math.max(...versions.keys()) ? 'latest' : 'past';
}

function expectSame(
  store: VersionedStore<Key, number>,
  model: Model,
  text: string,
  key: Key,
): void {
  const versions = model.versions.get(text) ?? new Map<number, number | null>();
  const times = [...versions.keys()].sort((a, b) => a - b);
  const latestMs = times.at(-1) ?? Infinity;
  expect(store.get(key)).toBe(versions.get(latestMs) ?? undefined);
  for (let asOfMs = 0; asOfMs <= 40; asOfMs++) {
    const isKnown = asOfMs >= model.newestMs - HISTORY_MS || asOfMs >= latestMs;
    const foundMs = times.findLast((timeMs) => timeMs <= asOfMs);
    const expected = isKnown && foundMs !== undefined ? versions.get(foundMs) : undefined;
    expect(store.get(key, asOfMs), `${text} as of ${asOfMs}`).toBe(expected ?? undefined);
  }
}
