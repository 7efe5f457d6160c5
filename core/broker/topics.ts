import { join } from 'node:path';
import { assert } from '../assert.ts';
import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import { closest } from 'fastest-levenshtein';
import {
  DELETE_DIRECTORY_SUFFIX,
  PARTITION_METADATA_FILE,
  partitionDirectory,
  partitionOfDirectory,
} from '../log/segment/file-names.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import { redoJournal } from '../log/load/redo-journal.ts';
import { SyncJournal } from '../log/durability/sync-journal.ts';
import type { Logger } from '../logger.ts';
import type { Random } from '../random.ts';
import { syncNames } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import type { TopicPartition } from '../protocol/broker-api.ts';
import { isPartitionDirectory, newUuid, topicIdIn } from './data-directory.ts';
import { Checkpoints } from './checkpoints.ts';
import { INTERNAL_TOPIC_CONFIG, isInternal, METADATA_TOPIC } from './internal-topics.ts';
import {
  checkTopicConfig,
  checkTopicName,
  toLogConfig,
  type TopicConfig,
} from '../protocol/topic-config.ts';
import {
  abandonPartitions,
  closePartitions,
  numbered,
  openPartitions,
  wake,
  type Partition,
  type PartitionsOptions,
} from './partitions.ts';
import { readTopicList, writeTopicList, type ListedTopic } from './topic-list.ts';

export interface Topic {
  readonly name: string;
  readonly topicId: string;
  readonly config: TopicConfig;
  readonly partitions: readonly Partition[];
}

export interface TopicsOptions {
  /** Durably forgets what other files keep of a topic. Called when its records are gone. */
  readonly deleted: (topic: string) => Promise<void>;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly directory: string;
}

const PARTITIONS_MAX = 10_000;

/**
 * The topics of a data directory. The list in `topics.json` is what counts: it is written before a
 * new topic's directories are made and before a deleted one's are removed, so a crash in between is
 * finished at the next opening.
 */
export class Topics {
  readonly checkpoints: Checkpoints;
  readonly journal: SyncJournal;
  readonly #options: TopicsOptions;
  readonly #topics = new Map<string, Topic>();
  /** Deleted, or not made to the end: listed as deleted until nothing of them is left. */
  readonly #leftOver = new Map<string, ListedTopic>();
  /** One change of the list at a time. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: TopicsOptions) {
    this.#options = options;
    this.checkpoints = new Checkpoints(options.fileSystem, options.directory);
    this.journal = new SyncJournal(options);
  }

  /**
   * Opens every partition.
   *
   * @param wasClosed the last process closed all of them.
   * @throws LogError CORRUPT_BATCH, CORRUPT_FILE, KAFKA_STORAGE_ERROR: what was opened is closed.
   */
  async open(wasClosed: boolean): Promise<void> {
    const checkpoints = await this.checkpoints.read();
    const listed = await this.#listTopics();
    const { fileSystem, directory } = this.#options;
    const kept = listed.filter(({ isDeleted }) => isDeleted !== true);
    const ids = new Map(kept.map(({ name, topicId }) => [name, topicId]));
    await redoJournal(fileSystem, directory, (topic) => ids.get(topic));
    try {
      for (const topic of listed) {
        if (topic.isDeleted !== true) continue;
        this.#leftOver.set(topic.name, topic);
        await this.#removeDirectories(topic);
      }
      const wanted = kept.flatMap((topic) => numbered(topic, 0));
      const opened = await openPartitions(this.#opening, wanted, { ...checkpoints, wasClosed });
      for (const topic of kept) {
        const partitions = opened.splice(0, topic.partitions);
        this.#topics.set(topic.name, { ...topic, partitions });
      }
      if (this.#leftOver.size > 0) await this.checkpoints.write(() => this.partitions());
      this.#leftOver.clear();
      await this.#saveList();
    } catch (cause) {
      await this.abandon();
      throw cause;
    }
  }

  /** Gives up all files as they are: the next opening sees to them. */
  async abandon(): Promise<void> {
    await abandonPartitions(this.partitions());
    await this.journal.close({ isNeeded: true }).catch(() => undefined); // it says nothing new
  }

  /** Closes all logs; resolves with the reasons why some could not be. */
  closeAll(): Promise<unknown[]> {
    return closePartitions(this.partitions());
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
      checkTopicConfig(config);
      if (this.#topics.has(name)) {
        throw new LogError('TOPIC_ALREADY_EXISTS', `topic ${name} exists already`, { topic: name });
      }
      if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX) {
        throw badPartitions(name, partitions);
      }
      if (validateOnly) return;
      await this.#finishDeletion(name);
      const listed = { name, topicId: this.#newTopicId(), partitions, config };
      await this.#saveList(listed);
      try {
        const opened = await openPartitions(this.#opening, numbered(listed, 0));
        this.#topics.set(name, { ...listed, partitions: opened });
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
        await this.#saveList({ ...toListed(topic), isDeleted: true });
        this.#leftOver.set(name, toListed(topic));
        this.#topics.delete(name);
        await abandonPartitions(topic.partitions);
        for (const { waiters } of topic.partitions) wake(waiters);
      }
      await this.#finishDeletion(name);
    });
  }

  /** Removes the left-overs of a topic, if any. Until then its name cannot be used again. */
  async #finishDeletion(name: string): Promise<void> {
    const topic = this.#leftOver.get(name);
    if (topic === undefined) return;
    await this.#removeDirectories(topic);
    await this.checkpoints.write(() => this.partitions());
    await this.#options.deleted(name);
    this.#leftOver.delete(name);
    await this.#saveList();
  }

