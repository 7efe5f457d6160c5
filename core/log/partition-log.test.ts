import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../test/kit/faulty-fs.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { LogError } from '../errors.ts';
import { recordsOf, type RecordToWrite } from '../record/records.suite.ts';
import { seededRandom } from '../random.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import {
  FILE_SYSTEMS,
  filesIn,
  LogHost,
  readBatches,
  readRecords,
  readValues,
  spansOf,
} from './log-host.suite.ts';

/** Batches of one to four records, of 70 to about 300 bytes. */
const BATCHES: readonly RecordToWrite[][] = makeBatches(40);

function makeBatches(count: number): RecordToWrite[][] {
  const random = seededRandom(5);
  let number = 0;
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + Math.floor(random.next() * 4) }, () => ({
      key: `k${Math.floor(random.next() * 5)}`,
      value: `${number++} `.repeat(1 + Math.floor(random.next() * 20)),
      timestampMs: 1_700_000_000_000 + Math.floor(random.next() * 1_000_000),
    })),
  );
}

describe.each(FILE_SYSTEMS)('a log on %s', (_, setUp) => {
  /** A log with BATCHES in it, and their offsets and spans. */
  async function filled(config = {}): Promise<LogHost> {
    const host = await LogHost.open({ ...(await setUp()), config });
    for (const [index, batch] of BATCHES.entries()) {
      const { written } = host.append(batch);
      if (index % 3 === 0) await written; // so that some writes have several batches
    }
    await host.log.sync();
    return host;
  }

  test('[LOG-1] offsets are dense, and appending returns them', async () => {
    const host = await LogHost.open(await setUp());
    let next = 0;
    for (const batch of BATCHES) {
      const { baseOffset, lastOffset } = host.append(batch);
      expect([baseOffset, lastOffset]).toEqual([next, next + batch.length - 1]);
      next += batch.length;
      expect(host.log.nextOffset).toBe(next);
    }
    await host.log.sync();
    expect(host.log).toMatchObject({ highWatermark: next, durableOffset: next });
    const records = await readRecords(host.log);
    expect(records.map(({ offset }) => offset)).toEqual(Array.from({ length: next }, (__, i) => i));
    expect(records.map(({ value }) => value)).toEqual(BATCHES.flat().map(({ value }) => value));
    await host.close();
  });

  test('[LOG-1] a record can be read once it is written, and the log reports it', async () => {
    const host = await LogHost.open(await setUp());
    const { written } = host.append([{ value: 'a' }]);
    expect(host.log).toMatchObject({ nextOffset: 1, highWatermark: 0, durableOffset: 0 });
    expect(await readValues(host.log)).toEqual([]);
    await written;
    expect(host.log).toMatchObject({ highWatermark: 1, durableOffset: 0 });
    expect(host.advancedCount).toBe(1);
    expect(await readValues(host.log)).toEqual(['a']);
    await host.log.sync();
    expect(host.log.durableOffset).toBe(1);
    await host.close();
  });

  test('[LOG-2] a read at any offset begins with the whole batch that holds it', async () => {
    const host = await filled();
    const spans = spansOf(await readBatches(host.log));
    for (let offset = 0; offset < host.log.highWatermark; offset++) {
      for (const maxBytes of [1, 300, 100_000]) {
        const limits = { maxBytes, endOffset: Infinity };
        const { bytes, nextOffset } = await host.log.read(offset, limits);
        const read = spansOf(bytes);
        const first = spans.findIndex(([, last]) => last >= offset);
        expect(read).toEqual(spans.slice(first, first + read.length));
        expect(nextOffset).toBe(read.at(-1)![1] + 1);
      }
    }
    await host.close();
  });

  test('[LOG-3] a read returns at most maxBytes, but always the first batch', async () => {
    const host = await filled({ segmentBytes: 100_000 });
    for (const maxBytes of [0, 1, 200, 500, 1000]) {
      const { bytes } = await host.log.read(0, { maxBytes, endOffset: Infinity });
      const spans = spansOf(bytes);
      expect(spans.length).toBeGreaterThan(0);
      if (spans.length > 1) expect(bytes.length).toBeLessThanOrEqual(maxBytes);
    }
    const { written } = host.append([{ value: 'x'.repeat(50_000) }]);
    await written;
    const large = await host.log.read(host.log.highWatermark - 1, { maxBytes: 5, endOffset: 1e9 });
    expect(recordsOf(large.bytes)[0]?.value).toHaveLength(50_000);
    await host.close();
  });

  test('[LOG-4] reads continue from segment to segment', async () => {
    const host = await filled();
    const files = [...(await filesIn(host.fileSystem, host.directory)).keys()];
    expect(files.filter((name) => name.endsWith('.log')).length).toBeGreaterThan(5);
    const expected = BATCHES.flat().map(({ value }) => value);
    for (const maxBytes of [1, 150, 700, 1e6]) {
      const records = await readRecords(host.log, 0, { maxBytes });
      expect(records.map(({ value }) => value)).toEqual(expected);
    }
    await host.close();
  });

  test('[LOG-5] a read stops at its end offset and at the high watermark', async () => {
    const host = await filled();
    const { highWatermark } = host.log;
    for (const endOffset of [0, 1, 17, highWatermark - 1, highWatermark]) {
      const spans = spansOf(await readBatches(host.log, 0, { endOffset }));
      expect(spans.every(([first]) => first < endOffset)).toBe(true);
      expect(spans.at(-1)?.[1] ?? -1).toBeGreaterThanOrEqual(endOffset - 1);
    }
    const atEnd = await host.log.read(highWatermark, { maxBytes: 100, endOffset: Infinity });
    expect(atEnd).toMatchObject({ nextOffset: highWatermark });
    expect(atEnd.bytes).toHaveLength(0);
    await host.close();
  });

  test('[LOG-5] an offset outside the log is OFFSET_OUT_OF_RANGE', async () => {
    const host = await filled();
    await host.deleteRecords(20);
    const { highWatermark } = host.log;
    const limits = { maxBytes: 1000, endOffset: Infinity };
    for (const offset of [-1, 0, 19, highWatermark + 1]) {
      const failure: unknown = await host.log.read(offset, limits).catch((e: unknown) => e);
      expect(LogError.is(failure, 'OFFSET_OUT_OF_RANGE') && failure.details).toMatchObject({
        offset,
        logStartOffset: 20,
        highWatermark,
      });
    }
    await host.close();
  });

  test('[LOG-6] a segment is full by its size', async () => {
    const host = await filled();
    const files = await filesIn(host.fileSystem, host.directory);
    const logs = [...files].filter(([name]) => name.endsWith('.log'));
    for (const [, content] of logs)
      expect(Buffer.from(content, 'base64').length).toBeLessThan(1001);
    expect(logs.length).toBeGreaterThan(BATCHES.length / 8);
    await host.append([{ value: 'x'.repeat(5000) }]).written; // larger than a segment: gets its own
    await host.append([{ value: 'y' }]).written;
    expect((await readValues(host.log)).slice(-2)).toEqual(['x'.repeat(5000), 'y']);
    await host.close();
  });

  test('[LOG-6] a segment is full by the time since its first batch', async () => {
    const host = await LogHost.open({ ...(await setUp()), config: { segmentMs: 1000 } });
    for (const timestampMs of [500, 1500, 1501, 100, 2501, 2502]) {
      await host.append([{ timestampMs, value: 'v' }]).written;
    }
    expect(await host.segmentBases()).toEqual([0, 2, 5]);
    await host.close();
  });

  test('[LOG-6] a segment is full when an index is', async () => {
    const config = { segmentIndexBytes: 24, indexIntervalBytes: 1, segmentBytes: 100_000 };
    const host = await LogHost.open({ ...(await setUp()), config });
    for (let value = 0; value < 9; value++) {
      await host.append([{ timestampMs: value, value: `${value}` }]).written;
    }
    // Three entries of 8 bytes fit, but two of 12; the first batch has none.
    expect(await host.segmentBases()).toEqual([0, 3, 6]);
    expect(await readValues(host.log)).toEqual('012345678'.split(''));
    await host.close();
  });

  test('[LOG-7] a search by time finds the same record as a full scan', async () => {
    const host = await filled();
    await host.deleteRecords(15);
    const reopened = await host.closeAndOpen();
    const records = await readRecords(reopened.log);
    const times = records.map(({ timestampMs }) => timestampMs);
    const edges = [0, ...times, ...times.map((time) => time + 1), Number.MAX_SAFE_INTEGER];
    for (const time of edges) {
      const first = records.find(({ timestampMs }) => timestampMs >= time);
      const expected = first && { offset: first.offset, timestampMs: first.timestampMs };
      expect(await reopened.log.findTimestamp(time)).toEqual(expected);
    }
    await reopened.close();
  });

  test('[LOG-7] the newest time is found, and the first of two records with it', async () => {
    const host = await LogHost.open(await setUp());
    expect(await host.log.findMaxTimestamp()).toBeUndefined();
    for (const timestampMs of [5, 90, 7, 90, 8]) await host.append([{ timestampMs }]).written;
    expect(await host.log.findMaxTimestamp()).toEqual({ offset: 1, timestampMs: 90 });
    await host.close();
  });

  test('[LOG-7] the newest time is that of a record, not of a marker', async () => {
    const host = await LogHost.open(await setUp());
    const producer = { producerId: 1, producerEpoch: 0 };
    const seal = { ...producer, baseSequence: 0, isTransactional: true };
    await host.append([{ timestampMs: 50 }, { timestampMs: 40 }], seal).written;
    const marker = { type: 'COMMIT', coordinatorEpoch: 0, timestampMs: 900, ...producer } as const;
    await host.log.appendMarker(marker).written;
    expect(await host.log.findMaxTimestamp()).toEqual({ offset: 0, timestampMs: 50 });
    expect(await host.log.findTimestamp(51)).toBeUndefined();
    await host.close();
  });

  test('[LOG-7] the newest time is that of a record that was not deleted', async () => {
    const host = await LogHost.open(await setUp());
    for (const timestampMs of [900, 50, 40]) await host.append([{ timestampMs }]).written;
    await host.deleteRecords(1);
    expect(await host.log.findMaxTimestamp()).toEqual({ offset: 1, timestampMs: 50 });
    await host.deleteRecords(3);
    expect(await host.log.findMaxTimestamp()).toBeUndefined();
    await host.close();
  });

  test('[LOG-8] deleted records cannot be read, and their segments go after a delay', async () => {
    const host = await filled();
    const bases = await host.segmentBases();
    const offset = bases[3]! + 1; // inside the fourth segment
    await host.deleteRecords(offset);
    expect(host.log.logStartOffset).toBe(offset);
    expect(await readRecords(host.log)).toHaveLength(host.log.highWatermark - offset);
    expect(await host.segmentBases()).toEqual(bases.slice(3));
    const deleted = () =>
      host.fileNames().then((names) => names.filter((name) => name.endsWith('.deleted')));
    expect((await deleted()).length).toBeGreaterThanOrEqual(3);
    host.clock.advance(60_000);
    await expect.poll(deleted).toEqual([]);
    await host.close();
  });

  test('[LOG-8] only readable offsets can be deleted, and the start never goes back', async () => {
    const host = await filled();
    expect(await codeOf(host.deleteRecords(host.log.highWatermark + 1))).toBe(
      'OFFSET_OUT_OF_RANGE',
    );
    expect(host.log.logStartOffset).toBe(0);
    await host.deleteRecords(30);
    await host.deleteRecords(10);
    expect(host.log.logStartOffset).toBe(30);
    await host.close();
  });

  test('[LOG-8] a log whose records were all deleted continues at its end', async () => {
    const host = await filled();
    const { highWatermark } = host.log;
    await host.deleteRecords(highWatermark);
    expect(await readRecords(host.log)).toEqual([]);
    expect(host.append([{ value: 'next' }]).baseOffset).toBe(highWatermark);
    const reopened = await host.closeAndOpen();
    expect(await readValues(reopened.log)).toEqual(['next']);
    expect(reopened.log.logStartOffset).toBe(highWatermark);
    await reopened.close();
  });

  test('[LOG-8] a running read can end although its records are deleted', async () => {
    const host = await filled();
    const reading = host.log.read(0, { maxBytes: 500, endOffset: Infinity });
    await host.deleteRecords(host.log.highWatermark);
    expect(spansOf((await reading).bytes)[0]).toEqual([0, BATCHES[0]!.length - 1]);
    await host.close();
  });

  test('[LOG-9] old segments go while the log without them is large enough', async () => {
    const host = await filled({ retentionBytes: 3000 });
    const { sizeBytes } = host.log;
    await host.applyRetention();
    expect(host.log.sizeBytes).toBeGreaterThanOrEqual(3000);
    expect(host.log.sizeBytes).toBeLessThan(4000);
    expect(sizeBytes).toBeGreaterThan(4000);
    expect(host.log.logStartOffset).toBe((await host.segmentBases())[0]);
    expect(await readRecords(host.log)).toHaveLength(
      host.log.highWatermark - host.log.logStartOffset,
    );
    await host.close();
  });

  test('[LOG-9] segments go when their newest record is too old', async () => {
    const config = { retentionMs: 1000, segmentBytes: 200 };
    const host = await LogHost.open({ ...(await setUp()), config });
    const nowMs = host.clock.nowMs();
    for (const age of [5000, 3000, 800, 4000, 900, 100]) {
      await host.append([{ timestampMs: nowMs - age, value: 'x'.repeat(100) }]).written;
    }
    expect(await host.segmentBases()).toEqual([0, 1, 2, 3, 4, 5]);
    await host.applyRetention();
    expect(host.log.logStartOffset).toBe(2); // the fourth is older, but the third stays
    host.clock.advance(150);
    await host.applyRetention();
    expect(host.log.logStartOffset).toBe(2);
    host.clock.advance(100); // the third is too old now, and the fourth was all along
    await host.applyRetention();
    expect(host.log.logStartOffset).toBe(5);
    await host.close();
  });

  test('[LOG-9] a log whose records are all too old begins a new segment', async () => {
    const host = await filled({ retentionMs: 1000 });
    const { highWatermark } = host.log;
    host.clock.advance(10_000_000);
    await host.applyRetention();
    expect(host.log).toMatchObject({ logStartOffset: highWatermark, sizeBytes: 0 });
    expect(await host.segmentBases()).toEqual([highWatermark]);
    const reopened = await host.closeAndOpen();
    expect(reopened.log).toMatchObject({
      logStartOffset: highWatermark,
      nextOffset: highWatermark,
    });
    await reopened.appendEach('next');
    expect(await readRecords(reopened.log)).toMatchObject([{ offset: highWatermark }]);
    await reopened.close();
  });

  test('[LOG-9] a compacted topic keeps all segments', async () => {
    const host = await filled({ cleanupPolicy: 'compact', retentionMs: 0, retentionBytes: 0 });
    await host.applyRetention();
    expect(host.log.logStartOffset).toBe(0);
    await host.close();
  });

  test('[LOG-10] a repeated batch is not appended again', async () => {
    const host = await LogHost.open(await setUp());
    const seal = { producerId: 1, producerEpoch: 0, baseSequence: 0 };
    const records = [{ value: 'a' }, { value: 'b' }];
    const first = host.append(records, seal);
    const again = host.append(records, seal); // before the first is written
    expect([again.baseOffset, again.lastOffset]).toEqual([first.baseOffset, first.lastOffset]);
    await again.written;
    expect(host.log.highWatermark).toBe(2);
    await host.append(records, seal).written; // and after it
    expect(await readValues(host.log)).toEqual(['a', 'b']);
    const reopened = await host.closeAndOpen();
    expect(reopened.append(records, seal).baseOffset).toBe(0);
    expect(await readValues(reopened.log)).toEqual(['a', 'b']);
    await reopened.close();
  });

  test('[LOG-11] readers of committed data stop at the first open transaction', async () => {
    const host = await LogHost.open(await setUp());
    const producer = { producerId: 1, producerEpoch: 0 };
    const marker = { coordinatorEpoch: 0, timestampMs: 1, ...producer };
    const seal = { ...producer, isTransactional: true };
    await host.appendEach('plain');
    await host.append([{ value: 'kept' }], { ...seal, baseSequence: 0 }).written;
    expect(host.log).toMatchObject({ highWatermark: 2, lastStableOffset: 1 });
    const { written } = host.log.appendMarker({ ...marker, type: 'COMMIT' });
    expect(host.log.lastStableOffset).toBe(1); // its marker cannot be read yet
    await written;
    expect(host.log.lastStableOffset).toBe(3);
    await host.append([{ value: 'dropped' }], { ...seal, baseSequence: 1 }).written;
    await host.log.appendMarker({ ...marker, type: 'ABORT' }).written;
    const aborted = [{ producerId: 1, firstOffset: 3, lastOffset: 4, lastStableOffset: 5 }];
    expect(host.log.abortedTransactions(0, 5)).toEqual(aborted);
    expect(host.log.abortedTransactions(4, 5)).toEqual(aborted);
    expect(host.log.abortedTransactions(5, 9)).toEqual([]);
    expect(host.log.abortedTransactions(0, 3)).toEqual([]);
    let next = await host.killAndOpen();
    for (let opening = 0; opening < 3; opening++) {
      expect(next.log).toMatchObject({ highWatermark: 5, lastStableOffset: 5 });
      expect(next.log.abortedTransactions(0, 5)).toEqual(aborted);
      next = await next.closeAndOpen();
    }
    await next.close();
  });

  test('[LOG-24] at most a few MiB of a transaction are left to sync at its commit', async () => {
    const host = await LogHost.open({ ...(await setUp()), config: { segmentBytes: 1e8 } });
    const value = 'x'.repeat(100_000);
    for (let sequence = 0; sequence < 30; sequence++) await host.append([{ value }]).written;
    await turns();
    expect(host.log.durableOffset).toBe(0); // outside a transaction no commit waits for it
    const producer = { producerId: 1, producerEpoch: 0, isTransactional: true };
    for (let sequence = 0; sequence < 30; sequence++) {
      await host.append([{ value }], { ...producer, baseSequence: sequence }).written;
    }
    // The first sync began after eleven of them, and may be the last one on a slow disk.
    await expect.poll(() => host.log.durableOffset, { timeout: 20_000 }).toBeGreaterThan(40);
    await host.close();
  });
});

