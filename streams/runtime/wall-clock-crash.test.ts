import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  crashInput,
  crashOutput,
  crashRows,
  openDisk,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';
import { Division, DIVISION } from './division.ts';

/**
 * Counts the records of each key, and its own punctuations by the clock; forwards `old>new` of each
 * count. A punctuation adds the counts of all keys up, so it must not see uncommitted ones.
 */
function topology(): Topology {
  const builder = new StreamsBuilder();
  const countOf = builder.addStore(keyValueStore('own', { key: string(), value: int64() }));
  builder
    .stream(crashInput)
    .process<string, string>(
      (context) => {
        const store = context.store(countOf);
        const count = (key: string, timestampMs: number, add: number): void => {
          const before = store.get(key);
          store.put(key, (before ?? 0) + add, timestampMs);
          context.forward({ key, value: `${before ?? '-'}>${(before ?? 0) + add}` });
        };
        context.schedule(1, 'wall-clock', (timeMs) => count('tick', timeMs, 1));
        context.schedule(3, 'wall-clock', (timeMs) => {
          const sum = [...store.entries()].reduce((total, [key, value]) => {
            return key.startsWith('k') ? total + value : total;
          }, 0);
          count('sum of ticks', timeMs, sum - (store.get('sum of ticks') ?? 0));
        });
        return { process: ({ key, timestampMs }) => count(key ?? '', timestampMs, 1) };
      },
      { name: 'own', stores: [countOf], key: string(), value: string() },
    )
    .to(crashOutput);
  return builder.build();
}

describe.each(WAYS_TO_STOP)('[OP-PROCESS-4] wall-clock punctuations after %s', (_, stop) => {
  test(`neither lose nor repeat anything, at any time, seed ${SEED}`, async () => {
    await sameAfterCrashes(topology, stop, { compares: 'chains', every: 11 });
  }, 60_000);
});

test('[OP-PROCESS-4] a punctuation in every turn does not keep the input from ending', async () => {
  const log = await openDisk(new MemoryFileSystem());
  await produce(log, crashInput, crashRows());
  await runToEnd(log, topology(), { stateDir: temporaryDirectory(), commitIntervalMs: 1 });
  expect((await readTopic(log, crashOutput, 'read_committed')).length).toBeGreaterThan(1_999);
});

test('[OP-PROCESS-4] nor do those of several groups keep each other from ending', async () => {
  const log = await openTestLog();
  const wide = topic('wide', { key: string(), value: int64(), partitions: 4 });
  const builder = new StreamsBuilder();
  builder.stream(wide, { nullKeys: 'fail' }).process<string, number>((context) => {
    context.schedule(1, 'wall-clock', () => context.commit());
    return { process: () => undefined };
  });
  await produce(
    log,
    wide,
    Array.from({ length: 100 }, (_, index) => [`k${index}`, index, index] as const),
  );
  const app = await runToEnd(log, builder.build(), {
    ...{ commitIntervalMs: 1, [DIVISION]: new Division(4) },
  });
  expect(app.metrics().processedRecords).toBe(100);
});
