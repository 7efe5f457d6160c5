import { describe, expect, test } from 'vitest';
import { silentLogger } from '../../logger.ts';
import { seededRandom } from '../../random.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import type { TopicSettings } from '../admin/admin.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string() });
const MINUTE_MS = 60_000;
/** How often the broker looks for what is old, unless it is kept for less than twice as long. */
const CHECK_MS = 5 * MINUTE_MS;
/** How often it looks at most. */
const LOOK_MS = 10_000;

interface Scene {
  readonly log: Log;
  readonly clock: ManualClock;
  readonly disk: MemoryFileSystem;
  /** Sends a record of about 600 bytes, stamped now. */
  readonly send: (value: string) => Promise<void>;
  /** Lets time pass, and the broker do what falls due. */
  readonly wait: (ms: number) => Promise<void>;
  readonly earliest: () => Promise<number>;
  /** The segments of the log on disk, by base offset. */
  readonly segments: () => Promise<{ kept: number[]; deleted: number[] }>;
}

/** Resolves when the disk has nothing to do any more. */
async function settle(disk: MemoryFileSystem): Promise<void> {
  for (let before = -1; before !== disk.operationCount;) {
    before = disk.operationCount;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A log with segments of two records, on a clock that is moved by hand. */
async function scene(config: TopicSettings, run: (scene: Scene) => Promise<void>): Promise<void> {
  const clock = new ManualClock();
  const disk = new MemoryFileSystem({ random: seededRandom(5), clock });
  const options = { clock, fileSystem: disk, logger: silentLogger };
  await using log = await openLog('/data', options);
  await log.admin().createTopic('letters', { config: { segmentBytes: 1500, ...config } });
  const producer = log.producer();
  const earliest = async () => (await log.admin().offsets('letters'))[0]?.earliest ?? -1;
  await run({
    log,
    clock,
    disk,
    earliest,
    send: async (value) => {
      await producer.send(letters, { value: value + 'x'.repeat(500), timestampMs: clock.nowMs() });
    },
    wait: async (ms) => {
      for (let left = ms; left > 0; left -= LOOK_MS) {
        clock.advance(Math.min(left, LOOK_MS));
        await settle(disk);
      }
    },
    segments: async () => {
      const names = (await disk.list('/data/letters-0')).map(({ name }) => name).sort();
      const bases = (suffix: RegExp) =>
        names.filter((name) => suffix.test(name)).map((name) => Number(name.split('.')[0]));
      return { kept: bases(/\.log$/), deleted: bases(/\.log\.deleted$/) };
    },
  });
}

describe('retention', () => {
  test('[ADMIN-19] by time: segments go when their newest record is too old', async () => {
    await scene({ retentionMs: 10 * MINUTE_MS }, async ({ send, wait, earliest, segments }) => {
      for (const value of ['a', 'b', 'c', 'd', 'e']) await send(value);
      expect((await segments()).kept).toEqual([0, 2, 4]);
      await wait(CHECK_MS);
      expect(await earliest()).toBe(0);
      await send('f'); // newer: the segment that it shares with `e` stays longer
      await wait(CHECK_MS + MINUTE_MS);
      expect(await earliest()).toBe(0); // looked at 10 minutes after: not older than that
      await wait(CHECK_MS);
      expect(await earliest()).toBe(4);
      await wait(2 * CHECK_MS);
      expect(await earliest()).toBe(6); // the newest segment too, once all of it is old
      expect((await segments()).kept).toEqual([6]);
      await send('g');
      expect(await earliest()).toBe(6);
    });
  });

  test('[ADMIN-19] what is kept for a minute is looked at every half a minute', async () => {
    await scene({ retentionMs: MINUTE_MS }, async ({ send, wait, earliest }) => {
      for (const value of ['a', 'b', 'c', 'd', 'e']) await send(value);
      await wait(MINUTE_MS + 2 * LOOK_MS);
      expect(await earliest()).toBe(0);
      await wait(LOOK_MS);
      expect(await earliest()).toBe(5);
    });
  });

  test('[ADMIN-19] by size: the oldest segments go while there are too many bytes', async () => {
    await scene({ retentionBytes: 2500 }, async ({ log, send, wait, earliest }) => {
      for (const value of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) await send(value);
      await wait(CHECK_MS);
      const [directory] = await log.admin().describeLogDirs(['letters']);
      const sizeBytes = directory?.partitions[0]?.sizeBytes ?? 0;
      // Without another segment (two records) it would be less than what is to be kept.
      expect(sizeBytes).toBeGreaterThanOrEqual(2500);
      expect(sizeBytes).toBeLessThan(2500 + 2 * 700);
      expect(await earliest()).toBe(2);
    });
  });

  test('[ADMIN-20] files of removed segments stay for fileDeleteDelayMs', async () => {
    const config = { retentionMs: 0, fileDeleteDelayMs: 10 * MINUTE_MS };
    await scene(config, async ({ send, wait, segments, clock }) => {
      for (const value of ['a', 'b', 'c']) await send(value);
      clock.advance(1);
      await wait(MINUTE_MS);
      expect(await segments()).toEqual({ kept: [3], deleted: [0, 2] });
      await wait(9 * MINUTE_MS);
      expect((await segments()).deleted).toEqual([0, 2]);
      await wait(2 * MINUTE_MS);
      expect(await segments()).toEqual({ kept: [3], deleted: [] });
    });
  });

  test('[ADMIN-21] a segment is rolled when its records span segmentMs', async () => {
    await scene({ segmentMs: MINUTE_MS, segmentBytes: 100_000 }, async (it) => {
      await it.send('a');
      it.clock.advance(MINUTE_MS);
      await it.send('b');
      expect((await it.segments()).kept).toEqual([0]);
      it.clock.advance(1);
      await it.send('c');
      expect((await it.segments()).kept).toEqual([0, 2]);
    });
  });

  test('[ADMIN-6] a changed setting holds for records that are there already', async () => {
    await scene({}, async ({ log, send, wait, earliest, segments }) => {
      for (const value of ['a', 'b', 'c', 'd']) await send(value);
      await wait(4 * CHECK_MS);
      expect(await earliest()).toBe(0); // by default nothing is removed
      await log.admin().alterConfigs('letters', { set: { retentionMs: MINUTE_MS } });
      await wait(CHECK_MS - 2);
      await send('e');
      await wait(2);
      expect(await earliest()).toBe(4);
      await log.admin().alterConfigs('letters', {
        delete: ['retentionMs'],
        set: { segmentMs: MINUTE_MS },
      });
      await wait(4 * CHECK_MS);
      await send('f');
      expect(await earliest()).toBe(4);
      expect((await segments()).kept).toEqual([4, 5]);
      await log.admin().alterConfigs('letters', {
        set: { retentionMs: 1, cleanupPolicy: 'compact' },
      });
      await wait(CHECK_MS);
      expect(await earliest()).toBe(4); // compacted topics keep what is old
    });
  });
});
