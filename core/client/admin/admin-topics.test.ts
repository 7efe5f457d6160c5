import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { adminOf } from '../../../test/kit/port.ts';
import { readValues } from '../../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { LogError } from '../../errors.ts';
import { LOG_CONFIG_DEFAULTS } from '../../log/log-config.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import type { Admin } from './admin.ts';
import type { Consumer } from '../consumer/consumer.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string() });

const open = (directory = temporaryDirectory()) => openLog(directory, { logger: silentLogger });

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('more partitions', () => {
  test('[ADMIN-1] a topic gets more partitions, never fewer, and keeps its records', async () => {
    const directory = temporaryDirectory();
    {
      await using log = await open(directory);
      const admin = adminOf(log);
      await admin.createTopic('letters', { partitions: 2 });
      await log.producer().send(letters, { value: 'a', partition: 1 });
      await admin.createPartitions('letters', 5, { validateOnly: true });
      expect((await admin.describeTopics(['letters']))[0]?.partitions).toBe(2);
      await admin.createPartitions('letters', 5);
      expect(await admin.offsets('letters')).toHaveLength(5);
      for (const count of [5, 4, 0, -1]) {
        const error = await errorOf(admin.createPartitions('letters', count));
        expect(LogError.is(error, 'INVALID_PARTITIONS') && error.details).toEqual({
          topic: 'letters',
          partitions: count,
          existing: 5,
        });
        expect(String(error)).toContain('has 5 partitions');
      }
      expect(await codeOf(admin.createPartitions('letters', 10_001))).toBe('INVALID_PARTITIONS');
      expect(await codeOf(admin.createPartitions('letters', 6.5))).toBe('INVALID_PARTITIONS');
      expect(await codeOf(admin.createPartitions('lettres', 6))).toBe('UNKNOWN_TOPIC_OR_PARTITION');
      await log.producer().send(letters, { value: 'b', partition: 4 });
    }
    await using log = await open(directory);
    const latest = (await adminOf(log).offsets('letters')).map((offsets) => offsets.latest);
    expect(latest).toEqual([0, 1, 0, 0, 1]);
    expect((await readValues(log, letters)).toSorted()).toEqual(['a', 'b']);
  });

  test('[ADMIN-1] internal topics are not changed', async () => {
    await using log = await open();
    await using consumer = log.consumer({ groupId: 'g' }).subscribe([letters]);
    await consumer.poll({ maxWaitMs: 1 });
    const admin = adminOf(log);
    expect(await codeOf(admin.createPartitions('__consumer_offsets', 50))).toBe('INVALID_TOPIC');
    const changed = admin.alterConfigs('__consumer_offsets', { set: { cleanupPolicy: 'delete' } });
    expect(await codeOf(changed)).toBe('INVALID_TOPIC');
  });

  test('[ADMIN-3] consumers read the new partitions: of a group, and of none', async () => {
    await using log = await open();
    await adminOf(log).createTopic('letters', { partitions: 1 });
    const options = { metadataMaxAgeMs: 0, heartbeatIntervalMs: 10, fetchMaxWaitMs: 10 };
    const consumers: Consumer[] = [
      log.consumer({ ...options, groupId: 'g' }).subscribe([letters]),
      log.consumer({ ...options, groupId: 'g' }).subscribe([letters]),
      log.consumer(options).subscribe([letters]),
    ];
    const values: string[][] = consumers.map(() => []);
    let isDone = false;
    const running = consumers.map(async (consumer, index) => {
      while (!isDone) {
        for (const { value } of await consumer.poll({ maxWaitMs: 10 })) {
          values[index]!.push(String(value));
        }
      }
    });
    const shares = () => consumers.map(({ assignment }) => assignment.length);
    await expect.poll(shares).toSatisfy(([a = 0, b = 0, c]: number[]) => a + b === 1 && c === 1);
    await adminOf(log).createPartitions('letters', 4);
    await expect.poll(shares).toEqual([2, 2, 4]);
    for (const partition of [0, 1, 2, 3]) {
      await log.producer().send(letters, { value: String(partition), partition });
    }
    const all = ['0', '1', '2', '3'];
    await expect.poll(() => [...values[0]!, ...values[1]!].toSorted()).toEqual(all);
    await expect.poll(() => values[2]!.toSorted()).toEqual(all);
    isDone = true;
    await Promise.all(running);
    for (const consumer of consumers) await consumer.close();
  });

  test('[ADMIN-3] a producer writes to the new partitions, and to no deleted topic', async () => {
    await using log = await open();
    await adminOf(log).createTopic('letters', { partitions: 1 });
    await using producer = log.producer({ metadataMaxAgeMs: 0 });
    await using slow = log.producer();
    const values = Array.from({ length: 100 }, (_, index) => ({ key: `k${index}`, value: 'a' }));
    await Promise.all(values.map((record) => producer.send(letters, record)));
    await slow.sendAll(letters, values);
    await adminOf(log).createPartitions('letters', 3);
    await Promise.all(values.map((record) => producer.send(letters, record)));
    const ends = async () => (await adminOf(log).offsets('letters')).map(({ latest }) => latest);
    const [first = 0, ...others] = await ends();
    expect(Math.min(...others)).toBeGreaterThan(10);
    expect(first + (others[0] ?? 0) + (others[1] ?? 0)).toBe(300);
    // A look is due once in metadataMaxAgeMs only: until then all goes where it went.
    await slow.sendAll(letters, values);
    expect(await ends()).toEqual([first + 100, ...others]);
    await producer.send(letters, { value: 'there', partition: 2 });
    const named = topic('letters', { key: string(), value: string(), partitions: 1 });
    expect(await codeOf(producer.send(named, { value: 'x' }))).toBe('PARTITION_MISMATCH');
    await adminOf(log).deleteTopics(['letters']);
    expect(await codeOf(producer.send(letters, { value: 'gone' }))).toBe(
      'UNKNOWN_TOPIC_OR_PARTITION',
    );
    expect(await adminOf(log).listTopics()).toEqual([]);
  });
});

