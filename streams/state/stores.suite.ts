import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytes, int64, json, string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { StoreSpec } from '../topology/store.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { keyValueStore } from './key-value-store.ts';
import { ownReadsSuite } from './own-reads.suite.ts';
import { passedOnSuite } from './passed-on.suite.ts';
import { sessionsSuite } from './sessions.suite.ts';
import { recordStoreSuite } from './record-store.suite.ts';
import { StateUnderTest } from './state-under-test.suite.ts';
import { versionedStoreSuite } from './versioned-store.suite.ts';
import { windowStore } from './window-store.ts';
import { windowedKeyStoreSuite } from './windowed-key-store.suite.ts';

const rows: StoreSpec<string, number> = {
  ...keyValueStore('rows'),
  key: string(),
  value: int64(),
  backing: 'changelog',
};
const WINDOW_LIFE_MS = 10;
const windows: StoreSpec<string, number> = {
  ...rows,
  ...windowStore('windows'),
  expiry: { lifeMs: WINDOW_LIFE_MS, node: 'windows' },
};

/** The tests of a task's stores on any environment. */
export function storesSuite(kind: EnvironmentKind): void {
  describe(`a key-value store on a ${kind.name} environment`, () => keyValueTests(kind));
  describe(`a window store on a ${kind.name} environment`, () => windowTests(kind));
  propertyTests(kind);
  passedOnSuite(kind);
  sessionsSuite(kind);
  recordStoreSuite(kind);
  versionedStoreSuite(kind);
  windowedKeyStoreSuite(kind);
  ownReadsSuite(kind);
}

