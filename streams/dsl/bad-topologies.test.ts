import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import { TopologyTestDriver } from '../testing/index.ts';
import { joinWindow } from '../topology/join-window.ts';
import type { ProcessorContext } from '../topology/processor.ts';
import { keyValueStore } from './stores.ts';
import { StreamsBuilder } from './streams-builder.ts';

const serdes = { key: string(), value: int64() };
const of = (name: string, partitions = 2) => topic(name, { ...serdes, partitions });
const out = topic('out', serdes);

/** The code and the message of the error. */
function refusal(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    return error instanceof StreamsError ? `${error.code}: ${error.message}` : String(error);
  }
  return 'accepted';
}

/** A builder with a stream that has no null keys. */
function start() {
  const builder = new StreamsBuilder();
  return { builder, stream: builder.stream(of('a'), { nullKeys: 'fail' }) };
}

describe('[STREAMS-3] is refused when the topology is built', () => {
  const window = joinWindow({ differenceMs: 1 });
  const elsewhere = new StreamsBuilder();
  const [otherStream, otherTable] = [elsewhere.stream(of('s')), elsewhere.table(of('t'))];
  const otherStore = elsewhere.addStore(keyValueStore('own', serdes));
  const none = () => ({ process: () => undefined });
  type Start = ReturnType<typeof start>;

  test.each<[string, (begin: Start) => unknown, string]>([
    [
      'a cycle',
      ({ builder, stream }) => {
        stream.repartition({ name: 'again' }).merge(stream).to(out);
        builder.build();
      },
      'TOPOLOGY_INVALID: the topology cannot run: what again-repartition repartitions is joined ' +
        'or merged with what comes of it',
    ],
    [
      'a topic that is read twice',
      ({ builder }) => {
        builder.table(of('a'));
        builder.build();
      },
      'TOPOLOGY_INVALID: the topology cannot run: topic a is read by source-a and by',
    ],
    [
      'a table of a topic twice',
      ({ builder }) => [builder.table(of('b')), builder.table(of('b'))],
      'NAME_TAKEN: there is a store called b already',
    ],
    [
      'a store name twice',
      ({ stream }) => {
        stream.groupByKey().count({ store: 'counts' });
        stream.groupByKey().count({ store: 'counts' });
      },
      'NAME_TAKEN: there is a store called counts already; give one of them another name',
    ],
    [
      'a store name twice, by different operators',
      ({ builder, stream }) => {
        builder.addStore(keyValueStore('counts', serdes));
        stream.toTable({ store: 'counts' });
      },
      'NAME_TAKEN: there is a store called counts already',
    ],
    [
      'a join of a stream and a table that are not co-partitioned',
      ({ builder, stream }) => {
        stream.join(builder.table(of('b', 3)), (left) => left);
        builder.build();
      },
      'COPARTITIONING: topics that meet in store b need equally many partitions: a has 2, b has 3',
    ],
    [
      'a join of streams that are not co-partitioned',
      ({ builder, stream }) => {
        stream.join(builder.stream(of('b', 3)), (left) => left, { window, store: 'j' });
        builder.build();
      },
      'COPARTITIONING: topics that meet in store j-left, j-right need',
    ],
    [
      'a join of tables that are not co-partitioned',
      ({ builder }) => {
        builder.table(of('b')).join(builder.table(of('c', 3)), (left) => left);
        builder.build();
      },
      'COPARTITIONING: topics that meet in store b, c need',
    ],
    [
      'a stream of another builder',
      ({ stream }) => stream.outerJoin(otherStream, () => 1, { window }),
      'TOPOLOGY_INVALID: outerJoin needs both sides from one StreamsBuilder',
    ],
    [
      'a table of another builder',
      ({ builder }) => builder.table(of('b')).leftJoin(otherTable, (left) => left),
      'TOPOLOGY_INVALID: leftJoin needs both sides from one StreamsBuilder',
    ],
    [
      'a table of another builder, by a foreign key',
      ({ builder }) =>
        builder.table(of('b')).join(otherTable, {
          ...{ foreignKey: ({ key }) => key, joiner: (left: number) => left },
        }),
      'TOPOLOGY_INVALID: join needs both sides from one StreamsBuilder',
    ],
    [
      'a table of another builder, for a processor',
      ({ stream }) => stream.process(none, { tables: [otherTable] }),
      'TOPOLOGY_INVALID: process: tables[0] is of another builder',
    ],
    [
      'a store of another builder',
      ({ stream }) => stream.processValues(none, { stores: [otherStore] }),
      'TOPOLOGY_INVALID: processValues: store own is not of this builder; add it with addStore()',
    ],
  ])('%s', (_, make, message) => {
    expect(refusal(() => make(start()))).toContain(message);
  });
});

describe('[OP-PROCESS-8] a processor', () => {
  test.each([-1, 0.5, NaN])('does not forward a record for the time %s', (timestampMs) => {
    for (const isValue of [false, true]) {
      const { builder, stream } = start();
      const results = isValue
        ? stream.processValues<number>(
            (context) => ({ process: ({ value }) => context.forward(value, { timestampMs }) }),
            { name: 'mine' },
          )
        : stream.process<string, number>(
            (context) => ({ process: (record) => forward(record, context, timestampMs) }),
            { name: 'mine' },
          );
      results.to(out);
      const driver = new TopologyTestDriver(builder.build());
      const pipe = () => driver.inputTopic(of('a')).pipe({ key: 'k', value: 1, timestampMs: 5 });
      expect(refusal(pipe)).toMatch(
        /^PROCESSING_FAILED: mine failed on a-0 at offset 0: .*whole milliseconds since 1970, not/,
      );
      expect(driver.outputTopic(out).readAll()).toEqual([]);
    }
  });
});

function forward(
  { key, value }: { readonly key: string; readonly value: number },
  context: ProcessorContext<string, number>,
  timestampMs: number,
): void {
  context.forward({ key, value, timestampMs });
}

test('[OP-17] a record with a negative time ends a test', () => {
  const { builder, stream } = start();
  stream.to(out);
  const driver = new TopologyTestDriver(builder.build());
  const pipe = () => driver.inputTopic(of('a')).pipe({ key: 'k', value: 1, timestampMs: -1 });
  expect(refusal(pipe)).toContain('its time is -1; whole milliseconds since 1970 are needed');
});
