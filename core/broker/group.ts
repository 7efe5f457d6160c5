import { assert, present } from '../assert.ts';
import type { Clock, Timer } from '../clock.ts';
import { LogError } from '../errors.ts';
import type {
  GroupDescription,
  GroupMember,
  GroupProtocol,
  GroupState,
  JoinGroupRequest,
  JoinGroupResponse,
  SyncGroupRequest,
  SyncGroupResponse,
} from './broker-api.ts';
import { CONSUMER_PROTOCOL, decodeSubscription } from './consumer-protocol.ts';

/** A promise with its ends. */
interface Pending<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: LogError) => void;
}

/** One member. Changes at each of its requests. */
interface Member {
  readonly memberId: string;
  readonly clientId: string;
  readonly groupInstanceId: string | undefined;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly GroupProtocol[];
  assignment: Uint8Array;
  /** Its JoinGroup that waits for the others. */
  joining: Pending<JoinGroupResponse> | undefined;
  /** Its SyncGroup that waits for the leader. */
  syncing: Pending<SyncGroupResponse> | undefined;
  session: Timer | undefined;
}

/** What the coordinator does for a group. */
export interface GroupEvents {
  /** A new generation has its assignments: worth keeping. */
  readonly stable: (group: Group) => void;
}

const NO_ASSIGNMENT = new Uint8Array(0);

/**
 * One consumer group: the classic rebalance protocol (Kafka: `ClassicGroup`,
 * `GroupMetadataManager`).
 *
 * Empty -> PreparingRebalance (all members join anew) -> CompletingRebalance (the leader assigns)
 * -> Stable, and back to PreparingRebalance whenever a member comes, goes or changes its mind.
 */
export class Group {
  readonly groupId: string;
  readonly #clock: Clock;
  readonly #events: GroupEvents;
  readonly #members = new Map<string, Member>();
  #state: GroupState = 'Empty';
  #protocolType = '';
  #protocol = '';
  #leaderId = '';
  generation: number;
  /** Ends the wait for members that do not join anew. */
  #rebalance: Timer | undefined;

  constructor(groupId: string, clock: Clock, events: GroupEvents, generation = 0) {
    this.groupId = groupId;
    this.#clock = clock;
    this.#events = events;
    this.generation = generation;
  }

  get state(): GroupState {
    return this.#state;
  }

  get memberCount(): number {
    return this.#members.size;
  }

  get protocolType(): string {
    return this.#protocolType;
  }

