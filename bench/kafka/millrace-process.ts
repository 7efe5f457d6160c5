/**
 * Our side of the benchmark: does one task, reports each milestone as a line of JSON, then waits on
 * stdin for `check`, and for the end, when it ends too. `Bench.java` is its counterpart.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { bytes, openLog, string, topic, type AnyTopic, type Log, type Topic } from 'millrace';
import { StreamsApp, StreamsBuilder } from 'millrace/streams';
import { TOPOLOGIES, topicsOf } from './millrace-topologies.ts';
import type { Milestone, Task } from './tasks.ts';

const LOOK_MS = 20;
const BATCH_BYTES = 65_536;
const task = JSON.parse(process.argv[2] ?? '') as Task;
const topics = topicsOf(task);
/** Whether the application has seen a record, of those tasks that tell it. */
let hasRecord = false;

function tell(what: Milestone['what'], facts: Omit<Milestone, 'what' | 'atMs'> = {}): void {
  const atMs = performance.timeOrigin + performance.now();
  process.stdout.write(`${JSON.stringify({ what, atMs, ...facts } satisfies Milestone)}\n`);
}

/** Resolves with the first line of stdin. The process ends when stdin does. */
const mayCheck = new Promise<void>((resolve) => {
  process.stdin.on('data', () => resolve());
  process.stdin.on('end', () => process.exit());
});

tell('loaded');
const log = await openLog(task.directory);
if (task.step === 'fill') {
  await fill();
  await log.close();
  tell('filled');
} else {
  await run();
  await log.close();
  tell('ended');
}

async function run(): Promise<void> {
  if (task.workload === 'produce') await produce();
  else if (task.workload === 'consume') await consume();
  else if (task.workload === 'latency') await latency();
  else if (task.workload === 'restart') await restart();
  else await topology();
}

async function fill(): Promise<void> {
  if (task.workload === 'produce') return;
  if (task.workload === 'consume') {
    await send(topics.lines, task.records, () => [null, 'x'.repeat(task.valueBytes), undefined]);
  } else if (task.workload === 'restart') {
    const text = 'x'.repeat(task.valueBytes);
    await send(topics.rows, task.records, (index) => {
      if (index < task.keys) return [`key-${index}`, { version: 1, text }, index];
      return [`key-${index % Math.ceil(task.keys / 100)}`, { version: 2, text: 'x' }, index];
    });
  } else if (task.input !== '') {
    await fillFrom(task.input);
  }
}

async function send<K, V>(
  to: Topic<K, V>,
  count: number,
  recordAt: (index: number) => [K | null, V, number | undefined],
): Promise<void> {
  const producer = log.producer({ acks: 1, batchSize: BATCH_BYTES });
  const writer = await producer.writer(to);
  for (let index = 0; index < count; index++) {
    const [key, value, atMs] = recordAt(index);
    writer.write(key, value, atMs);
    if (producer.isFull) await producer.room();
  }
  await producer.flush();
}

/** Copies the lines that inputs.ts has written: topic, time, key and value. */
async function fillFrom(file: string): Promise<void> {
  const producer = log.producer({ acks: 1, batchSize: BATCH_BYTES });
  const make = (name: string) =>
    topic(name, { key: string(), value: bytes(), partitions: task.partitions });
  const names = task.workload.endsWith('join') ? ['lefts', 'rights'] : ['events'];
  const made = names.map(async (name) => [name, await producer.writer(make(name))] as const);
  const writers = new Map(await Promise.all(made));
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [name = '', at, key = '', value = ''] = line.split('\t');
    writers.get(name)!.write(key, Buffer.from(value), Number(at));
    if (producer.isFull) await producer.room();
  }
  await producer.flush();
}

async function produce(): Promise<void> {
  const acks = task.acks === 'all' ? 'all' : 1;
  const producer = log.producer({ acks, batchSize: BATCH_BYTES });
  const writer = await producer.writer(topics.lines);
  const value = 'x'.repeat(task.valueBytes);
  const early = Math.floor(task.records / 5);
  for (let index = 0; index < task.records; index++) {
    if (index === early) {
      await producer.flush();
      tell('progress', { count: index });
    }
    writer.write(null, value);
    if (producer.isFull) await producer.room();
  }
  await producer.flush();
  tell('progress', { count: task.records });
  await finish();
}

async function consume(): Promise<void> {
  const consumer = log.consumer({ maxPollRecords: 5_000 }).subscribe([topics.lines]);
  let count = 0;
  let isEarly = true;
  while (count < task.records) {
    for (const { value } of await consumer.poll()) if (value?.length === task.valueBytes) count++;
    if (isEarly && count >= task.records / 5) {
      tell('progress', { count });
      isEarly = false;
    }
  }
  tell('progress', { count });
  await finish();
}

async function finish(facts: Omit<Milestone, 'what' | 'atMs'> = {}): Promise<void> {
  tell('finished', facts);
  await mayCheck;
}

