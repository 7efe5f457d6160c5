import fc from 'fast-check';
import {
  cooperativeStickyAssignor,
  rangeAssignor,
  roundRobinAssignor,
  stickyAssignor,
  type AssignedMember,
  type Assignor,
  type TopicPartition,
} from 'millrace';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../core/protocol/consumer-protocol.ts';
import { withoutTransfers } from '../../core/client/group/sticky-assignor.ts';
import { SEED } from '../kit/seed.ts';
import { KafkaPlayer } from './player.ts';

/** Subscriptions and assignments of members, compared with Kafka's clients. */
let kafka: KafkaPlayer;
beforeAll(() => {
  kafka = new KafkaPlayer();
});
afterAll(() => kafka.kill());

const ASSIGNORS = [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor];
const TOPICS = ['a', 'b', 'B-2', 'long.name_of-a.topic', 'z'];
const MEMBERS = ['m1', 'm2', 'm10', 'M3', 'n', 'o'];

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic} ${partition}`;
const namesOf = (partitions: readonly TopicPartition[] = []): string[] =>
  partitions.map(nameOf).sort();
const somePartitions = fc.uniqueArray(
  fc.record({ topic: fc.constantFrom(...TOPICS), partition: fc.nat(12) }),
  { selector: nameOf, maxLength: 12 },
);

/** The bytes that one of our members would send. */
function subscriptionOf(assignor: Assignor, member: Omit<AssignedMember, 'memberId'>): Buffer {
  const { topics, ownedPartitions: partitions, generation } = member;
  const userData = assignor.userData?.({ generation, partitions });
  const ownedPartitions = assignor.isCooperative === true || !hasData(assignor) ? partitions : [];
  return encodeSubscription({ topics, ownedPartitions, generation, userData });
}

const hasData = (assignor: Assignor): boolean => 'userData' in assignor;

test.each(ASSIGNORS)(`[GROUP-14] $name: the bytes of members (seed ${SEED})`, async (assignor) => {
  const member = fc.record({
    topics: fc.subarray(TOPICS, { minLength: 1 }),
    partitions: somePartitions,
    generation: fc.constantFrom(-1, 0, 7, 2 ** 31 - 1),
    rack: fc.option(fc.string({ maxLength: 5 })),
  });
  const same = fc.asyncProperty(member, async ({ topics, partitions, generation, rack }) => {
    // Kafka's StickyAssignor lists topics in HashMap order, which is known only for a single topic.
    const isKnown = ({ topic }: TopicPartition): boolean =>
      assignor !== stickyAssignor || topic === partitions[0]?.topic;
    const had = generation < 0 ? [] : partitions.filter(isKnown);
    const asked = { assignor: assignor.name, topics, partitions: had, generation };
    const theirs = await kafka.member({ ...asked, rack: null });
    const isEager = assignor.isCooperative !== true;
    const userData = assignor.userData?.({ generation, partitions: had });
    const ownedPartitions = isEager ? [] : had;
    const ours = encodeSubscription({ topics, ownedPartitions, generation, userData });
    expect(ours.toString('hex')).toBe(theirs.subscription.toString('hex'));
    expect(encodeAssignment(had).toString('hex')).toBe(theirs.assignment.toString('hex'));
    expect(namesOf(decodeAssignment(theirs.assignment))).toEqual(namesOf(had));
    // A rack is skipped.
    const { subscription } = await kafka.member({ ...asked, rack });
    expect(decodeSubscription(subscription)).toEqual(decodeSubscription(theirs.subscription));
  });
  await fc.assert(same, { seed: SEED, numRuns: 100 });
});

interface Group {
  readonly members: readonly AssignedMember[];
  readonly partitions: Readonly<Record<string, number>>;
}

/** Members of a group; some are static, and some have partitions, each of them its own. */
const groups: fc.Arbitrary<Group> = fc
  .record({
    ids: fc.subarray(MEMBERS, { minLength: 1 }),
    isSame: fc.boolean(),
    wanted: fc.array(fc.subarray(TOPICS, { minLength: 1 }), { minLength: 6, maxLength: 6 }),
    isStatic: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
    counts: fc.array(fc.nat(9), { minLength: TOPICS.length, maxLength: TOPICS.length }),
    owners: fc.array(fc.nat(9), { minLength: 45, maxLength: 45 }),
  })
  .map(({ ids, isSame, wanted, isStatic, counts, owners }) => {
    const existing = TOPICS.map((topic, index) => [topic, counts[index]!] as const);
    const partitions = existing.filter(([, count]) => count > 0);
    const all = partitions.flatMap(([topic, count]) =>
      Array.from({ length: count }, (_, partition) => ({ topic, partition })),
    );
    const members = ids.map((memberId, index) => {
      const topics = wanted[isSame ? 0 : index]!;
      const ownedPartitions = all.filter(
        ({ topic }, at) => owners[at] === index && topics.includes(topic),
      );
      const instance = isStatic[index] === true && { groupInstanceId: `i${9 - index}` };
      const generation = ownedPartitions.length > 0 ? 3 : -1;
      return { memberId, topics, ownedPartitions, generation, ...instance };
    });
    return { members, partitions: Object.fromEntries(partitions) };
  });

/** The assignments of Kafka's assignor, from the bytes that our members send, and of ours. */
async function bothAssign(assignor: Assignor, { members, partitions }: Group) {
  const seen = members.map((member) => {
    const subscription = subscriptionOf(assignor, member);
    return { ...member, ...decodeSubscription(subscription), subscription };
  });
  const theirs = await kafka.assign({
    assignor: assignor.name,
    members: Object.fromEntries(
      seen.map(({ memberId, groupInstanceId, subscription }) => {
        const bytes = { subscription: subscription.toString('latin1') };
        return [memberId, groupInstanceId === undefined ? bytes : { ...bytes, groupInstanceId }];
      }),
    ),
    partitions,
  });
  const assigned = assignor.assign(seen, new Map(Object.entries(partitions)));
  const ours = assignor.isCooperative === true ? withoutTransfers(assigned, seen) : assigned;
  return {
    ours: Object.fromEntries(members.map(({ memberId: id }) => [id, namesOf(ours.get(id))])),
    theirs: Object.fromEntries(members.map(({ memberId: id }) => [id, namesOf(theirs[id])])),
  };
}

test.each([
  ['[GROUP-13] range', rangeAssignor],
  ['[GROUP-15] roundrobin', roundRobinAssignor],
])(`%s gives what Kafka's gives (seed ${SEED})`, async (_, assignor) => {
  const same = fc.asyncProperty(groups, async (group) => {
    const { ours, theirs } = await bothAssign(assignor, group);
    expect(ours).toEqual(theirs);
  });
  await fc.assert(same, { seed: SEED, numRuns: 300 });
});

