import fc from 'fast-check';
import { expect, test } from 'vitest';
import { int64, json, string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { PassedRow, StoreSpec } from '../topology/store.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { keyValueStore } from './key-value-store.ts';
import { StateUnderTest } from './state-under-test.suite.ts';
import { windowStore } from './window-store.ts';

/** Functions change it in place. */
interface Total {
  sum: number;
}

const handle = keyValueStore<string, Total>('totals');
const spec: StoreSpec<string, Total> = {
  ...handle,
  key: string(),
  value: json<Total>(),
  backing: 'changelog',
};

type Step =
  | { readonly kind: 'add'; readonly key: string; readonly value: number }
  | { readonly kind: 'delete' | 'put'; readonly key: string }
  | { readonly kind: 'pass' | 'commit' | 'restart' }
  | { readonly kind: 'checkpoint'; readonly cache: number };

const key = fc.constantFrom('a', 'b', 'c', 'd');
const kinds = fc.constantFrom('pass' as const, 'commit' as const, 'restart' as const);
const steps = fc.array(
  fc.oneof<{ weight: number; arbitrary: fc.Arbitrary<Step> }[]>(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('add'), key, value: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('delete', 'put'), key }) },
    { weight: 4, arbitrary: fc.record({ kind: kinds }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('checkpoint'), cache: fc.constantFrom(0, 1, 9) }),
    },
  ),
  { minLength: 10, maxLength: 60, size: 'max' },
);

/** What a reader of the changes knows: the rows as they were passed on, and the keys that wait. */
interface Model {
  readonly passed: Map<string, PassedRow<Total>>;
  readonly waiting: Set<string>;
}

/** Old values are those that were passed on last, whatever happens to the store in between. */
export function passedOnSuite(kind: EnvironmentKind): void {
  test(`[STATE-20] old values on a ${kind.name} environment, seed ${SEED}`, async () => {
    const property = fc.asyncProperty(steps, async (list) => {
      const it = await StateUnderTest.open(kind.place(), [spec]);
      let model: Model = { passed: new Map(), waiting: new Set() };
      let committed = structuredClone(model);
      hold(it, model);
      let timestampMs = 0;
      for (const step of list) {
        timestampMs++;
        if (step.kind === 'restart') {
          await it.restart();
          model = structuredClone(committed);
          hold(it, model);
        } else {
          takeStep(it, model, step, timestampMs);
          if (step.kind === 'commit' || step.kind === 'checkpoint') {
            committed = structuredClone(model);
          }
        }
        const store = it.state.store(handle);
        const rows = [...model.passed].sort(([a], [b]) => (a < b ? -1 : 1));
        const listed = rows.map(([each, row]) => ({ key: each, ...row }));
        expect([...store.passedRows({}, false)]).toEqual(listed);
        expect([...store.passedRows({ from: 'b', to: 'c' }, true)]).toEqual(
          listed.filter(({ key: each }) => each === 'b' || each === 'c').reverse(),
        );
        for (const each of ['a', 'b', 'c', 'd']) {
          const row = store.getPassed(each); // the store's own object, with more fields
          const shown = row && { value: row.value, timestampMs: row.timestampMs };
          expect(shown, each).toEqual(model.passed.get(each));
        }
      }
      await it.close();
    });
    await fc.assert(property, { seed: SEED, numRuns: 100 * kind.share });
  });
  deletedWindowTest(kind);
}

function deletedWindowTest({ name, place }: EnvironmentKind): void {
  test.each([
    ['waits in a window without rows that is open', 1009, ['a undefined 1']],
    ['is gone with a window that has closed', 1010, []],
  ])(`[STATE-20] a deletion %s, ${name}`, async (_, timeMs, expected) => {
    const windows: StoreSpec<string, number> = {
      ...windowStore('windows'),
      ...{ key: string(), value: int64(), backing: 'changelog' },
      expiry: { lifeMs: 1000, node: 'windows' },
    };
    const it = await StateUnderTest.open(place(), [windows]);
    const store = () => it.state.store(windowStore<string, number>('windows'));
    const start = (): void => {
      store().keepBefore();
      store().holdChanges();
    };
    start();
    store().put('a', 10, 1, 10);
    store().passChanges(10, () => undefined);
    store().delete('a', 10, 11);
    it.commit();
    it.checkpoint(0);
    await it.restart(timeMs);
    start();
    store().hold('a', 10, { value: 1, timestampMs: 10 }, 11);
    const passed: string[] = [];
    store().passChanges(10, ({ key, value }, before) => passed.push(`${key} ${value} ${before}`));
    expect(passed).toEqual(expected);
    expect(store().windowStarts()).toEqual(expected.length === 0 ? [] : [10]);
    await it.close();
  });
}

/** As an operator does at its start: what waited at the last commit waits again. */
function hold(it: StateUnderTest, { passed, waiting }: Model): void {
  const store = it.state.store(handle);
  store.keepBefore();
  store.holdChanges();
  for (const each of waiting) store.hold(each, structuredClone(passed.get(each)), 1);
}

function takeStep(it: StateUnderTest, model: Model, step: Step, timestampMs: number): void {
  const store = it.state.store(handle);
  switch (step.kind) {
    case 'add':
      store.update(step.key, timestampMs, (total = { sum: 0 }) => {
        total.sum += step.value; // in place
        return total;
      });
      model.waiting.add(step.key);
      break;
    case 'put':
      store.put(step.key, { sum: 100 }, timestampMs);
      model.waiting.add(step.key);
      break;
    case 'delete':
      store.update(step.key, timestampMs, () => undefined);
      model.waiting.add(step.key);
      break;
    case 'pass':
      pass(it, model);
      break;
    case 'checkpoint':
      it.commit();
      it.checkpoint(step.cache);
      break;
    default:
      it.commit();
  }
}

function pass(it: StateUnderTest, { passed, waiting }: Model): void {
  const keys = new Set<string>();
  it.state.store(handle).passChanges(({ key: each, value, timestampMs }, before, beforeMs) => {
    keys.add(each);
    const row = before && { value: before, timestampMs: beforeMs };
    expect(row, each).toEqual(passed.get(each));
    if (value === undefined) passed.delete(each);
    else passed.set(each, structuredClone({ value, timestampMs }));
  });
  expect(keys).toEqual(waiting);
  waiting.clear();
}
