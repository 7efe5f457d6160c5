import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { openLog, verifyLog } from 'millrace';
import { ManualClock } from 'millrace/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dumpLog, recordsOf } from './dump-log.ts';
import { History } from './history.ts';
import { keptDirectory } from './kept-directory.ts';
import { LogPlayer } from './log-player.ts';
import { KafkaPlayer, type Step } from './player.ts';
import { KNOWN_CODECS } from './steps.ts';
import { keepHouse, moreOf, tableRecords, tableSteps } from './table-steps.ts';

/** Logs after compaction and retention, as Kafka's own tools read them. */
const directory = keptDirectory();
const clock = new ManualClock(1_700_001_000_000);
const TABLES = [...KNOWN_CODECS, 'tx'].map((name) => `table-${name}`);
let kafka: KafkaPlayer;
let history: History;

const SMALL = { 'segment.bytes': '2048', 'index.interval.bytes': '150' };
const COMPACTED = {
  ...SMALL,
  'cleanup.policy': 'compact',
  'min.cleanable.dirty.ratio': '0.01',
  'delete.retention.ms': '60000',
};

beforeAll(async () => {
  kafka = new KafkaPlayer();
  const compacted = new Map<string, number>();
  const debug = (line: string): void => {
    const topic = /^compacted (\S+)-0 /.exec(line)?.[1];
    if (topic !== undefined) compacted.set(topic, (compacted.get(topic) ?? 0) + 1);
  };
  const logger = { debug, info: () => undefined, warn: () => undefined, error: () => undefined };
  await using log = await openLog(directory, { clock, logger });
  history = new History(new LogPlayer(log));
  const isCompacted = (): boolean => TABLES.every((topic) => compacted.has(topic));
  await history.perform([...tableSteps(COMPACTED, KNOWN_CODECS), ...retainedSteps()]);
  await keepHouse(clock, isCompacted);
  // Once more: tombstones are old enough now.
  for (const topic of TABLES) {
    const producer = topic === 'table-tx' ? 'table-none' : topic;
    await history.perform(moreOf(topic, producer, 31));
  }
  compacted.clear();
  await keepHouse(clock, isCompacted);
  await keepHouse(clock, async () => {
    const starts = await Promise.all(['by-size', 'by-time'].map((name) => startOf(name)));
    return starts.every((start) => start > 0);
  });
  async function startOf(name: string): Promise<number> {
    return (await log.admin().offsets(name))[0]?.earliest ?? 0;
  }
});
afterAll(() => kafka.kill());

/** Topics that are shortened by size, by age, and on request. */
function retainedSteps(): Step[] {
  const retained = {
    'by-size': { 'retention.bytes': '4000' },
    'by-time': { 'retention.ms': '600000' },
    deleted: {},
  };
  const kind = { codec: 'none', isIdempotent: true, isTransactional: false };
  const steps: Step[] = [{ do: 'producer', producer: 'retained', ...kind }];
  for (const [topic, config] of Object.entries(retained)) {
    steps.push({ do: 'topic', topic, partitions: 1, config: { ...SMALL, ...config } });
    for (let round = 0; round < 60; round++) {
      const records = tableRecords(round);
      steps.push({ do: 'send', producer: 'retained', topic, partition: 0, records });
    }
  }
  return [...steps, { do: 'delete', topic: 'deleted', partition: 0, offset: 50 }];
}

function filesOf(suffix: string, topics: readonly string[]): string[] {
  return topics.flatMap((topic) => {
    const partition = join(directory, `${topic}-0`);
    const names = readdirSync(partition).filter((name) => name.endsWith(suffix));
    return names.sort().map((name) => join(partition, name));
  });
}

const RETAINED = ['by-size', 'by-time', 'deleted'];

/** The gaps that compaction leaves: the tool reports them, since it does not know about it. */
const GAP = /^Non-consecutive offsets in |^ {2}\d+ is followed by \d+$/;

