import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { int64, string } from '../../core/index.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { RecordEntry } from '../topology/record-store.ts';
import type { KeySession, StoreSpec, VersionOf } from '../topology/store.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { recordStore } from './record-store.ts';
import { sessionStore, sessionStoreSpec } from './session-store.ts';
import { StateUnderTest } from './state-under-test.suite.ts';
import { versionedStore } from './versioned-store.ts';

const HISTORY_MS = 20;
const sessionSpec = sessionStoreSpec<string, number>({
  ...{ store: 'sessions', key: string(), value: int64(), node: 'n', reachMs: 4, lifeMs: 1_000 },
});
const records: StoreSpec<string, number> = {
  ...{ ...recordStore('records'), key: string(), value: int64(), backing: 'changelog' },
  expiry: { lifeMs: 4_000, node: 'n' },
};
const versions: StoreSpec<string, number> = {
  ...{ ...versionedStore('versions'), key: string(), value: int64(), backing: 'changelog' },
  historyMs: HISTORY_MS,
};
const SEGMENT_MS = 2_000;

/** Some have zero bytes, with which the times begin that follow keys. */
const KEYS = ['', '\0', '\0\0', 'a', 'a\0', 'a\0\0\0\0\0\0\0\0a', 'aa', 'b', 'ä'];
const key = fc.constantFrom(...KEYS);
const limit = fc.option(key, { nil: undefined });
const time = fc.nat(40);
const value = fc.nat(99);
const span = fc.tuple(time, fc.nat(9)).map(([startMs, ms]) => ({ startMs, endMs: startMs + ms }));
/** In three segments. */
const recordTime = time.map((ms) => ms * 120);

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('session'), key, span, value: fc.option(value) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('record'), key, at: recordTime, value }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('version'), key, at: time, value: fc.option(value) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('read'),
      key,
      from: limit,
      to: limit,
      span,
      at: time,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('commit') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart') }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('checkpoint'), cache: fc.constantFrom(0, 2, 99) }),
  },
);
const steps = fc.array(step, { minLength: 10, maxLength: 80, size: 'max' });
type Step = Parameters<Parameters<typeof steps.map>[0]>[0][number];
type Read = Extract<Step, { kind: 'read' }>;

/** What the stores hold, in the order in which it came. */
interface Model {
  sessions: KeySession<string, number>[];
  records: RecordEntry<string, number>[];
  versions: { readonly key: string; readonly at: number; readonly value: number | null }[];
}

/** The tests of reading stores of sessions, records and versions in order. */
export function ownReadsSuite({ name, place, share }: EnvironmentKind): void {
  describe(`sessions, records and versions on a ${name} environment`, () => {
    test(`[STATE-READ-6] [STATE-READ-7] [STATE-READ-8] as of lists, seed ${SEED}`, async () => {
      const property = fc.asyncProperty(steps, async (list) => {
        const it = await StateUnderTest.open(place(), [sessionSpec, records, versions]);
        let model: Model = { sessions: [], records: [], versions: [] };
        let committed = structuredClone(model);
        for (const [index, each] of list.entries()) {
          if (each.kind === 'restart') {
            await it.restart();
            model = structuredClone(committed);
          } else if (each.kind === 'commit' || each.kind === 'checkpoint') {
            it.commit();
            committed = structuredClone(model);
            if ('cache' in each) it.checkpoint(each.cache);
          } else if (each.kind === 'read') {
            readSessions(it, model, each);
            readRecords(it, model, each);
            readVersions(it, model, each);
          } else {
            write(it, model, each, index);
          }
        }
        await it.close();
      });
      await fc.assert(property, { seed: SEED, numRuns: 60 * share });
    });

    test('[STATE-READ-3] so are sessions of other stretches, which are read ahead', async () => {
      const it = await StateUnderTest.open(place(), [sessionSpec]);
      const sessions = it.state.store(sessionStore<string, number>('sessions'));
      const far = [1, 50_000, 90_000];
      for (const [at, key] of ['a', 'b', 'c'].entries()) {
        sessions.put(key, { startMs: far[at]!, endMs: far[at]! }, at, far[at]!);
      }
      it.commit();
      it.checkpoint(0);
      const all = sessions.fetchAll();
      expect(all.next()).toMatchObject({ value: { key: 'a' } });
      sessions.delete('b', { startMs: far[1]!, endMs: far[1]! });
      sessions.put('c', { startMs: far[2]!, endMs: far[2]! }, 33, far[2]!);
      expect([...all].map(({ key, value }) => [key, value])).toEqual([['c', 33]]);
      await it.close();
    });

    test('[STATE-READ-3] sessions and records are seen as they are in their turn', async () => {
      const it = await StateUnderTest.open(place(), [sessionSpec, records]);
      const sessions = it.state.store(sessionStore<string, number>('sessions'));
      const kept = it.state.store(recordStore<string, number>('records'));
      for (const startMs of [1, 2, 3]) {
        sessions.put('a', { startMs, endMs: startMs }, startMs, 0);
        kept.put('a', startMs, startMs);
      }
      kept.put('b', 4, 5_000);
      it.commit();
      it.checkpoint(0);
      const [all, found] = [sessions.fetchAll(), kept.all()];
      expect(all.next()).toMatchObject({ value: { value: 1 } });
      expect(found.next()).toMatchObject({ value: { value: 1 } });
      sessions.delete('a', { startMs: 2, endMs: 2 });
      sessions.put('a', { startMs: 3, endMs: 3 }, 33, 0);
      kept.put('c', 9, 9_000);
      kept.expire(9_000); // the first segments have expired
      it.commit();
      it.checkpoint(0);
      expect([...all].map((each) => each.value)).toEqual([33]);
      expect([...found].map((each) => each.value)).toEqual([4]);
      await it.close();
    });
  });
}

