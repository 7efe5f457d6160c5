import { describe, expect, test } from 'vitest';
import { bytes } from '../../core/index.ts';
import type { StoreSpec } from '../topology/store.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import { GlobalStore } from './global-store.ts';
import { keyValueStore } from './key-value-store.ts';
import { MemoryEnvironment } from './memory-environment.ts';
import { recordStore } from './record-store.ts';
import { sessionStore } from './session-store.ts';
import { StateUnderTest } from './state-under-test.suite.ts';
import { versionedStore } from './versioned-store.ts';
import { windowStore } from './window-store.ts';

const serdes = { key: bytes(), value: bytes(), backing: 'changelog' } as const;
const expiry = { lifeMs: 1_000, node: 'n' };
const SPECS: StoreSpec<Uint8Array, Uint8Array>[] = [
  { ...keyValueStore('rows'), ...serdes },
  { ...windowStore('windows'), ...serdes, expiry },
  { ...sessionStore('sessions'), ...serdes, expiry, stretchMs: 10 },
  { ...versionedStore('versions'), ...serdes, historyMs: 100 },
  { ...recordStore('records'), ...serdes, expiry },
];

/** A view of a large batch, as a serde reads it. */
function view(text: string): Uint8Array {
  const batch = Buffer.alloc(512 * 1024);
  return batch.subarray(100, 100 + batch.write(text, 100));
}

const pinned = (kept: unknown) => (kept as Uint8Array).buffer.byteLength;

describe('[STATE-2] what a store keeps of a record', () => {
  test('does not keep the batch in memory that it was read from', async () => {
    const environment = new MemoryEnvironment();
    const it = await StateUnderTest.open({ open: () => Promise.resolve(environment) }, SPECS);
    const { state } = it;
    const [key, value] = [view('key'), view('value')];
    const rows = state.store(keyValueStore<Uint8Array, Uint8Array>('rows'));
    rows.put(key, value, 1);
    rows.update(view('other'), 1, () => value);
    rows.update(view('other'), 2, () => view('newer'));
    const windows = state.store(windowStore<Uint8Array, Uint8Array>('windows'));
    windows.put(key, 0, value, 1);
    const sessions = state.store(sessionStore<Uint8Array, Uint8Array>('sessions'));
    const bounds = { startMs: 1, endMs: 2, timestampMs: 2 };
    sessions.put(key, bounds, value, 2);
    sessions.update(view('other'), bounds, () => value);
    sessions.replace(view('third'), [], bounds, value);
    const versions = state.store(versionedStore<Uint8Array, Uint8Array>('versions'));
    versions.put(key, value, 1);
    const records = state.store(recordStore<Uint8Array, Uint8Array>('records'));
    records.put(key, value, 1);
    records.add(new StreamRecord(view('other'), value, 2, [], 'topic', 0, 0), 'kept');
    const found: { readonly key: Uint8Array; readonly value: Uint8Array | undefined }[] = [
      ...[...rows.all(), ...windows.all(), ...sessions.fetchAll(), ...versions.range()],
      ...records.all(),
    ];
    expect(found).toHaveLength(2 + 1 + 3 + 1 + 2);
    for (const each of found) {
      expect(pinned(each.key)).toBeLessThan(20_000);
      expect(pinned(each.value)).toBeLessThan(20_000);
    }
    expect(Buffer.from(rows.get(Buffer.from('other'))!).toString()).toBe('newer');
    await it.close();
  });

  test('nor does a global table, or what is read back from a changelog', async () => {
    const global = new GlobalStore<Uint8Array, Uint8Array>('global', bytes());
    global.set(view('key'), view('value'), 1);
    const [row] = global.all();
    expect([pinned(row?.key), pinned(row?.value)].every((size) => size < 20_000)).toBe(true);
    const environment = new MemoryEnvironment();
    const it = await StateUnderTest.open({ open: () => Promise.resolve(environment) }, SPECS);
    const store = it.state.store(keyValueStore<Uint8Array, Uint8Array>('rows'));
    store.restore(view('key') as Buffer, view('12345678value') as Buffer, 1);
    const [restored] = store.all();
    expect(pinned(restored?.key)).toBeLessThan(20_000);
    expect(pinned(restored?.value)).toBeLessThan(20_000);
    await it.close();
  });
});
