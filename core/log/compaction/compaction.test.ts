import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { batchSizeBytes, CODECS, readBatchHeader } from '../../record/batch.ts';
import { recordsOf } from '../../record/records.suite.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { Model, producersOf, readCommitted, type Written } from './compaction.suite.ts';
import { LOG_SUFFIX, offsetName } from '../segment/file-names.ts';
import { LogHost, spansOf, readBatches } from '../log-host.suite.ts';
import type { LogConfig } from '../log-config.ts';

const DIRECTORY = '/data/test-0';
const COMPACT: Partial<LogConfig> = { cleanupPolicy: 'compact', deleteRetentionMs: 1000 };

type Action =
  | { readonly do: 'append'; readonly written: Written }
  | { readonly do: 'end'; readonly producerId: number; readonly type: 'COMMIT' | 'ABORT' }
  | { readonly do: 'compact'; readonly dedupeBufferBytes: number }
  | { readonly do: 'checkpoint' | 'wait' | 'restart' | 'kill' | 'forget' };

const producerId = fc.integer({ min: 1, max: 3 });
const entries = fc.array(
  fc.tuple(
    fc.integer({ min: 0, max: 9 }).map((n) => `key ${n}`),
    fc.boolean(),
  ),
  { minLength: 1, maxLength: 6 },
);
const written = fc.record({
  entries,
  codec: fc.constantFrom(...CODECS),
  producerId: fc.option(producerId, { nil: undefined }),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 12, arbitrary: written.map((batch) => ({ do: 'append' as const, written: batch })) },
  {
    weight: 6,
    arbitrary: fc.record({ entries, producerId: producerId.map((id) => id + 10) }).map((batch) => ({
      do: 'append' as const,
      written: { ...batch, isTransactional: true },
    })),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      producerId: producerId.map((id) => id + 10),
      type: fc.constantFrom('COMMIT' as const, 'ABORT' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('compact' as const),
      dedupeBufferBytes: fc.constantFrom(1, 100, 1 << 20),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('checkpoint' as const, 'wait' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('restart' as const, 'kill' as const, 'forget' as const),
    }),
  },
);

async function play(actions: readonly Action[], fileSystem: MemoryFileSystem): Promise<void> {
  const clock = new ManualClock();
  const model = new Model();
  let host = await LogHost.open({ fileSystem, directory: DIRECTORY, config: COMPACT, clock });
  for (const step of actions) {
    if (step.do === 'append') await model.append(host, step.written);
    else if (step.do === 'end') await model.end(host, step.producerId, step.type);
    else if (step.do === 'wait') clock.advance(600);
    else if (step.do === 'checkpoint') await host.checkpoint();
    else if (step.do === 'compact') {
      await host.checkpoint();
      await host.compact({ dedupeBufferBytes: step.dedupeBufferBytes });
      await model.checkCompacted(host.log);
    } else {
      const before = producersOf(host.log);
      if (step.do === 'restart') host = await host.closeAndOpen();
      else host = await host.killAndOpen();
      if (step.do === 'forget') host = await withoutSnapshots(host, fileSystem);
      expect(producersOf(host.log)).toEqual(before);
    }
    await model.check(host.log);
  }
  await host.close();
  clock.advance(60_000); // removed segments are closed after a delay
  await vi.waitFor(() => expect(fileSystem.openFileCount).toBe(0));
}

/** Reopens a log without the files that can be rebuilt from its segments. */
async function withoutSnapshots(host: LogHost, fileSystem: MemoryFileSystem): Promise<LogHost> {
  await host.log.abandon();
  for (const name of await host.fileNames()) {
    if (/[.](snapshot|index|timeindex)$/.test(name))
      await fileSystem.remove(`${DIRECTORY}/${name}`);
  }
  return host.killAndOpen();
}

/** Appends each as a batch of one record, and begins a new segment. */
async function sealed(host: LogHost, model: Model, batches: readonly Written[]): Promise<void> {
  for (const batch of batches) await model.append(host, batch);
  await model.append(host, { entries: [['filler', false]] });
  for (let size = 0; size < 1000; size += 100) {
    await model.append(host, { entries: [['filler', false]] });
  }
  await host.checkpoint();
}

const value = (key: string): Written => ({ entries: [[key, false]] });
const tombstone = (key: string): Written => ({ entries: [[key, true]] });

async function opened(config: Partial<LogConfig> = {}) {
  const fileSystem = new MemoryFileSystem();
  const clock = new ManualClock();
  const host = await LogHost.open({
    fileSystem,
    directory: DIRECTORY,
    config: { ...COMPACT, ...config },
    clock,
  });
  return { fileSystem, clock, host, model: new Model() };
}

async function keysOf(host: LogHost): Promise<(string | null)[]> {
  return (await readCommitted(host.log)).map(({ key }) => key).filter((key) => key !== 'filler');
}

