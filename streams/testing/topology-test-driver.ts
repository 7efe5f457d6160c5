import {
  AssertionFailure,
  deserializeBytes,
  LogError,
  NO_HEADERS,
  serializeToBytes,
  stderrLogger,
  type Headers,
  type Logger,
  type Serde,
  type Topic,
} from '../../core/index.ts';
import {
  checkArgument,
  checkHandle,
  checkOptions,
  instance,
  integer,
} from '../../core/internal.ts';
import { ManualClock } from '../../core/testing/index.ts';
import type { LiveEntry, StoreCodec } from '../state/codec.ts';
import { GlobalStore } from '../state/global-store.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import { MemoryEnvironment } from '../state/memory-environment.ts';
import { TaskState, unknownStore } from '../state/task-state.ts';
import { collectMetrics, newCounts, type StreamsMetrics } from '../runtime/metrics.ts';
import type { RecordWriter } from '../runtime/outputs.ts';
import { makePlan, type Plan } from '../runtime/plan.ts';
import { Task } from '../runtime/task.ts';
import type { ReadOnlyKeyValueStore } from '../topology/store.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import { checkTopology, type Topology } from '../topology/topology.ts';

/** A record to pipe in. */
export interface TestRecord<K, V> {
  readonly key?: K | null;
  readonly value: V | null;
  /** Default: the time of the previous record, at first 0. */
  readonly timestampMs?: number;
  readonly headers?: Headers;
}

/** An output record. */
export interface OutputRecord<K, V> {
  readonly key: K | null;
  readonly value: V | null;
  readonly timestampMs: number;
  readonly headers: Headers;
}

/** What a driver can be given. */
export interface TestDriverOptions {
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

/** Pipes records into one topic. */
export interface TestInputTopic<K, V> {
  /** Processes a record: when this returns, all its results are in the output topics. */
  pipe(record: TestRecord<K, V>): void;
  /** Processes records one by one. */
  pipeAll(records: readonly TestRecord<K, V>[]): void;
}

/** Reads the output of one topic. */
export interface TestOutputTopic<K, V> {
  /** The next record, or undefined if there is none. */
  read(): OutputRecord<K, V> | undefined;
  /** All unread records. */
  readAll(): OutputRecord<K, V>[];
  /** The newest value of each key in the unread records; null deletes. */
  readTable(): Map<K | null, V>;
}

interface StoredOutput {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestampMs: number;
  readonly headers: Headers;
}

const APPLICATION_ID = 'test';

const CHECKS = {
  wallClockMs: integer(0),
  idleTimeoutMs: (value: unknown) => (value === Infinity ? undefined : integer(0)(value)),
  logger: instance,
};

/**
 * Runs a topology without a log and without waiting: one partition per topic, a commit after each
 * record, and no cache in between (Kafka Streams: `TopologyTestDriver`). Keys and values pass
 * through their serdes, so a wrong serde shows.
 *
 * @example
 * const driver = new TopologyTestDriver(builder.build());
 * driver.inputTopic(orders).pipe({ key: 'a', value: { total: 5 }, timestampMs: 1 });
 * expect(driver.outputTopic(totals).readAll()).toEqual([...]);
 */
export class TopologyTestDriver {
  readonly #plan: Plan;
  readonly #clock: ManualClock;
  readonly #tasks: readonly Task[];
  readonly #globalStores = new Map<string, GlobalStore<unknown, unknown>>();
  readonly #outputs = new Map<string, StoredOutput[]>();
  /** Records for topics that the topology itself reads, to process next. */
  readonly #internal: { readonly topic: string; readonly output: StoredOutput }[] = [];
  #nowMs = 0;
  #offset = 0;

