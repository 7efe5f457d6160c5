import { expect, test } from 'vitest';
import { int64, string, topic, topicPattern } from '../../core/index.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from './topology.ts';
import { tumblingWindow } from './windows.ts';

/** A stream with a processor and a join, repartitioned into windows; a global table. */
function topology(): Topology {
  const builder = new StreamsBuilder();
  const serdes = { key: string(), value: int64() };
  const names = builder.globalTable(topic('names', serdes));
  const prices = builder.table(topic('prices', serdes));
  const seen = builder.addStore(keyValueStore('seen', { ...serdes, changelog: false }));
  const first = builder
    .stream(numbers, { name: 'in' })
    .process<string, number>(() => ({ process: () => undefined }), { stores: [seen], ...serdes });
  first
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10, graceMs: 5 }))
    .count({ store: 'counts', value: int64() })
    .toStream()
    .map(({ key, value }) => ({ key: key.key, value }))
    .to(sums, { name: 'out' });
  builder
    .stream(topic('orders', serdes), { name: 'orders "new"' })
    .join(prices, (left, right) => left * right, { name: 'price' })
    .leftJoin(
      names,
      ({ key }) => key,
      (left) => left,
      { name: 'name' },
    )
    .to(sums);
  return builder.build();
}

test('[STREAMS-DESCRIBE-1] describes sub-topologies, nodes, stores and topics as text', () => {
  expect(`\n${topology().describe().toString()}`).toMatchInlineSnapshot(`
    "
    Topologies:
       Sub-topology: 0
        Source: source-prices (topics: [prices])
          --> table-prices
        Processor: table-prices (table-source, stores: [prices])
          --> none
          <-- source-prices
        Source: orders "new" (topics: [orders])
          --> price
        Processor: price (join, stores: [prices])
          --> name
          <-- orders "new"
        Processor: name (left-join, stores: [])
          --> sink-sums
          <-- price
        Sink: sink-sums (topic: sums)
          <-- name
        Store: prices (keyValue, topic: prices)
       Sub-topology: 1
        Source: in (topics: [numbers])
          --> process-seen
        Processor: process-seen (process, stores: [seen])
          --> counts-repartition
          <-- in
        Sink: counts-repartition (topic: counts-repartition)
          <-- process-seen
        Store: seen (keyValue, topic: none)
       Sub-topology: 2
        Source: counts-repartition (topics: [counts-repartition])
          --> windowed-count-counts
        Processor: windowed-count-counts (windowed-count, stores: [counts])
          --> to-stream-counts
          <-- counts-repartition
        Processor: to-stream-counts (to-stream, stores: [])
          --> map-counts
          <-- windowed-count-counts
        Processor: map-counts (map, stores: [])
          --> out
          <-- to-stream-counts
        Sink: out (topic: sums)
          <-- map-counts
        Store: counts (window, topic: counts-changelog, retention: 15 ms)
       Global table: names (keyValue, topic: names)
    "
  `);
});

test('[STREAMS-DESCRIBE-1] as a flowchart in Mermaid', () => {
  expect(`\n${topology().describe().toMermaid()}`).toMatchInlineSnapshot(`
    "
    flowchart TD
      n0>"prices"]
      n1>"numbers"]
      n2[["counts-repartition"]]
      n3>"sums"]
      n4>"orders"]
      n5>"names"]
      subgraph sub0["Sub-topology 0"]
        n6["source-prices"]
        n7["table-prices (table-source)"]
        n8["orders #quot;new#quot;"]
        n9["price (join)"]
        n10["name (left-join)"]
        n11["sink-sums"]
        n12[("prices")]
      end
      subgraph sub1["Sub-topology 1"]
        n13["in"]
        n14["process-seen"]
        n15["counts-repartition"]
        n16[("seen")]
      end
      subgraph sub2["Sub-topology 2"]
        n17["counts-repartition"]
        n18["windowed-count-counts"]
        n19["to-stream-counts"]
        n20["map-counts"]
        n21["out"]
        n22[("counts")]
      end
      n23[("names")]
      n0 --> n6
      n6 --> n7
      n7 -.- n12
      n4 --> n8
      n8 --> n9
      n9 --> n10
      n9 -.- n12
      n10 --> n11
      n11 --> n3
      n1 --> n13
      n13 --> n14
      n14 --> n15
      n14 -.- n16
      n15 --> n2
      n2 --> n17
      n17 --> n18
      n18 --> n19
      n18 -.- n22
      n19 --> n20
      n20 --> n21
      n21 --> n3
      n5 --> n23
    "
  `);
});

