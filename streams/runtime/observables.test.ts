import { Observable, Subject } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { failingCommit } from '../../test/kit/failing-commit.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { fromObservable, type ObservableRecord } from './from-observable.ts';

const numbers = topic('numbers', { key: string(), value: int64() });

function observed() {
  const builder = new StreamsBuilder();
  const even = builder
    .stream(numbers)
    .filter(({ value }) => value % 2 === 0)
    .toObservable();
  return { topology: builder.build(), even };
}

function rows(from: number, to: number): [string, number, number][] {
  return Array.from({ length: to - from }, (_, index) => [`k`, from + index, from + index]);
}

describe('[OP-RX-2] records$', () => {
  test('emits records that are committed from then on, and completes with the app', async () => {
    const log = await openTestLog();
    const { topology, even } = observed();
    await produce(log, numbers, rows(0, 4));
    const app = makeApp(log, topology);
    await app.start();
    await until(() => app.metrics().processedRecords === 4);
    const [seen, all]: [number[], number[]] = [[], []];
    let isComplete = false;
    app.records$(even).subscribe({
      next: ({ value }) => seen.push(value),
      complete: () => (isComplete = true),
    });
    const looping = (async () => {
      for await (const { value, topic: from } of app.records$(even)) {
        expect(from).toBe('numbers');
        all.push(value);
      }
    })();
    await produce(log, numbers, rows(4, 9));
    await until(() => seen.length === 3);
    await app.finish();
    await looping;
    expect([seen, all, isComplete]).toEqual([[4, 6, 8], [4, 6, 8], true]);
  });

  test('emits nothing of a commit that failed, and everything of the next one', async () => {
    const log = await openTestLog();
    const { topology, even } = observed();
    const { failing, onStep } = failingCommit();
    const app = makeApp(log, topology, { onStep });
    const seen: number[] = [];
    app.records$(even).subscribe(({ value }) => seen.push(value));
    await app.start();
    failing.add('commit-4-offsets');
    await produce(log, numbers, rows(0, 4));
    await until(() => app.state === 'RETRYING');
    expect(seen).toEqual([]);
    await until(() => seen.length === 2);
    expect(seen).toEqual([0, 2]);
    await app.close();
  });

  test('ends with an error if the application does, and tells later subscribers', async () => {
    const log = await openTestLog();
    const builder = new StreamsBuilder();
    const broken = builder
      .stream(numbers)
      .peek(() => {
        throw new TypeError('broken');
      })
      .toObservable();
    const app = makeApp(log, builder.build());
    const errors: unknown[] = [];
    const watch = (): void => {
      app.records$(broken).subscribe({ error: (error: unknown) => errors.push(error) });
    };
    watch();
    await app.start();
    const ended = expect(app.done).rejects.toThrow('broken');
    await produce(log, numbers, rows(0, 1));
    await ended;
    watch();
    await until(() => errors.length === 2);
    expect(errors.every((error) => StreamsError.is(error, 'PROCESSING_FAILED'))).toBe(true);
  });

  test('a loop that is too slow ends with an error; the application goes on', async () => {
    const log = await openTestLog();
    const { topology, even } = observed();
    const app = makeApp(log, topology);
    await app.start();
    let committed = 0;
    app.records$(even).subscribe(() => committed++);
    const loop = app.records$(even, { maxQueued: 3 })[Symbol.asyncIterator]();
    const first = loop.next();
    await produce(log, numbers, rows(0, 1));
    expect((await first).value).toMatchObject({ value: 0 });
    await produce(log, numbers, rows(1, 21));
    await until(() => committed === 11);
    const failed = await (async () => {
      while ((await loop.next()).done !== true);
    })().catch((error: unknown) => error);
    expect(StreamsError.is(failed, 'OBSERVER_OVERRUN')).toBe(true);
    await app.finish();
  });

  test('the values of a table are copies', async () => {
    const lists = topic('lists', { key: string(), value: int64() });
    const builder = new StreamsBuilder();
    const seen = builder
      .stream(lists)
      .groupByKey()
      .aggregate(
        () => ({ list: [] as number[] }),
        (sum, { value }) => {
          sum.list.push(value);
          return sum;
        },
        { emit: 'each' },
      )
      .toStream()
      .toObservable();
    const driver = new TopologyTestDriver(builder.build());
    const got: number[][] = [];
    driver.records$(seen).subscribe(({ value }) => got.push(value.list));
    for (const value of [1, 2]) {
      driver.inputTopic(lists).pipe({ key: 'a', value, timestampMs: value });
    }
    await until(() => got.length === 2);
    expect(got).toEqual([[1], [1, 2]]);
  });

  test('needs what toObservable of this topology returned', async () => {
    const log = await openTestLog();
    const app = makeApp(log, observed().topology);
    expect(() => app.records$({ node: 'other' })).toThrow(/other/);
    const { even } = observed();
    const takesText = (text: string): number => text.length;
    // @ts-expect-error -- the values are numbers
    app.records$(even).subscribe(({ value }) => takesText(value));
    await app.close();
  });
});

