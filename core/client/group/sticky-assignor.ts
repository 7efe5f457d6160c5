import type { TopicPartition } from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import { readPartitions, writePartitions } from '../../protocol/consumer-protocol.ts';
import { StructReader, StructWriter } from '../../protocol/struct-codec.ts';
import { asBuffer } from '../../serde/serde.ts';
import { allPartitions, nothingFor, type AssignedMember, type Assignor } from './assignors.ts';

/**
 * As even as can be, and everybody keeps as much of what it has as that allows. Eager: all give up
 * everything before they join, so what they had travels in the bytes of Kafka's StickyAssignor.
 */
export const stickyAssignor: Assignor = {
  name: 'sticky',
  assign: (members, partitions) =>
    divide(
      members.map((member) => ({ ...member, ...decodeStickyData(member.userData) })),
      partitions,
    ),
  userData: ({ generation, partitions }) =>
    generation < 0
      ? undefined
      : writePartitions(new StructWriter(), partitions).int32(generation).end(),
};

/** The same division, cooperative: Kafka's CooperativeStickyAssignor. */
export const cooperativeStickyAssignor: Assignor = {
  name: 'cooperative-sticky',
  isCooperative: true,
  assign: divide,
  // For Kafka's older clients, whose subscriptions have no field for it.
  userData: ({ generation }) => new StructWriter().int32(generation).end(),
};

/** Version 1 of StickyAssignor's user data; version 0 has no generation. */
function decodeStickyData(userData: Uint8Array | undefined): {
  readonly ownedPartitions: readonly TopicPartition[];
  readonly generation: number;
} {
  if (userData === undefined) return { ownedPartitions: [], generation: -1 };
  const reader = new StructReader(asBuffer(userData));
  const ownedPartitions = readPartitions(reader);
  return { ownedPartitions, generation: reader.hasMore ? reader.int32() : -1 };
}

/** A member while partitions are being dealt out. */
interface Share {
  readonly memberId: string;
  readonly partitions: TopicPartition[];
}

function divide(
  members: readonly AssignedMember[],
  counts: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const assignment = nothingFor(members);
  const shares = new Map<string, Share>();
  for (const memberId of [...assignment.keys()].sort()) {
    shares.set(memberId, { memberId, partitions: assignment.get(memberId)! });
  }
  const wanting = new Map<string, Share[]>();
  for (const topic of counts.keys()) {
    const wants = members.filter(({ topics }) => topics.includes(topic));
    wanting.set(topic, wants.map(({ memberId }) => shares.get(memberId)!).sort(byId));
  }
  const owners = ownersOf(members);
  const free: TopicPartition[] = [];
  for (const each of allPartitions(counts)) {
    const owner = shares.get(owners.get(partitionKey(each.topic, each.partition)) ?? '');
    if (owner !== undefined && wanting.get(each.topic)?.includes(owner) === true) {
      owner.partitions.push(each);
    } else free.push(each);
  }
  // Those that few want first, while there is a choice.
  const choice = ({ topic }: TopicPartition): number => wanting.get(topic)?.length ?? 0;
  for (const each of free.sort((a, b) => choice(a) - choice(b))) {
    leastLoaded(wanting.get(each.topic) ?? [])?.partitions.push(each);
  }
  while (moveOne([...shares.values()], wanting));
  return assignment;
}

/**
 * Partition key to the member that has it. A claim of a later generation counts; where two of one
 * generation claim a partition, neither has it.
 */
function ownersOf(members: readonly AssignedMember[]): Map<string, string | undefined> {
  const claims = new Map<string, { generation: number; memberId: string | undefined }>();
  for (const { memberId, generation, ownedPartitions } of members) {
    for (const { topic, partition } of ownedPartitions) {
      const key = partitionKey(topic, partition);
      const other = claims.get(key);
      if (other === undefined || generation > other.generation) {
        claims.set(key, { generation, memberId });
      } else if (generation === other.generation) other.memberId = undefined;
    }
  }
  return new Map([...claims].map(([key, { memberId }]) => [key, memberId]));
}

/**
 * Moves one partition to a member that has at least two fewer, from the one that has most; false
 * when there is none such: as Kafka has it, the assignment is balanced.
 */
function moveOne(shares: Share[], wanting: ReadonlyMap<string, readonly Share[]>): boolean {
  shares.sort((a, b) => b.partitions.length - a.partitions.length);
  for (const from of shares) {
    const tried = new Set<string>();
    for (let index = from.partitions.length - 1; index >= 0; index--) {
      const { topic } = from.partitions[index]!;
      if (tried.has(topic)) continue;
      tried.add(topic);
      const to = leastLoaded(wanting.get(topic) ?? []);
      if (to === undefined || to.partitions.length + 1 >= from.partitions.length) continue;
      to.partitions.push(...from.partitions.splice(index, 1));
      return true;
    }
  }
  return false;
}

function leastLoaded(shares: readonly Share[]): Share | undefined {
  let least: Share | undefined;
  for (const share of shares) {
    if (least === undefined || share.partitions.length < least.partitions.length) least = share;
  }
  return least;
}

function byId(a: Share, b: Share): number {
  return a.memberId < b.memberId ? -1 : 1;
}

/**
 * What of a cooperative assignment may be handed out at once: not what another member still has. It
 * learns from its own share that it is to give that up, and the rebalance after has it free. Kafka:
 * `CooperativeStickyAssignor.adjustAssignment`.
 */
export function withoutTransfers(
  assignment: ReadonlyMap<string, readonly TopicPartition[]>,
  members: readonly AssignedMember[],
): Map<string, TopicPartition[]> {
  const owners = ownersOf(members);
  const claimed = new Map<string, Set<string>>();
  for (const { memberId, ownedPartitions } of members) {
    for (const { topic, partition } of ownedPartitions) {
      const key = partitionKey(topic, partition);
      claimed.set(key, (claimed.get(key) ?? new Set()).add(memberId));
    }
  }
  return new Map(
    [...assignment].map(([memberId, partitions]) => [
      memberId,
      partitions.filter(({ topic, partition }) => {
        const key = partitionKey(topic, partition);
        const claimants = claimed.get(key) ?? new Set();
        const hasOthers = claimants.size > (claimants.has(memberId) ? 1 : 0);
        return !hasOthers || owners.get(key) === memberId;
      }),
    ]),
  );
}
