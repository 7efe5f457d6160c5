import { LogError, NULL_POSITION, type Consumer, type Log } from '../../core/index.ts';
import type { GlobalTableSpec } from '../topology/node.ts';
import { GlobalStore } from '../state/global-store.ts';
import { unknownStore } from '../state/task-state.ts';
import { topicHandle } from './topics.ts';

/** The global tables of an application: read whole before it starts, and kept up to date after. */
export class GlobalTables {
  readonly #log: Log;
  readonly #specs: readonly GlobalTableSpec[];
  readonly #stores = new Map<string, GlobalStore<unknown, unknown>>();
  readonly #byTopic = new Map<string, GlobalTableSpec>();
  readonly #stop = new AbortController();
  #consumer: Consumer | undefined;
  #following: Promise<void> | undefined;

  constructor(log: Log, specs: readonly GlobalTableSpec[]) {
    this.#log = log;
    this.#specs = specs;
    for (const spec of specs) {
      this.#stores.set(spec.store.name, new GlobalStore(spec.store.name, spec.topic.key));
      this.#byTopic.set(spec.topic.name, spec);
    }
  }

  /** @throws StreamsError UNKNOWN_STORE */
  store(name: string): GlobalStore<unknown, unknown> {
    const store = this.#stores.get(name);
    if (store === undefined) throw unknownStore(name, this.#stores.keys());
    return store;
  }

  /** Reads the topics up to where they end now. */
  async load(): Promise<void> {
    if (this.#specs.length === 0) return;
    const { signal } = this.#stop;
    const consumer = this.#log.consumer({ isolationLevel: 'read_committed', signal });
    this.#consumer = consumer;
    const places: { topic: ReturnType<typeof topicHandle>; partition: number; offset: number }[] =
      [];
    const ends = new Map<string, number>();
    for (const { topic } of this.#specs) {
      const handle = topicHandle(topic);
      const partitions = await this.#log.admin().ensureTopic(handle);
      const listed = await this.#log.api.listOffsets({
        isolationLevel: 'read_committed',
        partitions: Array.from({ length: partitions }, (_, partition) => {
          return { topic: topic.name, partition, spec: 'latest' as const };
        }),
      });
      for (const { partition, offset, error } of listed.partitions) {
        if (error !== undefined) throw LogError.fromData(error);
        places.push({ topic: handle, partition, offset: 0 });
        ends.set(`${topic.name}-${partition}`, offset);
      }
    }
    await consumer.assign(places);
    const isBehind = (): boolean =>
      places.some(({ topic, partition }) => {
        const position = consumer.position({ topic: topic.name, partition }) ?? 0;
        return position < (ends.get(`${topic.name}-${partition}`) ?? 0);
      });
    while (isBehind()) await this.#take(consumer);
  }

  /** Goes on reading; `failed` hears of the error that ends it. */
  follow(failed: (error: unknown) => void): void {
    const consumer = this.#consumer;
    if (consumer === undefined) return;
    const loop = async (): Promise<void> => {
      for (;;) await this.#take(consumer);
    };
    this.#following = loop().catch((error: unknown) => {
      if (!LogError.is(error, 'ABORTED') && !LogError.is(error, 'CLOSED')) failed(error);
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    await this.#consumer?.close();
  }

  async #take(consumer: Consumer): Promise<void> {
    for (const batch of await consumer.pollBatches({ maxWaitMs: 100 })) {
      const spec = this.#byTopic.get(batch.topic)!;
      const store = this.store(spec.store.name);
      const { key, value } = spec.topic;
      while (batch.next()) {
        const { source, keyStart, keyEnd, valueStart, valueEnd } = batch.cursor;
        if (keyStart === NULL_POSITION) continue;
        const id = key.deserialize(source, keyStart, keyEnd);
        const isNull = valueStart === NULL_POSITION;
        store.set(id, isNull ? null : value.deserialize(source, valueStart, valueEnd));
      }
    }
  }
}
