import { asError, LogError } from '../../errors.ts';
import { checkArgument } from '../../options.ts';
import type { CommittedOffset } from '../../protocol/broker-api.ts';
import { checkHandle, checkIterable, checkOffsets, identifier } from '../arguments.ts';
import type { ProducerRecord } from './producer-record.ts';
import type { ProducerSession, SessionTransaction } from './producer-session.ts';
import type { Sender } from './sender.ts';
import type { Topic } from '../topic.ts';
import { writeRecord, type TopicWriter } from './topic-writer.ts';

export interface TransactionOptions {
  readonly sender: Sender;
  readonly session: ProducerSession;
  /** The one that the session has begun. */
  readonly begun: SessionTransaction;
  readonly writer: (topic: Topic<unknown, unknown>) => Promise<TopicWriter<unknown, unknown>>;
  readonly bufferMemory: number;
}

/** For whom offsets are committed: `consumer.groupMetadata()`, or just a group without members. */
export interface GroupMetadata {
  readonly groupId: string;
  readonly memberId?: string;
  readonly generation?: number;
  /** Of a static member: one that another has taken the place of commits nothing (KIP-447). */
  readonly groupInstanceId?: string;
}

/**
 * How a transaction stands: `open`; `failed`, when something in it did and only `abort` is left;
 * `ending`; `committed`; `aborted`; `in_doubt`, when ending it failed: the error says what is
 * known, and the next transaction of the producer begins with it settled.
 */
export type TransactionStatus = 'open' | 'failed' | 'ending' | 'committed' | 'aborted' | 'in_doubt';

/** A record that waits until its topic's partitions are known. */
interface Waiting {
  readonly topic: Topic<unknown, unknown>;
  readonly record: ProducerRecord<unknown, unknown>;
}

/**
 * Beyond this many records nothing is known of their size, so nobody could say how much memory they
 * take.
 */
const WAITING_MAX = 100_000;

/** Who commits for a group without being a member of it. */
const NOBODY = { memberId: '', generation: -1 } as const;

/** One transaction of a producer: all that is sent through it counts, or none of it. */
export class Transaction {
  readonly #options: TransactionOptions;
  readonly #writers = new Map<string, TopicWriter<unknown, unknown>>();
  /** Records for topics that were not used before; sent as soon as their partitions are known. */
  readonly #waiting: Waiting[] = [];
  #resolving: Promise<void> | undefined;
  /** Commits of offsets that are under way; the end of the transaction waits for them. */
  readonly #offsets = new Set<Promise<void>>();
  /** Set by the first commit or abort: from then on nothing is added, and nobody else ends it. */
  #ending: Promise<void> | undefined;
  /** True while its commit is durable but its markers wait for room on the disk. */
  #lacksMarkers = false;

  /** @internal `producer.transaction` makes them; the sender has begun. */
  constructor(options: TransactionOptions) {
    this.#options = options;
  }

  /** True until a commit or an abort is through. */
  get isOpen(): boolean {
    return this.#options.begun.outcome === undefined;
  }

  /** How it stands now; asking costs nothing. */
  get status(): TransactionStatus {
    const { begun, session } = this.#options;
    if (begun.outcome !== undefined) return begun.outcome;
    if (this.#ending !== undefined) return 'ending';
    return session.transactionFailure === undefined ? 'open' : 'failed';
  }

  /**
   * Adds a record. There is nothing to wait for: what goes wrong later fails the commit. In a long
   * loop `sendAll` is better, which waits for room.
   *
   * @throws LogError SERIALIZATION_FAILED, MESSAGE_TOO_LARGE, INVALID_PARTITIONS
   * @throws LogError BUFFER_EXHAUSTED when more than `bufferMemory` waits, for nothing can be sent
   *   while a loop does not wait.
   */
  send<K, V>(topic: Topic<K, V>, record: ProducerRecord<K, V>): void {
    this.#checkOpen('send');
    const { sender, bufferMemory } = this.#options;
    const { bufferedBytes } = sender;
    if (bufferedBytes >= bufferMemory + bufferMemory / 2 || this.#waiting.length >= WAITING_MAX) {
      const message =
        `${bufferedBytes} bytes wait to be written and bufferMemory=${bufferMemory}: ` +
        'a loop of send() that never waits leaves no time for writing; ' +
        'use "await tx.sendAll(topic, records)"';
      throw new LogError('BUFFER_EXHAUSTED', message, { bufferedBytes, limitBytes: bufferMemory });
    }
    // A look at the whole handle would cost each record; here it may be nothing at all.
    const writer = this.#writers.get((topic as Topic<K, V> | undefined)?.name ?? '');
    if (writer === undefined) {
      checkHandle('send', topic);
      this.#waiting.push({ topic, record });
      this.#resolving ??= this.#resolve();
      return;
    }
    writeRecord(writer.for(topic), record);
  }

  /** Adds many records, waiting for room where needed. Returns their number. */
  async sendAll<K, V>(
    topic: Topic<K, V>,
    records: Iterable<ProducerRecord<K, V>> | AsyncIterable<ProducerRecord<K, V>>,
  ): Promise<number> {
    checkIterable('sendAll', records);
    const { sender } = this.#options;
    const writer = await this.writer(topic);
    let count = 0;
    const add = (record: ProducerRecord<K, V>): boolean => {
      this.#checkOpen('sendAll');
      writeRecord(writer, record);
      count++;
      return sender.wantsPause;
    };
    // Two loops: `for await` over an array would cost a promise a record.
    if (Symbol.asyncIterator in records) {
      for await (const record of records) if (add(record)) await sender.pause();
    } else {
      for (const record of records) if (add(record)) await sender.pause();
    }
    return count;
  }

  /** A writer for one topic, as `producer.writer`; what it writes belongs to this transaction. */
  async writer<K, V>(topic: Topic<K, V>): Promise<TopicWriter<K, V>> {
    this.#checkOpen('writer');
    checkHandle('writer', topic);
    await this.#resolving; // keeps the order of what was sent before
    let known = this.#writers.get(topic.name);
    if (known === undefined) {
      known = await this.#options.writer(topic);
      this.#writers.set(topic.name, known);
    }
    this.#checkOpen('writer');
    return known.for(topic);
  }

  /**
   * Commits consumer offsets with the transaction: the **next** offset to read of each partition.
   * None at all, as after a poll that found nothing, is fine.
   *
   * @throws LogError ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID when the group has
   *   moved on: abort.
   */
  sendOffsets(offsets: readonly CommittedOffset[], group: GroupMetadata | string): Promise<void> {
    const sending = this.#sendOffsets(offsets, group);
    const settled = sending.then(
      () => void this.#offsets.delete(settled),
      (error: unknown) => {
        this.#offsets.delete(settled);
        // A commit without the offsets would have the same records processed again.
        const canPass = error instanceof LogError && error.retriable;
        if (!canPass && this.isOpen) this.#options.session.fail(asError(error));
      },
    );
    this.#offsets.add(settled);
    return sending;
  }

  async #sendOffsets(
    offsets: readonly CommittedOffset[],
    group: GroupMetadata | string,
  ): Promise<void> {
    this.#checkOpen('sendOffsets');
    checkOffsets('sendOffsets', offsets);
    const member = { ...NOBODY, ...(typeof group === 'string' ? { groupId: group } : group) };
    checkArgument('sendOffsets', 'groupId', member.groupId, identifier());
    if (member.groupInstanceId !== undefined) {
      checkArgument('sendOffsets', 'groupInstanceId', member.groupInstanceId, identifier());
    }
    if (offsets.length === 0) return; // a poll found nothing, perhaps before it had joined
    await this.#options.session.addOffsets(member, offsets);
  }

