import { expect, test } from 'vitest';
import { json, string, topic } from '../../core/index.ts';
import { numbers } from '../../test/kit/drive.ts';
import type { KStream } from '../dsl/kstream.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { StreamRecord } from '../topology/stream-record.ts';

function printed(
  print: (stream: KStream<string | null, number>, write: (line: string) => void) => void,
): string[] {
  const builder = new StreamsBuilder();
  const lines: string[] = [];
  print(builder.stream(numbers), (line) => void lines.push(line));
  new TopologyTestDriver(builder.build()).inputTopic(numbers).pipeAll([
    { key: 'a', value: 1, timestampMs: 5 },
    { key: null, value: 2, timestampMs: 4 },
  ]);
  return lines;
}

test('[OP-23] print writes a line a record: the label, by default the name, key and value', () => {
  expect(printed((stream, write) => stream.print({ write }))).toEqual([
    '[print-numbers]: a, 1',
    '[print-numbers]: null, 2',
  ]);
  const named = printed((stream, write) => stream.print({ write, name: 'mine' }));
  expect(named[0]).toBe('[mine]: a, 1');
  const labelled = printed((stream, write) => stream.print({ write, name: 'mine', label: 'in' }));
  expect(labelled[0]).toBe('[in]: a, 1');
});

test('[OP-23] a mapper makes the text of a record', () => {
  const mapper = ({ key, value, timestampMs }: StreamRecord<string | null, number>) =>
    `${key} is ${value} @${timestampMs}`;
  expect(printed((stream, write) => stream.print({ label: 'x', mapper, write }))).toEqual([
    '[x]: a is 1 @5',
    '[x]: null is 2 @4',
  ]);
});

test('[OP-23] an object is shown on one line, whatever it holds', () => {
  const objects = topic('objects', { key: string(), value: json() });
  const builder = new StreamsBuilder();
  const lines: string[] = [];
  builder.stream(objects).print({ label: 'x', write: (line) => void lines.push(line) });
  const value = { name: 'x'.repeat(100), list: [1, { deep: true }] };
  new TopologyTestDriver(builder.build()).inputTopic(objects).pipe({ key: 'k', value });
  expect(lines).toEqual([`[x]: k, { name: '${'x'.repeat(100)}', list: [ 1, { deep: true } ] }`]);
});

test('[OP-23] without a writer the lines go to standard output', () => {
  const { stdout } = process;
  const lines: unknown[] = [];
  const write = stdout.write.bind(stdout);
  stdout.write = (line) => lines.push(line) > 0;
  try {
    printed((stream) => {
      stream.print({ label: 'x' });
    });
  } finally {
    stdout.write = write;
  }
  expect(lines).toEqual(['[x]: a, 1\n', '[x]: null, 2\n']);
});
