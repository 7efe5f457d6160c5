import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytes, json, string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { SessionBounds } from '../topology/store.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { sessionStore, sessionStoreSpec } from './session-store.ts';
import { StateUnderTest } from './state-under-test.suite.ts';

/** Functions change it in place. */
interface Total {
  sum: number;
}

const LIFE_MS = 15;
const options = { store: 'sessions', key: string(), node: 'node', reachMs: 4, lifeMs: LIFE_MS };
const spec = sessionStoreSpec<string, Total>({ ...options, value: json<Total>() });
const handle = sessionStore<string, Total>('sessions');
const keys = ['a', 'b'];

type Step =
  | { readonly kind: 'add'; readonly key: string; readonly at: number }
  | { readonly kind: 'delete'; readonly key: string; readonly at: number }
  | { readonly kind: 'expire'; readonly at: number }
  | { readonly kind: 'pass' | 'commit' | 'restart' }
  | { readonly kind: 'checkpoint'; readonly cache: number };

const key = fc.constantFrom(...keys);
const at = fc.integer({ min: 0, max: 60 });
const kinds = fc.constantFrom('pass' as const, 'commit' as const, 'restart' as const);
const steps = fc.array(
  fc.oneof<{ weight: number; arbitrary: fc.Arbitrary<Step> }[]>(
    { weight: 9, arbitrary: fc.record({ kind: fc.constant('add'), key, at }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete'), key, at }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire'), at }) },
    { weight: 4, arbitrary: fc.record({ kind: kinds }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('checkpoint'), cache: fc.constantFrom(0, 1, 9) }),
    },
  ),
  { minLength: 10, maxLength: 60, size: 'max' },
);

/** The sessions, what a reader of the changes knows of them, and which of them wait. */
interface Model {
  sessions: Map<string, number>;
  readonly passed: Map<string, number>;
  readonly waiting: Set<string>;
  timeMs: number;
}

const named = (name: string, { startMs, endMs }: { startMs: number; endMs: number }) =>
  `${name} ${startMs} ${endMs}`;
const boundsOf = (session: string) => {
  const [name = '', startMs, endMs] = session.split(' ');
  return { name, startMs: Number(startMs), endMs: Number(endMs) };
};

/** The tests of a task's session stores on any environment. */
export function sessionsSuite(kind: EnvironmentKind): void {
  test(`[STATE-23] a session that ends before it starts is refused, ${kind.name}`, async () => {
    const it = await StateUnderTest.open(kind.place(), [spec]);
    const put = (bounds: object) => () => {
      it.state.store(handle).put('a', bounds as SessionBounds, { sum: 1 }, 5);
    };
    expect(put({ startMs: 5, endMs: 5 })).not.toThrow();
    for (const bounds of [{ startMs: 6, endMs: 5 }, { startMs: 5 }, { startMs: 0.5, endMs: 5 }]) {
      expect(put(bounds)).toThrow(/^sessionStore.put: bounds must be .* not \{/);
      expect(put(bounds)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }) as Error);
    }
    await it.close();
  });

  describe(`a session store on a ${kind.name} environment`, () => {
    test(`[STATE-21] acts like a map of sessions, seed ${SEED}`, async () => {
      const property = fc.asyncProperty(steps, async (list) => {
        const it = await StateUnderTest.open(kind.place(), [spec]);
        let model: Model = {
          ...{ sessions: new Map(), passed: new Map(), waiting: new Set(), timeMs: -Infinity },
        };
        let committed = structuredClone(model);
        hold(it, model);
        for (const step of list) {
          if (step.kind === 'restart') {
            await it.restart(committed.timeMs);
            model = structuredClone(committed);
            hold(it, model);
          } else {
            takeStep(it, model, step);
            if (step.kind === 'commit' || step.kind === 'checkpoint') {
              committed = structuredClone(model);
            }
          }
          expectSame(it, model);
        }
        await it.close();
      });
      await fc.assert(property, { seed: SEED, numRuns: 100 * kind.share });
    });

    test('[STATE-21] finds the sessions of a key by their ends and starts', async () => {
      const it = await StateUnderTest.open(kind.place(), [spec]);
      const put = (startMs: number, endMs: number) =>
        it.state
          .store(handle)
          .update('a', { startMs, endMs, timestampMs: endMs }, () => ({ sum: endMs }));
      for (const [start, end] of [
        [20, 31],
        [0, 3],
        [8, 8],
        [40, 40],
      ] as const) {
        put(start, end);
      }
      for (let time = 0; time < 2; time++) {
        const ends = (from: number, to: number) =>
          it.state
            .store(handle)
            .find('a', from, to)
            .map(({ endMs }) => endMs);
        expect(ends(0, 100)).toEqual([3, 8, 31, 40]);
        expect(ends(3, 8)).toEqual([3, 8]);
        expect(ends(4, 19)).toEqual([8]);
        expect(ends(9, 20)).toEqual([31]);
        expect(ends(32, 39)).toEqual([]);
        expect(it.state.store(handle).find('b', 0, 100)).toEqual([]);
        it.commit();
        it.checkpoint(0);
        await it.restart();
      }
      await it.close();
    });

    test('[STATE-21] a stretch of sessions expires as a whole, without a record', async () => {
      const it = await StateUnderTest.open(kind.place(), [spec]);
      const { stretchMs = 0 } = spec;
      const store = () => it.state.store(handle);
      for (const endMs of [0, 1, stretchMs, stretchMs + 2]) {
        store().update('a', { startMs: endMs, endMs, timestampMs: endMs }, () => ({ sum: 1 }));
      }
      expect(it.commit()['sessions']).toHaveLength(2); // one for each key and stretch
      it.checkpoint();
      expect(store().expiresMs).toBe(stretchMs - 1 + LIFE_MS);
      store().expire(stretchMs + LIFE_MS - 2);
      expect(store().find('a', 0, 99)).toHaveLength(4);
      store().expire(stretchMs + LIFE_MS - 1);
      expect(store().find('a', 0, 99)).toHaveLength(2);
      expect(it.commit()).toEqual({ sessions: [] });
      it.checkpoint();
      await it.restart();
      expect(store().find('a', 0, 99)).toHaveLength(2);
      expect([...store().stretches()]).toEqual([stretchMs]);
      await it.close();
    });

    test('[STATE-2] later reads do not overwrite values that are views', async () => {
      const own = sessionStoreSpec<string, Uint8Array>({ ...options, value: bytes() });
      const it = await StateUnderTest.open(kind.place(), [own]);
      const store = () => it.state.store(sessionStore<string, Uint8Array>('sessions'));
      for (const [name, text] of [
        ['a', 'first'],
        ['b', 'other'],
      ] as const) {
        const bounds = { startMs: 1, endMs: 2, timestampMs: 2 };
        store().update(name, bounds, () => Buffer.from(text));
      }
      it.commit();
      it.checkpoint(0);
      const [a] = store().find('a', 0, 9);
      store().find('b', 0, 9);
      expect(Buffer.from(a!.value).toString()).toBe('first');
      await it.close();
    });

    test('[STATE-14] an error names store and field if a serde cannot write', async () => {
      const own = sessionStoreSpec<string, unknown>({ ...options, value: string() });
      const it = await StateUnderTest.open(kind.place(), [own]);
      const store = it.state.store(sessionStore<string, unknown>('sessions'));
      store.update('a', { startMs: 1, endMs: 2, timestampMs: 2 }, () => 5);
      expect(() => it.commit()).toThrow(/a value of store sessions cannot be written by string/);
      await it.close();
    });
  });
}

