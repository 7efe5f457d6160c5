import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { readTopic, readValues } from '../../../test/kit/read-topic.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { ProduceRequest } from '../../protocol/broker-api.ts';
import { systemClock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { seededRandom } from '../../random.ts';
import { json, string } from '../../serde/text.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { PRODUCER_DEFAULTS, type ProducerOptions } from './producer-options.ts';
import { ProducerSession } from './producer-session.ts';
import { Sender } from './sender.ts';
import { Producer } from './producer.ts';
import { topic } from '../topic.ts';
import { TopicWriter } from './topic-writer.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });
const spread = topic('spread', { key: string(), value: string(), partitions: 4 });
const objects = topic('objects', { key: string(), value: json<unknown>(), partitions: 1 });

const open = () => openLog(temporaryDirectory(), { logger: silentLogger });

/** A producer that knows its topics, and whose requests wait until they are let through. */
async function slowProducer(log: Log, options: ProducerOptions, clock?: ManualClock) {
  const requests: { request: ProduceRequest; go: () => void }[] = [];
  const api = tap(log.api, {
    produce: async (request) => {
      await new Promise<void>((resolve) => requests.push({ request, go: resolve }));
      return log.api.produce(request);
    },
  });
  // Without idempotence, so that there is no identity to wait for.
  const all = { enableIdempotence: false, ...options };
  const producer = new Producer(api, all, clock === undefined ? {} : { clock });
  for (const each of [letters, spread]) await producer.writer(each);
  return { producer, requests };
}

/** Lets everything happen that waits for nothing but the machine. */
const turns = async (count = 20) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe('flush', () => {
  test('[PRODUCER-5] flush waits for what was sent before, not for what follows', async () => {
    await using log = await open();
    const { producer, requests } = await slowProducer(log, { batchSize: 256 });
    const before = producer.send(letters, { value: 'before' });
    await turns();
    let isFlushed = false;
    const flushed = producer.flush().then(() => (isFlushed = true));
    await turns();
    expect(isFlushed).toBe(false);
    const after = producer.send(letters, { value: 'after'.padEnd(300, '.') });
    requests.shift()!.go();
    await before;
    await flushed;
    await turns();
    requests.shift()!.go();
    await after;
  });

  test('[PRODUCER-5] flush under a constant load comes to an end', async () => {
    await using log = await open();
    await using producer = log.producer();
    let isDone = false;
    const load = Array.from({ length: 2 }, async () => {
      while (!isDone)
        await Promise.all(['a', 'b'].map((value) => producer.send(letters, { value })));
    });
    await turns(20);
    expect(await producer.sendAll(letters, [{ value: 'c' }, { value: 'd' }])).toBe(2);
    isDone = true;
    await Promise.all(load);
  });

  test('[PRODUCER-5] flush waits for a send whose topic is being looked up', async () => {
    await using log = await open();
    await using producer = log.producer();
    let isSent = false;
    void producer.send(letters, { value: 'a' }).then(() => (isSent = true));
    await producer.flush();
    await turns(1);
    expect(isSent).toBe(true);
  });

  test('[PRODUCER-5] flush of nothing, and after a failure, comes to an end', async () => {
    await using log = await open();
    await using producer = log.producer();
    await producer.flush();
    const refused = codeOf(producer.send(letters, { value: 'a', timestampMs: 2 ** 45 }));
    await producer.flush();
    expect(await refused).toBe('INVALID_TIMESTAMP');
  });
});

describe('the buffer', () => {
  test('[PRODUCER-6] without room for maxBlockMs, send fails with BUFFER_EXHAUSTED', async () => {
    await using log = await open();
    const clock = new ManualClock();
    const options = { bufferMemory: 1024, batchSize: 1024, maxBlockMs: 500 };
    const { producer, requests } = await slowProducer(log, options, clock);
    const first = producer.send(letters, { value: 'a' });
    await turns();
    const blocked = [1, 2, 3].map(() => codeOf(producer.send(letters, { value: 'b' })));
    await turns();
    clock.advance(499);
    const patient = producer.send(letters, { value: 'c' });
    await turns();
    clock.advance(1);
    expect(await Promise.all(blocked)).toEqual(Array(3).fill('BUFFER_EXHAUSTED'));
    requests.shift()!.go();
    await first;
    await turns();
    requests.shift()!.go();
    expect((await patient).offset).toBe(1);
    expect(await readValues(log, letters)).toEqual(['a', 'c']);
  });

  test('[PRODUCER-6] the memory of failed, aborted and empty batches is given back', async () => {
    await using log = await open();
    const options = { bufferMemory: 4096, batchSize: 1024, maxRequestSize: 2048, maxBlockMs: 1000 };
    await using producer = log.producer({ ...options, transactionalId: 'memory' });
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    for (let round = 0; round < 10; round++) {
      expect(await codeOf(producer.send(objects, { value: circle }))).toBe('SERIALIZATION_FAILED');
      const large = producer.send(letters, { value: 'x'.repeat(3000) });
      expect(await codeOf(large)).toBe('MESSAGE_TOO_LARGE');
      const refused = producer.send(letters, { value: 'a', timestampMs: 2 ** 45 });
      expect(await codeOf(refused)).toBe('INVALID_TIMESTAMP');
      const aborted = producer.transaction(async (tx) => {
        await tx.sendAll(letters, [{ value: 'x'.repeat(1500) }, { value: 'y' }]);
        const writer = await tx.writer(objects);
        expect(() => writer.write(null, circle)).toThrow(LogError);
        throw new TypeError('enough');
      });
      await expect(aborted).rejects.toThrow('enough');
      expect(producer.isFull).toBe(false);
    }
    await producer.sendAll(letters, Array(20).fill({ value: 'z'.repeat(500) }));
  });

  test('[PRODUCER-6] a thousand partitions take only what their records need', async () => {
    await using log = await open();
    const wide = topic('wide', { key: string(), value: string(), partitions: 1000 });
    await using producer = log.producer({ batchSize: 128 * 1024, bufferMemory: 2 * 1024 * 1024 });
    const writer = await producer.writer(wide);
    for (let partition = 0; partition < 1000; partition++) {
      writer.write(null, String(partition), 0, [], partition);
    }
    expect(producer.metrics().bufferUsedBytes).toBeLessThanOrEqual(1024 * 1000);
    expect(producer.isFull).toBe(false);
    writer.write(null, 'x'.repeat(5_000), 0, [], 999);
    await producer.flush();
    expect(producer.metrics().bufferUsedBytes).toBe(0);
    expect(producer.metrics()).toMatchObject({ recordSendTotal: 1001, batchTotal: 1000 });
  });

  test('[PRODUCER-6] sendAll writes far more than the buffer holds', async () => {
    await using log = await open();
    await using producer = log.producer({ bufferMemory: 4096, batchSize: 512 });
    const records = Array.from({ length: 3000 }, (_, index) => ({ value: String(index) }));
    expect(await producer.sendAll(letters, records)).toBe(3000);
    expect(await readValues(log, letters)).toEqual(records.map(({ value }) => value));
  });
});

describe('linger', () => {
  const options = { lingerMs: 1000, batchSize: 512 };

  test('[PRODUCER-7] a batch waits lingerMs for more', async () => {
    await using log = await open();
    const clock = new ManualClock();
    const { producer, requests } = await slowProducer(log, options, clock);
    const sent = [producer.send(letters, { value: 'a' }), producer.send(letters, { value: 'b' })];
    await turns();
    clock.advance(999);
    await turns();
    expect(requests).toHaveLength(0);
    clock.advance(1);
    await turns();
    expect(requests).toHaveLength(1);
    requests[0]!.go();
    expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual([0, 1]);
  });

  test('[PRODUCER-7] a full batch, a flush and a full buffer do not wait for it', async () => {
    await using log = await open();
    const full = await slowProducer(log, options, new ManualClock());
    for (const value of ['a', 'b']) void full.producer.send(letters, { value: value.repeat(300) });
    const flushed = await slowProducer(log, options, new ManualClock());
    void flushed.producer.send(letters, { value: 'c' });
    await turns();
    void flushed.producer.flush();
    const exhausted = await slowProducer(
      log,
      { ...options, bufferMemory: 1024 },
      new ManualClock(),
    );
    for (const value of 'defgh') void exhausted.producer.send(spread, { value, key: value });
    await turns();
    for (const { requests } of [full, flushed, exhausted]) {
      expect(requests).toHaveLength(1);
      requests[0]!.go();
    }
    await turns(20);
  });
});

describe('partitions', () => {
  test('[PRODUCER-8] the partition: as given, by the partitioner, by the key', async () => {
    await using log = await open();
    await using plain = log.producer();
    const own = log.producer({ partitioner: ({ keyBytes }) => (keyBytes?.[0] ?? 0) % 4 });
    const given = await plain.send(spread, { key: 'abc', value: 'v', partition: 3 });
    expect(given.partition).toBe(3);
    // murmur2('abc') = 479470107 (reference vectors in partitioner.test.ts)
    expect((await plain.send(spread, { key: 'abc', value: 'v' })).partition).toBe(479470107 % 4);
    expect((await own.send(spread, { key: 'a', value: 'v' })).partition).toBe(97 % 4);
    for (const partition of [-1, 4, 0.5, NaN]) {
      const sent = plain.send(spread, { value: 'v', partition });
      expect(await codeOf(sent)).toBe('INVALID_PARTITIONS');
    }
  });
});

describe('what cannot be sent', () => {
  test('[PRODUCER-9] a record that cannot be written fails alone', async () => {
    await using log = await open();
    await using producer = log.producer({ maxRequestSize: 1024 });
    const results = [
      producer.send(letters, { value: 'a' }),
      producer.send(letters, { value: 1 as unknown as string }),
      producer.send(letters, { key: 2 as unknown as string, value: 'k' }),
      producer.send(letters, { value: 'x'.repeat(2000) }),
      producer.send(letters, { key: 'x'.repeat(5000), value: 'k' }),
      producer.send(letters, { value: 'b', timestampMs: Number.NaN }),
      producer.send(letters, { value: 'c' }),
    ];
    expect(await Promise.all(results.map(codeOf))).toEqual([
      'resolved',
      'SERIALIZATION_FAILED',
      'SERIALIZATION_FAILED',
      'MESSAGE_TOO_LARGE',
      'MESSAGE_TOO_LARGE',
      'INVALID_TIMESTAMP',
      'resolved',
    ]);
    expect(await readValues(log, letters)).toEqual(['a', 'c']);
  });

  test('[PRODUCER-9] a record without a key is refused by a compacted topic', async () => {
    await using log = await open();
    const config = { cleanupPolicy: 'compact' } as const;
    const latest = topic('latest', { key: string(), value: string(), partitions: 1, config });
    await using producer = log.producer();
    expect(await codeOf(producer.send(latest, { value: 'a' }))).toBe('INVALID_RECORD');
    expect((await producer.send(latest, { key: 'k', value: 'b' })).offset).toBe(0);
  });

  test.each(['', '.', '..', 'a/b', 'ä', 'x'.repeat(250)])(
    '[PRODUCER-9] %j is no name of a topic',
    async (name) => {
      await using log = await open();
      await using producer = log.producer();
      const illegal = { ...letters, name };
      expect(await codeOf(producer.send(illegal, { value: 'a' }))).toBe('INVALID_TOPIC');
      expect(await codeOf(producer.sendAll(illegal, []))).toBe('INVALID_TOPIC');
      expect(await codeOf(producer.partitionsFor(illegal))).toBe('INVALID_TOPIC');
      expect(() => topic(name, { key: string(), value: string() })).toThrow(
        expect.objectContaining({ code: 'INVALID_TOPIC' }),
      );
      expect((await producer.send(letters, { value: 'b' })).offset).toBe(0);
    },
  );

  test('[PRODUCER-9] a batch that cannot be compressed fails alone', async () => {
    await using log = await open();
    const sender = new Sender({
      ...PRODUCER_DEFAULTS,
      api: log.api,
      clock: systemClock,
      codec: 'gzip',
      level: 42, // there is none such
      session: new ProducerSession({
        ...PRODUCER_DEFAULTS,
        api: log.api,
        isIdempotent: true,
        transactionalId: undefined,
      }),
    });
    const failing = async (name: string) => {
      const found = topic(name, { key: string(), value: string(), partitions: 1 });
      await log.admin().createTopic(name, { partitions: 1 });
      const writer = new TopicWriter(found, 1, sender, {
        ...PRODUCER_DEFAULTS,
        clock: systemClock,
        random: seededRandom(1),
        interceptors: undefined,
      });
      const batch = writer.write('k', 'v');
      return new Promise<unknown>((resolve, reject) => batch.awaitNewest(reject, resolve));
    };
    const failures = Promise.all([failing('one'), failing('two')]);
    await failures.then((errors) => {
      for (const error of errors) expect(LogError.is(error, 'UNKNOWN_SERVER_ERROR')).toBe(true);
    });
    await sender.flush();
    expect(sender.metrics).toMatchObject({ recordErrorTotal: 2, bufferUsedBytes: 0 });
  });

  test('[PRODUCER-9] an error of the partitioner reaches the caller', async () => {
    await using log = await open();
    const partitioner = () => {
      throw new RangeError('no such region');
    };
    await using producer = log.producer({ partitioner });
    await expect(producer.send(spread, { value: 'a' })).rejects.toThrow('no such region');
  });

  test('[PRODUCER-10] sendAll tells of a failure among its records', async () => {
    await using log = await open();
    await using producer = log.producer();
    const records = [{ value: 'a' }, { value: 'b', timestampMs: 2 ** 45 }];
    expect(await codeOf(producer.sendAll(letters, records))).toBe('INVALID_TIMESTAMP');
    async function* endless() {
      yield { value: 'c' };
      throw new TypeError('the source broke');
    }
    await expect(producer.sendAll(letters, endless())).rejects.toThrow('the source broke');
    await producer.flush();
    expect(await readValues(log, letters)).toEqual(['c']);
  });
});

describe('close', () => {
  test('[PRODUCER-11] close sends what waits; afterwards everything is refused', async () => {
    await using log = await open();
    const producer = log.producer({ lingerMs: 60_000 });
    const sent = producer.send(letters, { value: 'a' });
    await turns();
    await Promise.all([producer.close(), producer.close()]);
    expect((await sent).offset).toBe(0);
    expect(await codeOf(producer.send(letters, { value: 'b' }))).toBe('CLOSED');
    expect(await codeOf(producer.sendAll(letters, []))).toBe('CLOSED');
  });

  test('[PRODUCER-11] after the log is closed, sends fail and closing does not', async () => {
    const log = await open();
    const producer = log.producer();
    await producer.send(letters, { value: 'a' });
    await log.close();
    expect(await codeOf(producer.send(letters, { value: 'b' }))).toBe('CLOSED');
    await producer.close();
  });

  test('[PRODUCER-11] a topic that is deleted fails its records, not the producer', async () => {
    await using log = await open();
    await using producer = log.producer();
    await producer.send(letters, { value: 'a' });
    const sends = Array.from({ length: 20 }, () => codeOf(producer.send(letters, { value: 'b' })));
    await log.admin().deleteTopics(['letters']);
    for (const code of await Promise.all(sends)) {
      expect(['resolved', 'UNKNOWN_TOPIC_OR_PARTITION']).toContain(code);
    }
    const late = producer.send(letters, { value: 'c' });
    expect(await codeOf(late)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect((await producer.send(spread, { value: 'd' })).offset).toBe(0);
  });
});

test('[PRODUCER-12] an unknown or wrong option names what was meant', async () => {
  await using log = await open();
  const unknown = () => log.producer({ linger: 5 } as unknown as ProducerOptions);
  expect(unknown).toThrow('did you mean lingerMs?');
  expect(() => log.producer({ acks: 2 as 1 })).toThrow('acks must be 0 or 1 or "all", not 2');
  expect(() => log.producer({ maxInFlight: 6 })).toThrow('an integer, 1 to 5');
  const partitioner = 'roundrobin' as 'round_robin';
  expect(() => log.producer({ partitioner })).toThrow('or "uniform_sticky" or a function');
  const interceptors = [null] as unknown as [];
  expect(() => log.producer({ interceptors })).toThrow('a list of interceptors');
});

test.each<[ProducerOptions, string]>([
  [{ lingerMs: 200, deliveryTimeoutMs: 100 }, 'deliveryTimeoutMs must be lingerMs (200) or more'],
  [{ transactionalId: 't', enableIdempotence: false }, 'enableIdempotence must be true with'],
  [{ transactionalId: 't', acks: 0 }, 'acks must be 1 or "all" with a transactionalId'],
  [{ enableIdempotence: true, acks: 0 }, 'acks must be 1 or "all"'],
])('[PRODUCER-12] options that do not go together: %j', async (options, message) => {
  await using log = await open();
  const make = () => log.producer(options);
  expect(make).toThrow(message);
  expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
});

test('[PRODUCER-13] read as written: nulls, headers, times, compression', async () => {
  await using log = await open();
  await using producer = log.producer({ compressionType: 'gzip', batchSize: 300 });
  const headers = [
    { key: 'ä', value: Buffer.from([1, 2]) },
    { key: '', value: null },
  ];
  const written = Array.from({ length: 50 }, (_, index) => ({
    key: index % 3 === 0 ? null : `k${index}`,
    value: index % 4 === 0 ? null : 'v'.repeat(index * 7),
    timestampMs: 1_600_000_000_000 + index * (index % 2 === 0 ? 1 : -1000),
    headers: index % 5 === 0 ? headers : [],
  }));
  await producer.sendAll(letters, written);
  const read = await readTopic(log, letters);
  const plain = read.map(({ key, value, timestampMs, headers: found }) => ({
    key,
    value,
    timestampMs,
    headers: found.map((header) => ({
      key: header.key,
      value: header.value === null ? null : Buffer.from(header.value),
    })),
  }));
  expect(plain).toEqual(written);
});
