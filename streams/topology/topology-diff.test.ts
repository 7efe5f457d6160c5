import { expect, test } from 'vitest';
import {
  double,
  int64,
  json,
  string,
  topic,
  validated,
  versioned,
  type Serde,
} from '../../core/index.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { KStream } from '../dsl/kstream.ts';
import type { Topology } from './topology.ts';
import { readsBytesOf } from './store-changes.ts';
import type { TopologyModel } from './topology-model.ts';
import { sessionWindow, tumblingWindow } from './windows.ts';

const numbers = topic('numbers', { key: string(), value: int64() });

function topology(
  add: (stream: KStream<string, number>, builder: StreamsBuilder) => void,
): Topology {
  const builder = new StreamsBuilder();
  add(builder.stream(numbers, { name: 'in', nullKeys: 'skip' }), builder);
  return builder.build();
}

function counting(options: { readonly store: string; readonly value?: Serde<number> }): Topology {
  return topology((stream) => stream.groupByKey().count(options));
}

/** The lines of a diff about stores and internal topics. */
function lines(before: Topology, after: Topology, options = {}): string[] {
  const diff = after.diff(before, options);
  // What was saved and read again says the same.
  const saved = JSON.parse(before.describe().toJson()) as TopologyModel;
  expect(after.diff(saved, options).toString()).toBe(diff.toString());
  const text = diff.toString().split('\n');
  return text.filter((line) => / (store|table|internal topic) /.test(line));
}

const counts = counting({ store: 'counts' });

test('[EVO-DIFF-1] equal topologies do not differ', () => {
  expect(counts.diff(counting({ store: 'counts' }))).toMatchObject({ changes: [], effect: 'safe' });
  expect(String(counts.diff(counts))).toBe('No changes\n');
});

test('[EVO-DIFF-1] prints a line for each change, the worst first', () => {
  const before = topology((stream) => {
    stream.groupByKey().count({ store: 'counts' });
    stream.filter(() => true, { name: 'kept' }).foreach(() => undefined, { name: 'end' });
  });
  const after = topology((stream) => {
    stream.groupByKey().count({ store: 'counts', value: double() });
    stream.toTable({ store: 'rows' });
    stream.filter(() => true, { name: 'kept' }).to(numbers2, { name: 'out' });
  });
  expect(`\n${after.diff(before).toString()}`).toMatchInlineSnapshot(`
    "
    misread store counts changed: value serde int64 -> double; what is in it would be read wrongly
    safe    store rows added: it begins empty
    safe    topic numbers-2 added
    safe    node to-table-rows added
    safe    node out added
    safe    node end removed
    "
  `);
  const json = JSON.parse(after.diff(before).toJson()) as { readonly effect: string };
  expect(json).toEqual({ effect: 'misread', changes: after.diff(before).changes });
  expect(after.diff(before).changes[0]).toEqual({
    ...{ subject: 'store', name: 'counts', change: 'changed', effect: 'misread' },
    fields: [{ field: 'value serde', before: 'int64', after: 'double' }],
    reason: 'what is in it would be read wrongly',
  });
});

const numbers2 = topic('numbers-2', { key: string(), value: int64() });

test('[EVO-DIFF-1] a time to live is longer or shorter, begins, or ends', () => {
  const expiring = (ttlMs: number) =>
    topology((stream) => stream.groupByKey().count({ store: 'counts', ttlMs }));
  expect(lines(expiring(1_000), expiring(2_000))).toEqual([
    'safe    store counts-ttl changed: ttlMs 1000 -> 2000; rows that are there stay as long as ' +
      'it now says, too',
  ]);
  expect(lines(counts, expiring(1_000))).toEqual([
    'safe    store counts-ttl added: a row that is there expires only after its next change',
  ]);
  expect(lines(expiring(1_000), counts)).toEqual([
    'orphan  store counts-ttl removed: no row would expire any more',
  ]);
});

