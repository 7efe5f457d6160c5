/**
 * Clients that write, copy and read until they are killed, and keep a journal of what they do and
 * see: `clients-process.ts DIRECTORY LIFE [drain]`. With `drain` they write nothing new, and copy
 * and read the existing records to the end.
 */
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  openLog,
  seededRandom,
  string,
  systemClock,
  topic,
  type ConsumerRecord,
  type Consumer,
  type Log,
} from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { TORN, type JournalLine } from './clients-journal.ts';

const [directory = '', lifeText = '0', mode] = process.argv.slice(2);
const life = Number(lifeText);
const random = seededRandom(life + 1);
const journal = openSync(join(directory, 'journal.jsonl'), 'a');
writeSync(journal, `${TORN}\n`);
process.stdout.write('begun\n'); // from here on it may be killed
/** In `drain` an empty poll means the end, so the poll waits, even for an assignment. */
const WAIT_MS = mode === 'drain' ? 5000 : 100;
const PARTITIONS = 3;
const input = topic('input', { key: string(), value: string(), partitions: PARTITIONS });
const output = topic('output', { key: string(), value: string(), partitions: PARTITIONS });

/** A synchronous write reaches the system's memory at once, so it survives SIGKILL. */
function note(line: JournalLine): void {
  writeSync(journal, `${JSON.stringify(line)}\n`);
}

let count = 0;
const newValue = (): string => `${life}-${count++}`;
const upTo = (limit: number): number => Math.floor(random.next() * limit);

/** Sends without transactions, and notes each acknowledgement. */
async function sendOn(log: Log): Promise<void> {
  const name = `${life}-sender`;
  const producer = log.producer({ acks: random.next() < 0.5 ? 1 : 'all' });
  for (let id = 0; ; id++) {
    note({ name, id, event: 'begin' });
    const sends = Array.from({ length: 1 + upTo(20) }, async () => {
      const [value, partition] = [newValue(), upTo(PARTITIONS)];
      note({ name, id, event: 'sent', topic: 'input', partition, value });
      const { offset } = await producer.send(input, { key: null, value, partition });
      note({ name, id, event: 'acknowledged', value, offset });
    });
    await Promise.all(sends);
    note({ name, id, event: 'ok' });
    await sleep(systemClock, upTo(5));
  }
}

/** Writes transactions over several partitions; aborts some of them. */
async function transactOn(log: Log): Promise<void> {
  const name = `${life}-transactor`;
  const producer = log.producer({ transactionalId: 'transactor' });
  for (let id = 0; ; id++) {
    note({ name, id, event: 'begin', isTransaction: true });
    const transaction = await producer.beginTransaction();
    for (let left = 1 + upTo(30); left > 0; left--) {
      const [value, partition] = [newValue(), upTo(PARTITIONS)];
      note({ name, id, event: 'sent', topic: 'input', partition, value });
      transaction.send(input, { key: null, value, partition });
    }
    if (random.next() < 0.2) {
      await sleep(systemClock, upTo(5));
      await transaction.abort();
      note({ name, id, event: 'failed' });
    } else {
      note({ name, id, event: 'committing' });
      await transaction.commit();
      note({ name, id, event: 'ok' });
    }
  }
}

/** Copies the input to the output, exactly once: records and offsets in one transaction. */
async function copyOn(log: Log, isDone: (read: number) => boolean): Promise<void> {
  const name = `${life}-copier`;
  const group = { groupId: 'copier', isolationLevel: 'read_committed' } as const;
  const consumer = log.consumer({ ...group, enableAutoCommit: false }).subscribe([input]);
  const producer = log.producer({ transactionalId: 'copier' });
  // The last life may have left offsets in an open transaction; the first poll would wait for them.
  await producer.initTransactions();
  for (let id = 0; ; id++) {
    const records = await consumer.poll({ maxWaitMs: WAIT_MS });
    if (isDone(records.length)) break;
    note({ name, id, event: 'begin', isTransaction: true });
    const transaction = await producer.beginTransaction();
    for (const { topic: from, partition, offset, value } of records) {
      note({ name, id, event: 'polled', topic: from, partition, offset, value: value ?? '' });
      const copy = `copy of ${value}`;
      note({ name, id, event: 'sent', topic: 'output', partition, value: copy });
      transaction.send(output, { key: null, value: copy, partition });
    }
    await transaction.sendOffsets(nextOffsets(records), consumer.groupMetadata());
    note({ name, id, event: 'committing' });
    await transaction.commit();
    note({ name, id, event: 'ok' });
  }
  await consumer.close();
}

function nextOffsets(records: readonly ConsumerRecord[]) {
  const next = new Map<string, { topic: string; partition: number; offset: number }>();
  for (const { topic: name, partition, offset } of records) {
    next.set(`${name}-${partition}`, { topic: name, partition, offset: offset + 1 });
  }
  return [...next.values()].map((place) => ({ ...place, metadata: '' }));
}

/** Reads both topics from the beginning. */
async function readOn(log: Log, isDone: (read: number) => boolean): Promise<void> {
  const name = `${life}-reader`;
  const consumer: Consumer = log.consumer({ isolationLevel: 'read_committed' });
  const reader = consumer.subscribe([input, output]);
  for (let id = 0; ; id++) {
    const records = await reader.poll({ maxWaitMs: WAIT_MS });
    if (isDone(records.length)) break;
    note({ name, id, event: 'begin' });
    for (const { topic: from, partition, offset, value } of records) {
      note({ name, id, event: 'polled', topic: from, partition, offset, value: value ?? '' });
    }
    note({ name, id, event: 'ok' });
  }
  await reader.close();
}

const log = await openLog(join(directory, 'log'));
for (const each of [input, output]) await log.admin().ensureTopic(each);
if (mode === 'drain') {
  const isEmpty = (read: number): boolean => read === 0;
  await copyOn(log, isEmpty);
  await readOn(log, isEmpty);
  await log.close();
} else {
  const never = (): boolean => false;
  await Promise.all([sendOn(log), transactOn(log), copyOn(log, never), readOn(log, never)]);
}
