import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  int64,
  seededRandom,
  string,
  systemClock,
  topic,
  type Clock,
  type Logger,
} from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { compiledProgram } from '../../test/kit/compiled.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { noRoom } from '../state/lmdb-environment.ts';
import type { StreamsState } from './app-life.ts';
import { Restarts, type UncaughtErrorAction } from './uncaught-errors.ts';

const numbers = topic('numbers', { key: string(), value: int64(), partitions: 1 });
const results = topic('results', { key: string(), value: int64() });

/** Time goes so much faster. */
function fastClock(times: number): Clock {
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() * times,
    setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / times, callback),
    setBackgroundTimer: (delayMs, callback) => {
      return systemClock.setBackgroundTimer(delayMs / times, callback);
    },
  };
}

/** Keeps what is written to it. */
function lineLogger() {
  const lines: string[] = [];
  const logger: Logger = {
    debug: () => undefined,
    info: (line) => lines.push(`info ${line}`),
    warn: (line) => lines.push(`warn ${line}`),
    error: (line) => lines.push(`error ${line}`),
  };
  return { lines, logger };
}

/** Counts records by key; -1 is a record that `fails` decides about. */
function counting(fails: () => boolean) {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .peek(({ value }) => {
      if (value === -1 && fails()) throw new RangeError('unlucky');
    })
    .groupByKey()
    .count({ store: 'counts', emit: 'each' })
    .toStream()
    .to(results);
  return builder.build();
}

const rows = [
  ['a', 1, 1],
  ['a', -1, 2],
  ['a', 3, 3],
] as const;
const expected = ['a 1 @1', 'a 2 @2', 'a 3 @3'];

describe('onUncaughtError', () => {
  test('[RT-POLICY-1] by default the application ends with the error', async () => {
    const log = await openTestLog();
    const app = makeApp(
      log,
      counting(() => true),
    );
    await app.start();
    const ended = app.done.catch(String);
    await produce(log, numbers, rows);
    expect(await ended).toContain('unlucky');
    expect(app.state).toBe('ERROR');
  });

  test('[RT-POLICY-2] after a restart the tasks go on from their last commit', async () => {
    const log = await openTestLog();
    const { lines, logger } = lineLogger();
    let failures = 0;
    const app = makeApp(
      log,
      counting(() => ++failures < 4),
      {
        ...{ onUncaughtError: 'restart', clock: fastClock(50), logger },
      },
    );
    const states: StreamsState[] = [];
    const causes: unknown[] = [];
    app.state$.subscribe((state) => {
      states.push(state);
      if (state === 'RETRYING') causes.push(app.retry?.cause.message);
    });
    await app.start();
    await produce(log, numbers, rows);
    await until(async () => (await committedRows(log, results)).length === 3);
    expect(await committedRows(log, results)).toEqual(expected);
    const restart = ['RETRYING', 'RESTORING', 'RUNNING'];
    expect(states).toEqual(['CREATED', 'RESTORING', 'RUNNING', ...restart, ...restart, ...restart]);
    expect(causes).toEqual(
      Array.from({ length: 3 }, (): unknown => expect.stringContaining('unlucky')),
    );
    const restarts = lines.filter((line) => line.includes('restarts from its last commit'));
    expect(restarts.map((line) => /in (\d+) ms/.exec(line)?.[1])).toEqual(['1000', '2000', '4000']);
    await app.close();
  });

  test('[RT-POLICY-2] ten restarts without five minutes of work are the last', () => {
    const restarts = new Restarts();
    expect(restarts.hasRun).toBe(false);
    let nowMs = 0;
    const pauses = (): (number | undefined)[] =>
      Array.from({ length: 11 }, () => {
        restarts.running(nowMs);
        nowMs += 299_999;
        return restarts.nextPauseMs(nowMs);
      });
    const doubled = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map((seconds) => seconds * 1_000);
    expect(pauses()).toEqual([...doubled, undefined]);
    restarts.running(nowMs);
    nowMs += 300_000;
    expect(restarts.nextPauseMs(nowMs)).toBe(1_000);
    // What passes while it does not run is no work.
    expect(restarts.nextPauseMs(nowMs + 900_000)).toBe(2_000);
  });

  test('[RT-POLICY-2] what fails before it first runs is not restarted', async () => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    builder.stream(numbers).process(() => {
      throw new RangeError('not today');
    });
    const app = makeApp(log, builder.build(), { onUncaughtError: 'restart' });
    await expect(app.start()).rejects.toThrow('not today');
  });

  test('[RT-POLICY-3] a function decides, by the error', async () => {
    const log = await openTestLog();
    const asked: string[] = [];
    const app = makeApp(
      log,
      counting(() => true),
      {
        clock: fastClock(50),
        onUncaughtError: ({ message }) => {
          asked.push(message);
          return asked.length < 3 ? 'restart' : 'stop';
        },
      },
    );
    await app.start();
    const ended = app.done.catch(String);
    await produce(log, numbers, rows);
    expect(await ended).toContain('unlucky');
    expect(asked).toHaveLength(3);
  });

  test.each([
    [
      'throws',
      () => {
        throw new TypeError('no idea');
      },
      'no idea',
    ],
    ['returns nonsense', () => 'nonsense' as UncaughtErrorAction, 'nonsense'],
  ])('[RT-POLICY-3] a function that %s ends the application', async (_, handler, text) => {
    const log = await openTestLog();
    const app = makeApp(
      log,
      counting(() => true),
      { onUncaughtError: handler },
    );
    await app.start();
    const ended = app.done.catch((cause: unknown) => cause);
    await produce(log, numbers, rows);
    const error = await ended;
    expect(error).toMatchObject({ code: 'ERROR_HANDLER_FAILED' });
    expect(String(error)).toContain(text);
    expect(String(error)).toContain('unlucky');
  });

  test('[RT-POLICY-3] another value is refused', () => {
    expect(() =>
      makeApp(
        { consumer() {}, producer() {} } as never,
        counting(() => true),
        {
          onUncaughtError: 'resume' as never,
        },
      ),
    ).toThrow('must be "restart" or "stop" or "exit", or a function');
  });

  test.each([
    ['without a listener of SIGTERM at once', 'none', 'ended\n'],
    ['by its listener of SIGTERM', 'listener', 'ended\nSIGTERM\nclosed\n'],
  ])(
    '[RT-POLICY-4] `exit` ends the process %s, with code 1',
    async (_, what, output) => {
      const program = compiledProgram('test/kit/exiting-app-process.ts');
      const args = [program, temporaryDirectory(), what];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
      onTestFinished(() => void child.kill('SIGKILL'));
      let written = '';
      child.stdout.on('data', (data: Buffer) => (written += data.toString()));
      const [code] = (await once(child, 'close')) as [number];
      expect([code, written]).toEqual([1, output]);
    },
    60_000,
  );
});

