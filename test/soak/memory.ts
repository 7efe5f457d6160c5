/**
 * Looks for leaks. Runs a streams app on 20,000 records a second with a minute of retention. Every
 * minute it prints the heap after a garbage collection, the open descriptors and the size on disk,
 * and it exits with 1 if one of them grows over the second half of the run.
 *
 *     npm run soak:memory -- --minutes 60 --rate 20000
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { int64, json, openLog, string, topic, type Log } from '../../core/index.ts';
import { minutes, StreamsApp, StreamsBuilder, tumblingWindow } from '../../streams/index.ts';
import { growthOf, LIMITS, type Sample } from './growth.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '20000' },
  },
});
const [minuteCount, rate] = [Number(values.minutes), Number(values.rate)];
const { gc } = globalThis;
if (gc === undefined || !(minuteCount >= 4) || !(rate > 0)) {
  console.error('usage: npm run soak:memory -- [--minutes 4 or more] [--rate RECORDS A SECOND]');
  process.exit(2);
}

const KEYS = 1000;
const SLICE_MS = 50;
/** Segments of a few seconds, so that retention has something to remove each minute. */
const config = { retentionMs: minutes(1), segmentBytes: 8 << 20 };

interface Click {
  readonly page: string;
  readonly at: number;
}
const clicks = topic('clicks', { key: string(), value: json<Click>(), partitions: 4, config });
const counts = topic('counts', { key: string(), value: int64(), partitions: 4, config });

const directory = mkdtempSync(join(tmpdir(), 'millrace-soak-memory-'));
const over = new AbortController();
const isOver = (): boolean => over.signal.aborted;
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => over.abort());

function build(): ReturnType<StreamsBuilder['build']> {
  const builder = new StreamsBuilder();
  builder
    .stream(clicks)
    .groupByKey()
    .windowedBy(tumblingWindow({ sizeMs: 10_000 }))
    .count({ store: 'clicks-by-page', emit: 'final' })
    .toStream()
    .map(({ key, value }) => ({ key: key.key, value }))
    .to(counts);
  return builder.build();
}

/** Writes this many records a second until the end; returns how many it wrote. */
async function write(log: Log): Promise<number> {
  const producer = log.producer({ acks: 1 });
  const writer = await producer.writer(clicks);
  const startMs = performance.now();
  let written = 0;
  while (!isOver()) {
    const due = ((performance.now() - startMs) / 1000) * rate;
    for (; written < due; written++) {
      const page = `/page-${written % KEYS}`;
      writer.write(page, { page, at: written });
      if (producer.isFull) await producer.room();
    }
    await pause(SLICE_MS);
  }
  await producer.close();
  return written;
}

/** Reads the results, as another program would. */
async function read(log: Log): Promise<number> {
  const consumer = log.consumer({ groupId: 'reader', isolationLevel: 'read_committed' });
  const reader = consumer.subscribe([counts]);
  let count = 0;
  while (!isOver()) count += (await reader.poll({ maxWaitMs: 500 })).length;
  await reader.close();
  return count;
}

function sizeOnDisk(path: string): number {
  let sum = 0;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    // Files come and go in the meantime.
    if (entry.isDirectory()) sum += sizeOnDisk(inner);
    else sum += statSync(inner, { throwIfNoEntry: false })?.size ?? 0;
  }
  return sum;
}

function sample(minute: number): Sample {
  gc?.();
  gc?.();
  return {
    minute,
    heapBytes: process.memoryUsage().heapUsed,
    descriptors: readdirSync('/proc/self/fd').length,
    diskBytes: sizeOnDisk(directory),
  };
}

const mb = (bytes: number): string => (bytes / 1e6).toFixed(1);
const samples: Sample[] = [];
const log = await openLog(directory);
for (const each of [clicks, counts]) await log.admin().ensureTopic(each);
const app = new StreamsApp(log, build(), { applicationId: 'soak', commitIntervalMs: 100 });
await app.start();
const work = Promise.all([write(log), read(log)]);
console.log('minute  heap MB  descriptors  disk MB');
const startMs = performance.now();
for (let minute = 1; minute <= minuteCount && !isOver(); minute++) {
  const dueMs = startMs + minute * 60_000;
  while (performance.now() < dueMs && !isOver()) await pause(200);
  const next = sample(minute);
  samples.push(next);
  const { heapBytes, descriptors, diskBytes } = next;
  const cells = [String(minute), mb(heapBytes), String(descriptors), mb(diskBytes)];
  console.log(cells.map((cell, index) => cell.padStart([6, 9, 13, 9][index]!)).join(''));
}
over.abort();
const [written, results] = await work;
await app.close();
await log.close();
rmSync(directory, { recursive: true });

const perSecond = Math.round(written / ((performance.now() - startMs) / 1000));
console.log(`${written} records written, ${perSecond} a second; ${results} results read`);
const growth = growthOf(samples);
for (const { what, perMinute, limit, isTooMuch } of growth) {
  const verdict = isTooMuch ? 'GROWS' : 'flat';
  console.log(
    `  ${what}: ${perMinute.toFixed(2)} a minute over the second half, ${limit}: ${verdict}`,
  );
}
if (samples.length < LIMITS.peaksMin) {
  const minimum = `--minutes ${LIMITS.peaksMin}`;
  console.log(`  descriptors and disk: retention came too seldom to tell, from ${minimum} on`);
}
// A machine too slow for the rate proves nothing.
const isSlow = perSecond < rate * 0.95;
if (isSlow) console.log(`  the machine did not keep up with ${rate} records a second`);
const isBad = isSlow || samples.length < LIMITS.samplesMin || growth.some((each) => each.isTooMuch);
process.exitCode = isBad ? 1 : 0;
