import { describe, expect, test } from 'vitest';
import {
  bytes,
  int64,
  json,
  silentLogger,
  string,
  systemClock,
  topic,
  type DeadLetter,
} from '../../core/index.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { keyValueStore } from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { ErrorPolicies } from './error-policies.ts';
import { Failures } from './failures.ts';
import { STREAMS_DEFAULTS } from './options.ts';
import { NoRecovery } from './recovery.ts';
import type { ErrorAction, ErrorHandler, RecordFailure } from '../topology/record-errors.ts';
import type { Topology } from '../topology/topology.ts';
import { joinWindow } from '../topology/join-window.ts';
import { sessionWindow } from '../topology/windows.ts';
import { TopologyTestDriver, type TestDriverOptions } from '../testing/topology-test-driver.ts';

const orders = topic('orders', { key: string(), value: json<{ n: number }>() });
const rawOrders = topic('orders', { key: string(), value: string() });

function driverOf(topology: Topology, options: TestDriverOptions = {}): TopologyTestDriver {
  return new TopologyTestDriver(topology, { logger: silentLogger, ...options });
}

/** What tells dead letters apart. */
function told(letters: readonly DeadLetter[]): string[] {
  return letters.map(({ node, stage, error, message, key, value, source }) => {
    const place =
      source === undefined ? '-' : `${source.topic}-${source.partition}@${source.offset}`;
    return `${node} ${stage} ${error} ${place} ${String(key)}=${String(value)}: ${message}`;
  });
}

/** A source of JSON, and a mapper that fails for negative numbers. */
function failing(
  onError: { readonly source?: ErrorAction; readonly map?: ErrorAction | ErrorHandler } = {},
): Topology {
  const builder = new StreamsBuilder();
  const { source, map } = onError;
  builder
    .stream(orders, { name: 'orders', ...(source && { onError: source }) })
    .mapValues(
      ({ n }) => {
        if (n < 0) throw new RangeError(`${n} is negative`);
        return n;
      },
      { name: 'map', ...(map && { onError: map }) },
    )
    .to(sums, { name: 'out' });
  return builder.build();
}

const GOOD = { key: 'a', value: '{"n":1}', timestampMs: 5 };
const NEGATIVE = { key: 'b', value: '{"n":-2}', timestampMs: 6 };
const GARBAGE = { key: 'c', value: '{n', timestampMs: 7 };

