import { setImmediate as nextTurn } from 'node:timers/promises';
import { closest } from 'fastest-levenshtein';
import {
  AssertionFailure,
  deserializeBytes,
  LogError,
  parseDeadLetter,
  stderrLogger,
  type DeadLetter,
  type Logger,
  type Topic,
} from '../../core/index.ts';
import {
  checkArgument,
  checkHandle,
  checkOptions,
  given,
  instance,
  integer,
  Interruption,
  listOf,
  withFields,
} from '../../core/internal.ts';
import { ManualClock } from '../../core/testing/index.ts';
import type { LiveEntry, StoreCodec } from '../state/codec.ts';
import { GlobalStore } from '../state/global-store.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { MemoryEnvironment } from '../state/memory-environment.ts';
import { TaskState, unknownStore } from '../state/task-state.ts';
import { STREAMS_DEFAULTS, type StreamsOptions } from '../runtime/options.ts';
import {
  collectMetrics,
  newCounts,
  type AppCounts,
  type StreamsMetrics,
} from '../runtime/metrics.ts';
import { deadLetterTopic } from '../runtime/dead-letters.ts';
import { ErrorPolicies } from '../runtime/error-policies.ts';
import type { RecordWriter } from '../runtime/outputs.ts';
import { makePlan, type Plan } from '../runtime/plan.ts';
import { findStore, type QueryHandle } from '../runtime/query-handles.ts';
import { observedRecords, PublishedRecords, Publisher } from '../runtime/published-records.ts';
import { NoRecovery } from '../runtime/recovery.ts';
import { Task } from '../runtime/task.ts';
import { withMatchingTopics } from '../runtime/topic-patterns.ts';
import type { GlobalTableHandle, TableHandle } from '../topology/processor.ts';
import type { ReadOnlyTableStore } from '../topology/queryable.ts';
import type { ObservedRecords, ObservedStream, ObserveOptions } from '../topology/observed.ts';
import type { ReadOnlyKeyValueStore, StoreHandle } from '../topology/store.ts';
import type { TopicSpec } from '../topology/node.ts';
import { errorHandling, topicName } from '../topology/record-errors.ts';
import { checkTopology, type Topology } from '../topology/topology.ts';
import { withPlaceChecks } from './key-places.ts';
import { checkRecord, writeRecord, type StoredRecord } from './test-records.ts';
import {
  makeInputTopic,
  makeOutputTopic,
  ownTimes,
  type RecordTimes,
  type TestInputOptions,
  type TestInputTopic,
  type TestOutputTopic,
} from './test-topics.ts';

type ErrorOption =
  'onDeserializationError' | 'onProcessingError' | 'onProductionError' | 'deadLetterTopic';

/** What a driver can be given; what it does about failures as in the options of an application. */
export interface TestDriverOptions extends Pick<StreamsOptions, ErrorOption> {
  /**
   * The partitions of every topic, whatever their handles say. Default: 1. With more, each part of
   * the topology runs as so many tasks.
   */
  readonly partitions?: number;
  /**
   * The names of the topics that exist, for sources with a pattern; those that the topology writes
   * exist, too. Default: none.
   */
  readonly topics?: readonly string[];
  /**
   * The wall clock at first, in milliseconds since 1970; `advanceWallClock` moves it. Default:
   * always the same time, in November 2023.
   */
  readonly wallClockMs?: number;
  /**
   * How long, by the wall clock, an input has to be empty before stream time no longer waits for
   * it. Default 0: stream time is the newest timestamp of a task, as in Kafka Streams. An
   * application waits 1 s.
   */
  readonly idleTimeoutMs?: number;
  /** Receives warnings, such as of skipped records. Default: stderr. */
  readonly logger?: Logger;
}

/** A record for a topic that the topology itself reads. */
interface InternalRecord {
  readonly topic: string;
  readonly record: StoredRecord;
}

const APPLICATION_ID = 'test';

