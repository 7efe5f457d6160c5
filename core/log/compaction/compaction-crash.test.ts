import { describe, expect, test, vi } from 'vitest';
import { checkEach } from '../../../test/kit/check-each.ts';
import { LogError } from '../../errors.ts';
import { seededRandom } from '../../random.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { changesNothing, type Operation } from '../../storage/memory-operations.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { Model, producersOf, readCommitted } from './compaction.suite.ts';
import { LogHost } from '../log-host.suite.ts';

const DIRECTORY = '/data/test-0';
const OPTIONS = {
  directory: DIRECTORY,
  config: { cleanupPolicy: 'compact' as const, deleteRetentionMs: 0 },
};
/** Power cuts to try after each operation, and after each operation on names. */
const [OUTCOMES, NAME_OUTCOMES] = [1, 6];
const TIMEOUT_MS = 120_000;

/** A log of several groups of segments, with transactions and tombstones, compacted once. */
async function prepared(seed: number) {
  const fileSystem = new MemoryFileSystem({ random: seededRandom(seed) });
  const clock = new ManualClock();
  const host = await LogHost.open({ fileSystem, ...OPTIONS, clock });
  const model = new Model();
  await fill(host, model, seed);
  await host.checkpoint();
  await host.compact();
  await fill(host, model, seed + 1);
  await host.checkpoint();
  host.log.setConfig({ ...host.log.config, segmentBytes: 2500 }); // several become one
  return { fileSystem, clock, host, model };
}

async function fill(host: LogHost, model: Model, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random.next() * limit);
  for (let count = 0; count < 9; count++) {
    const isTransactional = count % 5 === 0;
    const producerId = isTransactional ? 7 : below(3) === 0 ? 3 : undefined;
    const entries = Array.from(
      { length: 1 + below(3) },
      () => [`key ${below(12)}`, below(4) === 0] as const,
    );
    await model.append(host, { entries, producerId, isTransactional });
    if (count % 6 === 4) await model.end(host, 7, below(2) === 0 ? 'COMMIT' : 'ABORT');
  }
  await model.end(host, 7, 'ABORT');
}

/** Opens the log after a crash: all is there, nothing is left over, and compaction continues. */
async function checkOpened(image: MemoryFileSystem, model: Model, before: unknown): Promise<void> {
  const clock = new ManualClock();
  let host = await LogHost.open({ fileSystem: image, ...OPTIONS, clock });
  await model.check(host.log);
  expect(producersOf(host.log)).toEqual(before);
  const odd = (await host.fileNames()).filter((name) => /cleaned|swap|tmp/.test(name));
  expect(odd).toEqual([]);
  await host.checkpoint();
  await host.compact();
  await model.check(host.log);
  await model.checkCompacted(host.log);
  const records = await readCommitted(host.log);
  host = await host.closeAndOpen();
  expect(await readCommitted(host.log)).toEqual(records);
  expect(producersOf(host.log)).toEqual(before);
  await host.close();
  clock.advance(60_000);
  await vi.waitFor(() => expect(image.openFileCount).toBe(0), { interval: 1 });
}

describe('crashes', () => {
  test.each([1])(
    '[COMPACTION-8] seed %i: a crash at any moment leaves either the old segments or the new one',
    async (seed) => {
      const { fileSystem, host, model } = await prepared(seed);
      const producers = producersOf(host.log);
      const crashes: { readonly name: string; readonly image: MemoryFileSystem }[] = [];
      fileSystem.onOperation = ({ number, kind, path }: Operation): void => {
        if (changesNothing(kind)) return;
        const name = `operation ${number} (${kind} ${path})`;
        crashes.push({
          name: `killed after ${name}`,
          image: fileSystem.kill(seededRandom(number)),
        });
        const outcomes = kind === 'rename' ? NAME_OUTCOMES : OUTCOMES;
        for (let outcome = 1; outcome <= outcomes; outcome++) {
          const image = fileSystem.crash(seededRandom(number * 100 + outcome));
          crashes.push({ name: `power cut ${outcome} after ${name}`, image });
        }
      };
      const done = await host.compact();
      fileSystem.onOperation = undefined;
      expect(done?.passes).toBe(1);
      expect(crashes.length).toBeGreaterThan(50);
      await checkEach(crashes, async ({ name, image }) => {
        await checkOpened(image, model, producers).catch((cause: unknown) => {
          throw new Error(`${name}: ${String(cause)}`, { cause });
        });
      });
    },
    TIMEOUT_MS,
  );

  test(
    '[COMPACTION-8] a crash at any moment of an opening that finishes a swap',
    async () => {
      const { fileSystem, host, model } = await prepared(4);
      const producers = producersOf(host.log);
      const images: MemoryFileSystem[] = [];
      fileSystem.onOperation = ({ kind, to = '' }: Operation): void => {
        if (kind !== 'rename' || !/[.]log[.](swap|deleted)$/.test(to)) return;
        images.push(fileSystem.kill(seededRandom(images.length)));
      };
      await host.compact();
      fileSystem.onOperation = undefined;
      let crashCount = 0;
      for (const image of images) {
        const crashes: MemoryFileSystem[] = [];
        image.onOperation = ({ kind, number }) => {
          if (changesNothing(kind)) return;
          crashes.push(image.kill(seededRandom(number)), image.crash(seededRandom(number)));
        };
        await (await LogHost.open({ fileSystem: image, ...OPTIONS })).log.abandon();
        await checkEach(crashes, (crash) => checkOpened(crash, model, producers));
        crashCount += crashes.length;
      }
      expect(crashCount).toBeGreaterThan(20);
    },
    TIMEOUT_MS,
  );
});

describe('failures', () => {
  test.each(['EIO', 'ENOSPC'])(
    '[COMPACTION-9] %s at any operation: nothing is lost, and the log continues or reports why not',
    async (code) => {
      for (let index = 1; ; index++) {
        const { fileSystem, clock, host, model } = await prepared(5);
        const producers = producersOf(host.log);
        const stop = fileSystem.fail({ at: fileSystem.operationCount + index, code });
        const failure = await host.compact().then(
          () => undefined,
          (error: unknown) => error,
        );
        stop();
        if (failure !== undefined) expect(failure).toBeInstanceOf(LogError);
        await vi.waitFor(() => model.check(host.log)); // it may have to reload first
        if (host.log.failure === undefined) {
          await host.compact();
          await model.check(host.log);
          await model.checkCompacted(host.log);
          await model.append(host, { entries: [['next', false]] });
          await host.log.sync();
          await model.check(host.log);
        }
        const isRestored = host.log.failure === undefined;
        await host.log.abandon();
        clock.advance(60_000);
        await vi.waitFor(() => expect(fileSystem.openFileCount).toBe(0));
        await checkOpened(fileSystem.kill(), model, producers);
        if (isRestored) await checkOpened(fileSystem.crash(), model, producers);
        if (failure === undefined && index > 20) return;
      }
    },
    TIMEOUT_MS,
  );
});