describe('[STREAMS-BAD-1] a record that a node cannot handle', () => {
  test('ends the application by default', () => {
    const input = driverOf(failing()).inputTopic(rawOrders);
    input.pipe(GOOD);
    expect(() => input.pipe(NEGATIVE)).toThrow(
      expect.objectContaining({ code: 'PROCESSING_FAILED' }),
    );
    expect(() => input.pipe(GARBAGE)).toThrow(
      expect.objectContaining({ code: 'DESERIALIZATION_FAILED' }),
    );
  });

  test('is skipped and counted', () => {
    const driver = driverOf(failing(), {
      onDeserializationError: 'skip',
      onProcessingError: 'skip',
    });
    driver.inputTopic(rawOrders).pipeAll([GOOD, NEGATIVE, GARBAGE, GOOD]);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 1 @5', 'a 1 @5']);
    const { failedRecords, failedByNode, processedRecords } = driver.metrics();
    expect(failedRecords).toEqual({ skipped: 2, deadLettered: 0, retried: 0 });
    expect(failedByNode).toEqual({
      map: { skipped: 1, deadLettered: 0, retried: 0 },
      orders: { skipped: 1, deadLettered: 0, retried: 0 },
    });
    expect(processedRecords).toBe(4);
    expect(driver.deadLetters()).toEqual([]);
  });

  test('becomes a dead letter', () => {
    const driver = driverOf(failing(), {
      onDeserializationError: 'deadLetter',
      onProcessingError: 'deadLetter',
    });
    driver.inputTopic(rawOrders).pipeAll([GOOD, NEGATIVE, GARBAGE, GOOD]);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 1 @5', 'a 1 @5']);
    const letters = driver.deadLetters();
    expect(told(letters)).toEqual([
      'map processing RangeError orders-0@1 b={"n":-2}: -2 is negative',
      expect.stringMatching(/^orders deserialization SyntaxError orders-0@2 c=\{n: .*JSON/),
    ]);
    expect(letters.map(({ timestampMs }) => timestampMs)).toEqual([6, 7]);
    expect(driver.metrics().failedRecords).toEqual({ skipped: 0, deadLettered: 2, retried: 0 });
  });

  test('is handled as its node says, before what the application says', () => {
    const driver = driverOf(failing({ source: 'skip', map: 'deadLetter' }));
    driver.inputTopic(rawOrders).pipeAll([NEGATIVE, GARBAGE, GOOD]);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 1 @5']);
    expect(told(driver.deadLetters())).toHaveLength(1);
    const strict = driverOf(failing({ map: 'fail' }), { onProcessingError: 'skip' });
    expect(() => strict.inputTopic(rawOrders).pipe(NEGATIVE)).toThrow('-2 is negative');
  });

  test('is handled as a function says that gets the error and what is known', () => {
    const seen: RecordFailure[] = [];
    const decide: ErrorHandler = (failure) => {
      seen.push(failure);
      return failure.error instanceof RangeError ? 'skip' : 'deadLetter';
    };
    const driver = driverOf(failing({ map: decide }), { onDeserializationError: decide });
    const headers = [{ key: 'h', value: Buffer.from('1') }];
    driver.inputTopic(rawOrders).pipeAll([{ ...NEGATIVE, headers }, GARBAGE]);
    expect(driver.metrics().failedRecords).toEqual({ skipped: 1, deadLettered: 1, retried: 0 });
    expect(seen).toMatchObject([
      {
        ...{ stage: 'processing', node: 'map', taskId: '0_0', timestampMs: 6, headers },
        ...{ topic: 'orders', partition: 0, offset: 0, record: { key: 'b', value: { n: -2 } } },
        ...{ rawKey: Buffer.from('b'), rawValue: Buffer.from('{"n":-2}') },
      },
      {
        ...{ stage: 'deserialization', node: 'orders', taskId: '0_0', timestampMs: 7 },
        ...{ topic: 'orders', partition: 0, offset: 1, record: undefined },
        ...{ rawKey: Buffer.from('c'), rawValue: Buffer.from('{n') },
      },
    ]);
  });
});

describe('[STREAMS-BAD-2] what a record can fail at', () => {
  test('a source: a null that it does not take, a time that it does not find', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(orders, {
        name: 'orders',
        onError: 'deadLetter',
        nullKeys: 'fail',
        timestamp: ({ value: { n } }) => {
          if (n === 0) throw new TypeError('no time');
          return n;
        },
      })
      .mapValues(({ n }) => n)
      .to(sums);
    const driver = driverOf(builder.build());
    driver.inputTopic(rawOrders).pipeAll([
      { key: 'a', value: '{"n":0}' },
      { key: 'b', value: '{"n":-1}' },
      { key: 'c', value: null },
      { key: null, value: '{"n":2}' },
      { key: 'd', value: '{"n":3}' },
    ]);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['d 3 @3']);
    expect(told(driver.deadLetters()).map((line) => line.slice(0, 60))).toEqual(
      [
        'orders deserialization TypeError orders-0@0 a={"n":0}: no t',
        'orders deserialization StreamsError orders-0@1 b={"n":-1}: ',
        'orders deserialization StreamsError orders-0@2 c=null: the ',
        'orders deserialization StreamsError orders-0@3 null={"n":2}',
      ].map((line) => expect.stringMatching(new RegExp(`^${escaped(line.trimEnd())}`)) as string),
    );
  });

  test('a sink: its serde, its partitioner, its time', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers);
    const partitioner = ({ value }: { readonly value: number }): number => (value === 3 ? 7 : 0);
    stream
      .mapValues((value) => (value === 2 ? ('two' as unknown as number) : value))
      .to(sums, { name: 'out', onError: 'deadLetter', partitioner });
    const driver = driverOf(builder.build());
    const rows = [1, 2, 3, 4].map((value) => ({ key: `k${value}`, value, timestampMs: value }));
    driver.inputTopic(numbers).pipeAll(rows);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['k1 1 @1', 'k4 4 @4']);
    const letters = driver.deadLetters();
    expect(letters.map(({ stage, code, source }) => [stage, code, source?.offset])).toEqual([
      ['production', 'SERIALIZATION_FAILED', 1],
      ['production', undefined, 2],
    ]);
    expect(letters[0]?.value).toEqual(Buffer.from([0, 0, 0, 0, 0, 0, 0, 2])); // what was read
  });

  test('a chooser of topics, a key on its way into a repartition topic', () => {
    const other = topic('other', { key: string(), value: int64() });
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers);
    stream.to(
      [sums, other],
      ({ value }) => {
        if (value === 1) throw new TypeError('which?');
        return value === 2 ? sums : other;
      },
      { name: 'choose', onError: 'skip' },
    );
    stream
      .selectKey(({ value }) => (value === 2 ? (2 as unknown as string) : 'x'), { key: string() })
      .repartition({ name: 'again', onError: 'deadLetter' })
      .to(topic('moved', { key: string(), value: int64() }));
    const driver = driverOf(builder.build());
    const rows = [1, 2, 3].map((value) => ({ key: 'k', value, timestampMs: value }));
    driver.inputTopic(numbers).pipeAll(rows);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['k 2 @2']);
    expect(shown(driver.outputTopic(other).readAll())).toEqual(['k 3 @3']);
    expect(driver.metrics().failedByNode).toEqual({
      choose: { skipped: 1, deadLettered: 0, retried: 0 },
      'again-repartition': { skipped: 0, deadLettered: 1, retried: 0 },
    });
  });

  test('an aggregator and a joiner, also of a record that has waited', () => {
    const right = topic('right', { key: string(), value: int64() });
    const builder = new StreamsBuilder();
    const left = builder.stream(numbers);
    left
      .leftJoin(
        builder.stream(right),
        (one, other = 0) => {
          if (one < 0) throw new RangeError('negative');
          return one + other;
        },
        {
          ...{ window: joinWindow({ differenceMs: 5, graceMs: 0 }), key: string() },
          ...{ store: 'joined', name: 'join', onError: 'deadLetter' },
        },
      )
      .to(sums);
    const driver = driverOf(builder.build());
    driver.inputTopic(numbers).pipeAll([
      { key: 'a', value: -1, timestampMs: 1 },
      { key: 'b', value: 2, timestampMs: 1 },
      { key: 'c', value: 3, timestampMs: 50 },
    ]);
    driver.endOfInput();
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['b 2 @1', 'c 3 @50']);
    const [letter] = driver.deadLetters();
    expect(letter).toMatchObject({
      ...{ node: 'join', stage: 'processing', source: { topic: 'numbers', offset: 0 } },
      ...{ key: null, value: null, record: '{"key":"a","value":-1,"timestampMs":1}' },
    });
  });

  test('a processor and its punctuations, which go on', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .process<string, number>(
        (context) => {
          context.schedule(10, 'stream-time', (timeMs) => {
            context.forward({ key: 'tick', value: timeMs });
            if (timeMs === 20) throw new RangeError('at 20');
          });
          return {
            process: ({ value }) => {
              context.forward({ key: 'before', value });
              if (value < 0) throw new RangeError('negative');
              context.forward({ key: 'after', value });
            },
          };
        },
        { name: 'own', key: string(), value: int64(), onError: 'deadLetter' },
      )
      .to(sums);
    const driver = driverOf(builder.build());
    driver.inputTopic(numbers).pipeAll([
      { key: 'a', value: 1, timestampMs: 10 },
      { key: 'a', value: -2, timestampMs: 20 },
      { key: 'a', value: 3, timestampMs: 30 },
    ]);
    expect(shown(driver.outputTopic(sums).readAll())).toEqual([
      ...['before 1 @10', 'after 1 @10', 'tick 10 @10', 'before -2 @20', 'tick 20 @20'],
      ...['before 3 @30', 'after 3 @30', 'tick 30 @30'],
    ]);
    expect(told(driver.deadLetters())).toEqual([
      expect.stringContaining('own processing RangeError numbers-0@1 a='),
      'own processing RangeError - null=null: at 20',
    ]);
  });
});

