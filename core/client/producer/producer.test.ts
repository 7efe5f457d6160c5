import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { errno, FaultyFileSystem } from '../../../test/kit/faulty-fs.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { ProduceRequest } from '../../protocol/broker-api.ts';
import { LogError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { openLog, type OpenLogOptions } from '../open-log.ts';
import { Producer } from './producer.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });
const spread = topic('spread', { key: string(), value: string(), partitions: 4 });

function open(options: OpenLogOptions = {}) {
  return openLog(temporaryDirectory(), { logger: silentLogger, ...options });
}

/** A file system whose disk is full, for the files of one topic, while `isFull` is set. */
function diskFor(topicName: string) {
  const disk = { isFull: false, attempts: 0 };
  const fileSystem = new FaultyFileSystem(({ name, path }) => {
    if (name !== 'write' || !path.includes(`/${topicName}-`) || !path.endsWith('.log')) return;
    disk.attempts++;
    return disk.isFull ? errno('ENOSPC') : undefined;
  });
  return { disk, fileSystem };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

describe('order', () => {
  test('[PRODUCER-1] sends that run at once land in the order of the calls', async () => {
    await using log = await open();
    await using producer = log.producer();
    const sent = await Promise.all(
      numbers(2000).map((value) => producer.send(letters, { key: 'k', value })),
    );
    expect(sent.map(({ offset }) => String(offset))).toEqual(numbers(2000));
    expect(await readValues(log, letters)).toEqual(numbers(2000));
  });

  test('[PRODUCER-1] sends that wait for room are not overtaken', async () => {
    await using log = await open();
    await using producer = log.producer({ bufferMemory: 1024, batchSize: 256 });
    const values = numbers(200).map((value) => value.padEnd(100, '.'));
    const first = values.slice(0, 100).map((value) => producer.send(letters, { value }));
    // Each of these comes at the very moment when one of the first has made room.
    const second = first.map(async (sent, index) => {
      await sent;
      await producer.send(letters, { value: values[100 + index]! });
    });
    await Promise.all(second);
    const read = await readValues(log, letters);
    expect(read.slice(0, 100)).toEqual(values.slice(0, 100));
    expect(read.toSorted()).toEqual(values.toSorted());
  });

  test('[PRODUCER-1] a producer without idempotence keeps the order too', async () => {
    await using log = await open();
    await using producer = log.producer({ enableIdempotence: false, batchSize: 256 });
    await Promise.all(numbers(500).map((value) => producer.send(letters, { value })));
    expect(await readValues(log, letters)).toEqual(numbers(500));
  });
});

describe('acknowledgement', () => {
  /** Holds back the syncs of one topic until told, and counts them. */
  function heldSyncs() {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const fileSystem = new FaultyFileSystem(async ({ name, path }) => {
      if (name === 'sync' && path.includes('/letters-') && path.endsWith('.log')) await released;
      return undefined;
    });
    return { fileSystem, release };
  }

  test('[PRODUCER-2] acks 1 waits for no sync, acks all does', async () => {
    const { fileSystem, release } = heldSyncs();
    await using log = await open({ fileSystem });
    await using quick = log.producer({ acks: 1 });
    await using safe = log.producer({ acks: 'all' });
    expect((await quick.send(letters, { value: 'a' })).offset).toBe(0);
    let isSafe = false;
    const sent = safe.send(letters, { value: 'b' }).then(() => (isSafe = true));
    await quick.send(letters, { value: 'c' });
    expect(isSafe).toBe(false);
    release();
    await sent;
  });

  test('[PRODUCER-2] acks 0 promises nothing and gives no offset', async () => {
    await using log = await open();
    await using producer = log.producer({ acks: 0 });
    expect(await producer.send(letters, { value: 'a' })).toEqual({
      topic: 'letters',
      partition: 0,
      offset: -1,
    });
  });

  test('[PRODUCER-2] with acks 0, what follows a refused batch arrives', async () => {
    await using log = await open();
    await using producer = log.producer({ acks: 0 });
    await producer.send(letters, { value: 'a' });
    await producer.send(letters, { value: 'refused', timestampMs: 2 ** 45 });
    await producer.send(letters, { value: 'b' });
    await log.producer({ acks: 1 }).send(letters, { value: 'c' });
    expect(await readValues(log, letters)).toEqual(['a', 'b', 'c']);
  });

  test('[PRODUCER-2] an option set to undefined has its default: acks stay all', async () => {
    const { fileSystem, release } = heldSyncs();
    await using log = await open({ fileSystem });
    const options = { acks: undefined } as unknown as { acks: 'all' };
    await using producer = log.producer(options);
    let isDone = false;
    const sent = producer.send(letters, { value: 'a' }).then(() => (isDone = true));
    await log.producer({ acks: 1 }).send(letters, { value: 'b' });
    expect(isDone).toBe(false);
    release();
    await sent;
  });
});

describe('retries', () => {
  test('[PRODUCER-3] a full disk delays records; none is lost, moved or repeated', async () => {
    const { disk, fileSystem } = diskFor('letters');
    await using log = await open({ fileSystem });
    await using producer = log.producer({ batchSize: 256, retryBackoffMs: 5 });
    const sent = [producer.send(letters, { value: '0' })];
    await sent[0];
    disk.isFull = true;
    for (const value of numbers(300).slice(1)) sent.push(producer.send(letters, { value }));
    await new Promise((resolve) => setTimeout(resolve, 60));
    disk.isFull = false;
    expect((await Promise.all(sent)).map(({ offset }) => String(offset))).toEqual(numbers(300));
    expect(await readValues(log, letters)).toEqual(numbers(300));
  });

  test('[PRODUCER-3] a flush does not try again faster than the backoff', async () => {
    const { disk, fileSystem } = diskFor('letters');
    await using log = await open({ fileSystem });
    await using producer = log.producer({ retryBackoffMs: 40, retryBackoffMaxMs: 40 });
    await producer.send(letters, { value: 'a' });
    disk.isFull = true;
    disk.attempts = 0;
    const sent = producer.send(letters, { value: 'b' });
    const flushed = producer.flush();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(disk.attempts).toBeGreaterThan(1);
    expect(disk.attempts).toBeLessThan(8);
    disk.isFull = false;
    await Promise.all([sent, flushed]);
  });

  test('[PRODUCER-3] after deliveryTimeoutMs on a full disk a record fails with DISK_FULL', async () => {
    const { disk, fileSystem } = diskFor('letters');
    await using log = await open({ fileSystem });
    const options = { deliveryTimeoutMs: 100, retryBackoffMs: 5, retryBackoffMaxMs: 20 };
    await using producer = log.producer(options);
    await producer.send(letters, { value: 'a' });
    disk.isFull = true;
    const error: unknown = await producer.send(letters, { value: 'b' }).catch((e: unknown) => e);
    expect(LogError.is(error, 'DISK_FULL') && error.retriable).toBe(true);
    expect(String(error)).toMatch(/letters-0 .* deliveryTimeoutMs=100: .*(no space|room|full)/i);
    expect(LogError.is((error as Error).cause, 'DISK_FULL')).toBe(true);
    disk.isFull = false;
    await producer.send(letters, { value: 'c' });
    expect(await readValues(log, letters)).toEqual(['a', 'c']);
  });

  test('[PRODUCER-3] so do all that were under way at once, and none of them arrives', async () => {
    const { disk, fileSystem } = diskFor('letters');
    await using log = await open({ fileSystem });
    const options = { batchSize: 128, deliveryTimeoutMs: 100, retryBackoffMs: 5 };
    await using producer = log.producer({ ...options, retryBackoffMaxMs: 20 });
    await producer.send(letters, { value: 'a' });
    disk.isFull = true;
    const sent: Promise<string>[] = [];
    for (let index = 0; index < 100; index++) {
      sent.push(codeOf(producer.send(letters, { value: String(index).padEnd(60) })));
      if (index % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(new Set(await Promise.all(sent))).toEqual(new Set(['DISK_FULL']));
    disk.isFull = false;
    await producer.send(letters, { value: 'c' });
    expect(await readValues(log, letters)).toEqual(['a', 'c']);
  });

  test('[PRODUCER-3] a disk that is full when the producer begins delays it too', async () => {
    let isFull = true;
    const fileSystem = new FaultyFileSystem(({ name, path }) =>
      isFull && name === 'write' && path.includes('producer-ids') ? errno('ENOSPC') : undefined,
    );
    await using log = await open({ fileSystem });
    await using producer = log.producer({ retryBackoffMs: 5 });
    const sent = producer.send(letters, { value: 'a' });
    setTimeout(() => (isFull = false), 40);
    expect((await sent).offset).toBe(0);
  });

  test('[PRODUCER-3] a disk that stays full at the beginning fails what is late', async () => {
    const fileSystem = new FaultyFileSystem(({ name, path }) =>
      name === 'write' && path.includes('producer-ids') ? errno('ENOSPC') : undefined,
    );
    await using log = await open({ fileSystem });
    const options = { deliveryTimeoutMs: 150, retryBackoffMs: 5, retryBackoffMaxMs: 20 };
    await using producer = log.producer(options);
    const start = performance.now();
    const sent = [codeOf(producer.send(letters, { value: 'a' }))];
    await new Promise((resolve) => setTimeout(resolve, 75));
    sent.push(codeOf(producer.send(spread, { value: 'b', partition: 1 })));
    expect(await sent[0]).toBe('DISK_FULL');
    expect(await sent[1]).toBe('DISK_FULL');
    expect(performance.now() - start).toBeGreaterThan(200); // each had its own time
  });

  test('[PRODUCER-4] a refused batch fails alone; what follows arrives', async () => {
    await using log = await open();
    await using producer = log.producer();
    const results = await Promise.all([
      codeOf(producer.send(letters, { value: 'a' })),
      codeOf(producer.send(spread, { value: 'b', partition: 0 })),
    ]);
    const late = codeOf(producer.send(letters, { value: 'refused', timestampMs: 2 ** 45 }));
    const after = codeOf(producer.send(spread, { value: 'c', partition: 0 }));
    expect([...results, await late, await after]).toEqual([
      'resolved',
      'resolved',
      'INVALID_TIMESTAMP',
      'resolved',
    ]);
    await producer.send(letters, { value: 'd' });
    expect(await readValues(log, letters)).toEqual(['a', 'd']);
    expect(await readValues(log, spread)).toEqual(['b', 'c']);
  });

  test('[PRODUCER-4] batches in flight behind a refused one are sent again, in order', async () => {
    await using log = await open();
    const api = tap(log.api, {
      // One batch a request, so that the broker sees the gap.
      produce: async (request: ProduceRequest) => {
        const answers = request.batches.map((batch) =>
          log.api.produce({ ...request, batches: [batch] }),
        );
        return { results: (await Promise.all(answers)).flatMap(({ results }) => results) };
      },
    });
    await using producer = new Producer(api, { batchSize: 256 });
    await producer.send(letters, { value: 'first' });
    const sent = numbers(40).map((value) =>
      codeOf(
        producer.send(letters, {
          value: value.padEnd(150, '.'),
          ...(value === '7' && { timestampMs: 2 ** 45 }),
        }),
      ),
    );
    const codes = await Promise.all(sent);
    expect(codes.filter((code) => code !== 'resolved')).toEqual(['INVALID_TIMESTAMP']);
    const values = (await readValues(log, letters)).map((value) => value?.replace(/\.+$/, ''));
    expect(values).toEqual(['first', ...numbers(40).filter((value) => value !== '7')]);
  });
});
