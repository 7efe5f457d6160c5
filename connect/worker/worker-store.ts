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

/** One record of `connectConfigs`. */
export interface ConfigRecord {
  readonly definition?: ConnectorDefinition;
  readonly state?: TargetState;
}

/**
 * The topic of what the connectors of workers do, with Kafka Connect's keys:
 * `status-connector-<name>`.
 */
export const connectStatus: Topic<string, StatusRecord> = topic('connect-status', {
  key: string(),
  value: json<StatusRecord>(),
  partitions: 1,
  config: { cleanupPolicy: 'compact' },
});

/** One record of `connectStatus`. */
export interface StatusRecord {
  readonly state: string;
  readonly worker_id: string;
  /** Counts the starts of the worker. */
  readonly generation: number;
  /** Why it has failed, or tries again. */
  readonly trace?: string;
}

/** A connector as the log has it. */
export interface StoredConnector {
  readonly definition: ConnectorDefinition;
  readonly state: TargetState;
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

  /** The connectors that there are. */
  async load(): Promise<Map<string, StoredConnector>> {
    for (const each of [connectConfigs, connectStatus]) await this.#log.admin().ensureTopic(each);
    await this.#producer.initTransactions();
    const found = new Map<string, StoredConnector>();
    const states = new Map<string, TargetState>();
    for (const [key, value] of await this.#read(connectConfigs)) {
      const [, kind, name = ''] = /^(connector|target-state)-(.*)$/.exec(key) ?? [];
      if (kind === 'target-state' && value?.state !== undefined) states.set(name, value.state);
      if (kind === 'connector' && value?.definition !== undefined) {
        found.set(name, { definition: value.definition, state: 'RUNNING' });
      }
    }
    for (const [name, stored] of found) {
      found.set(name, { ...stored, state: states.get(name) ?? 'RUNNING' });
    }
    const generations = [...(await this.#read(connectStatus)).values()].map((status) => {
      return status?.worker_id === this.#workerId ? status.generation : 0;
    });
    this.#generation = Math.max(0, ...generations) + 1;
    return found;
  }

  /** How often the worker was started, this time included. */
  get generation(): number {
    return this.#generation;
  }

  /** Keeps a connector, durably, or forgets it. @throws LogError PRODUCER_FENCED */
  async keep(name: string, stored: StoredConnector | undefined): Promise<void> {
    await this.#producer.transaction((transaction) => {
      const definition = stored && { definition: stored.definition };
      transaction.send(connectConfigs, { key: `connector-${name}`, value: definition ?? null });
      const state = stored && { state: stored.state };
      transaction.send(connectConfigs, { key: `target-state-${name}`, value: state ?? null });
      if (stored === undefined) {
        transaction.send(connectStatus, { key: `status-connector-${name}`, value: null });
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
