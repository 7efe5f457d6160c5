import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LogError, int64, silentLogger, string, topic } from '../../core/index.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { gate, type Gate } from '../../test/kit/gate.ts';
import { SEED } from '../../test/kit/seed.ts';
import type { AsyncOptions } from '../dsl/async-options.ts';
import type { KStream } from '../dsl/kstream.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { TopologyTestDriver, type TestDriverOptions } from '../testing/topology-test-driver.ts';
import { tumblingWindow, windowedSerde } from '../topology/windows.ts';
import type { AsyncOrder } from './awaiting.ts';
import type { PendingRecord } from './pending-record.ts';

const names = topic('names', { key: string(), value: string() });

interface Driven {
  readonly driver: TopologyTestDriver;
  /** Pipes in rows `key value time`, separated by commas, and returns what comes out. */
  readonly pipe: (rows: string) => Promise<string[]>;
  readonly read: () => string[];
}

/** Drives numbers through operators; `key value @time` comes out. */
function driveAsync(
  build: (stream: KStream<string | null, number>) => KStream<string | null, number>,
  options: TestDriverOptions = {},
): Driven {
  const builder = new StreamsBuilder();
  build(builder.stream(numbers)).to(sums);
  const driver = new TopologyTestDriver(builder.build(), { logger: silentLogger, ...options });
  const input = driver.inputTopic(numbers);
  const read = (): string[] => shown(driver.outputTopic(sums).readAll());
  const pipe = async (rows: string): Promise<string[]> => {
    for (const row of rows.split(', ')) {
      const [key = '', value, time] = row.split(' ');
      input.pipe({ key, value: Number(value), timestampMs: Number(time) });
    }
    await turns();
    return read();
  };
  return { driver, pipe, read };
}

/** Lets promises settle. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

type Options = AsyncOptions<string, number>;

/** Values through a function that ends when the test likes; twice the value is the result. */
function gated(options: Options = {}, driverOptions: TestDriverOptions = {}) {
  const doubling = gate<number, number>();
  const driven = driveAsync(
    (stream) => stream.mapValuesAsync((value, _, call) => doubling.call(value, call), options),
    driverOptions,
  );
  return { ...driven, doubling, end: (value: number) => end(driven, doubling, value) };
}

/** Ends the call for a value and returns what comes out. */
async function end(
  { driver, read }: Driven,
  { open }: Gate<number, number>,
  value: number,
): Promise<string[]> {
  open.find(({ given }) => given === value)!.resolve(value * 2);
  await turns();
  // Other calls may be open, for which it would wait.
  const settled = driver.settled();
  await turns();
  settled.catch(() => undefined);
  return read();
}

describe('[OP-ASYNC-1] functions that may take their time', () => {
  test('mapAsync replaces keys and values; time and headers stay', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers, { nullKeys: 'fail' })
      .mapAsync(async ({ key, value }) => ({ key: `${key}!`, value: await later(value + 1) }))
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    const headers = [{ key: 'h', value: Buffer.from('1') }];
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 5, headers });
    expect(driver.outputTopic(sums).readAll()).toEqual([]);
    await driver.settled();
    expect(driver.outputTopic(sums).readAll()).toEqual([
      { key: 'a!', value: 2, timestampMs: 5, headers },
    ]);
  });

  test('mapValuesAsync replaces values, filterAsync keeps some records', async () => {
    const { driver, pipe, read } = driveAsync((stream) =>
      stream
        .filterAsync(async ({ value }) => (await later(value)) % 2 === 1)
        .mapValuesAsync(async (value, { key }) => (await later(value)) + (key === 'b' ? 100 : 0)),
    );
    await pipe('a 1 1, b 2 2, b 3 3, a 4 4, a 5 5');
    await driver.settled();
    expect(read()).toEqual(['a 1 @1', 'b 103 @3', 'a 5 @5']);
  });

  test('a result that is no promise is passed on at once', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .filterAsync(({ value }) => value > 1)
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    const input = driver.inputTopic(numbers);
    input.pipeAll([1, 2].map((value) => ({ key: 'a', value, timestampMs: value })));
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 2 @2']);
  });

  test('mapAsync repartitions a later grouping, unless keys are promised to be in place', () => {
    const build = (preserves?: 'partition'): string => {
      const builder = new StreamsBuilder();
      builder
        .stream(numbers, { nullKeys: 'fail' })
        .mapAsync(({ key, value }) => Promise.resolve({ key, value }), {
          ...(preserves && { preserves }),
        })
        .groupByKey()
        .count();
      return builder.build().describe().toString();
    };
    expect(build()).toContain('repartition');
    expect(build('partition')).not.toContain('repartition');
  });

  test('bad options and functions are refused', () => {
    const stream = new StreamsBuilder().stream(numbers);
    const refused = (options: object): unknown => {
      try {
        stream.filterAsync(() => true, options);
      } catch (error) {
        return LogError.is(error, 'INVALID_OPTION') || LogError.is(error, 'UNKNOWN_OPTION');
      }
      return undefined;
    };
    expect(refused({ concurrency: 0 })).toBe(true);
    expect(refused({ order: 'time' })).toBe(true);
    expect(refused({ timeoutMs: 0 })).toBe(true);
    expect(refused({ retries: -1 })).toBe(true);
    expect(refused({ maxPending: 0 })).toBe(true);
    expect(refused({ concurency: 1 })).toBe(true);
    expect(() => stream.mapAsync(7 as never)).toThrow(/mapper/);
  });

  test('types are inferred', () => {
    const stream = new StreamsBuilder().stream(numbers, { nullKeys: 'fail' });
    const mapped: KStream<string, string> = stream.mapValuesAsync((v) => Promise.resolve(`${v}`));
    mapped.to(names);
    // @ts-expect-error -- the values are texts
    mapped.to(numbers);
    // @ts-expect-error -- it decides
    stream.filterAsync(() => Promise.resolve('no'));
    // @ts-expect-error -- a key and a value
    stream.mapAsync(() => Promise.resolve({ key: 'a' }));
    // @ts-expect-error -- the serde of what waits
    stream.filterAsync(() => true, { value: string() });
  });
});