test('[EVO-DIFF-2] a store that is gone is an orphan, unless its topic is not its own', () => {
  const none = topology((stream) => stream.foreach(() => undefined));
  expect(lines(counts, none)).toEqual([
    'orphan  store counts removed: nothing would read what is in it any more',
  ]);
  expect(lines(counts, counting({ store: 'tally' }))).toEqual([
    'orphan  store counts removed: nothing would read what is in it any more; tally may be its ' +
      'new name',
    'safe    store tally added: it begins empty',
  ]);
  const table = topology((_, builder) => builder.table(numbers2, { store: 'rows' }));
  expect(lines(table, none)).toEqual(['safe    store rows removed: nothing of it is lost']);
});

test('[EVO-DIFF-2] what would be read wrongly: kind, serdes, windows, stretches', () => {
  const windowed = (sizeMs: number, graceMs = 0) =>
    topology((stream) => {
      stream
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs, graceMs }))
        .count({ store: 'counts' });
    });
  const sessions = (graceMs: number) =>
    topology((stream) => {
      const windows = sessionWindow({ gapMs: 10, graceMs });
      stream.groupByKey().windowedBy(windows).count({ store: 'counts' });
    });
  const wrongly = 'what is in it would be read wrongly';
  expect(lines(counts, counting({ store: 'counts', value: double() }))).toEqual([
    `misread store counts changed: value serde int64 -> double; ${wrongly}`,
  ]);
  expect(lines(windowed(10), windowed(20))).toEqual([
    'misread store counts changed: windows 10 ms every 10 ms -> 20 ms every 20 ms, ' +
      `retentionMs 10 -> 20; ${wrongly}`,
  ]);
  expect(lines(windowed(10), windowed(10, 5))).toEqual([
    'safe    store counts changed: retentionMs 10 -> 15; it keeps more from now on; what has ' +
      'gone does not come back',
  ]);
  expect(lines(windowed(10, 5), windowed(10))).toEqual([
    'safe    store counts changed: retentionMs 15 -> 10; what is older than it now keeps goes',
  ]);
  expect(lines(counts, windowed(10))[0]).toMatch(
    /^misread store counts .*kind keyValue -> window,/,
  );
  expect(lines(sessions(0), sessions(1000))[0]).toMatch(/^misread .* stretchMs 11 -> 64, /);
});

test('[EVO-DIFF-2] where a store is read back from', () => {
  const rows = topic('rows', { key: string(), value: string() });
  const own = (changelog: boolean) =>
    topology((stream, builder) => {
      const serdes = { key: string(), value: string() };
      const store = builder.addStore(keyValueStore('rows', { ...serdes, changelog }));
      stream.process(() => ({ process: () => undefined }), { stores: [store], name: 'p' });
    });
  const table = topology((_, builder) => builder.table(rows, { store: 'rows' }));
  expect(lines(own(true), own(false))[0]).toContain(
    'topic its changelog -> none; what it has from',
  );
  expect(lines(own(true), own(false))[0]).toMatch(/^orphan /);
  expect(lines(own(false), own(true))[0]).toMatch(/^migrate store rows .*it begins empty$/);
  expect(lines(table, own(true))[0]).toMatch(
    /^orphan .*what it has from rows would be left behind/,
  );
  const others = topic('other-rows', { key: string(), value: string() });
  const moved = topology((_, builder) => builder.table(others, { store: 'rows' }));
  expect(lines(table, moved)[0]).toMatch(/^migrate .*it is read back from other-rows$/);
  const other = topic('rows', { key: string(), value: json<string>() });
  const changed = topology((_, builder) => builder.table(other, { store: 'rows' }));
  expect(lines(table, changed)[0]).toBe(
    'migrate store rows changed: value serde string -> json; it is read back from rows',
  );
});

