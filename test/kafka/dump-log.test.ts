import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { openLog } from 'millrace';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PlainRecord } from '../../core/record/records.suite.ts';
import { SEED } from '../kit/seed.ts';
import { dumpLog, recordsOf, type DumpedFile, type DumpedRecord } from './dump-log.ts';
import { History } from './history.ts';
import { keptDirectory } from './kept-directory.ts';
import { LogPlayer } from './log-player.ts';
import { KafkaPlayer, type RecordToSend, type Step } from './player.ts';
import { KNOWN_CODECS, randomSteps } from './steps.ts';

/** Our files, as Kafka's own tools read them. */
const directory = keptDirectory();
let history: History;
let kafka: KafkaPlayer;

beforeAll(async () => {
  kafka = new KafkaPlayer();
  await using log = await openLog(directory);
  history = new History(new LogPlayer(log));
  await history.perform([
    ...KNOWN_CODECS.flatMap((codec, index) => plainSteps(codec, index % 2 === 0)),
    ...transactionSteps(),
    ...groupSteps(),
    ...randomSteps('random', { seed: SEED, count: 80 }),
  ]);
});
afterAll(() => kafka.kill());

/** Small segments, and an index entry for almost each batch. */
const SMALL = { 'segment.bytes': '2048', 'index.interval.bytes': '150' };

/** Thirty batches of words, the older ones deleted. */
function plainSteps(codec: string, isIdempotent: boolean): Step[] {
  const [topic, producer] = [`plain-${codec}`, `plain-${codec}`];
  const steps: Step[] = [
    { do: 'topic', topic, partitions: 1, config: SMALL },
    { do: 'producer', producer, codec, isIdempotent, isTransactional: false },
  ];
  for (let index = 0; index < 30; index++) {
    steps.push({ do: 'send', producer, topic, partition: 0, records: words(index) });
  }
  steps.push({ do: 'delete', topic, partition: 0, offset: 50 });
  return steps;
}

/** Two producers whose transactions overlap; every third is aborted; one stays open. */
function transactionSteps(): Step[] {
  const topic = 'transactions';
  const steps: Step[] = [{ do: 'topic', topic, partitions: 2, config: SMALL }];
  const producers = ['first', 'second'];
  for (const producer of producers) {
    const kind = { codec: 'none', isIdempotent: true, isTransactional: true };
    steps.push({ do: 'producer', producer, ...kind });
  }
  for (let index = 0; index < 24; index++) {
    const producer = producers[index % 2] ?? '';
    if (index >= 2) steps.push({ do: index % 3 === 0 ? 'abort' : 'commit', producer });
    steps.push({ do: 'begin', producer });
    const send = { do: 'send', producer, topic, records: words(index) } as const;
    steps.push({ ...send, partition: 0 }, { ...send, partition: index % 2 });
    const at = { group: 'audit', topic, partition: 0, offset: index, metadata: `é ${index}` };
    steps.push({ do: 'offset', producer, ...at });
  }
  steps.push({ do: 'commit', producer: 'first' });
  return steps;
}

function groupSteps(): Step[] {
  const place = { topic: 'plain-none', partition: 0 };
  return [
    { do: 'offset', group: 'by hand', ...place, offset: 30, metadata: 'note' },
    { do: 'consume', group: 'readers', topic: 'plain-none', protocol: 'classic', leaves: true },
  ];
}

/** Records that the tool prints unchanged. */
function words(index: number): RecordToSend[] {
  return Array.from({ length: 1 + (index % 4) }, (_, number) => ({
    key: number === 1 ? null : `k${index}.${number}`,
    value: number === 2 ? null : `value ${index} of ${'x'.repeat(index)}`,
    headers: number === 3 ? [] : [['h', `${index}`] as const, ['null', null] as const],
    timestampMs: 1_700_000_000_000 + index * 10 - number,
  }));
}

/** Paths of all files with a suffix, of topics whose name starts with `prefix`. */
function filesOf(suffix: string, prefix = ''): string[] {
  const files: string[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (!entry.isDirectory() || !entry.name.startsWith(prefix)) continue;
    for (const name of readdirSync(join(directory, entry.name)).sort()) {
      if (name.endsWith(suffix)) files.push(join(directory, entry.name, name));
    }
  }
  return files;
}

/** The dumped records, by partition. */
async function dumpedRecords(prefix: string): Promise<Map<string, DumpedRecord[]>> {
  const files = filesOf('.log', prefix);
  const dump = await dumpLog(files, '--deep-iteration', '--print-data-log');
  expect(dump.complaints).toEqual([]);
  expect(dump.files.map(({ file }) => file)).toEqual(files);
  const partitions = new Map<string, DumpedRecord[]>();
  for (const file of dump.files) {
    const key = basename(dirname(file.file));
    partitions.set(key, [...(partitions.get(key) ?? []), ...recordsOf(file)]);
  }
  return partitions;
}

