import { join } from 'node:path';
import { expect, test } from 'vitest';
import { int32, json, openLog, string, topic, type Log } from '../core/index.ts';
import { millrace } from '../test/kit/command.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

const orders = topic('orders', { key: string(), value: json<{ total: number }>() });
const numbers = topic('numbers', { key: string(), value: int32(), partitions: 2 });

async function write(log: Log): Promise<void> {
  await log.admin().ensureTopic(orders);
  const producer = log.producer({ transactionalId: 'writer' });
  for (const total of [1, 2, 3]) {
    await producer.transaction(async (tx) => {
      tx.send(orders, { key: `o-${total}`, value: { total }, timestampMs: 0 });
      const offsets = [{ topic: 'orders', partition: 0, offset: total, metadata: '' }];
      await tx.sendOffsets(offsets, 'readers');
    });
  }
  const headers = [{ key: 'from', value: Buffer.from('test') }];
  await log.producer().send(numbers, { key: 'n', value: 7, timestampMs: 0, headers });
}

test('[CLI-9] topics, dump and groups read a log that is in use', async () => {
  await using log = await openLog(temporaryDirectory());
  await write(log);
  const topics = millrace('.', 'topics', log.directory);
  expect(topics).toMatchObject({ code: 0, err: '' });
  expect(topics.out).toMatch(/\norders\n {2}0: offsets 0 to 6, 2 segments, \d+ bytes\n/);

  const dumped = millrace('.', 'dump', log.directory, 'orders', '--from', '2', '--max', '2');
  expect(dumped).toMatchObject({ code: 0, err: '' });
  expect(dumped.out.split('\n')).toEqual([
    'orders-0  2  1970-01-01T00:00:00.000Z  o-2  {"total":2}',
    expect.stringMatching(/^orders-0 {2}3 .*\(COMMIT marker\)$/) as string,
    '',
  ]);
  const lines = millrace('.', 'dump', log.directory, 'numbers', '--json').out.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { offset: 0, key: 'n', value: '0x00000007', headers: [['from', 'test']] },
  ]);

  const groups = millrace('.', 'groups', log.directory, '--json').out.trim().split('\n');
  expect(groups.map((line) => JSON.parse(line) as unknown)).toEqual([
    { groupId: 'readers', topic: 'orders', partition: 0, offset: 3, lag: 3 },
  ]);
}, 60_000);

test('[CLI-9] dump reads ./data if it gets only a topic', async () => {
  const cwd = temporaryDirectory();
  await using log = await openLog(join(cwd, 'data'));
  await write(log);
  const dumped = millrace(cwd, 'dump', 'orders', '--max', '1');
  expect(dumped).toMatchObject({ code: 0, err: '' });
  expect(dumped.out).toMatch(/^orders-0 {2}0 .*{"total":1}\n$/);
  expect(millrace(cwd, 'dump', './data')).toMatchObject({
    code: 2,
    err: expect.stringContaining("missing required argument 'topic'") as string,
  });
  expect(millrace(cwd, 'dump')).toMatchObject({ code: 2 });
}, 60_000);

test('[CLI-9] if a topic does not exist, the error names those that do', async () => {
  await using log = await openLog(temporaryDirectory());
  await write(log);
  const { code, err } = millrace('.', 'dump', log.directory, 'order');
  expect(code).toBe(1);
  expect(err).toMatch(
    /^millrace: there is no topic or partition order; there are .*numbers, orders/,
  );
}, 60_000);