test('[EVO-DIFF-3] a serde may take over what it reads', () => {
  const newer = versioned(0, int64()).upgrade(1, double(), Number);
  expect(lines(counts, counting({ store: 'counts', value: newer }))).toEqual([
    'safe    store counts changed: value serde int64 -> versioned(1, double); it reads what ' +
      'the old serde has written',
  ]);
  expect(lines(counting({ store: 'counts', value: newer }), counts)[0]).toMatch(/^misread /);
  const anything = { version: 1, vendor: 'x', validate: (value: unknown) => ({ value }) } as const;
  const described = (serde: Serde<unknown>) => ({ name: serde.name, reads: serde.reads ?? [] });
  const bare = described(json());
  const checked = described(validated({ '~standard': anything }, json()));
  expect(readsBytesOf(checked, bare) && readsBytesOf(bare, checked)).toBe(true);
  const keyed = (key: Serde<string>) =>
    topology((stream) => stream.groupBy(({ key: each }) => each, { key }).count({ store: 'n' }));
  const key = versioned(0, string()).upgrade(1, string(), String);
  const changed = 'key serde string -> versioned(1, string)';
  const before = 'what is in it has to be processed first: the start looks, and refuses if not';
  expect(lines(keyed(string()), keyed(key))).toEqual([
    'misread store n changed: key serde string -> versioned(1, string); keys would be looked ' +
      'for by other bytes',
    `migrate internal topic n-repartition changed: ${changed}; ${before}`,
  ]);
  const nested = { name: 'change(validated(versioned(1, json)))', reads: [] };
  expect(readsBytesOf({ name: 'change(versioned(1, json))', reads: [] }, nested)).toBe(true);
  expect(readsBytesOf({ name: 'change(json)', reads: [] }, nested)).toBe(false);
});

test('[EVO-DIFF-4] a rename is a move, unless the content changed, too', () => {
  const renamedStores = { tally: 'counts' };
  expect(lines(counts, counting({ store: 'tally' }), { renamedStores })).toEqual([
    'migrate store tally renamed: name counts -> tally; its changelog is copied',
  ]);
  const other = counting({ store: 'tally', value: double() });
  expect(lines(counts, other, { renamedStores })).toEqual([
    'misread store tally renamed: name counts -> tally, value serde int64 -> double; what is ' +
      'in it would be read wrongly',
  ]);
  expect(lines(counts, counts, { renamedStores: {} })).toEqual([]);
  for (const wrong of [5, ['counts'], { tally: 5 }]) {
    expect(() => counts.diff(counts, { renamedStores: wrong as never })).toThrow(
      'renamedStores must be the old names by the new ones',
    );
  }
});

test('[EVO-DIFF-5] repartition topics that go or change have to be processed before', () => {
  const grouped = (value: Serde<number>, partitions?: number) =>
    topology((stream) => {
      const options = partitions === undefined ? {} : { partitions };
      stream
        .groupBy(({ key }) => key, { key: string(), value, ...options })
        .reduce((sum, one) => sum + one, { store: 'sums', value: int64() });
    });
  const direct = topology((stream) => {
    stream.groupByKey().reduce((sum, one) => sum + one, { store: 'sums', value: int64() });
  });
  const before = 'what is in it has to be processed first: the start looks, and refuses if not';
  expect(lines(grouped(int64()), direct)).toContain(
    `migrate internal topic sums-repartition removed: ${before}`,
  );
  expect(lines(grouped(int64()), grouped(double()))).toEqual([
    `migrate internal topic sums-repartition changed: value serde int64 -> double; ${before}`,
  ]);
  expect(lines(grouped(int64(), 2), grouped(int64(), 3))).toEqual([
    'misread internal topic sums-repartition changed: partitions 2 -> 3; keys would be in other ' +
      'partitions than before',
  ]);
  // The store moves to the tasks of another sub-topology.
  expect(lines(direct, grouped(int64()))).toContain(
    'migrate store sums changed: sub-topology 0 -> 1; other tasks have it, and read it back from ' +
      'its topic',
  );
});

test('[EVO-DIFF-6] what is no topology and no description cannot be compared', () => {
  const model = JSON.parse(counts.describe().toJson()) as TopologyModel;
  const older = { ...model, topics: model.topics.map(({ name }) => ({ name })) };
  for (const previous of [undefined, null, {}, 'text', older, { ...model, subTopologies: 1 }]) {
    expect(() => counts.diff(previous as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    );
  }
});
