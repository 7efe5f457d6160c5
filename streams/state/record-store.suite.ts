import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { json, string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { RecordStore } from '../topology/record-store.ts';
import type { StoreSpec } from '../topology/store.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { recordStore } from './record-store.ts';
import { StateUnderTest } from './state-under-test.suite.ts';

const LIFE_MS = 2_501; // segments of 1,251 ms
type Key = string | { readonly id: string };

const records = (key: StoreSpec<Key, string>['key']): StoreSpec<Key, string> => ({
  ...recordStore('records'),
  key,
  value: string(),
  backing: 'changelog',
  expiry: { lifeMs: LIFE_MS, node: 'join' },
});

const record = (key: Key, value: string, timestampMs: number): StreamRecord<Key, string> => {
  const headers = [{ key: 'h', value: Buffer.from(value) }];
  return new StreamRecord(key, value, timestampMs, headers, 'topic', 1, 5);
};

function found(store: RecordStore<Key, string>, key: Key, fromMs = 0, toMs = Infinity): string[] {
  const values: string[] = [];
  store.find(key, fromMs, toMs, ({ recordValue, timestampMs }) => {
    values.push(`${recordValue} @${timestampMs}`);
  });
  return values;
}

/** The tests of record stores on any environment. */
export function recordStoreSuite(kind: EnvironmentKind): void {
  describe(`a record store on a ${kind.name} environment`, () => {
    recordTests(kind);
    propertyTest(kind);
  });
}

function recordTests({ place }: EnvironmentKind): void {
  const open = async () => {
    const it = await StateUnderTest.open(place(), [records(string())]);
    return { it, store: () => it.state.store(recordStore<Key, string>('records')) };
  };

  test('[STATE-RECORD-1] keeps records of one key and time, in their order', async () => {
    const { it, store } = await open();
    for (const value of ['1', '2', '3']) store().add(record('a', value, 5), 'kept');
    store().add(record('ab', 'other', 5), 'kept');
    store().add(record('a', '0', 4), 'kept');
    const expected = ['0 @4', '1 @5', '2 @5', '3 @5'];
    expect(found(store(), 'a')).toEqual(expected);
    it.commit();
    it.checkpoint(0);
    expect(found(store(), 'a')).toEqual(expected);
    store().add(record('a', '4', 5), 'kept');
    it.commit();
    await it.restart();
    expect(found(store(), 'a', 5, 5)).toEqual(['1 @5', '2 @5', '3 @5', '4 @5']);
    await it.close();
  });

  test('[STATE-RECORD-1] a record with a time that is none is refused', async () => {
    const { it, store } = await open();
    for (const timeMs of [-1, 0.5, NaN, undefined as unknown as number]) {
      const put = () => store().put('a', '1', timeMs);
      expect(put).toThrow(/^recordStore.put: timestampMs must be an integer, 0 or more/);
    }
    expect([...store().all()]).toEqual([]);
    await it.close();
  });

  test('[STATE-RECORD-2] what waits is the whole record, also after a restart', async () => {
    const { it, store } = await open();
    const waiting = record('a', '1', 5);
    store().add(waiting, 'waiting');
    it.commit();
    await it.restart();
    const [taken] = store().takeWaiting(5);
    expect(taken?.headers.map(({ value }) => String(value))).toEqual(['1']);
    const shown = (it?: StreamRecord) =>
      it && [it.key, it.value, it.timestampMs, it.topic, it.partition, it.offset];
    expect(shown(taken)).toEqual(shown(waiting));
    expect(found(store(), 'a')).toEqual([]);
    it.commit();
    await it.restart();
    expect(store().takeWaiting(5)).toEqual([]);
    expect(store().newestMs).toBe(5);
    await it.close();
  });

  test('[STATE-RECORD-3] drops whole segments, without a record in the changelog', async () => {
    const { it, store } = await open();
    for (const timeMs of [0, 1_000, 2_000, 4_000]) store().add(record('a', 'v', timeMs), 'kept');
    it.commit();
    it.checkpoint(0);
    store().expire(3_000); // stream time is behind the newest record
    expect(found(store(), 'a')).toHaveLength(4);
    store().expire(9_000); // the newest record is behind stream time
    expect(found(store(), 'a')).toEqual(['v @2000', 'v @4000']);
    expect(it.commit()).toEqual({ records: [] });
    it.checkpoint(0);
    expect(found(store(), 'a')).toEqual(['v @2000', 'v @4000']);
    await it.restart();
    expect(found(store(), 'a')).toEqual(['v @2000', 'v @4000']);
    await it.close();
  });
}

interface ModelRecord {
  readonly key: string;
  readonly value: string;
  readonly timestampMs: number;
  state: 'kept' | 'waiting' | 'passed';
}

interface Model {
  readonly records: ModelRecord[];
  newestMs: number;
  streamTimeMs: number;
}

const KEYS = ['a', 'ab', 'b'];
const key = fc.constantFrom(...KEYS);
const timeMs = fc.integer({ min: 0, max: 32 }).map((index) => index * 250); // some are equal
const step = fc.oneof(
  fc.record({
    kind: fc.constant('add' as const),
    key,
    timeMs,
    state: fc.constantFrom('kept' as const, 'waiting' as const, 'passed' as const),
  }),
  fc.record({ kind: fc.constant('match' as const), key, timeMs }),
  fc.record({ kind: fc.constant('take' as const), timeMs }),
  fc.record({ kind: fc.constant('expire' as const), timeMs }),
  fc.record({ kind: fc.constant('read' as const), key, timeMs }),
  fc.record({ kind: fc.constantFrom('commit' as const, 'restart' as const) }),
  fc.record({ kind: fc.constant('checkpoint' as const), cache: fc.integer({ min: 0, max: 9 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function propertyTest({ place, share }: EnvironmentKind): void {
  test.each([
    ['texts', records(string()), (text: string): Key => text],
    ['objects', records(json<Key>()), (id: string): Key => ({ id })],
  ])(
    `[STATE-RECORD-1] [STATE-RECORD-2] is as a list, keys are %s, seed ${SEED}`,
    async (...args) => {
      const [, spec, keyOf] = args;
      const property = fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }),
        async (steps) => {
          const it = await StateUnderTest.open(place(), [spec]);
          let model: Model = { records: [], newestMs: -Infinity, streamTimeMs: -Infinity };
          let committed = structuredClone(model);
          for (const [index, each] of steps.entries()) {
            if (each.kind === 'commit' || each.kind === 'checkpoint') {
              it.commit();
              committed = structuredClone(model);
              if (each.kind === 'checkpoint') it.checkpoint(each.cache);
            } else if (each.kind === 'restart') {
              await it.restart(committed.streamTimeMs);
              model = structuredClone(committed);
            } else {
              takeStep(
                { store: it.state.store(recordStore('records')), model, keyOf },
                each,
                index,
              );
            }
          }
          await it.restart(committed.streamTimeMs);
          for (const text of KEYS) {
            const store = it.state.store(recordStore<Key, string>('records'));
            const aliveMs = aliveFrom(committed);
            expect(found(store, keyOf(text), aliveMs)).toEqual(visible(committed, text, aliveMs));
          }
          await it.close();
        },
      );
      await fc.assert(property, { seed: SEED, numRuns: 150 * share });
    },
  );
}

interface Compared {
  readonly store: RecordStore<Key, string>;
  readonly model: Model;
  readonly keyOf: (text: string) => Key;
}

function takeStep({ store, model, keyOf }: Compared, step: Step, index: number): void {
  switch (step.kind) {
    case 'add': {
      const { timeMs } = step;
      if (timeMs < aliveFrom(model)) return; // operators add nothing that has expired
      // Nor do they let a record wait for a time that has come.
      const isClosed = timeMs <= model.streamTimeMs - LIFE_MS;
      const state = step.state === 'waiting' && isClosed ? 'passed' : step.state;
      const value = String(index);
      store.add(record(keyOf(step.key), value, timeMs), state);
      model.records.push({ key: step.key, value, timestampMs: timeMs, state });
      model.newestMs = Math.max(model.newestMs, timeMs);
      break;
    }
    case 'match':
      store.match(keyOf(step.key), step.timeMs, step.timeMs + 500, () => undefined);
      for (const each of inRange(model, step.key, step.timeMs, step.timeMs + 500)) {
        if (each.state === 'waiting') each.state = 'kept';
      }
      break;
    case 'take': {
      const taken = store.takeWaiting(step.timeMs).map(({ value }) => value);
      expect(taken).toEqual(takeFrom(model, step.timeMs));
      break;
    }
    case 'expire': {
      model.streamTimeMs = Math.max(model.streamTimeMs, step.timeMs);
      // Operators take what waits by stream time, so that nothing waits when it expires, perhaps
      // only after a restart.
      takeFrom(model, model.streamTimeMs - LIFE_MS);
      store.takeWaiting(model.streamTimeMs - LIFE_MS);
      store.expire(model.streamTimeMs);
      break;
    }
    default: {
      if (step.kind !== 'read') return;
      const fromMs = Math.max(step.timeMs, aliveFrom(model));
      expect(found(store, keyOf(step.key), fromMs)).toEqual(visible(model, step.key, fromMs));
      expect(store.newestMs).toBe(model.newestMs);
      const waiting = model.records.filter(({ state }) => state === 'waiting');
      const oldestMs = Math.min(...waiting.map(({ timestampMs }) => timestampMs));
      expect(store.oldestWaitingMs()).toBe(oldestMs);
    }
  }
}

function aliveFrom({ newestMs, streamTimeMs }: Model): number {
  return Math.min(newestMs, streamTimeMs) - LIFE_MS + 1;
}

function inRange(model: Model, key: string, fromMs: number, toMs = Infinity): ModelRecord[] {
  return model.records
    .filter((each) => each.key === key && each.timestampMs >= fromMs && each.timestampMs <= toMs)
    .sort((a, b) => a.timestampMs - b.timestampMs);
}

function visible(model: Model, key: string, fromMs: number): string[] {
  return inRange(model, key, fromMs)
    .filter(({ state }) => state !== 'passed')
    .map(({ value, timestampMs }) => `${value} @${timestampMs}`);
}

function takeFrom(model: Model, untilMs: number): string[] {
  const taken = model.records.filter(
    ({ state, timestampMs }) => state === 'waiting' && timestampMs <= untilMs,
  );
  for (const each of taken) each.state = 'passed';
  taken.sort((a, b) => a.timestampMs - b.timestampMs || compareTexts(a.key, b.key));
  return taken.map(({ value }) => value);
}

function compareTexts(a: string, b: string): number {
  // As the bytes: behind the shorter of two keys comes the time, which begins with 0.
  return a < b ? -1 : a > b ? 1 : 0;
}