test('[LOG-24] after such a sync failed, every later call fails', async () => {
  const fileSystem = new MemoryFileSystem();
  const config = { segmentBytes: 1e8 };
  const host = await LogHost.open({ fileSystem, directory: '/data/test-0', config });
  fileSystem.fail({ at: ({ kind }) => kind === 'sync', code: 'EIO' });
  const seal = { producerId: 1, producerEpoch: 0, isTransactional: true };
  const value = 'x'.repeat(600_000);
  await host.append([{ value }], { ...seal, baseSequence: 0 }).written;
  await host.append([{ value }], { ...seal, baseSequence: 1 }).written;
  await turns();
  expect(await codeOf(host.log.sync())).toBe('KAFKA_STORAGE_ERROR');
  expect(() => host.append([{ value }])).toThrow(LogError);
  await host.log.abandon();
});

test('[LOG-24] a sync that fails during a transaction ends the log', async () => {
  let isFailing = false;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const fileSystem = new FaultyFileSystem(async ({ name, path }) => {
    if (!isFailing || !path.endsWith('.log')) return undefined;
    if (name === 'sync') return errno('EIO');
    if (name === 'write') await held;
    return undefined;
  });
  const directory = join(temporaryDirectory(), 'test-0');
  const config = { segmentBytes: 1e8, maxMessageBytes: 2e6 };
  const host = await LogHost.open({ fileSystem, directory, config });
  await host.appendEach('a');
  isFailing = true;
  const seal = { producerId: 1, producerEpoch: 0, isTransactional: true, baseSequence: 0 };
  const { written } = host.append([{ value: 'x'.repeat(1_500_000) }], seal);
  expect(await codeOf(host.log.sync(1))).toBe('KAFKA_STORAGE_ERROR');
  release();
  await codeOf(written);
  await host.abandon(); // waits for all syncs
  expect(() => host.append([{ value: 'b' }])).toThrow(LogError);
});

