import { rmSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { ownTopology } from '../../test/kit/graph.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StoreCodec } from '../state/codec.ts';
import { KeySpace } from '../state/key-space.ts';
import type { StoreKind, TaskStore } from '../state/store-kind.ts';
import { STORE_KINDS } from '../state/store-kinds.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { Operator } from '../topology/operator.ts';
import type { StoreHandle } from '../topology/store.ts';
import type { Topology } from '../topology/topology.ts';

const numbers = topic('numbers', { key: string(), value: int64() });
const records = topic('records', { key: string(), value: int64() });

/** A store of a test's own: the largest number of each key. */
interface LargestStore {
  /** Returns true if the number is larger than all before. */
  raise(key: string, value: number, timestampMs: number): boolean;
}

const largestKind: StoreKind = {
  title: 'store of largest numbers',
  writes: { keyBytes: 0, methods: { raise: { key: 0, value: 1 } } },
  changelogConfig: { cleanupPolicy: 'compact' },
  codec: (spec) => new StoreCodec(spec),
  open: (spec, environment, isNew): LargestStore & TaskStore => {
    const codec = new StoreCodec(spec);
    const space = new KeySpace({ name: spec.name, codec, environment, isNew });
    return {
      spec,
      codec,
      span: undefined,
      get memoryCount() {
        return space.count;
      },
      raise: (key, value, timestampMs) => {
        if (value <= ((space.get(key) as number | undefined) ?? -Infinity)) return false;
        space.put(key, value, timestampMs);
        return true;
      },
      takeChanged: (visit) => space.takeChanged(visit),
      takePending: () => space.takePending(),
      restore: (key, value, timestampMs) =>
        space.restore(key, value && codec.decodeValue(value), timestampMs),
      expire: () => undefined,
      shrinkTo: (count) => space.shrinkTo(count),
    };
  },
};

const largestStore = (name: string): StoreHandle<LargestStore> => ({ name, kind: 'largest' });

/** Forwards each record that is the largest of its key so far. */
const keepLargest: Operator<string, number, string, number> = {
  kind: 'keep-largest',
  changesKey: false,
  start: (forward, context) => {
    const store = context.store(largestStore('largest'));
    return {
      process: (record) => {
        if (store.raise(record.key, record.value, record.timestampMs)) forward(record);
      },
    };
  },
};

function topology(): Topology {
  const serdes = { key: string(), value: int64(), backing: 'changelog' } as const;
  return ownTopology({
    input: numbers,
    output: records,
    stores: [{ ...largestStore('largest'), ...serdes }],
    nodes: [{ name: 'keep', operator: keepLargest, stores: ['largest'] }],
  });
}

/** The line in the list. */
function listKind(): void {
  const list = STORE_KINDS as Record<string, StoreKind>;
  list['largest'] = largestKind;
  onTestFinished(() => {
    delete list['largest'];
  });
}

test('[STATE-19] a kind of store is one descriptor: checkpoints, changelog, restarts', async () => {
  listKind();
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  const run = async (...rows: readonly (readonly [string, number, number])[]) => {
    await produce(log, numbers, rows);
    await runToEnd(log, topology(), { stateDir });
    return committedRows(log, records);
  };
  expect(await run(['a', 5, 1], ['a', 3, 2])).toEqual(['a 5 @1']);
  expect(await run(['a', 4, 3], ['b', 1, 4])).toEqual(['a 5 @1', 'b 1 @4']); // from the checkpoint
  rmSync(stateDir, { recursive: true });
  expect(await run(['a', 5, 5], ['b', 2, 6])).toEqual(['a 5 @1', 'b 1 @4', 'b 2 @6']);
  const config = await log.admin().describeConfigs('app-largest-changelog');
  expect(config.find(({ name }) => name === 'cleanup.policy')?.value).toBe('compact');
});

test('[STATE-19] messages call a store what its kind is called', () => {
  listKind();
  const driver = new TopologyTestDriver(topology());
  expect(() => driver.keyValueStore('largest')).toThrow(
    'store largest is a store of largest numbers, and not a key-value store',
  );
});
