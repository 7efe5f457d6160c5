import { describe, expect, test } from 'vitest';
import {
  bytes,
  int64,
  json,
  parseDeadLetter,
  silentLogger,
  string,
  topic,
  type EmbeddedLog,
  type Log,
  type Logger,
} from '../../core/index.ts';
import {
  committedRows,
  makeApp,
  openTestLog,
  produce,
  runToEnd,
  until,
} from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  crashInput,
  crashMoments,
  crashOutput,
  openDisk,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import {
  keyValueStore,
  sessionStore,
  versionedStore,
  windowStore,
  type OwnStore,
} from '../dsl/stores.ts';
import { StreamsError } from '../errors.ts';
import type { ErrorAction, RecordFailure } from '../topology/record-errors.ts';
import type { Topology } from '../topology/topology.ts';
import { joinWindow } from '../topology/join-window.ts';
import { hoppingWindow, sessionWindow, tumblingWindow } from '../topology/windows.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

const DEAD_LETTERS = topic('app-dead-letters', { key: bytes(), value: bytes() });
const options = { commitIntervalMs: 20, idleTimeoutMs: Infinity } as const;
const quiet = { ...options, logger: silentLogger };
const shape = { key: string(), value: int64() };
const others = topic('others', { ...shape, partitions: 1 });

/** Each one of 29 is half a number too much, which `int64` does not write. */
const isBad = (value: number): boolean => value % 29 === 0;
const spoilt = (value: number): number => (isBad(value) ? value + 0.5 : value);

const last = (_: number, { value }: { readonly value: number }): number => spoilt(value);

/** What `json` does not write. */
const UNWRITABLE = {
  toJSON: () => {
    throw new TypeError('this has no JSON form');
  },
  toString: () => 'unwritable',
};

const nothing = (): { last: unknown; count: number } => ({ last: 0, count: 0 });

/** Operators that keep what functions return, each with values that its store cannot write. */
const KEEPERS: Record<string, (builder: StreamsBuilder, onError: ErrorAction) => void> = {
  'an aggregate': (builder, onError) => {
    builder
      .stream(crashInput, { nullKeys: 'fail' })
      .groupByKey()
      .aggregate(() => 0, last, {
        name: 'keeper',
        store: 'kept',
        value: int64(),
        onError,
        emit: 'each',
      })
      .toStream()
      .mapValues(String)
      .to(crashOutput);
  },
  'a value changed in place': (builder, onError) => {
    builder
      .stream(crashInput, { nullKeys: 'fail' })
      .groupByKey()
      .aggregate(
        nothing,
        (kept, { value }) => {
          kept.count++;
          kept.last = isBad(value) ? UNWRITABLE : value;
          return kept;
        },
        { name: 'keeper', store: 'kept', value: json(), onError, emit: 'each' },
      )
      .toStream()
      .mapValues(({ last, count }) => `${String(last)} ${count}`)
      .to(crashOutput);
  },
  'a window': (builder, onError) => {
    builder
      .stream(crashInput, { nullKeys: 'fail' })
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 100, graceMs: 1_000 }))
      .aggregate(() => 0, last, {
        name: 'keeper',
        store: 'kept',
        value: int64(),
        onError,
        emit: 'each',
      })
      .toStream(({ key }) => key.key)
      .mapValues(String)
      .to(crashOutput);
  },
  'a session, held until the commit': (builder, onError) => {
    builder
      .stream(crashInput, { nullKeys: 'fail' })
      .groupByKey()
      .windowedBy(sessionWindow({ gapMs: 50 }))
      .aggregate(
        () => 0,
        last,
        (left) => left,
        {
          ...{ name: 'keeper', store: 'kept', value: int64(), onError },
        },
      );
  },
  'a table of a stream': (builder, onError) => {
    builder
      .stream(crashInput, { nullKeys: 'fail' })
      .mapValues(spoilt)
      .toTable({ name: 'keeper', store: 'kept', value: int64(), onError, emit: 'each' })
      .toStream()
      .mapValues(String)
      .to(crashOutput);
  },
  'a record that waits for its partner': (builder, onError) => {
    const stream = builder.stream(crashInput, { nullKeys: 'fail' }).mapValues(spoilt);
    stream
      .join(builder.stream(others), (left, right) => `${left} ${right}`, {
        ...{ name: 'keeper', window: joinWindow({ differenceMs: 10 }), store: 'kept', onError },
        ...{ value: int64(), otherValue: int64() },
      } as never)
      .to(crashOutput);
  },
};

function topologyOf(kind: string, onError: ErrorAction): Topology {
  const builder = new StreamsBuilder();
  KEEPERS[kind]!(builder, onError);
  return builder.build();
}

/** The bad one is the last of its key: one that is replaced before the commit does no harm. */
function* rows(count: number): Generator<[string, number, number]> {
  for (let index = 1; index <= count; index++) yield [`k${Math.ceil(index / 29)}`, index, index];
}

