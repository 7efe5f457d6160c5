import { systemClock, type Clock } from '../../clock.ts';
import type {
  BrokerApi,
  ConfigChange,
  ConfigEntry,
  GroupDescription,
  GroupListing,
  GroupState,
  ListTransactionsRequest,
  LogDirDescription,
  ProducerDescription,
  TopicMetadata,
  TopicPartition,
  TransactionDescription,
  TransactionListing,
} from '../../protocol/broker-api.ts';
import { CONSUMER_PROTOCOL, decodeAssignment } from '../../protocol/consumer-protocol.ts';
import { kafkaName, toTopicConfig } from '../../protocol/topic-config.ts';
import type { LogConfig } from '../../log/log-config.ts';
import {
  anything,
  checkArgument,
  checkOptions,
  flag,
  integer,
  listOf,
  plain,
  text,
} from '../../options.ts';
import {
  checkHandle,
  checkNames,
  checkOffsets,
  checkPlace,
  checkPlaces,
  identifier,
} from '../arguments.ts';
import type { AnyTopic } from '../topic.ts';
import {
  alterGroupOffsets,
  describeGroup,
  listGroupOffsets,
  type AlteredOffset,
  type AlterGroupOffsets,
  type GroupOffset,
} from '../group/group-offsets.ts';
import { throwFirst } from '../../protocol/answer-errors.ts';
import { ensureTopic } from '../topic-metadata.ts';

/** The name of a topic's setting: `retentionMs`, or as Kafka writes it, `retention.ms`. */
export type TopicSettingName = keyof LogConfig | `${string}.${string}`;

/** Settings of a topic: `{ retentionMs: 1000 }`, or in Kafka's words `{ 'retention.ms': 1 }`. */
export type TopicSettings = Partial<LogConfig> &
  Readonly<Record<`${string}.${string}`, string | number>>;

/** How a topic is to be created, where there is no handle for it. */
export interface CreateTopicOptions {
  /** Default 1. */
  readonly partitions?: number;
  /** Default: each setting as in `LogConfig`. */
  readonly config?: TopicSettings;
  /** Only checks whether it could be created. Default false. */
  readonly validateOnly?: boolean;
}

/** What is to become of a topic's settings; those that are not named stay. */
export interface AlterConfigs {
  readonly set?: TopicSettings;
  /** These go back to their defaults. */
  readonly delete?: readonly TopicSettingName[];
  /** Adds to a list: `{ cleanupPolicy: 'compact' }`. */
  readonly append?: TopicSettings;
  /** Takes out of a list. */
  readonly subtract?: TopicSettings;
  /** Only checks whether it could be done. */
  readonly validateOnly?: boolean;
}

/** A group with its members. */
export interface ConsumerGroupDescription extends Omit<GroupDescription, 'error' | 'members'> {
  readonly members: readonly GroupMemberDescription[];
}

/** One member of a group. */
export interface GroupMemberDescription {
  readonly memberId: string;
  readonly groupInstanceId?: string;
  readonly clientId: string;
  /** What it reads; empty while the group rebalances, and in groups of others than consumers. */
  readonly assignment: readonly TopicPartition[];
}

/**
 * Which transaction to abort: that of a transactional id, or, in one partition, one that hangs
 * because no transactional id knows of it (`describeProducers` shows it).
 */
export type AbortTransaction =
  | { readonly transactionalId: string }
  | (TopicPartition & { readonly producerId: number; readonly producerEpoch: number });

/**
 * Looks after topics, groups and transactions (Kafka: `Admin`). Any of its calls may run at the
 * same time. Made by `log.admin()`.
 */
export class Admin {
  readonly #api: BrokerApi;
  readonly #clock: Clock;

  constructor(api: BrokerApi, environment: { readonly clock?: Clock } = {}) {
    this.#api = api;
    this.#clock = environment.clock ?? systemClock;
  }