describe('what is kept', () => {
  test('[COMPACTION-1] any history: the newest of each key, and no other record', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 20, maxLength: 80 }), (actions) =>
        play(actions, new MemoryFileSystem()),
      ),
      { numRuns: 60 },
    );
  }, 120_000);

  test('[COMPACTION-2] a tombstone stays for deleteRetentionMs after a compaction', async () => {
    const { host, model, clock } = await opened();
    await sealed(host, model, [value('a'), value('b'), tombstone('a')]);
    await host.compact();
    expect(await keysOf(host)).toEqual(['b', 'a']);
    const timestamps = (await readCommitted(host.log)).map(({ timestampMs }) => timestampMs);
    expect(new Set(timestamps)).toEqual(new Set([clock.nowMs()])); // not that of the horizon

    clock.advance(999);
    await sealed(host, model, [value('c')]);
    await host.compact();
    expect(await keysOf(host)).toEqual(['b', 'a', 'c']);

    clock.advance(1);
    await sealed(host, model, [value('d')]);
    await host.compact();
    expect(await keysOf(host)).toEqual(['b', 'c', 'd']);
    await model.check(host.log);
  });

  test('[COMPACTION-3] aborted records go at once, their marker after its retention', async () => {
    const { host, model, clock } = await opened();
    const mine = { producerId: 11, isTransactional: true };
    const markers = async () => {
      const bytes = await readBatches(host.log);
      let count = 0;
      for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
        if (readBatchHeader(bytes, at).isControl) count++;
      }
      return count;
    };
    await model.append(host, { ...value('a'), ...mine });
    await model.append(host, { ...value('b'), ...mine });
    await model.end(host, 11, 'ABORT');
    await model.append(host, { ...value('c'), ...mine });
    await model.end(host, 11, 'COMMIT');
    await sealed(host, model, []);
    await host.compact();
    const read = recordsOf(await readBatches(host.log)).map(({ key }) => key);
    expect(read.filter((key) => key !== 'filler')).toEqual(['c']);
    expect(host.log.abortedTransactions(0, Infinity)).toHaveLength(1);
    expect(await markers()).toBe(2);

    await sealed(host, model, []);
    await host.compact(); // finds no data left, and sets a date
    expect(host.log.abortedTransactions(0, Infinity)).toHaveLength(0);
    expect(await markers()).toBe(2);
    clock.advance(1000);
    await sealed(host, model, []);
    await host.compact();
    expect(await markers()).toBe(1); // that of `c`, which is still there
    await model.check(host.log);
  });

  test('[COMPACTION-4] a producer continues although its records are gone', async () => {
    const { host, model, fileSystem } = await opened();
    const batch = { entries: [['a', false]], producerId: 3 } as const;
    await sealed(host, model, [batch, batch, value('a')]);
    const before = producersOf(host.log);
    await host.compact();
    expect(await keysOf(host)).toEqual(['a']);
    const again = await withoutSnapshots(host, fileSystem);
    expect(producersOf(again.log)).toEqual(before);
    const seal = { producerId: 3, producerEpoch: 0 };
    const repeated = again.append([{ key: 'a', value: 'x' }], { ...seal, baseSequence: 1 });
    expect(repeated.baseOffset).toBe(1);
    const next = again.append([{ key: 'a', value: 'x' }], { ...seal, baseSequence: 2 });
    expect(next.baseOffset).toBe(again.log.nextOffset - 1);
  });

  test.each(CODECS)(
    '[COMPACTION-5] %s: a batch keeps its codec, offsets and times',
    async (codec) => {
      const { host, model } = await opened();
      const entries = ['a', 'b', 'c', 'b'].map((key) => [key, false] as const);
      await sealed(host, model, [{ entries, codec }, value('b')]);
      await model.append(host, { entries: [['filler', false]] });
      const newest = await host.log.findMaxTimestamp();
      await host.compact();
      const bytes = await readBatches(host.log);
      const header = readBatchHeader(bytes, 0);
      expect(header).toMatchObject({ baseOffset: 0, lastOffset: 3, recordCount: 2, codec });
      const { offset: newestOffset, timestampMs } = newest!; // of the `b` that is gone
      expect(await host.log.findMaxTimestamp()).toEqual({
        offset: newestOffset - 1,
        timestampMs: timestampMs - 1,
      });
      await model.check(host.log);
      for (let offset = 0; offset < host.log.nextOffset; offset++) {
        const { bytes: found, nextOffset } = await host.log.read(offset, {
          endOffset: Infinity,
          maxBytes: 1,
        });
        expect(spansOf(found)[0]![1]).toBeGreaterThanOrEqual(offset);
        expect(nextOffset).toBeGreaterThan(offset);
      }
    },
  );
});