describe('[OP-RX-3] fromObservable', () => {
  const values = async (log: Awaited<ReturnType<typeof openTestLog>>) =>
    (await readTopic(log, numbers)).map(({ key, value, timestampMs }) => {
      return `${key} ${value} ${timestampMs}`;
    });

  test('writes what is emitted; done resolves when all of it is there', async () => {
    const log = await openTestLog();
    const source = new Subject<ObservableRecord<string, number>>();
    const input = fromObservable(log, source, numbers);
    for (const value of [1, 2, 3]) source.next({ key: 'a', value, timestampMs: value });
    source.complete();
    expect(await input.done).toBe(3);
    expect(await values(log)).toEqual(['a 1 1', 'a 2 2', 'a 3 3']);
  });

  test('rejects with the error of the Observable, behind what came before', async () => {
    const log = await openTestLog();
    const source = new Subject<ObservableRecord<string, number>>();
    const input = fromObservable(log, source, numbers);
    source.next({ key: 'a', value: 1, timestampMs: 1 });
    source.error(new TypeError('gone'));
    await expect(input.done).rejects.toThrow('gone');
    expect(await values(log)).toEqual(['a 1 1']);
  });

  test('rejects with the error of a record, and unsubscribes', async () => {
    const log = await openTestLog();
    let isOpen = true;
    const source = new Observable<ObservableRecord<string, number>>((subscriber) => {
      subscriber.next({ key: 'a', value: 1, timestampMs: 1 });
      subscriber.next({ key: 'a', value: 'text' as never, timestampMs: 2 });
      return () => (isOpen = false);
    });
    const input = fromObservable(log, source, numbers);
    await expect(input.done).rejects.toThrow();
    expect(isOpen).toBe(false);
    expect(await values(log)).toEqual(['a 1 1']);
  });

  test('close rejects with an error that nobody else gets', async () => {
    const log = await openTestLog();
    const failing = () => {
      const source = new Subject<ObservableRecord<string, number>>();
      const input = fromObservable(log, source, numbers);
      source.error(new TypeError('gone'));
      return input;
    };
    const using = async (): Promise<void> => {
      await using input = failing();
      expect(input).toBeDefined();
    };
    await expect(using()).rejects.toThrow('gone');
    const input = failing();
    await expect(input.close()).rejects.toThrow('gone');
    await input.close(); // told once
    const heard = failing();
    await expect(heard.done).rejects.toThrow('gone');
    await heard.close();
  });

  test('ends with close, with the signal, and with too many that wait', async () => {
    const log = await openTestLog();
    const source = new Subject<ObservableRecord<string, number>>();
    const closed = fromObservable(log, source, numbers);
    const abort = new AbortController();
    const aborted = fromObservable(log, source, numbers, { signal: abort.signal });
    const full = fromObservable(log, source, numbers, { maxQueued: 2 });
    for (const value of [1, 2, 3]) source.next({ key: 'a', value, timestampMs: value });
    await closed.close();
    abort.abort();
    expect([await closed.done, await aborted.done]).toEqual([3, 3]);
    const error = await full.done.catch((each: unknown) => each);
    expect(StreamsError.is(error, 'OBSERVABLE_OVERRUN')).toBe(true);
    expect(source.observed).toBe(false);
    expect((await values(log)).length).toBe(8);
  });
});
