import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { batchProducer, isTransactionalBatch } from '../record/batch.ts';
import type { Random } from '../random.ts';
import { asBuffer } from '../serde/serde.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { errnoOf } from '../storage/node-fs.ts';
import { Underway } from '../underway.ts';
import type { AdminApi } from '../protocol/admin-api.ts';
import { AdminRequests } from './admin-requests.ts';
import type {
  AddOffsetsToTxnRequest,
  AddPartitionsToTxnRequest,
  BrokerApi,
  EndTxnRequest,
  FetchRequest,
  FetchResponse,
  GroupMember,
  InitProducerIdRequest,
  JoinGroupRequest,
  JoinGroupResponse,
  LeaveGroupRequest,
  ListOffsetsRequest,
  ListOffsetsResponse,
  MetadataRequest,
  MetadataResponse,
  OffsetCommitRequest,
  OffsetCommitResponse,
  OffsetFetchRequest,
  OffsetFetchResponse,
  ProduceBatch,
  ProducerIdentity,
  ProduceRequest,
  ProduceResponse,
  ProduceResult,
  SyncGroupRequest,
  SyncGroupResponse,
  TopicMetadata,
  TxnOffsetCommitRequest,
} from '../protocol/broker-api.ts';
import { Compactor } from './compactor.ts';
import { CoordinatorLog } from './coordinator-log.ts';
import {
  clearCleanShutdown,
  markCleanShutdown,
  takeDirectory,
  type DataDirectory,
} from './data-directory.ts';
import { Closing, fetchFrom } from './fetch.ts';
import { GroupCoordinator } from './group-coordinator.ts';
import { Housekeeping } from './housekeeping.ts';
import {
  checkNotInternal,
  isInternal,
  OFFSETS_TOPIC,
  TRANSACTIONS_TOPIC,
} from './internal-topics.ts';
import { listOffsets } from './list-offsets.ts';
import { OffsetStore } from './offset-store.ts';
import { ProducerIds } from './producer-ids.ts';
import { Topics, type Partition, type Topic } from './topics.ts';
import { TransactionCoordinator } from './transaction-coordinator.ts';

/** What a request of administration carries. */
type AdminRequest<Name extends keyof AdminApi> = NonNullable<Parameters<AdminApi[Name]>[0]>;

export interface BrokerOptions {
  readonly directory: string;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Kafka: 60 s. A shorter tail to read after a crash, for one sync of what is mostly synced already.
 */
const CHECKPOINT_MS = 10_000;
/** At full speed ten seconds are gigabytes: so much appended brings the next checkpoint. */
const CHECKPOINT_BYTES = 256 * 1024 * 1024;
/** Kafka's `log.retention.check.interval.ms`. */
const RETENTION_CHECK_MS = 5 * 60 * 1000;
/** Kafka's `log.cleaner.backoff.ms`. */
const COMPACTION_CHECK_MS = 15_000;
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
  readonly #admin: AdminRequests;
  readonly #housekeeping: Housekeeping;
  readonly #compactor: Compactor;
  readonly #closing = new Closing();
  /** Requests that are being answered; `close` waits for them. */
  readonly #requests = new Underway();
  #closed: Promise<void> | undefined;
  #checkpointNow: () => void = () => undefined;
  /** Appended since the last checkpoint began. */
  #appendedBytes = 0;

  private constructor(options: BrokerOptions, directory: DataDirectory) {
    const { fileSystem, clock, random, logger } = options;
    this.#options = options;
    this.#directory = directory;
    const topics = new Topics({ ...options, deleted: (topic) => this.#offsets.forgetTopic(topic) });
    const offsetLog = new CoordinatorLog(OFFSETS_TOPIC, topics, clock);
    const offsets = new OffsetStore(topics, offsetLog, clock);
    this.#topics = topics;
    this.#offsets = offsets;
    this.#housekeeping = new Housekeeping(clock, logger);
    this.#compactor = new Compactor(topics, clock, logger);
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
    this.#admin = new AdminRequests({
      topics,
      offsets,
      groups: this.#groups,
      transactions: this.#transactions,
      clock,
      directory: options.directory,
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
      throw errnoOf(cause) === undefined ? cause : storageFailure(directory, 'open', cause);
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

  metadata(request: MetadataRequest): Promise<MetadataResponse> {
    return this.#request(async () => {
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
    });
  }

  produce(request: ProduceRequest): Promise<ProduceResponse> {
    return this.#request(async () => {
      const pending = request.batches.map((batch) => this.#append(batch, request));
      if (request.acks !== 0) return { results: await Promise.all(pending) };
      const results = request.batches.map(({ topic, partition }) => {
        return { topic, partition, baseOffset: -1 };
      });
      return { results };
    });
  }

  fetch(request: FetchRequest): Promise<FetchResponse> {
    const environment = {
      topics: this.#topics,
      clock: this.#options.clock,
      closing: this.#closing,
    };
    return this.#request(() => fetchFrom(environment, request));
  }

  listOffsets(request: ListOffsetsRequest): Promise<ListOffsetsResponse> {
    return this.#request(() => listOffsets(this.#topics, request));
  }