test('[LOG-21] a checkpoint that waits for the journal does not stop a reload', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const state = { isHeld: false, isFull: false };
  const fileSystem = new FaultyFileSystem(async ({ name, path }) => {
    if (state.isHeld && name === 'sync' && path.includes('journal')) await held;
    return state.isFull && name === 'write' && path.endsWith('.log') ? errno('EIO') : undefined;
  });
  const directory = join(temporaryDirectory(), 'test-0');
  const host = await LogHost.open({ fileSystem, directory, hasJournal: true });
  await host.appendEach('a');
  await host.log.sync();
  await host.appendEach('b');
  state.isHeld = true;
  const synced = host.log.sync(); // through the journal
  await turns();
  const checkpointed = codeOf(host.log.checkpoint());
  await turns();
  state.isFull = true;
  expect(await codeOf(host.append([{ value: 'lost' }]).written)).toBe('KAFKA_STORAGE_ERROR');
  state.isFull = false;
  release();
  await synced;
  expect(await checkpointed).toBe('KAFKA_STORAGE_ERROR'); // the next one succeeds
  await host.close();
});

test('[LOG-25] the journal forgets a failed log whose topic is deleted', async () => {
  const fileSystem = new MemoryFileSystem();
  const host = await LogHost.open({ fileSystem, directory: '/data/test-0', hasJournal: true });
  await host.appendEach('a');
  await host.log.sync();
  await host.appendEach('b');
  await host.log.sync(); // through the journal
  fileSystem.fail({ at: ({ kind }) => kind === 'sync', code: 'EIO' });
  expect(await codeOf(host.log.flush(2))).toBe('KAFKA_STORAGE_ERROR');
  await host.abandon();
  expect(await codeOf(host.log.flush(2))).toBe('CLOSED');
});

test('[LOG-21] reads during the truncation of a failed write leave no file open', async () => {
  const fileSystem = new MemoryFileSystem();
  const host = await LogHost.open({ fileSystem, directory: '/data/test-0' });
  await host.appendEach('a', 'b');
  fileSystem.fail({ at: ({ kind }) => kind === 'write', code: 'EIO', writtenBytes: 20 });
  const lost = codeOf(host.append([{ value: 'c' }]).written);
  for (let read = 0; read < 60; read++) {
    expect(await readValues(host.log)).toEqual(['a', 'b']);
  }
  expect(await lost).toBe('KAFKA_STORAGE_ERROR');
  await host.appendEach('d');
  expect(await readValues(host.log)).toEqual(['a', 'b', 'd']);
  await host.close();
  expect(fileSystem.openFileCount).toBe(0);
});

/** Waits for everything that waits only for the machine. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}
