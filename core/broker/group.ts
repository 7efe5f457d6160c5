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
} from '../protocol/broker-api.ts';
import { CONSUMER_PROTOCOL, decodeSubscription } from '../protocol/consumer-protocol.ts';
import type { GroupValue } from './coordinator-records.ts';
import {
  fencedInstance,
  illegalGeneration,
  noCommonProtocol,
  rebalancing,
  unknownMember,
} from './group-errors.ts';
import { chooseProtocol, commonProtocols, haveChanged } from './group-protocols.ts';

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

/** What a member says of itself when it joins. */
interface NewMember extends Pick<Member, 'clientId' | 'sessionTimeoutMs' | 'rebalanceTimeoutMs'> {
  readonly groupInstanceId?: string | undefined;
  readonly protocols: readonly GroupProtocol[];
}

/** What the coordinator does for a group. */
export interface GroupEvents {
  /** A generation has its assignments, or the last member has gone: worth keeping. */
  readonly settled: (group: Group) => void;
}

const NO_ASSIGNMENT = new Uint8Array(0);

/**
 * One consumer group: the classic rebalance protocol (Kafka: `ClassicGroup`,
 * `GroupMetadataManager`).
 *
 * Empty -> PreparingRebalance (all members join again) -> CompletingRebalance (the leader assigns)
 * -> Stable, and back to PreparingRebalance whenever a member comes, goes or changes its mind.
 */
export class Group {
  readonly groupId: string;
  readonly #clock: Clock;
  readonly #events: GroupEvents;
  readonly #members = new Map<string, Member>();
  /** Instance id to member id, of the static members. */
  readonly #instances = new Map<string, string>();
  #state: GroupState = 'Empty';
  #protocolType = '';
  #protocol = '';
  #leaderId = '';
  generation = 0;
  /** Ends the wait for members that do not join again. */
  #rebalance: Timer | undefined;