  /**
   * Gives a topic more partitions. The list comes first, so that a crash leaves all of them or
   * none; they survive a power cut when this resolves.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, INVALID_PARTITIONS: nothing changed.
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR: the topic has what it had; after a crash or
   *   a failed disk the next opening may show all of the new partitions, which are empty.
   */
  createPartitions(name: string, count: number, validateOnly = false): Promise<void> {
    return this.#exclusively(async () => {
      const topic = this.get(name);
      const existing = topic.partitions.length;
      if (!Number.isInteger(count) || count > PARTITIONS_MAX) throw badPartitions(name, count);
      if (count <= existing) throw notMore(name, count, existing);
      if (validateOnly) return;
      const listed = { ...toListed(topic), partitions: count };
      await this.#saveList(listed);
      try {
        const added = await openPartitions(this.#opening, numbered(listed, existing));
        this.#topics.set(name, { ...topic, partitions: [...topic.partitions, ...added] });
      } catch (cause) {
        // Directories that were made already are empty; they go with the topic, or get used later.
        await this.#saveList().catch((error: unknown) => {
          this.#options.logger.warn(`topic ${name} is still listed with more: ${String(error)}`);
        });
        throw cause;
      }
    });
  }

  /**
   * Changes topic settings; the next append and the next look at what is old go by them. Durable
   * when it resolves.
   *
   * @param change from the settings that the topic has to those that it gets.
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, INVALID_CONFIG, DISK_FULL, KAFKA_STORAGE_ERROR:
   *   nothing changed.
   */
  alterConfig(
    name: string,
    change: (config: TopicConfig) => TopicConfig,
    validateOnly = false,
  ): Promise<void> {
    return this.#exclusively(async () => {
      const topic = this.get(name);
      const config = change(topic.config);
      checkTopicConfig(config);
      if (validateOnly) return;
      await this.#saveList({ ...toListed(topic), config });
      this.#topics.set(name, { ...topic, config });
      for (const { log } of topic.partitions) log.setConfig(toLogConfig(config));
    });
  }

  get #opening(): PartitionsOptions {
    return { ...this.#options, journal: this.journal };
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
      const config = isInternal(name) ? INTERNAL_TOPIC_CONFIG : {};
      listed.push({ name, topicId: await this.#topicIdOf(name), partitions, config });
    }
    return listed;
  }

  #isPartition(name: string): Promise<boolean> {
    return isPartitionDirectory(this.#options.fileSystem, join(this.#options.directory, name));
  }

  /** Removes all partitions that are there: also those that a failure left behind the last one. */
  async #removeDirectories(topic: ListedTopic): Promise<void> {
    const { fileSystem, directory } = this.#options;
    const entries = await fileSystem.list(directory).catch((cause: unknown) => {
      throw storageFailure(directory, 'list', cause);
    });
    for (const { name, isDirectory } of entries) {
      const place = isDirectory ? partitionOfDirectory(name) : undefined;
      if (place?.topic !== topic.name) continue;
      if (place.partition >= topic.partitions && !(await this.#isPartition(name))) continue;
      const path = join(directory, name);
      await fileSystem.removeDirectory(path).catch((cause: unknown) => {
        throw storageFailure(path, 'remove', cause);
      });
    }
    // Before the list forgets the topic: what came back would be taken for one.
    await syncNames(fileSystem, directory);
  }

  /** Writes the list down, with one topic as it is about to be. */
  async #saveList(changed?: ListedTopic): Promise<void> {
    const { fileSystem, directory } = this.#options;
    const listed = new Map<string, ListedTopic>();
    for (const topic of this.#topics.values()) listed.set(topic.name, toListed(topic));
    for (const topic of this.#leftOver.values()) {
      listed.set(topic.name, { ...topic, isDeleted: true });
    }
    if (changed !== undefined) listed.set(changed.name, changed);
    await writeTopicList(fileSystem, directory, [...listed.values()]);
  }

  async #topicIdOf(topic: string): Promise<string> {
    const { fileSystem, directory } = this.#options;
    const path = join(directory, partitionDirectory(topic, 0), PARTITION_METADATA_FILE);
    if ((await fileSystem.stat(path)) === undefined) return this.#newTopicId();
    const content = (await fileSystem.readFile(path)).toString('utf8');
    return topicIdIn(content) ?? this.#newTopicId();
  }

  #newTopicId(): string {
    return newUuid(this.#options.random);
  }
}

function toListed({ name, topicId, config, partitions }: Topic): ListedTopic {
  assert(partitions.length > 0, 'a topic has a partition');
  return { name, topicId, config, partitions: partitions.length };
}

function badPartitions(topic: string, partitions: number): LogError {
  const message = `topic ${topic} needs 1 to ${PARTITIONS_MAX} partitions, not ${partitions}`;
  return new LogError('INVALID_PARTITIONS', message, { topic, partitions });
}

function notMore(topic: string, partitions: number, existing: number): LogError {
  const message =
    `topic ${topic} has ${existing} partitions; ${partitions} would not be more, and partitions ` +
    'are never taken away, because records are in them';
  return new LogError('INVALID_PARTITIONS', message, { topic, partitions, existing });
}
