import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytes, int64, string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { StoreEntry, StoreSpec } from '../topology/store.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { keyValueStore } from './key-value-store.ts';
import { StateUnderTest } from './state-under-test.suite.ts';
import { windowStore } from './window-store.ts';

const rows: StoreSpec<string, number> = {
  ...keyValueStore('rows'),
  key: string(),
  value: int64(),
  backing: 'changelog',
};
const windows: StoreSpec<string, number> = { ...rows, ...windowStore('windows') };

/** Keys whose bytes begin alike, the empty one, and some that JavaScript orders otherwise. */
const KEYS = ['', 'a', 'aa', 'ab', 'b', 'ba', 'z', 'ä', '\u{ff5e}', '\u{10000}'];
const key = fc.constantFrom(...KEYS);
const limit = fc.option(key, { nil: undefined });
const startMs = fc.constantFrom(0, 5, 10, 15);

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('put'), key, value: fc.nat(99) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete'), key }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('putWindow'), key, startMs, value: fc.nat(99) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('deleteWindow'), key, startMs }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('range'), from: limit, to: limit }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('prefix'), prefix: key }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('fetch'), key, fromMs: startMs, toMs: startMs }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('drain', 'restart', 'commit') }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('checkpoint'), cache: fc.constantFrom(0, 2, 99) }),
  },
);
const steps = fc.array(step, { minLength: 10, maxLength: 80, size: 'max' });
type Step = Parameters<Parameters<typeof steps.map>[0]>[0][number];

/** The content of both stores: `value @time` by key, and by window and key. */
interface Model {
  readonly rows: Map<string, string>;
  readonly windows: Map<number, Map<string, string>>;
  nowMs: number;
}

/** The tests of reading the stores of a task in order. */
export function rangesSuite({ name, place, share }: EnvironmentKind): void {
  describe(`ranges on a ${name} environment`, () => {
    test(`[STATE-READ-1] [STATE-READ-2] are those of sorted maps, seed ${SEED}`, async () => {
      const property = fc.asyncProperty(steps, async (list) => {
        const it = await StateUnderTest.open(place(), [rows, windows]);
        let model: Model = { rows: new Map(), windows: new Map(), nowMs: 0 };
        let committed = structuredClone(model);
        for (const each of list) {
          if (each.kind === 'restart') {
            await it.restart();
            model = structuredClone(committed);
          } else if (each.kind === 'commit' || each.kind === 'checkpoint') {
            it.commit();
            committed = structuredClone(model);
            if ('cache' in each) it.checkpoint(each.cache);
          } else {
            takeStep(it, model, each);
          }
        }
        await it.close();
      });
      await fc.assert(property, { seed: SEED, numRuns: 150 * share });
    });

    test('[STATE-READ-1] a prefix may have a serde of its own, and end with any byte', async () => {
      const spec = { ...keyValueStore<Uint8Array, number>('rows'), value: int64() };
      const it = await StateUnderTest.open(place(), [
        { ...spec, key: bytes(), backing: 'changelog' },
      ]);
      const store = it.state.store(keyValueStore<Uint8Array, number>('rows'));
      const keys = [[1, 255], [1, 255, 0], [1, 255, 255], [2], [255, 255], [255]];
      for (const [index, each] of keys.entries()) store.put(Buffer.from(each), index, 0);
      const found = (prefix: number[]) =>
        [...store.prefixScan(Buffer.from(prefix))].map(({ value }) => value);
      for (let time = 0; time < 2; time++) {
        expect(found([1, 255])).toEqual([0, 1, 2]);
        expect(found([255, 255])).toEqual([4]);
        expect(found([255])).toEqual([5, 4]);
        expect(found([])).toHaveLength(6);
        const text = String.fromCharCode(2);
        expect([...store.prefixScan(text, string())].map(({ value }) => value)).toEqual([3]);
        it.commit();
        it.checkpoint(0);
      }
      await it.close();
    });

    test('[STATE-READ-3] a list that is left unread holds nothing up', async () => {
      const it = await StateUnderTest.open(place(), [rows]);
      const store = it.state.store(keyValueStore<string, number>('rows'));
      const count = 3_000; // more than is read at once
      const keyOf = (index: number) => `k${String(index).padStart(4, '0')}`;
      for (let index = 0; index < count; index++) store.put(keyOf(index), index, index);
      it.commit();
      it.checkpoint(0);
      const list = store.all();
      expect(list.next().value).toMatchObject({ key: 'k0000', value: 0, timestampMs: 0 });
      store.put(keyOf(1), -1, 5);
      store.delete(keyOf(2), 5);
      for (let index = 3; index < 2_000; index++) store.delete(keyOf(index), 5);
      it.commit();
      it.checkpoint(0);
      const rest = [...list].map((entry) => `${entry.key} ${entry.value} @${entry.timestampMs}`);
      expect(rest).toHaveLength(count - 1_999);
      expect(rest.slice(0, 2)).toEqual(['k0001 -1 @5', 'k2000 2000 @2000']);
      expect([...store.reverseAll()].map(({ value }) => value).slice(0, 2)).toEqual([2999, 2998]);
      expect(store.size).toBeUndefined(); // nothing was read into memory
      await it.close();
    });
  });
}