  /** Joins or joins anew; resolves when the generation has all its members. */
  join(request: JoinGroupRequest, newMemberId: () => string): Promise<JoinGroupResponse> {
    const { memberId, protocols, protocolType } = request;
    this.#checkProtocols(protocols, protocolType);
    const known = memberId === '' ? undefined : this.#member(memberId);
    if (known !== undefined && !hasChanged(known, request) && this.#hasSeat(known)) {
      return Promise.resolve(this.#joined(known));
    }
    const member = known ?? this.#add(request, newMemberId());
    Object.assign(member, {
      protocols,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
    });
    this.#protocolType = protocolType;
    member.session?.cancel(); // while it waits here it is alive
    member.joining?.reject(this.#rebalancing()); // it asks anew: who asked before is gone
    return new Promise((resolve, reject) => {
      member.joining = { resolve, reject };
      this.#prepareRebalance();
    });
  }

  /** Hands in the leader's assignments, or waits for them. */
  sync(request: SyncGroupRequest): Promise<SyncGroupResponse> {
    const member = this.#checked(request);
    switch (this.#state) {
      case 'PreparingRebalance':
        return Promise.reject(this.#rebalancing());
      case 'Stable':
        return Promise.resolve({ assignment: member.assignment });
      case 'CompletingRebalance': {
        this.#touch(member);
        member.syncing?.reject(this.#rebalancing());
        const answer = new Promise<SyncGroupResponse>((resolve, reject) => {
          member.syncing = { resolve, reject };
        });
        if (member.memberId === this.#leaderId) this.#assign(request.assignments);
        return answer;
      }
      default:
        return Promise.reject(this.#unknownMember(member.memberId));
    }
  }

  /** @throws LogError REBALANCE_IN_PROGRESS: join anew. UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION */
  heartbeat(request: GroupMember): void {
    const member = this.#checked(request);
    this.#touch(member);
    if (this.#state === 'PreparingRebalance') throw this.#rebalancing();
  }

  leave(memberId: string): void {
    const member = this.#member(memberId);
    this.#remove(member, this.#unknownMember(memberId));
  }

  /**
   * Throws unless the committer may commit: a member of this generation, or anybody (generation -1)
   * while the group is empty.
   */
  checkCommit(request: GroupMember): void {
    if (request.generation < 0 && this.#members.size === 0) return;
    const member = this.#checked(request);
    this.#touch(member);
    if (this.#state === 'CompletingRebalance') throw this.#rebalancing();
  }

  describe(): GroupDescription {
    const members = [...this.#members.values()].map((member) => ({
      memberId: member.memberId,
      clientId: member.clientId,
      assignment: member.assignment,
      ...(member.groupInstanceId !== undefined && { groupInstanceId: member.groupInstanceId }),
    }));
    const { groupId } = this;
    const [state, protocolType, protocol] = [this.#state, this.#protocolType, this.#protocol];
    return { groupId, state, protocolType, protocol, members };
  }

  /**
   * Throws unless nobody is in the group.
   *
   * @throws LogError NON_EMPTY_GROUP
   */
  checkEmpty(): void {
    if (this.#state === 'Empty') return;
    const { groupId } = this;
    const [state, count] = [this.#state, this.#members.size];
    const message = `group ${groupId} has ${count} members and is ${state}; close them first`;
    throw new LogError('NON_EMPTY_GROUP', message, { groupId, state });
  }

  /** What the members want to read, if they are consumers; undefined for other groups. */
  get subscribedTopics(): ReadonlySet<string> | undefined {
    const members = [...this.#members.values()];
    if (members.length > 0 && this.#protocolType !== CONSUMER_PROTOCOL) return undefined;
    const subscriptions = members.map(({ protocols: [first] }) =>
      first === undefined ? [] : decodeSubscription(first.metadata),
    );
    return new Set(subscriptions.flat());
  }

  /** What `__consumer_offsets` keeps of the group. */
  snapshot(): {
    readonly leaderId: string;
    readonly protocol: string;
    readonly members: readonly Readonly<Member>[];
  } {
    return {
      leaderId: this.#leaderId,
      protocol: this.#protocol,
      members: [...this.#members.values()],
    };
  }

  /** Answers all who wait: the broker stops. */
  close(error: LogError): void {
    this.#rebalance?.cancel();
    for (const member of this.#members.values()) {
      member.session?.cancel();
      member.joining?.reject(error);
      member.syncing?.reject(error);
    }
    this.#members.clear();
  }

  /** True while a member that joins as before only missed its answer, and nothing has changed. */
  #hasSeat({ memberId }: Member): boolean {
    if (this.#state === 'CompletingRebalance') return true;
    return this.#state === 'Stable' && memberId !== this.#leaderId;
  }

  #add(request: JoinGroupRequest, memberId: string): Member {
    const member: Member = {
      memberId,
      clientId: request.clientId,
      groupInstanceId: request.groupInstanceId,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      protocols: request.protocols,
      assignment: NO_ASSIGNMENT,
      joining: undefined,
      syncing: undefined,
      session: undefined,
    };
    this.#members.set(memberId, member);
    return member;
  }

  #remove(member: Member, error: LogError): void {
    member.session?.cancel();
    member.joining?.reject(error);
    member.syncing?.reject(error);
    this.#members.delete(member.memberId);
    if (this.#members.size > 0) {
      this.#prepareRebalance();
      return;
    }
    this.#becomeEmpty();
  }

  #becomeEmpty(): void {
    this.#rebalance?.cancel();
    this.#rebalance = undefined;
    this.#state = 'Empty';
    this.#leaderId = '';
    this.generation++;
  }

  #prepareRebalance(): void {
    if (this.#state !== 'PreparingRebalance') {
      for (const member of this.#members.values()) {
        member.syncing?.reject(this.#rebalancing());
        member.syncing = undefined;
      }
      this.#state = 'PreparingRebalance';
    }
    const members = [...this.#members.values()];
    if (members.every(({ joining }) => joining !== undefined)) {
      this.#completeJoin();
      return;
    }
    const timeoutMs = Math.max(...members.map(({ rebalanceTimeoutMs }) => rebalanceTimeoutMs));
    this.#rebalance ??= this.#clock.setBackgroundTimer(timeoutMs, () => this.#dropAbsent());
  }

  /** Goes on without the members that did not join anew in time. */
  #dropAbsent(): void {
    this.#rebalance = undefined;
    for (const member of [...this.#members.values()]) {
      if (member.joining !== undefined) continue;
      member.session?.cancel();
      this.#members.delete(member.memberId);
    }
    if (this.#members.size > 0) this.#completeJoin();
    else this.#becomeEmpty();
  }

  #completeJoin(): void {
    this.#rebalance?.cancel();
    this.#rebalance = undefined;
    this.generation++;
    this.#protocol = this.#chooseProtocol();
    if (!this.#members.has(this.#leaderId)) {
      const [first] = this.#members.keys();
      this.#leaderId = present(first, 'a generation has a member');
    }
    this.#state = 'CompletingRebalance';
    for (const member of this.#members.values()) {
      const { joining } = member;
      member.joining = undefined;
      this.#touch(member);
      present(joining, 'all members have joined').resolve(this.#joined(member));
    }
  }

  #joined(member: Member): JoinGroupResponse {
    const isLeader = member.memberId === this.#leaderId;
    const members = isLeader ? [...this.#members.values()] : [];
    return {
      memberId: member.memberId,
      generation: this.generation,
      protocol: this.#protocol,
      leaderId: this.#leaderId,
      members: members.map(({ memberId, groupInstanceId, protocols }) => ({
        memberId,
        metadata: protocols.find(({ name }) => name === this.#protocol)?.metadata ?? NO_ASSIGNMENT,
        ...(groupInstanceId !== undefined && { groupInstanceId }),
      })),
    };
  }

  #assign(assignments: SyncGroupRequest['assignments']): void {
    const byMember = new Map(assignments.map(({ memberId, assignment }) => [memberId, assignment]));
    this.#state = 'Stable';
    for (const member of this.#members.values()) {
      member.assignment = byMember.get(member.memberId) ?? NO_ASSIGNMENT;
      const { syncing } = member;
      member.syncing = undefined;
      syncing?.resolve({ assignment: member.assignment });
    }
    this.#events.stable(this);
  }

  /** The protocol that all members know and most of them prefer. */
  #chooseProtocol(): string {
    const members = [...this.#members.values()];
    const common = this.#commonProtocols(members);
    const votes = new Map<string, number>();
    for (const { protocols } of members) {
      const vote = protocols.find(({ name }) => common.has(name));
      if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
    }
    const [winner] = [...votes].sort(([, a], [, b]) => b - a);
    return present(winner, 'joining checked that a protocol is common')[0];
  }

  #commonProtocols(
    members: readonly { readonly protocols: readonly GroupProtocol[] }[],
  ): Set<string> {
    const [first, ...others] = members.map(({ protocols }) => protocols.map(({ name }) => name));
    return new Set((first ?? []).filter((name) => others.every((names) => names.includes(name))));
  }

  #checkProtocols(protocols: readonly GroupProtocol[], protocolType: string): void {
    const members = [...this.#members.values(), { protocols }];
    const fits = this.#members.size === 0 || protocolType === this.#protocolType;
    if (fits && this.#commonProtocols(members).size > 0) return;
    const names = protocols.map(({ name }) => name);
    const known = names.join(', ');
    const message =
      `group ${this.groupId} has no protocol in common with a member ` + `that knows ${known}`;
    throw new LogError('INCONSISTENT_GROUP_PROTOCOL', message, {
      groupId: this.groupId,
      protocols: names,
    });
  }

  /** The member is alive: its session starts anew. */
  #touch(member: Member): void {
    member.session?.cancel();
    member.session = this.#clock.setBackgroundTimer(member.sessionTimeoutMs, () => {
      assert(this.#members.get(member.memberId) === member, 'a session ends with its member');
      this.#remove(member, this.#unknownMember(member.memberId));
    });
  }

  #member(memberId: string): Member {
    const member = this.#members.get(memberId);
    if (member === undefined) throw this.#unknownMember(memberId);
    return member;
  }

  #checked({ memberId, generation }: GroupMember): Member {
    const member = this.#member(memberId);
    if (generation === this.generation) return member;
    const { groupId, generation: currentGeneration } = this;
    const message =
      `group ${groupId} is at generation ${currentGeneration}; ` +
      `this member is at ${generation}`;
    throw new LogError('ILLEGAL_GENERATION', message, { groupId, generation, currentGeneration });
  }

  #unknownMember(memberId: string): LogError {
    const { groupId } = this;
    const message =
      `group ${groupId} has no member ${memberId}: ` + 'it left, or its session ended; join again';
    return new LogError('UNKNOWN_MEMBER_ID', message, { groupId, memberId });
  }

  #rebalancing(): LogError {
    const { groupId } = this;
    return new LogError('REBALANCE_IN_PROGRESS', `group ${groupId} is rebalancing; join again`, {
      groupId,
    });
  }
}

function hasChanged(member: Member, request: JoinGroupRequest): boolean {
  if (member.protocols.length !== request.protocols.length) return true;
  return member.protocols.some(({ name, metadata }, index) => {
    const other = request.protocols[index]!;
    return name !== other.name || Buffer.compare(metadata, other.metadata) !== 0;
  });
}