/** The offsets of the bad ones: the first record has 1. */
function badOffsets(count: number): number[] {
  return [...rows(count)].flatMap(([, value], offset) => (isBad(value) ? [offset] : []));
}

async function letterOffsets(log: Log): Promise<number[]> {
  const records = await readTopic(log, DEAD_LETTERS, 'read_committed');
  return records.map((record) => {
    const { node, code, source } = parseDeadLetter(record);
    expect([node, code]).toEqual(['keeper', 'SERIALIZATION_FAILED']);
    expect(source).toMatchObject({ topic: 'numbers', partition: 0 });
    return source?.offset ?? -1;
  });
}

async function filled(count: number): Promise<EmbeddedLog> {
  const log = await openTestLog();
  await produce(log, crashInput, rows(count));
  return log;
}

describe('[STREAMS-BAD-13] what a store cannot write', () => {
  test.each(Object.keys(KEEPERS))('%s: each becomes a dead letter, once', async (kind) => {
    const log = await filled(300);
    const app = makeApp(log, topologyOf(kind, 'deadLetter'), quiet);
    await app.start();
    // Before the end, which closes the windows: what leaves its store is not written.
    await until(() => app.metrics().tasks[0]?.inputs[0]?.committedOffset === 300);
    await app.finish();
    expect(await letterOffsets(log)).toEqual(badOffsets(300));
    expect(app.metrics().failedByNode['keeper']).toEqual({
      ...{ skipped: 0, deadLettered: badOffsets(300).length, retried: 0 },
    });
    const results = await committedRows(log, crashOutput);
    expect(results.filter((row) => /[.]5|n/.test(row))).toEqual([]);
  });

  test('everything else is as if they had not come', async () => {
    for (const kind of ['an aggregate', 'a value changed in place']) {
      const more = Array.from({ length: 11 }, (_, at) => [`k${at}`, at * 29 + 1, 500] as const);
      const resultsOf = async (given: Iterable<[string, number, number]>): Promise<string[]> => {
        const log = await openTestLog();
        await produce(log, crashInput, given);
        await runToEnd(log, topologyOf(kind, 'skip'), quiet);
        await produce(log, crashInput, more);
        await runToEnd(log, topologyOf(kind, 'skip'), quiet);
        return committedRows(log, crashOutput);
      };
      const good = [...rows(300)].filter(([, value]) => !isBad(value));
      const results = await resultsOf(rows(300));
      expect(results).toHaveLength(good.length + more.length);
      expect(results).toEqual(await resultsOf(good));
    }
  });

  test('one starts over, however many there are; nothing is done twice', async () => {
    const log = await filled(900);
    const told: string[] = [];
    const note = (text: string): void => void told.push(text);
    const logger: Logger = { debug: () => undefined, info: note, warn: note, error: note };
    await runToEnd(log, topologyOf('an aggregate', 'skip'), { ...options, logger });
    expect(told.filter((text) => text.includes('start over'))).toEqual([
      expect.stringMatching(/kept.*start over, to find the record that store kept cannot write/),
    ]);
    expect(await committedRows(log, crashOutput)).toHaveLength(900 - badOffsets(900).length);
  });

  test('ends the application by default, with the node and the record', async () => {
    const log = await filled(100);
    const app = makeApp(log, topologyOf('an aggregate', 'fail'), quiet);
    await app.start();
    const error: unknown = await app.finish().catch((cause: unknown) => cause);
    expect(StreamsError.is(error, 'PROCESSING_FAILED') && error.details).toEqual({
      ...{ node: 'keeper', topic: 'numbers', partition: 0, offset: 28 },
    });
    expect(error).toMatchObject({
      message: expect.stringContaining('a value of store kept cannot be written') as string,
      cause: { code: 'SERIALIZATION_FAILED', details: { store: 'kept', field: 'value' } },
    });
    expect(await committedRows(log, crashOutput)).toEqual([]);
  });

  test('a key that is too long is found, too', async () => {
    const log = await openTestLog();
    const seen: RecordFailure[] = [];
    const builder = new StreamsBuilder();
    builder
      .stream(crashInput, { nullKeys: 'fail' })
      .groupByKey()
      .count({
        name: 'keeper',
        onError: (failure) => {
          seen.push(failure);
          return 'skip';
        },
      });
    await produce(log, crashInput, [
      ['a', 1, 0],
      ['b'.repeat(3_000), 2, 1],
      ['c', 3, 2],
    ]);
    const app = await runToEnd(log, builder.build(), quiet);
    expect(
      seen.map(({ offset, error }) => [offset, (error as { readonly code?: unknown }).code]),
    ).toEqual([[1, 'STATE_KEY_TOO_LONG']]);
    expect(app.metrics().failedRecords.skipped).toBe(1);
  });

  const kept = { ...shape, retentionMs: 200 };
  test.each([
    ['key-value', keyValueStore('own', shape), (at: number) => [`k${at}`, 0.5, at]],
    ['window', windowStore('own', kept), (at: number) => [`k${at}`, at, 0.5, at]],
    [
      'session',
      sessionStore('own', kept),
      (at: number) => [`k${at}`, { startMs: at, endMs: at }, 0.5, at],
    ],
    [
      'versioned',
      versionedStore('own', { ...shape, historyMs: 200 }),
      (at: number) => [`k${at}`, 0.5, at],
    ],
  ])('of a processor, in a %s store', async (_, given, argumentsAt) => {
    const builder = new StreamsBuilder();
    const spec: OwnStore<string, number, unknown> = given;
    const own = builder.addStore(spec);
    builder.stream(crashInput, { nullKeys: 'fail' }).process(
      (context) => {
        const store = context.store<{ put(...args: unknown[]): void }>(own as never);
        return {
          process: ({ value, timestampMs }) => {
            if (isBad(value)) store.put(...argumentsAt(timestampMs));
          },
        };
      },
      { name: 'keeper', stores: [own as never], onError: 'deadLetter' },
    );
    const log = await filled(100);
    await runToEnd(log, builder.build(), quiet);
    expect(await letterOffsets(log)).toEqual(badOffsets(100));
  });

  test.each(WAYS_TO_STOP)(
    `is the same after a crash: %s, seed ${SEED}`,
    async (_, stop) => {
      const topology = topologyOf('a value changed in place', 'deadLetter');
      const settings = { ...quiet, commitIntervalMs: 1, checkpointIntervalMs: 5 };
      const { log, moments } = await crashMoments({
        ...{ topology, every: 23, stop, options: settings },
        fill: (each) => produce(each, crashInput, rows(500)),
      });
      const [letters, results] = [await letterOffsets(log), await committedRows(log, crashOutput)];
      expect(letters).toEqual(badOffsets(500));
      expect(moments.length).toBeGreaterThan(5);
      for (const { operation, disk, stateDir } of moments) {
        const reopened = await openDisk(disk);
        await runToEnd(reopened, topology, { ...settings, stateDir });
        expect(await letterOffsets(reopened), operation).toEqual(letters);
        expect(await committedRows(reopened, crashOutput), operation).toEqual(results);
        await reopened.close();
      }
    },
    60_000,
  );
});