function keyValueTests({ place }: EnvironmentKind): void {
  const open = async () => {
    const it = await StateUnderTest.open(place(), [rows]);
    return { it, store: () => it.state.store(keyValueStore<string, number>('rows')) };
  };

  test('[STATE-7] reads what it wrote, through all three layers', async () => {
    const { it, store } = await open();
    store().put('a', 1, 5);
    expect(store().get('a')).toBe(1);
    it.commit();
    expect(store().get('a')).toBe(1);
    store().put('a', 2, 6);
    expect(store().get('a')).toBe(2);
    it.commit();
    it.checkpoint(0);
    expect(store().get('a')).toBe(2);
    store().update('a', 3, (value) => (value ?? 0) + 10);
    expect(store().get('a')).toBe(12);
    expect(it.commit()).toEqual({ rows: ['"a" 12 @6'] });
    await it.close();
  });

  test('[STATE-8] a commit writes each changed key once, in the order of changes', async () => {
    const { it, store } = await open();
    store().holdChanges();
    for (const [key, value] of [
      ['b', 1],
      ['a', 1],
      ['b', 2],
    ] as const) {
      store().put(key, value, value);
    }
    const pass = () => {
      const passed: unknown[] = [];
      store().passChanges(({ key, value }) => passed.push([key, value]));
      return passed;
    };
    expect(pass()).toEqual([
      ['b', 2],
      ['a', 1],
    ]);
    expect(it.commit()).toEqual({ rows: ['"b" 2 @2', '"a" 1 @1'] });
    expect(pass()).toEqual([]);
    expect(it.commit()).toEqual({ rows: [] });
    await it.close();
  });

  test('[STATE-8] a key made and deleted between two commits leaves no record', async () => {
    const { it, store } = await open();
    store().put('a', 1, 1);
    store().delete('a', 2);
    store().update('b', 1, () => 5);
    store().update('b', 2, () => undefined);
    store().delete('never', 1);
    expect(it.commit()).toEqual({ rows: [] });
    expect(store().size).toBe(0);
    await it.close();
  });

  test.each([
    ['in the uncommitted layer', () => undefined],
    ['in the committed layer', (it: StateUnderTest) => void it.commit()],
    ['in the checkpoint', (it: StateUnderTest) => committed(it).checkpoint()],
    ['in the checkpoint only', (it: StateUnderTest) => committed(it).checkpoint(0)],
  ])('[STATE-9] a key %s is deleted for good', async (_, settle) => {
    const { it, store } = await open();
    store().put('a', 1, 1);
    settle(it);
    store().delete('a', 2);
    expect(store().get('a')).toBeUndefined();
    expect([...store().entries()]).toEqual([]);
    it.commit();
    await it.restart();
    expect(store().get('a')).toBeUndefined();
    it.checkpoint();
    await it.restart();
    expect([...store().entries()]).toEqual([]);
    expect(store().size ?? 0).toBe(0);
    await it.close();
  });

  test('[STATE-9] a deleted key starts over, in value and in time', async () => {
    const { it, store } = await open();
    store().put('a', 1, 9);
    it.commit();
    store().delete('a', 9);
    it.commit();
    store().update('a', 3, (value) => (value === undefined ? 5 : -1));
    expect(it.commit()).toEqual({ rows: ['"a" 5 @3'] });
    await it.close();
  });

  test('[STATE-18] a deletion is a change, whatever the state of the key', async () => {
    const { it, store } = await open();
    const remove = () => {
      const changed: string[] = [];
      store().update('a', 5, () => undefined);
      store().passChanges(({ key, value, timestampMs }) => {
        changed.push(`"${key}" ${value} @${timestampMs}`);
      });
      return { changed, written: it.commit()['rows'] };
    };
    const change = ['"a" undefined @5'];
    store().holdChanges();
    expect(remove()).toEqual({ changed: change, written: [] }); // never there
    store().put('a', 1, 2);
    store().passChanges(() => undefined);
    it.commit();
    expect(remove()).toEqual({ changed: change, written: change });
    expect(remove()).toEqual({ changed: change, written: change }); // the deletion is in memory
    it.checkpoint();
    expect(remove()).toEqual({ changed: change, written: [] }); // and no longer
    expect(store().size).toBe(0);
    await it.close();
  });

  test('[STATE-10] keeps no more clean entries than allowed, and finds the others', async () => {
    const { it, store } = await open();
    for (let index = 0; index < 20; index++) store().put(`k${index}`, index, index);
    expect(store().size).toBe(20);
    it.commit();
    it.checkpoint(5);
    expect(store().size).toBeUndefined(); // it would have to count
    for (let index = 0; index < 20; index++) expect(store().get(`k${index}`)).toBe(index);
    expect(store().get('k20')).toBeUndefined();
    store().update('k3', 99, (value) => (value ?? 0) + 100);
    expect(it.commit()).toEqual({ rows: ['"k3" 103 @99'] });
    expect(new Map(store().entries())).toEqual(
      new Map(Array.from({ length: 20 }, (_, index) => [`k${index}`, index === 3 ? 103 : index])),
    );
    expect(store().size).toBe(20); // all are in memory now
    await it.close();
  });

  test('[STATE-11] restores from the checkpoint and the rest of the changelog', async () => {
    const { it, store } = await open();
    store().put('a', 1, 1);
    store().put('b', 1, 1);
    it.commit();
    it.checkpoint();
    store().put('a', 2, 2);
    store().delete('b', 2);
    store().put('c', 3, 3);
    it.commit();
    store().put('d', 4, 4); // never committed
    store().put('a', 99, 99);
    await it.restart();
    expect(new Map(store().entries())).toEqual(
      new Map([
        ['a', 2],
        ['c', 3],
      ]),
    );
    store().update('a', 1, (value) => (value ?? 0) + 1);
    expect(it.commit()).toEqual({ rows: ['"a" 3 @2'] });
    await it.close();
  });

  test('[STATE-11] a checkpoint covers the changelog up to its end at that moment', async () => {
    const { it, store } = await open();
    expect(it.state.changelogOffset('rows')).toBeUndefined();
    for (const length of [1, 2]) {
      store().put('a', length, 1);
      it.commit();
      it.checkpoint();
      expect(it.state.changelogOffset('rows')).toBe(length);
      await it.restart();
      expect(it.state.changelogOffset('rows')).toBe(length);
    }
    await it.close();
  });

  test('[STATE-11] restores from the changelog alone', async () => {
    const { it, store } = await open();
    store().put('a', 1, 1);
    store().put('b', 1, 1);
    it.commit();
    store().delete('b', 2);
    it.commit();
    await it.restart();
    expect([...store().entries()]).toEqual([['a', 1]]);
    expect(store().size).toBe(1);
    await it.close();
  });

  test('[STATE-5] a checkpoint of another format is discarded', async () => {
    const one = place();
    const environment = await one.open(['rows']);
    const stale = { key: Buffer.from('stale'), value: Buffer.alloc(16) };
    const meta = { formatVersion: 99, changelogOffsets: { rows: 5 } };
    environment.checkpoint(new Map([['rows', [stale]]]), meta);
    await environment.close();
    const it = await StateUnderTest.open(one, [rows]);
    expect(it.state.changelogOffset('rows')).toBeUndefined();
    it.checkpoint(0);
    await it.restart();
    expect(it.state.store(keyValueStore('rows')).get('stale')).toBeUndefined();
    expect([...it.state.store(keyValueStore('rows')).entries()]).toEqual([]);
    await it.close();
  });

  test('[STATE-12] object keys are found by their bytes', async () => {
    interface Place {
      readonly x: number;
    }
    const spec: StoreSpec<Place, number> = { ...rows, key: json<Place>() };
    const it = await StateUnderTest.open(place(), [spec]);
    const store = () => it.state.store(keyValueStore<Place, number>('rows'));
    store().put({ x: 1 }, 10, 1);
    store().update({ x: 1 }, 2, (value) => (value ?? 0) + 1);
    store().put({ x: 2 }, 20, 1);
    expect(it.commit()).toEqual({ rows: ['{"x":1} 11 @2', '{"x":2} 20 @1'] });
    it.checkpoint(0);
    expect(store().get({ x: 1 })).toBe(11);
    store().delete({ x: 2 }, 3);
    it.commit();
    await it.restart();
    expect([...store().entries()]).toEqual([[{ x: 1 }, 11]]);
    await it.close();
  });

  test('[STATE-2] later reads do not overwrite values that are views', async () => {
    const spec: StoreSpec<string, Uint8Array> = { ...rows, value: bytes() };
    const it = await StateUnderTest.open(place(), [spec]);
    const store = it.state.store(keyValueStore<string, Uint8Array>('rows'));
    store.put('a', Buffer.from('first'), 1);
    store.put('b', Buffer.from('other'), 1);
    it.commit();
    it.checkpoint(0);
    const a = store.get('a');
    store.get('b');
    expect(Buffer.from(a!).toString()).toBe('first');
    await it.close();
  });

  test('[STATE-13] a table restores from its own topic, whose values are bare', async () => {
    const spec: StoreSpec<string, number> = { ...rows, backing: { sourceTopic: 'numbers' } };
    const it = await StateUnderTest.open(place(), [spec]);
    const written = Buffer.alloc(8);
    int64().serialize(77, written, 0);
    it.state.store(keyValueStore('rows')).restore(Buffer.from('a'), written, 5);
    expect(it.state.store(keyValueStore('rows')).get('a')).toBe(77);
    it.checkpoint();
    await it.restart();
    expect(it.state.store(keyValueStore('rows')).get('a')).toBe(77);
    await it.close();
  });

  test('[STATE-14] an error names store and field if a serde cannot write', async () => {
    const it = await StateUnderTest.open(place(), [rows]);
    const store = () => it.state.store(keyValueStore<string, number>('rows'));
    const { codec } = it.state.store(keyValueStore('rows'));
    const entry = { key: 'a', windowStartMs: undefined, value: 0.5, timestampMs: 1 };
    expect(() => codec.encodeValue(entry)).toThrow(
      /a value of store rows cannot be written by int64/,
    );
    expect(() => codec.encodeKey({ ...entry, key: 'x'.repeat(1978) })).toThrow(
      /a key of store rows takes 1978 bytes; at most 1977/,
    );
    store().put('', 1, 1);
    store().put('x'.repeat(1977), 2, 1);
    it.commit();
    it.checkpoint(0);
    await it.restart();
    expect([store().get(''), new Map(store().entries()).size]).toEqual([1, 2]);
    await it.close();
  });
}

