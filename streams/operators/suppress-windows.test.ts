import { describe, expect, test } from 'vitest';
import { bytes, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { changes, changesOf } from '../../test/kit/changes.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { windowStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { untilWindowCloses } from '../dsl/suppression.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { sessionWindow, slidingWindow, tumblingWindow } from '../topology/windows.ts';
import type { Buffered } from './buffered.ts';

/** Counts in windows of 10 ms, of which the final results are passed on. */
function topology() {
  const builder = new StreamsBuilder();
  const counts = builder
    .stream(numbers)
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10, graceMs: 5 }))
    .count({ store: 'counts', emit: 'each' });
  changesOf(counts.suppress(untilWindowCloses(), { store: 'waiting' }))
    .selectKey(({ key }) => `${key.key} ${key.windowStartMs}`)
    .to(changes);
  return builder.build();
}

describe('[OP-TABLE-8] final results of windows of one size', () => {
  test('come in the order of the ends of windows, then of the bytes of their keys', () => {
    const driver = new TopologyTestDriver(topology());
    const keys = ['b', '\u{10000}', 'a', '\u{ff5e}', 'ab', ''];
    driver
      .inputTopic(numbers)
      .pipeAll([
        ...keys.map((key) => ({ key, value: 1, timestampMs: 12 })),
        ...keys.map((key) => ({ key, value: 1, timestampMs: 3 })),
        { key: 'a', value: 1, timestampMs: 4 },
        { key: 'z', value: 1, timestampMs: 40 },
      ]);
    const results = shown(driver.outputTopic(changes).readAll());
    const sorted = ['', 'a', 'ab', 'b', '\u{ff5e}', '\u{10000}'];
    expect(results).toEqual([
      ...sorted.map((key) => (key === 'a' ? 'a 0 ->2 @4' : `${key} 0 ->1 @3`)),
      ...sorted.map((key) => `${key} 10 ->1 @12`),
    ]);
  });

  test('wait under the ends of their windows, which leave the store as a whole', () => {
    const driver = new TopologyTestDriver(topology());
    const waiting = driver.store(windowStore<string, Buffered<number>>('waiting'));
    const pipe = (timestampMs: number) =>
      driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs });
    for (const timeMs of [1, 2, 12, 14]) pipe(timeMs);
    expect(waiting.windowStarts()).toEqual([10, 20]);
    expect(waiting.get('a', 10)).toMatchObject({ value: 2, timestampMs: 2, before: null });
    pipe(15);
    expect(waiting.windowStarts()).toEqual([20]);
    const { subTopologies } = topology().describe();
    const stores = subTopologies.flatMap((each) => each.stores);
    const kept = { kind: 'window', retentionMs: 5, topic: 'waiting-changelog' };
    expect(stores.find(({ name }) => name === 'waiting')).toMatchObject(kept);
  });

  test('leave it without records in the changelog', async () => {
    const log = await openTestLog();
    const rows = Array.from({ length: 50 }, (_, index) => [`k${index}`, 1, 1] as const);
    await produce(log, numbers, rows);
    const stateDir = temporaryDirectory();
    await runToEnd(log, topology(), { stateDir });
    const results = await committedRows(log, changes);
    expect(results).toHaveLength(50);
    const changelog = topic('app-waiting-changelog', { key: bytes(), value: bytes() });
    const written = await readTopic(log, changelog, 'read_committed');
    expect(written.filter(({ value }) => value === null)).toEqual([]);
  });

  test('of sliding windows and sessions', () => {
    const builder = new StreamsBuilder();
    const grouped = builder.stream(numbers).groupByKey();
    const each = { emit: 'each' } as const;
    const tables = [
      grouped.windowedBy(slidingWindow({ differenceMs: 5 })).count(each),
      grouped.windowedBy(sessionWindow({ gapMs: 5, graceMs: 5 })).count(each),
    ];
    const named = tables.map((table, index) =>
      changesOf(table.suppress(untilWindowCloses())).selectKey(
        ({ key }) => `${index} ${key.windowStartMs}-${key.windowEndMs}`,
      ),
    );
    named[0]!.merge(named[1]!).to(changes);
    const driver = new TopologyTestDriver(builder.build());
    for (const timestampMs of [10, 13, 99]) {
      driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs });
    }
    const results = shown(driver.outputTopic(changes).readAll());
    expect(results.sort()).toEqual([
      '0 11-16 ->1 @13',
      '0 5-10 ->1 @10',
      '0 8-13 ->2 @13',
      '1 10-13 ->2 @13',
    ]);
  });
});
