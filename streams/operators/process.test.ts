import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import {
  committedRows,
  makeApp,
  openTestLog,
  produce,
  runToEnd,
  until,
} from '../../test/kit/app.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { KStream } from '../dsl/kstream.ts';
import { keyValueStore, windowStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { ProcessorContext, ValueProcessorContext } from '../topology/processor.ts';
import { driverOf, pipe, serdes, type Supplier } from './processors.suite.ts';

function failureOf(call: () => unknown): StreamsError | undefined {
  try {
    call();
  } catch (error) {
    if (error instanceof StreamsError) return error;
    throw error;
  }
  return undefined;
}

describe('[OP-PROCESS-1] a processor', () => {
  test('forwards any number of records, with other keys, times and headers', () => {
    const headers = [{ key: 'h', value: Buffer.from('1') }];
    const driver = driverOf((context) => ({
      process: (record) => {
        for (let index = 0; index < record.value; index++) {
          context.forward({ key: `k${index}`, value: index });
        }
        if (record.value === 2) context.forward({ key: 'b', value: 9, timestampMs: 7, headers });
        if (record.value === 3) context.forward(record.withKeyValue('c', 5));
      },
    }));
    const input = driver.inputTopic(numbers);
    const own = [{ key: 'own', value: null }];
    input.pipe({ key: 'a', value: 0, timestampMs: 1 });
    input.pipe({ key: 'a', value: 2, timestampMs: 2, headers: own });
    input.pipe({ key: 'a', value: 3, timestampMs: 3, headers: own });
    const output = driver.outputTopic(sums).readAll();
    expect(shown(output)).toEqual([
      ...['k0 0 @2', 'k1 1 @2', 'b 9 @7', 'k0 0 @3', 'k1 1 @3', 'k2 2 @3', 'c 5 @3'],
    ]);
    expect(output[0]?.headers).toEqual(own);
    expect(output[2]?.headers).toEqual(headers);
    expect(output[6]?.headers).toEqual(own);
  });

  test('may change the key, so that a grouping repartitions; processValues may not', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers);
    const same = stream.processValues<number>((context) => ({
      process: ({ value }) => {
        context.forward(value * 2);
        context.forward(value, { timestampMs: 3, headers: [] });
      },
    }));
    same.groupByKey().count({ store: 'same', emit: 'each' }).toStream().to(sums);
    const before = builder.build();
    expect(before.subTopologies).toHaveLength(1);
    stream
      .process<string, number>(() => ({ process: () => undefined }))
      .groupByKey()
      .count();
    expect(builder.build().subTopologies).toHaveLength(2);
    const driver = new TopologyTestDriver(before);
    driver.inputTopic(numbers).pipe({ key: 'a', value: 4, timestampMs: 9 });
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 1 @9', 'a 2 @9']);
  });

  test('knows its task, the place of the record and the times', () => {
    const seen: unknown[] = [];
    const driver = driverOf((context) => ({
      process: () => {
        seen.push(context.recordMetadata(), context.streamTimeMs(), context.wallClockMs());
      },
    }));
    pipe(driver, [1, 50]);
    driver.advanceWallClock(10);
    pipe(driver, [1, 20]);
    const at = (offset: number) => ({ topic: 'numbers', partition: 0, offset });
    expect(seen).toEqual([at(0), 50, 1_000, at(1), 50, 1_010]);
  });

  test('forwards to the node that it names', () => {
    const builder = new StreamsBuilder();
    const routed = builder.stream(numbers).process((context: ProcessorContext<string, number>) => ({
      process: ({ value }) => {
        context.forward({ key: 'k', value }, { to: value < 10 ? 'small' : 'large' });
      },
    }));
    routed.mapValues((value) => -value, { name: 'small' }).to(sums);
    routed.to(topic('large', serdes), { name: 'large' });
    const driver = new TopologyTestDriver(builder.build());
    expect(pipe(driver, [5, 1], [15, 2], [6, 3])).toEqual(['k -5 @1', 'k -6 @3']);
    const large = driver.outputTopic(topic('large', serdes)).readAll();
    expect(shown(large)).toEqual(['k 15 @2']);
  });

  test('reads global tables without a connection', () => {
    const builder = new StreamsBuilder();
    const names = topic('names', { key: string(), value: int64() });
    const table = builder.globalTable(names);
    builder
      .stream(numbers)
      .process<string, number>((context) => ({
        process: ({ key }) => {
          const value = context.globalTable(table).get(key ?? '') ?? -1;
          context.forward({ key: 'found', value });
        },
      }))
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(names).pipe({ key: 'a', value: 7 });
    expect(pipe(driver, [0, 5])).toEqual(['found 7 @5']);
  });

  test('is made once for each task, and closed with it', () => {
    const calls: string[] = [];
    const builder = new StreamsBuilder();
    builder.stream(numbers).process((context) => {
      calls.push(`open ${context.taskId} ${context.partition}`);
      return { process: () => undefined, close: () => void calls.push(`close ${context.taskId}`) };
    });
    const driver = new TopologyTestDriver(builder.build(), { partitions: 2 });
    expect(calls).toEqual(['open 0_0 0', 'open 0_1 1']);
    driver.close();
    driver.close();
    expect(calls.slice(2)).toEqual(['close 0_0', 'close 0_1']);
  });
});