/** As an operator does at its start: what waited at the last commit waits again. */
function hold(it: StateUnderTest, { passed, waiting }: Model): void {
  const store = it.state.store(handle);
  store.keepBefore();
  store.holdChanges();
  for (const session of waiting) {
    const { name, ...bounds } = boundsOf(session);
    const sum = passed.get(session);
    store.hold(name, { ...bounds, timestampMs: 1 }, sum === undefined ? undefined : { sum });
  }
}

function takeStep(it: StateUnderTest, model: Model, step: Step): void {
  const store = it.state.store(handle);
  switch (step.kind) {
    case 'add':
      add(it, model, step);
      break;
    case 'delete':
      for (const found of store.find(step.key, step.at, step.at)) {
        store.update(step.key, found, () => undefined);
        model.sessions.delete(named(step.key, found));
        model.waiting.add(named(step.key, found));
      }
      break;
    case 'expire':
      model.timeMs = Math.max(model.timeMs, step.at);
      store.expire(model.timeMs);
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

/** Merges the sessions near a record, as an operator does; what has expired stays so. */
function add(it: StateUnderTest, model: Model, step: { key: string; at: number }): void {
  const store = it.state.store(handle);
  if (step.at + LIFE_MS <= model.timeMs) return;
  let total: Total = { sum: 1 };
  let [startMs, endMs] = [step.at, step.at];
  const openMs = model.timeMs - LIFE_MS + 1;
  for (const found of store.find(step.key, Math.max(step.at - 4, openMs), step.at + 4)) {
    const session = named(step.key, found);
    store.remove(step.key, found, store.imageOf(step.key, found));
    found.value.sum += total.sum; // in place
    total = found.value;
    [startMs, endMs] = [Math.min(startMs, found.startMs), Math.max(endMs, found.endMs)];
    model.sessions.delete(session);
    if (model.passed.has(session)) model.waiting.add(session);
    else model.waiting.delete(session);
  }
  store.update(step.key, { startMs, endMs, timestampMs: endMs }, () => total);
  model.sessions.set(named(step.key, { startMs, endMs }), total.sum);
  model.waiting.add(named(step.key, { startMs, endMs }));
}

function pass(it: StateUnderTest, { passed, waiting }: Model): void {
  const seen = new Set<string>();
  it.state.store(handle).passChanges(({ key: name, value, ...bounds }, before) => {
    const session = named(name, bounds);
    seen.add(session);
    expect(before?.sum, session).toBe(passed.get(session));
    if (value === undefined) passed.delete(session);
    else passed.set(session, value.sum);
  });
  expect(seen).toEqual(waiting);
  waiting.clear();
}

/** Compares what has not expired: a stretch may keep more. */
function expectSame(it: StateUnderTest, { sessions, timeMs }: Model): void {
  const store = it.state.store(handle);
  const isOpen = ({ endMs }: { endMs: number }) => endMs + LIFE_MS > timeMs;
  const found = keys.flatMap((name) =>
    store
      .find(name, 0, 100)
      .filter(isOpen)
      .map((session) => [named(name, session), session.value.sum] as const),
  );
  const open = [...sessions].filter(([session]) => isOpen(boundsOf(session)));
  expect(new Map(found)).toEqual(new Map(open));
  const listed = [...store.stretches()].flatMap((startMs) => [...store.stretch(startMs)]);
  expect(listed.filter(([, session]) => isOpen(session))).toHaveLength(open.length);
}
