import { describe, expect, test } from 'vitest';
import {
  bytes,
  json,
  openLog,
  parseDeadLetter,
  seededRandom,
  silentLogger,
  string,
  topic,
  type Log,
} from '../../core/index.ts';
import { changesNothing, MemoryFileSystem } from '../../core/testing/index.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import type { BadInput, SinkConnector, SinkOffset, SourceConnector } from '../connector.ts';
import { SinkRunner } from './sink-runner.ts';
import { SourceRunner } from './source-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>(), partitions: 2 });
const raw = topic('numbers', { key: bytes(), value: bytes(), partitions: 2 });
const PARTS = ['a', 'b'];
const END = 12;

const OPTIONS = {
  logger: silentLogger,
  errors: { tolerance: 'all', deadLetter: 'letters' },
  commitRecordsMax: 4,
} as const;

const open = (fileSystem: MemoryFileSystem, seed: number): Promise<Log> =>
  openLog('/data', { fileSystem, random: seededRandom(seed), logger: silentLogger });

const isBad = (value: number, every = 3): boolean => value % every === 1;

/** The values of the dead letters, sorted. */
async function letters(log: Log): Promise<string[]> {
  const handle = topic('letters', { key: bytes(), value: bytes() });
  const found = (await readTopic(log, handle, 'read_committed')).map(parseDeadLetter);
  return found.map(({ value }) => String(value)).sort();
}

const WAYS = [
  ['a power cut', 1, (disk: MemoryFileSystem) => disk.crash(seededRandom(21))],
  ['kill -9', 2, (disk: MemoryFileSystem) => disk.kill()],
] as const;

function badNumber(part: string, value: number): BadInput {
  return {
    ...{ stage: 'read', raw: Buffer.from(`${part}${value}`), place: `${part}, ${value}` },
    ...{ position: { part, value }, error: new RangeError(`${value} is bad`) },
  };
}

/** Two tasks that each count to END, three numbers per batch, of which some are bad. */
const counter: SourceConnector = {
  name: 'counter',
  topics: [numbers],
  isBounded: true,
  open: async (context) =>
    PARTS.map((part) => {
      let next = Number(context.offset({ part })?.['next'] ?? 0);
      return {
        poll: async () => {
          if (next >= END) return undefined;
          const values = [next, next + 1, next + 2];
          next += 3;
          const records = values
            .filter((value) => !isBad(value))
            .map((value) => ({ topic: numbers, key: part, value }));
          const bad = values.filter((value) => isBad(value)).map((value) => badNumber(part, value));
          return { records, bad, partition: { part }, offset: { next } };
        },
        close: async () => undefined,
      };
    }),
};

describe.each(WAYS)('%s', (_, seed, crash) => {
  test('[CONNECT-ERRORS-3] at any moment: one dead letter for each piece', async () => {
    const moments: MemoryFileSystem[] = [];
    const disk: MemoryFileSystem = new MemoryFileSystem({
      random: seededRandom(seed),
      onOperation: ({ kind, number }) => {
        if (!changesNothing(kind) && number % 2 === 0) moments.push(crash(disk));
      },
    });
    const log = await open(disk, seed);
    await new SourceRunner(log, counter, OPTIONS).run();
    await log.close();
    expect(moments.length).toBeGreaterThan(30);
    for (const moment of moments) {
      const after = await open(moment, seed);
      await new SourceRunner(after, counter, OPTIONS).run();
      expect(await letters(after)).toEqual(['a1', 'a10', 'a4', 'a7', 'b1', 'b10', 'b4', 'b7']);
      const values = await readValues(after, numbers, 'read_committed');
      expect(values).toHaveLength(16);
      await after.close();
    }
  }, 60_000);
});

/** What a sink has for good: it changes at once. */
interface Output {
  readonly values: readonly number[];
  readonly offsets: readonly SinkOffset[];
}

/**
 * Keeps its offsets with its values, and rejects what is no number. Only each `every`th commit is
 * durable, and one that has to be.
 */
