import { describe, expect, test } from 'vitest';
import { bytes, int64, silentLogger, string, topic } from '../../core/index.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
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
