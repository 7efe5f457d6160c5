import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64, serializeToBytes, string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { StoreEntry } from '../topology/store.ts';
import { sessionWindowedSerde, windowedSerde, type Windowed } from '../topology/windows.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { keyValueStore } from './key-value-store.ts';
import { StateUnderTest } from './state-under-test.suite.ts';
import { windowedKeyStore, windowedKeyStoreSpec } from './windowed-key-store.ts';

const SIZE_MS = 10;
const LIFE_MS = 130;
/** Two rows are together in a stretch, or expire up to so much later. */
const STRETCH_MS = 3;
const serde = windowedSerde(string(), SIZE_MS);
const spec = windowedKeyStoreSpec<Windowed<string>, number>({
  ...{ store: 'rows', key: serde, value: int64(), node: 'view', lifeMs: LIFE_MS },
});
const handle = windowedKeyStore<Windowed<string>, number>('rows');

type Row = Pick<StoreEntry<Windowed<string>, number>, 'key' | 'value' | 'timestampMs'>;

const windowStartMs = fc.nat(40);
const key = fc
  .tuple(fc.constantFrom('', 'a', 'aa', 'b', 'ä'), windowStartMs)
  .map(([inner, startMs]) => windowed(inner, startMs));
const limit = fc.option(key, { nil: undefined });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put'), key, value: fc.nat(99) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete'), key }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('range'), from: limit, to: limit }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('prefix'), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire'), ms: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('commit') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart') }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('checkpoint'), cache: fc.constantFrom(0, 2, 99) }),
  },
);
const steps = fc.array(step, { minLength: 10, maxLength: 80, size: 'max' });

/** The tests of key-value stores of windows. */
export function windowedKeyStoreSuite({ name, place, share }: EnvironmentKind): void {
  describe(`a key-value store of windows on a ${name} environment`, () => {
    test(`[STATE-22] is a sorted map whose rows expire, seed ${SEED}`, async () => {
      const property = fc.asyncProperty(steps, async (list) => {
        const it = await StateUnderTest.open(place(), [spec]);
        let model = new Map<string, Row>();
        let committed = new Map<string, Row>();
        let timeMs = LIFE_MS;
        for (const [index, each] of list.entries()) {
          const store = it.state.store(handle);
          if (each.kind === 'put') {
            store.put(each.key, each.value, index);
            model.set(idOf(each.key), { key: each.key, value: each.value, timestampMs: index });
          } else if (each.kind === 'delete') {
            store.delete(each.key, index);
            model.delete(idOf(each.key));
          } else if (each.kind === 'expire') {
            timeMs += each.ms;
            store.expire(timeMs);
            model = alive(model, timeMs);
            expect(store.expiresMs).toBeGreaterThan(timeMs);
          } else if (each.kind === 'restart') {
            await it.restart(timeMs);
            model = alive(committed, timeMs);
          } else if (each.kind === 'commit' || each.kind === 'checkpoint') {
            it.commit();
            committed = new Map(model);
            if ('cache' in each) it.checkpoint(each.cache);
          } else {
            compare(it, model, each);
          }
        }
        await it.close();
      });
      await fc.assert(property, { seed: SEED, numRuns: 60 * share });
    });

    test('[STATE-22] a row that is deleted while it is iterated is not seen', async () => {
      const it = await StateUnderTest.open(place(), [spec]);
      const store = it.state.store(handle);
      for (const startMs of [1, 11, 21]) store.put(windowed('a', startMs), startMs, 0);
      it.commit();
      it.checkpoint(0);
      const rows = store.all();
      expect(rows.next()).toMatchObject({ value: { value: 1 } });
      store.delete(windowed('a', 11), 0);
      store.delete(windowed('a', 21), 0);
      expect(rows.next().done).toBe(true);
      await it.close();
    });

    test('[STATE-22] a row is not of the stretch that it is kept in', async () => {
      const it = await StateUnderTest.open(place(), [spec]);
      const store = it.state.store(handle);
      for (const startMs of [5, 15]) store.put(windowed('a', startMs), 1, 7);
      const row = { key: windowed('a', 5), windowStartMs: undefined, value: 1, timestampMs: 7 };
      expect(store.entry(windowed('a', 5))).toEqual(row);
      const rows = store.all();
      expect(rows.next().value).toEqual(row);
      store.put(windowed('a', 15), 2, 8); // read ahead
      expect(rows.next().value).toMatchObject({ windowStartMs: undefined, value: 2 });
      await it.close();
    });

    test('[STATE-22] windows that are many, and end ahead of time, share stretches', async () => {
      const many = windowedKeyStoreSpec<Windowed<string>, number>({
        ...{ store: 'rows', key: sessionWindowedSerde(string()), value: int64(), node: 'view' },
        ...{ aheadMs: 10_000, lifeMs: 1 },
      });
      const it = await StateUnderTest.open(place(), [many]);
      const store = it.state.store(handle);
      store.holdChanges();
      const ends = Array.from({ length: 10_000 }, (_, endMs) => endMs);
      const keyOf = (endMs: number) => ({ key: 'a', windowStartMs: 0, windowEndMs: endMs });
      for (const endMs of [...ends].reverse()) store.put(keyOf(endMs), 1, 0);
      const passed: number[] = [];
      store.passChanges(({ key: of }) => passed.push(of.windowEndMs));
      expect(passed).toHaveLength(ends.length);
      it.commit();
      const records = it.changelogs.get('rows') ?? [];
      const stretches = new Set(records.map((record) => record.key.toString('hex', 0, 8)));
      expect(stretches.size).toBeLessThan(70);
      store.expire(9_000);
      expect(store.get(keyOf(9_000))).toBe(1);
      expect(store.get(keyOf(8_999 - 10_000 / 64 - 1))).toBeUndefined();
      await it.close();
    });

    test('[STATE-22] handles of key-value stores read it, and of others do not', async () => {
      const it = await StateUnderTest.open(place(), [spec]);
      it.state.store(handle).put(windowed('a', 5), 7, 1);
      const rows = it.state.store(keyValueStore<Windowed<string>, number>('rows'));
      expect(rows.get(windowed('a', 5))).toBe(7);
      expect([...rows.entries()]).toEqual([[windowed('a', 5), 7]]);
      expect(() => it.state.store({ name: 'rows', kind: 'window' })).toThrow(
        'store rows is a key-value store of windows, and not a window store',
      );
      await it.close();
    });
  });
}