describe('[OP-ASYNC-2] order', () => {
  test('partition: results come as the records do, and calls overlap', async () => {
    const { pipe, end, doubling } = gated();
    expect(await pipe('a 1 1, b 2 2, a 3 3')).toEqual([]);
    expect(doubling.calls).toEqual([1, 2, 3]);
    expect(await end(3)).toEqual([]);
    expect(await end(1)).toEqual(['a 2 @1']);
    expect(await end(2)).toEqual(['b 4 @2', 'a 6 @3']);
  });

  test('key: a key has one call at a time, and others go on', async () => {
    const { pipe, end, doubling } = gated({ order: 'key' });
    await pipe('a 1 1, b 2 2, a 3 3, b 4 4');
    expect(doubling.calls).toEqual([1, 2]);
    expect(await end(2)).toEqual(['b 4 @2']);
    expect(doubling.calls).toEqual([1, 2, 4]);
    expect(await end(4)).toEqual(['b 8 @4']);
    expect(await end(1)).toEqual(['a 2 @1']);
    expect(await end(3)).toEqual(['a 6 @3']);
  });

  test('none: results come as calls end', async () => {
    const { pipe, end } = gated({ order: 'none' });
    await pipe('a 1 1, a 2 2, a 3 3');
    expect(await end(3)).toEqual(['a 6 @3']);
    expect(await end(1)).toEqual(['a 2 @1']);
    expect(await end(2)).toEqual(['a 4 @2']);
  });

  test('no more calls than the concurrency', async () => {
    const { pipe, end, doubling } = gated({ order: 'none', concurrency: 2 });
    await pipe('a 1 1, b 2 2, c 3 3, d 4 4');
    expect(doubling.calls).toEqual([1, 2]);
    expect(await end(2)).toEqual(['b 4 @2']);
    expect(doubling.calls).toEqual([1, 2, 3]);
  });

  test(`results of any delays and failures (seed ${SEED})`, async () => {
    const rows = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 30 });
    const orders = fc.constantFrom<AsyncOrder>('partition', 'key', 'none');
    await fc.assert(
      fc.asyncProperty(
        ...([rows, orders, fc.integer({ min: 1, max: 5 }), fc.infiniteStream(fc.nat())] as const),
        async (keys, order, concurrency, chances) => {
          const failing = new Set<number>();
          const next = (below: number): number => chances.next().value! % below;
          const { driver, doubling, pipe, read } = gated(
            { ...{ order, concurrency, retries: 1, backoffMs: 10, onError: 'skip' } },
            {},
          );
          const passed: string[] = [];
          const endOne = async (): Promise<void> => {
            const { open } = doubling;
            expect(open.length).toBeLessThanOrEqual(concurrency);
            if (order === 'key') {
              const called = open.map(({ given }) => keys[given]);
              expect(new Set(called).size).toBe(called.length);
            }
            const call = open[next(open.length)]!;
            if (next(4) > 0) call.resolve(call.given * 2);
            else {
              call.reject(new Error('no luck'));
              if (call.attempt === 2) failing.add(call.given);
            }
            await turns();
          };
          for (const [index, key] of keys.entries()) {
            passed.push(...(await pipe(`${key} ${index} ${index}`)));
            while (doubling.open.length > 0 && next(2) === 0) await endOne();
          }
          for (;;) {
            const settled = driver.settled();
            await turns();
            passed.push(...read());
            if (doubling.open.length > 0) await endOne();
            else if (driver.store(keyValueStore(STORE)).size === 0) {
              await settled;
              break;
            } else driver.advanceWallClock(20);
          }
          const expected = [...keys.entries()]
            .filter(([index]) => !failing.has(index))
            .map(([index, key]) => `${key} ${index * 2} @${index}`);
          if (order === 'partition') expect(passed).toEqual(expected);
          const ofKey = (key: string, all: string[]) => all.filter((row) => row.startsWith(key));
          if (order === 'key') {
            for (const key of 'abc') expect(ofKey(key, passed)).toEqual(ofKey(key, expected));
          }
          expect([...passed].sort()).toEqual([...expected].sort());
          expect(driver.metrics().failedRecords.skipped).toBe(failing.size);
        },
      ),
      { seed: SEED, numRuns: 60 },
    );
  });
});

