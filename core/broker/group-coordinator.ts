import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Random } from '../random.ts';
import type {
  DescribeGroupsResponse,
  GroupMember,
  GroupState,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupRequest,
  ListGroupsResponse,
  OffsetDeleteRequest,
  OffsetDeleteResponse,
  PartitionError,
  SyncGroupRequest,
  SyncGroupResponse,
} from '../protocol/broker-api.ts';
import type { CoordinatorLog } from './coordinator-log.ts';
import {
  decodeGroupTopicKey,
  decodeGroupValue,
  encodeGroupKey,
  encodeGroupValue,
  type GroupValue,
} from './coordinator-records.ts';
import { Group } from './group.ts';
import type { OffsetStore } from './offset-store.ts';

export interface GroupCoordinatorOptions {
  readonly log: CoordinatorLog;
  readonly offsets: OffsetStore;
  readonly clock: Clock;
  readonly random: Random;
  /** A group could not be written down; it works on. */
  readonly saveFailed: (error: unknown) => void;
}

/** Kafka's `group.max.session.timeout.ms`; its minimum of 6 s guards a network that is not here. */
const SESSION_TIMEOUT_MS_MAX = 30 * 60 * 1000;
const SESSION_TIMEOUT_MS_MIN = 10;

/** Kafka's group coordinator for the classic protocol: finds the group and lets it act. */
export class GroupCoordinator {
  readonly #options: GroupCoordinatorOptions;
  readonly #groups = new Map<string, Group>();
  #closed: LogError | undefined;

  constructor(options: GroupCoordinatorOptions) {
    this.#options = options;
  }