describe('[STREAMS-BAD-3] what was done before the error stays', () => {
  test('in other branches, by operators before it, and by the records of one', () => {
    const counted = topic('counted', { key: string(), value: int64() });
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers);
    stream.groupByKey().count({ store: 'counts', emit: 'each' }).toStream().to(counted);
    stream
      .flatMapValues((value) => [value, value + 1, value + 2])
      .mapValues((value) => {
        if (value === 2) throw new RangeError('two');
        return value;
      })
      .to(sums);
    const driver = driverOf(builder.build(), { onProcessingError: 'skip' });
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 1 });
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 1 @1', 'a 3 @1']);
    expect(shown(driver.outputTopic(counted).readAll())).toEqual(['a 1 @1']);
    expect(driver.metrics().failedRecords.skipped).toBe(1);
  });

  test('time moves by a record that fails behind its source, and not by an unreadable one', () => {
    const times: number[] = [];
    const builder = new StreamsBuilder();
    builder.stream(orders, { name: 'orders' }).process<string, number>(
      (context) => ({
        process: ({ value }) => {
          times.push(context.streamTimeMs());
          if (value.n < 0) throw new RangeError('negative');
        },
      }),
      { name: 'own' },
    );
    const driver = driverOf(builder.build(), {
      onDeserializationError: 'skip',
      onProcessingError: 'skip',
    });
    const late = { key: 'c', timestampMs: 1 };
    driver.inputTopic(rawOrders).pipeAll([NEGATIVE, { ...late, value: '{"n":1}' }]);
    driver.inputTopic(rawOrders).pipeAll([GARBAGE, { ...late, value: '{"n":1}' }]);
    expect(times).toEqual([6, 6, 6]);
  });

  test('of sessions that a function fails to merge', () => {
    for (const emit of ['each', 'commit', 'final'] as const) {
      const builder = new StreamsBuilder();
      builder
        .stream(numbers)
        .groupByKey()
        .windowedBy(sessionWindow({ gapMs: 10, graceMs: 0 }))
        .reduce(
          (sum, value) => {
            if (value < 0) throw new RangeError('negative');
            return sum + value;
          },
          { store: 'sessions', emit },
        )
        .toStream(({ key }) => key.key)
        .to(sums);
      const driver = driverOf(builder.build(), { onProcessingError: 'skip' });
      driver.inputTopic(numbers).pipeAll([
        { key: 'a', value: 1, timestampMs: 1 },
        { key: 'a', value: -5, timestampMs: 2 },
        { key: 'a', value: 3, timestampMs: 3 },
      ]);
      driver.endOfInput();
      const results = shown(driver.outputTopic(sums).readAll());
      const isFinal = emit === 'final';
      expect(results).toEqual(isFinal ? ['a 4 @3'] : ['a 1 @1', 'a null @1', 'a 4 @3']);
    }
  });
});

