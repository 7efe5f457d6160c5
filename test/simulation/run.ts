import { expect } from 'vitest';
import { sleep } from '../../core/internal.ts';
import { checkHistory, type Anomaly } from '../../core/testing/index.ts';
import { administer } from './administrator.ts';
import { asError } from '../../core/errors.ts';
import { verifyLog } from '../../core/check/verify.ts';
import { audit, checkCopies } from './audit.ts';
import type { Ending } from './models.ts';
import { copy, readInGroup } from './readers.ts';
import { aging, bounded, copies, events, fast, table } from './topics.ts';
import { below, DIRECTORY, nextTurn, pick, World, type OpenLife, type Stage } from './world.ts';
import {
  transact,
  writeAging,
  writeBounded,
  writeEvents,
  writeFast,
  writeTable,
} from './writers.ts';

type Client = (stage: Stage) => Promise<void>;

/** The clients, and the maximum number of each. */
const CAST: readonly (readonly [string, Client, number])[] = [
  ['writer', writeEvents, 2],
  ['transactor', transact, 3],
  ['copier', copy, 2],
  ['reader', readInGroup, 3],
  ['fast', writeFast, 1],
  ['table', (stage) => writeTable(stage, false), 1],
  ['ledger', (stage) => writeTable(stage, true), 1],
  ['aging', writeAging, 1],
  ['bounded', writeBounded, 1],
  ['administrator', administer, 1],
];

/** The most turns of a life, and the most disk operations. */
const TURNS_MAX = 700;
const OPERATIONS_MAX = 4000;
/** By then the timeout has ended a transaction that a crash left open. */
const TRANSACTIONS_END_MS = 30_000;
const ENDINGS: readonly Ending[] = ['close', 'kill', 'kill', 'power cut', 'power cut'];

export interface Outcome {
  readonly world: World;
  readonly anomalies: readonly Anomaly[];
}

/**
 * Runs clients of all kinds on one log through this many lives. Each life ends in order, by a kill
 * or by a power cut, at any disk operation. Compares what each opening finds with what the clients
 * know, and in the end checks everything that they saw.
 */
export async function simulate(seed: number, lives: number): Promise<Outcome> {
  const world = new World(seed);
  for (let count = 0; count < lives; count++) {
    await oneLife(world);
    failIfAny(world);
  }
  await end(world);
  failIfAny(world);
  const unseen = { isComplete: true };
  const dirty = checkHistory(world.notes.uncommitted, unseen).filter(({ type }) => {
    return type !== 'aborted-read' && type !== 'precommitted-read';
  });
  return { world, anomalies: [...checkHistory(world.notes.committed, unseen), ...dirty] };
}

/** A last life without failures: copies the remaining records, and reads all of them. */
async function end(world: World): Promise<void> {
  const life = await world.open();
  await prepare(world, life);
  await world.pump(life.clock, sleep(life.clock, TRANSACTIONS_END_MS), 100);
  await audit(world, life);
  const stage = { world, life, name: 'last copier', random: world.fork(), isDone: () => false };
  await world.pump(life.clock, copy(stage, false), 20);
  await audit(world, life);
  await checkCopies(world, life);
  await world.pump(life.clock, life.log.close());
  const { problems, partitions } = await verifyLog(DIRECTORY, { fileSystem: world.disk });
  expect([...problems, ...partitions.flatMap((partition) => partition.problems)]).toEqual([]);
}

function failIfAny(world: World): void {
  const [first] = world.failures;
  if (first !== undefined) throw asError(first);
}

async function prepare(world: World, life: OpenLife): Promise<void> {
  const admin = life.log.admin();
  const made = (async () => {
    for (const topic of [events, copies, fast, table, aging, bounded]) {
      if ((await admin.listTopics()).includes(topic.name)) continue;
      const partitions = topic === events ? world.models.eventPartitions : (topic.partitions ?? 1);
      await admin.createTopic(topic.name, { partitions, config: topic.config });
    }
  })();
  await world.pump(life.clock, made);
}