type Shares = Readonly<Record<string, readonly string[]>>;

/** The imbalance of shares: the sum of the differences between each two. */
function unevenness(shares: Shares): number {
  const counts = Object.values(shares).map(({ length }) => length);
  return counts.reduce((sum, a) => sum + counts.reduce((all, b) => all + Math.abs(a - b), 0), 0);
}

/** How many partitions keep their owner. */
function keptCount({ members }: Group, shares: Shares): number {
  const kept = members.flatMap(({ memberId, ownedPartitions }) => {
    return namesOf(ownedPartitions).filter((name) => shares[memberId]?.includes(name));
  });
  return kept.length;
}

// The two choose differently among equally good shares, so the shares are not the same.
test(`[GROUP-16] sticky is as even as Kafka's, and keeps as many (seed ${SEED})`, async () => {
  const asGood = fc.asyncProperty(groups, async (group) => {
    const { ours, theirs } = await bothAssign(stickyAssignor, group);
    expect(Object.values(ours).flat().sort()).toEqual(Object.values(theirs).flat().sort());
    if (!wantTheSame(group)) return; // then both stop at a local optimum
    expect(unevenness(ours)).toBe(unevenness(theirs));
    expect(keptCount(group, ours)).toBe(keptCount(group, theirs));
  });
  await fc.assert(asGood, { seed: SEED, numRuns: 300 });
});

// Kafka's assignor itself leaves out partitions that another member still has.
test(`[GROUP-17] cooperative-sticky assigns as many as Kafka's (seed ${SEED})`, async () => {
  const asGood = fc.asyncProperty(groups, async (group) => {
    fc.pre(wantTheSame(group));
    const { ours, theirs } = await bothAssign(cooperativeStickyAssignor, group);
    const handedOut = (shares: Shares): number => Object.values(shares).flat().length;
    expect(keptCount(group, ours)).toBe(keptCount(group, theirs));
    expect(handedOut(ours)).toBe(handedOut(theirs));
  });
  await fc.assert(asGood, { seed: SEED, numRuns: 200 });
});

function wantTheSame({ members }: Group): boolean {
  return new Set(members.map(({ topics }) => topics.join())).size === 1;
}
