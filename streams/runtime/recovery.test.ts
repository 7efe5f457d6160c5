import { describe, expect, test } from 'vitest';
import { bytes, int64, silentLogger, string, topic } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { StreamsApp } from './app.ts';

const numbers = topic('numbers', { key: string(), value: int64() });
const output = topic('output', { key: string(), value: string() });
const options = { commitIntervalMs: 1, logger: silentLogger } as const;

const failedOf = (app: StreamsApp): object => app.metrics().failedRecords;

describe('[STREAMS-BAD-10] what comes of no single record', () => {
  test('as a call by the wall clock, comes to `then` after its tries', async () => {
    const log = await openTestLog();
    await log.admin().ensureTopic(numbers);
    let left = 6; // two calls
    const builder = new StreamsBuilder();
    builder.stream(numbers).process(
      (context) => {
        context.schedule(50, 'wall-clock', () => {
          if (left-- > 0) throw new RangeError('not now');
        });
        return { process: () => undefined };
      },
      { name: 'own', onError: { retry: 2, backoffMs: 0, then: 'skip' } },
    );
    const app = makeApp(log, builder.build(), options);
    await app.start();
    await until(() => left < 0);
    expect(failedOf(app)).toEqual({ skipped: 2, deadLettered: 0, retried: 4 });
  });

  test('has its tries also while another task commits before it', async () => {
    const log = await openTestLog();
    const large = topic('large', { key: string(), value: bytes(), partitions: 2 });
    const value = Buffer.alloc(600_000); // a fetch takes one
    const rows = Array.from({ length: 12 }, (_, index) => ['k', value, index, 0] as const);
    let left = 4;
    const builder = new StreamsBuilder();
    builder.stream(large).process(
      (context) => {
        const isFlaky = context.partition === 1;
        context.schedule(20, 'wall-clock', () => {
          if (isFlaky && left-- > 0) throw new RangeError('not now');
        });
        return { process: () => context.commit() };
      },
      { name: 'own', onError: { retry: 3, backoffMs: 0, then: 'skip' } },
    );
    const app = makeApp(log, builder.build(), options);
    await log.admin().ensureTopic(large);
    await app.start();
    await until(() => app.metrics().commits > 0);
    await produce(log, large, rows);
    await until(() => left < 0);
    expect(failedOf(app)).toEqual({ skipped: 1, deadLettered: 0, retried: 3 });
  });

  test('as a result, has tries of its own after a commit, with the same time, too', async () => {
    const log = await openTestLog();
    const failed = new Set<string>();
    const builder = new StreamsBuilder();
    builder
      .stream(numbers)
      .groupByKey()
      .count({ store: 'counts' })
      .toStream()
      .map(
        ({ key, value }) => {
          if (!failed.has(key)) {
            failed.add(key);
            throw new RangeError('not now');
          }
          return { key, value: String(value) };
        },
        { name: 'flaky', onError: { retry: 1, backoffMs: 0, then: 'skip' } },
      )
      .to(output);
    const app = makeApp(log, builder.build(), options);
    await produce(log, numbers, [['a', 1, 7]]);
    await app.start();
    const rows = (): Promise<string[]> => committedRows(log, output);
    await until(async () => (await rows()).length === 1);
    await until(() => app.metrics().commits > 0);
    await produce(log, numbers, [['b', 1, 7]]);
    await until(() => app.metrics().processedRecords === 2 && failed.has('b'));
    await app.finish();
    expect(await rows()).toEqual(['a 1 @7', 'b 1 @7']);
    expect(failedOf(app)).toEqual({ skipped: 0, deadLettered: 0, retried: 2 });
  });
});

test('[STREAMS-BAD-10] the records that a node makes of one have one count', async () => {
  const log = await openTestLog();
  const failed = new Set<string>();
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .flatMapValues(() => ['x', 'y'])
    .mapValues(
      (value) => {
        if (!failed.has(value)) {
          failed.add(value);
          throw new RangeError('not now');
        }
        return value;
      },
      { name: 'flaky', onError: { retry: 1, backoffMs: 0, then: 'skip' } },
    )
    .to(output);
  await produce(log, numbers, [['a', 1, 7]]);
  const app = makeApp(log, builder.build(), options);
  await app.start();
  await app.finish();
  expect(await committedRows(log, output)).toEqual(['a x @7']);
  expect(failedOf(app)).toEqual({ skipped: 1, deadLettered: 0, retried: 1 });
});

test('[STREAMS-BAD-11] the limit of a topic is the present one', async () => {
  const log = await openTestLog();
  const limited = topic('limited', {
    ...{ key: string(), value: string(), config: { maxMessageBytes: 300 } },
  });
  const admin = log.admin();
  await admin.ensureTopic(limited);
  const calls = { left: 0 };
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .mapValues(
      (value) => {
        if (value === 0 && calls.left-- > 0) throw new RangeError('not now');
        return 'x'.repeat(value);
      },
      { name: 'flaky', onError: { retry: 1, backoffMs: 0 } },
    )
    .to(limited, { name: 'out', onError: 'skip' });
  const app = makeApp(log, builder.build(), options);
  await app.start();
  let timeMs = 0;
  const sizes = async (): Promise<unknown[]> =>
    (await readTopic(log, limited, 'read_committed')).map(({ value }) => value?.length);
  /** Sends records; the last one goes through. Returns how many were skipped so far. */
  const pass = async (...values: number[]): Promise<number> => {
    await produce(
      log,
      numbers,
      values.map((value) => ['k', value, timeMs++] as const),
    );
    await until(async () => (await sizes()).at(-1) === values.at(-1) || app.state === 'ERROR');
    return app.metrics().failedRecords.skipped;
  };
  const setLimit = (maxMessageBytes: number): Promise<void> =>
    admin.alterConfigs('limited', { set: { maxMessageBytes } });
  expect(await pass(200, 500, 150)).toBe(1);
  await setLimit(200);
  expect(await pass(160, 100)).toBe(2);
  await setLimit(1_000);
  calls.left = 1; // the next attempt asks for the limit
  expect(await pass(0, 500, 160)).toBe(2);
  await setLimit(200);
  expect(await pass(170, 99)).toBe(3);
  await app.finish();
  expect(await sizes()).toEqual([200, 150, 100, 0, 500, 160, 99]);
});
