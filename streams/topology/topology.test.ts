import { expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { joinWindow } from './join-window.ts';
import type { Topology } from './topology.ts';

const others = topic('others', { key: string(), value: int64() });

/** `id: sources -> other nodes (stores)` of each sub-topology. */
function parts({ subTopologies }: Topology): string[] {
  return subTopologies.map(({ id, sources, nodes, stores }) => {
    const from = sources.map(({ name }) => name);
    const rest = nodes.filter((name) => !from.includes(name));
    return `${id}: ${from.join()} -> ${rest.join()} (${stores.join()})`;
  });
}

test('[STREAMS-5] unconnected streams run in different sub-topologies', () => {
  const builder = new StreamsBuilder();
  builder.stream(numbers, { name: 'a' }).to(sums, { name: 'x' });
  builder.stream(others, { name: 'b' }).to(sums, { name: 'y' });
  expect(parts(builder.build())).toEqual(['0: a -> x ()', '1: b -> y ()']);
});

test('[STREAMS-5] a repartition topic ends one sub-topology and starts a later one', () => {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers, { name: 'a' })
    .selectKey(({ key }) => key, { name: 'k', key: string() })
    .groupByKey()
    .count({ store: 's', name: 'c' })
    .toStream({ name: 't' })
    .to(sums, { name: 'x' });
  expect(parts(builder.build())).toEqual([
    '0: a -> k,s-repartition ()',
    '1: s-repartition -> c,t,x (s)',
  ]);
});

test('[STREAMS-5] nodes that share a store run together', () => {
  const builder = new StreamsBuilder();
  const table = builder.table(others, { name: 't' });
  builder.stream(numbers, { name: 'a' }).join(table, (a) => a, { name: 'j' });
  const [only, ...more] = builder.build().subTopologies;
  expect(more).toEqual([]);
  expect(only?.sources.map(({ name }) => name)).toEqual(['source-others', 'a']);
  expect(only?.stores).toEqual(['others']);
});

test('[STREAMS-1] no two repartition topics have one name', () => {
  const builder = new StreamsBuilder();
  const left = builder.stream(numbers, { nullKeys: 'fail' });
  const rekeyed = left.selectKey(({ key }) => key, { key: string() });
  rekeyed.join(builder.stream(others), (a) => a, {
    ...{ window: joinWindow({ differenceMs: 5 }), store: 'j', name: 'join' },
  });
  const table = builder.table(topic('more', { key: string(), value: int64() }));
  const join = () =>
    table.join(builder.table(sums), {
      foreignKey: ({ key }) => key,
      joiner: (a: number) => a,
      store: 'j',
    });
  expect(join).toThrow('there is a repartition topic called j-left already');
});
