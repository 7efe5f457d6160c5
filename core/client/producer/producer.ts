import { systemClock, type Clock, type Timer } from '../../clock.ts';
import { asError, LogError } from '../../errors.ts';
import { stderrLogger, type Logger } from '../../logger.ts';
import { callback as aFunction, checkArgument } from '../../options.ts';
import { systemRandom, type Random } from '../../random.ts';
import { compressionLevel } from '../../record/compression.ts';
import type { BrokerApi, TopicPartition } from '../../protocol/broker-api.ts';
import { checkHandle, checkIterable } from '../arguments.ts';
import { Interceptors } from './producer-interceptor.ts';
import type { ProducerMetrics } from './producer-metrics.ts';
import {
  producerSettings,
  type ProducerEnvironment,
  type ProducerOptions,
  type ProducerSettings,
} from './producer-options.ts';
import type { ProducerRecord, RecordMetadata, SendCallback } from './producer-record.ts';
import { ProducerSession } from './producer-session.ts';
import { Sender } from './sender.ts';
import type { Topic } from '../topic.ts';
import { ensureTopic } from '../topic-metadata.ts';
import { TopicWriter, writeRecord } from './topic-writer.ts';
import { Transaction } from './transaction.ts';

/**
 * Sends records. Many calls may run at the same time; records to one partition keep the order of
 * the calls. Made by `log.producer()`.
 */
