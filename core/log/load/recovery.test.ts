import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../../test/kit/faulty-fs.ts';
import { shareOf } from '../../../test/kit/share.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { LogError } from '../../errors.ts';
import { BATCH, batchSizeBytes } from '../../record/batch.ts';
import type { FileSystem } from '../../storage/file-system.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { nodeFileSystem } from '../../storage/node-fs.ts';
import { offsetName } from '../segment/file-names.ts';
import {
  FILE_SYSTEMS,
  filesIn,
  LogHost,
  readBatches,
  readRecords,
  readValues,
  type HostOptions,
} from '../log-host.suite.ts';

/** The visible state of a log: if it differs before and after, something is lost. */
async function seenOf({ log }: LogHost) {
  const times: unknown[] = [];
  for (let time = 990; time < 1100; time += 3) times.push(await log.findTimestamp(time));
  return {
    batches: (await readBatches(log)).toString('base64'),
    eachOffset: await Promise.all(
      Array.from({ length: log.highWatermark - log.logStartOffset }, async (_, index) => {
        const offset = log.logStartOffset + index;
        return (await readRecords(log, offset, { maxBytes: 1 }))[0]?.offset;
      }),
    ),
    times,
    newest: await log.findMaxTimestamp(),
    aborted: log.abortedTransactions(0, Infinity),
    lastStableOffset: log.lastStableOffset,
    producers: [...log.producers.all()]
      .map((state) => ({ ...state, lastAppendMs: 0, batches: state.batches.slice(-1) }))
      .sort((a, b) => a.producerId - b.producerId),
  };
}

/** Plain, transactional and idempotent batches over several segments. */
async function fill(host: LogHost): Promise<void> {
  for (let round = 0; round < 12; round++) {
    const timestampMs = 1000 + ((round * 37) % 90);
    const producer = { producerId: 1 + (round % 3), producerEpoch: 0 };
    const baseSequence = Math.floor(round / 3) * 2;
    await host.append([{ timestampMs, value: 'v'.repeat(10 * round) }, { timestampMs: 1001 }])
      .written;
    const records = [{ timestampMs, key: 'k', value: `t${round}` }, { timestampMs: 1002 }];
    await host.append(records, { ...producer, baseSequence, isTransactional: true }).written;
    if (round === 10) break; // producer 2 stays open
    const type = round % 2 === 0 ? 'COMMIT' : 'ABORT';
    const marker = {
      type,
      coordinatorEpoch: 0,
      timestampMs: host.clock.nowMs(),
      ...producer,
    } as const;
    await host.log.appendMarker(marker).written;
  }
}

/** Changes bytes of a file in place. */
async function edit(
  fileSystem: FileSystem,
  path: string,
  change: (content: Buffer) => Buffer | undefined,
): Promise<void> {
  const changed = change(Buffer.from(await fileSystem.readFile(path)));
  if (changed === undefined) {
    await fileSystem.remove(path);
    return;
  }
  const file = await fileSystem.open(path, 'create');
  await file.truncate(0);
  await file.write([changed], 0);
  await file.close();
}

function flip(content: Buffer, position: number): Buffer {
  content[position]! ^= 0x10;
  return content;
}

