import { expect, test } from 'vitest';
import { silentLogger } from '../../logger.ts';
import { CODECS } from '../../record/batch.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const TABLE = topic('table', {
  key: string(),
  value: string(),
  config: { cleanupPolicy: 'compact', segmentBytes: 2048, deleteRetentionMs: 0 },
});

/** What a consumer makes of the topic, and how many records that takes. */
async function consume(log: Log): Promise<{ table: Map<string, string>; count: number }> {
  const consumer = log.consumer({ isolationLevel: 'read_committed' }).subscribe([TABLE]);
  const table = new Map<string, string>();
  for (let count = 0; ;) {
    for (const { key, value } of await consumer.poll()) {
      count++;
      if (key === 'end') {
        await consumer.close();
        return { table, count };
      }
      if (value === null) table.delete(key!);
      else table.set(key!, value);
    }
  }
}

test('[COMPACTION-1] consumers get the table that transactions have made', async () => {
  const fileSystem = new MemoryFileSystem();
  const clock = new ManualClock();
  const lines: string[] = [];
  const logger = { ...silentLogger, debug: (line: string) => void lines.push(line) };
  const options = { fileSystem, clock, logger };
  let log = await openLog('/data', options);
  const expected = new Map<string, string>();
  let written = 0;
  for (let round = 0; round < 15; round++) {
    const compressionType = CODECS[round % CODECS.length]!;
    const producer = log.producer({ transactionalId: compressionType, compressionType });
    for (const isAborted of [false, true]) {
      const transaction = producer.transaction((tx) => {
        for (let index = 0; index < 30; index++) {
          const key = `key ${(index * 7 + round) % 40}`;
          const value = index % 9 === 0 ? null : `${round} ${index} ${isAborted}`;
          tx.send(TABLE, { key, value });
          written++;
          if (isAborted) continue;
          if (value === null) expected.delete(key);
          else expected.set(key, value);
        }
        return isAborted ? Promise.reject(new RangeError('no')) : Promise.resolve();
      });
      if (isAborted) await expect(transaction).rejects.toThrow('no');
      else await transaction;
    }
    await producer.close();
    for (const ms of [10_000, 15_000]) {
      clock.advance(ms);
      for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  await log.producer().send(TABLE, { key: 'end', value: '' });
  expect(lines.filter((line) => line.startsWith('compacted table-0'))).not.toEqual([]);
  const { table, count } = await consume(log);
  expect(table).toEqual(expected);
  expect(count).toBeLessThan(written / 2 - 30);
  await log.close();
  log = await openLog('/data', options);
  expect((await consume(log)).table).toEqual(expected);
  await log.close();
});
