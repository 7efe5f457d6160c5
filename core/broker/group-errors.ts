import { LogError } from '../errors.ts';

/** How a group refuses; each in Kafka's code. */

export function unknownMember(groupId: string, memberId: string): LogError {
  const message =
    `group ${groupId} has no member ${memberId}: ` + 'it left, or its session ended; join again';
  return new LogError('UNKNOWN_MEMBER_ID', message, { groupId, memberId });
}

export function illegalGeneration(
  groupId: string,
  generation: number,
  currentGeneration: number,
): LogError {
  const message =
    `group ${groupId} is at generation ${currentGeneration}; ` + `this member is at ${generation}`;
  return new LogError('ILLEGAL_GENERATION', message, { groupId, generation, currentGeneration });
}

export function rebalancing(groupId: string): LogError {
  const message = `group ${groupId} is rebalancing; join again`;
  return new LogError('REBALANCE_IN_PROGRESS', message, { groupId });
}

export function fencedInstance(
  groupId: string,
  groupInstanceId: string,
  memberId: string,
): LogError {
  const message =
    `another member has joined group ${groupId} as ${groupInstanceId}; ` +
    'each running consumer needs a groupInstanceId of its own';
  return new LogError('FENCED_INSTANCE_ID', message, { groupId, groupInstanceId, memberId });
}

export function noCommonProtocol(groupId: string, protocols: readonly string[]): LogError {
  const message =
    `group ${groupId} has no protocol in common with a member that knows ` + protocols.join(', ');
  return new LogError('INCONSISTENT_GROUP_PROTOCOL', message, { groupId, protocols });
}
