import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { int64, string, systemClock, topic, type Logger } from '../core/index.ts';
import { sleep } from '../core/internal.ts';
import { StreamsBuilder, type StreamsApp } from '../streams/index.ts';
import { committedRows, makeApp, openTestLog, produce } from './kit/app.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const numbers = topic('numbers', { key: string(), value: int64(), partitions: 1 });
const results = topic('results', { key: string(), value: int64() });

const KIB = 1024;

/** A disk of its own, of so many KiB; undefined where nobody may mount one. */
function smallDisk(sizeKib: number) {
  const directory = join(temporaryDirectory(), 'disk');
  mkdirSync(directory);
  const mount = (size: number, ...options: readonly string[]): void => {
    const all = [...options, `size=${size}k`].join(',');
    execFileSync('mount', ['-t', 'tmpfs', '-o', all, 'tmpfs', directory], { stdio: 'pipe' });
  };
  try {
    mount(sizeKib);
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', directory]));
  return { directory, resize: (size: number) => mount(size, 'remount') };
}

const mayMount = ((): boolean => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const directory = mkdtempSync(join(tmpdir(), 'millrace-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory], { stdio: 'pipe' });
    execFileSync('umount', [directory], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true });
  }
})();
const hint = mayMount ? '' : ' (skipped: mounting a small disk takes root)';

function counting() {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers, { nullKeys: 'fail' })
    .groupByKey()
    .count({ store: 'counts', emit: 'each' })
    .toStream()
    .to(results);
  return builder.build();
}

/** Keeps what is written to it. */
function lineLogger() {
  const lines: string[] = [];
  const note =
    (level: string) =>
    (line: string): void =>
      void lines.push(`${level} ${line}`);
  const logger: Logger = {
    ...{ debug: () => undefined, info: note('info'), warn: note('warn'), error: note('error') },
  };
  return { lines, logger };
}

/** Waits until it has given up an attempt: a batch that cannot be written is tried for 10 s. */
async function retrying(app: StreamsApp): Promise<void> {
  for (let waitedMs = 0; app.state !== 'RETRYING'; waitedMs += 20) {
    expect(waitedMs, app.state).toBeLessThan(40_000);
    await sleep(systemClock, 20);
  }
}

const KEYS = 20_000;
/** Keys of some 200 bytes, each of them twice. */
function* rows(): Generator<[string, number, number]> {
  for (let index = 0; index < 2 * KEYS; index++) {
    yield [`${String(index % KEYS).padStart(6, '0')} ${'k'.repeat(200)}`, index, index];
  }
}

describe.skipIf(!mayMount)('[RT-POLICY-5] on a disk that is really full' + hint, () => {
  test('the state waits, says so once, goes on when there is room, and loses nothing', async () => {
    const disk = smallDisk(3 * KIB)!;
    const log = await openTestLog();
    await produce(log, numbers, rows());
    const { lines, logger } = lineLogger();
    const app = makeApp(log, counting(), {
      ...{ stateDir: join(disk.directory, 'state'), logger },
      ...{ checkpointIntervalMs: 20, checkpointEntriesMax: 2_000, cacheEntriesMax: 100 },
    });
    await app.start();
    await retrying(app);
    expect(app.retry?.cause).toMatchObject({ code: 'DISK_FULL' });
    await sleep(systemClock, 3_500); // it tries again meanwhile
    const ofDisk = (): string[] => lines.filter((line) => line.includes('room'));
    expect(ofDisk()).toEqual([
      expect.stringMatching(/^error .*waits until the disk has room.*the state in .* is full/),
    ]);
    expect(app.state).not.toBe('ERROR');
    disk.resize(256 * KIB);
    await app.finish();
    expect(ofDisk().map((line) => line.split(' ')[0])).toEqual(['error', 'info']);
    const found = await committedRows(log, results);
    const expected = [...rows()].map(([key, , timeMs], index) => {
      return `${key} ${index < KEYS ? 1 : 2} @${timeMs}`;
    });
    expect(found).toHaveLength(expected.length);
    expect(found).toEqual(expected);
  }, 120_000);

  test('so do log and state on the same disk', async () => {
    const disk = smallDisk(24 * KIB)!;
    const log = await openTestLog({ directory: join(disk.directory, 'log') });
    await produce(log, numbers, rows());
    const { lines, logger } = lineLogger();
    const options = { checkpointIntervalMs: 20, checkpointEntriesMax: 2_000, cacheEntriesMax: 100 };
    const app = makeApp(log, counting(), { ...options, logger });
    await app.start();
    await retrying(app);
    await sleep(systemClock, 2_500);
    disk.resize(256 * KIB);
    await app.finish();
    expect(lines.filter((line) => line.includes('room')).length).toBe(2);
    expect(await committedRows(log, results)).toHaveLength(2 * KEYS);
    // What a start finds on the disk is whole.
    await produce(log, numbers, [['last', 1, 0]]);
    const again = makeApp(log, counting(), options);
    await again.start();
    await again.finish();
    expect((await committedRows(log, results)).at(-1)).toBe('last 1 @0');
  }, 120_000);
});
