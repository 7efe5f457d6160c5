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

/** One consumer's seat in its group: joins, keeps the seat by heartbeats, learns of rebalances. */
export class GroupMembership {
  /** True when what stays is kept during a rebalance: all assignors are cooperative. */
  readonly isCooperative: boolean;
  readonly #options: GroupMembershipOptions;
  #memberId = '';
  #hasJoined = false;
  #generation = -1;
  /** The last seat. */
  #last: MemberPartitions = { generation: -1, partitions: [] };
  #heartbeat: Timer | undefined;
  /** Raised when heartbeats under way no longer matter. */
  #heartbeatRound = 0;
  #mustRejoin = true;
  #hasLeft = false;
  /** Raised when the member leaves: a join from before then has to leave as well. */
  #departures = 0;
  /** Raised with each subscription: a join for the one before does not do. */
  #subscriptions = 0;
  /** Why the seat was lost, until somebody asks. */
  #loss: string | undefined;
  /** Another has this member's instance id: there is no way back. */
  #fenced: LogError | undefined;
  /** When the member last asked for records. */
  #polledMs: number;
  /** As leader: what the last division went by. */
  #divided: PartitionWatch | undefined;

  constructor(options: GroupMembershipOptions) {
    this.#options = options;
    this.#polledMs = options.clock.monotonicMs();
    this.isCooperative = options.assignors.every((assignor) => assignor.isCooperative === true);
  }

  /** Who commits: the member of this generation. */
  get member(): GroupMember {
    const { groupId, groupInstanceId } = this.#options;
    return {
      groupId,
      memberId: this.#memberId,
      generation: this.#generation,
      ...(groupInstanceId !== undefined && { groupInstanceId }),
    };
  }

  /** True when the assignment no longer counts and `join` is due. */
  get mustRejoin(): boolean {
    return this.#mustRejoin;
  }

  /** Says that something was given up, for others to have. */
  requireRejoin(): void {
    this.#mustRejoin = true;
  }

  /** Says that there is a subscription, or another one: the next `join` takes a seat. */
  resubscribe(): void {
    this.#hasLeft = false;
    this.#subscriptions++;
    this.#mustRejoin = true;
  }

  /** Says that the member asks for records: without that for `maxPollIntervalMs` it leaves. */
  notePoll(): void {
    this.#polledMs = this.#options.clock.monotonicMs();
  }

  /** Why the seat was lost behind the member's back; undefined when it was not. Tells it once. */
  takeLoss(): string | undefined {
    const loss = this.#loss;
    this.#loss = undefined;
    return loss;
  }

  /** @throws LogError FENCED_INSTANCE_ID once another has the instance id. */
  checkNotFenced(): void {
    if (this.#fenced !== undefined) throw this.#fenced;
  }

  /** True once it has had a seat, also when that is lost. */
  get hasJoined(): boolean {
    return this.#hasJoined;
  }

  /**
   * Throws where the member may not commit because it has no seat.
   *
   * @throws LogError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID
   */
  checkSeat(): void {
    this.checkNotFenced();
    if (this.#memberId !== '') return;
    const { groupId } = this.#options;
    const reason = this.#loss ?? 'it has not joined yet';
    const message = `the consumer has no seat in group ${groupId}: ${reason}; poll to join`;
    throw new LogError('UNKNOWN_MEMBER_ID', message, { groupId, memberId: '' });
  }

  /**
   * Joins, or joins anew, and returns the seat of this generation.
   *
   * @param owned what the member keeps meanwhile.
   * @throws LogError CLOSED when the member has left meanwhile, FENCED_INSTANCE_ID
   */
  async join(topics: readonly string[], owned: readonly TopicPartition[]): Promise<Seat> {
    const { memberId } = this.member;
    const { generation: lastGeneration } = this.#last;
    const departures = this.#departures;
    const subscriptions = this.#subscriptions;
    this.#stopHeartbeat();
    for (;;) {
      try {
        this.#checkStays(departures);
        this.checkNotFenced();
        const kept = this.#memberId === memberId ? owned : [];
        const partitions = await this.#joinOnce(topics, kept, departures);
        this.#mustRejoin = subscriptions !== this.#subscriptions;
        this.#startHeartbeat();
        const generation = this.#generation;
        this.#last = { generation, partitions };
        const isSame = memberId !== '' && memberId === this.#memberId;
        // In a generation whose seat it missed, others may have had its partitions, unless it told
        // them when it joined that it keeps them.
        const missedNone = generation - lastGeneration <= 1;
        const isContinuous = isSame && (this.isCooperative || missedNone);
        return { generation, partitions, isContinuous };
      } catch (error) {
        const isOver = departures !== this.#departures; // and a later join may be under way
        if (isOver || !this.#noteLoss(error)) throw error;
      }
    }
  }

  /**
   * Gives the seat up, until `resubscribe`. A join that is under way leaves when it is through. A
   * static member says nothing: its seat waits for it until its session ends.
   */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    this.#departures++;
    await this.#leaveAs(this.#giveUp());
  }

  /** Forgets the seat without a word to the group; returns who had it. */
  #giveUp(): string {
    const memberId = this.#memberId;
    this.#stopHeartbeat();
    this.#memberId = '';
    this.#generation = -1;
    this.#mustRejoin = true;
    return memberId;
  }

  async #leaveAs(memberId: string): Promise<void> {
    const { api, groupId, groupInstanceId } = this.#options;
    if (memberId === '' || groupInstanceId !== undefined) return;
    await api.leaveGroup({ groupId, memberId }).catch((error: unknown) => {
      if (!(error instanceof LogError) || !GONE.has(error.code)) throw error;
    });
  }

