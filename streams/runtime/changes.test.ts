import { describe, expect, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import {
  committedRows,
  makeApp,
  openTestLog,
  produce,
  runToEnd,
  until,
} from '../../test/kit/app.ts';
import { changes, oldAndNew } from '../../test/kit/changes.ts';
import { ownTopology } from '../../test/kit/graph.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { aggregate } from '../operators/aggregate.ts';
import { heldStoreSpec, storesFor, type TableEmit } from '../operators/emit.ts';
import { tableSource } from '../operators/table-source.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { Topology } from '../topology/topology.ts';

const numbers = topic('numbers', { key: string(), value: int64() });
const sums = topic('sums', { key: string(), value: int64() });

/** The aggregate changes in place. */
interface Total {
  sum: number;
}

const total = json<Total>();

/** Sums up numbers; a zero deletes. */
const summing = (emit: TableEmit) =>
  aggregate<string, number, Total>({
    kind: 'aggregate',
    store: 'totals',
    emit,
    add: (before = { sum: 0 }, { value }) => {
      before.sum += value;
      return value === 0 ? null : before;
    },
  });

function changesOf(emit: TableEmit): Topology {
  const [store, node, key] = ['totals', 'sum', string()];
  const held = typeof emit === 'object' ? [heldStoreSpec({ store, node, key, value: total })] : [];
  const show = oldAndNew<string, Total>(({ sum }) => sum);
  return ownTopology({
    input: numbers,
    output: changes,
    stores: [{ ...keyValueStore(store), key, value: total, backing: 'changelog' }, ...held],
    nodes: [
      { name: node, operator: summing(emit), stores: storesFor(store, emit) },
      { name: 'show', parent: node, operator: show, stores: [] },
    ],
  });
}

describe.each([
  ['from the changelogs', true],
  ['from the checkpoint', false],
])('[OP-TABLE-1] after restarts %s', (_, isLost) => {
  test.each([['each' as const], ['commit' as const], [{ everyMs: 1 }], [{ everyMs: 40 }]])(
    'an old value is what was passed on before, with emit %o',
    async (emit) => {
      const log = await openTestLog();
      const kept = temporaryDirectory();
      const values = [1, 2, 3, 0, 0, 4, 5, 6, 7, 0, 8, 9];
      for (let index = 0; index < 24; index += 3) {
        const rows = Array.from({ length: 3 }, (__, offset): [string, number, number] => {
          const at = index + offset;
          return [at % 2 === 0 ? 'a' : 'b', values[at % values.length]!, at * 7];
        });
        await produce(log, numbers, rows);
        const stateDir = isLost ? temporaryDirectory() : kept;
        const app = makeApp(log, changesOf(emit), { stateDir, cacheEntriesMax: 1 });
        await app.start();
        await until(() => app.metrics().processedRecords === 3);
        await app.close();
      }
      await runToEnd(log, changesOf(emit), { stateDir: temporaryDirectory() });
      const rows = await committedRows(log, changes);
      expect(rows.length).toBeGreaterThan(5);
      const last = new Map<string, string>();
      for (const row of rows) {
        const [, name = '', before, after = ''] = /^(\w) (.*)>(.*) @/.exec(row) ?? [];
        expect(before, row).toBe(last.get(name) ?? '-');
        last.set(name, after);
      }
      expect(Object.fromEntries(last)).toEqual({ a: '20', b: '9' });
    },
  );
});

test('[OP-TABLE-1] the changes of a table of a topic have the values before', async () => {
  const { key, value } = numbers;
  const backing = { sourceTopic: 'numbers' };
  const topology = ownTopology({
    input: numbers,
    output: changes,
    stores: [{ ...keyValueStore('rows'), key, value, backing }],
    nodes: [
      { name: 'table', operator: tableSource<string, number>('rows', 'each'), stores: ['rows'] },
      { name: 'show', parent: 'table', operator: oldAndNew<string, number>(), stores: [] },
    ],
  });
  const log = await openTestLog();
  await produce(log, numbers, [
    ['a', 1, 1],
    ['a', 2, 2],
    ['b', 5, 3],
  ]);
  await runToEnd(log, topology);
  await produce(log, numbers, [
    ['a', 3, 4],
    ['b', 5, 5],
  ]);
  await runToEnd(log, topology);
  expect(await committedRows(log, changes)).toEqual([
    'a ->1 @1',
    'a 1>2 @2',
    'b ->5 @3',
    'a 2>3 @4',
    'b 5>5 @5',
  ]);
});

test('[OP-TABLE-2] a join sees a table as it was passed on, not ahead of its changes', async () => {
  const queries = topic('queries', { key: string(), value: int64() });
  const builder = new StreamsBuilder();
  const table = builder.stream(numbers).groupByKey().count({ store: 'counts' });
  const joined = builder.stream(queries, { nullKeys: 'fail' }).leftJoin(table, (value, count) => {
    return value + (count ?? 0);
  });
  joined.to(sums);
  const log = await openTestLog();
  const run = async (first: number) => {
    await produce(log, numbers, [
      ['a', 1, first],
      ['a', 1, first + 1],
    ]);
    await produce(log, queries, [['a', 100, first + 2]]);
    await runToEnd(log, builder.build(), { commitIntervalMs: 10_000 }); // one commit
  };
  await run(1);
  await run(11);
  expect(await committedRows(log, sums)).toEqual(['a 100 @3', 'a 102 @13']);
});
