import { expect, test } from 'vitest';
import { numbers } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

test('[OP-22] foreach sees each record in order, nulls included, and ends its branch', () => {
  const builder = new StreamsBuilder();
  const seen: string[] = [];
  builder.stream(numbers, { nullValues: 'pass' }).foreach(({ key, value, timestampMs, offset }) => {
    seen.push(`${key} ${String(value)} @${timestampMs} ${offset}`);
  });
  const driver = new TopologyTestDriver(builder.build());
  driver.inputTopic(numbers).pipeAll([
    { key: 'a', value: 1, timestampMs: 5 },
    { key: null, value: 2, timestampMs: 4 },
    { key: 'b', value: null, timestampMs: 6 },
  ]);
  expect(seen).toEqual(['a 1 @5 0', 'null 2 @4 1', 'b null @6 2']);
});