  /**
   * Commits: everything is durable and visible when this resolves. After an error that is not
   * `fatal` the producer can begin the next transaction; after one that is, close it.
   *
   * @throws LogError what failed a record of the transaction, PRODUCER_FENCED: the transaction is
   *   aborted.
   * @throws LogError DISK_FULL: not committed; it is aborted when the producer's next one begins.
   * @throws LogError MARKERS_WAIT_FOR_ROOM: committed for good, but the disk is full and readers do
   *   not see it yet. Call `commit` again to wait on. The producer's next transaction fails with
   *   CONCURRENT_TRANSACTIONS until there is room.
   * @throws LogError KAFKA_STORAGE_ERROR: whether it is committed shows when the log is opened
   *   again.
   */
  async commit(): Promise<void> {
    if (this.#lacksMarkers) {
      const { begun, session } = this.#options;
      await session.awaitMarkers(begun);
      this.#lacksMarkers = false;
      return;
    }
    this.#checkOpen('commit');
    this.#ending = this.#commit();
    await this.#ending;
  }

  /**
   * Aborts: nothing of it is ever visible to readers of committed data. When a commit is under way
   * already, that decides.
   */
  async abort(): Promise<void> {
    const ended = this.#ending?.catch(() => undefined); // its caller has the error
    this.#ending ??= this.#abort();
    await (ended ?? this.#ending);
  }

  async #commit(): Promise<void> {
    const { sender, session } = this.#options;
    session.startCommit();
    await this.#settled();
    await sender.holdAfterFlush();
    const failure = session.transactionFailure;
    if (failure === undefined) {
      await sender.endTransaction().catch((error: unknown) => {
        this.#lacksMarkers = LogError.is(error, 'MARKERS_WAIT_FOR_ROOM');
        throw error;
      });
      return;
    }
    await this.#abort().catch(() => undefined); // the failure is the reason, and is thrown
    throw failure;
  }

  async #abort(): Promise<void> {
    const { sender, session } = this.#options;
    session.startAbort();
    this.#waiting.length = 0;
    await this.#settled();
    const operation = 'transaction';
    await sender.discard(new LogError('ABORTED', 'the transaction was aborted', { operation }));
    await sender.endTransaction();
  }

  /** Resolves when what was asked of the transaction before has reached the sender. */
  async #settled(): Promise<void> {
    await this.#resolving;
    await Promise.all(this.#offsets);
  }

  /**
   * Finds the partitions of the topics that records wait for, and writes those. Never rejects: what
   * goes wrong fails the commit.
   */
  async #resolve(): Promise<void> {
    const waiting = this.#waiting;
    try {
      for (let next = 0; next < waiting.length;) {
        const { topic } = waiting[next]!;
        const writer = await this.#options.writer(topic);
        // In order: records for a topic that is known by now may stand behind those for another.
        for (; waiting[next]?.topic.name === topic.name; next++) {
          const { topic: handle, record } = waiting[next]!;
          writeRecord(writer.for(handle), record);
        }
        let later = next;
        while (later < waiting.length && waiting[later]!.topic.name !== topic.name) later++;
        if (later === waiting.length) this.#writers.set(topic.name, writer);
      }
    } catch (cause) {
      this.#options.session.fail(asError(cause));
    } finally {
      waiting.length = 0;
      this.#resolving = undefined;
    }
  }

  #checkOpen(operation: string): void {
    if (this.#ending === undefined) return;
    const message = `the transaction has ended; ${operation} needs an open one`;
    throw new LogError('NO_TRANSACTION', message, { operation });
  }
}
