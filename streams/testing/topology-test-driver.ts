import {
  deserializeBytes,
  LogError,
  NO_HEADERS,
  serializeToBytes,
  type Headers,
  type Serde,
  type Topic,
} from '../../core/index.ts';
import { GlobalStore } from '../state/global-store.ts';
import { MemoryEnvironment } from '../state/memory-environment.ts';
import { TaskState, unknownStore } from '../state/task-state.ts';
import { collectMetrics, type StreamsMetrics } from '../runtime/metrics.ts';
import type { RecordWriter } from '../runtime/outputs.ts';
import { makePlan, type Plan } from '../runtime/plan.ts';
import { Task } from '../runtime/task.ts';
import type { ReadOnlyKeyValueStore } from '../topology/store.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import type { Topology } from '../topology/topology.ts';

/** A record to pipe in. */
export interface TestRecord<K, V> {
  readonly key?: K | null;
  readonly value: V | null;
  /** Default: the time of the record before, at first 0. */
  readonly timestampMs?: number;
  readonly headers?: Headers;
}

/** A record that came out. */
export interface OutputRecord<K, V> {
  readonly key: K | null;
  readonly value: V | null;
  readonly timestampMs: number;
  readonly headers: Headers;
}

/** Pipes records of one topic in. */
export interface TestInputTopic<K, V> {
  /** Processes a record: when this returns, everything that follows from it has come out. */
  pipe(record: TestRecord<K, V>): void;
  pipeAll(records: readonly TestRecord<K, V>[]): void;
}

/** Reads what has come out to one topic. */
export interface TestOutputTopic<K, V> {
  /** The next record, or undefined when there is none. */
  read(): OutputRecord<K, V> | undefined;
  /** All records that have not been read. */
  readAll(): OutputRecord<K, V>[];
  /** The newest value of each key among those that have not been read; null deletes. */
  readTable(): Map<K | null, V>;
}

interface StoredOutput {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestampMs: number;
  readonly headers: Headers;
}

const APPLICATION_ID = 'test';

/**
 * Runs a topology without a log and without waiting: one partition a topic, a commit after each record, and
 * no cache between (Kafka Streams: `TopologyTestDriver`). Keys and values pass through their serdes, so a
 * wrong serde shows.
 *
 * @example
 * const driver = new TopologyTestDriver(builder.build());
 * driver.inputTopic(orders).pipe({ key: 'a', value: { total: 5 }, timestampMs: 1 });
 * expect(driver.outputTopic(totals).readAll()).toEqual([...]);
 */
export class TopologyTestDriver {
  readonly #plan: Plan;
  readonly #tasks: readonly Task[];
  readonly #globalStores = new Map<string, GlobalStore<unknown, unknown>>();
  readonly #outputs = new Map<string, StoredOutput[]>();
  /** Records for repartition topics, to be processed next. */
  readonly #internal: { readonly topic: string; readonly output: StoredOutput }[] = [];
  #nowMs = 0;
  #offset = 0;

