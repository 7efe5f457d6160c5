/**
 * How long does a transaction take to commit, by the number of partitions it has written to? The
 * floor writes and syncs as many files by hand, four at a time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytes, openLog, string, topic } from 'millrace';
import { benchSettings, keep } from './harness.ts';

const settings = benchSettings(60);
const COMMITS = settings.isSmoke ? 3 : settings.records;
const PARTITIONS = [1, 16, 64, 256];
const value = Buffer.alloc(1000, 'x');

interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

function latencyOf(milliseconds: readonly number[]): Latency {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

async function commits(directory: string, partitions: number): Promise<Latency> {
  await using log = await openLog(directory);
  const wide = topic('wide', { key: string(), value: bytes(), partitions });
  const producer = log.producer({ transactionalId: 'bench' });
  const places = Array.from({ length: partitions }, (_, index) => index);
  const milliseconds: number[] = [];
  for (let count = -2; count < COMMITS; count++) {
    const transaction = await producer.beginTransaction();
    await transaction.sendAll(
      wide,
      places.map((partition) => ({ value, partition })),
    );
    const start = performance.now();
    await transaction.commit();
    if (count >= 0) milliseconds.push(performance.now() - start);
  }
  return latencyOf(milliseconds);
}

async function floor(directory: string, partitions: number): Promise<Latency> {
  const files = await Promise.all(
    Array.from({ length: partitions }, (_, index) => open(join(directory, String(index)), 'w')),
  );
  const milliseconds: number[] = [];
  for (let count = -2; count < COMMITS; count++) {
    await Promise.all(files.map((file) => file.write(value)));
    const start = performance.now();
    await Promise.all(files.map((file) => file.datasync()));
    if (count >= 0) milliseconds.push(performance.now() - start);
  }
  await Promise.all(files.map((file) => file.close()));
  return latencyOf(milliseconds);
}

console.log(`\ncommit latency by dirty partitions, ${COMMITS} commits each (p50 / p99, ms)`);
const figures: { name: string; values: number[] }[] = [];
for (const partitions of PARTITIONS) {
  const row: string[] = [];
  for (const [name, measure] of Object.entries({ floor, commits })) {
    const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
    try {
      const { p50Ms, p99Ms } = await measure(directory, partitions);
      figures.push({ name: `${name}, ${partitions} partitions, p50`, values: [p50Ms] });
      row.push(`${name} ${p50Ms.toFixed(1).padStart(6)} / ${p99Ms.toFixed(1).padStart(6)}`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  console.log(`  ${String(partitions).padStart(4)} partitions   ${row.join('     ')}`);
}
keep(settings, { title: 'commit by dirty partitions', unit: 'ms', figures });
