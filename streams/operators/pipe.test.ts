import {
  catchError,
  concatMap,
  count,
  debounceTime,
  delay,
  EMPTY,
  filter,
  from,
  map,
  mergeMap,
  of,
  scan,
  startWith,
  take,
  toArray,
  type OperatorFunction,
} from 'rxjs';
import { describe, expect, test } from 'vitest';
import { LogError, silentLogger, string, topic } from '../../core/index.ts';
import { drive, numbers, shown, sums } from '../../test/kit/drive.ts';
import type { KStream } from '../dsl/kstream.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import type { KeyValue } from './results.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { StreamRecord } from '../topology/stream-record.ts';

const NONE = new StreamRecord('', 0, 0, [], '', 0, 0);
type In = StreamRecord<string, number>;
type Out = StreamRecord<string, number>;

describe('[OP-RX-1] pipe', () => {
  test('sends each record through operators of RxJS; time and headers stay', () => {
    const { pipe } = drive(numbers, sums, (stream) =>
      stream.pipe(
        filter(({ value }) => value > 1),
        mergeMap(({ key, value }) => [value, -value].map((each) => ({ key, value: each }))),
        concatMap(({ key, value }: KeyValue<string, number>) => of({ key: `${key}!`, value })),
      ),
    );
    const headers = [{ key: 'h', value: Buffer.from('1') }];
    const passed = pipe(['a', 1, 1], ['b', 2, 2, headers], ['a', 3, 3]);
    expect(shown(passed)).toEqual(['b! 2 @2', 'b! -2 @2', 'a! 3 @3', 'a! -3 @3']);
    expect(passed[0]!.headers).toEqual(headers);
  });

  test('each record is a stream of its own, so that nothing is kept', () => {
    const { pipe } = drive(numbers, sums, (stream) =>
      stream.pipe(scan((_, { key, value }) => ({ key, value }), { key: '', value: 0 })),
    );
    expect(shown(pipe(['a', 1, 1], ['a', 2, 2]))).toEqual(['a 1 @1', 'a 2 @2']);
  });

  test('repartitions a later grouping, unless keys are promised to be in place', () => {
    const build = (preserves?: 'partition'): string => {
      const builder = new StreamsBuilder();
      const options = preserves === undefined ? {} : { preserves };
      const same = filter<StreamRecord<string | null, number>>(() => true);
      builder.stream(numbers).pipe(same, options).groupByKey().count();
      return builder.build().describe().toString();
    };
    expect(build()).toContain('repartition');
    expect(build('partition')).not.toContain('repartition');
  });

  test.each<[string, OperatorFunction<In, Out>, string]>([
    ['delay', delay(0), 'asynchronous'],
    ['mergeMap to a promise', mergeMap((record) => from(Promise.resolve(record))), 'asynchronous'],
    ['debounceTime', debounceTime(1), 'holds records back'],
    ['take', take(1), 'ends its stream'],
    [
      'toArray',
      (stream) =>
        stream.pipe(
          toArray(),
          map((list) => list[0]!),
        ),
      'holds records back',
    ],
    [
      'count',
      (stream) =>
        stream.pipe(
          count(),
          map((n) => n as never),
        ),
      'holds records back',
    ],
    ['startWith', startWith(NONE), 'before it has a record'],
    ['take(0)', take(0), 'ends without a record'],
  ])('%s is refused at the first record, whatever onError says', (_, operator, why) => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers, { nullKeys: 'fail' })
      .pipe(operator, { name: 'piped', onError: 'skip' })
      .to(sums);
    const driver = new TopologyTestDriver(builder.build(), { logger: silentLogger });
    const input = driver.inputTopic(numbers);
    try {
      input.pipe({ key: 'a', value: 1, timestampMs: 1 });
      expect.unreachable();
    } catch (error) {
      if (!StreamsError.is(error, 'PIPE_NOT_STATELESS')) throw error;
      expect(error.details.node).toBe('piped');
      expect(error.message).toContain(why);
    }
  });

  test('a function that throws fails its record', () => {
    const builder = new StreamsBuilder();
    builder
      .stream(numbers, { nullKeys: 'fail' })
      .pipe(
        map(({ key, value }) => {
          if (value === 1) throw new TypeError('one');
          return { key, value };
        }),
        { onError: 'deadLetter' },
      )
      .to(sums);
    const driver = new TopologyTestDriver(builder.build(), { logger: silentLogger });
    for (const value of [1, 2]) {
      driver.inputTopic(numbers).pipe({ key: 'a', value, timestampMs: value });
    }
    expect(shown(driver.outputTopic(sums).readAll())).toEqual(['a 2 @2']);
    expect(driver.deadLetters().map(({ message }) => message)).toEqual(['one']);
  });

  test('catchError goes on with its stream, or within a mergeMap, and may not end it', () => {
    const failing = map<In, In>((record) => {
      if (record.value === 2) throw new TypeError('two');
      return record;
    });
    const run = (operator: OperatorFunction<In, In>): string[] => {
      const { pipe } = drive(numbers, sums, (stream) => stream.pipe(operator));
      return shown(pipe(['a', 1, 1], ['a', 2, 2], ['a', 3, 3]));
    };
    const passed = ['a 1 @1', 'a 3 @3'];
    expect(
      run((stream) =>
        stream.pipe(
          failing,
          catchError((_, caught) => caught),
        ),
      ),
    ).toEqual(passed);
    const within = mergeMap((record: In) =>
      of(record).pipe(
        failing,
        catchError(() => EMPTY),
      ),
    );
    expect(run(within)).toEqual(passed);
    expect(() =>
      run((stream) =>
        stream.pipe(
          failing,
          catchError(() => EMPTY),
        ),
      ),
    ).toThrow('ends its stream after some records');
  });

  test('types are inferred, and what is no operator is refused', () => {
    const stream = new StreamsBuilder().stream(numbers, { nullKeys: 'fail' });
    const named: KStream<string, string> = stream.pipe(
      map(({ key, value }) => ({ key, value: String(value) })),
    );
    named.to(topic('named', { key: string(), value: string() }));
    // @ts-expect-error -- the values are texts
    named.to(sums);
    // @ts-expect-error -- a key and a value
    stream.pipe(map(({ value }) => value));
    const refused = (...args: unknown[]): boolean => {
      try {
        (stream.pipe as (...given: unknown[]) => unknown).apply(stream, args);
      } catch (error) {
        return LogError.is(error, 'INVALID_OPTION') || LogError.is(error, 'UNKNOWN_OPTION');
      }
      return false;
    };
    expect([
      refused(),
      refused(7),
      refused(
        filter(() => true),
        { nam: 'a' },
      ),
    ]).toEqual([...[true, true, true]]);
  });
});
