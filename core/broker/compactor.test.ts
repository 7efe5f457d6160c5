import { expect, test } from 'vitest';
import { spansOf } from '../log/log-host.suite.ts';
import type { Logger } from '../logger.ts';
import { batchOf, recordsOf } from '../record/records.suite.ts';
import { seededRandom } from '../random.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Broker } from './broker.ts';
import { readCheckpoint } from './checkpoint-file.ts';

const CHECKPOINT = '/data/cleaner-offset-checkpoint';
const CONFIG = { 'cleanup.policy': 'compact', 'segment.bytes': '1024' };

class Run {
  readonly clock = new ManualClock();
  readonly fileSystem = new MemoryFileSystem();
  readonly lines: string[] = [];
  broker!: Broker;

  async open(): Promise<void> {
    const note = (level: string) => (message: string) =>
      void this.lines.push(`${level} ${message}`);
    const logger: Logger = {
      debug: note('debug'),
      info: note('info'),
      warn: note('warn'),
      error: note('error'),
    };
    const { clock, fileSystem } = this;
    const random = seededRandom(1);
    this.broker = await Broker.open({ directory: '/data', fileSystem, clock, random, logger });
  }

  async write(topic: string, count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      const key = `key ${index % 3}`;
      const records = batchOf([
        { key, value: `${index} `.repeat(20), timestampMs: 1_700_000_000_000 },
      ]);
      const batches = [{ topic, partition: 0, records }];
      const { results } = await this.broker.api.produce({ acks: 'all', batches });
      expect(results[0]?.error).toBeUndefined();
    }
  }

  async read(topic: string): Promise<(string | null)[]> {
    const values: (string | null)[] = [];
    for (let fetchOffset = 0; ;) {
      const { partitions } = await this.broker.api.fetch({
        isolationLevel: 'read_committed',
        maxWaitMs: 0,
        minBytes: 1,
        maxBytes: 1 << 20,
        partitions: [{ topic, partition: 0, fetchOffset, maxBytes: 1 << 20 }],
      });
      const batches = Buffer.from(partitions[0]?.records ?? []);
      if (batches.length === 0) return values;
      values.push(...recordsOf(batches).map(({ key }) => key));
      fetchOffset = spansOf(batches).at(-1)![1] + 1;
    }
  }

  /** Lets the housekeeping have its turns. */
  async wait(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 5000) {
      this.clock.advance(5000);
      for (let turn = 0; turn < 400; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test('[COMPACTION-13] what is due is compacted by itself, and how far is kept', async () => {
  const run = new Run();
  await run.open();
  const topics = [
    { topic: 'compacted', partitions: 1, config: CONFIG },
    { topic: 'other', partitions: 1, config: { 'segment.bytes': '1024' } },
  ];
  await run.broker.api.createTopics({ topics });
  await run.write('compacted', 60);
  await run.write('other', 60);
  await run.wait(40_000);
  expect(run.lines).toHaveLength(1);
  expect(run.lines[0]).toMatch(
    /^debug compacted compacted-0 up to offset \d+: \d+ bytes became \d+/,
  );
  expect((await run.read('compacted')).length).toBeLessThan(15);
  expect(new Set((await run.read('compacted')).slice(-3))).toEqual(
    new Set(['key 0', 'key 1', 'key 2']),
  );
  expect(await run.read('other')).toHaveLength(60);
  const kept = await readCheckpoint(run.fileSystem, CHECKPOINT);
  expect([...kept.keys()]).toEqual(['compacted-0']);

  await run.broker.close();
  await run.open();
  await run.wait(40_000);
  expect(run.lines).toHaveLength(1); // nothing is dirty
  await run.broker.api.deleteTopics({ topics: ['compacted'] });
  expect((await readCheckpoint(run.fileSystem, CHECKPOINT)).size).toBe(0);
  await run.broker.close();
}, 30_000);

test('[COMPACTION-12] of a damaged log a warning says that it is not compacted', async () => {
  const run = new Run();
  await run.open();
  await run.broker.api.createTopics({ topics: [{ topic: 'bad', partitions: 1, config: CONFIG }] });
  await run.write('bad', 60);
  const file = await run.fileSystem.open('/data/bad-0/00000000000000000000.log', 'write');
  await file.write([Buffer.from('x')], 100);
  await file.close();
  await run.wait(60_000);
  expect(run.lines).toHaveLength(1);
  expect(run.lines[0]).toMatch(/^warn bad-0 is not compacted any more .*damaged at byte 0/);
  await run.write('bad', 1);
  await run.broker.close();
}, 30_000);

test.each(['', '0\n2\ncompacted 0 1\n', 'x'])(
  '[COMPACTION-14] a checkpoint of compacted offsets that is damaged (%j) counts for nothing',
  async (content) => {
    const run = new Run();
    await run.fileSystem.makeDirectory('/data');
    await replaceFile(run.fileSystem, CHECKPOINT, Buffer.from(content));
    await run.open();
    await run.broker.api.createTopics({
      topics: [{ topic: 'compacted', partitions: 1, config: CONFIG }],
    });
    await run.write('compacted', 60);
    await run.wait(60_000);
    expect((await run.read('compacted')).length).toBeLessThan(60);
    const cleaned = await readCheckpoint(run.fileSystem, CHECKPOINT);
    expect(cleaned.get('compacted-0')).toBeGreaterThan(0);
    await run.broker.close();
  },
);
