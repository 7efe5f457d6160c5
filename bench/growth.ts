/**
 * What do keys, partitions and open windows cost? The time and the memory of a count, exactly once
 * with a commit every 100 ms, from few to many of them. A child process fills the input, another
 * one counts: its memory is told apart into JavaScript's heap, everything resident, and pages of
 * mapped files, which the system may take back (Linux only).
 *
 * Options: `--keys`, `--partitions` and `--windows` with sizes, such as `--keys 10000,1000000`, or
 * `none`; `--records N`, `--rounds N`, `--results FILE`, `--smoke`, which keeps no results.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { int64, openLog, string, topic } from 'millrace';
import {
  hoppingWindow,
  minutes,
  StreamsApp,
  StreamsBuilder,
  tumblingWindow,
  windowedSerde,
} from 'millrace/streams';
import { currentCommit, keep, median, type Unit } from './harness.ts';
import { writePages } from './pages.ts';

const FILE = fileURLToPath(import.meta.url);
const RESULTS = fileURLToPath(new URL('growth.ndjson', import.meta.url));
const START_MS = Date.UTC(2024, 0, 1);
const LOOK_MS = 20;

/** What is counted. */
interface Point {
  readonly axis: 'keys' | 'partitions' | 'windows';
  readonly records: number;
  readonly keys: number;
  readonly partitions: number;
  /** How many windows each record is in. */
  readonly windows: number;
}

interface Found {
  /** From the first record to the commit of the last one. */
  readonly milliseconds: number;
  /** From the start of the application until it runs. */
  readonly startMs: number;
  /** After a collection, while the application runs. */
  readonly heapMb: number;
  /** The most. */
  readonly residentMb: number;
  readonly mappedMb: number;
}

const SHOWN: readonly [title: string, unit: Unit, value: (found: Found, point: Point) => number][] =
  [
    ['records', 'per second', ({ milliseconds }, { records }) => (records / milliseconds) * 1000],
    ['start', 'ms', ({ startMs }) => startMs],
    ['heap', 'MB', ({ heapMb }) => heapMb],
    ['resident', 'MB', ({ residentMb }) => residentMb],
    ['mapped files', 'MB', ({ mappedMb }) => mappedMb],
  ];

const order = process.env['GROWTH_POINT'];
if (order === undefined) {
  await measureAll();
} else {
  const { role, directory, point } = JSON.parse(order) as Order;
  if (role === 'fill') await fill(directory, point);
  else process.send?.(await count(directory, point));
  process.disconnect();
}

interface Order {
  readonly role: 'fill' | 'count';
  readonly directory: string;
  readonly point: Point;
}

function topicsOf({ partitions }: Point) {
  return {
    input: topic('events', { key: string(), value: string(), partitions }),
    counts: topic('counts', { key: string(), value: int64(), partitions }),
    windows: topic('counts', {
      key: windowedSerde(string(), minutes(1)),
      value: int64(),
      partitions,
    }),
  };
}

/** A record of a key that seems to be any: with as many records as keys, each has another one. */
async function fill(directory: string, point: Point): Promise<void> {
  const log = await openLog(directory);
  const producer = log.producer({ acks: 1, batchSize: 65_536 });
  const writer = await producer.writer(topicsOf(point).input);
  // Ten minutes in all: windows close while it counts.
  const stepMs = minutes(10) / point.records;
  for (let index = 0; index < point.records; index++) {
    const key = `key-${(index * 7_919) % point.keys}`; // a prime: every key has its turn
    writer.write(key, 'x', START_MS + Math.floor(index * stepMs));
    if (producer.isFull) await producer.room();
  }
  await producer.flush();
  await log.close();
}

function topologyOf(point: Point) {
  const { input, counts, windows } = topicsOf(point);
  const builder = new StreamsBuilder();
  const grouped = builder.stream(input).groupByKey();
  if (point.axis === 'keys') {
    grouped.count({ store: 'counts', emit: 'commit' }).toStream().to(counts);
  } else if (point.axis === 'partitions') {
    grouped
      .windowedBy(tumblingWindow({ sizeMs: minutes(1) }))
      .count({ store: 'counts', emit: 'commit' })
      .toStream()
      .to(windows);
  } else {
    const advanceMs = 1_000;
    grouped
      .windowedBy(hoppingWindow({ sizeMs: advanceMs * point.windows, advanceMs }))
      .count({ store: 'counts', emit: 'final' })
      .toStream()
      .to(windows);
  }
  return builder.build();
}