describe("[OP-PROCESS-2] stores of one's own", () => {
  const firstOf = (builder: StreamsBuilder) => {
    const seen = builder.addStore(keyValueStore('seen', serdes));
    builder
      .stream(numbers)
      .process<string, number>(
        (context) => {
          const store = context.store(seen);
          return {
            process: ({ key, value, timestampMs }) => {
              if (key === null || store.get(key) !== undefined) return;
              store.put(key, value, timestampMs);
              context.forward({ key, value });
            },
          };
        },
        { stores: [seen] },
      )
      .to(sums);
    return seen;
  };

  test('are typed by their handle, and readable in the driver', () => {
    const builder = new StreamsBuilder();
    const seen = firstOf(builder);
    const driver = new TopologyTestDriver(builder.build());
    expect(pipe(driver, [1, 1], [2, 2])).toEqual(['a 1 @1']);
    expect(driver.store(seen).get('a')).toBe(1);
    expectTypeOf(driver.store(seen).get('a')).toEqualTypeOf<number | undefined>();
  });

  test('survive restarts', async () => {
    const builder = new StreamsBuilder();
    firstOf(builder);
    const log = await openTestLog();
    for (const [key, value] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ] as const) {
      await produce(log, numbers, [[key, value, value]]);
      await runToEnd(log, builder.build(), { stateDir: temporaryDirectory() });
    }
    expect(await committedRows(log, sums)).toEqual(['a 1 @1', 'b 2 @2']);
  });

  test('a window drops by the time of the processor, also after a restart', async () => {
    const builder = new StreamsBuilder();
    const windows = builder.addStore(windowStore('windows', { ...serdes, retentionMs: 20 }));
    builder
      .stream(numbers)
      .process<string, number>(
        (context) => {
          const store = context.store(windows);
          return {
            process: ({ key, value, timestampMs }) => {
              const startMs = timestampMs - (timestampMs % 10);
              store.update(key ?? '', startMs, timestampMs, (sum = 0) => sum + value);
              context.forward({
                key: store.windowStarts().join('+'),
                value: store.get('a', 0) ?? -1,
              });
            },
          };
        },
        { stores: [windows] },
      )
      .to(sums);
    const rows = [
      [1, 1],
      [2, 9],
      [3, 15],
      [4, 20],
    ] as const;
    const expected = ['0 1 @1', '0 3 @9', '0+10 3 @15', '10+20 -1 @20'];
    expect(pipe(new TopologyTestDriver(builder.build()), ...rows)).toEqual(expected);
    const log = await openTestLog();
    for (const [value, timestampMs] of rows) {
      await produce(log, numbers, [['a', value, timestampMs]]);
      await runToEnd(log, builder.build(), { stateDir: temporaryDirectory() });
    }
    expect(await committedRows(log, sums)).toEqual(expected);
  });

  test('one that is not connected is an error that says how', () => {
    const builder = new StreamsBuilder();
    const seen = builder.addStore(keyValueStore('seen', serdes));
    builder.stream(numbers).process((context) => {
      context.store(seen);
      return { process: () => undefined };
    });
    const failure = failureOf(() => new TopologyTestDriver(builder.build()));
    expect(failure?.code).toBe('UNKNOWN_STORE');
    expect(failure?.message).toMatch(/^store seen is not connected to process-numbers: give the /);
  });

  test('one of another builder is refused when the topology is built', () => {
    const foreign = new StreamsBuilder().addStore(keyValueStore('seen', serdes));
    const builder = new StreamsBuilder();
    const use = (stores: never[]) => () => {
      builder.stream(numbers).process(() => ({ process: () => undefined }), { stores });
    };
    const failure = failureOf(use([foreign as never]));
    expect(failure?.code).toBe('TOPOLOGY_INVALID');
    expect(failure?.message).toContain('store seen is not of this builder; add it with');
    expect(use(['seen' as never])).toThrow('stores[0] must be a store, as builder.addStore()');
    builder.addStore(keyValueStore('seen', serdes));
    expect(() => builder.addStore(keyValueStore('seen', serdes))).toThrow(
      expect.objectContaining({ code: 'NAME_TAKEN' }),
    );
    expect(() => builder.addStore(keyValueStore('named') as never)).toThrow('addStore: store must');
    expect(() => keyValueStore('wrong', {} as never)).toThrow('key is missing');
  });
});

