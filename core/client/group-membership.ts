import type { Clock, Timer } from '../clock.ts';
import { LogError } from '../errors.ts';
import type {
  BrokerApi,
  GroupMember,
  JoinGroupResponse,
  TopicPartition,
} from '../broker/broker-api.ts';
import type { Assignor } from './assignors.ts';
import { PartitionWatch } from './partition-watch.ts';
import {
  CONSUMER_PROTOCOL,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../broker/consumer-protocol.ts';

export interface GroupMembershipOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly groupId: string;
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
const LOST = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION']);

/** One consumer's seat in its group: joins, keeps the seat by heartbeats, learns of rebalances. */
export class GroupMembership {
  readonly #options: GroupMembershipOptions;
  #memberId = '';
  #generation = -1;
  /** The generation of the last seat. */
  #seatGeneration = -1;
  #heartbeat: Timer | undefined;
  /** Raised when heartbeats under way no longer matter. */
  #heartbeatRound = 0;
  #mustRejoin = true;
  #hasLeft = false;
  /** When the member last asked for records. */
  #polledMs: number;
  /** As leader: what the last division went by. */
  #divided: PartitionWatch | undefined;

  constructor(options: GroupMembershipOptions) {
    this.#options = options;
    this.#polledMs = options.clock.monotonicMs();
  }

  /** Who commits: the member of this generation. */
  get member(): GroupMember {
    return {
      groupId: this.#options.groupId,
      memberId: this.#memberId,
      generation: this.#generation,
    };
  }

  /** True when the assignment no longer counts and `join` is due. */
  get mustRejoin(): boolean {
    return this.#mustRejoin;
  }

  /** Says that the subscription has changed. */
  requireRejoin(): void {
    this.#mustRejoin = true;
  }

  /** Says that the member asks for records: without that for `maxPollIntervalMs` it leaves. */
  notePoll(): void {
    this.#polledMs = this.#options.clock.monotonicMs();
  }

  /**
   * Joins, or joins anew, and returns the seat of this generation.
   *
   * @throws LogError CLOSED when the member has left meanwhile.
   */
  async join(topics: readonly string[]): Promise<Seat> {
    const { memberId } = this.member;
    const lastGeneration = this.#seatGeneration;
    this.#stopHeartbeat();
    for (;;) {
      try {
        this.#checkStays();
        const partitions = await this.#joinOnce(topics);
        this.#mustRejoin = false;
        this.#startHeartbeat();
        const generation = this.#generation;
        this.#seatGeneration = generation;
        const isSame = memberId !== '' && memberId === this.#memberId;
        // In a generation that it missed, others may have had its partitions.
        const isContinuous = isSame && generation - lastGeneration <= 1;
        return { generation, partitions, isContinuous };
      } catch (error) {
        if (!this.#noteLoss(error)) throw error;
      }
    }
  }

  /** Gives the seat up, for good. A join that is under way leaves when it is through. */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    const memberId = this.#giveUp();
    if (memberId !== '') await this.#leaveAs(memberId);
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
    const { api, groupId } = this.#options;
    await api.leaveGroup({ groupId, memberId }).catch((error: unknown) => {
      if (!(error instanceof LogError) || !LOST.has(error.code)) throw error;
    });
  }

  #checkStays(): void {
    if (!this.#hasLeft) return;
    const message = `the consumer has left group ${this.#options.groupId}`;
    throw new LogError('CLOSED', message, { what: 'the consumer' });
  }

  /** Takes note of an answer that says the seat is lost or moves; false for other errors. */
  #noteLoss(error: unknown): boolean {
    if (!(error instanceof LogError)) return false;
    const isLost = LOST.has(error.code);
    if (isLost) this.#giveUp();
    if (!isLost && error.code !== 'REBALANCE_IN_PROGRESS') return false;
    this.#mustRejoin = true;
    return true;
  }

  async #joinOnce(topics: readonly string[]): Promise<TopicPartition[]> {
    const { api, groupId, clientId, assignors, sessionTimeoutMs, maxPollIntervalMs } =
      this.#options;
    const metadata = encodeSubscription(topics);
    const joined = await api.joinGroup({
      groupId,
      memberId: this.#memberId,
      clientId,
      sessionTimeoutMs,
      rebalanceTimeoutMs: maxPollIntervalMs,
      protocolType: CONSUMER_PROTOCOL,
      protocols: assignors.map(({ name }) => ({ name, metadata })),
    });
    if (this.#hasLeft) await this.#leaveAs(joined.memberId);
    this.#checkStays();
    this.#memberId = joined.memberId;
    this.#generation = joined.generation;
    this.#divided = undefined;
    const assignments = joined.leaderId === joined.memberId ? await this.#assign(joined) : [];
    const { assignment } = await api.syncGroup({ ...this.member, assignments });
    this.#checkStays();
    return decodeAssignment(assignment);
  }

  async #assign(joined: JoinGroupResponse) {
    const members = joined.members.map(({ memberId, metadata }) => ({
      memberId,
      topics: decodeSubscription(metadata),
    }));
    const topics = [...new Set(members.flatMap((member) => member.topics))].sort();
    const { api, clock, metadataMaxAgeMs } = this.#options;
    const partitions = await this.#options.countPartitions(topics);
    this.#divided = new PartitionWatch(api, clock, metadataMaxAgeMs);
    this.#divided.note(topics, partitions);
    const assignor = this.#options.assignors.find(({ name }) => name === joined.protocol);
    if (assignor === undefined) {
      const { groupId } = this.#options;
      const message = `group ${groupId} chose assignor ${joined.protocol}, which this member lacks`;
      throw new LogError('INCONSISTENT_GROUP_PROTOCOL', message, {
        groupId,
        protocols: [joined.protocol],
      });
    }
    const assigned = assignor.assign(members, partitions);
    return members.map(({ memberId }) => ({
      memberId,
      assignment: encodeAssignment(assigned.get(memberId) ?? []),
    }));
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
      if (round === this.#heartbeatRound && !this.#noteLoss(error)) this.#mustRejoin = true;
    }
  }

  #stopHeartbeat(): void {
    this.#heartbeatRound++;
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
  }
}