  constructor(groupId: string, clock: Clock, events: GroupEvents) {
    this.groupId = groupId;
    this.#clock = clock;
    this.#events = events;
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

  /** Joins or rejoins; resolves when the generation has all its members. */
  join(request: JoinGroupRequest, newMemberId: () => string): Promise<JoinGroupResponse> {
    const { memberId, protocols, protocolType } = request;
    this.#checkProtocols(protocols, protocolType);
    let known = memberId === '' ? undefined : this.#identified(request);
    if (known === undefined) {
      const former = this.#members.get(this.#instances.get(request.groupInstanceId ?? '') ?? '');
      if (former !== undefined) known = this.#replace(former, newMemberId());
      if (known !== undefined && this.#keepsSeat(known, request)) {
        return Promise.resolve(this.#takeSeat(known, request));
      }
    } else if (!haveChanged(known, request) && this.#hasSeat(known)) {
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
    member.joining?.reject(this.#rebalancing()); // the member retries: its earlier request is void
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

  /** @throws LogError REBALANCE_IN_PROGRESS: join again. UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION */
  heartbeat(request: GroupMember): void {
    const member = this.#checked(request);
    this.#touch(member);
    if (this.#state === 'PreparingRebalance') throw this.#rebalancing();
  }

  /** A static member may be named by its instance id alone. */
  leave(request: { readonly memberId: string; readonly groupInstanceId?: string }): void {
    const { groupInstanceId = '' } = request;
    const memberId = request.memberId || (this.#instances.get(groupInstanceId) ?? '');
    const member = this.#identified({ ...request, memberId });
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
      first === undefined ? [] : decodeSubscription(first.metadata).topics,
    );
    return new Set(subscriptions.flat());
  }

  /** What `__consumer_offsets` keeps of the group. */
  snapshot(): GroupValue {
    return {
      protocolType: this.#protocolType,
      generation: this.generation,
      protocol: this.#protocol || null,
      leaderId: this.#leaderId || null,
      stateMs: this.#clock.nowMs(),
      members: [...this.#members.values()].map((member) => ({
        ...member,
        groupInstanceId: member.groupInstanceId ?? null,
        subscription: this.#metadataOf(member) ?? NO_ASSIGNMENT,
      })),
    };
  }

  /**
   * Goes on with what an earlier process kept. Its static members have their seats for the length
   * of a session; the others have gone with the process, and what they had is for those who stay.
   */
  restore({ protocolType, generation, protocol, leaderId, members }: GroupValue): void {
    assert(this.#members.size === 0, 'a group is restored before anybody joins');
    this.generation = generation; // continues, so that earlier members are not taken for later ones
    const staying = members.filter(({ groupInstanceId }) => groupInstanceId !== null);
    if (staying.length === 0) return;
    for (const kept of staying) {
      const protocols = [{ name: protocol ?? '', metadata: kept.subscription }];
      const groupInstanceId = kept.groupInstanceId ?? undefined;
      const member = this.#add({ ...kept, groupInstanceId, protocols }, kept.memberId);
      member.assignment = kept.assignment;
      this.#touch(member);
    }
    this.#protocolType = protocolType;
    this.#protocol = protocol ?? '';
    this.#leaderId = leaderId ?? '';
    this.#state = 'Stable';
    if (staying.length < members.length) this.#prepareRebalance();
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

  #add(wanted: NewMember, memberId: string): Member {
    const { clientId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs, protocols } = wanted;
    const member: Member = {
      memberId,
      clientId,
      groupInstanceId,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      protocols,
      assignment: NO_ASSIGNMENT,
      joining: undefined,
      syncing: undefined,
      session: undefined,
    };
    this.#members.set(memberId, member);
    if (groupInstanceId !== undefined) this.#instances.set(groupInstanceId, memberId);
    return member;
  }

  /** Gives the seat of a static member to the one that returned under its id; fences the former. */
  #replace(former: Member, memberId: string): Member {
    former.session?.cancel();
    const { groupInstanceId: instanceId = '' } = former;
    const fenced = fencedInstance(this.groupId, instanceId, former.memberId);
    former.joining?.reject(fenced);
    former.syncing?.reject(fenced);
    const member = { ...former, memberId, joining: undefined, syncing: undefined };
    // At its index among the members, as if it had never been away.
    const members = [...this.#members.values()];
    this.#members.clear();
    for (const each of members) {
      const taken = each === former ? member : each;
      this.#members.set(taken.memberId, taken);
    }
    this.#instances.set(instanceId, memberId);
    if (this.#leaderId === former.memberId) this.#leaderId = memberId;
    return member;
  }

  /** True if a member that returned wants the same topics as before, so that nothing moves. */
  #keepsSeat(member: Member, { protocols }: JoinGroupRequest): boolean {
    if (this.#state !== 'Stable') return false;
    const [before, now] = [this.#metadataOf(member), this.#metadataOf({ protocols })];
    const wanted = [...this.#members.values()].map((each) =>
      each === member ? { protocols } : each,
    );
    if (now === undefined || chooseProtocol(wanted) !== this.#protocol) return false;
    if (this.#protocolType !== CONSUMER_PROTOCOL) return Buffer.compare(before ?? now, now) === 0;
    const topics = [before ?? now, now].map((each) => decodeSubscription(each).topics.join());
    return topics[0] === topics[1];
  }

  #takeSeat(member: Member, request: JoinGroupRequest): JoinGroupResponse {
    const { protocols, sessionTimeoutMs, rebalanceTimeoutMs } = request;
    Object.assign(member, { protocols, sessionTimeoutMs, rebalanceTimeoutMs });
    this.#touch(member);
    this.#events.settled(this);
    return { ...this.#joined(member), skipAssignment: true };
  }

  #metadataOf({ protocols }: { readonly protocols: readonly GroupProtocol[] }) {
    return protocols.find(({ name }) => name === this.#protocol)?.metadata;
  }

  #remove(member: Member, error: LogError): void {
    member.joining?.reject(error);
    member.syncing?.reject(error);
    this.#forget(member);
    if (this.#members.size > 0) {
      this.#prepareRebalance();
      return;
    }
    this.#becomeEmpty();
  }

  #forget(member: Member): void {
    member.session?.cancel();
    this.#members.delete(member.memberId);
    if (member.groupInstanceId !== undefined) this.#instances.delete(member.groupInstanceId);
  }

  #becomeEmpty(): void {
    this.#rebalance?.cancel();
    this.#rebalance = undefined;
    this.#state = 'Empty';
    this.#leaderId = '';
    this.#protocol = '';
    this.generation++;
    this.#events.settled(this);
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

  /**
   * Continues without the members that did not rejoin in time. Static ones keep their place, and
   * get their share, until their session ends.
   */
  #dropAbsent(): void {
    this.#rebalance = undefined;
    for (const member of [...this.#members.values()]) {
      if (member.joining === undefined && member.groupInstanceId === undefined) {
        this.#forget(member);
      }
    }
    const members = [...this.#members.values()];
    if (members.length === 0) this.#becomeEmpty();
    else if (members.some(({ joining }) => joining !== undefined)) this.#completeJoin();
    else this.#prepareRebalance(); // nobody there to lead
  }

  #completeJoin(): void {
    this.#rebalance?.cancel();
    this.#rebalance = undefined;
    this.generation++;
    this.#protocol = chooseProtocol([...this.#members.values()]);
    if (this.#members.get(this.#leaderId)?.joining === undefined) {
      const first = [...this.#members.values()].find(({ joining }) => joining !== undefined);
      this.#leaderId = present(first, 'a generation has a member that joined').memberId;
    }
    this.#state = 'CompletingRebalance';
    for (const member of this.#members.values()) {
      const { joining } = member;
      member.joining = undefined;
      if (joining === undefined) continue; // static, and away
      this.#touch(member);
      joining.resolve(this.#joined(member));
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
        metadata: this.#metadataOf({ protocols }) ?? NO_ASSIGNMENT,
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
    this.#events.settled(this);
  }

  #checkProtocols(protocols: readonly GroupProtocol[], protocolType: string): void {
    const members = [...this.#members.values(), { protocols }];
    const fits = this.#members.size === 0 || protocolType === this.#protocolType;
    if (fits && commonProtocols(members).size > 0) return;
    throw noCommonProtocol(
      this.groupId,
      protocols.map(({ name }) => name),
    );
  }

  /** The member is alive: its session starts over. */
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

  /** The member; the newest of its instance id, or it is fenced. */
  #identified(request: { readonly memberId: string; readonly groupInstanceId?: string }): Member {
    const { memberId, groupInstanceId } = request;
    if (groupInstanceId !== undefined) {
      const current = this.#instances.get(groupInstanceId);
      if (current !== undefined && current !== memberId) {
        throw fencedInstance(this.groupId, groupInstanceId, memberId);
      }
    }
    return this.#member(memberId);
  }

  #checked(request: GroupMember): Member {
    const { generation } = request;
    const member = this.#identified(request);
    if (generation === this.generation) return member;
    throw illegalGeneration(this.groupId, generation, this.generation);
  }

  #unknownMember(memberId: string): LogError {
    return unknownMember(this.groupId, memberId);
  }

  #rebalancing(): LogError {
    return rebalancing(this.groupId);
  }
}