/**
 * An empty batch keeps the newest time of its former records (Kafka's `MemoryRecords.filterTo`),
 * and counts in the time index (`LogSegment.append`); the tool looks for the time among its
 * records.
 */
const EMPTY = /^Found timestamp mismatch in |^ {2}Index timestamp: \d+, log timestamp: -1$/;

test('[KAFKA-7] kafka-dump-log reads compacted logs', async () => {
  const files = filesOf('.log', TABLES);
  const dump = await dumpLog(files, '--deep-iteration', '--print-data-log');
  expect(dump.complaints.filter((line) => !GAP.test(line))).toEqual([]);
  expect(dump.complaints.length).toBeGreaterThan(0);
  expect(dump.files.map(({ file }) => file)).toEqual(files);
  const batches = dump.files.flatMap(({ lines }) => lines.filter((line) => !line.startsWith('| ')));
  // From a producer that wrote once, and the marks of how far segments reach.
  expect(batches.filter((line) => / count: 0 /.test(line)).length).toBeGreaterThan(5);
  expect(batches.some((line) => / deleteHorizonMs: OptionalLong\[\d+\]/.test(line))).toBe(true);
  for (const topic of TABLES) {
    const own = dump.files.filter(({ file }) => basename(dirname(file)) === `${topic}-0`);
    const records = own.flatMap(recordsOf).filter(({ marker }) => marker === undefined);
    const found = new Map(records.map(({ key, value }) => [key, value]));
    const sent = history.expected({ topic, partition: 0 }, 'read_committed');
    const newest = new Map(sent.map(({ key, value }) => [key, value]));
    for (const [key, value] of newest) {
      if (value !== null) expect([topic, key, found.get(key)]).toEqual([topic, key, value]);
    }
    expect(records.length).toBeLessThan(sent.length / 2);
  }
});

test('[KAFKA-7] the indexes, lists and snapshots match the compacted logs', async () => {
  const indexes = [...filesOf('.index', TABLES), ...filesOf('.timeindex', TABLES)];
  for (const options of [[], ['--index-sanity-check']]) {
    const { complaints } = await dumpLog(indexes, ...options);
    expect(complaints.filter((line) => !EMPTY.test(line))).toEqual([]);
  }
  const others = [...filesOf('.txnindex', TABLES), ...filesOf('.snapshot', TABLES)];
  const { complaints, files } = await dumpLog(others);
  expect(complaints).toEqual([]);
  expect(files.map(({ file }) => file)).toEqual(others);
});

test('[KAFKA-7] Kafka reads each record of the compacted logs, with its checksum', async () => {
  for (const topic of TABLES) {
    const sent = history.expected({ topic, partition: 0 }, 'read_uncommitted');
    const byOffset = new Map(sent.map((record) => [record.offset, record]));
    for (const file of filesOf('.log', [topic])) {
      for (const { isControl, records, codec, lastOffset } of await kafka.read(file)) {
        if (isControl) continue;
        for (const record of records) expect(record).toEqual(byOffset.get(record.offset));
        if (records.length === 0) expect(codec).toBe('none');
        expect(lastOffset).toBeGreaterThanOrEqual(records.at(-1)?.offset ?? 0);
      }
    }
  }
});

test('[KAFKA-2] kafka-dump-log reads logs after retention', async () => {
  for (const suffix of ['.log', '.index', '.timeindex', '.snapshot']) {
    const files = filesOf(suffix, RETAINED);
    const dump = await dumpLog(files, ...(suffix === '.log' ? ['--deep-iteration'] : []));
    expect(dump.complaints).toEqual([]);
    expect(dump.files.map(({ file }) => file)).toEqual(files);
    if (suffix !== '.log') continue;
    for (const topic of RETAINED) {
      const first = files.find((file) => basename(dirname(file)) === `${topic}-0`);
      expect(Number(basename(first ?? '', '.log'))).toBeGreaterThan(0);
    }
  }
});

test('[KAFKA-7] verify finds no problem either', async () => {
  expect((await verifyLog(directory)).problemCount).toBe(0);
});