describe('[STREAMS-BAD-4] a dead letter', () => {
  test('has what was read, as bytes, and Kafka Streams’ headers of the error', () => {
    const driver = driverOf(failing({ map: 'deadLetter' }));
    const headers = [{ key: 'trace', value: Buffer.from('t1') }];
    driver.inputTopic(rawOrders).pipe({ ...NEGATIVE, headers });
    const raw = topic('test-dead-letters', { key: bytes(), value: bytes() });
    const [record] = driver.outputTopic(raw).readAll();
    expect(record?.key).toEqual(Buffer.from('b'));
    expect(record?.value).toEqual(Buffer.from('{"n":-2}'));
    expect(record?.timestampMs).toBe(6);
    const fields = record?.headers.map(({ key, value }) => [key, String(value)]) ?? [];
    expect(fields.map(([key, value]) => [key, value?.split('\n')[0]])).toEqual([
      ['trace', 't1'],
      ['__streams.errors.exception', 'RangeError'],
      ['__streams.errors.message', '-2 is negative'],
      ['__streams.errors.stacktrace', 'RangeError: -2 is negative'],
      ['__streams.errors.topic', 'orders'],
      ['__streams.errors.partition', '0'],
      ['__streams.errors.offset', '0'],
      ['__streams.errors.stage', 'processing'],
      ['__streams.errors.node', 'map'],
      ['__streams.errors.task', '0_0'],
    ]);
  });

  test('goes to the topic of its node, or of the application', () => {
    const builder = new StreamsBuilder();
    const fail = (): never => {
      throw new RangeError('always');
    };
    const stream = builder.stream(numbers);
    const own = { onError: 'deadLetter', deadLetterTopic: 'mine' } as const;
    stream.foreach(fail, { name: 'first', ...own });
    stream.foreach(fail, { name: 'second' });
    const options = { onProcessingError: 'deadLetter', deadLetterTopic: 'ours' } as const;
    const driver = driverOf(builder.build(), options);
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1 });
    expect(driver.deadLetters('mine').map(({ node }) => node)).toEqual(['first']);
    expect(driver.deadLetters().map(({ node }) => node)).toEqual(['second']);
    expect(() => driver.deadLetters('minr')).toThrow('did you mean mine?');
  });

  test('of a record that cannot be shown still tells what it can', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .process<string, bigint>(
        (context) => {
          context.schedule(10, 'stream-time', () => context.forward({ key: 'k', value: 5n }));
          return { process: () => undefined };
        },
        { name: 'own' },
      )
      .foreach(
        () => {
          throw 'not an error' as unknown as Error;
        },
        { name: 'fails' },
      );
    const driver = driverOf(builder.build(), { onProcessingError: 'deadLetter' });
    driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 10 });
    expect(driver.deadLetters()).toMatchObject([
      {
        ...{ node: 'fails', record: '"k": 5n at 10', source: undefined },
        ...{ error: 'TypeError', message: 'it threw "not an error"', timestampMs: 10 },
      },
    ]);
  });
});