async function count(directory: string, point: Point): Promise<Found> {
  const log = await openLog(directory);
  let commits = 0;
  const app = new StreamsApp(log, topologyOf(point), {
    applicationId: 'growth',
    commitIntervalMs: 100,
    onStep: (step) => {
      if (step === 'commit-6-move') commits++;
    },
  });
  const memory = { residentMb: 0, mappedMb: 0 };
  const timer = setInterval(() => look(memory), 100);
  const start = performance.now();
  await app.start();
  const running = performance.now();
  const admin = log.admin();
  for (let done = 0; done < point.records;) {
    await wait(LOOK_MS);
    if (commits === 0) continue; // the group does not exist yet
    const offsets = await admin.listGroupOffsets('growth');
    done = offsets.reduce((sum, { offset }) => sum + offset, 0);
  }
  const end = performance.now();
  clearInterval(timer);
  look(memory);
  globalThis.gc?.();
  const heapMb = process.memoryUsage().heapUsed / 1e6;
  await app.close();
  await log.close();
  return { milliseconds: end - running, startMs: running - start, heapMb, ...memory };
}

/** Raises the peaks. What the system does not tell stays 0. */
function look(memory: { residentMb: number; mappedMb: number }): void {
  let status = '';
  try {
    status = readFileSync('/proc/self/status', 'utf8');
  } catch {
    memory.residentMb = Math.max(memory.residentMb, process.memoryUsage.rss() / 1e6);
  }
  const megabytes = (field: string): number =>
    (Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * 1024) / 1e6;
  memory.residentMb = Math.max(memory.residentMb, megabytes('VmRSS'));
  memory.mappedMb = Math.max(memory.mappedMb, megabytes('RssFile') + megabytes('RssShmem'));
}

function inChild(task: Order): Promise<Found | undefined> {
  const child = fork(FILE, [], {
    execArgv: ['--expose-gc', ...process.execArgv],
    env: { ...process.env, GROWTH_POINT: JSON.stringify(task) },
  });
  let found: Found | undefined;
  child.on('message', (message) => (found = message as Found));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code === 0) resolve(found);
      else reject(new TypeError(`a child ended with ${String(code)}`));
    });
  });
}

async function measure(point: Point): Promise<Found> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-growth-'));
  const clean = (): void => rmSync(directory, { recursive: true, force: true });
  const interrupt = (): void => {
    clean();
    process.exit(1);
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    await inChild({ role: 'fill', directory, point });
    const found = await inChild({ role: 'count', directory, point });
    if (found === undefined) throw new TypeError(`${point.axis}: the child told nothing`);
    return found;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    clean();
  }
}

function growthSettings() {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      ...{
        keys: text,
        partitions: text,
        windows: text,
        records: text,
        rounds: text,
        results: text,
      },
      smoke: { type: 'boolean', default: false },
    },
  });
  const { smoke } = values;
  const sizes = (given: string | undefined, full: readonly number[]): readonly number[] =>
    given === 'none' ? [] : (given?.split(',').map(Number) ?? (smoke ? full.slice(0, 2) : full));
  return {
    sizes: {
      keys: sizes(values.keys, [10_000, 100_000, 1_000_000, 5_000_000, 20_000_000]),
      partitions: sizes(values.partitions, [1, 16, 100, 500, 1_000]),
      windows: sizes(values.windows, [1, 10, 100]),
    },
    records: Number(values.records ?? (smoke ? 20_000 : 1_000_000)),
    rounds: Number(values.rounds ?? 1),
    results: smoke ? undefined : (values.results ?? RESULTS),
    commit: currentCommit(),
  };
}

/** As many records as keys at least; fewer where each is in many windows. */
function pointsOf(axis: Point['axis'], sizes: readonly number[], records: number): Point[] {
  return sizes.map((size) => {
    if (axis === 'keys') {
      return { axis, records: Math.max(size, records), keys: size, partitions: 1, windows: 1 };
    }
    if (axis === 'partitions') {
      return { axis, records, keys: 100_000, partitions: size, windows: 1 };
    }
    const fewer = Math.ceil(records / Math.max(1, size / 10));
    return { axis, records: fewer, keys: 1_000, partitions: 1, windows: size };
  });
}

async function measureAll(): Promise<void> {
  const { sizes, ...settings } = growthSettings();
  for (const axis of ['keys', 'partitions', 'windows'] as const) {
    const points = pointsOf(axis, sizes[axis], settings.records);
    if (points.length === 0) continue;
    console.log(`\ngrowth by ${axis}`);
    console.log(
      `  ${['', ...SHOWN.map(([title, unit]) => `${title} ${unit}`)].map(cell).join('')}`,
    );
    const all: { point: Point; founds: Found[] }[] = [];
    for (const point of points) {
      const founds: Found[] = [];
      for (let round = 0; round < settings.rounds; round++) founds.push(await measure(point));
      all.push({ point, founds });
      const values = SHOWN.map(([, , value]) => median(founds.map((found) => value(found, point))));
      const cells = [point[axis], ...values].map((value) => Math.round(value).toLocaleString('en'));
      console.log(`  ${cells.map(cell).join('')}`);
    }
    for (const [title, unit, value] of SHOWN) {
      const figures = all.map(({ point, founds }) => {
        return { name: String(point[axis]), values: founds.map((found) => value(found, point)) };
      });
      keep(settings, { title: `growth by ${axis}: ${title}`, unit, figures });
    }
  }
  if (settings.results !== undefined) await writePages();
}

function cell(text: string): string {
  return text.padStart(20);
}
