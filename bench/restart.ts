/**
 * How long is a killed application away? A child process keeps a table of some hundred megabytes
 * and dies by SIGKILL in the middle of its work; another one takes its place. We measure from the
 * start of its process to its first processed record and to its first commit, and where that time
 * goes. `loaded` is Node and this project's TypeScript: a compiled program takes half of it.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { json, openLog, string, topic } from 'millrace';
import { StreamsApp, StreamsBuilder } from 'millrace/streams';
import { benchSettings, keep } from './harness.ts';

const settings = benchSettings(1_200_000);
const role = process.env['RESTART_ROLE'];
const directory = process.env['RESTART_DIRECTORY'] ?? '';

interface Row {
  readonly version: number;
  readonly text: string;
}

/** About 250 bytes each; both the checkpoint and the changelog keep all of them. */
const TEXT = 'x'.repeat(220);
const input = topic('rows', { key: string(), value: json<Row>(), partitions: 1 });
const output = topic('versions', { key: string(), value: json<number>(), partitions: 1 });

/** A child's report, with the milliseconds since its process started. */
interface Milestone {
  readonly what: 'loaded' | 'log open' | 'running' | 'first record' | 'first commit' | 'half way';
  readonly atMs: number;
}

if (role === undefined) await measure();
else await work(role === 'first');

/** The child: fills the input if it is the first one, then keeps the newest row of each key. */
async function work(isFirst: boolean): Promise<void> {
  const tell = (what: Milestone['what']): void => {
    const atMs = performance.timeOrigin + performance.now() - Number(process.env['RESTART_AT']);
    process.send?.({ what, atMs } satisfies Milestone);
  };
  tell('loaded');
  const log = await openLog(directory);
  tell('log open');
  if (isFirst) {
    const producer = log.producer({ acks: 1 });
    const writer = await producer.writer(input);
    for (let index = 0; index < settings.records; index++) {
      // Each key once, then a second time, during which the first child is killed.
      writer.write(`key-${index}`, { version: 1, text: TEXT }, index);
      if (producer.isFull) await producer.room();
    }
    for (let index = 0; index < settings.records; index++) {
      writer.write(`key-${index}`, { version: 2, text: TEXT }, index);
      if (producer.isFull) await producer.room();
    }
    await producer.flush();
  }
  let processed = 0;
  const builder = new StreamsBuilder();
  builder
    .stream(input)
    .peek(() => {
      processed++;
      if (processed === 1) tell('first record');
      if (processed === Math.floor(settings.records * 1.5)) tell('half way');
    })
    .groupByKey()
    .reduce((_, row) => row, { store: 'rows', value: json<Row>() })
    .toStream()
    .mapValues(({ version }) => version)
    .to(output);
  let hasCommitted = false;
  const app = new StreamsApp(log, builder.build(), {
    applicationId: 'restart',
    onStep: (step) => {
      if (step !== 'commit-6-move' || hasCommitted) return;
      hasCommitted = true;
      tell('first commit');
    },
  });
  await app.start();
  tell('running');
  await app.done;
}

/** Runs the first child until it is in the middle, kills it, and times the second one. */
async function measure(): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), 'millrace-restart-'));
  try {
    const first = start('first', place);
    await until(first, 'half way');
    await kill(first);
    const sizes = ['log', 'checkpoint', 'changelog', 'input'] as const;
    const state = join(place, 'streams');
    const bytes = {
      log: sizeOf(place) - sizeOf(state),
      checkpoint: sizeOf(state),
      changelog: sizeOf(join(place, 'restart-rows-changelog-0')),
      input: sizeOf(join(place, 'rows-0')),
    };
    const inWords = sizes.map((name) => `${name} ${Math.round(bytes[name] / 1e6)} MB`).join(', ');
    console.log(
      `\nrestart after SIGKILL  (${settings.records.toLocaleString('en')} keys; ${inWords})`,
    );
    const figures = new Map<string, number[]>();
    for (let round = 1; round <= settings.rounds; round++) {
      const child = start('next', place);
      const milestones = await until(child, 'first commit');
      await kill(child);
      for (const { what, atMs } of milestones) {
        figures.set(what, [...(figures.get(what) ?? []), atMs]);
      }
      const times = milestones.map(({ what, atMs }) => `${what} ${Math.round(atMs)} ms`);
      console.log(`  ${round}: ${times.join(', ')}`);
    }
    keep(settings, {
      title: 'restart after SIGKILL',
      unit: 'ms',
      figures: [...figures].map(([name, values]) => ({ name, values })),
    });
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function start(name: string, place: string): ChildProcess {
  const atMs = performance.timeOrigin + performance.now();
  return fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
    env: {
      ...process.env,
      RESTART_ROLE: name,
      RESTART_DIRECTORY: place,
      RESTART_AT: String(atMs),
    },
  });
}

/** Waits for a milestone and returns all that the child has reported up to it. */
async function until(child: ChildProcess, what: Milestone['what']): Promise<Milestone[]> {
  const milestones: Milestone[] = [];
  const ended = once(child, 'exit').then(() => {
    throw new Error(`the child ended before '${what}'`);
  });
  const reached = new Promise<void>((resolve) => {
    child.on('message', (message) => {
      const milestone = message as Milestone;
      milestones.push(milestone);
      if (milestone.what === what) resolve();
    });
  });
  await Promise.race([reached, ended]);
  return milestones;
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function sizeOf(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).blocks * 512, 0);
}
