import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Random } from '../random.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { errnoOf } from '../storage/node-fs.ts';
import { Underway } from '../underway.ts';
import type { BrokerApi } from '../protocol/broker-api.ts';
import { brokerBehind, sendTo, type SendRequest } from '../protocol/dispatch.ts';
import { checkRequest } from '../protocol/request-shapes.ts';
import { clusterRequests } from './cluster-requests.ts';
import { Compactor } from './compactor.ts';
import { CoordinatorLog } from './coordinator-log.ts';
import {
  clearCleanShutdown,
  markCleanShutdown,
  takeDirectory,
  type DataDirectory,
} from './data-directory.ts';
import { Closing } from './fetch.ts';
import { GroupCoordinator } from './group-coordinator.ts';
import { groupRequests } from './group-requests.ts';
import { Housekeeping } from './housekeeping.ts';
import { OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from './internal-topics.ts';
import { OffsetStore } from './offset-store.ts';
import { ProducerIds } from './producer-ids.ts';
import { recordRequests } from './record-requests.ts';
import { RETENTION_LOOK_MS, RetentionChecks } from './retention-checks.ts';
import { topicRequests } from './topic-requests.ts';
import { Topics } from './topics.ts';
import { TransactionCoordinator } from './transaction-coordinator.ts';
import { transactionRequests } from './transaction-requests.ts';

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
/** Kafka's `log.cleaner.backoff.ms`. */
const COMPACTION_CHECK_MS = 15_000;
/** Kafka's `transaction.abort.timed.out.transaction.cleanup.interval.ms`. */
const TRANSACTION_CHECK_MS = 10_000;

/** Many partitions in one process: answers requests, and keeps house in the background. */
export class Broker {
  /** What clients talk to. */
  readonly api: BrokerApi;
  readonly #options: BrokerOptions;
  readonly #directory: DataDirectory;
  readonly #topics: Topics;
  readonly #offsets: OffsetStore;
  readonly #groups: GroupCoordinator;
  readonly #transactions: TransactionCoordinator;
  readonly #send: SendRequest;
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
    const parts = { topics, offsets, groups: this.#groups, transactions: this.#transactions };
    const environment = {
      ...parts,
      clock,
      directory: options.directory,
      identity: directory,
      closing: this.#closing,
      appended: (sizeBytes: number) => this.#noteAppended(sizeBytes),
    };
    this.#send = sendTo({
      ...clusterRequests(environment),
      ...recordRequests(environment),
      ...transactionRequests(environment),
      ...groupRequests(environment),
      ...topicRequests(environment),
    });
    this.api = brokerBehind(this.#answer);
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
      const wasClosed = await clearCleanShutdown(fileSystem, directory);
      const broker = new Broker(options, taken);
      await broker.#recover(wasClosed);
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

  async #recover(wasClosed: boolean): Promise<void> {
    await this.#topics.open(wasClosed);
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
    const { clock } = this.#options;
    const checks = new RetentionChecks(clock.monotonicMs());
    this.#housekeeping.every(RETENTION_LOOK_MS, async () => {
      const nowMs = clock.monotonicMs();
      const due = [...topics.partitions()].filter(({ log }) => checks.isDue(log, nowMs));
      for (const { log } of due) await log.applyRetention();
      if (due.length > 0) await topics.checkpoints.writeLogStarts(() => topics.partitions());
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
      failures.push(...(await this.#topics.closeAll()));
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
  readonly #answer: SendRequest = (name, request) => {
    if (this.#closed === undefined) {
      return this.#requests.run(() => {
        checkRequest(name, request);
        return this.#send(name, request);
      });
    }
    return Promise.reject(new LogError('CLOSED', 'the log is closed', { what: 'the log' }));
  };

  #noteAppended(sizeBytes: number): void {
    this.#appendedBytes += sizeBytes;
    if (this.#appendedBytes < CHECKPOINT_BYTES) return;
    this.#appendedBytes = 0;
    this.#checkpointNow();
  }
}