const CHECKS = {
  partitions: integer(1, 1_000),
  topics: listOf('topic names'),
  wallClockMs: integer(0),
  idleTimeoutMs: (value: unknown) => (value === Infinity ? undefined : integer(0)(value)),
  logger: instance,
  onDeserializationError: errorHandling,
  onProcessingError: errorHandling,
  onProductionError: errorHandling,
  deadLetterTopic: topicName,
};

/**
 * Runs a topology without a log and without waiting: by default one partition per topic, a commit
 * after each record, and no cache in between (Kafka Streams: `TopologyTestDriver`). Keys and values
 * pass through their serdes, so a wrong serde shows.
 *
 * @example
 * const driver = new TopologyTestDriver(builder.build());
 * driver.inputTopic(orders).pipe({ key: 'a', value: { total: 5 }, timestampMs: 1 });
 * expect(driver.outputTopic(totals).readAll()).toEqual([...]);
 */
export class TopologyTestDriver {
  readonly #topology: Topology;
  readonly #plan: Plan;
  readonly #clock: ManualClock;
  readonly #tasks: readonly Task[];
  readonly #counts: AppCounts;
  readonly #globalStores = new Map<string, GlobalStore<unknown, unknown>>();
  readonly #partitions: number;
  /** That of the application first. */
  readonly #deadLetterTopics: readonly string[];
  /** The unread records of each topic that a sink writes. */
  readonly #outputs = new Map<string, StoredRecord[]>();
  /** Records for topics that the topology itself reads, to process next. */
  readonly #internal: InternalRecord[] = [];
  /** The time of the last record piped in. */
  #nowMs = 0;
  /** The streams that are observed. */
  readonly #published = new PublishedRecords();
  readonly #publisher = new Publisher(this.#published);
  /** Wakes `settled`. */
  readonly #wakeup = new Interruption();
  /** True from `endOfInput` on, until it has closed everything. */
  #isEnding = false;
  /** The next offset of each partition. */
  readonly #offsets = new Map<string, number>();
  /** The time of topics without one of their own. */
  readonly #times: RecordTimes = {
    next: () => this.#nowMs,
    advance: (ms) => void (this.#nowMs += ms),
  };

