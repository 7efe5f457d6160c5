import type { Clock } from '../clock.ts';
import { LogError, type LogErrorData } from '../errors.ts';
import type {
  AdminApi,
  AlterConfigsRequest,
  AlterConfigsResponse,
  CreatePartitionsRequest,
  CreatePartitionsResponse,
  CreateTopicsRequest,
  CreateTopicsResponse,
  DeleteGroupsResponse,
  DeleteRecordsRequest,
  DeleteRecordsResponse,
  DeleteTopicsResponse,
  DescribeConfigsResponse,
  DescribeGroupsResponse,
  DescribeLogDirsRequest,
  DescribeLogDirsResponse,
  DescribeProducersResponse,
  DescribeTransactionsResponse,
  ListGroupsRequest,
  ListGroupsResponse,
  ListTransactionsRequest,
  ListTransactionsResponse,
  OffsetDeleteRequest,
  OffsetDeleteResponse,
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponse,
} from '../protocol/admin-api.ts';
import { checkNotInternal } from './internal-topics.ts';
import {
  abortHanging,
  describeProducersOf,
  describeTransaction,
  isListed,
  listingOf,
} from './describe-transactions.ts';
import type { GroupCoordinator } from './group-coordinator.ts';
import type { OffsetStore } from './offset-store.ts';
import { changeConfig, describeConfig } from '../protocol/topic-config.ts';
import type { TopicPartition } from '../protocol/topic-partition.ts';
import { checkOffset } from './request-checks.ts';
import type { Topics } from './topics.ts';
import type { TransactionCoordinator } from './transaction-coordinator.ts';

export interface AdminRequestsOptions {
  readonly topics: Topics;
  readonly offsets: OffsetStore;
  readonly groups: GroupCoordinator;
  readonly transactions: TransactionCoordinator;
  readonly clock: Clock;
  readonly directory: string;
}

/** Kafka's `num.partitions`. */
const PARTITIONS_DEFAULT = 1;

/** Answers the requests of administration; the broker sees to when they may be asked. */
export class AdminRequests implements AdminApi {
  readonly #options: AdminRequestsOptions;

  constructor(options: AdminRequestsOptions) {
    this.#options = options;
  }

  async createTopics(request: CreateTopicsRequest): Promise<CreateTopicsResponse> {
    const { validateOnly } = request;
    const results = request.topics.map(({ topic, partitions, config }) => {
      const count = partitions === -1 ? PARTITIONS_DEFAULT : partitions;
      const { topics } = this.#options;
      return answer({ topic }, () => {
        checkNotInternal(topic);
        return topics.create(topic, count, config ?? {}, validateOnly);
      });
    });
    return { results: await Promise.all(results) };
  }

  async createPartitions(request: CreatePartitionsRequest): Promise<CreatePartitionsResponse> {
    const results = request.topics.map(({ topic, count }) =>
      answer({ topic }, () => {
        checkNotInternal(topic);
        return this.#options.topics.createPartitions(topic, count, request.validateOnly);
      }),
    );
    return { results: await Promise.all(results) };
  }

  async deleteTopics(request: {
    readonly topics: readonly string[];
  }): Promise<DeleteTopicsResponse> {
    const results = request.topics.map((topic) =>
      answer({ topic }, () => {
        checkNotInternal(topic);
        return this.#options.topics.delete(topic);
      }),
    );
    return { results: await Promise.all(results) };
  }

  async deleteRecords(request: DeleteRecordsRequest): Promise<DeleteRecordsResponse> {
    const { topics } = this.#options;
    const deletions = request.partitions.map(async ({ topic, partition, offset }) => {
      try {
        checkNotInternal(topic);
        const { log } = topics.partition({ topic, partition });
        if (offset !== -1) checkOffset('offset', offset);
        const upTo = offset === -1 ? log.highWatermark : offset;
        // A log must not end before it begins: what is deleted is durable first.
        await log.sync(Math.min(upTo, log.highWatermark));
        return { topic, partition, logStartOffset: await log.deleteRecords(upTo) };
      } catch (cause) {
        return { topic, partition, logStartOffset: -1, error: LogError.toData(cause) };
      }
    });
    const results = await Promise.all(deletions);
    await topics.checkpoints.writeLogStarts(() => topics.partitions());
    return { results };
  }

