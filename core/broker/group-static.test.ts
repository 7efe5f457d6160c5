import { beforeEach, expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { JoinGroupResponse } from '../protocol/broker-api.ts';
import { CONSUMER_PROTOCOL, encodeSubscription } from '../protocol/consumer-protocol.ts';
import { Group } from './group.ts';

const SESSION_MS = 1000;
const REBALANCE_MS = 600;

let clock: ManualClock;
let group: Group;
let ids: number;

beforeEach(() => {
  clock = new ManualClock();
  ids = 0;
  group = new Group('g', clock, { settled: () => undefined });
});

/** Calls in and, like the broker, makes a throw a rejection. */
const ask = async <T>(call: () => T | Promise<T>): Promise<T> => call();

const metadata = (topics: readonly string[], generation = -1) =>
  encodeSubscription({ topics, ownedPartitions: [], generation });

function join(
  groupInstanceId: string | undefined,
  memberId = '',
  { topics = ['t'], generation = -1 } = {},
): Promise<JoinGroupResponse> {
  const request = {
    groupId: 'g',
    memberId,
    clientId: 'c',
    sessionTimeoutMs: SESSION_MS,
    rebalanceTimeoutMs: REBALANCE_MS,
    protocolType: CONSUMER_PROTOCOL,
    protocols: [{ name: 'range', metadata: metadata(topics, generation) }],
    ...(groupInstanceId !== undefined && { groupInstanceId }),
  };
  return ask(() => group.join(request, () => `m${ids++}`));
}

const member = (memberId: string, generation: number, groupInstanceId?: string) => {
  const id = groupInstanceId === undefined ? {} : { groupInstanceId };
  return { groupId: 'g', memberId, generation, ...id };
};

function sync(who: ReturnType<typeof member>, given: Record<string, string> = {}) {
  const assignments = Object.entries(given).map(([memberId, text]) => {
    return { memberId, assignment: Buffer.from(text) };
  });
  return ask(async () => {
    const { assignment } = await group.sync({ ...who, assignments });
    return Buffer.from(assignment).toString();
  });
}

const heartbeat = (who: ReturnType<typeof member>) => ask(() => group.heartbeat(who));

/** A stable group of the static members m0 (x, the leader) and m1 (y), at generation 2. */
async function pair(): Promise<void> {
  await join('x');
  await sync(member('m0', 1, 'x'), { m0: 'all' });
  const second = join('y');
  await Promise.all([join('x', 'm0', { generation: 1 }), second]);
  await Promise.all([
    sync(member('m1', 2, 'y')),
    sync(member('m0', 2, 'x'), { m0: 'left', m1: 'right' }),
  ]);
  expect([group.state, group.generation]).toEqual(['Stable', 2]);
}

test('[GROUP-18] who comes back has its seat, under a new id; nobody is disturbed', async () => {
  await pair();
  const back = await join('y');
  expect(back).toMatchObject({ memberId: 'm2', generation: 2, leaderId: 'm0', members: [] });
  expect(back.skipAssignment).toBe(true);
  expect(await sync(member('m2', 2, 'y'))).toBe('right');
  await heartbeat(member('m0', 2, 'x'));
  expect([group.state, group.generation, group.memberCount]).toEqual(['Stable', 2, 2]);
});

test('[GROUP-18] a leader that comes back leads, and its assignment stands', async () => {
  await pair();
  const back = await join('x');
  expect(back).toMatchObject({ memberId: 'm2', generation: 2, leaderId: 'm2' });
  expect(back.members.map(({ memberId }) => memberId)).toEqual(['m2', 'm1']);
  expect(await sync(member('m2', 2, 'x'), { m2: 'nothing' })).toBe('left');
  await heartbeat(member('m1', 2, 'y'));
});

test('[GROUP-18] the former of two is fenced, whatever it asks', async () => {
  await pair();
  await join('y');
  const former = member('m1', 2, 'y');
  expect(await codeOf(heartbeat(former))).toBe('FENCED_INSTANCE_ID');
  expect(await codeOf(sync(former))).toBe('FENCED_INSTANCE_ID');
  expect(await codeOf(ask(() => group.checkCommit(former)))).toBe('FENCED_INSTANCE_ID');
  expect(await codeOf(join('y', 'm1'))).toBe('FENCED_INSTANCE_ID');
  expect(await codeOf(ask(() => group.leave(former)))).toBe('FENCED_INSTANCE_ID');
  expect(group.memberCount).toBe(2);
});

test('[GROUP-18] one that waits for the others is fenced at once', async () => {
  await pair();
  const waiting = codeOf(join('y', 'm1', { topics: ['t', 'u'] }));
  const back = join('y');
  expect(await waiting).toBe('FENCED_INSTANCE_ID');
  await join('x', 'm0');
  expect((await back).generation).toBe(3);
});

test('[GROUP-18] who comes back for other topics makes a generation', async () => {
  await pair();
  const back = join('y', '', { topics: ['u'] });
  expect(group.state).toBe('PreparingRebalance');
  expect(await codeOf(heartbeat(member('m0', 2, 'x')))).toBe('REBALANCE_IN_PROGRESS');
  const leader = await join('x', 'm0');
  expect(leader.members.map(({ memberId }) => memberId)).toEqual(['m0', 'm2']);
  expect((await back).generation).toBe(3);
});

test('[GROUP-18] a seat is kept until the session ends, also over a rebalance', async () => {
  await pair();
  const third = join(undefined);
  const leader = join('x', 'm0');
  clock.advance(REBALANCE_MS); // y is away
  expect((await third).generation).toBe(3);
  const { members } = await leader;
  expect(members.map(({ memberId }) => memberId)).toEqual(['m0', 'm1', 'm2']);
  await sync(member('m0', 3, 'x'), { m0: 'a', m1: 'b', m2: 'c' });
  const back = await join('y');
  expect(await sync(member(back.memberId, 3, 'y'))).toBe('b');
  expect(group.state).toBe('Stable');
  clock.advance(SESSION_MS / 2);
  await heartbeat(member('m0', 3, 'x'));
  clock.advance(SESSION_MS / 2); // nobody but x was heard of
  expect(group.memberCount).toBe(1);
});

test('[GROUP-18] a group whose static members are all away waits, and ends with them', async () => {
  await pair();
  const passing = codeOf(join(undefined));
  await Promise.resolve();
  group.leave({ memberId: 'm2' });
  expect(await passing).toBe('UNKNOWN_MEMBER_ID');
  clock.advance(REBALANCE_MS);
  expect([group.state, group.memberCount]).toEqual(['PreparingRebalance', 2]);
  clock.advance(SESSION_MS);
  expect([group.state, group.memberCount]).toEqual(['Empty', 0]);
});

test('[GROUP-18] an operator may send a static member away by its instance id', async () => {
  await pair();
  group.leave({ memberId: '', groupInstanceId: 'y' });
  expect([group.state, group.memberCount]).toEqual(['PreparingRebalance', 1]);
  const unknown = ask(() => group.leave({ memberId: '', groupInstanceId: 'z' }));
  expect(await codeOf(unknown)).toBe('UNKNOWN_MEMBER_ID');
});