function write(
  it: StateUnderTest,
  model: Model,
  each: Exclude<Step, { kind: 'read' | 'commit' | 'restart' | 'checkpoint' }>,
  timestampMs: number,
): void {
  if (each.kind === 'session') {
    const store = it.state.store(sessionStore<string, number>('sessions'));
    const { startMs, endMs } = each.span;
    model.sessions = model.sessions.filter(
      (other) => other.key !== each.key || other.startMs !== startMs || other.endMs !== endMs,
    );
    if (each.value === null) {
      store.delete(each.key, each.span);
      return;
    }
    store.put(each.key, each.span, each.value, timestampMs);
    model.sessions.push({ key: each.key, ...each.span, value: each.value, timestampMs });
  } else if (each.kind === 'record') {
    const { at, value: put } = each;
    it.state.store(recordStore<string, number>('records')).put(each.key, put, at);
    model.records.push({ key: each.key, value: put, timestampMs: at });
  } else {
    const { at, value: put } = each;
    it.state.store(versionedStore<string, number>('versions')).put(each.key, put, at);
    model.versions.push({ key: each.key, at, value: put });
  }
}

function readSessions(it: StateUnderTest, { sessions }: Model, each: Read): void {
  const store = it.state.store(sessionStore<string, number>('sessions'));
  const range = { earliestEndMs: each.span.startMs, latestStartMs: each.span.endMs + 5 };
  const sorted = [...sessions].sort(
    (a, b) => byKey(a.key, b.key) || a.endMs - b.endMs || a.startMs - b.startMs,
  );
  const inRange = sorted.filter(
    ({ startMs, endMs }) => endMs >= range.earliestEndMs && startMs <= range.latestStartMs,
  );
  const ofKey = inRange.filter((session) => session.key === each.key);
  expect([...store.fetch(each.key, range)]).toEqual(ofKey);
  expect([...store.backwardFetch(each.key, range)]).toEqual([...ofKey].reverse());
  const ofKeys = inRange.filter((session) => isBetween(session.key, each));
  expect([...store.fetchAll(each.from, each.to, range)]).toEqual(ofKeys);
  expect([...store.backwardFetchAll(each.from, each.to, range)]).toEqual([...ofKeys].reverse());
  expect([...store.fetchAll()]).toEqual(sorted);
  const prefixed = inRange.filter((session) => session.key.startsWith(each.key));
  expect([...store.prefixScan(each.key, range)]).toEqual(prefixed);
  for (const session of ofKey) {
    const { startMs, endMs, value: found, timestampMs } = session;
    expect(store.get(each.key, session)).toEqual({ startMs, endMs, value: found, timestampMs });
  }
}

