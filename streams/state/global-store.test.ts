import { expect, test } from 'vitest';
import { string } from '../../core/index.ts';
import { GlobalStore } from './global-store.ts';

test('[STATE-READ-1] a global table is read in the order of its keys', () => {
  const store = new GlobalStore<string, number>('rows', string());
  for (const [index, key] of ['b', 'ä', 'a', 'ab', 'z'].entries()) store.set(key, index, index);
  store.set('a', 9, 7);
  const keys = (entries: Iterable<{ readonly key: string }>) => [...entries].map(({ key }) => key);
  expect(keys(store.all())).toEqual(['a', 'ab', 'b', 'z', 'ä']);
  expect(keys(store.reverseAll())).toEqual(['ä', 'z', 'b', 'ab', 'a']);
  expect(keys(store.range('ab', 'z'))).toEqual(['ab', 'b', 'z']);
  expect(keys(store.reverseRange(undefined, 'b'))).toEqual(['b', 'ab', 'a']);
  expect(keys(store.prefixScan('a'))).toEqual(['a', 'ab']);
  expect(store.entry('a')).toMatchObject({ value: 9, timestampMs: 7 });
  store.set('ab', null, 8);
  store.set('aa', 1, 8);
  expect(keys(store.range('a', 'b'))).toEqual(['a', 'aa', 'b']);
  expect(store.entry('ab')).toBeUndefined();
});