  initProducerId(request: InitProducerIdRequest): Promise<ProducerIdentity> {
    return this.#request(() => this.#transactions.initProducerId(request));
  }

  addPartitionsToTxn(request: AddPartitionsToTxnRequest): Promise<void> {
    return this.#request(() => this.#transactions.addPartitions(request, request.partitions));
  }

  addOffsetsToTxn(request: AddOffsetsToTxnRequest): Promise<void> {
    return this.#request(async () => {
      const partition = await this.#offsets.partitionOf(request.groupId);
      await this.#transactions.addPartitions(request, [partition]);
    });
  }

  txnOffsetCommit(request: TxnOffsetCommitRequest): Promise<OffsetCommitResponse> {
    return this.#request(async () => {
      const { groupId, offsets } = request;
      const { topic, partition } = await this.#offsets.partitionOf(groupId);
      const mayCommit = (): void => {
        this.#groups.checkCommit(request);
        this.#transactions.verify(request, topic, partition);
      };
      mayCommit();
      return {
        results: await this.#offsets.commitInTransaction(groupId, offsets, request, mayCommit),
      };
    });
  }

  endTxn(request: EndTxnRequest): Promise<ProducerIdentity> {
    return this.#request(() => this.#transactions.endTransaction(request, request.commit));
  }

  joinGroup(request: JoinGroupRequest): Promise<JoinGroupResponse> {
    return this.#request(() => this.#groups.join(request));
  }

  syncGroup(request: SyncGroupRequest): Promise<SyncGroupResponse> {
    return this.#request(() => this.#groups.sync(request));
  }

  heartbeat(request: GroupMember): Promise<void> {
    return this.#request(async () => this.#groups.heartbeat(request));
  }

  leaveGroup(request: LeaveGroupRequest): Promise<void> {
    return this.#request(async () => this.#groups.leave(request));
  }

  offsetCommit(request: OffsetCommitRequest): Promise<OffsetCommitResponse> {
    return this.#request(async () => {
      const mayCommit = (): void => this.#groups.checkCommit(request);
      mayCommit();
      const { groupId, offsets } = request;
      return { results: await this.#offsets.commit(groupId, offsets, mayCommit) };
    });
  }

  offsetFetch(request: OffsetFetchRequest): Promise<OffsetFetchResponse> {
    return this.#request(async () => {
      const { groupId, partitions, requireStable } = request;
      return { offsets: this.#offsets.fetch(groupId, partitions, requireStable) };
    });
  }

  createTopics(request: AdminRequest<'createTopics'>): ReturnType<AdminApi['createTopics']> {
    return this.#request(() => this.#admin.createTopics(request));
  }

  createPartitions(
    request: AdminRequest<'createPartitions'>,
  ): ReturnType<AdminApi['createPartitions']> {
    return this.#request(() => this.#admin.createPartitions(request));
  }

  deleteTopics(request: AdminRequest<'deleteTopics'>): ReturnType<AdminApi['deleteTopics']> {
    return this.#request(() => this.#admin.deleteTopics(request));
  }

  deleteRecords(request: AdminRequest<'deleteRecords'>): ReturnType<AdminApi['deleteRecords']> {
    return this.#request(() => this.#admin.deleteRecords(request));
  }

  describeConfigs(
    request: AdminRequest<'describeConfigs'>,
  ): ReturnType<AdminApi['describeConfigs']> {
    return this.#request(() => this.#admin.describeConfigs(request));
  }

  incrementalAlterConfigs(
    request: AdminRequest<'incrementalAlterConfigs'>,
  ): ReturnType<AdminApi['incrementalAlterConfigs']> {
    return this.#request(() => this.#admin.incrementalAlterConfigs(request));
  }

  listGroups(request?: AdminRequest<'listGroups'>): ReturnType<AdminApi['listGroups']> {
    return this.#request(() => this.#admin.listGroups(request));
  }

  describeGroups(request: AdminRequest<'describeGroups'>): ReturnType<AdminApi['describeGroups']> {
    return this.#request(() => this.#admin.describeGroups(request));
  }

  deleteGroups(request: AdminRequest<'deleteGroups'>): ReturnType<AdminApi['deleteGroups']> {
    return this.#request(() => this.#admin.deleteGroups(request));
  }

  offsetDelete(request: AdminRequest<'offsetDelete'>): ReturnType<AdminApi['offsetDelete']> {
    return this.#request(() => this.#admin.offsetDelete(request));
  }

  listTransactions(
    request: AdminRequest<'listTransactions'>,
  ): ReturnType<AdminApi['listTransactions']> {
    return this.#request(() => this.#admin.listTransactions(request));
  }

  describeTransactions(
    request: AdminRequest<'describeTransactions'>,
  ): ReturnType<AdminApi['describeTransactions']> {
    return this.#request(() => this.#admin.describeTransactions(request));
  }

  describeProducers(
    request: AdminRequest<'describeProducers'>,
  ): ReturnType<AdminApi['describeProducers']> {
    return this.#request(() => this.#admin.describeProducers(request));
  }

  writeTxnMarkers(
    request: AdminRequest<'writeTxnMarkers'>,
  ): ReturnType<AdminApi['writeTxnMarkers']> {
    return this.#request(() => this.#admin.writeTxnMarkers(request));
  }

  describeLogDirs(
    request: AdminRequest<'describeLogDirs'>,
  ): ReturnType<AdminApi['describeLogDirs']> {
    return this.#request(() => this.#admin.describeLogDirs(request));
  }

  async #recover(): Promise<void> {
    await this.#topics.open();
    try {
      await this.#offsets.open();
      await this.#groups.open();
      await this.#transactions.open();
    } catch (cause) {
      await this.#topics.abandon();
      throw cause;
    }
    const topics = this.#topics;
    this.#checkpointNow = this.#housekeeping.every(CHECKPOINT_MS, () => this.#checkpoint());
    this.#housekeeping.every(TRANSACTION_CHECK_MS, () => this.#transactions.abortTimedOut());
    this.#housekeeping.every(COMPACTION_CHECK_MS, () => this.#compactor.compactDue());
    this.#housekeeping.every(RETENTION_CHECK_MS, async () => {
      for (const { log } of topics.partitions()) await log.applyRetention();
      await topics.checkpoints.writeLogStarts(() => topics.partitions());
    });
  }

  async #close(): Promise<void> {
    const closed = new LogError('CLOSED', 'the log is closed', { what: 'the log' });
    this.#transactions.stop();
    this.#groups.close();
    this.#closing.begin(closed);
    this.#compactor.stop();
    await this.#housekeeping.stop();
    // What has begun comes to its end: a commit that is decided must get all its markers.
    await this.#requests.idle();
    await this.#transactions.idle();
    const failures: unknown[] = [];
    const note = (cause: unknown): void => void failures.push(cause);
    try {
      await this.#transactions.record({ sync: true }).catch(note);
      for (const { log } of this.#topics.partitions()) await log.close().catch(note);
      await this.#topics.checkpoints.write(() => this.#topics.partitions()).catch(note);
      await this.#topics.journal.close({ isNeeded: failures.length > 0 }).catch(note);
      if (failures.length === 0) {
        await markCleanShutdown(this.#options.fileSystem, this.#options.directory);
      }
    } finally {
      await this.#directory.release();
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Appends one batch; resolves when what `acks` promises is true. Never rejects. */
  async #append(batch: ProduceBatch, request: ProduceRequest): Promise<ProduceResult> {
    const { topic, partition } = batch;
    let found: Partition | undefined;
    try {
      checkNotInternal(topic);
      found = this.#topics.partition(batch);
      const records = asBuffer(batch.records);
      const { transactionalId } = request;
      if (transactionalId !== undefined) {
        this.#transactions.verify({ transactionalId, ...batchProducer(records) }, topic, partition);
      } else if (isTransactionalBatch(records)) {
        throw outsideTransaction(topic, partition);
      }
      const { baseOffset, lastOffset, written } = found.log.append(records);
      this.#appendedBytes += records.length;
      if (this.#appendedBytes >= CHECKPOINT_BYTES) {
        this.#appendedBytes = 0;
        this.#checkpointNow();
      }
      if (request.acks === 'all') await found.log.sync(lastOffset + 1);
      else if (request.acks === 1) await written;
      return { topic, partition, baseOffset };
    } catch (error) {
      const cause = found === undefined ? error : this.#topics.causeOf(error, found);
      return { topic, partition, baseOffset: -1, error: LogError.toData(cause) };
    }
  }

  /**
   * Makes every log durable that has moved, and says so: opening then starts from there. A log that
   * has failed keeps the others from nothing.
   */
  async #checkpoint(): Promise<void> {
    this.#appendedBytes = 0;
    const failures: unknown[] = [];
    for (const partition of this.#topics.partitions()) {
      await partition.log.checkpoint().catch((error: unknown) => {
        const cause = this.#topics.causeOf(error, partition);
        if (!LogError.is(cause, 'UNKNOWN_TOPIC_OR_PARTITION')) failures.push(cause);
      });
    }
    await this.#topics.checkpoints.write(() => this.#topics.partitions());
    await this.#transactions.record({ sync: false });
    if (failures.length > 0) throw failures[0];
  }

  /** Answers a request, unless the log is closed; then none is begun any more. */
  #request<R>(answer: () => Promise<R>): Promise<R> {
    if (this.#closed === undefined) return this.#requests.run(answer);
    return Promise.reject(new LogError('CLOSED', 'the log is closed', { what: 'the log' }));
  }
}

function outsideTransaction(topic: string, partition: number): LogError {
  const reason = `a batch for ${topic}-${partition} belongs to a transaction, but names none`;
  const details = { transactionalId: '', state: 'Empty', reason };
  return new LogError('INVALID_TXN_STATE', `it was refused: ${reason}`, details);
}

function describe({ name, topicId, partitions, config }: Topic): TopicMetadata {
  const internal = isInternal(name);
  return { topic: name, topicId, isInternal: internal, partitions: partitions.length, config };
}
