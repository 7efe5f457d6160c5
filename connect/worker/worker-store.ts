import { json, string, topic, type Log, type Producer, type Topic } from '../../core/index.ts';
import type { ConnectorDefinition } from './definition.ts';

/** What a connector is to do, until somebody says otherwise. */
export type TargetState = 'RUNNING' | 'PAUSED' | 'STOPPED';

/**
 * The topic of a worker's connectors, with Kafka Connect's keys: `connector-<name>` has the
 * definition, as it was given, and `target-state-<name>` what it is to do.
 */
export const connectConfigs: Topic<string, ConfigRecord> = topic('connect-configs', {
  key: string(),
  value: json<ConfigRecord>(),
  partitions: 1,
  config: { cleanupPolicy: 'compact' },
});

/** Whether a connector brings records in or out; `unknown` if its plugin is gone. */
export type ConnectorKind = 'source' | 'sink' | 'unknown';

/** A definition as Kafka Connect's clients write it: names with dots, and texts. */
export type Properties = Readonly<Record<string, string>>;

/** One record of `connectConfigs`. */
export interface ConfigRecord {
  readonly definition?: ConnectorDefinition;
  /** The definition in Kafka Connect's form, if it was given in that. */
  readonly properties?: Properties;
  readonly kind?: ConnectorKind;
  readonly state?: TargetState;
}

/**
 * The topic of what the connectors of workers do, with Kafka Connect's keys:
 * `status-connector-<name>`, and `status-topic-<topic>:connector-<name>` for each topic that one
 * has used.
 */
export const connectStatus: Topic<string, StatusRecord> = topic('connect-status', {
  key: string(),
  value: json<StatusRecord>(),
  partitions: 1,
  config: { cleanupPolicy: 'compact' },
});

/** One record of `connectStatus`. */
export interface StatusRecord {
  /** Of a topic: ACTIVE. */
  readonly state: string;
  readonly worker_id: string;
  /** Counts the starts of the worker. */
  readonly generation: number;
  /** Why it has failed, or tries again. */
  readonly trace?: string;
  /** A topic that a connector has used. */
  readonly topic?: { readonly name: string; readonly connector: string };
}

/** A connector as the log has it. */
export interface StoredConnector {
  readonly definition: ConnectorDefinition;
  readonly properties: Properties | undefined;
  /** Undefined if an older version has written it. */
  readonly kind: ConnectorKind | undefined;
  readonly state: TargetState;
}

/** What the log has when a worker starts. */
export interface Stored {
  readonly connectors: ReadonlyMap<string, StoredConnector>;
  /** The topics that connectors have used. */
  readonly topics: ReadonlyMap<string, readonly string[]>;
}

const POLL_MS = 100;

/**
 * What a worker keeps in the log. It fences the worker that was there before: that one writes
 * nothing from then on.
 */
export class WorkerStore {
  readonly #log: Log;
  readonly #workerId: string;
  readonly #producer: Producer;
  #generation = 0;

  constructor(log: Log, workerId: string) {
    this.#log = log;
    this.#workerId = workerId;
    this.#producer = log.producer({ transactionalId: `connect-worker-${workerId}` });
  }

