import type { Clock, Timer } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import type {
  BrokerApi,
  GroupMember,
  JoinGroupResponse,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import {
  CONSUMER_PROTOCOL,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../protocol/consumer-protocol.ts';
import type { AssignedMember, Assignor, MemberPartitions } from './assignors.ts';
import { PartitionWatch } from '../consumer/partition-watch.ts';
import { withoutTransfers } from './sticky-assignor.ts';

export interface GroupMembershipOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly groupId: string;
  readonly groupInstanceId: string | undefined;
  readonly clientId: string;
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly maxPollIntervalMs: number;
  readonly metadataMaxAgeMs: number;
  readonly assignors: readonly Assignor[];
  /** How many partitions each topic has. */
  readonly countPartitions: (topics: readonly string[]) => Promise<ReadonlyMap<string, number>>;
}

/** What a member has in a generation. */
export interface Seat {
  readonly generation: number;
  readonly partitions: readonly TopicPartition[];
  /**
   * True when nobody else can have had its partitions since its last seat: it may go on in those
   * that it keeps.
   */
  readonly isContinuous: boolean;
}

/** Errors of a member that has to join again as a new one. */
const LOST: ReadonlySet<string> = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION']);
/** Errors that a member who leaves need not care about. */
const GONE: ReadonlySet<string> = new Set([...LOST, 'FENCED_INSTANCE_ID']);

/** Who the coordinator takes the member for. */
interface MemberId {
  /** Empty until the coordinator gives it one. */
  readonly memberId: string;
  /** -1 where it has none. */
  readonly generation: number;
}

const NOBODY: MemberId = { memberId: '', generation: -1 };

/** Each call of `join` has one of its own: where it is no longer the state, the member has left. */
interface Joining extends MemberId {
  readonly kind: 'joining';
  /** Set by each answer. */
  memberId: string;
  generation: number;
  /** True when another subscription came meanwhile: this seat will not do. */
  isStale: boolean;
  /** As leader: what the division went by. */
  divided: PartitionWatch | undefined;
}

/** Each seat is one of its own: a heartbeat that answers to a former one changes nothing. */
interface Seated extends MemberId {
  readonly kind: 'seated';
  readonly divided: PartitionWatch | undefined;
  /** True when the assignment no longer counts; the heart may have stopped beating. */
  mustRejoin: boolean;
  heartbeat: Timer | undefined;
}

type MembershipState =
  | { readonly kind: 'outside' }
  | Joining
  | Seated
  | { readonly kind: 'lost'; readonly reason: string }
  | { readonly kind: 'left' }
  /** `loss` as in `lost`, until it is taken. */
  | { readonly kind: 'fenced'; readonly error: LogError; readonly loss: string | undefined };

/**
 * One consumer's seat in its group: joins, keeps the seat by heartbeats, learns of rebalances.
 *
 * ```
 *   outside ──── join ────▶ joining ◀──────── join ─────── seated
 *     ▲  ▲                   │  │  └──── answered ────────▶  │
 *     │  └─ failed, nobody ──┘  └─ failed, known: mustRejoin ▶│
 *     │ takeLoss                                             │ not polled, or a heartbeat refused
 *     └────────────────────────── lost ◀─────────────────────┘
 *
 *   every state ── leave ──▶ left ── resubscribe ──▶ outside
 *   every state ── another has the instance id ──▶ fenced, for ever
 * ```
 */
export class GroupMembership {
  /** True when what stays is kept during a rebalance: all assignors are cooperative. */
  readonly isCooperative: boolean;
  readonly #options: GroupMembershipOptions;
  #state: MembershipState = { kind: 'outside' };
  /** The last seat, also when it is lost. */
  #last: MemberPartitions = { generation: -1, partitions: [] };
  /** When the member last asked for records. */
  #polledMs: number;

  constructor(options: GroupMembershipOptions) {
    this.#options = options;
    this.#polledMs = options.clock.monotonicMs();
    this.isCooperative = options.assignors.every((assignor) => assignor.isCooperative === true);
  }

  /** Who commits: the member of this generation. */
  get member(): GroupMember {
    return this.#memberOf('memberId' in this.#state ? this.#state : NOBODY);
  }

  /** True when the assignment no longer counts and `join` is due. */
  get mustRejoin(): boolean {
    return this.#state.kind !== 'seated' || this.#state.mustRejoin;
  }

  /** Makes the member join again: it has given something up, for others to have. */
  requireRejoin(): void {
    if (this.#state.kind === 'seated') this.#state.mustRejoin = true;
  }

  /** There is a subscription, or another one: the next `join` takes a seat. */
  resubscribe(): void {
    const state = this.#state;
    if (state.kind === 'joining') state.isStale = true;
    else if (state.kind === 'left') this.#state = { kind: 'outside' };
    else this.requireRejoin();
  }

  /** The member asks for records: without that for `maxPollIntervalMs` it leaves. */
  notePoll(): void {
    this.#polledMs = this.#options.clock.monotonicMs();
  }

  /** Why the seat was lost behind the member's back, once; undefined when it was not. */
  takeLoss(): string | undefined {
    const state = this.#state;
    if (state.kind === 'fenced') {
      this.#state = { ...state, loss: undefined };
      return state.loss;
    }
    if (state.kind !== 'lost') return undefined;
    this.#state = { kind: 'outside' };
    return state.reason;
  }

  /** @throws LogError FENCED_INSTANCE_ID once another has the instance id. */
  checkNotFenced(): void {
    if (this.#state.kind === 'fenced') throw this.#state.error;
  }

  /** True once it has had a seat, also when that is lost. */
  get hasJoined(): boolean {
    return this.#last.generation >= 0;
  }

  /**
   * Throws where the member may not commit because it has no seat.
   *
   * @throws LogError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID
   */
  checkSeat(): void {
    this.checkNotFenced();
    if (this.member.memberId !== '') return;
    const { groupId } = this.#options;
    const reason = this.#state.kind === 'lost' ? this.#state.reason : 'it has not joined yet';
    const message = `the consumer has no seat in group ${groupId}: ${reason}; poll to join`;
    throw new LogError('UNKNOWN_MEMBER_ID', message, { groupId, memberId: '' });
  }

  /**
   * Joins, or joins again, and returns the seat of this generation.
   *
   * @param owned what the member keeps meanwhile.
   * @throws LogError CLOSED when the member has left meanwhile, FENCED_INSTANCE_ID
   */
  async join(topics: readonly string[], owned: readonly TopicPartition[]): Promise<Seat> {
    this.checkNotFenced();
    if (this.#state.kind === 'left') throw this.#hasLeft();
    const { memberId, generation } = this.member;
    this.#stopHeartbeat();
    const joining: Joining = {
      kind: 'joining',
      memberId,
      generation,
      isStale: false,
      divided: undefined,
    };
    this.#state = joining;
    for (;;) {
      try {
        const kept = joining.memberId === memberId ? owned : [];
        const partitions = await this.#joinOnce(joining, topics, kept);
        return this.#sit(joining, partitions, memberId);
      } catch (error) {
        if (this.#state !== joining) throw error; // it has left, and may be joining again
        if (!this.#canJoinAgain(joining, error)) throw error;
      }
    }
  }

  #sit(joining: Joining, partitions: readonly TopicPartition[], formerId: string): Seat {
    const { memberId, generation, divided, isStale: mustRejoin } = joining;
    this.#state = {
      kind: 'seated',
      memberId,
      generation,
      divided,
      mustRejoin,
      heartbeat: undefined,
    };
    this.#startHeartbeat(this.#state);
    const { generation: lastGeneration } = this.#last;
    this.#last = { generation, partitions };
    const isSame = formerId !== '' && formerId === memberId;
    // In a generation whose seat it missed, others may have had its partitions, unless it told them
    // when it joined that it keeps them.
    const missedNone = generation - lastGeneration <= 1;
    const isContinuous = isSame && (this.isCooperative || missedNone);
    return { generation, partitions, isContinuous };
  }

  /** After a failed join: true when another try may succeed at once, perhaps as a new member. */
  #canJoinAgain(joining: Joining, error: unknown): boolean {
    const code = error instanceof LogError ? error.code : '';
    if (LOST.has(code)) {
      Object.assign(joining, NOBODY);
      return true;
    }
    if (code === 'REBALANCE_IN_PROGRESS') return true;
    const { memberId, generation } = joining;
    if (LogError.is(error, 'FENCED_INSTANCE_ID')) {
      this.#state = { kind: 'fenced', error, loss: undefined };
    } else if (memberId === '') {
      this.#state = { kind: 'outside' };
    } else {
      const seat = { memberId, generation, divided: undefined, heartbeat: undefined };
      this.#state = { kind: 'seated', ...seat, mustRejoin: true };
    }
    return false;
  }

  /**
   * Gives the seat up, until `resubscribe`. A join that is under way leaves when it is through. A
   * static member says nothing: its seat waits for it until its session ends.
   */
  async leave(): Promise<void> {
    const { memberId } = this.member;
    this.#stopHeartbeat();
    if (this.#state.kind !== 'fenced') this.#state = { kind: 'left' };
    await this.#leaveAs(memberId);
  }

  async #leaveAs(memberId: string): Promise<void> {
    const { api, groupId, groupInstanceId } = this.#options;
    if (memberId === '' || groupInstanceId !== undefined) return;
    await api.leaveGroup({ groupId, memberId }).catch((error: unknown) => {
      if (!(error instanceof LogError) || !GONE.has(error.code)) throw error;
    });
  }

  #hasLeft(): LogError {
    const message = `the consumer has left group ${this.#options.groupId}`;
    return new LogError('CLOSED', message, { what: 'the consumer' });
  }

  #memberOf({ memberId, generation }: MemberId): GroupMember {
    const { groupId, groupInstanceId } = this.#options;
    const member = { groupId, memberId, generation };
    return groupInstanceId === undefined ? member : { ...member, groupInstanceId };
  }

  async #joinOnce(
    joining: Joining,
    topics: readonly string[],
    owned: readonly TopicPartition[],
  ): Promise<TopicPartition[]> {
    const { api, clientId, assignors, sessionTimeoutMs, maxPollIntervalMs } = this.#options;
    const { generation, ...member } = this.#memberOf(joining);
    const ownedPartitions = this.isCooperative ? owned : [];
    const joined = await api.joinGroup({
      ...member,
      clientId,
      sessionTimeoutMs,
      rebalanceTimeoutMs: maxPollIntervalMs,
      protocolType: CONSUMER_PROTOCOL,
      protocols: assignors.map((assignor) => ({
        name: assignor.name,
        metadata: encodeSubscription({
          topics,
          ownedPartitions,
          generation,
          userData: assignor.userData?.(this.#last),
        }),
      })),
    });
    if (this.#state !== joining) {
      await this.#leaveAs(joined.memberId);
      throw this.#hasLeft();
    }
    joining.memberId = joined.memberId;
    joining.generation = joined.generation;
    joining.divided = undefined;
    const isLeader = joined.leaderId === joined.memberId;
    const assignments = isLeader ? await this.#assign(joining, joined) : [];
    const { assignment } = await api.syncGroup({ ...this.#memberOf(joining), assignments });
    if (this.#state !== joining) throw this.#hasLeft();
    return decodeAssignment(assignment);
  }

  async #assign(joining: Joining, joined: JoinGroupResponse) {
    const members = joined.members.map(({ metadata, ...member }): AssignedMember => {
      return { ...member, ...decodeSubscription(metadata) };
    });
    const topics = [...new Set(members.flatMap((member) => member.topics))].sort();
    const { api, clock, metadataMaxAgeMs } = this.#options;
    const divided = new PartitionWatch(api, clock, metadataMaxAgeMs);
    joining.divided = divided;
    if (joined.skipAssignment === true) {
      divided.note(topics, await this.#countDivided());
      return [];
    }
    const partitions = await this.#options.countPartitions(topics);
    divided.note(topics, partitions);
    const assignor = this.#options.assignors.find(({ name }) => name === joined.protocol);
    if (assignor === undefined) {
      const { groupId } = this.#options;
      const message = `group ${groupId} chose assignor ${joined.protocol}, which this member lacks`;
      throw new LogError('INCONSISTENT_GROUP_PROTOCOL', message, {
        groupId,
        protocols: [joined.protocol],
      });
    }
    const wanted = assignor.assign(members, partitions);
    const assigned = assignor.isCooperative === true ? withoutTransfers(wanted, members) : wanted;
    return members.map(({ memberId }) => ({
      memberId,
      assignment: encodeAssignment(assigned.get(memberId) ?? []),
    }));
  }

  /**
   * How many partitions of each topic the members have. While a leader was away topics may have got
   * more, or members who had some may have been about to give them up.
   */
  async #countDivided(): Promise<Map<string, number>> {
    const { api, groupId } = this.#options;
    const { groups } = await api.describeGroups({ groupIds: [groupId] });
    const counts = new Map<string, number>();
    for (const { assignment } of groups[0]?.members ?? []) {
      for (const { topic } of decodeAssignment(assignment)) {
        counts.set(topic, (counts.get(topic) ?? 0) + 1);
      }
    }
    return counts;
  }

  #startHeartbeat(seated: Seated): void {
    const { clock, heartbeatIntervalMs } = this.#options;
    seated.heartbeat = clock.setBackgroundTimer(heartbeatIntervalMs, () => void this.#beat(seated));
  }

  /** A heartbeat under way no longer matters: another state follows. */
  #stopHeartbeat(): void {
    if (this.#state.kind === 'seated') this.#state.heartbeat?.cancel();
  }

  /** Never rejects: whatever goes wrong, the next poll joins again and meets it there. */
  async #beat(seated: Seated): Promise<void> {
    const { api, clock, maxPollIntervalMs } = this.#options;
    try {
      if (clock.monotonicMs() - this.#polledMs > maxPollIntervalMs) {
        // Nobody asks for its records; others may.
        const reason = `it was not polled for maxPollIntervalMs=${maxPollIntervalMs} and left`;
        this.#state = { kind: 'lost', reason };
        await this.#leaveAs(seated.memberId);
        return;
      }
      await api.heartbeat(this.#memberOf(seated));
      // The leader joins again, and with it all others, to divide what topics have got.
      const hasChanged = (await seated.divided?.hasChanged()) === true;
      if (this.#state !== seated) return;
      if (hasChanged) seated.mustRejoin = true;
      this.#startHeartbeat(seated);
    } catch (error) {
      if (this.#state !== seated) return;
      const code = error instanceof LogError ? error.code : '';
      const { message: reason } = error as Error;
      if (LogError.is(error, 'FENCED_INSTANCE_ID')) {
        this.#state = { kind: 'fenced', error, loss: reason };
      } else if (LOST.has(code)) this.#state = { kind: 'lost', reason };
      else seated.mustRejoin = true;
    }
  }
}