const STORE = 'map-values-async-numbers';

describe('[OP-ASYNC-3] calls that fail', () => {
  test('are repeated with growing pauses, and then onError decides', async () => {
    const { driver, pipe, doubling, read } = gated({
      ...{ retries: 2, backoffMs: 100, onError: 'skip', order: 'none' },
    });
    await pipe('a 1 1');
    const fail = async (): Promise<void> => {
      doubling.open[0]!.reject(new Error('down'));
      await driver.settled();
    };
    await fail();
    driver.advanceWallClock(99);
    expect(doubling.open.map(({ attempt }) => attempt)).toEqual([]);
    driver.advanceWallClock(1);
    await turns();
    expect(doubling.open.map(({ attempt }) => attempt)).toEqual([2]);
    await fail();
    driver.advanceWallClock(199);
    expect(doubling.open).toEqual([]);
    driver.advanceWallClock(1);
    await turns();
    await fail();
    expect(doubling.calls).toEqual([1, 1, 1]);
    expect(driver.metrics().failedRecords.skipped).toBe(1);
    await pipe('a 2 2');
    doubling.open[0]!.resolve(4);
    await driver.settled();
    expect(read()).toEqual(['a 4 @2']);
  });

  test('fail after timeoutMs, with their signal aborted; what comes later is ignored', async () => {
    const { driver, pipe, doubling, read } = gated({
      ...{ timeoutMs: 50, retries: 1, backoffMs: 0, order: 'none' },
    });
    await pipe('a 1 1');
    const [first] = doubling.open;
    driver.advanceWallClock(49);
    expect(first!.signal.aborted).toBe(false);
    driver.advanceWallClock(1);
    expect(StreamsError.is(first!.signal.reason, 'CALL_TIMED_OUT')).toBe(true);
    await turns();
    driver.advanceWallClock(0);
    await turns();
    expect(doubling.calls).toEqual([1, 1]);
    first!.resolve(77);
    doubling.open[0]!.resolve(2);
    await driver.settled();
    expect(read()).toEqual(['a 2 @1']);
  });

  test('end the application by default, with the record and the cause', async () => {
    const { driver, pipe } = gated({ timeoutMs: 50 });
    await pipe('a 1 1');
    driver.advanceWallClock(50);
    const error = await driver.settled().catch((each: unknown) => each);
    if (!StreamsError.is(error, 'PROCESSING_FAILED')) throw error;
    expect(error.details).toEqual({ node: STORE, topic: 'numbers', partition: 0, offset: 0 });
    expect(error.message).toBe(
      `${STORE} failed on numbers-0 at offset 0: ` +
        `a call of ${STORE} has not ended within timeoutMs=50`,
    );
    expect(StreamsError.is(error.cause, 'CALL_TIMED_OUT')).toBe(true);
  });

  test('become dead letters with the bytes that were read', async () => {
    const { driver, pipe } = gated({ timeoutMs: 50, onError: 'deadLetter' });
    await pipe('a 1 1, b 2 2');
    driver.advanceWallClock(50);
    await driver.settled();
    const letters = driver.deadLetters();
    expect(letters.map(({ key }) => key?.toString())).toEqual(['a', 'b']);
    expect(letters.map(({ value }) => value?.readBigInt64BE())).toEqual([1n, 2n]);
    expect(letters.map(({ source }) => source?.offset)).toEqual([0, 1]);
  });

  test('a function that throws, or returns no key and value, has failed', async () => {
    const { driver, pipe, read } = driveAsync((stream) =>
      stream.mapAsync(
        ({ key, value }) => {
          if (value === 1) throw new TypeError('thrown');
          return Promise.resolve(
            (value === 2 ? { key } : { key, value }) as { key: string; value: number },
          );
        },
        { onError: 'skip' },
      ),
    );
    await pipe('a 1 1, a 2 2, a 3 3');
    await driver.settled();
    expect(read()).toEqual(['a 3 @3']);
    expect(driver.metrics().failedRecords.skipped).toBe(2);
  });
});