  /** @throws LogError INVALID_OPTION, StreamsError as `StreamsApp.start`. */
  constructor(topology: Topology, options: TestDriverOptions = {}) {
    checkTopology('TopologyTestDriver', topology);
    checkOptions('TopologyTestDriver', options, CHECKS);
    const { partitions = 1, topics = [], idleTimeoutMs = 0, logger = stderrLogger } = options;
    const clock = new ManualClock(options.wallClockMs);
    this.#clock = clock;
    this.#topology = topology;
    const written = topology.nodes.flatMap((node) => {
      return node.kind === 'sink' ? [node.topic.name] : [];
    });
    const errors = { ...STREAMS_DEFAULTS, ...given(options), applicationId: APPLICATION_ID };
    const policies = new ErrorPolicies(topology, errors);
    const existing = [...new Set([...topics, ...written])].filter((name) => {
      return !policies.topics.includes(name);
    });
    const matched = withMatchingTopics(topology, APPLICATION_ID, existing);
    const known = { of: () => partitions, existing: () => undefined };
    const planOf = (each: Topology): Plan => makePlan(APPLICATION_ID, each, known);
    const settled = planOf(matched);
    // Checked once it is settled: a topic that a join does not need hides what is behind it.
    const plan = partitions === 1 ? settled : planOf(withPlaceChecks(settled.topology));
    policies.check();
    const recovery = new NoRecovery();
    this.#plan = plan;
    this.#deadLetterTopics = policies.topics;
    this.#partitions = partitions;
    for (const node of topology.nodes) {
      if (node.kind === 'sink') this.#outputs.set(node.topic.name, []);
    }
    for (const name of policies.usedTopics) {
      if (!this.#outputs.has(name)) this.#outputs.set(name, []);
    }
    for (const { store, topic } of topology.globalTables) {
      this.#globalStores.set(store.name, new GlobalStore(store.name, topic.key));
    }
    const counts = newCounts(clock, logger);
    this.#counts = counts;
    this.#tasks = plan.tasks.map((task) => {
      const state = new TaskState(new MemoryEnvironment(), task.stores);
      const started = new Task({
        plan,
        task,
        state,
        outputs: {
          publish: (name, record) => this.#publisher.add(name, record),
          node: (name) => this.#nodeWriter(name),
          changelog: (store) => changelogWriter(state.stores.get(store)?.codec),
          deadLetters: (name) => this.#writer(deadLetterTopic(name), this.#outputs.get(name)),
        },
        policies,
        recovery,
        globalStore: (name) => this.#globalStore(name),
        idleTimeoutMs: () => idleTimeoutMs,
        meters: counts.meters.task(task.id, APPLICATION_ID),
        wake: () => this.#wakeup.interrupt(),
        clock,
        logger: withFields(logger, { applicationId: APPLICATION_ID, taskId: task.id }),
      });
      for (const input of started.inputs) input.endOffset = 0;
      started.init();
      started.noteEmpty(clock.nowMs());
      return started;
    });
  }

  /**
   * Pipes records into a topic. Records without a time have that of the previous record of any
   * topic; given `startMs` or `advanceMs`, the topic has a time of its own for them.
   *
   * @example
   * driver.inputTopic(orders, { startMs: 1_000, advanceMs: 10 }).pipeAll([
   *   { key: 'a', value: 1 }, // at 1000
   *   { key: 'b', value: 2 }, // at 1010
   * ]);
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION for a topic that the topology does not read.
   */
  inputTopic<K, V>(topic: Topic<K, V>, options?: TestInputOptions): TestInputTopic<K, V> {
    checkHandle('inputTopic', topic);
    const { name } = topic;
    const tables = this.#plan.topology.globalTables.map((table) => table.topic.name);
    const sources = this.#tasks.flatMap(({ inputs }) => inputs.map((input) => input.topic));
    const read = new Set([...sources, ...tables]);
    if (!read.has(name)) throw notInTopology(name, 'reads', read);
    const times = options === undefined ? this.#times : ownTimes(options);
    return makeInputTopic(times, (record) => {
      checkRecord(name, record, this.#partitions);
      const { key = null, timestampMs = times.next() } = record;
      this.#nowMs = timestampMs;
      const written = writeRecord(topic, this.#partitions, { ...record, key, timestampMs });
      this.#setGlobal(name, written);
      this.#process(name, written);
      this.#settle();
    });
  }

  /**
   * The output of a topic.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION for a topic that the topology does not write.
   */
  outputTopic<K, V>(topic: Topic<K, V>): TestOutputTopic<K, V> {
    checkHandle('outputTopic', topic);
    const stored = this.#outputs.get(topic.name);
    if (stored === undefined) throw notInTopology(topic.name, 'writes', this.#outputs.keys());
    return makeOutputTopic(topic, stored);
  }

  /**
   * The dead letters that were not read yet, oldest first; reading removes them.
   *
   * @param topic Default: that of the application.
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION for a topic that gets none.
   */
  deadLetters(topic = this.#deadLetterTopics[0]!): DeadLetter[] {
    if (!this.#deadLetterTopics.includes(topic)) {
      throw notInTopology(topic, 'writes dead letters to', this.#deadLetterTopics);
    }
    return (this.#outputs.get(topic) ?? []).splice(0).map(parseDeadLetter);
  }

  /**
   * A store of the topology, of any kind, named as for `StreamsApp.store`: by a table, by a handle
   * of `addStore`, or by its name and type. With several partitions it is that of one of them.
   *
   * @example
   * driver.store(counts).get('a');
   * driver.store(keyValueStore<string, number>('counts')).get('a');
   *
   * @throws StreamsError UNKNOWN_STORE also if the store is of another kind.
   * @throws LogError INVALID_OPTION for a partition that does not exist.
   */
  store<K, V>(
    table: TableHandle<K, V>,
    partition?: number,
  ): ReadOnlyTableStore<NonNullable<K>, NonNullable<V>>;
  store<K, V>(
    table: GlobalTableHandle<K, V>,
  ): ReadOnlyKeyValueStore<NonNullable<K>, NonNullable<V>>;
  store<Store>(handle: StoreHandle<Store>, partition?: number): Store;
  store(name: string, partition?: number): ReadOnlyKeyValueStore<unknown, unknown>;
  store(handle: QueryHandle, partition = 0): unknown {
    checkArgument('store', 'partition', partition, integer(0, this.#partitions - 1));
    const { spec, isGlobal, shapeOf } = findStore(this.#topology, handle);
    if (isGlobal) return this.#globalStore(spec.name);
    const owner = this.#tasks.find(({ plan, state }) => {
      return plan.partition === partition && state.stores.has(spec.name);
    });
    const store = owner?.state.stores.get(spec.name);
    if (store === undefined) throw unknownStore(spec.name, []);
    return shapeOf(store);
  }

  /**
   * Moves the wall clock, which otherwise stands still: stream time stops waiting for inputs that
   * have been empty for `idleTimeoutMs`, and punctuations that are due come, each once.
   *
   * @throws LogError INVALID_OPTION unless `ms` is a whole number, 0 or more.
   */
  advanceWallClock(ms: number): void {
    checkArgument('advanceWallClock', 'ms', ms, integer(0));
    this.#clock.advance(ms);
    for (const task of this.#tasks) task.punctuateWallClock();
    this.#settle();
  }

  /** The records of a stream, from now on, as `StreamsApp.records$`. */
  records$<K, V>(stream: ObservedStream<K, V>, options?: ObserveOptions): ObservedRecords<K, V> {
    return observedRecords(this.#topology, this.#published, stream, options);
  }

  /** Ends the processors. @throws StreamsError PROCESSING_FAILED with the first error of theirs. */
  close(): void {
    for (const task of this.#tasks) task.close();
  }

  /** A key-value store by its name alone, to read. @throws StreamsError UNKNOWN_STORE */
  keyValueStore<K, V>(name: string): ReadOnlyKeyValueStore<K, V> {
    return this.store(keyValueStore<K, V>(name));
  }

  /**
   * Ends the input: windows close and forward their results, as at the end of a bounded job. What
   * is behind records that wait for calls ends in `settled`.
   */
  endOfInput(): void {
    this.#isEnding = true;
    this.#end();
  }

  /**
   * Resolves when nothing more happens by itself: the calls of asynchronous functions have ended,
   * their results have been processed, and so has what they caused. Records whose calls are to be
   * repeated later still wait: `advanceWallClock`, and wait for this again. The driver reads on
   * however many records wait.
   *
   * @example
   * driver.inputTopic(orders).pipe({ key: 'a', value: { total: 5 }, timestampMs: 1 });
   * await driver.settled();
   * expect(driver.outputTopic(enriched).readAll()).toEqual([...]);
   *
   * @throws StreamsError PROCESSING_FAILED
   */
  async settled(): Promise<void> {
    for (;;) {
      await nextTurn(); // calls may be made, and end, without a pause
      let count = 0;
      for (const task of this.#tasks) count += task.resume();
      this.#settle();
      if (this.#isEnding) this.#end();
      if (count > 0) continue;
      if (!this.#tasks.some(({ pending }) => pending.callCount > 0)) return;
      await this.#wakeup.wait();
    }
  }

  /** Ends the tasks that can end. */
  #end(): void {
    for (;;) {
      const open = this.#tasks.filter(({ isEnded }) => !isEnded);
      const ids = open.map(({ plan }) => plan.subTopology.id);
      const ending = open.filter(({ plan, pending }) => {
        return pending.count === 0 && !plan.upstreams.some((id) => ids.includes(id));
      });
      this.#isEnding = open.length > 0;
      if (ending.length === 0) return;
      for (const task of ending) task.end();
      this.#settle();
    }
  }

  /** Counts of processed and dropped records so far; no times. */
  metrics(): StreamsMetrics {
    return collectMetrics(APPLICATION_ID, 'RUNNING', this.#tasks, this.#counts);
  }

  /** Processes everything that the last record caused. */
  #settle(): void {
    do {
      const next = this.#internal.shift();
      if (next !== undefined) this.#process(next.topic, next.record);
      for (const task of this.#tasks) {
        task.noteEmpty(this.#clock.nowMs());
        task.flush();
        task.writeChangelog();
        task.committed();
        this.#publisher.commit();
      }
    } while (this.#internal.length > 0);
  }

  /** Processes a record of a topic that a task reads. */
  #process(topic: string, record: StoredRecord): void {
    const { partition } = record;
    const task = this.#taskReading(topic, partition);
    if (task === undefined) return;
    const place = `${topic}-${partition}`;
    const offset = this.#offsets.get(place) ?? 0;
    this.#offsets.set(place, offset + 1);
    task.inject(topic, { ...record, offset });
  }

  #taskReading(topic: string, partition: number): Task | undefined {
    return this.#tasks.find(({ inputs }) =>
      inputs.some((input) => input.topic === topic && input.partition === partition),
    );
  }

  /** A writer for a sink or repartition node. */
  #nodeWriter(name: string): RecordWriter {
    const repartition = this.#plan.repartitionTopics.find(({ node }) => node.name === name);
    const sink = this.#plan.topology.nodes.find((node) => node.name === name);
    const spec = repartition?.topic ?? (sink?.kind === 'sink' ? sink.topic : undefined);
    if (spec === undefined) throw new AssertionFailure('sinks and repartition nodes write');
    return this.#writer(spec, repartition === undefined ? this.#outputs.get(spec.name) : undefined);
  }

  #writer(spec: TopicSpec, stored: StoredRecord[] | undefined): RecordWriter {
    const topic = spec.name;
    const partitions = this.#partitions;
    const isRead = this.#plan.tasks.some(({ inputs }) =>
      inputs.some((input) => input.topic.name === topic),
    );
    return {
      partitions,
      write: (key, value, timestampMs, headers, partition) => {
        const unwritten = { key, value, timestampMs, headers, partition };
        const record = writeRecord(spec, partitions, unwritten);
        stored?.push(record);
        if (isRead) this.#internal.push({ topic, record });
        this.#setGlobal(topic, record);
      },
    };
  }

  /** Puts a record into the global tables of its topic. */
  #setGlobal(topic: string, { key, value, timestampMs }: StoredRecord): void {
    if (key === null) return;
    for (const { topic: spec, store } of this.#plan.topology.globalTables) {
      if (spec.name !== topic) continue;
      const row = value === null ? null : deserializeBytes(spec.value, value);
      this.#globalStore(store.name).set(deserializeBytes(spec.key, key), row, timestampMs);
    }
  }

  #globalStore(name: string): GlobalStore<unknown, unknown> {
    const store = this.#globalStores.get(name);
    if (store === undefined) throw unknownStore(name, this.#globalStores.keys());
    return store;
  }
}

/** Encodes changelog records, which nothing reads here, to show serde errors. */
function changelogWriter(codec: StoreCodec<unknown, unknown> | undefined): RecordWriter {
  return {
    partitions: 1,
    write: (key, value) => {
      if (codec === undefined) return;
      codec.encodeKey(key as LiveEntry<unknown, unknown>);
      if (value !== null) codec.encodeValue(value as LiveEntry<unknown, unknown>);
    },
  };
}

function notInTopology(topic: string, verb: string, known: Iterable<string>): LogError {
  const names = [...known];
  const list = names.length === 0 ? 'none at all' : `only ${names.join(', ')}`;
  const hint = names.length === 0 ? '' : `; did you mean ${closest(topic, names)}?`;
  const message = `the topology ${verb} no topic ${topic}, ${list}${hint}`;
  return new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic });
}
