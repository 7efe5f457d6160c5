import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bytes,
  int64,
  parseDeadLetter,
  serializeToBytes,
  silentLogger,
  string,
  systemClock,
  topic,
  topicPattern,
  type Log,
} from '../../core/index.ts';
import {
  committedRows,
  makeApp,
  openTestLog,
  produce,
  runToEnd,
  until,
} from '../../test/kit/app.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import {
  crashInput,
  crashMoments,
  crashOutput,
  openDisk,
  triedMoments,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { RetryAction } from '../topology/record-errors.ts';
import type { Topology } from '../topology/topology.ts';

const DEAD_LETTERS = topic('app-dead-letters', { key: bytes(), value: bytes() });
const options = { commitIntervalMs: 1, checkpointIntervalMs: 5, idleTimeoutMs: Infinity } as const;
const deadLettering = {
  onDeserializationError: 'deadLetter',
  onProcessingError: 'deadLetter',
  onProductionError: 'deadLetter',
  logger: silentLogger,
} as const;

/** `node key value source`, for each dead letter that readers of committed data see. */
async function letters(log: Log): Promise<string[]> {
  const records = await readTopic(log, DEAD_LETTERS, 'read_committed');
  return records.map((record) => {
    const { node, key, value, source } = parseDeadLetter(record);
    const place =
      source === undefined ? '-' : `${source.topic}-${source.partition}@${source.offset}`;
    return `${node} ${String(key)} ${value === null ? 'null' : value.toString('hex')} ${place}`;
  });
}

/** Fails at reading, in an aggregation, in a mapper behind it, and at writing. */
function failing(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(crashInput, {
      name: 'numbers',
      timestamp: ({ value, timestampMs }) => {
        if (value % 41 === 0) throw new RangeError('no time');
        return timestampMs;
      },
    })
    .groupByKey()
    .aggregate(
      () => ({ sum: 0 }),
      (total, { value }) => {
        if (value % 43 === 0) throw new RangeError('not added');
        return { sum: total.sum + value };
      },
      { store: 'sums', name: 'sum', emit: 'each' },
    )
    .toStream()
    .mapValues(
      ({ sum }) => {
        if (sum % 37 === 0) throw new RangeError('not shown');
        return sum % 31 === 0 ? (sum as unknown as string) : `sum ${sum}`;
      },
      { name: 'show' },
    )
    .to(crashOutput, { name: 'out' });
  return builder.build();
}

function* rows(): Generator<[string, number, number]> {
  for (let index = 0; index < 2_000; index++) yield [`k${index % 7}`, index, index];
}

