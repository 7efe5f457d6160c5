import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SEED } from '../../../test/kit/seed.ts';
import type { TopicPartition } from '../../protocol/broker-api.ts';
import type { AssignedMember, Assignor } from './assignors.ts';
import { cooperativeStickyAssignor, stickyAssignor, withoutTransfers } from './sticky-assignor.ts';

type Assignment = Map<string, TopicPartition[]>;

const names = (partitions: readonly TopicPartition[] = []) =>
  partitions.map(({ topic, partition }) => `${topic}${partition}`).sort();

/** Members as an assignor sees them, with what they have by `assignment`. */
function membersOf(
  topics: Readonly<Record<string, readonly string[]>>,
  assignment: Assignment = new Map(),
  generation = 1,
): AssignedMember[] {
  return Object.entries(topics).map(([memberId, wanted]) => {
    const partitions = assignment.get(memberId) ?? [];
    const had = partitions.length > 0 ? generation : -1;
    const userData = stickyAssignor.userData?.({ generation: had, partitions });
    return { memberId, topics: wanted, ownedPartitions: partitions, generation: had, userData };
  });
}

const TOPICS = ['t', 'u', 'v'];
const MEMBERS = ['a', 'b', 'c', 'd', 'e', 'f'];

const counts = fc.record({
  t: fc.nat({ max: 12 }),
  u: fc.nat({ max: 7 }),
  v: fc.nat({ max: 3 }),
});
const same = fc
  .subarray(MEMBERS, { minLength: 1 })
  .map((ids) => Object.fromEntries(ids.map((id) => [id, TOPICS])));
const different = fc
  .subarray(MEMBERS, { minLength: 1 })
  .chain((ids) =>
    fc
      .tuple(...ids.map(() => fc.subarray(TOPICS, { minLength: 1 })))
      .map((wanted) => Object.fromEntries(ids.map((id, index) => [id, wanted[index]!]))),
  );

const mapOf = (of: Record<string, number>) => new Map(Object.entries(of));

function expectBalanced(
  members: AssignedMember[],
  assignment: Assignment,
  of: Map<string, number>,
) {
  const dealt = [...assignment.values()].flat();
  expect(new Set(names(dealt)).size).toBe(dealt.length);
  const wanted = new Set(members.flatMap(({ topics }) => topics));
  const total = [...of].reduce((sum, [name, count]) => sum + (wanted.has(name) ? count : 0), 0);
  expect(dealt.length).toBe(total);
  for (const { memberId, topics } of members) {
    const own = assignment.get(memberId) ?? [];
    expect(topics).toEqual(expect.arrayContaining(own.map(({ topic }) => topic)));
    for (const other of members) {
      const takes = own.some(({ topic }) => other.topics.includes(topic));
      const fewer = (assignment.get(other.memberId) ?? []).length;
      if (takes) expect(own.length - fewer).toBeLessThanOrEqual(1);
    }
  }
}

const moved = (before: Assignment, after: Assignment) =>
  [...after].flatMap(([memberId, partitions]) => {
    const had = new Set(names(before.get(memberId)));
    return names(partitions).filter((name) => !had.has(name));
  });

describe.each([stickyAssignor, cooperativeStickyAssignor])('$name', (assignor: Assignor) => {
  test(`[GROUP-16] is even, and repeated it moves nothing (seed ${SEED})`, () => {
    const property = fc.property(fc.oneof(same, different), counts, (wanted, sizes) => {
      const of = mapOf(sizes);
      const first = assignor.assign(membersOf(wanted), of);
      expectBalanced(membersOf(wanted), first, of);
      const again = assignor.assign(membersOf(wanted, first), of);
      expect(moved(first, again)).toEqual([]);
    });
    fc.assert(property, { seed: SEED, numRuns: 300 });
  });

  test(`[GROUP-16] moves no more than evenness needs, whoever comes or goes (seed ${SEED})`, () => {
    const property = fc.property(same, same, counts, (before, after, sizes) => {
      const of = mapOf(sizes);
      const first = assignor.assign(membersOf(before), of);
      const members = membersOf(after, first);
      const second = assignor.assign(members, of);
      expectBalanced(members, second, of);
      // The fewest: what nobody had, and what members have above the largest shares there can be.
      const total = sizes.t + sizes.u + sizes.v;
      const least = Math.floor(total / members.length);
      const had = members.map(({ memberId }) => (first.get(memberId) ?? []).length);
      const large = had.sort((x, y) => y - x);
      const kept = large.reduce(
        (sum, count, index) =>
          sum + Math.min(count, least + (index < total % members.length ? 1 : 0)),
        0,
      );
      expect(moved(first, second).length).toBe(total - kept);
    });
    fc.assert(property, { seed: SEED, numRuns: 300 });
  });

  test(`[GROUP-16] with other topics wanted it is even too (seed ${SEED})`, () => {
    const property = fc.property(different, different, counts, (before, after, sizes) => {
      const of = mapOf(sizes);
      const first = assignor.assign(membersOf(before), of);
      const members = membersOf(after, first);
      expectBalanced(members, assignor.assign(members, of), of);
    });
    fc.assert(property, { seed: SEED, numRuns: 300 });
  });

  test('[GROUP-16] of two claims to a partition the later generation wins', () => {
    const of = new Map([['t', 2]]);
    const all = new Map([
      ['a', [0, 1].map((partition) => ({ topic: 't', partition }))],
      ['b', [0].map((partition) => ({ topic: 't', partition }))],
    ]);
    const wanted = { a: ['t'], b: ['t'] };
    const [late, early] = [membersOf(wanted, all, 5), membersOf(wanted, all, 4)];
    const result = assignor.assign([early[0]!, late[1]!], of);
    expect([names(result.get('a')), names(result.get('b'))]).toEqual([['t1'], ['t0']]);
  });
});

test('[GROUP-14] sticky members send the bytes of Kafka’s StickyAssignor', () => {
  const partitions = [
    { topic: 'a', partition: 1 },
    { topic: 'a', partition: 2 },
  ];
  const hex = (assignor: Assignor, generation: number) =>
    Buffer.from(assignor.userData?.({ generation, partitions }) ?? []).toString('hex');
  expect(hex(stickyAssignor, 3)).toBe(
    '00000001' + '000161' + '00000002' + '00000001' + '00000002' + '00000003',
  );
  expect(hex(stickyAssignor, -1)).toBe('');
  expect(hex(cooperativeStickyAssignor, 3)).toBe('00000003');
});

test(`[GROUP-17] nothing is handed out that another still has; soon all is (seed ${SEED})`, () => {
  const property = fc.property(different, different, counts, (before, after, sizes) => {
    const of = mapOf(sizes);
    let has = cooperativeStickyAssignor.assign(membersOf(before), of);
    for (let round = 0; ; round++) {
      expect(round).toBeLessThan(4);
      const members = membersOf(after, has);
      const wanted = cooperativeStickyAssignor.assign(members, of);
      const next = withoutTransfers(wanted, members);
      for (const [memberId, partitions] of next) {
        const others = members.filter((member) => member.memberId !== memberId);
        const theirs = new Set(others.flatMap(({ ownedPartitions }) => names(ownedPartitions)));
        expect(names(partitions).filter((name) => theirs.has(name))).toEqual([]);
      }
      const isDone = moved(has, next).length === 0 && moved(next, has).length === 0;
      has = next;
      if (isDone) break;
    }
    expectBalanced(membersOf(after), has, of);
  });
  fc.assert(property, { seed: SEED, numRuns: 300 });
});