function committed(it: StateUnderTest): StateUnderTest {
  it.commit();
  return it;
}

function windowTests({ place }: EnvironmentKind): void {
  const open = async () => {
    const it = await StateUnderTest.open(place(), [windows]);
    const store = () => it.state.store(windowStore<string, number>('windows'));
    const add = (key: string, startMs: number, value: number, timestampMs = startMs) =>
      store().update(key, startMs, timestampMs, (before) => (before ?? 0) + value);
    const content = () =>
      store()
        .windowStarts()
        .map((startMs) => [
          startMs,
          Object.fromEntries([...store().window(startMs)].map(({ key, value }) => [key, value])),
        ]);
    return { it, store, add, content };
  };

  test('[STATE-7] keeps a value for each key and window, windows by their starts', async () => {
    const { it, store, add, content } = await open();
    store().holdChanges();
    const pass = (startMs: number) => {
      const passed: string[] = [];
      store().passChanges(startMs, ({ key }) => passed.push(key));
      return passed;
    };
    add('a', 20, 1);
    add('a', 0, 2);
    add('b', 20, 3);
    add('a', 20, 4, 25);
    add('a', 10, 5);
    expect(content()).toEqual([
      [0, { a: 2 }],
      [10, { a: 5 }],
      [20, { a: 5, b: 3 }],
    ]);
    expect(store().get('a', 20)).toBe(5);
    expect(store().get('b', 0)).toBeUndefined();
    expect(store().get('b', 30)).toBeUndefined();
    expect(pass(20)).toEqual(['a', 'b']);
    expect(it.commit()).toEqual({
      windows: ['"a" 20 5 @25', '"b" 20 3 @20', '"a" 0 2 @0', '"a" 10 5 @10'],
    });
    expect(pass(20)).toEqual([]);
    await it.close();
  });

  test('[STATE-15] finds its windows in order after a reopening', async () => {
    const { it, add, content } = await open();
    const starts = [0, 5, 300, 70_000, 2 ** 33, 1_700_000_000_000];
    for (const start of [...starts].reverse()) add('a', start, 1);
    it.commit();
    it.checkpoint();
    add('b', 300, 7);
    it.commit();
    await it.restart();
    expect(content()).toEqual(
      starts.map((start) => [start, start === 300 ? { a: 1, b: 7 } : { a: 1 }]),
    );
    add('a', 300, 10);
    expect(it.commit()).toEqual({ windows: ['"a" 300 11 @300'] });
    await it.close();
  });

  test('[STATE-16] drops a whole window, in memory at once, then in the checkpoint', async () => {
    const { it, store, add, content } = await open();
    for (const start of [0, 10, 20]) for (const key of ['a', 'b']) add(key, start, 1);
    it.commit();
    it.checkpoint();
    add('c', 0, 1);
    store().drop(0);
    store().drop(30); // there is none
    expect(content().map(([start]) => start)).toEqual([10, 20]);
    expect(it.commit()).toEqual({ windows: [] }); // closing leaves no record
    await it.restart(10);
    expect(content().map(([start]) => start)).toEqual([10, 20]);
    it.checkpoint();
    await it.restart();
    expect(content().map(([start]) => start)).toEqual([10, 20]);
    await it.close();
  });

  test('[STATE-16] a dropped window starts empty', async () => {
    const { it, store, add, content } = await open();
    add('a', 0, 1);
    it.commit();
    it.checkpoint();
    store().drop(0);
    add('b', 0, 2);
    expect(store().get('a', 0)).toBeUndefined();
    it.commit();
    it.checkpoint();
    await it.restart();
    expect(content()).toEqual([[0, { b: 2 }]]);
    await it.close();
  });

  test('[STATE-10] limits entries over all windows, dropping oldest windows first', async () => {
    const { it, store, add, content } = await open();
    for (const start of [0, 10, 20]) for (const key of ['a', 'b', 'c']) add(key, start, start + 1);
    it.commit();
    it.checkpoint(4);
    expect(store().memoryCount).toBe(4);
    expect(content()).toEqual([0, 10, 20].map((start) => [start, abc(start + 1)]));
    await it.close();
  });

  const abc = (value: number) => ({ a: value, b: value, c: value });
}