test.each(KNOWN_CODECS)('[KAFKA-2] kafka-dump-log shows what was sent in %s', async (codec) => {
  const topic = `plain-${codec}`;
  const records = (await dumpedRecords(topic)).get(`${topic}-0`) ?? [];
  const expected = history.expected({ topic, partition: 0 }, 'read_uncommitted');
  const [first] = records;
  expect(first?.offset).toBeGreaterThan(0); // whole segments were deleted
  expect(records.map(plainOf)).toEqual(
    expected.filter(({ offset }) => offset >= first!.offset).map(asDumped),
  );
  const isIdempotent = first?.sequence !== -1;
  for (const { offset, sequence, batch } of records) {
    expect(batch['compresscodec']).toBe(codec);
    expect(sequence).toBe(isIdempotent ? offset : -1);
  }
});

type Shown = Pick<DumpedRecord, 'offset' | 'timestampMs' | 'key' | 'value' | 'headerKeys'>;

function plainOf({ offset, timestampMs, key, value, headerKeys }: DumpedRecord): Shown {
  return { offset, timestampMs, key, value, headerKeys };
}

/** A sent record, as the tool shows it. */
function asDumped({ headers, ...record }: PlainRecord): Shown {
  return { ...record, headerKeys: headers.map(([name]) => name).join(',') };
}

test('[KAFKA-2] [RECORD-13] kafka-dump-log shows transactions and how they ended', async () => {
  const partitions = await dumpedRecords('transactions');
  expect([...partitions.keys()].sort()).toEqual(['transactions-0', 'transactions-1']);
  for (const partition of [0, 1]) {
    const place = { topic: 'transactions', partition };
    const records = partitions.get(`transactions-${partition}`) ?? [];
    const sent = records.filter(({ marker }) => marker === undefined);
    expect(sent.map(plainOf)).toEqual(history.expected(place, 'read_uncommitted').map(asDumped));
    for (const { batch, sequence } of records) {
      expect(batch['isTransactional']).toBe('true');
      expect(sequence === -1).toBe(batch['isControl'] === 'true');
    }
    expect(committed(records)).toEqual(
      history.expected(place, 'read_committed').map(({ offset }) => offset),
    );
  }
});

/** The offsets whose producer's next marker says COMMIT, below the first open transaction. */
function committed(records: readonly DumpedRecord[]): number[] {
  const offsets: number[] = [];
  for (const [index, { offset, marker, batch }] of records.entries()) {
    if (marker !== undefined) continue;
    const end = records.slice(index).find((later) => {
      return later.marker !== undefined && later.batch['producerId'] === batch['producerId'];
    });
    if (end === undefined) break;
    if (end.marker === 'COMMIT') offsets.push(offset);
  }
  return offsets;
}

test('[KAFKA-2] [LOG-INDEX-1] kafka-dump-log finds all index entries in the log', async () => {
  const files = [...filesOf('.index'), ...filesOf('.timeindex')];
  for (const options of [[], ['--verify-index-only'], ['--index-sanity-check']]) {
    const dump = await dumpLog(files, ...options);
    expect(dump.complaints).toEqual([]);
    expect(dump.files.map(({ file }) => file)).toEqual(files);
    const lineCount = dump.files.reduce((sum, { lines }) => sum + lines.length, 0);
    if (options[0] === undefined) expect(lineCount).toBeGreaterThan(40);
    if (options[0] === '--index-sanity-check') expect(lineCount).toBe(files.length);
  }
});

test('[KAFKA-2] [LOG-INDEX-5] kafka-dump-log shows the aborted transactions', async () => {
  const dump = await dumpLog(filesOf('.txnindex', 'transactions'));
  expect(dump.complaints).toEqual([]);
  const shown = new Map<string, number[]>();
  for (const { file, lines } of dump.files) {
    const offsets = lines.map((line) => Number(/ firstOffset: (\d+)/.exec(line)?.[1]));
    const key = basename(dirname(file));
    shown.set(key, [...(shown.get(key) ?? []), ...offsets]);
  }
  for (const partition of [0, 1]) {
    const aborted = new Map<unknown, number>(); // the first offset of each transaction
    for (const batch of history.batches) {
      if (batch.topic !== 'transactions' || batch.partition !== partition) continue;
      const [first] = batch.records;
      if (batch.transaction?.outcome !== 'abort' || aborted.has(batch.transaction)) continue;
      aborted.set(batch.transaction, first?.offset ?? -1);
    }
    expect(aborted.size).toBeGreaterThan(2);
    expect(shown.get(`transactions-${partition}`)?.sort()).toEqual([...aborted.values()].sort());
  }
});