describe('[STREAMS-BAD-14] a merger that fails when a window closes', () => {
  /** Sums over panes, whose merger fails for the key `b` in the first windows. */
  function merging(onError: ErrorAction): Topology {
    const builder = new StreamsBuilder();
    builder
      .stream(crashInput, { nullKeys: 'fail' })
      .groupByKey()
      .windowedBy(hoppingWindow({ sizeMs: 20, advanceMs: 10 }))
      .aggregate(
        () => 0,
        (sum, { value }) => sum + value,
        {
          ...{ name: 'keeper', value: int64(), emit: 'final', onError },
          merger: (left: number, right: number, key: string) => {
            if (key === 'b' && left + right < 10) throw new RangeError('not merged');
            return left + right;
          },
        },
      )
      .toStream(({ key }) => `${key.key}@${key.windowStartMs}`)
      .mapValues(String)
      .to(crashOutput);
    return builder.build();
  }
  const ROWS = [
    ['a', 1, 5],
    ['b', 2, 5],
    ['a', 3, 15],
    ['b', 4, 15],
    ['b', 8, 25],
  ] as const;

  function pipe(onError: ErrorAction): TopologyTestDriver {
    const driver = new TopologyTestDriver(merging(onError), { logger: silentLogger });
    for (const [key, value, timestampMs] of ROWS) {
      driver.inputTopic(crashInput).pipe({ key, value, timestampMs });
    }
    driver.endOfInput();
    return driver;
  }

  test('leaves out the result of that key and window, as its node says', () => {
    const driver = pipe('skip');
    const records = driver.outputTopic(crashOutput).readAll();
    const results = records.map(({ key, value }) => `${key}=${value}`);
    expect(results).toEqual(['a@0=4', 'a@10=3', 'b@10=12', 'b@20=8']);
    expect(driver.metrics().failedByNode['keeper']?.skipped).toBe(1);
    const [letter] = pipe('deadLetter').deadLetters();
    expect(letter).toMatchObject({ node: 'keeper', message: 'not merged', source: undefined });
    expect(letter?.record).toContain('"key":"b","windowStartMs":0');
  });

  test('ends the application by default, and names the node', async () => {
    expect(() => pipe('fail')).toThrow(
      expect.objectContaining({ code: 'PROCESSING_FAILED', details: expect.anything() as object }),
    );
    const log = await openTestLog();
    await produce(log, crashInput, ROWS);
    const app = makeApp(log, merging('fail'), quiet);
    await app.start();
    await expect(app.finish()).rejects.toMatchObject({
      code: 'PROCESSING_FAILED',
      message: 'keeper failed on a result: not merged',
    });
  });
});
