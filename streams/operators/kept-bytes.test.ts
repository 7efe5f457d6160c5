import { expect, test } from 'vitest';
import { bytes, serializeToBytes, string, type Serde } from '../../core/index.ts';
import { bufferedSerde } from './buffered.ts';
import { heldStoreSpec } from './emit.ts';

/** What a serde reads from the middle of a large batch. */
function reread<T>(serde: Serde<T>, value: T): T {
  const content = serializeToBytes(serde, value);
  const batch = Buffer.alloc(512 * 1024);
  content.copy(batch, 100);
  return serde.deserialize(batch, 100, 100 + content.length);
}

const text = (value: Uint8Array | null | undefined) => Buffer.from(value ?? []).toString();
const pinned = (value: Uint8Array | null | undefined) => value?.buffer.byteLength ?? NaN;

test('[STATE-2] what waits does not keep the batch in memory that it was read from', () => {
  const row = { fromMs: 1, before: Buffer.from('old'), value: Buffer.from('new') };
  const buffered = reread(bufferedSerde(bytes()), { ...row, timestampMs: 2, headers: [] });
  expect([text(buffered.before), text(buffered.value)]).toEqual(['old', 'new']);
  const { value: heldSerde } = heldStoreSpec({
    ...{ store: 's', node: 'n', key: string(), value: bytes() },
  });
  const passed = { value: Buffer.from('passed'), timestampMs: 1 };
  const held = reread(heldSerde, { order: 3, before: passed });
  expect(text(held.before?.value)).toBe('passed');
  for (const kept of [buffered.before, buffered.value, held.before?.value]) {
    expect(pinned(kept)).toBeLessThan(20_000);
  }
});