function compare(
  it: StateUnderTest,
  model: ReadonlyMap<string, Row>,
  each: { kind: 'range'; from?: unknown; to?: unknown } | { kind: 'prefix'; key: Windowed<string> },
): void {
  const store = it.state.store(handle);
  const all = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
  if (each.kind === 'prefix') {
    const { key: inner } = each.key;
    const start = serializeToBytes(string(), inner).toString('hex');
    const expected = all.filter(([id]) => id.startsWith(start)).map(([, row]) => row);
    expect(plain(store.prefixScan(inner, string()))).toEqual(expected);
    expect(store.get(each.key)).toEqual(model.get(idOf(each.key))?.value);
    return;
  }
  const [from, to] = [each.from, each.to] as (Windowed<string> | undefined)[];
  const within = all.filter(
    ([id]) => (from === undefined || idOf(from) <= id) && (to === undefined || id <= idOf(to)),
  );
  const expected = within.map(([, row]) => row);
  expect(plain(store.range(from, to))).toEqual(expected);
  expect(plain(store.reverseRange(from, to))).toEqual([...expected].reverse());
  expect([...store.entries()]).toHaveLength(model.size);
}

function plain(rows: Iterable<StoreEntry<Windowed<string>, number>>): Row[] {
  return [...rows].map(({ key: of, value, timestampMs }) => ({ key: of, value, timestampMs }));
}

function alive(model: ReadonlyMap<string, Row>, timeMs: number): Map<string, Row> {
  const lives = ({ key: { windowEndMs } }: Row) =>
    windowEndMs - (windowEndMs % STRETCH_MS) + STRETCH_MS - 1 + LIFE_MS > timeMs;
  return new Map([...model].filter(([, row]) => lives(row)));
}

function windowed(inner: string, startMs: number): Windowed<string> {
  return { key: inner, windowStartMs: startMs, windowEndMs: startMs + SIZE_MS };
}

/** Sorts as the bytes of the key. */
function idOf(of: Windowed<string>): string {
  return serializeToBytes(serde, of).toString('hex');
}