describe('[STREAMS-BAD-6] a topic of dead letters', () => {
  test('cannot be read by the application that writes it', () => {
    const builder = new StreamsBuilder();
    builder.stream(topic('test-dead-letters', { key: bytes(), value: bytes() })).foreach(() => 1);
    const topology = builder.build();
    expect(() => driverOf(topology, { onProcessingError: 'deadLetter' })).toThrow(
      expect.objectContaining({ code: 'TOPOLOGY_INVALID' }),
    );
    driverOf(topology, { onProcessingError: 'skip' });
  });
});

test('[STREAMS-BAD-7] a dead letter that cannot be written ends the application', () => {
  const failures = new Failures({
    taskId: '0_0',
    policies: new ErrorPolicies(failing({ map: 'deadLetter' }), {
      ...{ applicationId: 'app', ...STREAMS_DEFAULTS },
    }),
    deadLetters: () => ({
      partitions: 1,
      write: () => {
        throw new RangeError('too large');
      },
    }),
    recovery: new NoRecovery(),
    sourceOf: () => undefined,
    clock: systemClock,
    logger: silentLogger,
    dropped: () => undefined,
  });
  const [stage, node] = ['processing', 'map'] as const;
  const place = { topic: 'orders', partition: 0, offset: 7 };
  const [cause, record] = [new RangeError('negative'), undefined];
  expect(() => failures.handle({ stage, node, cause, place, record, error: cause })).toThrow(
    expect.objectContaining({
      code: 'DEAD_LETTER_FAILED',
      message:
        'orders-0 at offset 7 failed at map: negative; and it could not be written to ' +
        'app-dead-letters as a dead letter: too large',
    }),
  );
  expect(() => failures.check()).toThrow('too large');
});