describe.each(FILE_SYSTEMS)('opening a log on %s', (_, setUp) => {
  let options: HostOptions;
  let host: LogHost;
  let path: (base: number, suffix: string) => string;

  beforeEach(async () => {
    options = await setUp();
    host = await LogHost.open(options);
    path = (base, suffix) => join(options.directory, offsetName(base) + suffix);
  });

  /** How many places are damaged: a disk answers as the memory does, but takes its time. */
  const placesMost = () => (options.fileSystem === nodeFileSystem ? 30 : Infinity);

  test('[LOG-12] an empty log opens unchanged', async () => {
    let next = await host.killAndOpen();
    next = await next.closeAndOpen();
    expect(next.log).toMatchObject({ logStartOffset: 0, nextOffset: 0, highWatermark: 0 });
    await next.appendEach('a');
    expect(await readValues(next.log)).toEqual(['a']);
    await next.close();
  });

  test('[LOG-12] a segment full at the checkpoint keeps its newest time', async () => {
    await host.close();
    const config = { ...options.config, segmentBytes: 1600, indexIntervalBytes: 400 };
    host = await LogHost.open({ ...options, config });
    const value = 'v'.repeat(300);
    while (host.log.nextOffset < 4) {
      await host.append([{ timestampMs: 1000 + host.log.nextOffset, value }]).written;
    }
    await host.checkpoint(); // the newest time of the segment is not in the index yet
    await host.append([{ timestampMs: 5, value }]).written; // begins a new segment
    await host.log.sync();
    expect(await host.segmentBases()).toEqual([0, 4]);
    host = await host.killAndOpen();
    expect(await host.log.findTimestamp(1003)).toEqual({ offset: 3, timestampMs: 1003 });
    expect(await host.log.findMaxTimestamp()).toEqual({ offset: 3, timestampMs: 1003 });
    await host.close();
  });

  test('[LOG-12] a closed log opens unchanged, and all of it is durable', async () => {
    await fill(host);
    const before = await seenOf(host);
    const files = await host.closeAndOpen().then((next) => filesOf(next));
    const next = await LogHost.open(options);
    expect(next.tornTail).toBeUndefined();
    expect(next.log.durableOffset).toBe(next.log.nextOffset);
    expect(await seenOf(next)).toEqual(before);
    expect(await filesOf(next)).toEqual(files); // reading changed nothing
  });

  test('[LOG-12] a log whose process died opens unchanged', async () => {
    await fill(host);
    const before = await seenOf(host);
    for (let opening = 0; opening < 3; opening++) {
      host = await host.killAndOpen();
      expect(host.tornTail).toBeUndefined();
      expect(await seenOf(host)).toEqual(before);
    }
    await host.close();
  });

  test('[LOG-12] after an unclean end only checkpointed records are durable', async () => {
    await fill(host);
    await host.checkpoint();
    const covered = host.log.nextOffset;
    await host.appendEach('more', 'and more');
    const before = await seenOf(host);
    const next = await host.killAndOpen();
    expect(next.log).toMatchObject({ durableOffset: covered, highWatermark: covered + 2 });
    expect(await seenOf(next)).toEqual(before);
    await next.log.sync();
    expect(next.log.durableOffset).toBe(covered + 2);
    await next.close();
  });

  test('[LOG-13] a tail torn at any byte is cut to the last whole batch', async () => {
    await host.appendEach('first', 'second');
    await host.checkpoint();
    const durable = host.log.sizeBytes;
    await host.appendEach('third', 'fourth');
    const whole = await readBatches(host.log);
    const ends = [durable, durable + batchSizeBytes(whole, durable), whole.length];
    await host.log.abandon();
    const sizes = Array.from({ length: whole.length - durable + 1 }, (__, more) => durable + more);
    for (const size of shareOf(sizes, placesMost())) {
      await edit(options.fileSystem, path(0, '.log'), () => whole.subarray(0, size));
      const next = await LogHost.open(options);
      const end = ends.findLast((each) => each <= size)!;
      expect((await readBatches(next.log)).equals(whole.subarray(0, end))).toBe(true);
      expect(next.tornTail).toEqual(
        size === end
          ? undefined
          : {
              file: path(0, '.log'),
              positionBytes: end,
              removedBytes: size - end,
              reason: size - end < 61 ? 'header cut short' : 'batch cut short',
            },
      );
      await next.log.abandon();
      expect((await options.fileSystem.stat(path(0, '.log')))?.sizeBytes).toBe(end);
    }
  });

  test('[LOG-13] a tail damaged at any byte is cut before the damaged batch', async () => {
    await host.appendEach('first');
    await host.checkpoint();
    const durable = host.log.sizeBytes;
    await host.appendEach('second', 'third');
    const whole = await readBatches(host.log);
    const second = durable + batchSizeBytes(whole, durable);
    await host.log.abandon();
    const positions = Array.from({ length: whole.length - durable }, (__, more) => durable + more);
    for (const position of shareOf(positions, placesMost())) {
      const start = position < second ? durable : second;
      const inBatch = position - start;
      // Not under the checksum: a higher base offset and any leader epoch pass (record/batch.ts).
      if (inBatch < BATCH.length) continue;
      if (inBatch >= BATCH.partitionLeaderEpoch && inBatch < BATCH.magic) continue;
      await edit(options.fileSystem, path(0, '.log'), () => flip(Buffer.from(whole), position));
      const next = await LogHost.open(options);
      expect(next.tornTail).toMatchObject({ positionBytes: start });
      expect(await readValues(next.log)).toEqual(
        ['first', 'second'].slice(0, start > durable ? 2 : 1),
      );
      await next.log.abandon();
    }
  });

  test.each([
    ['zeros', Buffer.alloc(5000)],
    ['ones', Buffer.alloc(100, 0xff)],
    ['text', Buffer.from('no batch at all '.repeat(10))],
  ])('[LOG-13] %s behind the end are cut, and the log goes on', async (__, garbage) => {
    await fill(host);
    const before = await seenOf(host);
    const base = (await host.segmentBases()).at(-1)!;
    await edit(options.fileSystem, path(base, '.log'), (log) => Buffer.concat([log, garbage]));
    host = await host.killAndOpen();
    expect(host.tornTail).toMatchObject({ removedBytes: garbage.length });
    expect(await seenOf(host)).toEqual(before);
    await host.appendEach('next');
    host = await host.killAndOpen();
    expect((await readValues(host.log)).at(-1)).toBe('next');
    await host.close();
  });

  const INDEX_DAMAGE: readonly [string, (content: Buffer) => Buffer | undefined][] = [
    ['missing', () => undefined],
    ['empty', () => Buffer.alloc(0)],
    ['cut in the middle of an entry', (content) => content.subarray(0, -5)],
    ['cut to half its entries', (content) => content.subarray(0, (content.length / 24) * 12)],
    ['all zeros', (content) => Buffer.alloc(content.length)],
    ['padded with zeros', (content) => Buffer.concat([content, Buffer.alloc(240)])],
    ['all ones', (content) => Buffer.alloc(content.length, 0xff)],
    ['of another segment', (content) => Buffer.concat([content, content])],
  ];

  test.each(INDEX_DAMAGE)('[LOG-14] an .index that is %s is rebuilt', async (__, damage) => {
    await fill(host);
    const before = await seenOf(host);
    await host.close();
    const files = await filesIn(options.fileSystem, options.directory);
    const bases = await host.segmentBases();
    for (const base of bases) await edit(options.fileSystem, path(base, '.index'), damage);
    host = await LogHost.open(options);
    expect(host.tornTail).toBeUndefined();
    expect(await seenOf(host)).toEqual(before);
    await host.close();
    const after = await filesIn(options.fileSystem, options.directory);
    for (const [name, content] of files) {
      // Fewer whole entries are a sound index too, only slower.
      if (name.endsWith('.index') && sparse(after.get(name), content)) continue;
      expect([name, after.get(name)]).toEqual([name, content]);
    }
  });

  // Recovery cannot detect whole entries missing at the end of a .timeindex.
  const TIME_INDEX_DAMAGE = INDEX_DAMAGE.filter(([name]) => name !== 'cut to half its entries');
  test.each(TIME_INDEX_DAMAGE)(
    '[LOG-14] a .timeindex that is %s is rebuilt',
    async (__, damage) => {
      await fill(host);
      const before = await seenOf(host);
      await host.close();
      const files = await filesIn(options.fileSystem, options.directory);
      for (const base of await host.segmentBases()) {
        await edit(options.fileSystem, path(base, '.timeindex'), damage);
      }
      host = await LogHost.open(options);
      expect(await seenOf(host)).toEqual(before);
      await host.close();
      expect(await filesIn(options.fileSystem, options.directory)).toEqual(files);
    },
  );

  test.each(INDEX_DAMAGE.filter(([name]) => /middle|zeros|ones|another/.test(name)))(
    '[LOG-14] a .txnindex that is %s is rebuilt',
    async (__, damage) => {
      await fill(host);
      const before = await seenOf(host);
      await host.close();
      const files = await filesIn(options.fileSystem, options.directory);
      const names = [...files.keys()].filter((name) => name.endsWith('.txnindex'));
      expect(names.length).toBeGreaterThan(2);
      for (const name of names) {
        await edit(options.fileSystem, join(options.directory, name), damage);
      }
      host = await LogHost.open(options);
      expect(await seenOf(host)).toEqual(before);
      await host.close();
      expect(await filesIn(options.fileSystem, options.directory)).toEqual(files);
    },
  );

  test('[LOG-14] a wrong index entry does not mislead reads', async () => {
    await fill(host);
    const before = await seenOf(host);
    await host.close();
    for (const base of await host.segmentBases()) {
      for (const suffix of ['.index', '.timeindex']) {
        const file = path(base, suffix);
        const sound = await options.fileSystem.readFile(file);
        for (const position of shareOf([...sound.keys()], placesMost() / 6)) {
          await edit(options.fileSystem, file, () => flip(Buffer.from(sound), position));
          const next = await LogHost.open(options);
          expect({ file, position, seen: await seenOf(next) }).toEqual({
            file,
            position,
            seen: before,
          });
          await next.log.abandon();
        }
        await edit(options.fileSystem, file, () => sound);
      }
    }
  });

  test('[LOG-15] damage below the recovery point is CORRUPT_BATCH', async () => {
    await fill(host);
    await host.close();
    const bases = await host.segmentBases();
    for (const base of bases) {
      const log = await options.fileSystem.readFile(path(base, '.log'));
      for (let at = 0; at < log.length; at += batchSizeBytes(log, at)) {
        await edit(options.fileSystem, path(base, '.log'), () => flip(Buffer.from(log), at + 70));
        const before = await filesIn(options.fileSystem, options.directory);
        const failure: unknown = await readAllOf(options).catch((error: unknown) => error);
        expect(LogError.is(failure, 'CORRUPT_BATCH') && failure.details).toEqual({
          file: path(base, '.log'),
          positionBytes: at,
          reason: 'checksum mismatch',
        });
        expect(await filesIn(options.fileSystem, options.directory)).toEqual(before);
      }
      await edit(options.fileSystem, path(base, '.log'), () => log);
    }
  });

  test('[LOG-15] a file truncated below the recovery point is CORRUPT_BATCH', async () => {
    await fill(host);
    await host.close();
    for (const base of await host.segmentBases()) {
      const log = await options.fileSystem.readFile(path(base, '.log'));
      for (const size of [log.length - 1, log.length - 80, log.length >> 1, 10]) {
        await edit(options.fileSystem, path(base, '.log'), () => log.subarray(0, size));
        const before = await filesIn(options.fileSystem, options.directory);
        const failure: unknown = await readAllOf(options).catch((error: unknown) => error);
        expect(LogError.is(failure, 'CORRUPT_BATCH') && failure.details).toMatchObject({
          file: path(base, '.log'),
        });
        expect(await filesIn(options.fileSystem, options.directory)).toEqual(before);
      }
      await edit(options.fileSystem, path(base, '.log'), () => log);
    }
  });

  test('[LOG-15] a lost newest segment is CORRUPT_BATCH', async () => {
    await fill(host);
    await host.close();
    const base = (await host.segmentBases()).at(-1)!;
    await options.fileSystem.remove(path(base, '.log'));
    const before = await filesIn(options.fileSystem, options.directory);
    const failure: unknown = await readAllOf(options).catch((error: unknown) => error);
    expect(LogError.is(failure, 'CORRUPT_BATCH') && failure.message).toContain(
      `the log ends at offset ${base}, but was durable up to`,
    );
    expect(await filesIn(options.fileSystem, options.directory)).toEqual(before);
  });

  test('[LOG-16] without a sound snapshot the producers are read from the log', async () => {
    await fill(host);
    const before = await seenOf(host);
    await host.close();
    const names = (await host.fileNames()).filter((name) => name.endsWith('.snapshot'));
    for (const damage of [() => undefined, (content: Buffer) => flip(content, 9)]) {
      for (const name of names) {
        await edit(options.fileSystem, join(options.directory, name), damage).catch(
          () => undefined,
        );
      }
      const next = await LogHost.open(options);
      expect(await seenOf(next)).toEqual(before);
      await next.close();
    }
  });

  test('[LOG-16] a snapshot above the recovery point is ignored', async () => {
    await fill(host);
    const before = await seenOf(host);
    await host.log.checkpoint(); // but its recovery point is not stored
    const next = await host.killAndOpen();
    expect((await next.fileNames()).filter((name) => name.endsWith('.snapshot'))).toEqual([]);
    expect(await seenOf(next)).toEqual(before);
    await next.close();
  });

  test('[LOG-17] left-overs of an earlier process are removed', async () => {
    await fill(host);
    const { fileSystem, directory } = options;
    const before = await seenOf(host);
    for (const name of [
      '00000000000000000000.log.deleted',
      '00000000000000000000.timeindex.deleted',
      '00000000000000000001.index', // without a log
      '00000000000000000001.timeindex',
      '00000000000000000001.txnindex',
      '00000000000000000009.snapshot.tmp',
    ]) {
      await fileSystem.createExclusive(join(directory, name), Buffer.from('x'));
    }
    for (const name of ['partition.metadata', 'notes.txt']) {
      await fileSystem.createExclusive(join(directory, name), Buffer.from('x'));
    }
    const next = await host.killAndOpen();
    expect(await seenOf(next)).toEqual(before);
    await next.close();
    const strays = (await next.fileNames()).filter((name) => !/^\d{20}\./.test(name));
    expect(strays).toEqual(['leader-epoch-checkpoint', 'notes.txt', 'partition.metadata']);
    expect(await next.fileNames()).not.toContainEqual(
      expect.stringMatching(/deleted|tmp|0{19}1\.[a-z]*index/),
    );
  });

  test('[LOG-18] a log that ends below its start offset begins there', async () => {
    await fill(host);
    await host.checkpoint();
    const { nextOffset } = host.log;
    await host.appendEach('lost', 'lost too');
    await host.deleteRecords(nextOffset + 2);
    // A power cut takes the unsynced records, but the start offset was written.
    const base = (await host.segmentBases()).at(-1)!;
    const log = await options.fileSystem.readFile(path(base, '.log'));
    await host.log.abandon();
    await edit(options.fileSystem, path(base, '.log'), () => log.subarray(0, log.length - 5));
    const next = await LogHost.open(options);
    expect(next.log).toMatchObject({ logStartOffset: nextOffset + 2, nextOffset: nextOffset + 2 });
    await next.appendEach('new');
    expect(await readRecords(next.log)).toMatchObject([{ offset: nextOffset + 2, value: 'new' }]);
    const again = await next.closeAndOpen();
    expect(await readValues(again.log)).toEqual(['new']);
    await again.close();
  });

  async function filesOf({ fileSystem, directory, log }: LogHost) {
    await log.abandon();
    return filesIn(fileSystem, directory);
  }
});