type Step =
  | { readonly kind: 'put' | 'add'; readonly key: string; readonly value: number }
  | { readonly kind: 'delete' | 'read'; readonly key: string }
  | { readonly kind: 'window'; readonly key: string; readonly startMs: number }
  | { readonly kind: 'close'; readonly closedMs: number }
  | { readonly kind: 'commit' | 'restart' | 'list' }
  | { readonly kind: 'checkpoint'; readonly cache: number };

const keys = fc.constantFrom('', 'a', 'ä', 'long'.repeat(20));
const steps = fc.array(
  fc.oneof<{ weight: number; arbitrary: fc.Arbitrary<Step> }[]>(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constantFrom('put', 'add'), key: keys, value: fc.nat(99) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('delete', 'read'), key: keys }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('window'),
        key: keys,
        startMs: fc.integer({ min: 0, max: 5 }).map((index) => index * 5),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('close'),
        closedMs: fc.integer({ min: 0, max: 40 }),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constantFrom('commit', 'commit', 'restart', 'list') }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('checkpoint'), cache: fc.constantFrom(0, 2, 99) }),
    },
  ),
  // Most failures take a commit, a checkpoint and two restarts: short lists find few.
  { minLength: 10, maxLength: 80, size: 'max' },
);

/** The content of the stores, as plain maps. */
interface Model {
  readonly rows: Map<string, number>;
  readonly windows: Map<number, Map<string, number>>;
  closedMs: number;
}

