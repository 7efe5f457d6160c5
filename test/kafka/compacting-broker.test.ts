import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { bytes, openLog, systemClock, topic as topicOf, type IsolationLevel } from 'millrace';
import { ManualClock } from 'millrace/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PlainRecord } from '../../core/record/records.suite.ts';
import { readTopic } from '../kit/read-topic.ts';
import { KafkaBroker } from './broker.ts';
import { History } from './history.ts';
import { keptDirectory } from './kept-directory.ts';
import { LogPlayer } from './log-player.ts';
import { KafkaPlayer } from './player.ts';
import { keepHouse, moreOf, tableSteps } from './table-steps.ts';
import { takeOver } from './take-over.ts';

/** A broker that compacts, and continues with logs that we have compacted. */
const directory = keptDirectory();
const data = join(directory, 'ours');
const TABLES = ['table-none', 'table-lz4', 'table-tx'];
/** Isolation levels differ only with transactions. */
const levelsOf = (topic: string): readonly IsolationLevel[] =>
  topic === 'table-tx' ? ['read_committed', 'read_uncommitted'] : ['read_committed'];
/** A broker's segments have at least a megabyte, but may cover any short time. */
const CONFIG = {
  'cleanup.policy': 'compact',
  'segment.ms': '300000',
  'index.interval.bytes': '150',
  'min.cleanable.dirty.ratio': '0',
};
// Segments end by time, and markers take theirs from the clock.
const NOW_MS = systemClock.nowMs();
const STEPS = tableSteps(CONFIG, ['none', 'lz4'], NOW_MS);

type Tables = Record<string, readonly PlainRecord[]>;
let broker: KafkaBroker;
let player: KafkaPlayer;
let theirs: Tables;
let ours: Tables;

beforeAll(async () => {
  ours = await compactOurs();
  broker = await KafkaBroker.format(join(directory, 'kafka'));
  await broker.start();
  player = new KafkaPlayer(broker.bootstrap);
  await new History(player).perform(STEPS);
  await settled(broker.data, ...TABLES);
  theirs = await fetchAll();
  await player.kill();
  await broker.stop('SIGTERM');
  takeOver(data, broker.data, (name) => name.startsWith('table-'));
  await broker.start();
  player = new KafkaPlayer(broker.bootstrap);
});
afterAll(async () => {
  await player.kill();
  await broker.stop('SIGKILL');
});

/** Performs the steps here, then compacts all it can; returns the remaining records. */
async function compactOurs(): Promise<Tables> {
  const clock = new ManualClock(NOW_MS);
  await using log = await openLog(data, { clock });
  await new History(new LogPlayer(log)).perform(STEPS);
  await keepHouse(clock, () => TABLES.every((topic) => isCompacted(data, topic)));
  const tables: Tables = {};
  for (const name of TABLES) {
    const handle = topicOf(name, { key: bytes(), value: bytes() });
    for (const level of levelsOf(name)) {
      const records = await readTopic(log, handle, level);
      tables[`${name} ${level}`] = records.map(({ offset, timestampMs, key, value, headers }) => ({
        offset,
        timestampMs,
        key: textOf(key),
        value: textOf(value),
        headers: headers.map((header) => [header.key, textOf(header.value)] as const),
      }));
    }
  }
  return tables;
}

function textOf(part: Uint8Array | null): string | null {
  return part === null ? null : Buffer.from(part).toString('latin1');
}

async function fetchAll(): Promise<Tables> {
  const tables: Tables = {};
  for (const topic of TABLES) {
    for (const level of levelsOf(topic)) {
      tables[`${topic} ${level}`] = await player.fetch({ topic, partition: 0 }, level);
    }
  }
  return tables;
}

/** True when all but the newest segment has been compacted. */
function isCompacted(root: string, topic: string): boolean {
  const file = join(root, 'cleaner-offset-checkpoint');
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const cleaned = lines.find((line) => line.startsWith(`${topic} 0 `))?.split(' ')[2];
  return cleaned !== undefined && Number(cleaned) === newestBase(root, topic);
}

function newestBase(root: string, topic: string): number {
  const names = readdirSync(join(root, `${topic}-0`)).filter((name) => name.endsWith('.log'));
  return Number(basename(names.sort().at(-1) ?? '', '.log'));
}

/** Resolves when the broker has compacted the topics. */
async function settled(root: string, ...topics: readonly string[]): Promise<void> {
  for (let turn = 0; !topics.every((topic) => isCompacted(root, topic)); turn++) {
    if (turn > 300) throw new TypeError('the broker does not compact');
    await wait(100);
  }
}

test('[KAFKA-7] the same operations leave the same records in compacted topics', () => {
  expect(Object.values(ours).every((records) => records.length > 5)).toBe(true);
  for (const topic of TABLES) expect(newestBase(data, topic)).toBeGreaterThan(10);
  expect(ours).toEqual(theirs);
});

test('[KAFKA-7] a broker reads logs that we have compacted, and continues with them', async () => {
  expect(await fetchAll()).toEqual(ours);
  const before = newestBase(broker.data, 'table-none');
  const kind = { codec: 'none', isIdempotent: true, isTransactional: false };
  const history = new History(player);
  await history.perform([
    { do: 'producer', producer: 'next', ...kind },
    ...moreOf('table-none', 'next', 31),
  ]);
  await settled(broker.data, 'table-none');
  expect(newestBase(broker.data, 'table-none')).toBeGreaterThan(before);
  const place = { topic: 'table-none', partition: 0 };
  const read = await player.fetch(place, 'read_committed');
  const newest = new Map(
    [...ours['table-none read_committed']!, ...history.expected(place, 'read_committed')].map(
      ({ key, value }) => [key, value],
    ),
  );
  expect(new Map(read.map(({ key, value }) => [key, value]))).toEqual(newest);
  expect(broker.complaints()).toEqual([]);
});