test('[LOG-8] [LOG-20] a synced log whose records were all deleted keeps its end', async () => {
  const [directory, config] = ['/data/test-0', { segmentBytes: 100 }];
  const fileSystem = new MemoryFileSystem();
  const host = await LogHost.open({ fileSystem, directory, config });
  await host.appendEach('first');
  await host.checkpoint();
  await host.appendEach('of a segment that nobody has synced');
  const images: MemoryFileSystem[] = [];
  fileSystem.onOperation = ({ kind, path }) => {
    if (kind !== 'rename' || !path.startsWith(directory)) return;
    for (let count = 0; count < 200; count++) images.push(fileSystem.crash());
  };
  await host.deleteRecords(1);
  expect(images.length).toBeGreaterThan(0);
  for (const image of images) {
    const next = await LogHost.open({ fileSystem: image, directory, config });
    expect(next.log.nextOffset).toBeGreaterThanOrEqual(1);
    await next.close();
  }
});

test.each(['EIO', 'ENOSPC'])('[LOG-23] after a sync failed with %s', async (code) => {
  const directory = '/data/test-0';
  let fileSystem = new MemoryFileSystem();
  const host = await LogHost.open({ fileSystem, directory });
  await host.appendEach('first');
  await host.log.sync();
  await host.appendEach('second');
  fileSystem.fail({ at: ({ kind }) => kind === 'sync', code });

  const expected = { code: 'KAFKA_STORAGE_ERROR', retriable: false };
  await expect(host.log.sync()).rejects.toMatchObject(expected);
  await expect(host.log.sync()).rejects.toMatchObject(expected);
  expect(() => host.append([{ value: 'third' }])).toThrow(expect.objectContaining(expected));
  await expect(host.close()).rejects.toMatchObject(expected);

  const next = await LogHost.open({ fileSystem, directory });
  expect(await readValues(next.log)).toEqual(['first', 'second']); // from the page cache
  await next.appendEach('third');
  await next.log.sync();
  fileSystem = fileSystem.crash();
  const last = await LogHost.open({ fileSystem, directory });
  expect(await readValues(last.log)).toEqual(['first', 'second', 'third']);
  await last.close();
});

