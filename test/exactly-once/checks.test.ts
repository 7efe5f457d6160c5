import { describe, expect, test } from 'vitest';
import { seededRandom, type Log } from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { openTestLog, produce, runToEnd } from '../kit/app.ts';
import { readTopic } from '../kit/read-topic.ts';
import { temporaryDirectory } from '../kit/temporary-directory.ts';
import type { Client } from './client.ts';
import { CLIENTS, type ClientName } from './clients.ts';
import { differences } from './comparing.ts';

const RUN = { seed: 3, kills: 0 };
const RECORDS = 400;

/** An application that has processed everything, undisturbed. */
async function undisturbed(name: ClientName): Promise<{ client: Client; log: Log }> {
  const client = CLIENTS[name]();
  const log = await openTestLog({ directory: '/data', fileSystem: new MemoryFileSystem() });
  for (const each of [client.input, ...client.topics]) await log.admin().ensureTopic(each);
  const records = [];
  for (const record of client.inputOf(RUN, [], seededRandom(1))) {
    records.push(record);
    if (!client.isLimited && records.length === RECORDS) break;
  }
  const rows = [...records, ...client.lastInput].map((record) => {
    const { key, value, timestampMs, partition } = record;
    if (partition === undefined) return [key, value, timestampMs] as const;
    return [key, value, timestampMs, partition] as const;
  });
  await produce(log, client.input, rows);
  const { applicationId } = client;
  const options = { applicationId, idleTimeoutMs: Infinity, stateDir: temporaryDirectory() };
  await runToEnd(log, client.topology(), options);
  return { client, log };
}

/** Writes the last record of a topic once more. */
async function repeatLast(log: Log, client: Client, name: string): Promise<void> {
  const topic = client.topics.find((each) => each.name === name)!;
  const { key, value, timestampMs, partition } = (await readTopic(log, topic)).at(-1)!;
  await produce(log, topic, [[key, value, timestampMs, partition]]);
}

describe.each(['eos', 'eos-repartitioned', 'smoke'] as const)('[EOS-3] the check of %s', (name) => {
  test('finds nothing in an undisturbed run, and each output once there is one more', async () => {
    const { client, log } = await undisturbed(name);
    expect(await client.check(log, RUN, true)).toEqual([]);
    expect(await client.check(log, RUN, false)).toEqual([]);
    for (const { name: output } of client.topics) {
      await repeatLast(log, client, output);
      const found = await client.check(log, RUN, true);
      expect(
        found.some((finding) => finding.startsWith(`${output}: `)),
        output,
      ).toBe(true);
    }
  });

  test('finds input that was not processed, and an open transaction', async () => {
    const { client, log } = await undisturbed(name);
    const output = client.topics[0]!;
    const producer = log.producer({ transactionalId: 'other' });
    const transaction = await producer.beginTransaction();
    transaction.send(output, { key: 'k', value: 1, partition: 0 });
    await producer.flush();
    await produce(log, client.input, [['0-24', 1, 0]]);
    const found = await client.check(log, RUN, true);
    expect(found).toContainEqual(
      expect.stringMatching(/^data: \d+ of \d+ records were processed$/),
    );
    expect(found).toContainEqual(expect.stringContaining('-0: a transaction is open at '));
    await transaction.abort();
  });
});

describe('[EOS-3] a record of an output that', () => {
  const expected = new Map([['0', ['a', 'b', 'c']]]);
  test.each([
    ['is missing', ['a', 'c'], 'record 1 of 0 is c, not b'],
    ['is missing at the end', ['a', 'b'], 'record 2 of 0 is missing, not c'],
    ['is repeated', ['a', 'b', 'b', 'c'], 'record 2 of 0 is b, not c'],
    ['comes too late', ['b', 'a', 'c'], 'record 0 of 0 is b, not a'],
    ['is wrong', ['a', 'x', 'c'], 'record 1 of 0 is x, not b'],
    ['is made up', ['a', 'b', 'c', 'd'], 'record 3 of 0 is d, not absent'],
  ])('%s is found', (_, records, finding) => {
    const actual = new Map([['0', records]]);
    expect(differences('t', expected, actual)).toEqual([`t: ${finding}`]);
    expect(differences('t', expected, expected)).toEqual([]);
  });

  test('is not there yet is none while the application runs', () => {
    const actual = new Map([['0', ['a', 'b']]]);
    expect(differences('t', expected, actual, 'prefix')).toEqual([]);
    expect(differences('t', actual, expected, 'prefix')).toHaveLength(1);
  });
});
