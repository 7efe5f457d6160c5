import { join } from 'node:path';
import { ManualClock } from '../testing/manual-clock.ts';
import type { Log } from '../client/log.ts';
import { openLog } from '../client/open-log.ts';
import { topic } from '../client/topic.ts';
import { silentLogger } from '../logger.ts';
import { seededRandom } from '../random.ts';
import { string } from '../serde/text.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';

export const DIRECTORY = '/data';

/** Segments of a few batches, so that little data creates all kinds of files. */
export const plain = topic('plain', {
  key: string(),
  value: string(),
  partitions: 1,
  config: { segmentBytes: 1024, indexIntervalBytes: 200, fileDeleteDelayMs: 0 },
});
/** Written to in transactions. */
export const sure = topic('sure', {
  key: string(),
  value: string(),
  partitions: 1,
  config: { segmentBytes: 1024, indexIntervalBytes: 200 },
});

export function openSample(fileSystem: MemoryFileSystem, clock = new ManualClock()): Promise<Log> {
  const random = seededRandom(1);
  return openLog(DIRECTORY, { fileSystem, random, clock, logger: silentLogger });
}

export interface SampleOptions {
  /** Leaves the log as after the death of its process. */
  readonly isKilled?: boolean;
  readonly batches?: number;
}

/** A small log with plain records, committed and aborted transactions, and a group. */
export async function sampleLog(options: SampleOptions = {}): Promise<MemoryFileSystem> {
  const { isKilled = false, batches = 16 } = options;
  const clock = new ManualClock();
  const disk = new MemoryFileSystem({ random: seededRandom(1), clock });
  const log = await openSample(disk, clock);
  const producer = log.producer();
  for (let at = 0; at < batches; at++) {
    clock.advance(10);
    const headers = [{ key: 'n', value: Buffer.from(String(at)) }];
    await producer.send(plain, { key: `k${at}`, value: `value ${at}`.repeat(4), headers });
  }
  const writer = log.producer({ transactionalId: 'writer' });
  for (let at = 0; at < batches / 2; at++) {
    clock.advance(10);
    await writer
      .transaction(async (tx) => {
        tx.send(sure, { key: `k${at}`, value: `value ${at}`.repeat(4) });
        tx.send(sure, { key: `l${at}`, value: null });
        const offsets = [{ topic: plain.name, partition: 0, offset: at + 1, metadata: '' }];
        await tx.sendOffsets(offsets, 'group');
        if (at % 3 === 1) throw new TypeError('not this one');
      })
      .catch((cause: unknown) => {
        if (!(cause instanceof TypeError)) throw cause;
      });
  }
  if (isKilled) return disk.kill(seededRandom(2));
  await log.close();
  return disk.kill(seededRandom(2));
}

/** Every file below a directory, by path. */
export async function filesBelow(
  disk: MemoryFileSystem,
  directory: string = DIRECTORY,
): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const { name, isDirectory } of await disk.list(directory)) {
    const path = join(directory, name);
    if (!isDirectory) files.set(path, await disk.readFile(path));
    else for (const [below, content] of await filesBelow(disk, path)) files.set(below, content);
  }
  return files;
}

/** Writes into a file in place, as damage does. */
export async function overwrite(
  disk: MemoryFileSystem,
  path: string,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  const file = await disk.open(path, 'write');
  await file.write([bytes], position);
  await file.sync();
  await file.close();
}