  #checkStays(departures: number): void {
    if (!this.#hasLeft && departures === this.#departures) return;
    const message = `the consumer has left group ${this.#options.groupId}`;
    throw new LogError('CLOSED', message, { what: 'the consumer' });
  }

  /** Takes note of an answer that says the seat is lost or moves; false for other errors. */
  #noteLoss(error: unknown): boolean {
    if (!(error instanceof LogError)) return false;
    if (error.code === 'FENCED_INSTANCE_ID') this.#fenced = error;
    const isLost = LOST.has(error.code);
    if (isLost || this.#fenced !== undefined) this.#giveUp();
    if (!isLost && error.code !== 'REBALANCE_IN_PROGRESS') return false;
    this.#mustRejoin = true;
    return true;
  }

  async #joinOnce(
    topics: readonly string[],
    owned: readonly TopicPartition[],
    departures: number,
  ): Promise<TopicPartition[]> {
    const { api, clientId, assignors, sessionTimeoutMs, maxPollIntervalMs } = this.#options;
    const { groupId, memberId, groupInstanceId } = this.member;
    const ownedPartitions = this.isCooperative ? owned : [];
    const joined = await api.joinGroup({
      groupId,
      memberId,
      clientId,
      sessionTimeoutMs,
      rebalanceTimeoutMs: maxPollIntervalMs,
      protocolType: CONSUMER_PROTOCOL,
      protocols: assignors.map((assignor) => ({
        name: assignor.name,
        metadata: encodeSubscription({
          topics,
          ownedPartitions,
          generation: this.#generation,
          userData: assignor.userData?.(this.#last),
        }),
      })),
      ...(groupInstanceId !== undefined && { groupInstanceId }),
    });
    if (departures !== this.#departures) await this.#leaveAs(joined.memberId);
    this.#checkStays(departures);
    this.#memberId = joined.memberId;
    this.#hasJoined = true;
    this.#generation = joined.generation;
    this.#divided = undefined;
    const assignments = joined.leaderId === joined.memberId ? await this.#assign(joined) : [];
    const { assignment } = await api.syncGroup({ ...this.member, assignments });
    this.#checkStays(departures);
    return decodeAssignment(assignment);
  }

  async #assign(joined: JoinGroupResponse) {
    const members = joined.members.map(({ metadata, ...member }): AssignedMember => {
      return { ...member, ...decodeSubscription(metadata) };
    });
    const topics = [...new Set(members.flatMap((member) => member.topics))].sort();
    const { api, clock, metadataMaxAgeMs } = this.#options;
    const divided = new PartitionWatch(api, clock, metadataMaxAgeMs);
    this.#divided = divided;
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

  #startHeartbeat(): void {
    const { clock, heartbeatIntervalMs } = this.#options;
    const round = this.#heartbeatRound;
    this.#heartbeat = clock.setBackgroundTimer(heartbeatIntervalMs, () => {
      void this.#beat(round);
    });
  }

  /** Never rejects: whatever goes wrong, the next poll joins again and meets it there. */
  async #beat(round: number): Promise<void> {
    const { api, clock, maxPollIntervalMs } = this.#options;
    try {
      if (clock.monotonicMs() - this.#polledMs > maxPollIntervalMs) {
        // Nobody asks for its records; others may.
        this.#loss = `it was not polled for maxPollIntervalMs=${maxPollIntervalMs} and left`;
        await this.#leaveAs(this.#giveUp());
        return;
      }
      await api.heartbeat(this.member);
      // The leader joins anew, and with it all others, to divide what topics have got.
      const hasChanged = (await this.#divided?.hasChanged()) === true;
      if (round !== this.#heartbeatRound) return;
      if (hasChanged) this.#mustRejoin = true;
      this.#startHeartbeat();
    } catch (error) {
      if (round !== this.#heartbeatRound) return;
      if (!this.#noteLoss(error)) this.#mustRejoin = true;
      if (this.#memberId === '') this.#loss = (error as Error).message;
    }
  }

  #stopHeartbeat(): void {
    this.#heartbeatRound++;
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
  }
}
