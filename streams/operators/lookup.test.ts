import { describe, expect, test } from 'vitest';
import { int64, LogError, silentLogger, string, topic } from '../../core/index.ts';
import { numbers, shown } from '../../test/kit/drive.ts';
import { gate, type Gate } from '../../test/kit/gate.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import type { LookupManyOptions, LookupOptions } from '../dsl/async-options.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';

const results = topic('results', { key: string(), value: string() });

/** Lets promises settle. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function driven(builder: StreamsBuilder) {
  const driver = new TopologyTestDriver(builder.build(), { logger: silentLogger });
  const input = driver.inputTopic(numbers);
  const read = (): string[] => shown(driver.outputTopic(results).readAll());
  /** Pipes in values at times from 0. */
  const pipe = async (...values: number[]): Promise<string[]> => {
    for (const value of values) input.pipe({ key: 'k', value, timestampMs: value });
    await turns();
    return read();
  };
  /** Processes what has ended while other calls are open. */
  const resume = async (): Promise<string[]> => {
    driver.settled().catch(() => undefined);
    await turns();
    return read();
  };
  return { driver, pipe, read, resume };
}

/** Numbers with what a gate finds for their last digit; 9 has no key. */
function gated(options: LookupOptions<string, number> = {}) {
  const names: Gate<number, string | null> = gate();
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .lookup(
      ({ value }) => (value % 10 === 9 ? null : value % 10),
      (key, call) => names.call(key, call),
      (value, name, { key }) => `${key}${value}:${name}`,
      options,
    )
    .to(results);
  return { ...driven(builder), names };
}

/** The same, several at once. */
function gatedMany(options: LookupManyOptions<string, number> = {}) {
  const names: Gate<readonly number[], ReadonlyMap<number, string>> = gate();
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .lookupMany(
      ({ value }) => value % 10,
      (keys, call) => names.call(keys, call),
      (value, name) => `${value}:${name}`,
      options,
    )
    .to(results);
  return { ...driven(builder), names };
}

describe('[OP-LOOKUP-1] lookup', () => {
  test('joins what is found, undefined for nothing and for no key', async () => {
    const { driver, pipe, names, read } = gated();
    expect(await pipe(1, 2, 9)).toEqual([]);
    expect(names.calls).toEqual([1, 2]);
    names.open[0]!.resolve('one');
    names.open[0]!.resolve(null);
    await driver.settled();
    expect(read()).toEqual(['k k1:one @1', 'k k2:undefined @2', 'k k9:undefined @9']);
  });

  test('a record whose functions fail is the one that fails', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .lookup(
        ({ value }) => {
          if (value === 1) throw new TypeError('no key');
          return value === 2 ? ({} as unknown as string) : String(value);
        },
        (key) => Promise.resolve(key),
        (value, found) => {
          if (value === 3) throw new TypeError('no value');
          return found ?? '';
        },
        { onError: 'deadLetter' },
      )
      .to(results);
    const { driver, pipe, read } = driven(builder);
    await pipe(1, 2, 3, 4);
    await driver.settled();
    expect(read()).toEqual(['k 4 @4']);
    expect(driver.deadLetters().map(({ source, message }) => [source?.offset, message])).toEqual([
      [0, 'no key'],
      [1, 'a lookup needs a key that is a text or a number, not {}'],
      [2, 'no value'],
    ]);
  });

  test('bad options and results are refused, types are inferred', async () => {
    const stream = new StreamsBuilder().stream(numbers);
    const refused = (options: object): boolean => {
      try {
        stream.lookup(
          () => 'a',
          (key) => key,
          (value) => value,
          options,
        );
      } catch (error) {
        return LogError.is(error, 'INVALID_OPTION') || LogError.is(error, 'UNKNOWN_OPTION');
      }
      return false;
    };
    expect(refused({ cache: {} })).toBe(true);
    expect(refused({ cache: { ttlMs: 0 } })).toBe(true);
    expect(refused({ cache: { ttlMs: 1, maxEntries: 0 } })).toBe(true);
    expect(refused({ cache: { ttlMs: 1, ttl: 0 } })).toBe(true);
    expect(refused({ batchMax: 5 })).toBe(true);
    const [text, same] = [() => 'a', (value: number) => value];
    // @ts-expect-error -- objects are no keys
    stream.lookup(() => ({ id: 1 }), text, same);
    // @ts-expect-error -- a joiner is synchronous
    stream.lookup(text, text, (value) => Promise.resolve(value));
    // @ts-expect-error -- the key is a text
    stream.lookup(text, (key: number) => key, same);
    // @ts-expect-error -- a Map by the keys
    stream.lookupMany(text, () => new Map([[1, 'a']]), same);

    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .lookupMany(
        ({ value }) => value,
        (() => ['a']) as never,
        (_, found) => String(found),
      )
      .to(results);
    const { driver, pipe } = driven(builder);
    await pipe(1);
    await expect(driver.settled()).rejects.toThrow(/lookupMany needs a Map/);
  });
});