describe('a full disk', () => {
  test('[RT-POLICY-5] an application waits for room, and says so once', async () => {
    const clock = fastClock(200);
    const disk = new MemoryFileSystem({ random: seededRandom(1) });
    const log = await openTestLog({ directory: '/data', fileSystem: disk, clock });
    const input = Array.from(
      { length: 300 },
      (_, index) => [`k${index % 3}`, index, index] as const,
    );
    await produce(log, numbers, input);
    const { lines, logger } = lineLogger();
    let fills = 0;
    const app = makeApp(
      log,
      counting(() => false),
      {
        ...{ clock, logger, stateDir: temporaryDirectory(), transactionTimeoutMs: 600_000 },
        onStep: (step) => {
          if (step === 'commit-2-changelog' && fills++ === 0) disk.capacityBytes = disk.usedBytes;
        },
      },
    );
    await app.start();
    await until(() => app.state === 'RETRYING');
    const sinceMs = clock.monotonicMs();
    // Longer than other failures may take.
    await until(() => clock.monotonicMs() - sinceMs > 400_000);
    expect(app.state).not.toBe('ERROR');
    const ofDisk = (): string[] => lines.filter((line) => line.includes('room'));
    expect(ofDisk()).toEqual([expect.stringMatching(/^error .*waits until the disk has room/)]);
    disk.capacityBytes = Infinity;
    await app.finish();
    expect(ofDisk()).toEqual([
      expect.stringMatching(/^error /),
      expect.stringMatching(/^info .*goes on: the disk has room again/),
    ]);
    const found = await committedRows(log, results);
    expect(found).toEqual(
      input.map(([key, , timeMs], index) => {
        return `${key} ${Math.floor(index / 3) + 1} @${timeMs}`;
      }),
    );
  }, 60_000);

  test('[RT-POLICY-5] so it does for the state, whatever LMDB calls it', () => {
    for (const code of ['ENOSPC', 'EDQUOT', 28, 122, -30_792]) {
      const cause = Object.assign(new TypeError('no room'), { code });
      expect(noRoom('/state', cause)).toMatchObject({ code: 'DISK_FULL', retriable: true, cause });
    }
    expect(
      noRoom('/state', Object.assign(new TypeError('other'), { code: 'EIO' })),
    ).toBeUndefined();
    expect(noRoom('/state', new TypeError('none'))).toBeUndefined();
  });
});