describe('settings', () => {
  test('[ADMIN-4] every setting is described, with its default and its source', async () => {
    await using log = await open();
    const admin = adminOf(log);
    await admin.createTopic('letters', { config: { retentionMs: 1000, 'segment.bytes': 2048 } });
    const entries = await admin.describeConfigs('letters');
    expect(entries).toHaveLength(Object.keys(LOG_CONFIG_DEFAULTS).length);
    const names = entries.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)].toSorted());
    for (const entry of entries) {
      expect(entry.documentation.length).toBeGreaterThan(10);
      expect(entry.validValues).not.toBe('');
    }
    const find = (name: string) => entries.find((entry) => entry.name === name);
    expect(find('retention.ms')).toEqual({
      name: 'retention.ms',
      value: '1000',
      defaultValue: '-1',
      source: 'DYNAMIC_TOPIC_CONFIG',
      isDefault: false,
      documentation: 'segments go when their newest record is older, in ms; -1: no limit',
      validValues: 'an integer, -1 or more',
    });
    expect(find('segment.bytes')).toMatchObject({ value: '2048', isDefault: false });
    expect(find('cleanup.policy')).toMatchObject({
      value: 'delete',
      source: 'DEFAULT_CONFIG',
      isDefault: true,
      validValues: '"delete" or "compact" or "compact,delete"',
    });
    expect(await codeOf(admin.describeConfigs('x'))).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  });

  test('[ADMIN-5] settings are set, reset, added to and taken out of', async () => {
    const directory = temporaryDirectory();
    const changed = async (admin: Admin) => {
      const entries = await admin.describeConfigs('letters');
      const own = entries.filter(({ isDefault }) => !isDefault);
      return Object.fromEntries(own.map(({ name, value }) => [name, value]));
    };
    {
      await using log = await open(directory);
      const admin = adminOf(log);
      await admin.createTopic('letters', { config: { retentionMs: 1000, segmentMs: 5 } });
      await admin.alterConfigs('letters', {
        set: { retentionBytes: 10, 'segment.bytes': '4096' },
        delete: ['segmentMs'],
        append: { cleanupPolicy: 'compact' },
      });
      const expected = { 'retention.ms': '1000', 'retention.bytes': '10', 'segment.bytes': '4096' };
      expect(await changed(admin)).toEqual({ ...expected, 'cleanup.policy': 'compact,delete' });
      await admin.alterConfigs('letters', { subtract: { cleanupPolicy: 'delete' } });
      expect(await changed(admin)).toEqual({ ...expected, 'cleanup.policy': 'compact' });
      await admin.alterConfigs('letters', { set: { 'cleanup.policy': 'delete, compact' } });
      await admin.alterConfigs('letters', { set: { retentionMs: 1 }, validateOnly: true });
    }
    await using log = await open(directory);
    expect(await changed(adminOf(log))).toEqual({
      'retention.ms': '1000',
      'retention.bytes': '10',
      'segment.bytes': '4096',
      'cleanup.policy': 'compact,delete',
    });
  });

  test('[ADMIN-5] bad changes change nothing, and the message says what would do', async () => {
    await using log = await open();
    const admin = adminOf(log);
    await admin.createTopic('letters', { config: { minCompactionLagMs: 10 } });
    const before = await admin.describeConfigs('letters');
    const attempts: [Parameters<typeof admin.alterConfigs>[1], string][] = [
      [{ set: { 'retention.mss': 1 } }, 'did you mean retention.ms?'],
      [{ delete: ['cleanup.polcy'] }, 'did you mean cleanup.policy?'],
      [{ set: { retentionMs: -2 } }, 'must be an integer, -1 or more, not "-2"'],
      [{ set: { 'segment.bytes': 'large' } }, 'segment.bytes must be an integer'],
      [{ append: { retentionMs: 1 } }, 'retention.ms is no list'],
      [{ append: { 'cleanup.policy': 'shred' } }, 'not "delete,shred"'],
      [{ subtract: { cleanupPolicy: 'delete' } }, 'cleanup.policy must be'],
      [{ set: { segmentMs: 9 }, delete: ['segment.ms'] }, 'segment.ms is changed twice'],
      [{ set: { maxCompactionLagMs: 9 } }, 'min.compaction.lag.ms (10) must not exceed max'],
      [{ set: { segmentBytes: 2048, maxMessageBytes: 2049 } }, 'must not exceed segment.bytes'],
    ];
    for (const [changes, message] of attempts) {
      const error = await errorOf(admin.alterConfigs('letters', { ...changes }));
      expect([LogError.is(error, 'INVALID_CONFIG'), String(error)]).toEqual([
        true,
        expect.stringContaining(message),
      ]);
      const both = { ...changes, set: { fileDeleteDelayMs: 1, ...changes.set } };
      expect(await codeOf(admin.alterConfigs('letters', both))).toBe('INVALID_CONFIG');
    }
    const unknown = { sett: {} } as object;
    expect(await codeOf(admin.alterConfigs('letters', unknown))).toBe('UNKNOWN_OPTION');
    expect(await admin.describeConfigs('letters')).toEqual(before);
    const created = admin.createTopic('new', {
      config: { minCompactionLagMs: 2, 'max.compaction.lag.ms': 1 },
    });
    expect(await codeOf(created)).toBe('INVALID_CONFIG');
  });

  test('[ADMIN-6] the next append goes by the changed settings', async () => {
    await using log = await open();
    const admin = adminOf(log);
    await using producer = log.producer();
    await producer.send(letters, { value: 'x'.repeat(1000) });
    await admin.alterConfigs('letters', { set: { maxMessageBytes: 500 } });
    expect(await codeOf(producer.send(letters, { value: 'x'.repeat(1000) }))).toBe(
      'MESSAGE_TOO_LARGE',
    );
    await admin.alterConfigs('letters', { delete: ['maxMessageBytes'] });
    await producer.send(letters, { value: 'x'.repeat(1000) });
    await admin.createPartitions('letters', 2);
    await admin.alterConfigs('letters', { set: { maxMessageBytes: 500 } });
    const large = { value: 'x'.repeat(1000), partition: 1 };
    expect(await codeOf(log.producer().send(letters, large))).toBe('MESSAGE_TOO_LARGE');
  });
});

describe('the disk', () => {
  test('[ADMIN-17] partitions are listed with the bytes that they take', async () => {
    const directory = temporaryDirectory();
    await using log = await open(directory);
    await adminOf(log).createTopic('letters', { partitions: 2 });
    await log.producer().send(letters, { value: 'x'.repeat(1000), partition: 1 });
    await adminOf(log).createTopic('others');
    const [found, ...more] = await adminOf(log).describeLogDirs(['letters']);
    expect(more).toEqual([]);
    expect(found?.path).toBe(directory);
    expect(found?.partitions.map(({ partition }) => partition)).toEqual([0, 1]);
    const copy = { offsetLag: 0, isFuture: false }; // as Kafka has it
    expect(found?.partitions[0]).toEqual({ topic: 'letters', partition: 0, sizeBytes: 0, ...copy });
    expect(found?.partitions[1]?.sizeBytes).toBeGreaterThan(1000);
    expect((await adminOf(log).describeLogDirs())[0]?.partitions).toHaveLength(3);
  });
});
