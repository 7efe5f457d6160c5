import { expect, test } from 'vitest';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

function tableDriver() {
  const builder = new StreamsBuilder();
  builder.table(numbers, { store: 'kept' }).toStream().to(sums);
  const driver = new TopologyTestDriver(builder.build());
  const pipe = (key: string | null, value: number | null, timestampMs: number) => {
    driver.inputTopic(numbers).pipe({ key, value, timestampMs });
    return shown(driver.outputTopic(sums).readAll());
  };
  const store = driver.keyValueStore<string, number>('kept');
  return { driver, pipe, store };
}

test('[OP-10] a table keeps the newest value of each key and forwards each change', () => {
  const { pipe, store } = tableDriver();
  expect(pipe('a', 1, 5)).toEqual(['a 1 @5']);
  expect(pipe('b', 2, 6)).toEqual(['b 2 @6']);
  expect(pipe('a', 3, 4)).toEqual(['a 3 @4']); // newest by offset, not by time
  expect([...store.entries()].sort()).toEqual([
    ['a', 3],
    ['b', 2],
  ]);
  expect(store.size).toBe(2);
});

test('[OP-10] a null value deletes the row', () => {
  const { pipe, store } = tableDriver();
  pipe('a', 1, 5);
  expect(pipe('a', null, 6)).toEqual(['a null @6']);
  expect(store.get('a')).toBeUndefined();
  expect(store.size).toBe(0);
  expect([...store.entries()]).toEqual([]);
  expect(pipe('a', 7, 7)).toEqual(['a 7 @7']);
  expect(store.get('a')).toBe(7);
});

test('[OP-10] records without a key are dropped and counted', () => {
  const { driver, pipe, store } = tableDriver();
  expect(pipe(null, 1, 5)).toEqual([]);
  expect(store.size).toBe(0);
  expect(driver.metrics().droppedRecords['null-key']).toBe(1);
});
