import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { adminOf, throughPort } from '../../../test/kit/port.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { Admin } from './admin.ts';
import type { AlteredOffset, OffsetTarget } from '../group/group-offsets.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 2 });
const numbers = topic('numbers', { key: string(), value: string(), partitions: 1 });

const open = (directory = temporaryDirectory()) => openLog(directory, { logger: silentLogger });

/** Ten records in each partition, stamped 0, 1000, 2000 and so on. */
async function fill(log: Log): Promise<void> {
  const producer = log.producer();
  for (const [handle, partition] of [
    [letters, 0],
    [letters, 1],
    [numbers, 0],
  ] as const) {
    const records = Array.from({ length: 10 }, (_, index) => {
      return { value: String(index), timestampMs: index * 1000, partition };
    });
    await producer.sendAll(handle, records);
  }
}

const commit = (log: Log, groupId: string, offsets: Record<string, number>) =>
  log.api.offsetCommit({
    groupId,
    memberId: '',
    generation: -1,
    offsets: Object.entries(offsets).map(([key, offset]) => {
      const [name = '', partition] = key.split('-');
      return { topic: name, partition: Number(partition), offset, metadata: `at ${offset}` };
    }),
  });

/** What a group has committed, by partition. */
async function committed(log: Log, groupId: string): Promise<Record<string, number>> {
  const { offsets } = await log.api.offsetFetch({ groupId, requireStable: false });
  return Object.fromEntries(
    offsets.map(({ topic: name, partition, offset }) => [`${name}-${partition}`, offset]),
  );
}

describe('what is told of groups', () => {
  test('[ADMIN-7] groups are listed by state, and described by member', async () => {
    await using log = await open();
    await fill(log);
    const admin = adminOf(log);
    await commit(log, 'still', { 'letters-0': 1 });
    await using consumer = log.consumer({ groupId: 'busy', clientId: 'c' }).subscribe([letters]);
    await consumer.poll();
    expect(await admin.listGroups({ states: ['Stable'] })).toEqual([
      { groupId: 'busy', state: 'Stable', protocolType: 'consumer' },
    ]);
    const empty = await admin.listGroups({ states: ['Empty', 'Dead'] });
    expect(empty.map(({ groupId }) => groupId)).toEqual(['still']);
    expect(await admin.listGroups()).toHaveLength(2);
    const { members, ...group } = await admin.describeGroup('busy');
    expect(group).toEqual({
      groupId: 'busy',
      state: 'Stable',
      protocolType: 'consumer',
      protocol: 'range',
    });
    expect(members).toHaveLength(1);
    expect(members[0]?.clientId).toMatch(/^c-/);
    expect(members[0]?.assignment).toEqual([
      { topic: 'letters', partition: 0 },
      { topic: 'letters', partition: 1 },
    ]);
    expect(await codeOf(admin.describeGroup('x'))).toBe('GROUP_ID_NOT_FOUND');
  });

  test('[ADMIN-9] committed offsets are listed with their lag', async () => {
    await using log = await open();
    await fill(log);
    const admin = adminOf(log);
    await commit(log, 'g', { 'letters-0': 4, 'numbers-0': 10 });
    const [first, second] = await admin.listGroupOffsets('g');
    const rest = { partition: 0, logEndOffset: 10 };
    expect(first).toEqual({ topic: 'letters', offset: 4, metadata: 'at 4', lag: 6, ...rest });
    expect(second).toEqual({ topic: 'numbers', offset: 10, metadata: 'at 10', lag: 0, ...rest });
    expect(await codeOf(admin.listGroupOffsets('x'))).toBe('GROUP_ID_NOT_FOUND');
  });
});

