import { keyValueStore, windowStore } from '../../../streams/index.ts';
import { sessionStore } from '../../../streams/state/session-store.ts';
import { versionedStore } from '../../../streams/state/versioned-store.ts';
import type { TopologyTestDriver } from '../../../streams/testing/index.ts';
import type { Session } from '../../../streams/topology/store.ts';
import { CLOSING_MS, KEYS } from './input.ts';
import type { Bound, Chain, Entry, Input, Step, Value, WindowedValue, Windows } from './spec.ts';

/** A store to compare, and what makes its entries comparable with those of Kafka's. */
export interface ComparedStore {
  /** Kafka's name of it. */
  readonly name: string;
  /** Where windows that have closed may be gone; `nowMs` is the newest time. */
  readonly bound?: (nowMs: number) => Bound;
  /** Its entries, as StreamsOracle writes them. */
  readonly entries: (driver: TopologyTestDriver, inputs: readonly Input[]) => Entry[];
}

/** The store of a step, if it has one that can be compared. */
export function storeOfStep({ store, windows, emit }: Step): ComparedStore[] {
  if (store === undefined) return [];
  if (windows === undefined) return [keyedStore(store)];
  if (windows.kind === 'unlimited') return [unlimitedStore(store)];
  if (windows.kind === 'session') return [sessions(store, windows.gapMs + windows.graceMs)];
  if (windows.kind === 'sliding') return [sliding(store, windows)];
  if (windows.kind === 'hopping' && emit === 'final') return []; // it may have panes
  return windows.kind === 'join' ? [] : [windowed(store, windows)];
}

/** The store of a table of a topic. */
export function storeOfSource({ from, topic, historyMs = 0 }: Chain): ComparedStore[] {
  if (from === 'stream') return [];
  return [from === 'versioned' ? versioned(topic, historyMs) : keyedStore(topic)];
}

/** The name of our store of a versioned table. */
export function versionsOf(topic: string): string {
  return `${topic}-versions`;
}

/** Key, value, time. */
function keyedStore(name: string): ComparedStore {
  return {
    name,
    entries: (driver) =>
      [...driver.store(keyValueStore<Value, Value>(name)).all()].map(
        ({ key, value, timestampMs }) => [key, value, timestampMs],
      ),
  };
}

/** Key, start of the window, value, time. */
function windowed(
  name: string,
  { sizeMs, graceMs }: Windows & { kind: 'tumbling' | 'hopping' },
): ComparedStore {
  return {
    name,
    bound: (nowMs) => ({ column: 1, openMs: nowMs - sizeMs - graceMs + 1 }),
    entries: (driver) =>
      [...driver.store(windowStore<Value, Value>(name)).all()].map(
        ({ key, windowStartMs, value, timestampMs }) => [key, windowStartMs, value, timestampMs],
      ),
  };
}

function unlimitedStore(name: string): ComparedStore {
  return {
    name,
    entries: (driver) =>
      [...driver.store(keyValueStore<WindowedValue, Value>(name)).all()].map(
        ({ key: { key, windowStartMs }, value, timestampMs }) => {
          return [key, windowStartMs, value, timestampMs];
        },
      ),
  };
}

/** As `windowed`, though ours is a store of sessions. */
function sliding(
  name: string,
  { differenceMs, graceMs }: Windows & { kind: 'sliding' },
): ComparedStore {
  return {
    name,
    bound: (nowMs) => ({ column: 1, openMs: nowMs - differenceMs - graceMs }),
    entries: (driver) =>
      sessionsOf(driver, name, (key, { startMs, value, timestampMs }) => {
        return [key, startMs, value, timestampMs];
      }),
  };
}

/** Key, start, end, value; Kafka's has no times. */
function sessions(name: string, lifeMs: number): ComparedStore {
  return {
    name,
    bound: (nowMs) => ({ column: 2, openMs: nowMs - lifeMs }),
    entries: (driver) =>
      sessionsOf(driver, name, (key, { startMs, endMs, value }) => [key, startMs, endMs, value]),
  };
}

/** What `entryOf` makes of each entry of a session store. */
function sessionsOf(
  driver: TopologyTestDriver,
  name: string,
  entryOf: (key: Value, session: Session<Value>) => Entry,
): Entry[] {
  const store = driver.store(sessionStore<Value, Value>(name));
  return store.stretches().flatMap((stretchMs) => {
    return Array.from(store.stretch(stretchMs), ([key, session]) => entryOf(key, session));
  });
}

/** Key, a time in the history, the value of then and its time. */
function versioned(topic: string, historyMs: number): ComparedStore {
  return {
    name: topic,
    entries: (driver, inputs) => {
      const store = driver.store(versionedStore<Value, Value>(versionsOf(topic)));
      const newestMs = newestOf(inputs.filter(([name, key]) => name === topic && key !== null));
      const found: Entry[] = [];
      if (newestMs === -Infinity) return found;
      for (let asOfMs = newestMs - historyMs; asOfMs <= newestMs; asOfMs++) {
        for (const key of KEYS) {
          const version = store.getVersion(key, asOfMs);
          if (version === undefined) continue;
          found.push([key, asOfMs, version.value, version.timestampMs]);
        }
      }
      return found;
    },
  };
}

/** The newest time of records, closing ones left out. */
export function newestOf(inputs: readonly Input[]): number {
  let newestMs = -Infinity;
  for (const [topic, , , timestampMs] of inputs) {
    if (topic !== '' && timestampMs < CLOSING_MS) newestMs = Math.max(newestMs, timestampMs);
  }
  return newestMs;
}