describe('[OP-LOOKUP-2] records that wait at the same time', () => {
  test('share the call for a key', async () => {
    const { pipe, names, resume, driver } = gated({ order: 'none' });
    await pipe(1, 11, 2, 21);
    expect(names.calls).toEqual([1, 2]);
    names.open[0]!.resolve('one');
    expect(await resume()).toEqual(['k k1:one @1', 'k k11:one @11', 'k k21:one @21']);
    expect(await pipe(31)).toEqual([]);
    expect(names.calls).toEqual([1, 2, 1]); // nothing was kept
    for (const call of [...names.open]) call.resolve('x');
    await driver.settled();
  });

  test('are asked for together by lookupMany while no call may be made', async () => {
    const { pipe, names, resume } = gatedMany({ batchMax: 3, concurrency: 1, order: 'none' });
    await pipe(1, 2, 11);
    expect(names.calls).toEqual([[1, 2]]);
    await pipe(3, 4, 12, 5, 6);
    expect(names.calls).toEqual([[1, 2]]);
    names.open[0]!.resolve(new Map([[1, 'one']]));
    expect(await resume()).toEqual([
      ...['k 1:one @1', 'k 11:one @11', 'k 2:undefined @2', 'k 12:undefined @12'],
    ]);
    expect(names.calls).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
    names.open[0]!.resolve(new Map());
    await resume();
    expect(names.calls.at(-1)).toEqual([6]);
  });

  test('fail together if their call does, after its retries', async () => {
    const { driver, pipe, names, read } = gatedMany({ onError: 'skip', retries: 1, backoffMs: 10 });
    await pipe(1, 2);
    names.open[0]!.reject(new Error('down'));
    await driver.settled();
    driver.advanceWallClock(10);
    await turns();
    expect(names.calls).toEqual([
      [1, 2],
      [1, 2],
    ]);
    names.open[0]!.reject(new Error('down'));
    await driver.settled();
    expect(driver.metrics().failedRecords.skipped).toBe(2);
    await pipe(1);
    names.open[0]!.resolve(new Map([[1, 'one']])); // an error is not kept
    await driver.settled();
    expect(read()).toEqual(['k 1:one @1']);
  });
});

describe('[OP-LOOKUP-3] the cache', () => {
  test('keeps what was found for ttlMs, and passes it on at once', async () => {
    const { driver, pipe, names, read } = gated({ cache: { ttlMs: 100 } });
    await pipe(1);
    names.open[0]!.resolve('one');
    await driver.settled();
    expect(read()).toEqual(['k k1:one @1']);
    driver.advanceWallClock(99);
    expect(await pipe(11)).toEqual(['k k11:one @11']);
    driver.advanceWallClock(1);
    expect(await pipe(21)).toEqual([]);
    expect(names.calls).toEqual([1, 1]);
  });

  test('keeps that nothing was found for missesTtlMs, by default not at all', async () => {
    for (const missesTtlMs of [0, 50]) {
      const cache = missesTtlMs === 0 ? { ttlMs: 100 } : { ttlMs: 100, missesTtlMs };
      const { driver, pipe, names } = gated({ cache });
      await pipe(1);
      names.open[0]!.resolve(null);
      await driver.settled();
      await pipe(11);
      expect(names.calls.length, String(missesTtlMs)).toBe(missesTtlMs === 0 ? 2 : 1);
      driver.advanceWallClock(50);
      await pipe(21);
      expect(names.calls.length).toBe(2);
    }
  });

  test('has maxEntries; the one used least recently goes first', async () => {
    const { driver, pipe, names } = gated({ cache: { ttlMs: 100, maxEntries: 2 } });
    const find = async (value: number): Promise<void> => {
      await pipe(value);
      names.open[0]?.resolve(String(value));
      await driver.settled();
    };
    for (const value of [1, 2, 11, 3, 21, 12]) await find(value);
    expect(names.calls).toEqual([1, 2, 3, 2]);
  });

  test('does not overtake records that wait, with the order of the partition', async () => {
    const { driver, pipe, names, read } = gated({ cache: { ttlMs: 100 } });
    await pipe(1);
    names.open[0]!.resolve('one');
    await driver.settled();
    read();
    expect(await pipe(2, 11)).toEqual([]);
    names.open[0]!.resolve('two');
    await driver.settled();
    expect(read()).toEqual(['k k2:two @2', 'k k11:one @11']);
  });
});

test.each(WAYS_TO_STOP)(
  '[OP-LOOKUP-4] after %s each result is there once',
  async (_, stop) => {
    await sameAfterCrashes(
      () => {
        const builder = new StreamsBuilder();
        builder
          .stream(crashInput)
          .groupByKey()
          .reduce((sum, value) => sum + value, { store: 'sums', emit: 'each', value: int64() })
          .toStream()
          .lookupMany(
            (record) => record.value % 13,
            async (keys) => {
              await new Promise((resolve) => setImmediate(resolve));
              return new Map(keys.filter((key) => key > 0).map((key) => [key, `${key}!`]));
            },
            (sum, found) => `${sum} ${found}`,
            { store: 'waiting', batchMax: 3, cache: { ttlMs: 1 } },
          )
          .to(crashOutput);
        return builder.build();
      },
      stop,
      { every: 41 },
    );
  },
  90_000,
);

test('[OP-ASYNC-6] nothing is called once the tasks have ended', async () => {
  const { driver, pipe, names } = gatedMany({ retries: 5, backoffMs: 10, timeoutMs: 50 });
  await pipe(1);
  driver.close();
  expect(names.open[0]!.signal.aborted).toBe(true);
  names.open[0]!.reject(new Error('aborted'));
  await turns();
  driver.advanceWallClock(1_000);
  await turns();
  expect(names.calls).toEqual([[1]]);
});
