import { expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

const [small, large, unused] = ['small', 'large', 'unused'].map((name) =>
  topic(name, { key: string(), value: int64() }),
) as [typeof numbers, typeof numbers, typeof numbers];

test('[OP-26] to writes each record to the topic that the function chooses', () => {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .to([small, large, unused], ({ value }) => (value < 10 ? small : large), { name: 'out' });
  const driver = new TopologyTestDriver(builder.build());
  const headers = [{ key: 'trace', value: Buffer.from('7') }];
  driver.inputTopic(numbers).pipeAll([
    { key: 'a', value: 2, timestampMs: 5, headers },
    { key: 'b', value: 12, timestampMs: 4 },
    { key: null, value: 3, timestampMs: 9 },
  ]);
  const lesser = driver.outputTopic(small).readAll();
  expect(shown(lesser)).toEqual(['a 2 @5', 'null 3 @9']);
  expect(lesser[0]?.headers).toEqual(headers);
  expect(shown(driver.outputTopic(large).readAll())).toEqual(['b 12 @4']);
  expect(driver.outputTopic(unused).readAll()).toEqual([]);
});

test.each([
  ['a topic outside the list', unused, 'its function chose topic unused'],
  ['a name', 'small', 'its function chose "small"'],
  ['nothing', undefined, 'its function chose undefined'],
  ['a promise', Promise.resolve(small), 'its function returned a promise'],
])('[OP-26] a function that returns %s ends the application', async (_, chosen, reason) => {
  const builder = new StreamsBuilder();
  builder.stream(numbers).to([small, large], () => chosen as typeof small, { name: 'out' });
  const driver = new TopologyTestDriver(builder.build());
  const pipe = async () => {
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1 });
  };
  const answer = await codeOf(pipe());
  expect(answer).toContain('out failed on numbers-0 at offset 0');
  expect(answer).toContain(reason);
});
