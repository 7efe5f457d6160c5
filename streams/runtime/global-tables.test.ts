import { describe, expect, test } from 'vitest';
import { json, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { ErrorAction, ErrorHandler, RecordFailure } from '../topology/record-errors.ts';

const prices = topic('prices', { key: string(), value: json<number>(), partitions: 1 });
const rawPrices = topic('prices', { key: string(), value: string(), partitions: 1 });
const input = topic('input', { key: string(), value: string() });
const output = topic('output', { key: string(), value: string() });

async function application(log: Log, onDeserializationError?: ErrorAction | ErrorHandler) {
  const builder = new StreamsBuilder();
  const table = builder.globalTable(prices, { store: 'priced' });
  builder
    .stream(input, { nullKeys: 'fail' })
    .join(
      table,
      ({ key }) => key,
      (value, price) => `${value} ${price}`,
    )
    .to(output);
  await produce(log, rawPrices, [
    ['a', '1', 0],
    ['b', '{', 1],
    ['c', '3', 2],
  ]);
  const app = makeApp(log, builder.build(), {
    logger: silentLogger,
    ...(onDeserializationError !== undefined && { onDeserializationError }),
  });
  return { app, table };
}

describe('[STREAMS-BAD-15] a record that a global table cannot read', () => {
  test('ends the application by default, which names it', async () => {
    const { app } = await application(await openTestLog());
    await expect(app.start()).rejects.toMatchObject({
      code: 'DESERIALIZATION_FAILED',
      details: { topic: 'prices', partition: 0, offset: 1, field: 'value' },
    });
    expect(app.state).toBe('ERROR');
  });

  test.each<[ErrorAction]>([['skip'], ['deadLetter'], [{ retry: 3, then: 'skip' }]])(
    'is passed over and counted, also one that comes later: %j',
    async (onError) => {
      const log = await openTestLog();
      const { app, table } = await application(log, onError);
      await app.start();
      const store = app.store(table);
      expect([await store.get('a'), await store.get('b'), await store.get('c')]).toEqual([
        ...[1, undefined, 3],
      ]);
      await produce(log, rawPrices, [
        ['d', '[', 3],
        ['e', '5', 4],
      ]);
      await until(async () => (await store.get('e')) === 5);
      expect(app.metrics().failedByNode).toEqual({
        priced: { skipped: 2, deadLettered: 0, retried: 0 },
      });
    },
  );

  test('is handled as a function says that gets its bytes', async () => {
    const seen: RecordFailure[] = [];
    const { app, table } = await application(await openTestLog(), (failure) => {
      seen.push(failure);
      return 'skip';
    });
    await app.start();
    expect(await app.store(table).get('c')).toBe(3);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({
      ...{ stage: 'deserialization', node: 'priced', taskId: 'global' },
      ...{ topic: 'prices', partition: 0, offset: 1, timestampMs: 1 },
      ...{ rawKey: Buffer.from('b'), rawValue: Buffer.from('{') },
    });
  });
});
