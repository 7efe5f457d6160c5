/**
 * Millrace beside Kafka with Kafka Streams, on this machine: the same records, keys, partitions,
 * commit interval and guarantee, in turn, A B A B. Needs a JDK of Java 17 or newer, and Maven,
 * which gets Kafka's jars. settings.ts has the options.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keep, median } from '../harness.ts';
import { writePages } from '../pages.ts';
import { writeInput } from './inputs.ts';
import { killWorkers } from './processes.ts';
import { measureRestarts } from './restart.ts';
import { kafkaBenchSettings } from './settings.ts';
import { kafka, millrace, type Side } from './sides.ts';
import type { WorkloadName } from './tasks.ts';
import { measure, WORKLOADS, type Contender, type Plan, type Reading } from './workloads.ts';

/** What both sides have, what only one has, and whom that favours. */
const TERMS = `
Both:     exactly once, a commit each 100 ms, the same bytes in the same partitions, no compression;
          each run a new process, whose input another one has written; rates between 20 % and 98 %
          of the input committed, so that the JIT compilers are warm.
Kafka:    4.4.0, one broker, replication 1, warm; exactly_once_v2, topology.optimization=all,
          linger.ms=5, batch.size=65536, as many threads as partitions, up to the cores;
          application: Java's defaults (G1, C2); broker: -Xmx1G as kafka-server-start.sh.
          RocksDB stores, the default record cache. Jackson's ObjectReader and ObjectWriter.
Millrace: the defaults; compiled JavaScript, one process, one thread.
Unfair to Kafka:    a network hop to a broker in a process of its own; it is made for clusters, and
          what a cluster gives is not used here. At start-up its broker is already running, though.
Unfair to Millrace: Kafka uses both cores (broker and application), Millrace one. Kafka's acks=all
          and its commits are not synced to disk (one replica, the system's cache); Millrace syncs
          each commit.`;

const settings = kafkaBenchSettings();
const place = mkdtempSync(join(tmpdir(), 'millrace-kafka-bench-'));
const sides: Side[] = [];
let runs = 0;

const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => reject(new TypeError(`ended by ${signal}`)));
  }
});
try {
  await Promise.race([compareAll(), interrupted]);
} catch (failure) {
  console.error(failure);
  process.exitCode = 1;
} finally {
  await killWorkers();
  await Promise.all(sides.map((side) => side.close()));
  rmSync(place, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(); // a part that was interrupted may still wait for something

async function compareAll(): Promise<void> {
  console.log(TERMS);
  console.log(`\n${JSON.stringify({ ...settings, results: undefined })}`);
  sides.push(await millrace(place));
  const startMs = performance.now();
  sides.push(await kafka(place));
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`Kafka's broker is there: compiled, formatted and started in ${seconds} s`);
  for (const name of settings.only) await compareWorkload(name);
  if (settings.results !== undefined) await writePages();
}

async function compareWorkload(name: WorkloadName): Promise<void> {
  const workload = WORKLOADS[name];
  const plan = await planOf(name);
  const contenders = contendersOf(name);
  const readings: Reading[] = [];
  if (name === 'restart') {
    for (const each of contenders) {
      readings.push(
        ...(await measureRestarts(workload, each, plan, nextRun(name), settings.rounds)),
      );
    }
  } else {
    for (let round = settings.rounds > 1 ? 0 : 1; round <= settings.rounds; round++) {
      for (const each of contenders) {
        const found = await measure(workload, each, plan, nextRun(name));
        if (round > 0) readings.push(...found); // round 0 is a warm-up
      }
    }
  }
  if (plan.input !== '') rmSync(plan.input);
  report(plan, readings);
}

function nextRun(name: WorkloadName): string {
  return `${name}-${++runs}`;
}

async function planOf(name: WorkloadName): Promise<Plan> {
  const { records, keys, windowMs = 0 } = WORKLOADS[name];
  const isRestart = name === 'restart';
  const valueBytes = isRestart ? 1_000 : 100;
  const stateKeys = Math.ceil((settings.stateMb * 1e6) / valueBytes);
  const plan = {
    workload: name,
    records: isRestart
      ? stateKeys + (settings.isSmoke ? 200_000 : 1_000_000)
      : name === 'start'
        ? 1
        : (settings.records ?? records),
    keys: isRestart ? stateKeys : keys,
    partitions: settings.partitions,
    windowMs,
    valueBytes,
    perSecond: 10_000,
    acks: '1',
    settings: settings.kafka,
  } as const;
  if (['produce', 'consume', 'latency', 'restart'].includes(name)) return { ...plan, input: '' };
  const input = join(place, `${name}.tsv`);
  await writeInput(input, name, plan);
  return { ...plan, input };
}

/** Producers and consumers are of Kafka, not of its Streams. */
function clientsOf({ name }: Side): string {
  return name.replace(' Streams', '');
}

/** The first is what the others are compared with. */
function contendersOf(name: WorkloadName): Contender[] {
  if (name === 'produce') {
    return sides.flatMap((side) =>
      (['1', 'all'] as const).map((acks) => {
        return { name: `${clientsOf(side)}, acks ${acks}`, side, change: { acks } };
      }),
    );
  }
  if (name === 'consume') {
    return sides.map((side) => ({ name: clientsOf(side), side, change: {} }));
  }
  if (name !== 'restart') return sides.map((side) => ({ name: side.name, side, change: {} }));
  const [ours, other] = sides as [Side, Side];
  const member = { 'group.instance.id': 'bench' };
  const variants: [string, Record<string, string>][] = [
    ['static member', member],
    [
      'static member, transactional stores',
      { ...member, 'enable.transactional.statestores': 'true' },
    ],
  ];
  // Waits for the dead member's session: 45 s.
  if (!settings.isSmoke) variants.push(['defaults', {}]);
  return [
    { name: ours.name, side: ours, change: {} },
    ...variants.map(([variant, more]) => {
      const change = { settings: { ...settings.kafka, ...more } };
      return { name: `${other.name}, ${variant}`, side: other, change };
    }),
  ];
}

function report(plan: Plan, readings: readonly Reading[]): void {
  for (const title of new Set(readings.map((reading) => reading.title))) {
    const own = readings.filter((reading) => reading.title === title);
    const { unit } = own[0]!;
    const names = [...new Set(own.map(({ name }) => name))];
    const figures = names.map((name) => {
      return { name, values: own.filter((each) => each.name === name).map(({ value }) => value) };
    });
    const first = median(figures[0]!.values);
    const { records, partitions, keys } = plan;
    console.log(`\n${title}  (${records.toLocaleString('en')} records, ${unit})`);
    for (const { name, values } of figures) {
      const multiple = `${(median(values) / first).toFixed(2)}x`;
      const spread = `${short(Math.min(...values))}..${short(Math.max(...values))}`;
      const cells = `${short(median(values)).padStart(10)}  ${multiple.padStart(7)}  ${spread}`;
      console.log(`  ${name.padEnd(52)} ${cells}`);
    }
    const notes = { partitions, keys, ...settings.kafka, kafkaVersion: '4.4.0' };
    keep({ ...settings, records }, { title, unit, figures, notes });
  }
}

function short(value: number): string {
  const digits = value >= 100 ? 0 : 1;
  return value.toLocaleString('en', { maximumFractionDigits: digits });
}