function takeStep(it: StateUnderTest, model: Model, step: Step): void {
  const store = it.state.store(keyValueStore<string, number>('rows'));
  const windowed = it.state.store(windowStore<string, number>('windows'));
  const { kind } = step;
  if (kind === 'put' && 'value' in step) {
    const timeMs = model.nowMs++;
    store.put(step.key, step.value, timeMs);
    model.rows.set(step.key, `${step.value} @${timeMs}`);
  } else if (kind === 'delete' && 'key' in step) {
    store.delete(step.key, model.nowMs++);
    model.rows.delete(step.key);
  } else if (kind === 'putWindow' && 'value' in step && 'startMs' in step) {
    const timeMs = model.nowMs++;
    windowed.put(step.key, step.startMs, step.value, timeMs);
    const window = model.windows.get(step.startMs) ?? new Map<string, string>();
    model.windows.set(step.startMs, window.set(step.key, `${step.value} @${timeMs}`));
  } else if (kind === 'deleteWindow' && 'startMs' in step) {
    windowed.delete(step.key, step.startMs, model.nowMs++);
    model.windows.get(step.startMs)?.delete(step.key);
  } else if ('from' in step) {
    expectRange(it, model, step);
  } else if ('prefix' in step) {
    const isIn = (each: string) => each.startsWith(step.prefix);
    expect(shown(store.prefixScan(step.prefix))).toEqual(sorted(model.rows, isIn));
  } else if ('fromMs' in step) {
    expectFetch(it, model, step);
  } else if (kind === 'drain') {
    for (const each of store.all()) store.delete(each.key, model.nowMs);
    expect(shown(store.all())).toEqual([]);
    model.rows.clear();
  }
}

function expectRange(
  it: StateUnderTest,
  model: Model,
  { from, to }: { readonly from: string | undefined; readonly to: string | undefined },
): void {
  const store = it.state.store(keyValueStore<string, number>('rows'));
  const isIn = (each: string) =>
    (from === undefined || compare(from, each) <= 0) &&
    (to === undefined || compare(each, to) <= 0);
  const expected = sorted(model.rows, isIn);
  expect(shown(store.range(from, to))).toEqual(expected);
  expect(shown(store.reverseRange(from, to))).toEqual(expected.reverse());
  const all = sorted(model.rows, () => true);
  expect(shown(store.all())).toEqual(all);
  expect(shown(store.reverseAll())).toEqual(all.reverse());
  for (const each of KEYS) {
    const entry = store.entry(each);
    expect(entry && `${entry.value} @${entry.timestampMs}`).toBe(model.rows.get(each));
  }
}

function expectFetch(
  it: StateUnderTest,
  model: Model,
  {
    key: wanted,
    fromMs,
    toMs,
  }: { readonly key: string; readonly fromMs: number; readonly toMs: number },
): void {
  const windowed = it.state.store(windowStore<string, number>('windows'));
  const isOf = (each: string) => each === wanted;
  const within = [...model.windows].filter(([at]) => at >= fromMs && at <= toMs);
  within.sort(([a], [b]) => a - b);
  const list = (isIn: (each: string) => boolean) =>
    within.flatMap(([at, window]) => sorted(window, isIn).map((entry) => `${at} ${entry}`));
  const found = (entries: Iterable<StoreEntry<string, number>>) =>
    [...entries].map((entry) => `${entry.windowStartMs} ${shown([entry])[0]}`);
  expect(found(windowed.fetch(wanted, fromMs, toMs))).toEqual(list(isOf));
  expect(found(windowed.backwardFetch(wanted, fromMs, toMs))).toEqual(list(isOf).reverse());
  expect(found(windowed.fetchAll(fromMs, toMs))).toEqual(list(() => true));
  expect(found(windowed.backwardFetchAll(fromMs, toMs))).toEqual(list(() => true).reverse());
  const sorts = (isIn: (order: number) => boolean) => (each: string) => isIn(compare(each, wanted));
  for (const [keys, isIn] of [
    [{ from: wanted }, sorts((order) => order >= 0)],
    [{ to: wanted }, sorts((order) => order <= 0)],
    [{ from: wanted, to: wanted }, isOf],
    [{ prefix: wanted }, (each: string) => each.startsWith(wanted)],
    [{ prefix: Buffer.from(wanted), serde: bytes() }, (each: string) => each.startsWith(wanted)],
  ] as const) {
    expect(found(windowed.fetchAll<unknown>(fromMs, toMs, keys))).toEqual(list(isIn));
    const backwards = windowed.backwardFetchAll<unknown>(fromMs, toMs, keys);
    expect(found(backwards)).toEqual(list(isIn).reverse());
  }
  const entry = windowed.entry(wanted, fromMs);
  expect(entry && `${entry.value} @${entry.timestampMs}`).toBe(
    model.windows.get(fromMs)?.get(wanted),
  );
}

function sorted(rows: ReadonlyMap<string, string>, isIn: (key: string) => boolean): string[] {
  const keys = [...rows.keys()].filter(isIn).sort(compare);
  return keys.map((each) => `"${each}" ${rows.get(each)}`);
}

function shown(entries: Iterable<StoreEntry<string, number>>): string[] {
  return [...entries].map(({ key: each, value, timestampMs }) => {
    return `"${each}" ${value} @${timestampMs}`;
  });
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