test('[KAFKA-2] [LOG-SNAPSHOT-1] kafka-dump-log shows the same producers as the log', async () => {
  const plain = await dumpedRecords('plain');
  const records = new Map([...plain, ...(await dumpedRecords('transactions'))]);
  const dump = await dumpLog([...filesOf('.snapshot', 'plain'), ...filesOf('.snapshot', 'tr')]);
  expect(dump.complaints).toEqual([]);
  const newest = new Map(dump.files.map((file) => [basename(dirname(file.file)), file]));
  expect(newest.size).toBe(records.size);
  for (const [partition, file] of newest) {
    expect(producersIn(file)).toEqual(lastSequences(records.get(partition) ?? []));
  }
});

/** From a snapshot: each producer id with the last sequence of its epoch and its offset. */
function producersIn({ lines }: DumpedFile): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const [, sequence, offset] = / lastSequence: (\d+) lastOffset: (\d+) /.exec(line) ?? [];
      const id = /^producerId: (\d+)/.exec(line)?.[1] ?? '';
      return [id, sequence === undefined ? 'none' : `${sequence} at ${offset ?? ''}`];
    }),
  );
}

/** The same, from the records. */
function lastSequences(records: readonly DumpedRecord[]): Record<string, string> {
  const producers: Record<string, string> = {};
  for (const { offset, sequence, marker, batch } of records) {
    const id = batch['producerId'] ?? '';
    // A marker begins a new epoch, which has no sequence yet (KIP-890).
    if (id !== '-1') producers[id] = marker === undefined ? `${sequence} at ${offset}` : 'none';
  }
  return producers;
}

test('[KAFKA-2] [GROUP-14] kafka-dump-log reads the committed offsets of groups', async () => {
  const dump = await dumpLog(filesOf('.log', '__consumer_offsets'), '--offsets-decoder');
  expect(dump.complaints).toEqual([]);
  const records = dump.files.flatMap(recordsOf).filter(({ marker }) => marker === undefined);
  const decoded = records.map(({ key, value }) => ({
    key: JSON.parse(key ?? '') as { type: string; data: OffsetKey },
    value: JSON.parse(value ?? '') as { data: OffsetValue },
  }));
  for (const { group, topic, partition, offset, metadata } of history.offsets) {
    const ofKey = decoded.filter(({ key: { type, data } }) => {
      const isPlace = data.topic === topic && data.partition === partition;
      return type === '1' && data.group === group && isPlace;
    });
    const found = ofKey.map(({ value: { data } }) => `${data.offset} ${data.metadata}`);
    expect(found).toContain(`${offset} ${metadata}`);
  }
  const groups = decoded.filter(({ key }) => key.type === '2');
  expect(groups[0]?.key.data.group).toBe('readers');
  expect(groups[0]?.value.data.members).toMatchObject([
    { subscription: { topics: ['plain-none'] }, assignment: { assignedPartitions: [{}] } },
  ]);
});

interface OffsetKey {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
}
interface OffsetValue {
  readonly offset: number;
  readonly metadata: string;
  readonly members: unknown;
}

test('[KAFKA-2] kafka-dump-log reads the states of transactions', async () => {
  const dump = await dumpLog(filesOf('.log', '__transaction'), '--transaction-log-decoder');
  expect(dump.complaints).toEqual([]);
  const states = new Map<string, number>();
  for (const { key, value } of dump.files.flatMap(recordsOf)) {
    const { data } = JSON.parse(key ?? '') as { data: { transactionalId: string } };
    const { data: state } = JSON.parse(value ?? '') as { data: { transactionStatus: number } };
    states.set(data.transactionalId, state.transactionStatus);
  }
  const [COMPLETE_COMMIT, ONGOING] = [4, 1];
  expect(states.get('first')).toBe(COMPLETE_COMMIT);
  expect(states.get('second')).toBe(ONGOING);
});

test(`[KAFKA-1] Kafka reads all records that were sent, in any order (seed ${SEED})`, async () => {
  for (const partition of [0, 1]) {
    const place = { topic: 'random', partition };
    const read = [];
    for (const file of filesOf('.log', `random-${partition}`)) read.push(await kafka.read(file));
    const batches = read.flat().filter(({ isControl }) => !isControl);
    expect(batches.flatMap(({ records }) => records)).toEqual(
      history.expected(place, 'read_uncommitted'),
    );
    const sent = history.batches.filter((batch) => {
      return batch.topic === 'random' && batch.partition === partition;
    });
    expect(batches.map(({ codec, isTransactional }) => ({ codec, isTransactional }))).toEqual(
      sent.map(({ codec, transaction }) => ({ codec, isTransactional: transaction !== undefined })),
    );
  }
});