describe('[STREAMS-BAD-5] dead letters', () => {
  test.each(WAYS_TO_STOP)(
    `are written once, whatever happens: %s, seed ${SEED}`,
    async (_, stop) => {
      const { log, moments } = await crashMoments({
        ...{ topology: failing(), every: 17, stop },
        fill: (each) => produce(each, crashInput, rows()),
        options: { ...options, ...deadLettering },
      });
      const [expected, results] = [await letters(log), await committedRows(log, crashOutput)];
      const nodes = ['numbers', 'sum', 'show', 'out'];
      for (const node of nodes) {
        expect(expected.filter((line) => line.startsWith(`${node} `)).length).toBeGreaterThan(10);
      }
      expect(expected.length + results.length).toBe(2_000);
      expect(moments.length).toBeGreaterThan(5);
      for (const { operation, disk, stateDir } of triedMoments(moments)) {
        const reopened = await openDisk(disk);
        await runToEnd(reopened, failing(), { ...options, ...deadLettering, stateDir });
        expect(await letters(reopened), operation).toEqual(expected);
        expect(await committedRows(reopened, crashOutput), operation).toEqual(results);
        await reopened.close();
      }
    },
    60_000,
  );

  test('are those of a plain loop, for any records that fail and any commits', async () => {
    const poisons = fc.array(fc.constantFrom('good', 'unreadable', 'bad', 'unwritable'), {
      minLength: 1,
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(poisons, fc.integer({ min: 0, max: 3 }), async (kinds, commitIntervalMs) => {
        const log = await openTestLog();
        const input = topic('input', { key: string(), value: bytes() });
        const payloads = kinds.map((kind, index) => {
          const value = kind === 'unreadable' ? Buffer.alloc(3) : Buffer.alloc(8);
          if (kind === 'bad') value.writeInt32BE(-1, 0);
          if (kind !== 'unreadable') value.writeInt32BE(kind === 'unwritable' ? 7 : index * 10, 4);
          return value;
        });
        await produce(
          log,
          input,
          payloads.map((value, index) => [`k${index}`, value, index] as const),
        );
        const builder = new StreamsBuilder();
        builder
          .stream(topic('input', { key: string(), value: int64() }), { name: 'unreadable' })
          .mapValues(
            (value) => {
              if (value < 0) throw new RangeError('negative');
              return value === 7 ? ('seven' as unknown as number) : value;
            },
            { name: 'bad' },
          )
          .to(topic('output', { key: string(), value: int64() }), { name: 'unwritable' });
        const app = await runToEnd(log, builder.build(), { ...deadLettering, commitIntervalMs });
        const bad = kinds.flatMap((kind, index) =>
          kind === 'good'
            ? []
            : `${kind} k${index} ${payloads[index]!.toString('hex')} input-0@${index}`,
        );
        expect(await letters(log).catch(() => [])).toEqual(bad);
        const output = topic('output', { key: string(), value: int64() });
        const good = kinds.flatMap((kind, index) =>
          kind === 'good' ? `k${index} ${index * 10} @${index}` : [],
        );
        expect(await committedRows(log, output)).toEqual(good);
        expect(app.metrics().failedRecords.deadLettered).toBe(bad.length);
        await log.close();
      }),
      { numRuns: 8, seed: SEED },
    );
  }, 60_000);

  test('are committed although nothing else is done', async () => {
    const log = await openTestLog();
    const input = topic('input', { key: string(), value: string() });
    await produce(log, input, [
      ['a', 'x', 1],
      ['b', 'y', 2],
    ]);
    const builder = new StreamsBuilder();
    builder
      .stream(topic('input', { key: string(), value: int64() }), { name: 'in' })
      .foreach(() => 1);
    const stateDir = temporaryDirectory();
    const app = makeApp(log, builder.build(), { ...options, ...deadLettering, stateDir });
    await app.start();
    await until(async () => (await letters(log)).length === 2);
    await app.close();
    const again = await runToEnd(log, builder.build(), { ...options, ...deadLettering, stateDir });
    expect(again.metrics().failedRecords.deadLettered).toBe(0);
    expect(await letters(log)).toHaveLength(2);
  });

  test('are written without transactions, too', async () => {
    const log = await openTestLog();
    await produce(log, crashInput, rows());
    const processingGuarantee = 'at_least_once';
    await runToEnd(log, failing(), { ...options, ...deadLettering, processingGuarantee });
    const results = await committedRows(log, crashOutput);
    // Going back to the last commit repeats what was written since, as a crash does.
    expect((await letters(log)).length + results.length).toBeGreaterThanOrEqual(2_000);
  });
});

describe('[STREAMS-BAD-6] a topic of dead letters', () => {
  test('is created with room for large records, and only if it may be used', async () => {
    const log = await openTestLog();
    await produce(log, crashInput, [['a', 1, 1]]);
    const build = (): Topology => {
      const builder = new StreamsBuilder();
      builder.stream(crashInput).foreach(() => 1);
      return builder.build();
    };
    const topics = async (): Promise<string[]> =>
      (await log.api.metadata({})).topics.map((each) => each.topic);
    await runToEnd(log, build(), { onProcessingError: 'skip' });
    expect(await topics()).not.toContain('app-dead-letters');
    await runToEnd(log, build(), { onProcessingError: () => 'skip' });
    expect(await topics()).toContain('app-dead-letters');
    const config = await log.admin().describeConfigs('app-dead-letters');
    expect(config).toContainEqual(
      expect.objectContaining({ name: 'max.message.bytes', value: String(16 * 1024 * 1024) }),
    );
  });

  test('matches no pattern of its application', async () => {
    const log = await openTestLog();
    await produce(log, topic('app-one', { key: string(), value: int64() }), [['a', -1, 1]]);
    const builder = new StreamsBuilder();
    const pattern = topicPattern(/^app-/, { key: string(), value: int64() });
    builder.stream(pattern, { name: 'all' }).foreach(({ value }) => {
      if (value < 0) throw new RangeError('negative');
    });
    const app = makeApp(log, builder.build(), {
      ...{ ...options, ...deadLettering, metadataMaxAgeMs: 20, idleTimeoutMs: 10 },
    });
    await app.start();
    await until(async () => (await letters(log).catch(() => [])).length === 1);
    await produce(log, topic('app-two', { key: string(), value: int64() }), [['b', -2, 1]]);
    await until(async () => (await letters(log)).length === 2);
    await app.close();
    expect((await letters(log)).map((line) => line.split(' ').at(-1))).toEqual([
      ...['app-one-0@0', 'app-two-0@0'],
    ]);
  });

  test('[STREAMS-BAD-7] that refuses a dead letter ends the application', async () => {
    const log = await openTestLog();
    await log.admin().createTopic('app-dead-letters', { config: { maxMessageBytes: 1_000 } });
    await produce(log, crashInput, [['a', 1, 1]]);
    const builder = new StreamsBuilder();
    builder.stream(crashInput).foreach(() => {
      throw new RangeError('x'.repeat(2_000));
    });
    const app = makeApp(log, builder.build(), deadLettering);
    await app.start();
    expect(await failureOf(app.finish())).toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
  });
});

test('[STREAMS-BAD-8] counts stay when tasks start over', async () => {
  const log = await openTestLog();
  await produce(log, topic('app-one', { key: string(), value: int64() }), [['a', -1, 1]]);
  const builder = new StreamsBuilder();
  const pattern = topicPattern(/^app-/, { key: string(), value: int64() });
  builder.stream(pattern).foreach(
    ({ value }) => {
      if (value < 0) throw new RangeError('negative');
    },
    { name: 'check', onError: 'skip' },
  );
  const app = makeApp(log, builder.build(), {
    ...{ ...options, metadataMaxAgeMs: 20, idleTimeoutMs: 10, logger: silentLogger },
  });
  await app.start();
  await until(() => app.metrics().failedRecords.skipped === 1);
  await produce(log, topic('app-two', { key: string(), value: int64() }), [['b', -2, 1]]);
  await until(() => app.metrics().failedRecords.skipped === 2);
  expect(app.metrics().failedByNode).toEqual({
    check: { skipped: 2, deadLettered: 0, retried: 0 },
  });
});

test('[STREAMS-BAD-1] skipped records are logged, but not each of them', async () => {
  const log = await openTestLog();
  await produce(log, crashInput, rows());
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  const builder = new StreamsBuilder();
  builder.stream(crashInput).foreach(
    ({ value }) => {
      if (value % 2 === 0) throw new RangeError(`${value} is even`);
    },
    { name: 'odd' },
  );
  await runToEnd(log, builder.build(), { onProcessingError: 'skip', logger });
  expect(warnings).toEqual([
    'a record was skipped: odd failed on numbers-0 at offset 0: 0 is even',
  ]);
});

describe('[STREAMS-BAD-10] a record that may pass', () => {
  /** Fails at value 5 for so many times; every value goes through. */
  function flaky(failures: number, retry: RetryAction): { topology: Topology; seen: number[] } {
    const seen: number[] = [];
    let left = failures;
    const builder = new StreamsBuilder();
    builder
      .stream(crashInput)
      .mapValues(
        (value) => {
          seen.push(value);
          if (value === 5 && left-- > 0) throw new RangeError('not now');
          return `v${value}`;
        },
        { name: 'flaky', onError: retry },
      )
      .to(crashOutput);
    return { topology: builder.build(), seen };
  }

  const input = Array.from({ length: 10 }, (_, value) => ['k', value, value] as const);
  const all = input.map(([, value]) => `k v${value} @${value}`);

  test('is tried again from the last commit, in order, until it does', async () => {
    const log = await openTestLog();
    await produce(log, crashInput, input);
    const { topology, seen } = flaky(2, { retry: 3, backoffMs: 1 });
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    const app = makeApp(log, topology, { ...options, logger });
    const states: string[] = [];
    app.state$.subscribe((state) => states.push(state));
    await app.start();
    await app.finish();
    expect(await committedRows(log, crashOutput)).toEqual(all);
    expect(seen.filter((value) => value === 5)).toHaveLength(3);
    expect(app.metrics().failedByNode).toEqual({
      flaky: { skipped: 0, deadLettered: 0, retried: 2 },
    });
    expect(states.filter((state) => state === 'RETRYING')).toHaveLength(2);
    expect(warnings).toEqual([
      expect.stringMatching(/flaky failed on numbers-0 at offset 5: not now; .* again in 1 ms$/),
      expect.stringMatching(/again in 2 ms$/),
    ]);
  });

  test.each([
    ['skip', 9],
    ['deadLetter', 9],
  ] as const)('is handled as `then` says when all tries have failed: %s', async (then, count) => {
    const log = await openTestLog();
    await produce(log, crashInput, input);
    const { topology, seen } = flaky(100, { retry: 2, backoffMs: 0, then });
    const app = await runToEnd(log, topology, { ...options, logger: silentLogger });
    const rest = all.filter((row) => !row.includes('v5'));
    expect(await committedRows(log, crashOutput)).toEqual(rest);
    expect(rest).toHaveLength(count);
    expect(seen.filter((value) => value === 5)).toHaveLength(3);
    const { failedRecords } = app.metrics();
    expect(failedRecords).toMatchObject({ retried: 2, [OUTCOMES[then]]: 1 });
    expect(await letters(log).catch(() => [])).toHaveLength(then === 'deadLetter' ? 1 : 0);
  });

  test('ends the application by default when all tries have failed', async () => {
    const log = await openTestLog();
    await produce(log, crashInput, input);
    const { topology } = flaky(100, { retry: 1, backoffMs: 0 });
    const app = makeApp(log, topology, { ...options, logger: silentLogger });
    await app.start();
    expect(await failureOf(app.finish())).toMatchObject({ code: 'PROCESSING_FAILED' });
  });

  test('does not keep an application from closing, and shows why it waits', async () => {
    const log = await openTestLog();
    await produce(log, crashInput, input);
    const { topology } = flaky(100, { retry: 5, backoffMs: 60_000 });
    const app = makeApp(log, topology, { ...options, logger: silentLogger });
    await app.start();
    await until(() => app.state === 'RETRYING');
    const { cause, nextMs = 0 } = app.retry ?? {};
    expect(cause).toMatchObject({ code: 'STARTING_OVER', cause: { message: 'not now' } });
    expect(nextMs - systemClock.nowMs()).toBeGreaterThan(30_000);
    // No transaction is open meanwhile: another one may read to the end.
    expect(await committedRows(log, crashOutput)).toEqual(
      all.slice(0, (await committedRows(log, crashOutput)).length),
    );
    await app.close();
    expect([app.state, app.retry]).toEqual(['NOT_RUNNING', undefined]);
  });
});

const OUTCOMES = { skip: 'skipped', deadLetter: 'deadLettered' } as const;

test.each(['commit', 'each'] as const)(
  '[STREAMS-BAD-10] a function that fails after it has changed a value has changed nothing: %s',
  async (emit) => {
    const log = await openTestLog();
    await produce(log, crashInput, rows());
    const builder = new StreamsBuilder();
    builder
      .stream(crashInput)
      .groupByKey()
      .aggregate(
        () => ({ sum: 0, count: 0 }),
        (total, { value }) => {
          total.sum += value;
          if (value % 3 === 0) throw new RangeError('too late');
          total.count++;
          return total;
        },
        { store: 'totals', emit, onError: 'skip' },
      )
      .toStream()
      .mapValues(({ sum, count }) => `${sum} ${count}`)
      .to(crashOutput);
    const [stateDir, logger] = [temporaryDirectory(), silentLogger];
    const topology = builder.build();
    const app = makeApp(log, topology, { ...options, stateDir, logger });
    await app.start();
    await app.finish();
    expect(app.metrics().failedRecords).toEqual({ skipped: 667, deadLettered: 0, retried: 0 });
    const last = new Map<string, string>();
    for (const row of await committedRows(log, crashOutput)) {
      const [key = '', sum, count] = row.split(' ');
      last.set(key, `${sum} ${count}`);
    }
    const expected = new Map<string, { sum: number; count: number }>();
    for (const [key, value] of rows()) {
      if (value % 3 === 0) continue;
      const { sum, count } = expected.get(key) ?? { sum: 0, count: 0 };
      expected.set(key, { sum: sum + value, count: count + 1 });
    }
    for (const [key, { sum, count }] of expected) expect(last.get(key)).toBe(`${sum} ${count}`);
  },
);

describe.each(['exactly_once', 'at_least_once'] as const)('%s', (processingGuarantee) => {
  test('[STREAMS-BAD-11] a result that is too large for its topic is dropped alone', async () => {
    const log = await openTestLog();
    const limited = topic('limited', {
      ...{ key: string(), value: string(), config: { maxMessageBytes: 200 } },
    });
    await log.admin().ensureTopic(limited);
    const input = [100, 129, 130, 500, 3].map((value, index) => ['k', value, index] as const);
    await produce(log, crashInput, input);
    const builder = new StreamsBuilder();
    builder
      .stream(crashInput)
      .mapValues((value) => 'x'.repeat(value))
      .to(limited, { name: 'out', onError: 'deadLetter' });
    const app = await runToEnd(log, builder.build(), {
      ...{ ...options, processingGuarantee, logger: silentLogger },
    });
    const isolation = processingGuarantee === 'exactly_once' ? 'read_committed' : undefined;
    const sizes = (await readTopic(log, limited, isolation)).map(({ value }) => value?.length);
    // A batch of one record takes 71 bytes besides the value.
    expect(sizes.slice(-3)).toEqual([100, 129, 3]);
    const found = await readTopic(log, DEAD_LETTERS, 'read_committed');
    expect(found.map((record) => parseDeadLetter(record).code)).toEqual([
      ...['MESSAGE_TOO_LARGE', 'MESSAGE_TOO_LARGE'],
    ]);
    expect(app.metrics().failedRecords).toMatchObject({ deadLettered: 2 });
  });
});

test('[STREAMS-BAD-11] a result that is too large ends the application by default', async () => {
  const log = await openTestLog();
  const config = { maxMessageBytes: 200 };
  const limited = topic('limited', { key: string(), value: string(), config });
  await log.admin().ensureTopic(limited);
  await produce(log, crashInput, [['k', 500, 1]]);
  const builder = new StreamsBuilder();
  builder
    .stream(crashInput)
    .mapValues((value) => 'x'.repeat(value))
    .to(limited);
  const app = makeApp(log, builder.build());
  await app.start();
  expect(await failureOf(app.finish())).toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
});

test.each([
  ['of the log', undefined, { a: [1, 1], b: [-7, 5] }],
  [
    'that a function finds',
    ({ value, timestampMs }: { readonly value: number | null; readonly timestampMs: number }) => {
      if (value !== null && value < 0) throw new RangeError('negative');
      return timestampMs * 10;
    },
    { a: [1, 10], b: [5, 40] },
  ],
])('[STREAMS-BAD-12] a restart keeps the rows of a table: times %s', async (_, timestamp, rows) => {
  const log = await openTestLog();
  const price = (value: number) => serializeToBytes(int64(), value);
  await produce(log, topic('prices', { key: string(), value: bytes() }), [
    ['a', price(1), 1],
    ['a', Buffer.from('bad'), 2],
    ['b', price(-1), 3],
    ['b', price(5), 4],
    ['b', price(-7), 5],
  ]);
  const stateDirs = [temporaryDirectory(), temporaryDirectory()]; // the second one is empty
  for (const [index, stateDir] of stateDirs.entries()) {
    const builder = new StreamsBuilder();
    const prices = topic('prices', { key: string(), value: int64() });
    const table = builder.table(prices, timestamp === undefined ? {} : { timestamp });
    const app = makeApp(log, builder.build(), { ...options, ...deadLettering, stateDir });
    await app.start();
    const rowOf = async (key: string) => {
      const row = await app.store(table).entry(key);
      return [row?.value, row?.timestampMs];
    };
    if (index === 0) await until(async () => (await rowOf('b'))[0] === rows.b[0]);
    expect({ a: await rowOf('a'), b: await rowOf('b') }).toEqual(rows);
    await app.close();
  }
});
