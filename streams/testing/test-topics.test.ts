import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from './topology-test-driver.ts';

describe('[STREAMS-DRIVER-3] records without a time', () => {
  const copy = () => {
    const builder = new StreamsBuilder();
    builder.stream(numbers).to(sums);
    return new TopologyTestDriver(builder.build());
  };
  const rows = [{ value: 1 }, { value: 2, timestampMs: 500 }, { value: 3 }];

  test('have that of their topic, which advances with each', () => {
    const driver = copy();
    const input = driver.inputTopic(numbers, { startMs: 100, advanceMs: 10 });
    input.pipeAll(rows);
    input.advanceTime(1_000);
    input.pipe({ value: 4 });
    driver.inputTopic(numbers, { startMs: 7 }).pipe({ value: 5 });
    const output = driver.outputTopic(sums).readAll();
    expect(output.map(({ timestampMs }) => timestampMs)).toEqual([100, 500, 110, 1_120, 7]);
  });

  test('or that of the record before, of any topic', () => {
    const driver = copy();
    const input = driver.inputTopic(numbers);
    input.pipeAll(rows);
    input.advanceTime(5);
    driver.inputTopic(numbers).pipe({ value: 4 });
    const output = driver.outputTopic(sums).readAll();
    expect(output.map(({ timestampMs }) => timestampMs)).toEqual([0, 500, 500, 505]);
  });

  test('[STREAMS-19] refuses times that are none', () => {
    const wrong = { start: 1 } as never;
    expect(() => copy().inputTopic(numbers, wrong)).toThrow('did you mean startMs?');
    expect(() => copy().inputTopic(numbers, { advanceMs: -1 })).toThrow('advanceMs must be an');
    expect(() => copy().inputTopic(numbers).advanceTime(0.5)).toThrow('ms must be an integer');
  });
});

test('[STREAMS-DRIVER-4] a topic that the topology does not write is refused', () => {
  const builder = new StreamsBuilder();
  builder.stream(numbers).to(sums);
  builder.globalTable(topic('rows', { key: string(), value: int64() }));
  const driver = new TopologyTestDriver(builder.build());
  const sumz = topic('sumz', { key: string(), value: int64() });
  expect(() => driver.outputTopic(sumz)).toThrow(
    expect.objectContaining({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      message: 'the topology writes no topic sumz, only sums; did you mean sums?',
    }),
  );
  expect(() => driver.inputTopic(sumz)).toThrow(
    'the topology reads no topic sumz, only numbers, rows; did you mean rows?',
  );
});
