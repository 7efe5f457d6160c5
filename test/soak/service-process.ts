/**
 * A service as users run one: clicks are counted in windows, by page, through a repartition topic,
 * with a minute of retention; bad records become dead letters, and the store is queried. Every
 * minute it prints the heap after a garbage collection, all memory, the open descriptors, the size
 * on disk and the lag. It exits with 1 if one of them grows over the second half of the run, or if
 * a result is not exactly what was sent.
 *
 *     npm run soak -- --service 60 --rate 20000
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openLog } from '../../core/index.ts';
import { StreamsApp } from '../../streams/index.ts';
import { growthOf, LIMITS, median, type Sample } from './growth.ts';
import {
  Answer,
  APPLICATION,
  clicks,
  countClicks,
  counts,
  deadLetters,
  query,
  read,
  write,
} from './service.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '20000' },
  },
});
const [minuteCount, rate] = [Number(values.minutes), Number(values.rate)];
const { gc } = globalThis;
if (gc === undefined || !(minuteCount >= 1) || !(rate > 0)) {
  console.error('usage: npm run soak -- --service MINUTES [--rate RECORDS A SECOND]');
  process.exit(2);
}

const directory = mkdtempSync(join(tmpdir(), 'millrace-soak-service-'));
const over = new AbortController();
const isOver = (): boolean => over.signal.aborted;
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => over.abort());

function sizeOnDisk(path: string): number {
  let sum = 0;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    // Files come and go in the meantime. LMDB's are sparse: their blocks count.
    if (entry.isDirectory()) sum += sizeOnDisk(inner);
    else sum += (statSync(inner, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return sum;
}

function sample(minute: number, lags: readonly number[]): Sample {
  gc?.();
  gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return {
    minute,
    heapBytes: heapUsed,
    residentBytes: rss,
    descriptors: readdirSync('/proc/self/fd').length,
    diskBytes: sizeOnDisk(directory),
    lag: median(lags),
  };
}

const mb = (bytes: number): string => (bytes / 1e6).toFixed(1);
const HEAD = ['minute', 'heap MB', 'memory MB', 'descriptors', 'disk MB', 'lag', 'lag at most'];
const row = (cells: readonly string[]): string =>
  cells.map((cell, index) => cell.padStart(HEAD[index]!.length + 2)).join('');

const { table, topology } = countClicks();
const log = await openLog(directory);
for (const each of [clicks, counts, deadLetters]) await log.admin().ensureTopic(each);
const app = new StreamsApp(log, topology, { applicationId: APPLICATION, commitIntervalMs: 100 });
await app.start();
const answer = new Answer();
let hasEnded = false;
const reading = read(log, answer, () => hasEnded);
const startMs = performance.now();
const writing = write(log, answer, { rate, isOver });
const querying = query(app, table, answer, isOver);

console.log(row(HEAD));
const samples: Sample[] = [];
for (let minute = 1; minute <= minuteCount && !isOver(); minute++) {
  const dueMs = startMs + minute * 60_000;
  const lags: number[] = [];
  while (performance.now() < dueMs && !isOver()) {
    await pause(1_000);
    lags.push(app.metrics().tasks.reduce((sum, { lag }) => sum + lag, 0));
  }
  const next = sample(minute, lags);
  samples.push(next);
  const { heapBytes, residentBytes, descriptors, diskBytes, lag } = next;
  const cells = [minute, mb(heapBytes), mb(residentBytes), descriptors, mb(diskBytes), lag];
  console.log(row([...cells, Math.max(...lags)].map(String)));
}
over.abort();
await Promise.all([writing, querying]);
const perSecond = Math.round(answer.sent / ((performance.now() - startMs) / 1000));
await app.finish();
hasEnded = true;
await reading;
answer.check();
const { late } = app.metrics().droppedRecords;
if (late > 0) answer.fault(`${late} records were dropped because they were late`);
await app.close();
await log.close();
rmSync(directory, { recursive: true });

const { sent, results, letters, queries, slowestQueryMs } = answer;
console.log(
  `${sent} records sent, ${perSecond} a second; ${results} results and ${letters} dead letters ` +
    `came back; ${queries} queries, the slowest took ${slowestQueryMs.toFixed(0)} ms`,
);
const growth = growthOf(samples);
for (const { what, perMinute, limit, isTooMuch } of growth) {
  const verdict = isTooMuch ? 'GROWS' : 'flat';
  console.log(
    `  ${what}: ${perMinute.toFixed(2)} a minute over the second half, ${limit}: ${verdict}`,
  );
}
if (samples.length < LIMITS.peaksMin) {
  const minimum = `from --service ${LIMITS.peaksMin} on`;
  console.log(`  memory, descriptors and disk: retention came too seldom to tell, ${minimum}`);
}
const lags = samples.map(({ lag }) => lag);
const isBehind = median(lags) > rate;
console.log(
  `  lag: ${median(lags)} records, at most ${rate}: ${isBehind ? 'BEHIND' : 'near zero'}`,
);
const isWrong = answer.faults.length > 0;
console.log(isWrong ? '  the results are WRONG:' : '  the results are exactly what was sent');
for (const fault of answer.faults) console.log(`    ${fault}`);
// A machine too slow for the rate proves nothing.
const isSlow = perSecond < rate * 0.95;
if (isSlow) console.log(`  the machine did not keep up with ${rate} records a second`);
const isShort = samples.length < LIMITS.samplesMin;
if (isShort) console.log(`  too short to tell whether anything grows`);
const isBad = isWrong || isBehind || isSlow || growth.some((each) => each.isTooMuch);
process.exitCode = isBad ? 1 : 0;