/** Starts the application; `onCommit` follows each of its commits. */
async function start(onCommit: () => void = () => undefined): Promise<StreamsApp> {
  const builder = new StreamsBuilder();
  const onRecord = (): void => {
    if (!hasRecord) tell('first record');
    hasRecord = true;
  };
  TOPOLOGIES[task.workload]!(builder, topics, { ...task, onRecord });
  const app = new StreamsApp(log, builder.build(), {
    applicationId: task.run,
    commitIntervalMs: 100,
    onStep: (step) => {
      if (step === 'commit-6-move') onCommit();
    },
  });
  await app.start();
  tell('running');
  app.done.catch((failure: unknown) => {
    process.stderr.write(`${String(failure)}\n`);
    process.exit(1);
  });
  return app;
}

async function committed(from: Log): Promise<number> {
  const offsets = await from.admin().listGroupOffsets(task.run);
  return offsets.reduce((sum, { offset }) => sum + offset, 0);
}

async function topology(): Promise<void> {
  let commits = 0;
  const app = await start(() => commits++);
  for (let last = 0; last < task.records;) {
    await wait(LOOK_MS);
    if (commits === 0) continue; // the group does not exist yet
    const now = await committed(log);
    if (now !== last) tell('progress', { count: now });
    last = now;
  }
  await finish();
  await app.close();
  tell('checked', await check());
}

/** Tells the first record, the first commit, and when its keys are complete. */
async function restart(): Promise<void> {
  let commits = 0;
  await start(() => {
    if (!hasRecord) return;
    commits++;
    if (commits === 1) tell('first commit');
  });
  while (commits === 0 || (await committed(log)) < task.keys) await wait(LOOK_MS);
  tell('full');
  await new Promise(() => undefined); // until it is killed
}

async function latency(): Promise<void> {
  const app = await start();
  const sending = sendInTime();
  const all = new Float64Array(task.records);
  const consumer = log
    .consumer({ isolationLevel: 'read_committed', maxPollRecords: 5_000 })
    .subscribe([topics.mapped]);
  for (let count = 0; count < task.records;) {
    for (const { value } of await consumer.poll()) {
      all[count++] = performance.now() - (value?.at ?? NaN) / 1000;
    }
  }
  await sending;
  const sorted = all.slice(Math.floor(task.records / 2)).sort(); // warm since long
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  await finish({ p50: at(0.5), p99: at(0.99), max: at(1) });
  await app.close();
}

/** Each record when it is due, with that time: what delays the sender counts, too. */
async function sendInTime(): Promise<void> {
  const producer = log.producer({ acks: task.acks === 'all' ? 'all' : 1 });
  const writer = await producer.writer(topics.events);
  const startMs = performance.now();
  for (let index = 0; index < task.records;) {
    const now = performance.now();
    let due = startMs + (index * 1000) / task.perSecond;
    for (; index < task.records && due <= now; due = startMs + (index * 1000) / task.perSecond) {
      const key = `key-${index % task.keys}`;
      const at = Math.floor(due * 1000);
      writer.write(key, { key, at, amount: 1, text: 'some words to fill the line' });
      index++;
    }
    await wait(1);
  }
  await producer.flush();
}

/** The number of results and a sum: the same as Kafka's, or one of the two is wrong. */
async function check(): Promise<{ rows: number; sum: number }> {
  let [rows, sum] = [0, 0];
  if (task.workload === 'count') {
    const counts = new Map<string, number>();
    await readAll(topics.counts, ({ key, windowStartMs }, count) => {
      counts.set(`${key}@${windowStartMs}`, count);
    });
    for (const count of counts.values()) sum += count;
    return { rows: counts.size, sum };
  }
  if (task.workload === 'map' || task.workload === 'start') {
    await readAll(topics.mapped, (_, { amount }) => {
      rows++;
      sum += amount;
    });
  } else {
    await readAll(topics.pairs, (_, { left, right = 0 }) => {
      rows++;
      sum += left + right;
    });
  }
  return { rows, sum };
}

async function readAll<K, V>(from: Topic<K, V>, visit: (key: K, value: V) => void): Promise<void> {
  const consumer = log
    .consumer({ isolationLevel: 'read_committed', maxPollRecords: 5_000 })
    .subscribe([from as AnyTopic]);
  const partitions = Array.from({ length: task.partitions }, (_, partition) => {
    return { topic: from.name, partition };
  });
  const ends = await consumer.endOffsets(partitions);
  for (let isDone = false; !isDone;) {
    for (const { key, value } of await consumer.poll({ maxWaitMs: 100 })) {
      visit(key as K, value as V);
    }
    isDone = partitions.every((each) => {
      const end = ends.get(`${each.topic}-${each.partition}`) ?? 0;
      return end === 0 || (consumer.position(each) ?? 0) >= end;
    });
  }
  await consumer.close();
}
