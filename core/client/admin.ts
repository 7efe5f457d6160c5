import { LogError, type LogErrorData } from '../errors.ts';
import type {
  BrokerApi,
  GroupDescription,
  ListGroupsResponse,
  TopicMetadata,
  TopicPartition,
} from '../broker/broker-api.ts';
import type { LogConfig } from '../log/log-config.ts';
import { toTopicConfig } from '../broker/topic-config.ts';
import type { AnyTopic } from './consumer.ts';
import { ensureTopic } from './topic-metadata.ts';

/** How a topic is to be created, where there is no handle for it. */
export interface CreateTopicOptions {
  readonly partitions?: number;
  readonly config?: Partial<LogConfig>;
}

/** Looks after topics and groups. Made by `log.admin()`. */
export class Admin {
  readonly #api: BrokerApi;

  constructor(api: BrokerApi) {
    this.#api = api;
  }

  /**
   * Creates a topic. It survives a power cut when this resolves.
   *
   * @throws LogError TOPIC_ALREADY_EXISTS, INVALID_TOPIC, INVALID_PARTITIONS, INVALID_CONFIG
   */
  async createTopic(topic: string, options: CreateTopicOptions = {}): Promise<void> {
    const { partitions = -1, config = {} } = options;
    const request = { topics: [{ topic, partitions, config: toTopicConfig(config) }] };
    throwFirst((await this.#api.createTopics(request)).results);
  }

  /**
   * Creates the topic of a handle unless it exists; returns how many partitions it has.
   *
   * @throws LogError PARTITION_MISMATCH, INVALID_TOPIC, INVALID_CONFIG
   */
  async ensureTopic(topic: AnyTopic): Promise<number> {
    return ensureTopic(this.#api, topic);
  }

  /** Deletes topics with all their records. @throws LogError UNKNOWN_TOPIC_OR_PARTITION */
  async deleteTopics(topics: readonly string[]): Promise<void> {
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
    const described = (await this.#api.metadata({ topics })).topics;
    throwFirst(described);
    return described;
  }

  /** The first and the next offset of each partition of a topic. */
  async offsets(topic: string): Promise<{ partition: number; earliest: number; latest: number }[]> {
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
    throwFirst((await this.#api.deleteRecords({ partitions })).results);
  }

  /** Every consumer group that the log knows, with its state. */
  async listGroups(): Promise<ListGroupsResponse['groups']> {
    return (await this.#api.listGroups()).groups;
  }

  /** @throws LogError GROUP_ID_NOT_FOUND */
  async describeGroup(groupId: string): Promise<GroupDescription> {
    const { groups } = await this.#api.describeGroups({ groupIds: [groupId] });
    throwFirst(groups);
    return groups[0] as GroupDescription;
  }
}

function throwFirst(results: readonly { readonly error?: LogErrorData }[]): void {
  const failed = results.find(({ error }) => error !== undefined)?.error;
  if (failed !== undefined) throw LogError.fromData(failed);
}