  /** Takes over the groups of before, with the static members that they had. */
  async open(): Promise<void> {
    const kept = new Map<string, GroupValue>();
    await this.#options.log.replay(({ key, value }) => {
      const decoded = decodeGroupTopicKey(key);
      if (decoded?.kind !== 'group') return;
      if (value === null) kept.delete(decoded.groupId);
      else kept.set(decoded.groupId, decodeGroupValue(value));
    });
    for (const [groupId, value] of kept) this.#group(groupId).restore(value);
  }

  async join(request: JoinGroupRequest): Promise<JoinGroupResponse> {
    const { groupId, sessionTimeoutMs, clientId } = request;
    if (groupId === '') {
      throw new LogError('INVALID_GROUP_ID', 'a group id must not be empty', { groupId });
    }
    const isInRange =
      sessionTimeoutMs >= SESSION_TIMEOUT_MS_MIN && sessionTimeoutMs <= SESSION_TIMEOUT_MS_MAX;
    if (!isInRange) {
      const [minMs, maxMs] = [SESSION_TIMEOUT_MS_MIN, SESSION_TIMEOUT_MS_MAX];
      const message = `sessionTimeoutMs must be ${minMs} to ${maxMs}, not ${sessionTimeoutMs}`;
      throw new LogError('INVALID_SESSION_TIMEOUT', message, { sessionTimeoutMs, minMs, maxMs });
    }
    await this.#options.log.ensure();
    if (this.#closed !== undefined) throw this.#closed; // nobody would answer
    return this.#group(groupId).join(request, () => `${shortened(clientId)}-${this.#token()}`);
  }

  async sync(request: SyncGroupRequest): Promise<SyncGroupResponse> {
    return this.#existing(request).sync(request);
  }

  heartbeat(request: GroupMember): void {
    this.#existing(request).heartbeat(request);
  }

  leave(request: LeaveGroupRequest): void {
    this.#existing(request).leave(request);
  }

  /** Throws unless the committer may commit for the group. */
  checkCommit(request: GroupMember): void {
    const group = this.#groups.get(request.groupId);
    if (group !== undefined) group.checkCommit(request);
    else if (request.generation >= 0) this.#existing(request);
  }

  /** The groups that are known; `states` undefined for all. */
  list(states?: readonly GroupState[]): ListGroupsResponse {
    const groups = new Map<string, ListGroupsResponse['groups'][number]>();
    for (const groupId of this.#options.offsets.groupIds) {
      groups.set(groupId, { groupId, state: 'Empty', protocolType: '' });
    }
    for (const { groupId, state, protocolType } of this.#groups.values()) {
      groups.set(groupId, { groupId, state, protocolType });
    }
    const wanted = [...groups.values()].filter(({ state }) => states?.includes(state) ?? true);
    return { groups: wanted };
  }

  /**
   * Forgets a group and its offsets. Durable when it resolves.
   *
   * @throws LogError GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP, DISK_FULL, KAFKA_STORAGE_ERROR
   */
  async delete(groupId: string): Promise<void> {
    const { offsets } = this.#options;
    const group = this.#known(groupId);
    group?.checkEmpty();
    const forgotten = offsets.forgetGroup(groupId, [{ key: encodeGroupKey(groupId), value: null }]);
    this.#groups.delete(groupId);
    await forgotten;
  }

  /**
   * Forgets what a group has committed for partitions that no member reads. Durable when it
   * resolves.
   *
   * @throws LogError GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP for a group of others than consumers,
   *   DISK_FULL, KAFKA_STORAGE_ERROR
   */
  async deleteOffsets({ groupId, partitions }: OffsetDeleteRequest): Promise<OffsetDeleteResponse> {
    const group = this.#known(groupId);
    const subscribed = group === undefined ? NO_TOPICS : group.subscribedTopics;
    if (subscribed === undefined) group?.checkEmpty();
    const results = partitions.map(({ topic, partition }): PartitionError => {
      if (subscribed?.has(topic) !== true) return { topic, partition };
      const message = `group ${groupId} has members that read ${topic}`;
      const error = new LogError('GROUP_SUBSCRIBED_TO_TOPIC', message, { groupId, topic });
      return { topic, partition, error: LogError.toData(error) };
    });
    const forgotten = results.filter(({ error }) => error === undefined);
    await this.#options.offsets.forgetOffsets(groupId, forgotten);
    return { results };
  }

  describe(groupIds: readonly string[]): DescribeGroupsResponse {
    const withOffsets = new Set(this.#options.offsets.groupIds);
    const groups = groupIds.map((groupId) => {
      const group = this.#groups.get(groupId);
      if (group !== undefined) return group.describe();
      const nobody = { groupId, protocolType: '', protocol: '', members: [] };
      if (withOffsets.has(groupId)) return { ...nobody, state: 'Empty' as const };
      return { ...nobody, state: 'Dead' as const, error: LogError.toData(notFound(groupId)) };
    });
    return { groups };
  }

  /** Answers all who wait; from here on nobody joins. */
  close(): void {
    this.#closed = new LogError('CLOSED', 'the log is closed', { what: 'the log' });
    for (const group of this.#groups.values()) group.close(this.#closed);
  }

  /**
   * A group by its id; undefined for one known only by its committed offsets.
   *
   * @throws LogError GROUP_ID_NOT_FOUND
   */
  #known(groupId: string): Group | undefined {
    const group = this.#groups.get(groupId);
    if (group === undefined && !this.#options.offsets.has(groupId)) throw notFound(groupId);
    return group;
  }

  #group(groupId: string): Group {
    const known = this.#groups.get(groupId);
    if (known !== undefined) return known;
    const settled = (it: Group): void => this.#save(it);
    const group = new Group(groupId, this.#options.clock, { settled });
    this.#groups.set(groupId, group);
    return group;
  }

  #existing({ groupId, memberId }: { groupId: string; memberId: string }): Group {
    const group = this.#groups.get(groupId);
    if (group !== undefined) return group;
    const message = `group ${groupId} has no member ${memberId}; join first`;
    throw new LogError('UNKNOWN_MEMBER_ID', message, { groupId, memberId });
  }

  /** Writes the generation down. Not waited for: a lost one only costs a rebalance. */
  #save(group: Group): void {
    const { log, saveFailed } = this.#options;
    const key = encodeGroupKey(group.groupId);
    try {
      const value = encodeGroupValue(group.snapshot());
      log.append(group.groupId, [{ key, value }]).written.catch(saveFailed);
    } catch (error) {
      saveFailed(error);
    }
  }

  #token(): string {
    const words = Array.from({ length: 4 }, () =>
      Math.floor(this.#options.random.next() * 0x1_0000_0000),
    );
    return words.map((word) => word.toString(16).padStart(8, '0')).join('');
  }
}

/** In a member id, a client id of the greatest length would leave no room for the rest. */
const CLIENT_ID_BYTES_MAX = 1024;

/** A client id as a member id begins with it. */
function shortened(clientId: string): string {
  if (Buffer.byteLength(clientId) <= CLIENT_ID_BYTES_MAX) return clientId;
  return Buffer.from(clientId).toString('utf8', 0, CLIENT_ID_BYTES_MAX);
}

const NO_TOPICS: ReadonlySet<string> = new Set();

function notFound(groupId: string): LogError {
  return new LogError('GROUP_ID_NOT_FOUND', `there is no group ${groupId}`, { groupId });
}
