import { describe, expect, test } from 'vitest';
import {
  bytes,
  int64,
  LogError,
  openLog,
  replayDeadLetters,
  seededRandom,
  silentLogger,
  string,
  topic,
  type Log,
  type PlacedLetter,
} from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { failureOf } from '../../test/kit/connect.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { openDisk, WAYS_TO_STOP } from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';

const numbers = topic('numbers', { key: string(), value: int64(), partitions: 3 });
const DEAD_LETTERS = 'app-dead-letters';

/** Fails for negative numbers at one node, and for odd ones at another. */
function topology(): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers);
  stream.foreach(
    ({ value }) => {
      if (value < 0) throw new RangeError('negative');
    },
    { name: 'sign' },
  );
  stream.foreach(
    ({ value }) => {
      if (value % 2 !== 0) throw new TypeError('odd');
    },
    { name: 'parity' },
  );
  return builder.build();
}

/** Makes dead letters of -3 (two), -2, 1 and 3. */
async function fail(log: Log): Promise<void> {
  const headers = [{ key: 'trace', value: Buffer.from('t') }];
  await using producer = log.producer();
  for (const value of [-3, -2, 1, 2, 3]) {
    const timestampMs = 100 + value;
    await producer.send(numbers, { key: `k${value}`, value, timestampMs, headers });
  }
  await runToEnd(log, topology(), {
    ...{ onProcessingError: 'deadLetter', logger: silentLogger, commitIntervalMs: 1 },
    stateDir: temporaryDirectory(),
  });
}

/** `key value @time partition headers`, of what was sent to `numbers` after the first five. */
async function sent(log: Log): Promise<string[]> {
  const all = await readTopic(log, numbers, 'read_committed');
  const lines = all.map(({ key, value, timestampMs, partition, headers }) => {
    return `${key} ${value} @${timestampMs} ${partition} ${headers.map((h) => h.key).join()}`;
  });
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts].flatMap(([line, count]) => Array<string>(count - 1).fill(line)).sort();
}