function readRecords(it: StateUnderTest, { records: all }: Model, each: Read): void {
  const store = it.state.store(recordStore<string, number>('records'));
  const segmentOf = ({ timestampMs }: { timestampMs: number }) =>
    Math.floor(timestampMs / SEGMENT_MS);
  const sorted = [...all].sort(
    (a, b) => segmentOf(a) - segmentOf(b) || byKey(a.key, b.key) || a.timestampMs - b.timestampMs,
  );
  const [fromMs, toMs] = [each.span.startMs * 100, each.span.endMs * 120];
  const within = sorted.filter(({ timestampMs }) => timestampMs >= fromMs && timestampMs <= toMs);
  const ofKey = within.filter((record) => record.key === each.key);
  expect([...store.fetch(each.key, fromMs, toMs)]).toEqual(ofKey);
  expect([...store.backwardFetch(each.key, fromMs, toMs)]).toEqual([...ofKey].reverse());
  expect([...store.fetchAll(fromMs, toMs)]).toEqual(within);
  expect([...store.backwardFetchAll(fromMs, toMs)]).toEqual([...within].reverse());
  const { from, to, key: prefix } = each;
  const ofKeys = within.filter((record) => isBetween(record.key, each));
  expect([...store.fetchAll(fromMs, toMs, { from, to })]).toEqual(ofKeys);
  const backwards = store.backwardFetchAll(fromMs, toMs, { from, to });
  expect([...backwards]).toEqual([...ofKeys].reverse());
  const prefixed = within.filter((record) => record.key.startsWith(prefix));
  expect([...store.fetchAll(fromMs, toMs, { prefix })]).toEqual(prefixed);
  expect([...store.all()]).toEqual(sorted);
  expect([...store.backwardAll()]).toEqual([...sorted].reverse());
}

function readVersions(it: StateUnderTest, model: Model, each: Read): void {
  const store = it.state.store(versionedStore<string, number>('versions'));
  const [fromMs, toMs] = [each.span.startMs, each.span.endMs];
  const { historyStartMs, of } = historyOf(model);
  const found = of(each.key).filter(
    ({ timestampMs, validToMs }) =>
      timestampMs <= toMs &&
      (validToMs === Infinity ||
        (validToMs > Math.max(fromMs, historyStartMs) && toMs >= historyStartMs)),
  );
  expect([...store.history(each.key, fromMs, toMs)]).toEqual(found);
  expect([...store.backwardHistory(each.key, fromMs, toMs)]).toEqual([...found].reverse());
  const all = [...KEYS].sort(byKey).flatMap((name) => {
    const version = of(name).find(
      ({ timestampMs, validToMs }) => timestampMs <= each.at && each.at < validToMs,
    );
    const isReadable = each.at >= historyStartMs || version?.validToMs === Infinity;
    return version !== undefined && isReadable ? [{ key: name, ...version }] : [];
  });
  const asOf = all.filter((version) => isBetween(version.key, each));
  expect([...store.range(each.from, each.to, each.at)]).toEqual(asOf);
  expect([...store.reverseRange(each.from, each.to, each.at)]).toEqual([...asOf].reverse());
  const prefixed = all.filter((version) => version.key.startsWith(each.key));
  expect([...store.prefixScan(each.key, each.at)]).toEqual(prefixed);
}

/** The versions of keys by the puts, of which those too old for the history were not taken. */
function historyOf({ versions: puts }: Model) {
  let newestMs = -Infinity;
  const taken = new Map<string, Map<number, number | null>>();
  for (const { key: name, at, value: put } of puts) {
    if (at < newestMs - HISTORY_MS) continue;
    newestMs = Math.max(newestMs, at);
    const ofKey = taken.get(name) ?? new Map<number, number | null>();
    taken.set(name, ofKey.set(at, put));
  }
  const of = (name: string): VersionOf<number>[] => {
    const sorted = [...(taken.get(name) ?? [])].sort(([a], [b]) => a - b);
    return sorted.flatMap(([timestampMs, put], index) => {
      const validToMs = sorted[index + 1]?.[0] ?? Infinity;
      return put === null ? [] : [{ value: put, timestampMs, validToMs }];
    });
  };
  return { historyStartMs: newestMs - HISTORY_MS, of };
}

function isBetween(name: string, { from, to }: Read): boolean {
  return (
    (from === undefined || byKey(from, name) <= 0) && (to === undefined || byKey(name, to) <= 0)
  );
}

function byKey(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