  async describeConfigs(request: {
    readonly topics: readonly string[];
  }): Promise<DescribeConfigsResponse> {
    const results = request.topics.map((topic) => {
      try {
        return { topic, configs: describeConfig(this.#options.topics.get(topic).config) };
      } catch (cause) {
        return { topic, configs: [], error: LogError.toData(cause) };
      }
    });
    return { results };
  }

  async incrementalAlterConfigs(request: AlterConfigsRequest): Promise<AlterConfigsResponse> {
    const { topics } = this.#options;
    const results = request.topics.map(({ topic, changes }) =>
      answer({ topic }, () => {
        checkNotInternal(topic);
        const change = (config: Readonly<Record<string, string>>) => changeConfig(config, changes);
        return topics.alterConfig(topic, change, request.validateOnly);
      }),
    );
    return { results: await Promise.all(results) };
  }

  async listGroups(request: ListGroupsRequest = {}): Promise<ListGroupsResponse> {
    return this.#options.groups.list(request.states);
  }

  async describeGroups(request: {
    readonly groupIds: readonly string[];
  }): Promise<DescribeGroupsResponse> {
    return this.#options.groups.describe(request.groupIds);
  }

  async deleteGroups(request: {
    readonly groupIds: readonly string[];
  }): Promise<DeleteGroupsResponse> {
    const { groups } = this.#options;
    const results = request.groupIds.map((groupId) =>
      answer({ groupId }, () => groups.delete(groupId)),
    );
    return { results: await Promise.all(results) };
  }

  async offsetDelete(request: OffsetDeleteRequest): Promise<OffsetDeleteResponse> {
    return this.#options.groups.deleteOffsets(request);
  }

  async listTransactions(request: ListTransactionsRequest): Promise<ListTransactionsResponse> {
    const { transactions, clock } = this.#options;
    const listed = [...transactions.all()].filter((each) => isListed(each, request, clock.nowMs()));
    return { transactions: listed.map(listingOf) };
  }

  async describeTransactions(request: {
    readonly transactionalIds: readonly string[];
  }): Promise<DescribeTransactionsResponse> {
    const all = new Map(
      [...this.#options.transactions.all()].map((each) => [each.transactionalId, each]),
    );
    const described = request.transactionalIds.map((id) => describeTransaction(id, all.get(id)));
    return { transactions: described };
  }

  async describeProducers(request: {
    readonly partitions: readonly TopicPartition[];
  }): Promise<DescribeProducersResponse> {
    const partitions = request.partitions.map(({ topic, partition }) => {
      try {
        const { log } = this.#options.topics.partition({ topic, partition });
        return { topic, partition, producers: describeProducersOf(log) };
      } catch (cause) {
        return { topic, partition, producers: [], error: LogError.toData(cause) };
      }
    });
    return { partitions };
  }

  async writeTxnMarkers(request: WriteTxnMarkersRequest): Promise<WriteTxnMarkersResponse> {
    const results = request.markers.flatMap(({ partitions, ...producer }) =>
      partitions.map(({ topic, partition }) =>
        answer({ topic, partition, producerId: producer.producerId }, () =>
          abortHanging(this.#options, producer, { topic, partition }),
        ),
      ),
    );
    return { results: await Promise.all(results) };
  }

  async describeLogDirs(request: DescribeLogDirsRequest): Promise<DescribeLogDirsResponse> {
    const { topics, directory: path } = this.#options;
    const wanted = request.topics === undefined ? undefined : new Set(request.topics);
    const partitions = [...topics.partitions()]
      .filter(({ topic }) => wanted?.has(topic) ?? true)
      .map(({ topic, partition, log: { sizeBytes } }) => {
        return { topic, partition, sizeBytes, offsetLag: 0, isFuture: false };
      });
    return { directories: [{ path, partitions }] };
  }
}

/** What became of one item of a request, beside what names it. */
async function answer<Name extends object>(
  name: Name,
  change: () => Promise<void>,
): Promise<Name & { readonly error?: LogErrorData }> {
  try {
    await change();
    return name;
  } catch (cause) {
    return { ...name, error: LogError.toData(cause) };
  }
}