  /**
   * Creates a topic. It survives a power cut when this resolves.
   *
   * @throws LogError TOPIC_ALREADY_EXISTS, INVALID_TOPIC, INVALID_PARTITIONS, INVALID_CONFIG
   */
  async createTopic(topic: string, options: CreateTopicOptions = {}): Promise<void> {
    checkOptions('createTopic', options, {
      partitions: anything,
      config: plain,
      validateOnly: flag,
    });
    const { partitions = -1, config = {}, validateOnly = false } = options;
    const topics = [{ topic, partitions, config: toTopicConfig(config) }];
    throwFirst((await this.#api.createTopics({ topics, validateOnly })).results);
  }

  /**
   * Creates the topic of a handle unless it exists; returns how many partitions it has.
   *
   * @throws LogError PARTITION_MISMATCH, INVALID_TOPIC, INVALID_CONFIG
   */
  async ensureTopic(topic: AnyTopic): Promise<number> {
    checkHandle('ensureTopic', topic);
    return ensureTopic(this.#api, topic);
  }

  /**
   * Gives a topic more partitions, `count` in all, up to 10,000; never fewer. They survive a power
   * cut when this resolves; after a crash before that there are all of the new ones or none.
   *
   * Records stay where they are, so from here on a key may go to another partition than before.
   * Consumers read the new partitions, and producers write to them, after `metadataMaxAgeMs`;
   * those that start now, at once. Handles that name the old number are refused from here on
   * (PARTITION_MISMATCH).
   *
   * @throws LogError INVALID_PARTITIONS, UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC, DISK_FULL,
   *   KAFKA_STORAGE_ERROR: the topic has the partitions that it had.
   */
  async createPartitions(
    topic: string,
    count: number,
    options: { readonly validateOnly?: boolean } = {},
  ): Promise<void> {
    checkArgument('createPartitions', 'topic', topic, text);
    checkOptions('createPartitions', options, { validateOnly: flag });
    const { validateOnly = false } = options;
    const request = { topics: [{ topic, count }], validateOnly };
    throwFirst((await this.#api.createPartitions(request)).results);
  }

  /** Deletes topics with all their records. @throws LogError UNKNOWN_TOPIC_OR_PARTITION */
  async deleteTopics(topics: readonly string[]): Promise<void> {
    checkNames('deleteTopics', 'topics', topics);
    throwFirst((await this.#api.deleteTopics({ topics })).results);
  }

  /** The names of all topics, internal ones last. */
  async listTopics(): Promise<string[]> {
    const { topics } = await this.#api.metadata({});
    const sorted = [...topics].sort((a, b) => Number(a.isInternal) - Number(b.isInternal));
    return sorted.map(({ topic }) => topic);
  }

  /** @throws LogError UNKNOWN_TOPIC_OR_PARTITION */
  async describeTopics(topics: readonly string[]): Promise<readonly TopicMetadata[]> {
    checkNames('describeTopics', 'topics', topics);
    const described = (await this.#api.metadata({ topics })).topics;
    throwFirst(described);
    return described;
  }

  /**
   * Every setting of a topic, by name: what it is, where that comes from, what it could be.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION
   */
  async describeConfigs(topic: string): Promise<readonly ConfigEntry[]> {
    checkArgument('describeConfigs', 'topic', topic, text);
    const { results } = await this.#api.describeConfigs({ topics: [topic] });
    throwFirst(results);
    return results[0]?.configs ?? [];
  }

  /**
   * Changes settings of a topic, all of them or none. The next append and the next look at what is
   * old go by them; what has been written stays as it is. Durable when it resolves.
   *
   * @throws LogError INVALID_CONFIG with the nearest name or what is allowed,
   *   UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC for an internal one, DISK_FULL,
   *   KAFKA_STORAGE_ERROR: nothing changed.
   *
   * @example
   * await admin.alterConfigs('orders', { set: { retentionMs: 60_000 }, delete: ['segmentMs'] });
   */
  async alterConfigs(topic: string, changes: AlterConfigs): Promise<void> {
    checkArgument('alterConfigs', 'topic', topic, text);
    checkOptions('alterConfigs', changes, {
      set: plain,
      delete: listOf('names'),
      append: plain,
      subtract: plain,
      validateOnly: flag,
    });
    const { set = {}, append = {}, subtract = {}, validateOnly = false } = changes;
    const all = [
      ...changesOf('SET', set),
      ...(changes.delete ?? []).map((name): ConfigChange => {
        return { name: kafkaName(name), operation: 'DELETE' };
      }),
      ...changesOf('APPEND', append),
      ...changesOf('SUBTRACT', subtract),
    ];
    const request = { topics: [{ topic, changes: all }], validateOnly };
    throwFirst((await this.#api.incrementalAlterConfigs(request)).results);
  }

  /** The first and the next offset of each partition of a topic. */
  async offsets(topic: string): Promise<{ partition: number; earliest: number; latest: number }[]> {
    checkArgument('offsets', 'topic', topic, text);
    const [described] = await this.describeTopics([topic]);
    const places = Array.from({ length: described?.partitions ?? 0 }, (_, partition) => ({
      topic,
      partition,
    }));
    const list = async (spec: 'earliest' | 'latest') => {
      const partitions = places.map((place) => ({ ...place, spec }));
      const listed = await this.#api.listOffsets({
        isolationLevel: 'read_uncommitted',
        partitions,
      });
      throwFirst(listed.partitions);
      return listed.partitions;
    };
    const [earliest, latest] = await Promise.all([list('earliest'), list('latest')]);
    return places.map(({ partition }) => ({
      partition,
      earliest: earliest[partition]?.offset ?? 0,
      latest: latest[partition]?.offset ?? 0,
    }));
  }

  /** Makes the records below each offset unreadable and frees their room, segment by segment. */
  async deleteRecords(
    partitions: readonly (TopicPartition & { readonly offset: number })[],
  ): Promise<void> {
    checkOffsets('deleteRecords', partitions, integer(-1));
    throwFirst((await this.#api.deleteRecords({ partitions })).results);
  }

  /** How many bytes each partition takes on the disk; default: of all topics, internal ones too. */
  async describeLogDirs(topics?: readonly string[]): Promise<readonly LogDirDescription[]> {
    if (topics !== undefined) checkNames('describeLogDirs', 'topics', topics);
    const request = topics === undefined ? {} : { topics };
    return (await this.#api.describeLogDirs(request)).directories;
  }

  /** The consumer groups that the log knows, in the states asked for; default: in any. */
  async listGroups(
    options: { readonly states?: readonly GroupState[] } = {},
  ): Promise<readonly GroupListing[]> {
    checkOptions('listGroups', options, { states: listOf('states') });
    return (await this.#api.listGroups(options)).groups;
  }

  /** A group with its members and what each of them reads. @throws LogError GROUP_ID_NOT_FOUND */
  async describeGroup(groupId: string): Promise<ConsumerGroupDescription> {
    checkArgument('describeGroup', 'groupId', groupId, identifier());
    const { members, ...group } = await describeGroup(this.#api, groupId);
    const isConsumers = group.protocolType === CONSUMER_PROTOCOL;
    return {
      ...group,
      members: members.map((member) => {
        const assignment = isConsumers ? decodeAssignment(member.assignment) : [];
        return { ...member, assignment };
      }),
    };
  }

  /**
   * Forgets groups, with all that they have committed. Durable when it resolves.
   *
   * @throws LogError NON_EMPTY_GROUP for one with members, GROUP_ID_NOT_FOUND: that one is not
   *   deleted, the others are.
   */
  async deleteGroups(groupIds: readonly string[]): Promise<void> {
    checkNames('deleteGroups', 'groupIds', groupIds);
    throwFirst((await this.#api.deleteGroups({ groupIds })).results);
  }

  /**
   * What a group has committed, and how far it is behind the end of each log.
   *
   * @throws LogError GROUP_ID_NOT_FOUND
   */
  async listGroupOffsets(groupId: string): Promise<readonly GroupOffset[]> {
    checkArgument('listGroupOffsets', 'groupId', groupId, identifier());
    return listGroupOffsets(this.#api, groupId);
  }

  /**
   * Says where a group goes on, in all partitions or in none, and returns from where to where; with
   * `dryRun` it only says so. Targets outside of a log are moved to its nearer end. A group that
   * does not exist begins there, if `of` says in what. Durable when it resolves (Kafka:
   * `alterConsumerGroupOffsets`, `kafka-consumer-groups --reset-offsets`).
   *
   * @throws LogError NON_EMPTY_GROUP while it has members, also for a dry run; GROUP_ID_NOT_FOUND,
   *   UNKNOWN_TOPIC_OR_PARTITION, INVALID_OPTION, UNKNOWN_OPTION: nothing was moved.
   *
   * @example
   * await admin.alterGroupOffsets('audit', { to: { durationMs: 3_600_000 }, of: ['orders'] });
   */
  async alterGroupOffsets(
    groupId: string,
    request: AlterGroupOffsets,
  ): Promise<readonly AlteredOffset[]> {
    checkArgument('alterGroupOffsets', 'groupId', groupId, identifier());
    return alterGroupOffsets(this.#api, groupId, request, this.#clock.nowMs());
  }

  /**
   * Forgets what a group has committed for partitions, of topics that no member reads. Durable when
   * it resolves.
   *
   * @throws LogError GROUP_SUBSCRIBED_TO_TOPIC: not forgotten for those, but for the others;
   *   GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP for a group of others than consumers
   */
  async deleteGroupOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<void> {
    checkArgument('deleteGroupOffsets', 'groupId', groupId, identifier());
    checkPlaces('deleteGroupOffsets', partitions);
    throwFirst((await this.#api.offsetDelete({ groupId, partitions })).results);
  }

  /** The transactional ids that the log knows, by state, producer or age; default: all. */
  async listTransactions(
    options: ListTransactionsRequest = {},
  ): Promise<readonly TransactionListing[]> {
    checkOptions('listTransactions', options, {
      states: listOf('states'),
      producerIds: listOf('producer ids'),
      durationMs: integer(0),
    });
    return (await this.#api.listTransactions(options)).transactions;
  }

  /** How a transactional id stands. @throws LogError TRANSACTIONAL_ID_NOT_FOUND */
  async describeTransaction(transactionalId: string): Promise<TransactionDescription> {
    checkArgument('describeTransaction', 'transactionalId', transactionalId, identifier());
    const request = { transactionalIds: [transactionalId] };
    const { transactions } = await this.#api.describeTransactions(request);
    throwFirst(transactions);
    return transactions[0] as TransactionDescription;
  }

  /**
   * Aborts a transaction. By its transactional id: whoever writes in it is fenced, and the id has
   * none open when this resolves (Kafka: `fenceProducers`). By partition and producer: one that
   * hangs, so that readers of committed data go on (Kafka: `abortTransaction`).
   *
   * @throws LogError TRANSACTIONAL_ID_NOT_FOUND; INVALID_TXN_STATE when nothing hangs there, or a
   *   transactional id would commit the rest of it; INVALID_PRODUCER_EPOCH: nothing was aborted.
   */
  async abortTransaction(which: AbortTransaction): Promise<void> {
    checkArgument('abortTransaction', 'which', which, plain);
    if ('transactionalId' in which) {
      const { transactionalId } = which;
      const { timeoutMs } = await this.describeTransaction(transactionalId);
      await this.#api.initProducerId({ transactionalId, transactionTimeoutMs: timeoutMs });
      return;
    }
    checkPlace('abortTransaction', which, 'which');
    const { producerId, producerEpoch, topic, partition } = which;
    const markers = [{ producerId, producerEpoch, partitions: [{ topic, partition }] }];
    throwFirst((await this.#api.writeTxnMarkers({ markers })).results);
  }

  /**
   * The producers that a partition remembers, with where their open transactions begin: the
   * smallest of those is where readers of committed data stop.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION
   */
  async describeProducers(place: TopicPartition): Promise<readonly ProducerDescription[]> {
    checkPlace('describeProducers', place, 'place');
    const { partitions } = await this.#api.describeProducers({ partitions: [place] });
    throwFirst(partitions);
    return partitions[0]?.producers ?? [];
  }
}

function changesOf(operation: ConfigChange['operation'], settings: TopicSettings): ConfigChange[] {
  return Object.entries(toTopicConfig(settings)).map(([name, value]) => {
    return { name, operation, value };
  });
}