describe('[STREAMS-BAD-9] replayed dead letters', () => {
  test('are sent back as they were read, to their partition, once', async () => {
    const log = await openTestLog();
    await fail(log);
    const seen: PlacedLetter[] = [];
    const onLetter = (letter: PlacedLetter): void => void seen.push(letter);
    expect(await replayDeadLetters(log, DEAD_LETTERS, { onLetter })).toEqual({
      ...{ replayed: 5, replayedBefore: 0, leftOut: 0 },
    });
    const lines = (await sent(log)).map((line) => line.replace(/ \d trace/, ' trace'));
    expect(lines).toEqual([
      ...['k-2 -2 @98 trace', 'k-3 -3 @97 trace', 'k-3 -3 @97 trace'],
      ...['k1 1 @101 trace', 'k3 3 @103 trace'],
    ]);
    expect(seen.map(({ node }) => node).sort()).toEqual([
      ...['parity', 'parity', 'parity', 'sign', 'sign'],
    ]);
    expect(await replayDeadLetters(log, DEAD_LETTERS)).toEqual({
      ...{ replayed: 0, replayedBefore: 5, leftOut: 0 },
    });
    expect(await sent(log)).toHaveLength(5);
    const groupId = 'another';
    expect(await replayDeadLetters(log, DEAD_LETTERS, { groupId })).toMatchObject({ replayed: 5 });
    expect(await sent(log)).toHaveLength(10);
  });

  test('are chosen by node, error and offset; the others can be replayed later', async () => {
    const log = await openTestLog();
    await fail(log);
    const replay = (options: object): Promise<unknown> =>
      replayDeadLetters(log, DEAD_LETTERS, options);
    expect(await replay({ node: 'sign', dryRun: true })).toMatchObject({ replayed: 2 });
    expect(await sent(log)).toEqual([]);
    expect(await replay({ node: 'sign' })).toMatchObject({ replayed: 2, replayedBefore: 0 });
    expect(await replay({ error: 'TypeError', to: 2 })).toMatchObject({ replayedBefore: 0 });
    expect(await replay({ node: 'sign', dryRun: true })).toMatchObject({ replayedBefore: 2 });
    await replay({ error: 'NONE' });
    expect(await replay({})).toMatchObject({ leftOut: 0 });
    expect(await sent(log)).toHaveLength(5);
    expect(await replay({})).toMatchObject({ replayed: 0, replayedBefore: 5 });
  });

  test('stay if they cannot be sent back', async () => {
    const log = await openTestLog();
    const gone = topic('gone', { key: string(), value: int64() });
    await produce(log, gone, [['a', 1, 1]]);
    const builder = new StreamsBuilder();
    builder
      .stream(gone)
      .groupByKey()
      .count({ store: 'counts' })
      .toStream()
      .foreach(
        () => {
          throw new RangeError('always');
        },
        { name: 'result' },
      );
    builder.stream(numbers).foreach(() => {
      throw new RangeError('always');
    });
    await produce(log, numbers, [['b', 2, 2]]);
    await runToEnd(log, builder.build(), {
      ...{ onProcessingError: 'deadLetter', logger: silentLogger },
    });
    const reasons: string[] = [];
    const onLeftOut = (_: unknown, reason: string): void => void reasons.push(reason);
    expect(await replayDeadLetters(log, DEAD_LETTERS, { onLeftOut })).toEqual({
      ...{ replayed: 1, replayedBefore: 0, leftOut: 1 },
    });
    expect(reasons).toEqual(['it comes of no single record']);
  });

  test('options and the topic are checked', async () => {
    const log = await openTestLog();
    expect(await failureOf(replayDeadLetters(log, 'none'))).toMatchObject({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
    });
    expect((await log.api.metadata({})).topics.map((each) => each.topic)).not.toContain('none');
    const options = { nod: 'x' } as object;
    expect(await failureOf(replayDeadLetters(log, 'none', options))).toMatchObject({
      code: 'UNKNOWN_OPTION',
    });
  });

  test('with too many gaps end the call before anything is sent twice', async () => {
    const log = await openTestLog();
    const letters = topic('many', { key: bytes(), value: bytes() });
    await log.admin().ensureTopic(numbers);
    await using producer = log.producer();
    const value = Buffer.alloc(8);
    for (let index = 0; index < 2_600; index++) {
      const fields = { exception: 'E', topic: 'numbers', partition: '0', offset: '1' };
      const named = { ...fields, node: index % 2 === 0 ? 'even' : 'odd' };
      const headers = Object.entries(named).map(([name, text]) => {
        return { key: `__streams.errors.${name}`, value: Buffer.from(text) };
      });
      void producer.send(letters, { key: Buffer.from('k'), value, timestampMs: 1, headers });
    }
    await producer.flush();
    const failure = await failureOf(replayDeadLetters(log, 'many', { node: 'odd' }));
    expect(failure).toMatchObject({ code: 'OFFSET_METADATA_TOO_LARGE' });
    const all = await replayDeadLetters(log, 'many');
    const count = (await readTopic(log, numbers, 'read_committed')).length;
    expect(count).toBe(2_600);
    expect(all.replayed + all.replayedBefore).toBe(2_600);
  }, 30_000);
});

test.each(WAYS_TO_STOP)(
  `[STREAMS-BAD-9] a replay that is interrupted and repeated sends each once: %s, seed ${SEED}`,
  async (_, stop) => {
    const random = seededRandom(SEED);
    const disk = new MemoryFileSystem({ random: seededRandom(SEED) });
    const log = await openDisk(disk);
    await fail(log);
    const moments: MemoryFileSystem[] = [];
    let count = 0;
    disk.onOperation = () => {
      if (++count % 3 === 0) moments.push(stop(disk, random));
    };
    await replayDeadLetters(log, DEAD_LETTERS);
    disk.onOperation = undefined;
    const expected = await sent(log);
    expect(expected).toHaveLength(5);
    expect(moments.length).toBeGreaterThan(5);
    for (const moment of moments) {
      const reopened = await openLog('/data', { fileSystem: moment, logger: silentLogger });
      await replayDeadLetters(reopened, DEAD_LETTERS);
      expect(await sent(reopened)).toEqual(expected);
      await reopened.close();
    }
  },
  30_000,
);

test('[STREAMS-BAD-9] one replay of a group at a time: another one fences it', async () => {
  const log = await openTestLog();
  await fail(log);
  const results = await Promise.allSettled([
    replayDeadLetters(log, DEAD_LETTERS),
    replayDeadLetters(log, DEAD_LETTERS),
  ]);
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(LogError);
  }
  await replayDeadLetters(log, DEAD_LETTERS);
  expect(await sent(log)).toHaveLength(5);
});