  /** @throws LogError INVALID_OPTION, StreamsError as `StreamsApp.start`. */
  constructor(topology: Topology, options: TestDriverOptions = {}) {
    checkTopology('TopologyTestDriver', topology);
    checkOptions('TopologyTestDriver', options, CHECKS);
    const { idleTimeoutMs = 0, logger = stderrLogger } = options;
    const clock = new ManualClock(options.wallClockMs);
    this.#clock = clock;
    const plan = makePlan(APPLICATION_ID, topology, () => 1);
    this.#plan = plan;
    for (const { store, topic } of topology.globalTables) {
      this.#globalStores.set(store.name, new GlobalStore(store.name, topic.key));
    }
    this.#tasks = plan.tasks.map((task) => {
      const state = new TaskState(new MemoryEnvironment(), task.stores);
      const started = new Task({
        plan,
        task,
        state,
        outputs: {
          node: (name) => this.#nodeWriter(name),
          changelog: (store) => changelogWriter(state.stores.get(store)?.codec),
        },
        globalStore: (name) => this.#globalStore(name),
        idleTimeoutMs,
        clock,
        logger,
      });
      for (const input of started.inputs) input.endOffset = 0;
      started.noteEmpty(clock.nowMs());
      return started;
    });
  }

  /** @throws LogError UNKNOWN_TOPIC_OR_PARTITION for a topic that the topology does not read. */
  inputTopic<K, V>(topic: Topic<K, V>): TestInputTopic<K, V> {
    checkHandle('inputTopic', topic);
    const { name } = topic;
    const task = this.#taskReading(name);
    const isGlobal = this.#plan.topology.globalTables.some((table) => table.topic.name === name);
    if (!isGlobal && task === undefined) throw notInTopology(name, 'reads');
    const pipe = (record: TestRecord<K, V>): void => {
      checkRecord(name, record);
      this.#nowMs = record.timestampMs ?? this.#nowMs;
      const { key = null, value, headers = NO_HEADERS } = record;
      const written = write(topic, key, value, this.#nowMs, headers);
      this.#setGlobal(name, written);
      this.#process(name, written);
      this.#settle();
    };
    return {
      pipe,
      pipeAll: (records) => {
        for (const record of records) pipe(record);
      },
    };
  }

  /** The output of a topic; empty if the topology does not write to it. */
  outputTopic<K, V>(topic: Topic<K, V>): TestOutputTopic<K, V> {
    checkHandle('outputTopic', topic);
    const stored = this.#stored(topic.name);
    const decode = ({ key, value, timestampMs, headers }: StoredOutput): OutputRecord<K, V> => ({
      key: key === null ? null : deserializeBytes(topic.key, key),
      value: value === null ? null : deserializeBytes(topic.value, value),
      timestampMs,
      headers,
    });
    return {
      read: () => {
        const next = stored.shift();
        return next === undefined ? undefined : decode(next);
      },
      readAll: () => stored.splice(0).map(decode),
      readTable: () => {
        const table = new Map<K | null, V>();
        for (const { key, value } of stored.splice(0).map(decode)) {
          if (value === null) table.delete(key);
          else table.set(key, value);
        }
        return table;
      },
    };
  }

  /** A key-value store of the topology. @throws StreamsError UNKNOWN_STORE */
  keyValueStore<K, V>(name: string): ReadOnlyKeyValueStore<K, V> {
    for (const { state } of this.#tasks) {
      if (state.stores.has(name)) return state.store(keyValueStore<K, V>(name));
    }
    throw unknownStore(
      name,
      this.#tasks.flatMap(({ state }) => [...state.stores.keys()]),
    );
  }

  /**
   * Moves the wall clock, which otherwise stands still: stream time stops waiting for inputs that
   * have been empty for `idleTimeoutMs`.
   *
   * @throws LogError INVALID_OPTION unless `ms` is a whole number, 0 or more.
   */
  advanceWallClock(ms: number): void {
    checkArgument('advanceWallClock', 'ms', ms, integer(0));
    this.#clock.advance(ms);
    this.#settle();
  }

  /** Ends the input: windows close and forward their results, as at the end of a bounded job. */
  endOfInput(): void {
    let open = this.#tasks;
    while (open.length > 0) {
      const ids = open.map(({ plan }) => plan.subTopology.id);
      const ending = open.filter(({ plan }) => !plan.upstreams.some((id) => ids.includes(id)));
      for (const task of ending) task.end();
      this.#settle();
      open = open.filter((task) => !ending.includes(task));
    }
  }

  /** Counts of processed and dropped records so far; no times. */
  metrics(): StreamsMetrics {
    return collectMetrics(this.#tasks, newCounts());
  }

  /** Processes everything that the last record caused. */
  #settle(): void {
    do {
      const next = this.#internal.shift();
      if (next !== undefined) this.#process(next.topic, next.output);
      for (const task of this.#tasks) {
        task.noteEmpty(this.#clock.nowMs());
        task.flush();
        task.writeChangelog();
        task.committed();
      }
    } while (this.#internal.length > 0);
  }

  /** Processes a record of a topic that a task reads. */
  #process(topic: string, { key, value, timestampMs, headers }: StoredOutput): void {
    const task = this.#taskReading(topic);
    const spec = task?.plan.inputs.find((input) => input.topic.name === topic)?.topic;
    if (task === undefined || spec === undefined) return;
    const record = new StreamRecord(
      key === null ? null : deserializeBytes(spec.key, key),
      value === null ? null : deserializeBytes(spec.value, value),
      timestampMs,
      headers,
      topic,
      0,
      this.#offset++,
    );
    task.inject(topic, record);
  }

  #taskReading(topic: string): Task | undefined {
    return this.#tasks.find(({ inputs }) => inputs.some((input) => input.topic === topic));
  }

  /** A writer for a sink or repartition node. */
  #nodeWriter(name: string): RecordWriter {
    const repartition = this.#plan.repartitionTopics.find(({ node }) => node.name === name);
    const sink = this.#plan.topology.nodes.find((node) => node.name === name);
    const spec = repartition?.topic ?? (sink?.kind === 'sink' ? sink.topic : undefined);
    if (spec === undefined) throw new AssertionFailure('sinks and repartition nodes write');
    const { name: topic } = spec;
    const stored = repartition === undefined ? this.#stored(topic) : [];
    return {
      partitions: 1,
      write: (key, value, timestampMs, headers = NO_HEADERS) => {
        const output = write(spec, key, value, timestampMs, headers);
        if (repartition === undefined) stored.push(output);
        if (this.#taskReading(topic) !== undefined) this.#internal.push({ topic, output });
        this.#setGlobal(topic, output);
      },
    };
  }

  /** Puts a record into the global tables of its topic. */
  #setGlobal(topic: string, { key, value }: StoredOutput): void {
    if (key === null) return;
    for (const { topic: spec, store } of this.#plan.topology.globalTables) {
      if (spec.name !== topic) continue;
      const row = value === null ? null : deserializeBytes(spec.value, value);
      this.#globalStore(store.name).set(deserializeBytes(spec.key, key), row);
    }
  }

  #stored(topic: string): StoredOutput[] {
    let stored = this.#outputs.get(topic);
    if (stored === undefined) this.#outputs.set(topic, (stored = []));
    return stored;
  }

  #globalStore(name: string): GlobalStore<unknown, unknown> {
    const store = this.#globalStores.get(name);
    if (store === undefined) throw unknownStore(name, this.#globalStores.keys());
    return store;
  }
}