describe('[OP-ASYNC-4] time', () => {
  test('windows behind a slow call wait for it', async () => {
    const doubling = gate<number, number>();
    const builder = new StreamsBuilder();
    const windowed = topic('windowed', { key: windowedSerde(string(), 10), value: int64() });
    builder
      .stream(numbers, { nullKeys: 'fail' })
      .mapValuesAsync((value, _, call) => doubling.call(value, call), { order: 'none' })
      .groupByKey({ value: int64() })
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .reduce((sum, value) => sum + value, { emit: 'final', value: int64() })
      .toStream()
      .to(windowed);
    const driver = new TopologyTestDriver(builder.build());
    const input = driver.inputTopic(numbers);
    for (const value of [1, 12, 25]) input.pipe({ key: 'a', value, timestampMs: value });
    const read = (): string[] =>
      driver
        .outputTopic(windowed)
        .readAll()
        .map(({ key, value }) => `${key?.windowStartMs} ${value}`);
    const endCall = async (value: number): Promise<string[]> => {
      doubling.open.find(({ given }) => given === value)!.resolve(value);
      await turns();
      void driver.settled();
      await turns();
      return read();
    };
    await turns();
    expect(await endCall(25)).toEqual([]);
    expect(await endCall(12)).toEqual([]);
    expect(await endCall(1)).toEqual(['0 1', '10 12']);
    expect(driver.metrics().droppedRecords.late).toBe(0);
    driver.endOfInput();
    expect(read()).toEqual(['20 25']);
  });

  test('the end of input waits for calls, also for those that closing windows cause', async () => {
    const doubling = gate<number, number>();
    const builder = new StreamsBuilder();
    builder
      .stream(numbers, { nullKeys: 'fail' })
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: 10 }))
      .count({ emit: 'final' })
      .toStream()
      .mapAsync(async ({ key, value }, call) => {
        return { key: key.key, value: await doubling.call(value, call) };
      })
      .groupByKey({ key: string(), value: int64() })
      .windowedBy(tumblingWindow({ sizeMs: 100 }))
      .reduce((sum, value) => sum + value, { emit: 'final', value: int64() })
      .toStream()
      .map(({ key, value }) => ({ key: key.key, value }))
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    const input = driver.inputTopic(numbers);
    for (const timestampMs of [1, 2, 13]) input.pipe({ key: 'a', value: 1, timestampMs });
    await turns();
    doubling.open[0]!.resolve(10);
    await driver.settled();
    driver.endOfInput();
    await turns();
    expect(doubling.open.map(({ given }) => given)).toEqual([1]);
    expect(driver.outputTopic(sums).readAll()).toEqual([]);
    const settled = driver.settled();
    doubling.open[0]!.resolve(5);
    await settled;
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 15 @13']);
  });
});

describe('[OP-ASYNC-5] what waits', () => {
  test('is in a store at a commit, and no longer once it has its result', async () => {
    const { driver, pipe, end } = gated({ order: 'none' });
    const store = driver.store(keyValueStore<number, PendingRecord<string, number>>(STORE));
    await pipe('a 1 1, b 2 2');
    expect([...store.all()].map(({ value }) => value!.record.value)).toEqual([1, 2]);
    await end(1);
    expect([...store.all()].map(({ value }) => value!.record.value)).toEqual([2]);
    await end(2);
    expect([...store.all()]).toEqual([]);
  });
});

async function later<T>(value: T): Promise<T> {
  await new Promise((resolve) => setImmediate(resolve));
  return value;
}
