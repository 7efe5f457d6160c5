import { beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import type { GroupProtocol, JoinGroupResponse } from '../protocol/broker-api.ts';
import { Group } from './group.ts';

const SESSION_MS = 1000;
const REBALANCE_MS = 5000;

let clock: ManualClock;
let group: Group;
let stable: number[];
let ids: number;

beforeEach(() => {
  clock = new ManualClock();
  stable = [];
  ids = 0;
  group = new Group('g', clock, { settled: ({ generation }) => stable.push(generation) });
});

const protocol = (name: string, metadata = 'topics'): GroupProtocol => {
  return { name, metadata: Buffer.from(metadata) };
};

/** Calls in and, like the broker, makes a throw a rejection. */
const ask = async <T>(call: () => T | Promise<T>): Promise<T> => call();

function join(memberId = '', protocols = [protocol('range')]): Promise<JoinGroupResponse> {
  const request = {
    groupId: 'g',
    memberId,
    clientId: 'c',
    sessionTimeoutMs: SESSION_MS,
    rebalanceTimeoutMs: REBALANCE_MS,
    protocolType: 'consumer',
    protocols,
  };
  return ask(() => group.join(request, () => `m${ids++}`));
}

function sync(memberId: string, generation: number, assignments: Record<string, string> = {}) {
  const list = Object.entries(assignments).map(([id, assignment]) => {
    return { memberId: id, assignment: Buffer.from(assignment) };
  });
  const request = { groupId: 'g', memberId, generation, assignments: list };
  return ask(async () => Buffer.from((await group.sync(request)).assignment).toString());
}

const heartbeat = (memberId: string, generation: number) =>
  ask(() => group.heartbeat({ groupId: 'g', memberId, generation }));
const commit = (memberId: string, generation: number) =>
  ask(() => group.checkCommit({ groupId: 'g', memberId, generation }));

/** A stable group of m0 (the leader) and m1, at generation 2. */
async function pair(): Promise<void> {
  await join();
  await sync('m0', 1, { m0: 'all' });
  const second = join();
  await Promise.all([join('m0'), second]);
  await Promise.all([sync('m1', 2), sync('m0', 2, { m0: 'a', m1: 'b' })]);
  expect([group.state, group.generation]).toEqual(['Stable', 2]);
}

describe('states', () => {
  test('[GROUP-1] the first member leads a generation of its own', async () => {
    expect(group.state).toBe('Empty');
    const joined = await join();
    expect(joined).toMatchObject({ memberId: 'm0', generation: 1, leaderId: 'm0' });
    expect(joined.members.map(({ memberId }) => memberId)).toEqual(['m0']);
    expect(group.state).toBe('CompletingRebalance');
    expect(await sync('m0', 1, { m0: 'all' })).toBe('all');
    expect([group.state, stable]).toEqual(['Stable', [1]]);
  });

  test('[GROUP-1] a new member makes all join anew, and followers learn no members', async () => {
    await join();
    await sync('m0', 1, { m0: 'all' });
    const second = join();
    expect(group.state).toBe('PreparingRebalance');
    expect(await codeOf(heartbeat('m0', 1))).toBe('REBALANCE_IN_PROGRESS');
    const [leader, follower] = await Promise.all([join('m0'), second]);
    expect(leader.members.map(({ memberId }) => memberId)).toEqual(['m0', 'm1']);
    expect(follower).toMatchObject({ generation: 2, leaderId: 'm0', members: [] });
    const waiting = sync('m1', 2);
    expect(await sync('m0', 2, { m0: 'a', m1: 'b' })).toBe('a');
    expect(await waiting).toBe('b');
  });

  // Kafka's answers, by state and request.
  test.each([
    ['Stable', 'heartbeat', 'resolved'],
    ['Stable', 'sync', 'resolved'],
    ['Stable', 'commit', 'resolved'],
    ['PreparingRebalance', 'heartbeat', 'REBALANCE_IN_PROGRESS'],
    ['PreparingRebalance', 'sync', 'REBALANCE_IN_PROGRESS'],
    ['PreparingRebalance', 'commit', 'resolved'],
    ['CompletingRebalance', 'heartbeat', 'resolved'],
    ['CompletingRebalance', 'commit', 'REBALANCE_IN_PROGRESS'],
  ])('[GROUP-2] while %s, %s is %s', async (state, request, expected) => {
    await pair();
    if (state !== 'Stable') void codeOf(join());
    if (state === 'CompletingRebalance') await Promise.all([join('m0'), join('m1')]);
    expect(group.state).toBe(state);
    const calls = { heartbeat, sync, commit };
    const call = calls[request as keyof typeof calls];
    expect(await codeOf(call('m1', group.generation))).toBe(expected);
  });

  test('[GROUP-2] strangers and other generations are refused', async () => {
    await pair();
    for (const call of [heartbeat, sync, commit]) {
      expect(await codeOf(call('m9', 2))).toBe('UNKNOWN_MEMBER_ID');
      expect(await codeOf(call('m1', 1))).toBe('ILLEGAL_GENERATION');
      expect(await codeOf(call('m1', 3))).toBe('ILLEGAL_GENERATION');
    }
    expect(await codeOf(join('m9'))).toBe('UNKNOWN_MEMBER_ID');
    expect(await codeOf(commit('', -1))).toBe('UNKNOWN_MEMBER_ID');
    group.leave({ memberId: 'm0' });
    group.leave({ memberId: 'm1' });
    expect(await codeOf(commit('', -1))).toBe('resolved');
    expect(await codeOf(heartbeat('m0', 2))).toBe('UNKNOWN_MEMBER_ID');
  });

  test('[GROUP-2] who joins as before only gets its answer again, unless it leads', async () => {
    await pair();
    expect(await join('m1')).toMatchObject({ generation: 2, memberId: 'm1' });
    expect(group.state).toBe('Stable');
    void codeOf(join('m0'));
    expect(group.state).toBe('PreparingRebalance');
    await join('m1');
    expect([group.state, group.generation]).toEqual(['CompletingRebalance', 3]);
    const again = await join('m0');
    expect([again.generation, again.members.length]).toEqual([3, 2]);
    void codeOf(join('m1', [protocol('range', 'other topics')]));
    expect(group.state).toBe('PreparingRebalance');
  });
});

describe('members that go', () => {
  test('[GROUP-3] leaving makes the others join anew; the last one empties the group', async () => {
    await pair();
    group.leave({ memberId: 'm0' });
    expect(group.state).toBe('PreparingRebalance');
    expect(await join('m1')).toMatchObject({ generation: 3, leaderId: 'm1' });
    group.leave({ memberId: 'm1' });
    expect(group.state).toBe('Empty');
    expect(await codeOf(join('m1'))).toBe('UNKNOWN_MEMBER_ID');
    expect(await join()).toMatchObject({ generation: 5, leaderId: 'm2' });
  });

  test('[GROUP-3] a member that is silent for its session timeout is gone', async () => {
    await pair();
    clock.advance(SESSION_MS - 1);
    await heartbeat('m0', 2);
    clock.advance(1);
    expect(group.memberCount).toBe(1);
    expect(await codeOf(heartbeat('m1', 2))).toBe('UNKNOWN_MEMBER_ID');
    expect(await join('m0')).toMatchObject({ generation: 3 });
  });

  test('[GROUP-3] waiting is not silence: who joins stays while others delay', async () => {
    await pair();
    const third = join();
    const first = join('m0');
    for (let ms = 0; ms < 2 * SESSION_MS; ms += 100) {
      clock.advance(100);
      await codeOf(heartbeat('m1', 2));
    }
    await join('m1');
    expect((await first).members).toHaveLength(3);
    await third;
  });

  test('[GROUP-3] a rebalance goes on without those who do not join in time', async () => {
    await pair();
    const third = join();
    const first = join('m0');
    for (let ms = 0; ms < REBALANCE_MS; ms += 100) {
      clock.advance(100);
      await codeOf(heartbeat('m1', 2));
    }
    expect((await first).members.map(({ memberId }) => memberId)).toEqual(['m0', 'm2']);
    await third;
    expect(await codeOf(heartbeat('m1', 2))).toBe('UNKNOWN_MEMBER_ID');
  });

  test('[GROUP-3] a leader that goes before it assigned makes the rest join anew', async () => {
    await pair();
    const third = join();
    await Promise.all([join('m0'), join('m1'), third]);
    const waiting = codeOf(sync('m1', 3));
    group.leave({ memberId: 'm0' });
    expect(await waiting).toBe('REBALANCE_IN_PROGRESS');
    const [second] = await Promise.all([join('m1'), join('m2')]);
    expect(second).toMatchObject({ generation: 4, leaderId: 'm1' });
  });

  test('[GROUP-3] one that joins and goes before the others have joined is forgotten', async () => {
    await pair();
    const third = codeOf(join());
    group.leave({ memberId: 'm2' });
    expect(await third).toBe('UNKNOWN_MEMBER_ID');
    await Promise.all([join('m0'), join('m1')]);
    expect(group.memberCount).toBe(2);
  });

  test('[GROUP-3] a second request of a member answers the first', async () => {
    await pair();
    void codeOf(join());
    const first = codeOf(join('m0'));
    void codeOf(join('m0'));
    expect(await first).toBe('REBALANCE_IN_PROGRESS');
  });

  test('[GROUP-3] the end of the broker answers all who wait', async () => {
    await pair();
    const waiting = [codeOf(join()), codeOf(join('m0'))];
    const { LogError } = await import('../errors.ts');
    group.close(new LogError('CLOSED', 'the log is closed', { what: 'the log' }));
    expect(await Promise.all(waiting)).toEqual(['CLOSED', 'CLOSED']);
    clock.advance(10 * REBALANCE_MS); // no timer is left to fail
  });
});

describe('protocols', () => {
  test('[GROUP-4] the protocol is one that all know, and most prefer', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => protocol(name));
    await join('', [a!, b!, c!]);
    const second = join('', [b!, c!]);
    const third = join('', [c!, b!]);
    await join('m0', [a!, b!, c!]);
    const joined = await Promise.all([second, third]);
    expect(joined.map(({ protocol: chosen }) => chosen)).toEqual(['b', 'b']);
  });

  test('[GROUP-4] who has no protocol in common with the others cannot join', async () => {
    await join('', [protocol('a')]);
    expect(await codeOf(join('', [protocol('b')]))).toBe('INCONSISTENT_GROUP_PROTOCOL');
    expect(group.memberCount).toBe(1);
  });
});