describe('groups are forgotten', () => {
  test('[ADMIN-8] a group without members is deleted, one with members is not', async () => {
    const directory = temporaryDirectory();
    {
      await using log = await open(directory);
      await fill(log);
      const admin = adminOf(log);
      const consumer = log.consumer({ groupId: 'read' }).subscribe([letters]);
      await consumer.poll();
      expect(await codeOf(admin.deleteGroups(['read']))).toBe('NON_EMPTY_GROUP');
      await consumer.close();
      await commit(log, 'kept', { 'letters-0': 3 });
      await commit(log, 'offsets-only', { 'letters-0': 3 });
      expect(await codeOf(admin.deleteGroups(['x', 'offsets-only']))).toBe('GROUP_ID_NOT_FOUND');
      await admin.deleteGroups(['read']);
      expect((await admin.listGroups()).map(({ groupId }) => groupId)).toEqual(['kept']);
      expect(await codeOf(admin.deleteGroups(['read']))).toBe('GROUP_ID_NOT_FOUND');
    }
    await using log = await open(directory);
    expect((await log.admin().listGroups()).map(({ groupId }) => groupId)).toEqual(['kept']);
    await using consumer = log.consumer({ groupId: 'read' }).subscribe([letters]);
    expect((await consumer.poll())[0]?.offset).toBe(0);
  });

  test('[ADMIN-8] so is what a transaction was about to commit for it', async () => {
    await using log = await open();
    await fill(log);
    const transaction = await log.producer({ transactionalId: 'tx' }).beginTransaction();
    await transaction.sendOffsets(
      [{ topic: 'letters', partition: 0, offset: 5, metadata: '' }],
      'g',
    );
    await commit(log, 'g', { 'letters-1': 1 });
    await adminOf(log).deleteGroups(['g']);
    await transaction.commit();
    expect(await committed(log, 'g')).toEqual({});
  });

  test('[ADMIN-12] offsets are deleted for topics that no member reads', async () => {
    const directory = temporaryDirectory();
    {
      await using log = await open(directory);
      await fill(log);
      const admin = adminOf(log);
      await commit(log, 'g', { 'letters-0': 1, 'letters-1': 2, 'numbers-0': 3 });
      const options = { groupId: 'g', enableAutoCommit: false };
      await using consumer = log.consumer(options).subscribe([letters]);
      await consumer.poll();
      const both = [
        { topic: 'letters', partition: 0 },
        { topic: 'numbers', partition: 0 },
      ];
      expect(await codeOf(admin.deleteGroupOffsets('g', both))).toBe('GROUP_SUBSCRIBED_TO_TOPIC');
      expect(await committed(log, 'g')).toEqual({ 'letters-0': 1, 'letters-1': 2 });
      await consumer.close();
      await admin.deleteGroupOffsets('g', [{ topic: 'letters', partition: 0 }]);
      expect(await codeOf(admin.deleteGroupOffsets('x', both))).toBe('GROUP_ID_NOT_FOUND');
    }
    await using log = await open(directory);
    expect(await committed(log, 'g')).toEqual({ 'letters-1': 2 });
  });

  test('[ADMIN-12] a group of others than consumers is asked to be empty', async () => {
    await using log = await open();
    await fill(log);
    await commit(log, 'workers', { 'letters-0': 1 });
    const joined = await log.api.joinGroup({
      groupId: 'workers',
      memberId: '',
      clientId: 'worker',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      protocolType: 'connect',
      protocols: [{ name: 'compatible', metadata: new Uint8Array([1]) }],
    });
    const place = { topic: 'numbers', partition: 0 };
    const admin = adminOf(log);
    expect(await codeOf(admin.deleteGroupOffsets('workers', [place]))).toBe('NON_EMPTY_GROUP');
    expect((await admin.describeGroup('workers')).members[0]?.assignment).toEqual([]);
    await log.api.leaveGroup({ groupId: 'workers', memberId: joined.memberId });
    await admin.deleteGroupOffsets('workers', [{ topic: 'letters', partition: 0 }]);
    expect(await committed(log, 'workers')).toEqual({});
  });
});

