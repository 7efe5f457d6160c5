import { present } from '../assert.ts';
import type { GroupProtocol } from '../protocol/broker-api.ts';

/** What a member can do, by preference. */
export interface ProtocolsOfMember {
  readonly protocols: readonly GroupProtocol[];
}

/** The protocols that all of the members know. */
export function commonProtocols(members: readonly ProtocolsOfMember[]): Set<string> {
  const [first, ...others] = members.map(({ protocols }) => protocols.map(({ name }) => name));
  return new Set((first ?? []).filter((name) => others.every((names) => names.includes(name))));
}

/** The protocol that all of the members know and most of them prefer. */
export function chooseProtocol(members: readonly ProtocolsOfMember[]): string {
  const common = commonProtocols(members);
  const votes = new Map<string, number>();
  for (const { protocols } of members) {
    const vote = protocols.find(({ name }) => common.has(name));
    if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
  }
  const [winner] = [...votes].sort(([, a], [, b]) => b - a);
  return present(winner, 'joining checked that a protocol is common')[0];
}

/** True unless both say the same, to the byte. */
export function haveChanged(before: ProtocolsOfMember, now: ProtocolsOfMember): boolean {
  if (before.protocols.length !== now.protocols.length) return true;
  return before.protocols.some(({ name, metadata }, index) => {
    const other = now.protocols[index]!;
    return name !== other.name || Buffer.compare(metadata, other.metadata) !== 0;
  });
}
