import { join } from 'node:path';
import type { Clock, Timer } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { batchProducer, NO_TIMESTAMP } from '../record/batch.ts';
import type { Random } from '../random.ts';
import { asBuffer } from '../serde/serde.ts';
import type { FileSystem } from '../storage/file-system.ts';
import type {
  AddOffsetsToTxnRequest,
  AddPartitionsToTxnRequest,
  BrokerApi,
  CreateTopicsRequest,
  CreateTopicsResponse,
  DeleteRecordsRequest,
  DeleteRecordsResponse,
  DeleteTopicsResponse,
  DescribeGroupsResponse,
  EndTxnRequest,
  FetchRequest,
  FetchResponse,
  GroupMember,
  InitProducerIdRequest,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupRequest,
  ListedOffset,
  ListGroupsResponse,
  ListOffsetsRequest,
  ListOffsetsResponse,
  MetadataRequest,
  MetadataResponse,
  OffsetCommitRequest,
  OffsetCommitResponse,
  OffsetFetchRequest,
  OffsetFetchResponse,
  OffsetSpec,
  ProduceBatch,
  ProducerIdentity,
  ProduceRequest,
  ProduceResponse,
  ProduceResult,
  SyncGroupRequest,
  SyncGroupResponse,
  TopicMetadata,
  TxnOffsetCommitRequest,
} from './broker-api.ts';
import { writeCheckpoint } from './checkpoint-file.ts';
import { CoordinatorLog } from './coordinator-log.ts';
import {
  clearCleanShutdown,
  markCleanShutdown,
  takeDirectory,
  type DataDirectory,
} from './data-directory.ts';
import { fetchFrom } from './fetch.ts';
import { GroupCoordinator } from './group-coordinator.ts';
import { OffsetStore } from './offset-store.ts';
import { ProducerIds } from './producer-ids.ts';
import {
  HIGH_WATERMARK_FILE,
  LOG_START_FILE,
  RECOVERY_POINT_FILE,
  Topics,
  type Partition,
  type Topic,
} from './topics.ts';
import { TransactionCoordinator } from './transaction-coordinator.ts';