describe('what stays untouched', () => {
  test('[COMPACTION-6] the active segment, open transactions, the young, the new', async () => {
    const { host, model, clock } = await opened({ minCompactionLagMs: 1000 });
    const isDone = async () => (await host.compact()) !== undefined;
    await model.append(host, value('a'));
    await host.checkpoint();
    clock.advance(2000);
    expect(await isDone()).toBe(false); // it is in the active segment
    for (let count = 0; count < 30; count++) await model.append(host, value('a'));
    clock.advance(2000);
    expect(await isDone()).toBe(false); // no checkpoint
    await host.checkpoint();
    expect(await isDone()).toBe(true);
    const oldEnd = host.log.nextOffset;
    const transactional = { ...value('a'), producerId: 11, isTransactional: true };
    for (let count = 0; count < 30; count++) await model.append(host, value('a'));
    await model.append(host, transactional);
    for (let count = 0; count < 30; count++) await model.append(host, value('a'));
    await host.checkpoint();
    await host.compact();
    expect(await isDone()).toBe(false);
    expect(host.log.compaction.cleanedOffset).toBeLessThanOrEqual(oldEnd); // the rest is too young
    clock.advance(1001);
    expect(await isDone()).toBe(true);
    expect(host.log.compaction.cleanedOffset).toBeGreaterThan(oldEnd);
    expect(host.log.compaction.cleanedOffset).toBeLessThanOrEqual(host.log.lastStableOffset);
    expect(await isDone()).toBe(false); // the transaction is open
    await model.end(host, 11, 'COMMIT');
    expect(await isDone()).toBe(true);
    await model.check(host.log);
  });

  test('[COMPACTION-7] compaction is due by the dirty share, or by age', async () => {
    const { host, model, clock } = await opened({ maxCompactionLagMs: 10_000 });
    const measure = () => host.log.compaction.measure(host.log.recoveryPoint);
    for (let count = 0; count < 30; count++) await model.append(host, value(`key ${count}`));
    await host.checkpoint();
    expect(await measure()).toMatchObject({ dirtyRatio: 1, isDue: true });
    await host.compact();
    expect(await measure()).toMatchObject({ dirtyRatio: 0, dirtyBytes: 0, isDue: false });
    for (let count = 0; count < 10; count++) await model.append(host, value(`key ${count}`));
    await host.checkpoint();
    const { dirtyRatio, isDue } = (await measure())!;
    expect(dirtyRatio).toBeGreaterThan(0);
    expect(dirtyRatio).toBeLessThan(0.5);
    expect(isDue).toBe(false);
    clock.advance(10_001);
    expect(await measure()).toMatchObject({ dirtyRatio, isDue: true });
    host.log.setConfig({ ...host.log.config, cleanupPolicy: 'delete' });
    expect(await measure()).toBeUndefined();
    expect(await host.compact()).toBeUndefined();
  });
});

describe('beside other work', () => {
  test('[COMPACTION-10] readers and writers continue while segments are replaced', async () => {
    const { host, model, clock } = await opened({ segmentBytes: 1024 });
    for (let count = 0; count < 60; count++) await model.append(host, value(`key ${count % 5}`));
    await host.checkpoint();
    const state = { isDone: false };
    const compacting = host.compact({ dedupeBufferBytes: 100 }).finally(() => {
      state.isDone = true;
    });
    let rounds = 0;
    for (; !state.isDone; rounds++) {
      await model.append(host, value(`key ${rounds % 5}`));
      await model.check(host.log);
    }
    expect(rounds).toBeGreaterThan(5);
    expect((await compacting)?.passes).toBeGreaterThan(1);
    await model.checkCompacted(host.log);
    clock.advance(60_000);
    await vi.waitFor(async () => {
      expect((await host.fileNames()).filter((name) => name.endsWith('.deleted'))).toEqual([]);
    });
    await model.check(host.log);
    await host.close();
  });

  test('[COMPACTION-11] closing and deleting stop a compaction; it can be redone', async () => {
    for (const method of ['close', 'abandon'] as const) {
      const { host, model, fileSystem } = await opened();
      for (let count = 0; count < 60; count++) await model.append(host, value(`key ${count % 5}`));
      await host.checkpoint();
      const compacting = host.log.compaction.run({ upTo: Infinity, dedupeBufferBytes: 1 });
      const failed = expect(compacting).rejects.toMatchObject({ code: 'CLOSED' });
      await host.log[method]();
      await failed;
      const again = await LogHost.open({ fileSystem, directory: DIRECTORY, config: COMPACT });
      await again.checkpoint();
      await again.compact();
      await model.check(again.log);
      await model.checkCompacted(again.log);
    }
  });

  test('[COMPACTION-12] a damaged log is no longer compacted, and stays unchanged', async () => {
    const { host, model, fileSystem } = await opened();
    for (let count = 0; count < 60; count++) await model.append(host, value(`key ${count % 5}`));
    await host.checkpoint();
    const name = offsetName((await host.segmentBases())[1]!) + LOG_SUFFIX;
    const file = await fileSystem.open(`${DIRECTORY}/${name}`, 'write');
    await file.write([Buffer.from('x')], 200);
    await file.close();
    await expect(host.compact()).rejects.toMatchObject({ code: 'CORRUPT_BATCH' });
    expect(host.log.compaction.isGivenUp).toBe(true);
    expect(await host.log.compaction.measure(Infinity)).toBeUndefined();
    expect(await host.compact()).toBeUndefined();
    expect((await host.fileNames()).filter((found) => /cleaned|swap/.test(found))).toEqual([]);
    await model.append(host, value('next'));
  });
});