test('[OP-PROCESS-5] a commit that a processor asks for comes at once', async () => {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .process<string, number>((context) => ({
      process: ({ key, value }) => {
        context.forward({ key: key ?? '', value });
        if (value === 2) context.commit();
      },
    }))
    .to(sums);
  const log = await openTestLog();
  const steps: string[] = [];
  const options = { commitIntervalMs: 50_000, onStep: (step: string) => void steps.push(step) };
  const rows = [1, 2, 3, 4].map((value) => ['a', value, value] as const);
  await produce(log, numbers, rows);
  const app = makeApp(log, builder.build(), options);
  await app.start();
  await until(async () => (await committedRows(log, sums)).length >= 2);
  expect((await committedRows(log, sums)).slice(0, 2)).toEqual(['a 1 @1', 'a 2 @2']);
  expect(steps).toContain('commit-5-end');
});

describe('[OP-PROCESS-6] a failure is PROCESSING_FAILED, with the node and the place', () => {
  const fail = () => {
    throw new RangeError('unlucky');
  };
  test.each<[string, Supplier, string, string, number]>([
    ['at its start', fail, 'own failed at its start: unlucky', '', -1],
    ['on a record', () => ({ process: fail }), 'own failed on numbers-0 at offset 0', 'numbers', 0],
    [
      'in a stream-time punctuation',
      (context) => {
        context.schedule(10, 'stream-time', fail);
        return { process: () => undefined };
      },
      'own failed in its stream-time punctuation at 5: unlucky',
      '',
      -1,
    ],
    [
      'in a wall-clock punctuation',
      (context) => {
        context.schedule(10, 'wall-clock', fail);
        return { process: () => undefined };
      },
      'own failed in its wall-clock punctuation at 1010: unlucky',
      '',
      -1,
    ],
    [
      'at its end',
      () => ({ process: () => undefined, close: fail }),
      'own failed at its end',
      '',
      -1,
    ],
  ])('%s', (_, supplier, message, topicName, offset) => {
    const failure = failureOf(() => {
      const driver = driverOf(supplier);
      pipe(driver, [1, 5]);
      driver.advanceWallClock(10);
      driver.close();
    });
    expect(failure?.code).toBe('PROCESSING_FAILED');
    expect(failure?.message).toContain(message);
    expect(failure?.details).toEqual({ node: 'own', topic: topicName, partition: 0, offset });
    expect(failure?.cause).toEqual(new RangeError('unlucky'));
  });

  test.each<[string, Supplier, string]>([
    [
      'no processor',
      (() => undefined) as never,
      'supplier must be an object with a method process',
    ],
    ['a promise', (() => Promise.resolve({})) as never, 'returned a promise'],
    [
      'process returns a promise',
      () => ({ process: (() => Promise.resolve()) as never }),
      'returned a promise',
    ],
    [
      'no such node',
      (context) => ({ process: () => context.forward({ key: 'a', value: 1 }, { to: 'oud' }) }),
      'no node oud follows it: it is followed by out; did you mean out?',
    ],
    [
      'no value',
      (context) => ({ process: () => context.forward({ key: 'a' } as never) }),
      'forward needs { key, value }, not {"key":"a"}',
    ],
    [
      'forward at its start',
      (context) => {
        context.forward({ key: 'a', value: 1 });
        return { process: () => undefined };
      },
      'forward works while a record is processed, and in a punctuation',
    ],
    [
      'an interval of 0',
      (context) => {
        context.schedule(0, 'stream-time', () => undefined);
        return { process: () => undefined };
      },
      'schedule: intervalMs must be an integer, 1 or more',
    ],
    [
      'an unknown type',
      (context) => {
        context.schedule(1, 'event-time' as never, () => undefined);
        return { process: () => undefined };
      },
      'schedule: type must be "stream-time" or "wall-clock"',
    ],
  ])('also for a mistake: %s', (_, supplier, message) => {
    const failure = failureOf(() => pipe(driverOf(supplier), [1, 5]));
    expect(failure?.code).toBe('PROCESSING_FAILED');
    expect(failure?.message).toContain(message);
  });

  test('a value has no key in a punctuation', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .processValues<number>((context) => {
        context.schedule(1, 'stream-time', (timeMs) => context.forward(timeMs));
        return { process: () => undefined };
      })
      .to(sums);
    const driver = new TopologyTestDriver(builder.build());
    expect(failureOf(() => pipe(driver, [1, 5]))?.message).toContain('use process');
  });
});

