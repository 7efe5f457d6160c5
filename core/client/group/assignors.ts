import type { TopicPartition } from '../../protocol/broker-api.ts';
import { byPlace, type MemberSubscription } from '../../protocol/consumer-protocol.ts';

/** A member of a group, the topics it wants, and what it has. */
export interface AssignedMember extends MemberSubscription {
  readonly memberId: string;
  /** Set for a static member (KIP-345): the same after a restart, when the member id is not. */
  readonly groupInstanceId?: string;
}

/**
 * Divides partitions among the members of a group; run by the group's leader. Kafka:
 * `ConsumerPartitionAssignor`.
 */
export interface Assignor {
  /** As other clients know it; all members need one in common. */
  readonly name: string;
  /**
   * True when members keep what they have during a rebalance (KIP-429): only what moves is revoked,
   * and goes to its new member in a second rebalance. The leader sees to that; `assign` just says
   * what each member has in the end. A consumer works this way if all its assignors are
   * cooperative.
   */
  readonly isCooperative?: boolean;
  /**
   * Member id to its partitions; a member that is missing gets none. `partitions` is the number of
   * partitions of each topic that exists.
   */
  assign(
    members: readonly AssignedMember[],
    partitions: ReadonlyMap<string, number>,
  ): Map<string, TopicPartition[]>;
  /**
   * Bytes for the leader, which finds them in the member's `userData`; called at each joining. An
   * eager member has given everything up by then, so `last` is what it had before.
   */
  userData?(last: MemberPartitions): Uint8Array | undefined;
}

/** What a member had, and since which generation; -1 when it never had any. */
export interface MemberPartitions {
  readonly generation: number;
  readonly partitions: readonly TopicPartition[];
}

/**
 * Kafka's RangeAssignor: topic by topic, consecutive partitions to the members in the order of
 * their ids, so that partition n of topics with equally many partitions goes to one member.
 */
export const rangeAssignor: Assignor = {
  name: 'range',
  assign(members, partitions) {
    const assignment = nothingFor(members);
    for (const [topic, count] of partitions) {
      const wanting = members.filter(({ topics }) => topics.includes(topic)).sort(bySeat);
      const [share, extra] = [Math.floor(count / wanting.length), count % wanting.length];
      let partition = 0;
      for (const [index, { memberId }] of wanting.entries()) {
        const end = partition + share + (index < extra ? 1 : 0);
        for (; partition < end; partition++) assignment.get(memberId)?.push({ topic, partition });
      }
    }
    return assignment;
  },
};

/**
 * Kafka's RoundRobinAssignor: all partitions of all topics in order, to one member after the other;
 * a member that does not want a partition is skipped.
 */
export const roundRobinAssignor: Assignor = {
  name: 'roundrobin',
  assign(members, partitions) {
    const assignment = nothingFor(members);
    const circle = [...members].sort(bySeat);
    let next = 0;
    for (const candidate of allPartitions(partitions)) {
      const isWanted = circle.some(({ topics }) => topics.includes(candidate.topic));
      if (!isWanted) continue;
      while (!circle[next % circle.length]!.topics.includes(candidate.topic)) next++;
      assignment.get(circle[next % circle.length]!.memberId)?.push(candidate);
      next++;
    }
    return assignment;
  },
};

/** An assignment in which every member is named and nobody has anything. */
export function nothingFor(members: readonly AssignedMember[]): Map<string, TopicPartition[]> {
  return new Map(members.map(({ memberId }) => [memberId, []]));
}

/** All partitions, by topic and number. */
export function allPartitions(partitions: ReadonlyMap<string, number>): TopicPartition[] {
  const all = [...partitions].flatMap(([topic, count]) =>
    Array.from({ length: count }, (_, partition) => ({ topic, partition })),
  );
  return all.sort(byPlace);
}

/** Kafka's order: static members first, by the ids that outlive a restart. */
function bySeat(a: AssignedMember, b: AssignedMember): number {
  const [left, right] = [a.groupInstanceId, b.groupInstanceId];
  if (left !== undefined && right !== undefined) return left < right ? -1 : 1;
  if (left !== undefined || right !== undefined) return left !== undefined ? -1 : 1;
  return a.memberId < b.memberId ? -1 : 1;
}