  /** @throws StreamsError as `StreamsApp.start`. */
  constructor(topology: Topology) {
    const plan = makePlan(APPLICATION_ID, topology, () => 1);
    this.#plan = plan;
    for (const { store, topic } of topology.globalTables) {
      this.#globalStores.set(store.name, new GlobalStore(store.name, topic.key));
    }
    this.#tasks = plan.tasks
      .filter(({ partition }) => partition === 0)
      .map((task) => {
        const state = new TaskState(new MemoryEnvironment(), task.stores);
        const started = new Task({
          plan,
          task,
          state,
          outputs: { writer: (name) => this.#writer(name) },
          globalStore: (name) => this.#globalStore(name),
          idleTimeoutMs: 0,
        });
        for (const input of started.inputs) input.endOffset = 0;
        return started;
      });
  }

  /** @throws LogError UNKNOWN_TOPIC_OR_PARTITION for a topic that the topology does not read. */
  inputTopic<K, V>(topic: Topic<K, V>): TestInputTopic<K, V> {
    const { name } = topic;
    const global = this.#plan.topology.globalTables.find((table) => table.topic.name === name);
    const task = this.#tasks.find(({ inputs }) => inputs.some((input) => input.topic === name));
    if (global === undefined && task === undefined) throw notInTopology(name, 'reads');
    const pipe = (record: TestRecord<K, V>): void => {
      const key = roundTrip(topic.key, record.key ?? null);
      const value = roundTrip(topic.value, record.value);
      if (global !== undefined) {
        if (key !== null) this.#globalStore(global.store.name).set(key, value);
        return;
      }
      this.#nowMs = record.timestampMs ?? this.#nowMs;
      const { headers = NO_HEADERS } = record;
      const offset = this.#offset++;
      task?.inject(name, new StreamRecord(key, value, this.#nowMs, headers, name, 0, offset));
      this.#settle();
    };
    return {
      pipe,
      pipeAll: (records) => {
        for (const record of records) pipe(record);
      },
    };
  }

  outputTopic<K, V>(topic: Topic<K, V>): TestOutputTopic<K, V> {
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
      if (state.stores.has(name)) return state.keyValueStore<K, V>(name);
    }
    throw unknownStore(
      name,
      this.#tasks.flatMap(({ state }) => [...state.stores.keys()]),
    );
  }

  /** No more input comes: windows close and pass their results on, as at the end of a bounded job. */
  endOfInput(): void {
    for (const task of this.#tasks) {
      task.end();
      this.#settle();
    }
  }

  metrics(): StreamsMetrics {
    const none = { commits: 0, lastCommitMs: 0, checkpoints: 0, lastCheckpointMs: 0 };
    return collectMetrics(this.#tasks, none);
  }

  /** Lets everything run that the last record has set off. */
  #settle(): void {
    do {
      const next = this.#internal.shift();
      if (next !== undefined) this.#process(next.topic, next.output);
      for (const task of this.#tasks) {
        task.noteEmpty(this.#nowMs);
        task.flush();
        task.writeChangelog();
        task.committed();
      }
    } while (this.#internal.length > 0);
  }

  /** A record of a repartition topic, on its reading side. */
  #process(topic: string, { key, value, timestampMs, headers }: StoredOutput): void {
    const repartition = this.#plan.repartitionTopics.find((each) => each.topic.name === topic);
    const task = this.#tasks.find(({ inputs }) => inputs.some((input) => input.topic === topic));
    if (repartition === undefined || task === undefined) return;
    const { node } = repartition;
    const record = new StreamRecord(
      key === null ? null : deserializeBytes(node.key, key),
      value === null ? null : deserializeBytes(node.value, value),
      timestampMs,
      headers,
      topic,
      0,
      this.#offset++,
    );
    task.inject(topic, record);
  }

  #writer(topic: string): RecordWriter {
    const repartition = this.#plan.repartitionTopics.find((each) => each.topic.name === topic);
    const sink = this.#plan.topology.nodes.find(
      (node) => node.kind === 'sink' && node.topic.name === topic,
    );
    const spec = repartition?.node ?? (sink?.kind === 'sink' ? sink.topic : undefined);
    const stored = this.#stored(topic);
    return {
      write: (key, value, timestampMs, headers = NO_HEADERS) => {
        if (spec === undefined) return; // a changelog: the stores are right here
        const output = {
          key: key === null ? null : serializeToBytes(spec.key, key),
          value: value === null ? null : serializeToBytes(spec.value, value),
          timestampMs,
          headers,
        };
        if (repartition !== undefined) this.#internal.push({ topic, output });
        else stored.push(output);
      },
    };
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

function roundTrip<T>(serde: Serde<T>, value: T | null): T | null {
  return value === null ? null : deserializeBytes(serde, serializeToBytes(serde, value));
}

function notInTopology(topic: string, verb: string): LogError {
  const message = `the topology ${verb} no topic ${topic}`;
  return new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic });
}
