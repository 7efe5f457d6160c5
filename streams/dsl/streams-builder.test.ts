import { expect, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { StreamsBuilder } from './streams-builder.ts';

const more = topic('more', { key: string(), value: json<number>(), partitions: 2 });

test('[OP-29] a stream of several topics reads each by its serdes', () => {
  const builder = new StreamsBuilder();
  builder
    .stream([numbers, more])
    .map(({ key, value, topic: from }) => ({ key: `${key} of ${from}`, value }))
    .to(sums);
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(more).pipe({ key: 'a', value: 1, timestampMs: 5 });
  driver.inputTopic(numbers).pipe({ key: 'b', value: 2, timestampMs: 4 });
  expect(shown(driver.outputTopic(sums).readAll())).toEqual([
    'a of more 1 @5',
    'b of numbers 2 @4',
  ]);
});

test('[OP-29] its records are processed in the order of their times', async () => {
  const builder = new StreamsBuilder();
  builder.stream([numbers, topic('others', { key: string(), value: int64() })]).to(sums);
  const log = await openTestLog();
  const others = topic('others', { key: string(), value: int64() });
  await produce(
    log,
    numbers,
    [1, 4, 5].map((time) => ['a', time, time] as const),
  );
  await produce(
    log,
    others,
    [2, 3, 6].map((time) => ['b', time, time] as const),
  );
  await runToEnd(log, builder.build());
  expect(await committedRows(log, sums)).toEqual(
    ['a 1', 'b 2', 'b 3', 'a 4', 'a 5', 'b 6'].map((row) => `${row} @${row.slice(2)}`),
  );
});

test('[OP-29] topics with different partitions have tasks for the widest', async () => {
  const builder = new StreamsBuilder();
  builder.stream([numbers, more]).to(sums);
  const log = await openTestLog();
  await produce(log, numbers, [['a', 1, 1]]);
  await produce(log, more, [
    ['b', 2, 2, 0],
    ['c', 3, 3, 1],
  ]);
  const app = await runToEnd(log, builder.build());
  expect(app.metrics().tasks.map(({ taskId }) => taskId)).toEqual(['0_0', '0_1']);
  expect((await committedRows(log, sums)).sort()).toEqual(['a 1 @1', 'b 2 @2', 'c 3 @3']);
});
