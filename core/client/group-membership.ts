import type { Clock, Timer } from '../clock.ts';
import { LogError } from '../errors.ts';
import type {
  BrokerApi,
  GroupMember,
  JoinGroupResponse,
  TopicPartition,
} from '../broker/broker-api.ts';
import type { Assignor } from './assignors.ts';
import {
  CONSUMER_PROTOCOL,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './consumer-protocol.ts';

export interface GroupMembershipOptions {
  readonly api: BrokerApi;
  readonly clock: Clock;
  readonly groupId: string;
  readonly clientId: string;
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly maxPollIntervalMs: number;
  readonly assignors: readonly Assignor[];
  /** How many partitions each topic has. */
  readonly countPartitions: (topics: readonly string[]) => Promise<ReadonlyMap<string, number>>;
}

/** Errors of a member that has to join again as a new one. */
const LOST = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION']);

/** One consumer's seat in its group: joins, keeps the seat by heartbeats, learns of rebalances. */
export class GroupMembership {
  readonly #options: GroupMembershipOptions;
  #memberId = '';
  #generation = -1;
  #heartbeat: Timer | undefined;
  #mustRejoin = true;

  constructor(options: GroupMembershipOptions) {
    this.#options = options;
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

  /** Joins, or joins anew, and returns the partitions of this generation. */
  async join(topics: readonly string[]): Promise<TopicPartition[]> {
    this.#stopHeartbeat();
    for (;;) {
      try {
        const assigned = await this.#joinOnce(topics);
        this.#mustRejoin = false;
        this.#startHeartbeat();
        return assigned;
      } catch (error) {
        if (!this.#noteLoss(error)) throw error;
      }
    }
  }

  async leave(): Promise<void> {
    this.#stopHeartbeat();
    if (this.#memberId === '') return;
    const { api, groupId } = this.#options;
    const memberId = this.#memberId;
    this.#memberId = '';
    this.#generation = -1;
    this.#mustRejoin = true;
    await api.leaveGroup({ groupId, memberId }).catch((error: unknown) => {
      if (!(error instanceof LogError) || !LOST.has(error.code)) throw error;
    });
  }

  /** Takes note of an answer that says the seat is lost or moves; false for other errors. */
  #noteLoss(error: unknown): boolean {
    if (!(error instanceof LogError)) return false;
    const isLost = LOST.has(error.code);
    if (isLost) {
      this.#memberId = '';
      this.#generation = -1;
    }
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
    this.#memberId = joined.memberId;
    this.#generation = joined.generation;
    const assignments = joined.leaderId === joined.memberId ? await this.#assign(joined) : [];
    const { assignment } = await api.syncGroup({ ...this.member, assignments });
    return decodeAssignment(assignment);
  }

  async #assign(joined: JoinGroupResponse) {
    const members = joined.members.map(({ memberId, metadata }) => ({
      memberId,
      topics: decodeSubscription(metadata),
    }));
    const topics = [...new Set(members.flatMap((member) => member.topics))].sort();
    const partitions = await this.#options.countPartitions(topics);
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
    const { clock, heartbeatIntervalMs, api } = this.#options;
    this.#heartbeat = clock.setBackgroundTimer(heartbeatIntervalMs, () => {
      api.heartbeat(this.member).then(
        () => this.#startHeartbeat(),
        (error: unknown) => {
          // Whatever it was, the next poll joins again and meets it there.
          if (!this.#noteLoss(error)) this.#mustRejoin = true;
        },
      );
    });
  }

  #stopHeartbeat(): void {
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
  }
}
