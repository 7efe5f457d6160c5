import { int64, string, topic } from '../../core/index.ts';
import { expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

function splitDriver(rest?: string) {
  const builder = new StreamsBuilder();
  const parts: Record<string, { to: (topic: ReturnType<typeof out>) => void }> = builder
    .stream(numbers)
    .split(
      { small: ({ value }) => value < 10, even: ({ value }) => value % 2 === 0 },
      rest ?? 'rest',
    );
  const names = Object.keys(parts);
  for (const name of names) parts[name]!.to(out(name));
  const driver = new TopologyTestDriver(builder.build());
  return { driver, names };
}

function out(name: string) {
  return topic(`out-${name}`, { key: string(), value: int64() });
}

test('[OP-8] split sends each record to the first branch that accepts it, else to the rest', () => {
  const { driver, names } = splitDriver();
  expect(names).toEqual(['small', 'even', 'rest']);
  const headers = [{ key: 'trace', value: Buffer.from('7') }];
  driver.inputTopic(numbers).pipeAll([
    { key: 'a', value: 2, timestampMs: 5, headers },
    { key: 'b', value: 12, timestampMs: 4 },
    { key: 'c', value: 13, timestampMs: 9 },
    { key: 'd', value: 3, timestampMs: 9 },
  ]);
  const small = driver.outputTopic(out('small')).readAll();
  expect(shown(small)).toEqual(['a 2 @5', 'd 3 @9']);
  expect(small[0]?.headers).toEqual(headers);
  expect(shown(driver.outputTopic(out('even')).readAll())).toEqual(['b 12 @4']);
  expect(shown(driver.outputTopic(out('rest')).readAll())).toEqual(['c 13 @9']);
});

test('[OP-8] the rest may have another name and may stay unused', () => {
  const { driver, names } = splitDriver('odd');
  expect(names).toEqual(['small', 'even', 'odd']);
  driver.inputTopic(numbers).pipe({ key: 'c', value: 13 });
  expect(shown(driver.outputTopic(out('odd')).readAll())).toEqual(['c 13 @0']);
});

test('[OP-8] branches whose order JavaScript would change are refused', async () => {
  const stream = new StreamsBuilder().stream(numbers);
  const split = async () => stream.split({ '20': () => true, '10': () => true });
  expect(await codeOf(split())).toContain('names that are not numbers');
});

test('[OP-24] without a rest, records that no branch accepts are dropped', () => {
  const builder = new StreamsBuilder();
  const { small, even, ...others } = builder
    .stream(numbers)
    .split({ small: ({ value }) => value < 10, even: ({ value }) => value % 2 === 0 }, null);
  expect(others).toEqual({});
  small.to(out('small'));
  even.to(out('even'));
  const driver = new TopologyTestDriver(builder.build());
  const rows = [2, 12, 13, 3].map((value) => ({ key: 'a', value }));
  driver.inputTopic(numbers).pipeAll(rows);
  expect(shown(driver.outputTopic(out('small')).readAll())).toEqual(['a 2 @0', 'a 3 @0']);
  expect(shown(driver.outputTopic(out('even')).readAll())).toEqual(['a 12 @0']);
  expect(driver.metrics().processedRecords).toBe(4);
});
