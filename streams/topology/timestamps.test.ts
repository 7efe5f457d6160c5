import { expect, test } from 'vitest';
import { int64, string, topic, type Logger } from '../../core/index.ts';
import { makeApp, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import {
  failOnInvalidTimestamp,
  logAndSkipOnInvalidTimestamp,
  SKIP_RECORD,
  usePartitionTimeOnInvalidTimestamp,
  wallclockTimestamp,
  type TimestampExtractor,
} from './timestamps.ts';

const byValue: TimestampExtractor<string | null, number> = ({ value }) => value / 10;

function topologyOf(timestamp: TimestampExtractor<string | null, number>) {
  const builder = new StreamsBuilder();
  builder.stream(numbers, { timestamp }).to(sums);
  return builder.build();
}

/** Pipes values, whose tenth is the time; returns the results, the warnings and the drops. */
function run(timestamp: TimestampExtractor<string | null, number>, values: readonly number[]) {
  const warnings: string[] = [];
  const logger = { warn: (line: string) => void warnings.push(line) } as Logger;
  const driver = new TopologyTestDriver(topologyOf(timestamp), { logger });
  driver.inputTopic(numbers).pipeAll(values.map((value) => ({ key: 'a', value })));
  const { droppedRecords, tasks } = driver.metrics();
  const out = shown(driver.outputTopic(sums).readAll());
  return { out, warnings, dropped: droppedRecords['invalid-timestamp'], tasks };
}

test.each([
  ['without a policy', byValue],
  ['with failOnInvalidTimestamp', failOnInvalidTimestamp(byValue)],
])('[OP-28] an invalid time ends the application %s', async (_, timestamp) => {
  expect(run(timestamp, [50, 30]).out).toEqual(['a 50 @5', 'a 30 @3']);
  for (const invalid of [-10, 15]) {
    const answer = await codeOf((async () => run(timestamp, [50, invalid]))());
    expect(answer).toContain('source-numbers failed on numbers-0 at offset 1: its time is');
  }
});

test('[OP-28] logAndSkipOnInvalidTimestamp drops, counts and logs; time does not move', () => {
  const skip = logAndSkipOnInvalidTimestamp(byValue);
  const { out, warnings, dropped, tasks } = run(skip, [-10, 50, 15, 30]);
  expect(out).toEqual(['a 50 @5', 'a 30 @3']);
  expect(dropped).toBe(2);
  expect(warnings).toEqual([
    'source-numbers skips numbers-0 at offset 0: its time is invalid',
    'source-numbers skips numbers-0 at offset 2: its time is invalid',
  ]);
  expect(tasks[0]?.streamTimeMs).toBe(5);
});

test('[OP-28] an extractor of your own may skip records too', () => {
  const { out, dropped } = run(({ value }) => (value === 1 ? SKIP_RECORD : value), [1, 2]);
  expect(out).toEqual(['a 2 @2']);
  expect(dropped).toBe(1);
});

test('[OP-28] usePartitionTimeOnInvalidTimestamp takes the largest time so far', async () => {
  const lenient = usePartitionTimeOnInvalidTimestamp(byValue);
  expect(run(lenient, [50, 30, -10, 15]).out).toEqual([
    'a 50 @5',
    'a 30 @3',
    'a -10 @5',
    'a 15 @5',
  ]);
  const answer = await codeOf((async () => run(lenient, [-10]))());
  expect(answer).toContain('at offset 0: its time is -1;');
});

test('[OP-28] what is no number is an error under each policy', async () => {
  const broken = (() => undefined) as never;
  for (const policy of [logAndSkipOnInvalidTimestamp, usePartitionTimeOnInvalidTimestamp]) {
    const answer = await codeOf((async () => run(policy(broken), [50]))());
    expect(answer).toContain('its time is undefined');
  }
});

test('[OP-28] wallclockTimestamp reads the clock of the driver or the application', async () => {
  const topology = topologyOf(wallclockTimestamp());
  const driver = new TopologyTestDriver(topology, { wallClockMs: 1_000 });
  driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 5 });
  driver.advanceWallClock(500);
  driver.inputTopic(numbers).pipe({ key: 'a', value: 2, timestampMs: 5 });
  expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 1 @1000', 'a 2 @1500']);
});

test('[OP-28] an application skips records in the log and continues behind them', async () => {
  const log = await openTestLog();
  const spread = topic('numbers', { key: string(), value: int64() });
  await produce(log, spread, [
    ['a', -10, 1],
    ['a', 50, 2],
    ['a', -20, 3],
  ]);
  const warnings: string[] = [];
  const logger = { warn: (line: string) => void warnings.push(line) } as Logger;
  const topology = topologyOf(logAndSkipOnInvalidTimestamp(byValue));
  await runToEnd(log, topology, { logger });
  expect(warnings).toHaveLength(2);
  const again = makeApp(log, topology, { logger });
  await again.start();
  await again.finish();
  expect(again.metrics()).toMatchObject({ processedRecords: 0, tasks: [{ lag: 0 }] });
  const records = await readTopic(log, sums, 'read_committed');
  expect(records.map(({ value, timestampMs }) => [value, timestampMs])).toEqual([[50, 5]]);
});
