import { expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { numbers } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { unlimitedWindow, windowedSerde } from '../topology/windows.ts';

const out = topic('out', { key: windowedSerde(string(), Infinity), value: int64() });

test('[OP-UNLIMITED-1] has the records from its start on, and leaves out older ones', () => {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .groupByKey()
    .windowedBy(unlimitedWindow({ startMs: 10 }))
    .reduce((sum, value) => sum + value, { emit: 'each' })
    .toStream()
    .to(out);
  const driver = new TopologyTestDriver(builder.build());
  for (const [value, timestampMs] of [
    [1, 5],
    [2, 10],
    [4, 1_000_000],
    [8, 12],
    [16, 9],
  ] as const) {
    driver.inputTopic(numbers).pipe({ key: 'a', value, timestampMs });
  }
  const results = driver.outputTopic(out).readAll();
  const key = { key: 'a', windowStartMs: 10, windowEndMs: Infinity };
  expect(results.map((result) => result.key)).toEqual([key, key, key]);
  const shown = results.map(({ value, timestampMs }) => `${value} @${timestampMs}`);
  expect(shown).toEqual(['2 @10', '6 @1000000', '14 @1000000']);
  expect(driver.metrics().droppedRecords.late).toBe(0);
});

test.each([['commit' as const], [{ everyMs: 10 }]])(
  '[OP-UNLIMITED-1] goes on after a restart, with emit %o',
  async (emit) => {
    const log = await openTestLog();
    const counts = topic('counts', { key: string(), value: int64() });
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupByKey()
      .windowedBy(unlimitedWindow())
      .count({ store: 'counts', emit })
      .toStream()
      .map(({ key: { key, windowStartMs }, value }) => ({ key: `${key} ${windowStartMs}`, value }))
      .to(counts);
    for (const timestampMs of [0, 5]) {
      await produce(log, numbers, [
        ['a', 1, timestampMs],
        ['a', 1, timestampMs],
      ]);
      await runToEnd(log, builder.build(), { commitIntervalMs: 10_000 });
    }
    expect(await committedRows(log, counts)).toEqual(['a 0 2 @0', 'a 0 4 @5']);
  },
);

test('[OP-UNLIMITED-2] never closes, so that it has no final result', () => {
  const grouped = new StreamsBuilder().stream(numbers).groupByKey();
  const windowed = grouped.windowedBy(unlimitedWindow());
  expect(() => windowed.count({ emit: 'final' })).toThrow(/an unlimited window never closes/);
});
