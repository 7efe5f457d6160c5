import { expect, test, vi } from 'vitest';
import { int64, string } from '../../core/index.ts';
import type { StoreSpec } from '../topology/store.ts';
import { keyValueStore } from './key-value-store.ts';
import { MemoryEnvironment } from './memory-environment.ts';
import { TaskState } from './task-state.ts';

const rows: StoreSpec<string, number> = {
  ...keyValueStore('rows'),
  key: string(),
  value: int64(),
  backing: 'changelog',
};

test('[STATE-24] a checkpoint is written if an entry or an offset is new', () => {
  const environment = new MemoryEnvironment();
  const written = vi.spyOn(environment, 'checkpoint');
  const state = new TaskState(environment, [rows]);
  const store = state.store(keyValueStore<string, number>('rows'));
  const checkpoint = (offset: number): number => {
    state.checkpoint({ rows: offset }, 1000);
    return written.mock.calls.length;
  };
  expect(checkpoint(0)).toBe(1);
  expect(checkpoint(0)).toBe(1);
  expect(checkpoint(1)).toBe(2);
  store.put('a', 1, 5);
  for (const each of state.stores.values()) each.takeChanged(() => undefined);
  expect(checkpoint(1)).toBe(3);
  expect(checkpoint(1)).toBe(3);
  expect(new TaskState(environment, [rows]).changelogOffset('rows')).toBe(1);
});