export interface BrokerOptions {
  readonly directory: string;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const OFFSETS_TOPIC = '__consumer_offsets';
const TRANSACTIONS_TOPIC = '__transaction_state';

/** Kafka's `num.partitions`. */
const PARTITIONS_DEFAULT = 1;
/**
 * Kafka: 60 s. A shorter tail to read after a crash, for one sync of what is mostly synced already.
 */
const CHECKPOINT_MS = 10_000;
/** Kafka's `log.retention.check.interval.ms`. */
const RETENTION_CHECK_MS = 5 * 60 * 1000;
/** Kafka's `transaction.abort.timed.out.transaction.cleanup.interval.ms`. */
const TRANSACTION_CHECK_MS = 10_000;

/** Many partitions in one process: routes requests, and keeps house in the background. */
export class Broker implements BrokerApi {
  readonly #options: BrokerOptions;
  readonly #directory: DataDirectory;
  readonly #topics: Topics;
  readonly #offsets: OffsetStore;
  readonly #groups: GroupCoordinator;
  readonly #transactions: TransactionCoordinator;
  readonly #timers = new Set<Timer>();
  /** Housekeeping that runs now; `close` waits for it. */
  readonly #chores = new Set<Promise<void>>();
  /** One write of the checkpoint files at a time. */
  #writing: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  private constructor(options: BrokerOptions, directory: DataDirectory) {
    const { fileSystem, clock, random, logger } = options;
    this.#options = options;
    this.#directory = directory;
    const topics = new Topics(options);
    const offsetLog = new CoordinatorLog(OFFSETS_TOPIC, topics, clock);
    const offsets = new OffsetStore(topics, offsetLog, clock);
    this.#topics = topics;
    this.#offsets = offsets;
    this.#groups = new GroupCoordinator({
      log: offsetLog,
      offsets,
      clock,
      random,
      saveFailed: (error) =>
        logger.warn(`a consumer group could not be written down: ${String(error)}`),
    });
    this.#transactions = new TransactionCoordinator({
      topics,
      log: new CoordinatorLog(TRANSACTIONS_TOPIC, topics, clock),
      offsets,
      producerIds: new ProducerIds(fileSystem, options.directory),
      clock,
      logger,
    });
  }

  /**
   * Takes the data directory for this process and recovers what is in it.
   *
   * @throws LogError DIRECTORY_UNUSABLE, LOG_LOCKED, CORRUPT_BATCH, CORRUPT_FILE,
   *   KAFKA_STORAGE_ERROR, DISK_FULL: the directory is free again.
   */
  static async open(options: BrokerOptions): Promise<Broker> {
    const { fileSystem, directory, random } = options;
    const taken = await takeDirectory(fileSystem, directory, random);
    try {
      await clearCleanShutdown(fileSystem, directory);
      const broker = new Broker(options, taken);
      await broker.#recover();
      return broker;
    } catch (cause) {
      await taken.release();
      throw cause;
    }
  }

  /**
   * Makes everything durable, so that the next opening has nothing to recover, and frees the
   * directory.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: what was acknowledged is safe all the same.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async metadata(request: MetadataRequest): Promise<MetadataResponse> {
    this.#checkOpen();
    const { clusterId } = this.#directory;
    const names = request.topics ?? [...this.#topics.all()].map(({ name }) => name);
    const topics = names.map((name): TopicMetadata => {
      try {
        return describe(this.#topics.get(name));
      } catch (cause) {
        const error = LogError.toData(cause);
        return { topic: name, error, topicId: '', isInternal: false, partitions: 0, config: {} };
      }
    });
    return { clusterId, topics };
  }

  async produce(request: ProduceRequest): Promise<ProduceResponse> {
    this.#checkOpen();
    const pending = request.batches.map((batch) => this.#append(batch, request));
    if (request.acks === 0) {
      const results = pending.map(({ topic, partition }) => ({ topic, partition, baseOffset: -1 }));
      return { results };
    }
    return { results: await Promise.all(pending.map(({ result }) => result)) };
  }

  async fetch(request: FetchRequest): Promise<FetchResponse> {
    this.#checkOpen();
    return fetchFrom(this.#topics, this.#options.clock, request);
  }

  async listOffsets(request: ListOffsetsRequest): Promise<ListOffsetsResponse> {
    this.#checkOpen();
    const { isolationLevel } = request;
    const lookups = request.partitions.map(
      async ({ topic, partition, spec }): Promise<ListedOffset> => {
        try {
          const { log } = this.#topics.partition({ topic, partition });
          const end =
            isolationLevel === 'read_committed' ? log.lastStableOffset : log.highWatermark;
          return { topic, partition, ...(await lookUp(log, spec, end)) };
        } catch (cause) {
          return {
            topic,
            partition,
            offset: -1,
            timestampMs: NO_TIMESTAMP,
            error: LogError.toData(cause),
          };
        }
      },
    );
    return { partitions: await Promise.all(lookups) };
  }

  async initProducerId(request: InitProducerIdRequest): Promise<ProducerIdentity> {
    this.#checkOpen();
    return this.#transactions.initProducerId(request);
  }

  async addPartitionsToTxn(request: AddPartitionsToTxnRequest): Promise<void> {
    this.#checkOpen();
    await this.#transactions.addPartitions(request, request.partitions);
  }

  async addOffsetsToTxn(request: AddOffsetsToTxnRequest): Promise<void> {
    this.#checkOpen();
    const partition = await this.#offsets.partitionOf(request.groupId);
    await this.#transactions.addPartitions(request, [partition]);
  }

  async txnOffsetCommit(request: TxnOffsetCommitRequest): Promise<OffsetCommitResponse> {
    this.#checkOpen();
    this.#groups.checkCommit(request);
    const { topic, partition } = await this.#offsets.partitionOf(request.groupId);
    this.#transactions.verify(request, topic, partition);
    return {
      results: await this.#offsets.commitInTransaction(request.groupId, request.offsets, request),
    };
  }

  async endTxn(request: EndTxnRequest): Promise<ProducerIdentity> {
    this.#checkOpen();
    return this.#transactions.endTransaction(request, request.commit);
  }

  async joinGroup(request: JoinGroupRequest): Promise<JoinGroupResponse> {
    this.#checkOpen();
    return this.#groups.join(request);
  }

  async syncGroup(request: SyncGroupRequest): Promise<SyncGroupResponse> {
    this.#checkOpen();
    return this.#groups.sync(request);
  }

  async heartbeat(request: GroupMember): Promise<void> {
    this.#checkOpen();
    this.#groups.heartbeat(request);
  }

  async leaveGroup(request: LeaveGroupRequest): Promise<void> {
    this.#checkOpen();
    this.#groups.leave(request);
  }

  async offsetCommit(request: OffsetCommitRequest): Promise<OffsetCommitResponse> {
    this.#checkOpen();
    this.#groups.checkCommit(request);
    return { results: await this.#offsets.commit(request.groupId, request.offsets) };
  }

  async offsetFetch(request: OffsetFetchRequest): Promise<OffsetFetchResponse> {
    this.#checkOpen();
    const { groupId, partitions, requireStable } = request;
    return { offsets: this.#offsets.fetch(groupId, partitions, requireStable) };
  }

  async createTopics(request: CreateTopicsRequest): Promise<CreateTopicsResponse> {
    this.#checkOpen();
    const { validateOnly } = request;
    const creations = request.topics.map(({ topic, partitions, config }) => {
      const count = partitions === -1 ? PARTITIONS_DEFAULT : partitions;
      return named(topic, this.#topics.create(topic, count, config ?? {}, validateOnly));
    });
    return { results: await Promise.all(creations) };
  }

  async deleteTopics(request: {
    readonly topics: readonly string[];
  }): Promise<DeleteTopicsResponse> {
    this.#checkOpen();
    const deletions = request.topics.map((topic) => named(topic, this.#topics.delete(topic)));
    return { results: await Promise.all(deletions) };
  }

  async deleteRecords(request: DeleteRecordsRequest): Promise<DeleteRecordsResponse> {
    this.#checkOpen();
    const deletions = request.partitions.map(async ({ topic, partition, offset }) => {
      try {
        const { log } = this.#topics.partition({ topic, partition });
        const upTo = offset === -1 ? log.highWatermark : offset;
        return { topic, partition, logStartOffset: await log.deleteRecords(upTo) };
      } catch (cause) {
        return { topic, partition, logStartOffset: -1, error: LogError.toData(cause) };
      }
    });
    const results = await Promise.all(deletions);
    await this.#writeLogStarts();
    return { results };
  }

  async listGroups(): Promise<ListGroupsResponse> {
    this.#checkOpen();
    return this.#groups.list();
  }

  async describeGroups(request: {
    readonly groupIds: readonly string[];
  }): Promise<DescribeGroupsResponse> {
    this.#checkOpen();
    return this.#groups.describe(request.groupIds);
  }

  async #recover(): Promise<void> {
    await this.#topics.open();
    try {
      await this.#offsets.open();
      await this.#groups.open();
      await this.#transactions.open();
    } catch (cause) {
      for (const { log } of this.#topics.partitions()) await log.abandon();
      throw cause;
    }
    this.#every(CHECKPOINT_MS, () => this.#checkpoint());
    this.#every(TRANSACTION_CHECK_MS, () => this.#transactions.abortTimedOut());
    this.#every(RETENTION_CHECK_MS, async () => {
      for (const { log } of this.#topics.partitions()) await log.applyRetention();
      await this.#writeLogStarts();
    });
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    await Promise.all(this.#chores);
    this.#groups.close();
    const failures: unknown[] = [];
    const recoveryPoints: { topic: string; partition: number; offset: number }[] = [];
    const partitions = [...this.#topics.partitions()];
    for (const { topic, partition, log, waiters } of partitions) {
      try {
        recoveryPoints.push({ topic, partition, offset: await log.close() });
      } catch (cause) {
        failures.push(cause);
      }
      for (const waiter of waiters) waiter();
    }
    try {
      await this.#writeCheckpoints(recoveryPoints);
      if (failures.length === 0) {
        await markCleanShutdown(this.#options.fileSystem, this.#options.directory);
      }
    } finally {
      await this.#directory.release();
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Appends one batch; its result waits for what `acks` promises. */
  #append(batch: ProduceBatch, request: ProduceRequest) {
    const { topic, partition } = batch;
    return { topic, partition, result: this.#appendBatch(batch, request) };
  }

  async #appendBatch(batch: ProduceBatch, request: ProduceRequest): Promise<ProduceResult> {
    const { topic, partition } = batch;
    try {
      const { log } = this.#topics.partition(batch);
      const records = asBuffer(batch.records);
      const { transactionalId } = request;
      if (transactionalId !== undefined) {
        this.#transactions.verify({ transactionalId, ...batchProducer(records) }, topic, partition);
      }
      const { baseOffset, lastOffset, written } = log.append(records);
      if (request.acks === 'all') await log.sync(lastOffset + 1);
      else if (request.acks === 1) await written;
      return { topic, partition, baseOffset };
    } catch (cause) {
      return { topic, partition, baseOffset: -1, error: LogError.toData(cause) };
    }
  }

  /** Makes every log durable that has moved, and says so: opening then starts from there. */
  async #checkpoint(): Promise<void> {
    const recoveryPoints: { topic: string; partition: number; offset: number }[] = [];
    for (const { topic, partition, log } of this.#topics.partitions()) {
      const offset = await log.checkpoint();
      recoveryPoints.push({ topic, partition, offset });
    }
    await this.#writeCheckpoints(recoveryPoints);
  }

  async #writeCheckpoints(
    recoveryPoints: readonly { topic: string; partition: number; offset: number }[],
  ): Promise<void> {
    await this.#writeFile(RECOVERY_POINT_FILE, recoveryPoints);
    await this.#writeFile(HIGH_WATERMARK_FILE, recoveryPoints);
    await this.#writeLogStarts();
  }

  async #writeLogStarts(): Promise<void> {
    const starts: { topic: string; partition: number; offset: number }[] = [];
    for (const { topic, partition, log } of this.#topics.partitions()) {
      if (log.logStartOffset > 0) starts.push({ topic, partition, offset: log.logStartOffset });
    }
    await this.#writeFile(LOG_START_FILE, starts);
  }

  #writeFile(name: string, entries: Parameters<typeof writeCheckpoint>[2]): Promise<void> {
    const { fileSystem, directory } = this.#options;
    const written = this.#writing.then(() =>
      writeCheckpoint(fileSystem, join(directory, name), entries),
    );
    this.#writing = written.catch(() => undefined);
    return written;
  }

  /** Runs a chore again and again. One that fails is reported and tried again at its next turn. */
  #every(intervalMs: number, chore: () => Promise<void>): void {
    const { clock, logger } = this.#options;
    const timer = clock.setBackgroundTimer(intervalMs, () => {
      this.#timers.delete(timer);
      const running = chore()
        .catch((error: unknown) =>
          logger.error(error instanceof Error ? error.message : String(error)),
        )
        .finally(() => {
          this.#chores.delete(running);
          if (this.#closed === undefined) this.#every(intervalMs, chore);
        });
      this.#chores.add(running);
    });
    this.#timers.add(timer);
  }

  #checkOpen(): void {
    if (this.#closed === undefined) return;
    throw new LogError('CLOSED', 'the log is closed', { what: 'the log' });
  }
}

function describe({ name, topicId, partitions, config }: Topic): TopicMetadata {
  const isInternal = name === OFFSETS_TOPIC || name === TRANSACTIONS_TOPIC;
  return { topic: name, topicId, isInternal, partitions: partitions.length, config };
}

async function lookUp(
  log: Partition['log'],
  spec: OffsetSpec,
  end: number,
): Promise<{ readonly offset: number; readonly timestampMs: number }> {
  if (spec === 'earliest') return { offset: log.logStartOffset, timestampMs: NO_TIMESTAMP };
  if (spec === 'latest') return { offset: end, timestampMs: NO_TIMESTAMP };
  const isMax = spec === 'max_timestamp';
  const found = await (isMax ? log.findMaxTimestamp() : log.findTimestamp(spec.timestampMs));
  if (found === undefined || found.offset >= end) return { offset: -1, timestampMs: NO_TIMESTAMP };
  return found;
}

async function named(topic: string, change: Promise<void>) {
  try {
    await change;
    return { topic };
  } catch (cause) {
    return { topic, error: LogError.toData(cause) };
  }
}
