/**
 * How long does opening a log take after a crash, by its size and by its number of partitions? And
 * how much memory does it then hold? A child process writes and kills itself; another opens.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytes, openLog, string, topic } from 'millrace';
import { benchSettings, keep } from './harness.ts';

const GIB = 1024 ** 3;
const file = fileURLToPath(import.meta.url);
const figures: { name: string; values: number[] }[] = [];
const [, , role, directory = '', ...numbers] = process.argv;

interface Opened {
  readonly milliseconds: number;
  readonly residentMb: number;
  readonly records: number;
}

if (role === '--write') await writeAndDie(Number(numbers[0]), Number(numbers[1]));
else if (role === '--open') await openAndTell();
else await measureAll();

/** Fills a topic with `sizeBytes`, then dies as a killed process does. */
async function writeAndDie(partitions: number, sizeBytes: number): Promise<void> {
  const log = await openLog(directory);
  const filled = topic('filled', { key: string(), value: bytes(), partitions });
  const value = Buffer.alloc(Math.min(100_000, Math.ceil(sizeBytes / partitions)), 'x');
  const producer = log.producer({ acks: 1, lingerMs: 0, batchSize: 1_000_000 });
  for (let written = 0; written < sizeBytes;) {
    const records = Array.from({ length: Math.max(partitions, 100) }, (_, index) => {
      return { value, partition: index % partitions };
    });
    written += records.length * value.length;
    await producer.sendAll(filled, records);
  }
  process.kill(process.pid, 'SIGKILL');
}

async function openAndTell(): Promise<void> {
  const start = performance.now();
  const log = await openLog(directory);
  const milliseconds = performance.now() - start;
  const residentMb = process.memoryUsage.rss() / 1024 ** 2;
  const offsets = await log.admin().offsets('filled');
  const records = offsets.reduce((sum, { earliest, latest }) => sum + latest - earliest, 0);
  await log.close();
  const opened: Opened = { milliseconds, residentMb, records };
  process.send?.(opened);
}

function inChild(...args: readonly string[]): Promise<Opened | undefined> {
  const child = fork(file, args);
  let told: Opened | undefined;
  child.on('message', (message) => (told = message as Opened));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => resolve(told));
  });
}

async function measure(title: string, partitions: number, sizeBytes: number): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  try {
    await inChild('--write', place, String(partitions), String(sizeBytes));
    for (const how of ['after kill -9', 'after a clean end']) {
      const opened = await inChild('--open', place);
      if (opened === undefined) throw new TypeError(`${title}: the log did not open`);
      const { milliseconds, residentMb, records } = opened;
      figures.push({ name: `${title}, ${how}`, values: [milliseconds] });
      const cells = `${milliseconds.toFixed(0).padStart(6)} ms ${residentMb.toFixed(0)} MB`;
      console.log(`  ${title.padEnd(28)} ${how.padEnd(18)} ${cells}  ${records} records`);
    }
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

async function measureAll(): Promise<void> {
  const settings = benchSettings(10); // GiB; a smoke run uses little of both
  const { records, isSmoke } = settings;
  console.log('\nopening a log (time, resident memory)');
  const sizeBytes = isSmoke ? GIB / 100 : records * GIB;
  await measure(`${(sizeBytes / GIB).toFixed(2)} GiB, 4 partitions`, 4, sizeBytes);
  const partitions = isSmoke ? 50 : 1000;
  await measure(`${partitions} partitions`, partitions, partitions * 10_000);
  keep(settings, { title: 'opening a log', unit: 'ms', figures });
}
