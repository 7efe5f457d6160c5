import type { TopicPartition } from '../broker/broker-api.ts';

/** A member of a group and the topics it wants. */
export interface AssignedMember {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/** Divides partitions among the members of a group; run by the group's leader. */
export interface Assignor {
  /** As other clients know it; all members need one in common. */
  readonly name: string;
  /** Member id to its partitions. `partitions` tells how many each topic has. */
  assign(
    members: readonly AssignedMember[],
    partitions: ReadonlyMap<string, number>,
  ): Map<string, TopicPartition[]>;
}

/**
 * Kafka's RangeAssignor: topic by topic, consecutive partitions to the members in the order of
 * their ids, so that partition n of topics with equally many partitions goes to one member.
 */
export const rangeAssignor: Assignor = {
  name: 'range',
  assign(members, partitions) {
    const assignment = new Map<string, TopicPartition[]>(
      members.map(({ memberId }) => [memberId, []]),
    );
    for (const [topic, count] of partitions) {
      const wanting = members.filter(({ topics }) => topics.includes(topic));
      wanting.sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
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