function propertyTests(kind: EnvironmentKind): void {
  test(`[STATE-17] stores on a ${kind.name} environment act like maps, seed ${SEED}`, async () => {
    const property = fc.asyncProperty(steps, async (list) => {
      const it = await StateUnderTest.open(kind.place(), [rows, windows]);
      let committed: Model = { rows: new Map(), windows: new Map(), closedMs: -Infinity };
      let model = structuredClone(committed);
      for (const step of list) {
        if (step.kind === 'commit') {
          it.commit();
          committed = structuredClone(model);
        } else if (step.kind === 'checkpoint') {
          it.commit();
          committed = structuredClone(model);
          it.checkpoint(step.cache);
        } else if (step.kind === 'restart') {
          await it.restart(committed.closedMs);
          model = structuredClone(committed);
        } else {
          takeStep(it, model, step);
        }
      }
      await it.restart(committed.closedMs);
      expectSame(it, committed);
      await it.close();
    });
    await fc.assert(property, { seed: SEED, numRuns: 100 * kind.share });
  });
}

function takeStep(it: StateUnderTest, model: Model, step: Step): void {
  const store = it.state.store(keyValueStore<string, number>('rows'));
  const windowed = it.state.store(windowStore<string, number>('windows'));
  switch (step.kind) {
    case 'put':
      store.put(step.key, step.value, 1);
      model.rows.set(step.key, step.value);
      break;
    case 'add': {
      store.update(step.key, 1, (value) => (value ?? 0) + step.value);
      model.rows.set(step.key, (model.rows.get(step.key) ?? 0) + step.value);
      break;
    }
    case 'delete':
      store.delete(step.key, 1);
      model.rows.delete(step.key);
      break;
    case 'read':
      expect(store.get(step.key)).toBe(model.rows.get(step.key));
      break;
    case 'window': {
      const { key, startMs } = step;
      if (startMs + WINDOW_LIFE_MS <= model.closedMs) break; // late
      windowed.update(key, startMs, 1, (value) => (value ?? 0) + 1);
      const window = model.windows.get(startMs) ?? new Map<string, number>();
      model.windows.set(startMs, window.set(key, (window.get(key) ?? 0) + 1));
      break;
    }
    case 'close':
      model.closedMs = Math.max(model.closedMs, step.closedMs);
      for (const startMs of windowed.windowStarts()) {
        if (startMs + WINDOW_LIFE_MS > model.closedMs) continue;
        expect(contentOf(windowed.window(startMs))).toEqual(model.windows.get(startMs));
        windowed.drop(startMs);
        model.windows.delete(startMs);
      }
      break;
    default:
      expectSame(it, model);
  }
}

function expectSame(it: StateUnderTest, model: Model): void {
  const store = it.state.store(keyValueStore<string, number>('rows'));
  expect(new Map(store.entries())).toEqual(model.rows);
  expect(store.size ?? model.rows.size).toBe(model.rows.size);
  const windowed = it.state.store(windowStore<string, number>('windows'));
  const found = windowed
    .windowStarts()
    .map((startMs) => [startMs, contentOf(windowed.window(startMs))] as const);
  expect(new Map(found)).toEqual(model.windows);
}

function contentOf(
  entries: Iterable<{ readonly key: string; readonly value: number | undefined }>,
) {
  return new Map([...entries].map(({ key, value }) => [key, value]));
}