/** Checks the fields: without types, a misspelt `value` would be a null. */
function checkRecord(topic: string, record: unknown): void {
  checkArgument(`pipe to ${topic}`, 'record', record, (given) => {
    const isRecord = typeof given === 'object' && given !== null && 'value' in given;
    return isRecord ? undefined : 'an object with a value, and a key if it has one';
  });
}

/** @throws LogError SERIALIZATION_FAILED, as a producer does. */
function write<K, V>(
  topic: { readonly name: string; readonly key: Serde<K>; readonly value: Serde<V> },
  key: K | null,
  value: V | null,
  timestampMs: number,
  headers: Headers,
): StoredOutput {
  return {
    key: key === null ? null : serialize(topic.name, 'key', topic.key, key),
    value: value === null ? null : serialize(topic.name, 'value', topic.value, value),
    timestampMs,
    headers,
  };
}

function serialize<T>(topic: string, field: 'key' | 'value', serde: Serde<T>, value: T): Buffer {
  try {
    return serializeToBytes(serde, value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message =
      `the ${field} of a record for ${topic} could not be written by ${serde.name}: ` + reason;
    throw new LogError('SERIALIZATION_FAILED', message, { topic, field }, { cause });
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

function notInTopology(topic: string, verb: string): LogError {
  const message = `the topology ${verb} no topic ${topic}`;
  return new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic });
}