describe('groups are moved', () => {
  /** Where the target puts a group that stands at 4 in a log of [2, 10). */
  const TARGETS: readonly (readonly [OffsetTarget, number, boolean])[] = [
    ['earliest', 2, false],
    ['latest', 10, false],
    ['current', 4, false],
    [{ offset: 7 }, 7, false],
    [{ offset: 1 }, 2, true],
    [{ offset: 11 }, 10, true],
    [{ offset: -1 }, 2, true],
    [{ timestampMs: 4500 }, 5, false],
    [{ timestampMs: 0 }, 2, false],
    [{ timestampMs: 9001 }, 10, false],
    [{ durationMs: 4000 }, 6, false],
    [{ shiftBy: 3 }, 7, false],
    [{ shiftBy: -1 }, 3, false],
    [{ shiftBy: -5 }, 2, true],
    [{ shiftBy: 100 }, 10, true],
  ];

  test.each(TARGETS)('[ADMIN-10] to %j: offset %i', async (to, offset, isClamped) => {
    await using log = await open();
    await fill(log);
    const admin = new Admin(throughPort(log.api), { clock: new ManualClock(10_000) });
    await admin.deleteRecords([{ topic: 'numbers', partition: 0, offset: 2 }]);
    await commit(log, 'g', { 'numbers-0': 4, 'letters-0': 1 });
    const expected = { topic: 'numbers', partition: 0, from: 4, to: offset, isClamped };
    const plan = await admin.alterGroupOffsets('g', { to, of: ['numbers'], dryRun: true });
    expect(plan).toEqual([expected]);
    expect(await committed(log, 'g')).toEqual({ 'numbers-0': 4, 'letters-0': 1 });
    expect(await admin.alterGroupOffsets('g', { to, of: ['numbers'] })).toEqual([expected]);
    expect(await committed(log, 'g')).toEqual({ 'numbers-0': offset, 'letters-0': 1 });
  });

  test('[ADMIN-10] in all that is committed, or in topics and partitions, each once', async () => {
    const directory = temporaryDirectory();
    {
      await using log = await open(directory);
      await fill(log);
      const admin = adminOf(log);
      await commit(log, 'g', { 'letters-1': 4, 'numbers-0': 4 });
      await admin.alterGroupOffsets('g', { to: { shiftBy: 1 } });
      expect(await committed(log, 'g')).toEqual({ 'letters-1': 5, 'numbers-0': 5 });
      const one = { topic: 'numbers', partition: 0 };
      const of = ['letters', { topic: 'letters', partition: 1 }, one];
      const plan = await admin.alterGroupOffsets('new', { to: { offset: 8 }, of });
      const rest = { from: undefined, to: 8, isClamped: false };
      expect(plan).toEqual<AlteredOffset[]>([
        { topic: 'letters', partition: 0, ...rest },
        { topic: 'letters', partition: 1, ...rest },
        { topic: 'numbers', partition: 0, ...rest },
      ]);
    }
    await using log = await open(directory);
    expect(await committed(log, 'new')).toEqual({ 'letters-0': 8, 'letters-1': 8, 'numbers-0': 8 });
    await using consumer = log.consumer({ groupId: 'new' }).subscribe([numbers]);
    expect((await consumer.poll()).map(({ value }) => value)).toEqual(['8', '9']);
  });

  test('[ADMIN-11] not while there are members, nor to what makes no sense', async () => {
    await using log = await open();
    await fill(log);
    const admin = adminOf(log);
    await commit(log, 'g', { 'letters-0': 4 });
    const attempt = (request: object) =>
      codeOf(admin.alterGroupOffsets('g', request as { to: OffsetTarget }));
    expect(await attempt({ to: 'sometime' })).toBe('INVALID_OPTION');
    expect(await attempt({ to: { offset: 1.5 } })).toBe('INVALID_OPTION');
    expect(await attempt({ to: { offset: 1, shiftBy: 1 } })).toBe('INVALID_OPTION');
    expect(await attempt({})).toBe('INVALID_OPTION');
    expect(await attempt({ to: 'latest', dryrun: true })).toBe('UNKNOWN_OPTION');
    expect(await attempt({ to: { shiftBy: 1 }, of: ['numbers'] })).toBe('INVALID_OPTION');
    expect(await attempt({ to: 'latest', of: ['x'] })).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    const nowhere = { to: 'latest', of: [{ topic: 'letters', partition: 2 }] };
    expect(await attempt(nowhere)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    const unknown = admin.alterGroupOffsets('x', { to: 'latest' });
    expect(await codeOf(unknown)).toBe('GROUP_ID_NOT_FOUND');
    const options = { groupId: 'g', enableAutoCommit: false };
    await using consumer = log.consumer(options).subscribe([letters]);
    await consumer.poll();
    expect(await attempt({ to: 'latest' })).toBe('NON_EMPTY_GROUP');
    expect(await attempt({ to: 'latest', dryRun: true })).toBe('NON_EMPTY_GROUP');
    expect(await committed(log, 'g')).toEqual({ 'letters-0': 4 });
  });

  test('[ADMIN-11] nor when somebody joins at the last moment', async () => {
    await using log = await open();
    await fill(log);
    await commit(log, 'g', { 'letters-0': 4 });
    await using consumer = log.consumer({ groupId: 'g', enableAutoCommit: false });
    const api = tap(log.api, {
      offsetCommit: async (request) => {
        await consumer.subscribe([letters]).poll();
        return log.api.offsetCommit(request);
      },
    });
    const altered = new Admin(api).alterGroupOffsets('g', { to: 'latest' });
    expect(await codeOf(altered)).toBe('NON_EMPTY_GROUP');
    expect(await committed(log, 'g')).toEqual({ 'letters-0': 4 });
  });
});
