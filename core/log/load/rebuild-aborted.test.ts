import { expect, test } from 'vitest';
import { checkEach } from '../../../test/kit/check-each.ts';
import { shareOf } from '../../../test/kit/share.ts';
import { batchSizeBytes, readBatchHeader } from '../../record/batch.ts';
import { recordsOf } from '../../record/records.suite.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { replaceFile } from '../../storage/atomic-file.ts';
import { LogHost, readBatches } from '../log-host.suite.ts';
import type { PartitionLog } from '../partition-log.ts';
import { TRANSACTION_ENTRY_BYTES } from '../segment/transaction-index.ts';

/** The values that a reader of committed data sees, with their offsets. */
async function committedIn(log: PartitionLog): Promise<string[]> {
  const aborted = log.abortedTransactions(log.logStartOffset, log.lastStableOffset);
  const bytes = await readBatches(log, log.logStartOffset, { endOffset: log.lastStableOffset });
  const seen: string[] = [];
  for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
    const { baseOffset, producerId, isTransactional, isControl } = readBatchHeader(bytes, at);
    const isAborted = aborted.some(
      (each) =>
        each.producerId === producerId &&
        each.firstOffset <= baseOffset &&
        baseOffset <= each.lastOffset,
    );
    if (isControl || (isTransactional && isAborted)) continue;
    const records = recordsOf(bytes.subarray(at, at + batchSizeBytes(bytes, at)));
    for (const { offset, value } of records) {
      if (offset >= log.logStartOffset) seen.push(`${offset} ${value}`);
    }
  }
  return seen;
}

/** Transactions of three concurrent producers, some of them over several segments. */
async function fill(host: LogHost, rounds: number, from = 0): Promise<void> {
  for (let round = from; round < from + rounds; round++) {
    for (let producerId = 1; producerId <= 3; producerId++) {
      // The longest transaction is each producer's in turn.
      const isEnding = (round + producerId) % 3 !== 0;
      const key = `k${(round + producerId) % 4}`;
      const value = `round ${round} of producer ${producerId} `.repeat(4);
      const baseSequence = round;
      const seal = { producerId, producerEpoch: 0, baseSequence, isTransactional: true };
      await host.append([{ key, value, timestampMs: 1000 + round }], seal).written;
      if (!isEnding) continue;
      const type = (round + producerId) % 2 === 0 ? 'ABORT' : 'COMMIT';
      const timestampMs = host.clock.nowMs();
      const marker = { type, timestampMs, coordinatorEpoch: 0, producerEpoch: 0 } as const;
      await host.log.appendMarker({ ...marker, producerId }).written;
    }
    await host.append([{ key: 'plain', value: `plain ${round}`, timestampMs: 1000 + round }])
      .written;
  }
}

const CASES = {
  closed: async (host: LogHost) => {
    await fill(host, 6);
    await host.close();
  },
  killed: async (host: LogHost) => {
    await fill(host, 4);
    await host.checkpoint();
    await fill(host, 2, 4);
    await host.abandon();
  },
  'killed after two checkpoints': async (host: LogHost) => {
    await fill(host, 3);
    await host.checkpoint();
    await fill(host, 3, 3);
    await host.checkpoint();
    await fill(host, 2, 6);
    await host.abandon();
  },
  'killed between the index and the digest': async (host: LogHost) => {
    await fill(host, 5);
    await host.checkpoint();
    await fill(host, 3, 5);
    await host.log.checkpoint(); // which is not stored
    await host.abandon();
  },
  'with its beginning deleted': async (host: LogHost) => {
    await fill(host, 6);
    // In the middle of a segment, of its transactions, and of those that began before it.
    await host.deleteRecords((await host.segmentBases())[3]! + 2);
    host.clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
    await host.close();
  },
  compacted: async (host: LogHost) => {
    await fill(host, 6);
    await host.checkpoint();
    expect(await host.compact()).toMatchObject({ passes: 1 });
    await host.close();
  },
  'compacted, killed before the digest': async (host: LogHost) => {
    await fill(host, 6);
    await host.checkpoint();
    const upTo = host.log.recoveryPoint;
    expect(await host.log.compaction.run({ upTo, dedupeBufferBytes: 1 << 20 })).toBeDefined();
    await host.abandon();
  },
} satisfies Record<string, (host: LogHost) => Promise<void>>;

const CONFIG = { cleanupPolicy: 'compact', fileDeleteDelayMs: 100 } as const;
const OPTIONS = { directory: '/data/test-0', config: CONFIG };

/** Damage to a file: each `stride`th bit flipped, each length, and another's content. */
function* damagesOf(
  sound: Buffer,
  stride: number,
): Generator<readonly [what: string, content?: Buffer]> {
  yield ['missing'];
  for (let length = 0; length < sound.length; length += stride) {
    yield [`cut to ${length}`, sound.subarray(0, length)];
  }
  for (let bit = 0; bit < sound.length * 8; bit += stride) {
    const flipped = Buffer.from(sound);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    yield [`bit ${bit} flipped`, flipped];
  }
  yield ['twice', Buffer.concat([sound, sound])];
  yield ['all zeros', Buffer.alloc(sound.length)];
}