/** One life on the log that the last one left. */
async function oneLife(world: World): Promise<void> {
  const { random } = world;
  const ending = pick(random, ENDINGS);
  const crashIn = { operations: 1 + below(random, OPERATIONS_MAX), ending };
  if (below(random, 6) === 0) plantFault(world, 60);
  const life = await world.open(ending === 'close' ? undefined : crashIn);
  // Without a log, a crash or a fault ended the opening.
  if (life.hasBegun) {
    await Promise.race([life.over, begin(world, life)]);
    if (!life.isOver()) await play(world, life);
    if (!life.isOver() && ending === 'close') await world.pump(life.clock, closed(world, life));
  }
  life.crash(ending);
}

async function begin(world: World, life: OpenLife): Promise<void> {
  try {
    await prepare(world, life);
    if (below(world.random, 2) === 0) await wait(world, life, TRANSACTIONS_END_MS);
    await audit(world, life);
  } catch (error) {
    if (!life.isOver() && !world.isExcused(error)) throw error;
  }
}

async function closed(world: World, life: OpenLife): Promise<void> {
  await life.log.close().catch((error: unknown) => world.met(error, life.isOver()));
}

async function play(world: World, life: OpenLife): Promise<void> {
  for (const [kind, client, count] of CAST) {
    for (let index = 0; index < count; index++)
      void employ(world, life, `${kind} ${index}`, client);
  }
  const { random } = world;
  const turns = below(random, TURNS_MAX);
  for (let turn = 0; turn < turns && !life.isOver(); turn++) {
    for (let left = below(random, 8); left > 0; left--) await nextTurn();
    if (life.isOver()) return;
    world.advance(life.clock, below(random, 12));
    const chance = below(random, 800);
    if (chance < 2) plantFault(world, 300);
    else if (chance === 3) await fillDisk(world, life);
    else if (chance === 4)
      world.advance(life.clock, 70_000); // the process stood still
    else if (chance < 8) await wait(world, life, pick(random, [20_000, 70_000, 330_000]));
  }
}

/** Runs a client repeatedly, each time as a new one. */
async function employ(world: World, life: OpenLife, role: string, client: Client): Promise<void> {
  const random = world.fork();
  for (let count = 0; !life.isOver(); count++) {
    const name = `${role} of ${life.number}.${count}`;
    const untilMs = life.clock.nowMs() + below(random, 3000);
    const isDone = (): boolean => life.isOver() || life.clock.nowMs() > untilMs;
    try {
      await sleep(life.clock, below(random, 100));
      await client({ world, life, name, random, isDone });
    } catch (error) {
      world.met(error, life.isOver());
    }
    await sleep(life.clock, below(random, 500));
  }
}

/** Makes one of the next disk operations fail. */
function plantFault(world: World, within: number): void {
  const { random, disk } = world;
  world.isFaulty = true;
  disk.fail({
    at: disk.operationCount + 1 + below(random, within),
    code: pick(random, ['EIO', 'ENOSPC']),
    writtenBytes: pick(random, [0, 0, 1, 100, 600]),
  });
}

/** Fills the disk for a while. */
async function fillDisk(world: World, life: OpenLife): Promise<void> {
  const { random, disk } = world;
  world.isFaulty = true;
  disk.capacityBytes = disk.usedBytes + below(random, 3000);
  await wait(world, life, below(random, 3000));
  disk.capacityBytes = Infinity;
}

/** Advances time so that heartbeats, checkpoints, retention and compaction run. */
async function wait(world: World, life: OpenLife, ms: number): Promise<void> {
  const untilMs = life.clock.nowMs() + ms;
  while (life.clock.nowMs() < untilMs && !life.isOver()) {
    for (let left = 0; left < 4; left++) await nextTurn();
    if (!life.isOver()) world.advance(life.clock, Math.max(20, ms / 400));
  }
}
