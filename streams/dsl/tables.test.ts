import { describe, expect, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { drive, driveNulls, numbers, shown, sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from './streams-builder.ts';

describe('[OP-31] toTable', () => {
  test('keeps the newest value of each key; null deletes, and a record without key counts', () => {
    const { driver, pipe } = driveNulls(numbers, sums, (stream) =>
      stream.toTable({ store: 'newest' }).toStream(),
    );
    expect(shown(pipe(['a', 1, 5], ['b', 2, 6], ['a', 3, 4]))).toEqual([
      'a 1 @5',
      'b 2 @6',
      'a 3 @4',
    ]);
    expect(shown(pipe(['a', null, 7], [null, 8, 8]))).toEqual(['a null @7']);
    expect([...driver.keyValueStore<string, number>('newest').entries()]).toEqual([['b', 2]]);
    expect(driver.metrics().droppedRecords['null-key']).toBe(1);
  });

  test('an undefined from a mapper deletes the row', () => {
    const { driver, pipe } = drive(numbers, sums, (stream) =>
      stream
        .mapValues((value) => (value > 1 ? value : undefined))
        .toTable({ store: 'large' })
        .toStream()
        .mapValues((value) => value ?? null),
    );
    expect(shown(pipe(['a', 2, 1], ['a', 1, 2]))).toEqual(['a 2 @1', 'a null @2']);
    expect(driver.keyValueStore('large').size).toBe(0);
  });

  test('equal keys meet although the key has changed; it survives a restart', async () => {
    const more = topic('numbers', { key: string(), value: json<number>(), partitions: 3 });
    const totals = topic('totals', { key: string(), value: json<number>(), partitions: 1 });
    const topology = () => {
      const builder = new StreamsBuilder();
      builder
        .stream(more)
        .selectKey(({ value }) => (value % 2 === 0 ? 'even' : 'odd'), { key: string() })
        .toTable({ store: 'newest', emit: 'commit' })
        .toStream()
        .to(totals);
      return builder.build();
    };
    const oneCommit = { commitIntervalMs: 10_000 }; // else a slow machine shows what is in between
    const log = await openTestLog();
    await produce(log, more, [
      ['a', 1, 1, 0],
      ['b', 3, 3, 1],
      ['c', 2, 2, 2],
    ]);
    await runToEnd(log, topology(), oneCommit);
    expect((await committedRows(log, totals)).sort()).toEqual(['even 2 @2', 'odd 3 @3']);
    await produce(log, more, [['d', 5, 5, 2]]);
    await runToEnd(log, topology(), oneCommit);
    expect((await committedRows(log, totals)).sort()).toEqual([
      'even 2 @2',
      'odd 3 @3',
      'odd 5 @5',
    ]);
  });

  test('a stream joins it', () => {
    const { pipe } = drive(numbers, sums, (stream) => {
      const table = stream.filter(({ value }) => value > 9).toTable();
      return stream.filter(({ value }) => value <= 9).join(table, (value, row) => value + row);
    });
    expect(shown(pipe(['a', 1, 1], ['a', 10, 2], ['a', 2, 3]))).toEqual(['a 12 @3']);
  });

  test('options are checked', () => {
    const stream = new StreamsBuilder().stream(numbers);
    expect(() => stream.toTable({ emit: 'final' as 'each' })).toThrow(
      /only windows have a 'final'/,
    );
    expect(() => stream.toTable({ stroe: 's' } as object)).toThrow(/stroe/);
  });
});

test('[OP-TOPOLOGY-11] a table of a topic needs no changelog, one of a stream does', () => {
  const builder = new StreamsBuilder();
  builder.table(topic('rows', { key: string(), value: int64() }));
  const stream = builder.stream(topic('events', { key: string(), value: int64() }));
  stream.toTable({ store: 'newest' });
  stream.selectKey(({ key }) => key, { key: string() }).toTable({ store: 'moved' });
  const { subTopologies } = builder.build().describe();
  const stores = subTopologies.flatMap((each) => each.stores);
  expect(stores.map(({ name, topic: from }) => [name, from])).toEqual([
    ['rows', 'rows'],
    ['newest', 'newest-changelog'],
    ['moved', 'moved-changelog'],
  ]);
});
