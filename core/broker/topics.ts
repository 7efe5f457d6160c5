import { join } from 'node:path';
import { assert } from '../assert.ts';
import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import { closest } from 'fastest-levenshtein';
import {
  DELETE_DIRECTORY_SUFFIX,
  LEADER_EPOCH_FILE,
  LOG_SUFFIX,
  offsetOfName,
  PARTITION_METADATA_FILE,
  partitionDirectory,
  partitionOfDirectory,
} from '../log/file-names.ts';
import { PartitionLog } from '../log/partition-log.ts';
import type { Logger } from '../logger.ts';
import type { Random } from '../random.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import type { TopicPartition } from './broker-api.ts';
import { newUuid } from './data-directory.ts';
import { partitionKey, type Checkpoint } from './checkpoint-file.ts';
import { Checkpoints } from './checkpoints.ts';
import { checkTopicName, toLogConfig, type TopicConfig } from './topic-config.ts';
import { readTopicList, writeTopicList, type ListedTopic } from './topic-list.ts';

/** One partition with those who wait for something to read. */
export interface Partition extends TopicPartition {
  readonly log: PartitionLog;
  /** Called, and forgotten, when more can be read. */
  readonly waiters: Set<() => void>;
}

export interface Topic {
  readonly name: string;
  readonly topicId: string;
  readonly config: TopicConfig;
  readonly partitions: readonly Partition[];
}

export interface TopicsOptions {
  /** Forgets, durably, what is kept of a topic elsewhere. Called when its records are gone. */
  readonly deleted: (topic: string) => Promise<void>;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly directory: string;
}

/**
 * Opening a partition is a handful of file calls; more at once gain nothing from four I/O threads.
 */
const OPEN_AT_ONCE = 16;
const PARTITIONS_MAX = 10_000;
/** Where a Kafka controller keeps what `topics.json` is here: no topic of anybody's. */
const METADATA_TOPIC = '__cluster_metadata';

/**
 * The topics of a data directory. The list in `topics.json` is what counts: it is written before a
 * new topic's directories are made and before a deleted one's are removed, so a crash in between is
 * finished at the next opening.
 */
export class Topics {
  readonly checkpoints: Checkpoints;
  readonly #options: TopicsOptions;
  readonly #topics = new Map<string, Topic>();
  /** Deleted, or not made to the end: listed as deleted until nothing of them is left. */
  readonly #leftOver = new Map<string, ListedTopic>();
  /** One change of the list at a time. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: TopicsOptions) {
    this.#options = options;
    this.checkpoints = new Checkpoints(options.fileSystem, options.directory);
  }

  /**
   * Opens every partition.
   *
   * @throws LogError CORRUPT_BATCH, CORRUPT_FILE, KAFKA_STORAGE_ERROR: what was opened is closed.
   */
  async open(): Promise<void> {
    const { recoveryPoints, logStarts } = await this.checkpoints.read();
    const listed = await this.#listTopics();
    try {
      for (const topic of listed) {
        if (topic.isDeleted === true) {
          this.#leftOver.set(topic.name, topic);
          await this.#removeDirectories(topic);
        } else {
          this.#topics.set(topic.name, await this.#openTopic(topic, recoveryPoints, logStarts));
        }
      }
      if (this.#leftOver.size > 0) await this.checkpoints.write(() => this.partitions());
      this.#leftOver.clear();
      await this.#saveList();
    } catch (cause) {
      for (const { log } of this.partitions()) await log.abandon();
      throw cause;
    }
  }

  all(): IterableIterator<Topic> {
    return this.#topics.values();
  }

  find(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  *partitions(): Generator<Partition> {
    for (const topic of this.#topics.values()) yield* topic.partitions;
  }

  /** @throws LogError UNKNOWN_TOPIC_OR_PARTITION with the nearest name. */
  get(name: string): Topic {
    const topic = this.#topics.get(name);
    if (topic !== undefined) return topic;
    const names = [...this.#topics.keys()].filter((known) => !known.startsWith('__'));
    const nearest = names.length === 0 ? undefined : closest(name, names);
    const hint = nearest === undefined ? 'the log has no topics yet' : `did you mean ${nearest}?`;
    const details = nearest === undefined ? { topic: name } : { topic: name, nearest };
    throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', `there is no topic ${name}; ${hint}`, details);
  }

  /** @throws LogError UNKNOWN_TOPIC_OR_PARTITION */
  partition({ topic, partition }: TopicPartition): Partition {
    const { partitions } = this.get(topic);
    const found = partitions[partition];
    if (found !== undefined) return found;
    const message = `topic ${topic} has partitions 0 to ${partitions.length - 1}, not ${partition}`;
    throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic, partition });
  }

  /**
   * Why a partition failed: its log is closed under those who use it when its topic is deleted, and
   * that is what they are to hear.
   */
  causeOf(error: unknown, place: TopicPartition & { readonly log: PartitionLog }): unknown {
    if (!LogError.is(error, 'CLOSED')) return error;
    const { topic, partition } = place;
    if (this.find(topic)?.partitions[partition]?.log === place.log) return error;
    const message = `topic ${topic} was deleted`;
    return new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic, partition });
  }

