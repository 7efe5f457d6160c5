/**
 * An application with its input, in one process, since a log has one owner: `client-process.ts
 * DIRECTORY CLIENT SEED KILLS LIFE`. The lives below KILLS write and process until they are killed;
 * the last one writes what is left of a limited input, processes everything, and ends.
 */
import { join } from 'node:path';
import { openLog, seededRandom, systemClock, type Log } from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { StreamsApp } from '../../streams/index.ts';
import { readTopic } from '../kit/read-topic.ts';
import type { InputRecord } from './client.ts';
import { CLIENTS, type ClientName } from './clients.ts';

const [directory = '', name = '', ...numbers] = process.argv.slice(2);
const [seed = 0, kills = 0, life = 0] = numbers.map(Number);
const client = CLIENTS[name as ClientName]();
const isLast = life === kills;
/** So many records are written before the process is killed. */
const FIRST = 50;
const random = seededRandom(seed + life);
const upTo = (limit: number): number => Math.floor(random.next() * limit);

/** Writes records, in their order in each partition; calls `begun` after the first ones. */
async function write(
  log: Log,
  records: Iterable<InputRecord>,
  { pace = Infinity, begun = (): void => undefined } = {},
): Promise<void> {
  await using producer = log.producer({ acks: random.next() < 0.5 ? 1 : 'all' });
  let count = 0;
  const sends: Promise<unknown>[] = [];
  for (const record of records) {
    sends.push(producer.send(client.input, record));
    if (++count % pace === 0) await sleep(systemClock, 1);
    if (count === FIRST) begun();
  }
  await Promise.all(sends);
  if (count < FIRST) begun();
}

const log = await openLog(join(directory, 'log'));
for (const topic of [client.input, ...client.topics]) await log.admin().ensureTopic(topic);
const before = await readTopic(log, client.input);
const app = new StreamsApp(log, client.topology(), {
  applicationId: client.applicationId,
  // Often, so that kills hit many commits and checkpoints.
  commitIntervalMs: 10 + upTo(60),
  checkpointIntervalMs: 50 + upTo(300),
  idleTimeoutMs: isLast ? Infinity : 1_000,
});
/** From here on it may be killed: now and then while it starts, mostly while it runs. */
const begin = (): void => void process.stdout.write('begun\n');
if (life % 4 === 3) begin();
await app.start();
const records = client.inputOf({ seed, kills }, before, random);
if (isLast) {
  await write(log, client.isLimited ? records : take(records, FIRST));
  await write(log, client.lastInput);
  await app.finish();
  await log.close();
} else {
  await write(log, records, { pace: client.pace, ...(life % 4 !== 3 && { begun: begin }) });
  await app.done; // a limited input is at its end: stay until the kill
}

function* take(all: Iterable<InputRecord>, count: number): Iterable<InputRecord> {
  let left = count;
  for (const record of all) {
    if (left-- === 0) return;
    yield record;
  }
}