function transactional(output: { now: Output }, every: number): SinkConnector {
  return {
    ...{ name: 'kept', topics: [numbers], delivery: 'transactional' },
    open: async ({ reject }) => {
      const values = [...output.now.values];
      let commits = 0;
      return {
        committedOffsets: output.now.offsets,
        get durableOffsets() {
          return output.now.offsets;
        },
        put: (records) => {
          for (const record of records) {
            try {
              values.push(record.value as number);
            } catch (cause) {
              reject(record, cause as Error);
            }
          }
        },
        commit: async (offsets, { isFinal }) => {
          commits++;
          if (isFinal || commits % every === 0) output.now = { values: [...values], offsets };
        },
        close: async () => undefined,
      };
    },
  };
}

async function fill(log: Log, length: number, badEvery = 3): Promise<void> {
  await using producer = log.producer();
  const records = Array.from({ length }, (_, value) => {
    const text = isBad(value, badEvery) ? `x${value}` : String(value);
    return { key: Buffer.from('k'), value: Buffer.from(text), partition: value % 2 };
  });
  await producer.sendAll(raw, records);
}

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

describe.each(WAYS)('%s', (_, seed, crash) => {
  test.each([
    ['at once', { every: 1, count: 2 * END, badEvery: 3, look: 2 }],
    // So many that each partition has several puts, and a commit behind each.
    ['by every third commit', { every: 3, count: 1_500, badEvery: 51, look: 20 }],
  ])(
    '[CONNECT-ERRORS-4] one dead letter a record, in an output %s',
    async (_, { every, count, badEvery, look }) => {
      const disk = new MemoryFileSystem({ random: seededRandom(seed) });
      const log = await open(disk, seed);
      await fill(log, count, badEvery);
      const output: { now: Output } = { now: { values: [], offsets: [] } };
      const moments: { disk: MemoryFileSystem; output: Output; step: string }[] = [];
      const capture = (step: string): void => {
        moments.push({ disk: crash(disk), output: output.now, step });
      };
      disk.onOperation = ({ kind, number }) => {
        if (!changesNothing(kind) && number % look === 0) capture(`${number} ${kind}`);
      };
      await new SinkRunner(log, transactional(output, every), {
        ...OPTIONS,
        // Each put is one of at most so many records: a commit falls between them.
        onStep: capture,
      }).finish();
      disk.onOperation = undefined;
      await log.close();
      expect(moments.filter(({ step }) => step === 'sink-1-output').length).toBeGreaterThan(0);
      const good = Array.from({ length: count }, (_, value) => value).filter(
        (n) => !isBad(n, badEvery),
      );
      const bad = Array.from({ length: count }, (_, value) => value).filter((n) =>
        isBad(n, badEvery),
      );
      for (const moment of moments) {
        const after = await open(moment.disk, seed);
        const own = { now: moment.output };
        await new SinkRunner(after, transactional(own, every), OPTIONS).finish();
        expect([moment.step, sorted(own.now.values)]).toEqual([moment.step, good]);
        const expected = bad.map((value) => `x${value}`).sort();
        expect([moment.step, await letters(after)]).toEqual([moment.step, expected]);
        await after.close();
      }
    },
    60_000,
  );
});

test('[CONNECT-ERRORS-4] an output that holds back is complete before it is too much', async () => {
  const log = await open(new MemoryFileSystem(), 3);
  const count = 3_000;
  await fill(log, count);
  const output: { now: Output } = { now: { values: [], offsets: [] } };
  const sink = transactional(output, Infinity);
  const completed: number[] = [];
  const watched: SinkConnector = {
    ...sink,
    open: async (context) => {
      const task = await sink.open(context);
      return Object.assign(Object.create(task) as typeof task, {
        commit: async (offsets: readonly SinkOffset[], options: { readonly isFinal: boolean }) => {
          await task.commit(offsets, options);
          if (options.isFinal) completed.push(output.now.values.length);
        },
      });
    },
  };
  await new SinkRunner(log, watched, OPTIONS).finish();
  expect(completed.length).toBeGreaterThan(2);
  expect(output.now.values).toHaveLength((count * 2) / 3);
  const expected = Array.from({ length: count }, (_, value) => value).filter((n) => isBad(n));
  expect(await letters(log)).toEqual(expected.map((value) => `x${value}`).sort());
  await log.close();
});