  /** What the last worker has left. */
  async load(): Promise<Stored> {
    for (const each of [connectConfigs, connectStatus]) await this.#log.admin().ensureTopic(each);
    await this.#producer.initTransactions();
    const connectors = new Map<string, StoredConnector>();
    const states = new Map<string, TargetState>();
    for (const [key, value] of await this.#read(connectConfigs)) {
      const [, kind, name = ''] = /^(connector|target-state)-(.*)$/.exec(key) ?? [];
      if (kind === 'target-state' && value?.state !== undefined) states.set(name, value.state);
      if (kind === 'connector' && value?.definition !== undefined) {
        const { definition, properties, kind: made } = value;
        connectors.set(name, { definition, properties, kind: made, state: 'RUNNING' });
      }
    }
    for (const [name, stored] of connectors) {
      connectors.set(name, { ...stored, state: states.get(name) ?? 'RUNNING' });
    }
    return { connectors, topics: await this.#loadStatus() };
  }

  /** Finds the generation, and the topics that connectors have used. */
  async #loadStatus(): Promise<Map<string, string[]>> {
    const topics = new Map<string, string[]>();
    for (const status of (await this.#read(connectStatus)).values()) {
      if (status === null) continue;
      if (status.topic !== undefined) {
        const { name, connector } = status.topic;
        topics.set(connector, [...(topics.get(connector) ?? []), name]);
      }
      if (status.worker_id !== this.#workerId) continue;
      this.#generation = Math.max(this.#generation, status.generation);
    }
    this.#generation++;
    return topics;
  }

  /** How often the worker was started, this time included. */
  get generation(): number {
    return this.#generation;
  }

  /** Keeps a connector, durably. @throws LogError PRODUCER_FENCED */
  async keep(name: string, stored: StoredConnector): Promise<void> {
    const { definition, properties, kind, state } = stored;
    const value = {
      ...{ definition },
      ...(properties !== undefined && { properties }),
      ...(kind !== undefined && { kind }),
    };
    await this.#producer.transaction((transaction) => {
      transaction.send(connectConfigs, { key: `connector-${name}`, value });
      transaction.send(connectConfigs, { key: `target-state-${name}`, value: { state } });
    });
  }

  /** Forgets a connector, durably, and the topics it has used. @throws LogError PRODUCER_FENCED */
  async forget(name: string, topics: readonly string[]): Promise<void> {
    await this.#producer.transaction((transaction) => {
      for (const key of [`connector-${name}`, `target-state-${name}`]) {
        transaction.send(connectConfigs, { key, value: null });
      }
      transaction.send(connectStatus, { key: `status-connector-${name}`, value: null });
      for (const topic of topics) {
        transaction.send(connectStatus, { key: topicKey(topic, name), value: null });
      }
    });
  }

  /** Notes what a connector does. @throws LogError PRODUCER_FENCED */
  async note(name: string, state: string, trace: string | undefined): Promise<void> {
    const value: StatusRecord = {
      ...{ state, worker_id: this.#workerId, generation: this.#generation },
      ...(trace !== undefined && { trace }),
    };
    await this.#producer.transaction((transaction) => {
      transaction.send(connectStatus, { key: `status-connector-${name}`, value });
    });
  }

  /** Notes topics that a connector uses, or that it forgets. @throws LogError PRODUCER_FENCED */
  async noteTopics(connector: string, topics: readonly string[], areUsed: boolean): Promise<void> {
    const source = { worker_id: this.#workerId, generation: this.#generation };
    await this.#producer.transaction((transaction) => {
      for (const name of topics) {
        const value = { state: 'ACTIVE', ...source, topic: { name, connector } };
        const key = topicKey(name, connector);
        transaction.send(connectStatus, { key, value: areUsed ? value : null });
      }
    });
  }

  /** Ends the producer. */
  close(): Promise<void> {
    return this.#producer.close();
  }

  /** The newest value of each key. */
  async #read<V>(handle: Topic<string, V>): Promise<Map<string, V | null>> {
    const [range] = await this.#log.admin().offsets(handle.name);
    const place = { topic: handle.name, partition: 0 };
    const consumer = this.#log.consumer({ isolationLevel: 'read_committed' });
    const values = new Map<string, V | null>();
    try {
      const reader = await consumer.assign([{ topic: handle, partition: 0 }]);
      const end = range?.latest ?? 0;
      while ((reader.position(place) ?? end) < end) {
        for (const { key, value } of await reader.poll({ maxWaitMs: POLL_MS })) {
          if (key !== null) values.set(key, value);
        }
      }
    } finally {
      await consumer.close();
    }
    return values;
  }
}

function topicKey(topic: string, connector: string): string {
  return `status-topic-${topic}:connector-${connector}`;
}