  /**
   * Creates a topic. It survives a power cut when this resolves.
   *
   * @throws LogError TOPIC_ALREADY_EXISTS, INVALID_TOPIC, INVALID_PARTITIONS, INVALID_CONFIG
   */
  create(
    name: string,
    partitions: number,
    config: TopicConfig,
    validateOnly = false,
  ): Promise<void> {
    return this.#exclusively(async () => {
      checkTopicName(name);
      toLogConfig(config);
      if (this.#topics.has(name)) {
        throw new LogError('TOPIC_ALREADY_EXISTS', `topic ${name} exists already`, { topic: name });
      }
      if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
        const message = `topic ${name} needs 1 to ${PARTITIONS_MAX} partitions, not ${partitions}`;
        throw new LogError('INVALID_PARTITIONS', message, { topic: name, partitions });
      }
      if (validateOnly) return;
      await this.#finishDeletion(name);
      const listed = { name, topicId: this.#newTopicId(), partitions, config };
      await this.#saveList({ added: listed });
      const none: Checkpoint = new Map();
      try {
        this.#topics.set(name, await this.#openTopic(listed, none, none));
      } catch (cause) {
        // A part of its directories is there; the next opening must not take it for a topic.
        this.#leftOver.set(name, listed);
        await this.#finishDeletion(name).catch((error: unknown) => {
          this.#options.logger.warn(`topic ${name} was not made, but in part: ${String(error)}`);
        });
        throw cause;
      }
    });
  }

  /**
   * Deletes a topic, all its records, and the offsets that groups have committed for it. Gone for
   * good when this resolves.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR: the topic is gone or not, but never in part;
   *   calling again, or the next opening, removes what is left.
   */
  delete(name: string): Promise<void> {
    return this.#exclusively(async () => {
      if (!this.#leftOver.has(name)) {
        const topic = this.get(name);
        await this.#saveList({ deleted: name });
        this.#leftOver.set(name, toListed(topic));
        this.#topics.delete(name);
        for (const { log, waiters } of topic.partitions) {
          await log.abandon();
          wake(waiters);
        }
      }
      await this.#finishDeletion(name);
    });
  }

  /** Removes what is left of a topic, if anything is. Until then its name cannot be used again. */
  async #finishDeletion(name: string): Promise<void> {
    const topic = this.#leftOver.get(name);
    if (topic === undefined) return;
    await this.#removeDirectories(topic);
    await this.checkpoints.write(() => this.partitions());
    await this.#options.deleted(name);
    this.#leftOver.delete(name);
    await this.#saveList();
  }

  /** Sets topic settings anew; the next append goes by them. Durable when it resolves. */
  alterConfig(name: string, config: TopicConfig): Promise<void> {
    return this.#exclusively(async () => {
      const logConfig = toLogConfig(config);
      const topic = { ...this.get(name), config };
      this.#topics.set(name, topic);
      await this.#saveList();
      for (const { log } of topic.partitions) log.setConfig(logConfig);
    });
  }

  #exclusively<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#changing.then(change);
    this.#changing = result.catch(() => undefined);
    return result;
  }

  /** The listed topics, and those whose directories another broker left here. */
  async #listTopics(): Promise<ListedTopic[]> {
    const { fileSystem, directory } = this.#options;
    const listed = await readTopicList(fileSystem, directory);
    const names = new Set(listed.map(({ name }) => name));
    const found = new Map<string, number>();
    for (const { name, isDirectory } of await fileSystem.list(directory)) {
      if (!isDirectory) continue;
      if (name.endsWith(DELETE_DIRECTORY_SUFFIX)) {
        await fileSystem.removeDirectory(join(directory, name));
        continue;
      }
      const place = partitionOfDirectory(name);
      if (place === undefined || names.has(place.topic)) continue;
      if (place.topic === METADATA_TOPIC || !(await this.#isPartition(name))) continue;
      found.set(place.topic, Math.max(found.get(place.topic) ?? 0, place.partition + 1));
    }
    for (const [name, partitions] of found) {
      // Kafka's settings are in its metadata log; here such a topic goes by the defaults.
      listed.push({ name, topicId: await this.#topicIdOf(name), partitions, config: {} });
    }
    return listed;
  }

  /** True for a directory that holds a log, and not just has a name like `backup-2024`. */
  async #isPartition(name: string): Promise<boolean> {
    const entries = await this.#options.fileSystem.list(join(this.#options.directory, name));
    return entries.some(
      (entry) =>
        entry.name === PARTITION_METADATA_FILE ||
        offsetOfName(entry.name, LOG_SUFFIX) !== undefined,
    );
  }

  async #openTopic(
    listed: ListedTopic,
    recoveryPoints: Checkpoint,
    logStarts: Checkpoint,
  ): Promise<Topic> {
    const { name, topicId, config } = listed;
    const partitions: Partition[] = [];
    for (let first = 0; first < listed.partitions; first += OPEN_AT_ONCE) {
      const count = Math.min(OPEN_AT_ONCE, listed.partitions - first);
      const opening = Array.from({ length: count }, (_, index) => {
        const key = partitionKey(name, first + index);
        const recoveryPoint = recoveryPoints.get(key) ?? 0;
        const logStartOffset = logStarts.get(key) ?? 0;
        return this.#openPartition(listed, first + index, recoveryPoint, logStartOffset);
      });
      const opened = await Promise.allSettled(opening);
      for (const result of opened) if (result.status === 'fulfilled') partitions.push(result.value);
      const failed = opened.find((result) => result.status === 'rejected');
      if (failed === undefined) continue;
      for (const { log } of partitions) await log.abandon();
      throw failed.reason;
    }
    return { name, topicId, config, partitions };
  }

  async #openPartition(
    listed: ListedTopic,
    partition: number,
    recoveryPoint: number,
    logStartOffset: number,
  ): Promise<Partition> {
    const { fileSystem, clock, logger } = this.#options;
    const directory = join(this.#options.directory, partitionDirectory(listed.name, partition));
    if ((await fileSystem.stat(directory)) === undefined) {
      if (recoveryPoint > 0) throw missingDirectory(directory, recoveryPoint);
      await this.#makePartition(directory, listed.topicId);
    }
    const waiters = new Set<() => void>();
    const { log, tornTail } = await PartitionLog.open({
      fileSystem,
      clock,
      directory,
      place: { topic: listed.name, partition },
      config: toLogConfig(listed.config),
      recoveryPoint,
      logStartOffset,
      advanced: () => wake(waiters),
    });
    if (tornTail !== undefined) {
      const { file, positionBytes, removedBytes, reason } = tornTail;
      logger.warn(
        `${file}: cut ${removedBytes} bytes at ${positionBytes}, ` +
          `which a crash left unfinished (${reason})`,
      );
    }
    return { topic: listed.name, partition, log, waiters };
  }

  async #makePartition(directory: string, topicId: string): Promise<void> {
    const { fileSystem } = this.#options;
    try {
      await fileSystem.makeDirectory(directory);
      await fileSystem.syncDirectory(this.#options.directory);
      const metadata = Buffer.from(`version: 0\ntopic_id: ${topicId}\n`);
      await replaceFile(fileSystem, join(directory, PARTITION_METADATA_FILE), metadata);
      const epochs = Buffer.from('0\n1\n0 0\n'); // version, one entry: epoch 0 from offset 0 on
      await replaceFile(fileSystem, join(directory, LEADER_EPOCH_FILE), epochs);
    } catch (cause) {
      throw storageFailure(directory, 'create', cause);
    }
  }

  async #removeDirectories(topic: ListedTopic): Promise<void> {
    const { fileSystem } = this.#options;
    const { directory } = this.#options;
    for (let partition = 0; partition < topic.partitions; partition++) {
      const path = join(directory, partitionDirectory(topic.name, partition));
      await fileSystem.removeDirectory(path).catch((cause: unknown) => {
        throw storageFailure(path, 'remove', cause);
      });
    }
    // Before the list forgets the topic: what came back would be taken for one.
    await fileSystem.syncDirectory(directory).catch((cause: unknown) => {
      throw storageFailure(directory, 'sync', cause);
    });
  }

  async #saveList(change: { added?: ListedTopic; deleted?: string } = {}): Promise<void> {
    const { fileSystem, directory } = this.#options;
    const listed: ListedTopic[] = [...this.#topics.values()].map((topic) => {
      const entry = toListed(topic);
      return topic.name === change.deleted ? { ...entry, isDeleted: true } : entry;
    });
    for (const topic of this.#leftOver.values()) listed.push({ ...topic, isDeleted: true });
    if (change.added !== undefined) listed.push(change.added);
    await writeTopicList(fileSystem, directory, listed);
  }

  async #topicIdOf(topic: string): Promise<string> {
    const { fileSystem, directory } = this.#options;
    const path = join(directory, partitionDirectory(topic, 0), PARTITION_METADATA_FILE);
    if ((await fileSystem.stat(path)) === undefined) return this.#newTopicId();
    const content = (await fileSystem.readFile(path)).toString('utf8');
    return /^topic_id: (\S+)$/m.exec(content)?.[1] ?? this.#newTopicId();
  }

  #newTopicId(): string {
    return newUuid(this.#options.random);
  }
}

function toListed({ name, topicId, config, partitions }: Topic): ListedTopic {
  assert(partitions.length > 0, 'a topic has a partition');
  return { name, topicId, config, partitions: partitions.length };
}

function wake(waiters: Set<() => void>): void {
  if (waiters.size === 0) return;
  const woken = [...waiters];
  waiters.clear();
  for (const waiter of woken) waiter();
}

function missingDirectory(file: string, recoveryPoint: number): LogError {
  const reason = `it held records up to offset ${recoveryPoint}`;
  const message = `${file} is missing, but ${reason}; put it back, or delete the topic`;
  return new LogError('CORRUPT_FILE', message, { file, reason });
}