test('[STREAMS-DESCRIBE-1] as a graph for Graphviz', () => {
  expect(`\n${topology().describe().toDot()}`).toMatchInlineSnapshot(`
    "
    digraph topology {
      rankdir=TB;
      n0 [label="prices", shape=larrow];
      n1 [label="numbers", shape=larrow];
      n2 [label="counts-repartition", shape=cds];
      n3 [label="sums", shape=larrow];
      n4 [label="orders", shape=larrow];
      n5 [label="names", shape=larrow];
      subgraph cluster_0 {
        label="Sub-topology 0";
        n6 [label="source-prices", shape=box];
        n7 [label="table-prices (table-source)", shape=box];
        n8 [label="orders \\"new\\"", shape=box];
        n9 [label="price (join)", shape=box];
        n10 [label="name (left-join)", shape=box];
        n11 [label="sink-sums", shape=box];
        n12 [label="prices", shape=cylinder];
      }
      subgraph cluster_1 {
        label="Sub-topology 1";
        n13 [label="in", shape=box];
        n14 [label="process-seen", shape=box];
        n15 [label="counts-repartition", shape=box];
        n16 [label="seen", shape=cylinder];
      }
      subgraph cluster_2 {
        label="Sub-topology 2";
        n17 [label="counts-repartition", shape=box];
        n18 [label="windowed-count-counts", shape=box];
        n19 [label="to-stream-counts", shape=box];
        n20 [label="map-counts", shape=box];
        n21 [label="out", shape=box];
        n22 [label="counts", shape=cylinder];
      }
      n23 [label="names", shape=cylinder];
      n0 -> n6;
      n6 -> n7;
      n7 -> n12 [dir=none, style=dashed];
      n4 -> n8;
      n8 -> n9;
      n9 -> n10;
      n9 -> n12 [dir=none, style=dashed];
      n10 -> n11;
      n11 -> n3;
      n1 -> n13;
      n13 -> n14;
      n14 -> n15;
      n14 -> n16 [dir=none, style=dashed];
      n15 -> n2;
      n2 -> n17;
      n17 -> n18;
      n18 -> n19;
      n18 -> n22 [dir=none, style=dashed];
      n19 -> n20;
      n20 -> n21;
      n21 -> n3;
      n5 -> n23;
    }
    "
  `);
});

test('[STREAMS-DESCRIBE-1] as JSON, the same data', () => {
  const described = topology().describe();
  const { subTopologies, globalTables, topics } = described;
  const data = JSON.parse(described.toJson()) as unknown;
  expect(data).toEqual(JSON.parse(JSON.stringify({ subTopologies, globalTables, topics })));
  expect(subTopologies.map(({ nodes }) => nodes.length)).toEqual([6, 3, 5]);
});

test('[STREAMS-DESCRIBE-2] each edge is described from both of its ends', () => {
  for (const { nodes } of topology().describe().subTopologies) {
    const down = nodes.flatMap(({ name, successors }) => successors.map((to) => `${name} > ${to}`));
    const up = nodes.flatMap(({ name, predecessors }) =>
      predecessors.map((from) => `${from} > ${name}`),
    );
    expect(up.sort()).toEqual(down.sort());
  }
});