export class Producer implements AsyncDisposable {
  readonly #api: BrokerApi;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #options: ProducerSettings;
  readonly #interceptors: Interceptors | undefined;
  readonly #session: ProducerSession;
  readonly #sender: Sender;
  /** By topic; replaced when the topic gets more partitions. */
  readonly #writers = new Map<string, KnownWriter>();
  /** The last one: if it is open, `close` aborts it. */
  #transaction: Transaction | undefined;
  /** The writers that `send` knows, by the handle of the topic. */
  readonly #ready = new WeakMap<object, ReadyWriter>();
  /** How many calls of `send` wait for a writer or for room; later calls wait behind them. */
  #waitingCount = 0;
  /** Ends with the last `send` that waits for room; set while one does. */
  #lastTurn: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  constructor(
    api: BrokerApi,
    options: ProducerOptions = {},
    environment: ProducerEnvironment = {},
  ) {
    const all = producerSettings(options);
    this.#api = api;
    this.#clock = environment.clock ?? systemClock;
    this.#random = environment.random ?? systemRandom;
    this.#logger = environment.logger ?? stderrLogger;
    this.#options = all;
    this.#interceptors =
      all.interceptors.length === 0 ? undefined : new Interceptors(all.interceptors, this.#logger);
    this.#session = new ProducerSession({
      api,
      // With acks 0 a refused batch goes unseen, and so would the gap in the sequence behind which
      // everything else is refused.
      isIdempotent: all.enableIdempotence && all.acks !== 0,
      transactionalId: all.transactionalId,
      transactionTimeoutMs: all.transactionTimeoutMs,
    });
    this.#sender = new Sender({
      api,
      session: this.#session,
      clock: this.#clock,
      acks: all.acks,
      batchSize: Math.min(all.batchSize, all.maxRequestSize),
      bufferMemory: all.bufferMemory,
      codec: all.compressionType,
      level: compressionLevel(all.compressionType, all),
      deliveryTimeoutMs: all.deliveryTimeoutMs,
      lingerMs: all.lingerMs,
      maxInFlight: all.maxInFlight,
      retryBackoffMs: all.retryBackoffMs,
      retryBackoffMaxMs: all.retryBackoffMaxMs,
    });
  }

  /**
   * Sends one record. Resolves as `acks` says. With a `callback` there is no promise: it is called
   * once, later, with the outcome the promise would have had; what it throws is logged.
   *
   * @throws LogError SERIALIZATION_FAILED, MESSAGE_TOO_LARGE, INVALID_PARTITIONS,
   *   INVALID_TIMESTAMP, PARTITION_MISMATCH, INVALID_TOPIC, CLOSED, BUFFER_EXHAUSTED after
   *   `maxBlockMs` without room, DISK_FULL after `deliveryTimeoutMs` on a full disk,
   *   DELIVERY_TIMEOUT, and what the broker answered: the record is not in the log; after
   *   DELIVERY_TIMEOUT it may be.
   */
  send<K, V>(topic: Topic<K, V>, record: ProducerRecord<K, V>): Promise<RecordMetadata>;
  send<K, V>(topic: Topic<K, V>, record: ProducerRecord<K, V>, callback: SendCallback): void;
  send<K, V>(
    topic: Topic<K, V>,
    record: ProducerRecord<K, V>,
    callback?: SendCallback,
  ): Promise<RecordMetadata> | undefined {
    if (callback !== undefined) {
      checkArgument('send', 'callback', callback, aFunction);
      this.#begin(topic, record, this.#answerTo(callback, topic.name));
      return undefined;
    }
    return new Promise((resolve, reject) => this.#begin(topic, record, { resolve, reject }));
  }

  /**
   * Sends many records, keeping no promise for each: much faster than many `send`. Resolves with
   * their number when all are acknowledged as `acks` says.
   *
   * @throws LogError as `send`. Records before and after the failed one may be in the log: use a
   *   transaction where that matters.
   */
  async sendAll<K, V>(
    topic: Topic<K, V>,
    records: Iterable<ProducerRecord<K, V>> | AsyncIterable<ProducerRecord<K, V>>,
  ): Promise<number> {
    checkIterable('sendAll', records);
    const writer = await this.writer(topic);
    let count = 0;
    let failure: LogError | undefined;
    const add = (record: ProducerRecord<K, V>): boolean => {
      const used = writeRecord(writer, record);
      if (used.watcher !== add) {
        used.watcher = add; // once a batch is enough
        used.awaitFailure((error) => (failure ??= error));
      }
      count++;
      return this.#sender.wantsPause;
    };
    if (this.isFull) await this.room();
    if (Symbol.asyncIterator in records) {
      for await (const record of records) if (add(record)) await this.#sender.pause();
    } else {
      for (const record of records) if (add(record)) await this.#sender.pause();
    }
    await this.flush();
    if (failure !== undefined) throw failure;
    return count;
  }

  /**
   * Runs `write` in a transaction: commits when it returns, aborts when it throws. What it sent
   * becomes visible to readers of committed data all at once, or not at all, and survives a power
   * cut when this resolves. Returns what `write` returned.
   *
   * @throws LogError INVALID_TXN_STATE while another transaction of this producer is open,
   *   PRODUCER_FENCED when another producer has taken the transactional id; nothing was committed.
   */
  async transaction<R>(write: (transaction: Transaction) => R | Promise<R>): Promise<R> {
    checkArgument('transaction', 'write', write, aFunction);
    const transaction = await this.beginTransaction();
    let result: R;
    try {
      result = await write(transaction);
    } catch (cause) {
      // The reason counts; a failed abort is left to the transaction's timeout.
      await transaction.abort().catch(() => undefined);
      throw cause;
    }
    await transaction.commit();
    return result;
  }

  /**
   * Takes over the transactional id: fences earlier producers with it and ends the transaction they
   * left open (Kafka: `KafkaProducer.initTransactions`). Otherwise the first transaction does this.
   * A program that commits what it has read as part of its transactions calls it before its first
   * poll: after a crash the consumer waits for the offsets in the open transaction, until that
   * ends or times out. Later calls do nothing.
   *
   * @throws LogError NO_TRANSACTION without a transactional id, PRODUCER_FENCED, CLOSED
   */
  async initTransactions(): Promise<void> {
    this.#checkUsable();
    await this.#session.initTransactions();
  }

  /**
   * Begins a transaction that the caller ends itself: for loops that do not fit into one function.
   *
   * @throws LogError as `transaction`.
   */
  async beginTransaction(): Promise<Transaction> {
    this.#checkUsable();
    const transaction = new Transaction({
      begun: await this.#sender.beginTransaction(),
      sender: this.#sender,
      session: this.#session,
      writer: (topic) => this.writer(topic),
      bufferMemory: this.#options.bufferMemory,
    });
    this.#transaction = transaction;
    if (this.#closing !== undefined) await transaction.abort();
    this.#checkUsable();
    return transaction;
  }

  /**
   * The fast way in: a writer for one topic, without an object or a promise a record. The topic is
   * created if there is none. After `write`, call `room` now and then, and `flush` in the end. It
   * writes to the partitions that exist now; call `writer` again to include those added later,
   * which it looks up once in `metadataMaxAgeMs`.
   *
   * @throws LogError PARTITION_MISMATCH, INVALID_TOPIC, INVALID_CONFIG, INVALID_OPTION, CLOSED
   */
  async writer<K, V>(topic: Topic<K, V>): Promise<TopicWriter<K, V>> {
    this.#checkUsable();
    checkHandle('producer', topic);
    const nowMs = this.#clock.monotonicMs();
    let known = this.#writers.get(topic.name);
    if (known === undefined || nowMs - known.sinceMs >= this.#options.metadataMaxAgeMs) {
      known = { writer: this.#newWriter(topic, known?.writer), sinceMs: nowMs };
      this.#writers.set(topic.name, known);
      known.writer.catch(() => this.#writers.delete(topic.name)); // the next call tries again
    }
    return (await known.writer).for(topic);
  }

  /**
   * The partitions of a topic as they are known now; it is created if there is none.
   *
   * @throws LogError as `writer`
   */
  async partitionsFor<K, V>(topic: Topic<K, V>): Promise<readonly TopicPartition[]> {
    const { partitions } = await this.writer(topic);
    return Array.from({ length: partitions }, (_, partition) => ({ topic: topic.name, partition }));
  }

  /** What this producer has done so far. Costs next to nothing. */
  metrics(): ProducerMetrics {
    return this.#sender.metrics;
  }

  /** Resolves when the buffer has room for more. */
  room(): Promise<void> {
    return this.#sender.room();
  }

  /** True while more than `bufferMemory` waits to be sent. */
  get isFull(): boolean {
    return this.#sender.isFull;
  }

  /** Resolves when everything sent before has been answered. Failures go to its senders. */
  flush(): Promise<void> {
    return this.#sender.flush();
  }

  /**
   * Sends what waits, aborts an open transaction (one that is being committed is waited for), and
   * ends the producer. After the log was closed there is nothing left to do, and that is no error.
   *
   * @throws LogError what went wrong with the abort: the transaction's timeout will do it.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As `close`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    try {
      if (this.#transaction?.isOpen === true) await this.#transaction.abort();
    } catch (error) {
      if (!LogError.is(error, 'CLOSED')) throw error;
    } finally {
      await this.#sender.flush();
      this.#session.close(closed());
    }
  }

  /**
   * The writer that `send` last used for a handle; undefined if the call must wait: behind others,
   * for room, or for the topic's partitions to be looked up.
   */
  #readyWriter<K, V>(topic: Topic<K, V>): TopicWriter<K, V> | undefined {
    const isUsable = this.#closing === undefined && this.#session.fatal === undefined;
    if (!isUsable || this.#waitingCount > 0 || this.#sender.isFull) return undefined;
    const ready = this.#ready.get(topic);
    const ageMs = this.#clock.monotonicMs() - (ready?.sinceMs ?? -Infinity);
    if (ageMs >= this.#options.metadataMaxAgeMs) return undefined;
    return ready?.writer as TopicWriter<K, V> | undefined;
  }

  #answerTo(callback: SendCallback, topic: string): Answer {
    const call: SendCallback = (error, metadata) => {
      try {
        callback(error, metadata);
      } catch (cause) {
        this.#logger.error(`the callback of a send to ${topic} threw: ${String(cause)}`);
      }
    };
    return { resolve: (metadata) => call(null, metadata), reject: (error) => call(error, null) };
  }

  /** Writes at once if it need not wait. Never throws: failures go to `answer`. */
  #begin<K, V>(topic: Topic<K, V>, record: ProducerRecord<K, V>, answer: Answer): void {
    const writer = this.#readyWriter(topic);
    if (writer === undefined) {
      void this.#send(topic, record, answer);
      return;
    }
    try {
      write(writer, record, answer);
    } catch (cause) {
      const error = asError(cause);
      queueMicrotask(() => answer.reject(error));
    }
  }

  /** A `send` that has to wait before it can write. Never rejects: failures go to `answer`. */
  async #send<K, V>(
    topic: Topic<K, V>,
    record: ProducerRecord<K, V>,
    answer: Answer,
  ): Promise<void> {
    const entry = this.#sender.enter(); // a flush waits for its answer
    const resolve: Answer['resolve'] = (metadata) => {
      this.#sender.leave(entry);
      answer.resolve(metadata);
    };
    const reject: Answer['reject'] = (error) => {
      this.#sender.leave(entry);
      answer.reject(error);
    };
    this.#waitingCount++;
    let endTurn = ignore;
    try {
      const writer = await this.writer(topic);
      const sinceMs = this.#writers.get(topic.name)?.sinceMs ?? -Infinity;
      this.#ready.set(topic, { writer, sinceMs });
      if (this.#sender.isFull || this.#lastTurn !== undefined) endTurn = await this.#turn();
      write(writer, record, { resolve, reject });
    } catch (error) {
      reject(asError(error));
    } finally {
      this.#waitingCount--;
      endTurn();
    }
  }

  async #newWriter(
    topic: Topic<unknown, unknown>,
    former?: Promise<TopicWriter<unknown, unknown>>,
  ): Promise<TopicWriter<unknown, unknown>> {
    if (former !== undefined && !(await this.#hasGrown(await former))) return former;
    const partitions = await ensureTopic(this.#api, topic);
    const { partitioner, batchSize, maxRequestSize } = this.#options;
    return new TopicWriter(topic, partitions, this.#sender, {
      clock: this.#clock,
      random: this.#random,
      partitioner,
      interceptors: this.#interceptors,
      batchSize: Math.min(batchSize, maxRequestSize),
      maxRequestSize,
    });
  }

  /** False for a topic that was deleted: it is not created again, so its writers get the error. */
  async #hasGrown({ topic: { name }, partitions }: TopicWriter<unknown, unknown>) {
    const [found] = (await this.#api.metadata({ topics: [name] })).topics;
    return found?.error === undefined && found?.partitions !== partitions;
  }

  /**
   * Waits for room behind the calls that wait already, so that records keep their order. Returns
   * the function that ends this turn.
   *
   * @throws LogError BUFFER_EXHAUSTED after `maxBlockMs`.
   */
  async #turn(): Promise<() => void> {
    const before = this.#lastTurn;
    let end: () => void = ignore;
    const turn = new Promise<void>((resolve) => {
      end = resolve;
    }).then(() => {
      if (this.#lastTurn === turn) this.#lastTurn = undefined;
    });
    this.#lastTurn = turn;
    try {
      await this.#inTime(
        (async () => {
          await before;
          await this.#sender.room();
        })(),
      );
      return end;
    } catch (error) {
      // The next call still waits for those before this one.
      if (before === undefined) end();
      else void before.then(end);
      throw error;
    }
  }

  async #inTime(room: Promise<void>): Promise<void> {
    const { maxBlockMs, bufferMemory: limitBytes } = this.#options;
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.#clock.setTimer(maxBlockMs, () => {
        const { bufferedBytes } = this.#sender;
        this.#sender.counters.exhausted();
        const message =
          `the producer's buffer stayed full for maxBlockMs=${maxBlockMs}: ${bufferedBytes} of ` +
          `bufferMemory=${limitBytes} bytes wait to be written`;
        reject(new LogError('BUFFER_EXHAUSTED', message, { bufferedBytes, limitBytes }));
      });
    });
    try {
      await Promise.race([room, late]);
    } finally {
      timer?.cancel();
    }
  }

  #checkUsable(): void {
    if (this.#closing !== undefined) throw closed();
    const { fatal } = this.#session;
    if (fatal !== undefined) throw fatal;
  }
}

/** A writer, and when the topic last had just its partitions. */
interface ReadyWriter {
  readonly writer: TopicWriter<unknown, unknown>;
  readonly sinceMs: number;
}

/** The same while it may still be made. */
interface KnownWriter {
  readonly writer: Promise<TopicWriter<unknown, unknown>>;
  readonly sinceMs: number;
}

/** Settles the promise, or calls the callback, of one `send`. */
interface Answer {
  readonly resolve: (metadata: RecordMetadata) => void;
  readonly reject: (error: Error) => void;
}

/** Writes a record and promises its answer. Throws what is wrong with the record. */
function write<K, V>(
  writer: TopicWriter<K, V>,
  record: ProducerRecord<K, V>,
  { resolve, reject }: Answer,
): void {
  const batch = writeRecord(writer, record);
  batch.awaitNewest((offset) => {
    const { topic, partition: chosen } = batch.queue;
    resolve({ topic, partition: chosen, offset });
  }, reject);
}

function closed(): LogError {
  return new LogError('CLOSED', 'the producer is closed', { what: 'the producer' });
}

function ignore(): void {
  // Nothing to do: a record that arrived needs no answer, a turn that nobody follows no end.
}