test.each(Object.entries(CASES))(
  '[LOG-31] readers of committed data see the same, whatever happened to a .txnindex: log %s',
  async (kind, write) => {
    const whole = new MemoryFileSystem();
    await write(await LogHost.open({ ...OPTIONS, fileSystem: whole }));
    const soundDisk = whole.kill();
    const sound = await LogHost.open({ ...OPTIONS, fileSystem: soundDisk });
    const expected = await committedIn(sound.log);
    const { lastStableOffset, nextOffset } = sound.log;
    const names = (await sound.fileNames()).filter((name) => name.endsWith('.txnindex'));
    await sound.abandon();
    expect(expected.length).toBeGreaterThan(3);
    let entryCount = 0;
    // All bits of a closed and of a killed log; a prime stride for the others.
    const isPlain = kind === 'closed' || kind === 'killed';
    const stride = isPlain ? 1 : 13;
    for (const name of names) {
      const path = `${OPTIONS.directory}/${name}`;
      const content = await whole.readFile(path);
      const opened = await soundDisk.readFile(path);
      entryCount += content.length / TRANSACTION_ENTRY_BYTES;
      await checkEach(shareOf([...damagesOf(content, stride)], 80), async ([what, damaged]) => {
        const disk = whole.kill();
        if (damaged === undefined) await disk.remove(path);
        else await replaceFile(disk, path, damaged);
        const { log } = await LogHost.open({ ...OPTIONS, fileSystem: disk });
        const place = `${name} ${what}`;
        const seen = await committedIn(log);
        if (seen.join() !== expected.join())
          expect({ place, seen }).toEqual({ place, seen: expected });
        expect(log).toMatchObject({ lastStableOffset, nextOffset });
        // Whoever reads it next finds a sound file. What compaction leaves may be listed otherwise.
        if (isPlain && opened.length > 0 && !opened.equals(await disk.readFile(path))) {
          expect({ place, file: await disk.readFile(path) }).toEqual({ place, file: opened });
        }
        await log.abandon();
      });
    }
    expect(entryCount).toBeGreaterThan(2);
  },
  120_000,
);

test('[LOG-31] a directory without digests, as from Kafka, is checked by its log', async () => {
  const fileSystem = new MemoryFileSystem();
  const host = await LogHost.open({ ...OPTIONS, fileSystem });
  await CASES.closed(host);
  const expected = await committedIn((await LogHost.open({ ...OPTIONS, fileSystem })).log);
  const disk = fileSystem.kill();
  const checkpoints = JSON.parse((await disk.readFile('/data/checkpoints')).toString()) as object;
  const without = Buffer.from(JSON.stringify({ ...checkpoints, aborted: undefined }));
  await replaceFile(disk, '/data/checkpoints', without);
  for (const name of (await host.fileNames()).filter((each) => each.endsWith('.txnindex'))) {
    await disk.remove(`${OPTIONS.directory}/${name}`);
  }
  const next = await LogHost.open({ ...OPTIONS, fileSystem: disk });
  expect(await committedIn(next.log)).toEqual(expected);
  await next.close();
});

test('[LOG-31] if the digests match, an opening reads no whole segment', async () => {
  const fileSystem = new MemoryFileSystem();
  await CASES.closed(await LogHost.open({ ...OPTIONS, fileSystem }));
  const disk = fileSystem.kill();
  const opened = new Map<string, number>();
  disk.onOperation = ({ kind, path }) => {
    if (kind === 'read' && path.endsWith('.log')) opened.set(path, (opened.get(path) ?? 0) + 1);
  };
  await (await LogHost.open({ ...OPTIONS, fileSystem: disk })).abandon();
  const matching = [...opened.values()].reduce((sum, count) => sum + count, 0);
  opened.clear();
  const txnindex = (await disk.list(OPTIONS.directory)).find(({ name }) =>
    name.endsWith('.txnindex'),
  )!;
  await replaceFile(disk, `${OPTIONS.directory}/${txnindex.name}`, Buffer.alloc(0));
  await (await LogHost.open({ ...OPTIONS, fileSystem: disk })).abandon();
  const differing = [...opened.values()].reduce((sum, count) => sum + count, 0);
  expect(matching).toBeLessThan(differing);
});

test('[LOG-31] an opening fails if the log cannot tell which were aborted', async () => {
  const fileSystem = new MemoryFileSystem();
  const host = await LogHost.open({ ...OPTIONS, fileSystem });
  await CASES.closed(host);
  const [first] = await host.fileNames();
  const log = first!.replace(/\..*/, '.log');
  const content = await fileSystem.readFile(`${OPTIONS.directory}/${log}`);
  content[70]! ^= 1;
  await replaceFile(fileSystem, `${OPTIONS.directory}/${log}`, content);
  // While the lists are sound, no opening has to read it.
  await (await LogHost.open({ ...OPTIONS, fileSystem })).abandon();
  const names = (await host.fileNames()).filter((name) => name.endsWith('.txnindex'));
  await fileSystem.remove(`${OPTIONS.directory}/${names.at(-1)!}`);
  await expect(LogHost.open({ ...OPTIONS, fileSystem })).rejects.toMatchObject({
    code: 'CORRUPT_BATCH',
    details: { file: `${OPTIONS.directory}/${log}`, positionBytes: 0 },
  });
});