test('[STREAMS-DESCRIBE-3] names stay when operators are added elsewhere', () => {
  const describe = (hasMore: boolean) => {
    const builder = new StreamsBuilder();
    const serdes = { key: string(), value: int64() };
    const stream = builder.stream(numbers, { name: 'in' });
    if (hasMore) stream.filter(() => true).foreach(() => undefined);
    const table = stream
      .filter(() => true, { name: 'kept' })
      .groupBy(({ key }) => key, { key: string(), name: 'by' })
      .count({ store: 'counts' });
    if (hasMore) builder.stream(topic('more', serdes)).groupByKey().count({ store: 'more' });
    table.toStream({ name: 'changes' }).to(sums, { name: 'out' });
    stream.toTable({ store: 'rows' });
    const { subTopologies } = builder.build().describe();
    return subTopologies.flatMap(({ nodes }) => nodes.map(({ name, kind }) => `${kind} ${name}`));
  };
  const [few, more] = [describe(false), describe(true)];
  expect(few).toEqual([
    'source in',
    'processor kept',
    'processor by',
    'sink counts-repartition',
    'processor to-table-rows',
    'source counts-repartition',
    'processor count-counts',
    'processor changes',
    'sink out',
  ]);
  expect(more).toEqual(expect.arrayContaining(few));
});

test('[STREAMS-DESCRIBE-3] so do names that nobody gave, also of stores and topics', () => {
  const describe = (hasMore: boolean) => {
    const builder = new StreamsBuilder();
    const more = () => builder.stream(topic('more', { key: string(), value: int64() }));
    if (hasMore)
      more()
        .groupByKey()
        .count()
        .toStream()
        .to(
          topic('also', {
            key: string(),
            value: int64(),
          }),
        );
    const stream = builder.stream(numbers);
    if (hasMore)
      stream
        .mapValues((value) => value)
        .groupByKey()
        .reduce((sum) => sum);
    stream
      .filter(() => true)
      .groupBy(({ key }) => key, { key: string() })
      .count()
      .toStream()
      .to(sums);
    const { subTopologies } = builder.build().describe();
    return subTopologies.flatMap(({ nodes, stores }) => [
      ...nodes.map(({ name, kind }) => `${kind} ${name}`),
      ...stores.map(({ name }) => `store ${name}`),
    ]);
  };
  const [few, more] = [describe(false), describe(true)];
  expect(few).toEqual([
    'source source-numbers',
    'processor filter-numbers',
    'processor select-key-numbers',
    'sink count-numbers-repartition',
    'source count-numbers-repartition',
    'processor count-numbers',
    'processor to-stream-numbers',
    'sink sink-sums',
    'store count-numbers',
  ]);
  expect(more).toEqual(expect.arrayContaining(few));
});

test('[STREAMS-DESCRIBE-3] several of a kind with one origin are numbered', () => {
  const builder = new StreamsBuilder();
  const pattern = topicPattern(/^a (b|c)/, { key: string(), value: int64() });
  const stream = builder.stream(pattern).peek(() => undefined);
  stream.peek(() => undefined).to(sums);
  stream.repartition().to(sums);
  stream
    .filter(() => true, { name: 'mine !' })
    .groupByKey()
    .count()
    .toStream()
    .to(sums);
  expect(builder.build().nodes.map(({ name }) => name)).toEqual([
    'source-a-b-c',
    'peek-a-b-c',
    'peek-a-b-c--2',
    'sink-sums',
    'repartition-a-b-c-repartition',
    'sink-sums--2',
    'mine !',
    'count-mine',
    'to-stream-mine',
    'sink-sums--3',
  ]);
});

test('[STREAMS-DESCRIBE-3] a number is not taken for the end of a topic', () => {
  const storesOf = (hasMore: boolean) => {
    const builder = new StreamsBuilder();
    const serdes = { key: string(), value: int64() };
    const orders = builder.stream(topic('orders', serdes));
    orders.groupByKey().count().toStream().to(sums);
    if (hasMore)
      orders
        .filter(() => true)
        .groupByKey()
        .count();
    builder.stream(topic('orders-2', serdes)).groupByKey().count();
    return [...builder.build().stores.keys()];
  };
  expect(storesOf(false)).toEqual(['count-orders', 'count-orders-2']);
  expect(storesOf(true)).toEqual(['count-orders', 'count-orders--2', 'count-orders-2']);
});