test('[OP-PROCESS-7] wrong types do not compile', () => {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers);
  const seen = builder.addStore(keyValueStore('seen', serdes));
  const none = { process: () => undefined };
  const made = stream.process(
    (context) => ({ process: ({ value }) => context.forward({ key: 'a', value }) }),
    serdes,
  );
  expectTypeOf(made).toEqualTypeOf<KStream<string, number>>();
  const values = stream.processValues((context: ValueProcessorContext<boolean>) => ({
    process: ({ value }) => context.forward(value > 5),
  }));
  expectTypeOf(values).toEqualTypeOf<KStream<string | null, boolean>>();
  const wrongly = (): void => {
    stream.process((context) => {
      // @ts-expect-error -- nothing says what it forwards
      context.forward({ key: 'a', value: 1 });
      return none;
    });
    stream.process<string, number>((context) => {
      // @ts-expect-error -- the value is a number
      context.forward({ key: 'a', value: 'b' });
      // @ts-expect-error -- the store has numbers
      context.store(seen).put('a', 'b', 0);
      // @ts-expect-error -- its keys are strings
      context.store(seen).get(5);
      // @ts-expect-error -- it is async
      context.schedule(10, 'wall-clock', async () => undefined);
      return none;
    });
    stream.processValues<number>((context) => {
      // @ts-expect-error -- the key cannot change
      context.forward({ key: 'a', value: 1 });
      return none;
    });
    // @ts-expect-error -- it is async
    stream.process(async () => none);
    // @ts-expect-error -- it is async
    stream.process(() => ({ process: async () => undefined }));
    // @ts-expect-error -- a name alone declares no store
    builder.addStore(keyValueStore<string, number>('named'));
  };
  expect(wrongly).toBeTypeOf('function');
});