test('[LOG-23] a sync that overlaps a failed directory sync fails too', async () => {
  const waiting: ((error: Error | undefined) => void)[] = [];
  let isHeld = false;
  const fileSystem = new FaultyFileSystem(({ name, path }) => {
    if (!isHeld || name !== 'syncDirectory' || !path.endsWith('test-0')) return undefined;
    return new Promise((resolve) => waiting.push(resolve));
  });
  const directory = join(temporaryDirectory(), 'test-0');
  const host = await LogHost.open({ fileSystem, directory, config: { segmentBytes: 100 } });
  await host.appendEach('first');
  await host.checkpoint();
  await host.appendEach('of a segment of its own');
  isHeld = true;
  const deleted = codeOf(host.log.deleteRecords(1));
  await expect.poll(() => waiting.length).toBe(1);
  const synced = codeOf(host.log.sync());
  await expect.poll(() => waiting.length).toBe(2);
  isHeld = false;
  waiting[0]!(errno('EIO'));
  expect(await deleted).toBe('KAFKA_STORAGE_ERROR');
  waiting[1]!(undefined); // succeeds without the bytes that the first one lost
  expect(await synced).toBe('KAFKA_STORAGE_ERROR');
  await host.abandon();
});

/** Opens a log and reads all of it. Writes nothing. */
async function readAllOf(options: HostOptions): Promise<void> {
  const { log } = await LogHost.open(options);
  try {
    await readBatches(log);
  } finally {
    await log.abandon();
  }
}

/** True for an index with fewer entries, all of them in `full`. */
function sparse(content: string | undefined, full: string): boolean {
  if (content === undefined) return false;
  const entries = (text: string): string[] =>
    Buffer.from(text, 'base64').toString('hex').match(/.{16}/g) ?? [];
  const all = new Set(entries(full));
  return entries(content).every((entry) => all.has(entry));
}
