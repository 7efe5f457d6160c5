/** What does it cost if many groups read one topic at once? Records per second, over all groups. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog, string, topic, type Log } from 'millrace';
import { benchSettings, keep } from './harness.ts';

const GROUPS = [1, 10, 100];
const settings = benchSettings(2_000_000); // of all groups together
const { records } = settings;
const value = 'x'.repeat(100);
const lines = topic('lines', { key: string(), value: string(), partitions: 4 });

async function readAll(log: Log, groupId: string, count: number): Promise<void> {
  const consumer = log.consumer({ groupId, maxPollRecords: 2000 }).subscribe([lines]);
  for (let read = 0; read < count;) {
    for (const record of await consumer.poll()) if (record.value?.length === 100) read++;
  }
  await consumer.close(); // commits
}

console.log('\ngroups that read one topic of 4 partitions at once, 100-byte values');
const figures: { name: string; values: number[] }[] = [];
for (const groups of GROUPS) {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  try {
    await using log = await openLog(directory);
    const count = Math.ceil(records / groups);
    await log.producer({ acks: 1 }).sendAll(
      lines,
      Array.from({ length: count }, (_, index) => ({ value, partition: index % 4 })),
    );
    const start = performance.now();
    const reading = Array.from({ length: groups }, (_, index) => readAll(log, `g${index}`, count));
    await Promise.all(reading);
    const perSecond = ((count * groups) / (performance.now() - start)) * 1000;
    figures.push({ name: `${groups} groups`, values: [perSecond] });
    const rate = `${(perSecond / 1000).toFixed(0)} k/s`;
    console.log(`  ${String(groups).padStart(4)} groups of ${count} records each  ${rate}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
keep(settings, { title: 'groups that read at once', unit: 'per second', figures });