describe('[STREAMS-BAD-7] a handler', () => {
  test('that throws, or returns something else, ends the application', () => {
    const handlers: [ErrorHandler, string][] = [
      [
        () => {
          throw new TypeError('oops');
        },
        'threw: oops',
      ],
      [() => 'retryy' as never, 'returned "retryy", and not "fail" or "skip" or "deadLetter"'],
      [() => Promise.resolve('skip') as never, 'returned {}'],
    ];
    for (const [handler, message] of handlers) {
      const input = driverOf(failing({ map: handler })).inputTopic(rawOrders);
      expect(() => input.pipe(NEGATIVE)).toThrow(
        expect.objectContaining({
          code: 'ERROR_HANDLER_FAILED',
          message: expect.stringMatching(
            new RegExp(`^the error handler of map ${escaped(message)}.*-2 is negative$`),
          ) as string,
          details: { node: 'map', topic: 'orders', partition: 0, offset: 0 },
        }),
      );
    }
  });

  test('is asked once for each failure, even if the record has come through many operators', () => {
    let asked = 0;
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .mapValues((value) => value, { name: 'first', onError: 'skip' })
      .foreach(
        () => {
          throw new RangeError('always');
        },
        {
          onError: () => {
            asked++;
            return 'fail';
          },
        },
      );
    const input = driverOf(builder.build()).inputTopic(numbers);
    expect(() => input.pipe({ key: 'a', value: 1 })).toThrow('always');
    expect(asked).toBe(1);
  });

  test('decides even if a processor catches the error of what follows it', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .process<string, number>((context) => ({
        process: ({ value }) => {
          try {
            context.forward({ key: 'a', value });
          } catch {
            // nothing
          }
        },
      }))
      .foreach(() => {
        throw new RangeError('always');
      });
    const input = driverOf(builder.build()).inputTopic(numbers);
    expect(() => input.pipe({ key: 'a', value: 1 })).toThrow('always');
  });
});

test('[STREAMS-BAD-1] options are checked where they are given', () => {
  const stream = new StreamsBuilder().stream(numbers);
  expect(() => stream.foreach(() => 1, { onError: 'ignore' as never })).toThrow(
    'foreach: onError must be "fail" or "skip" or "deadLetter" or { retry: 1 to 1000, backoffMs',
  );
  expect(() => stream.to(sums, { deadLetterTopic: 'a b' })).toThrow('the name of a topic');
  for (const retry of [{ retry: 0 }, { retry: 1, then: 'retry' }, { retry: 1, backof: 1 }]) {
    expect(() => stream.foreach(() => 1, { onError: retry as never })).toThrow('onError must be');
  }
  // @ts-expect-error an action that there is not
  expect(() => stream.to(sums, { onError: 'drop' })).toThrow('onError');
  const topology = failing();
  expect(() => driverOf(topology, { onProcessingError: 5 as never })).toThrow('onProcessingError');
});

test('[STREAMS-BAD-10] the test driver cannot go back: it takes what follows the tries', () => {
  const driver = driverOf(failing({ map: { retry: 3, then: 'deadLetter' } }));
  driver.inputTopic(rawOrders).pipeAll([NEGATIVE, GOOD]);
  expect(driver.deadLetters()).toHaveLength(1);
  expect(driver.metrics().failedRecords).toEqual({ skipped: 0, deadLettered: 1, retried: 0 });
});

test('[STREAMS-BAD-3] a store keeps what a processor put before it failed', () => {
  const builder = new StreamsBuilder();
  const seen = builder.addStore(keyValueStore('seen', { key: string(), value: int64() }));
  builder.stream(numbers).process<string, number>(
    (context) => {
      const store = context.store(seen);
      return {
        process: ({ key, value, timestampMs }) => {
          store.put(key ?? '', value, timestampMs);
          if (value < 0) throw new RangeError('negative');
        },
      };
    },
    { stores: [seen], onError: 'skip' },
  );
  const driver = driverOf(builder.build());
  driver.inputTopic(numbers).pipeAll([
    { key: 'a', value: 1 },
    { key: 'b', value: -1 },
  ]);
  expect([...driver.keyValueStore('seen').entries()]).toEqual([
    ['a', 1],
    ['b', -1],
  ]);
});

function escaped(text: string): string {
  return text.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&');
}
