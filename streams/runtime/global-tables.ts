import {
  AssertionFailure,
  LogError,
  NULL_POSITION,
  type Consumer,
  type Log,
  type PartitionRecords,
  type Serde,
  type Topic,
} from '../../core/index.ts';
import type { GlobalTableSpec } from '../topology/node.ts';
import { errorAction, type ErrorAction, type ErrorHandler } from '../topology/record-errors.ts';
import { GlobalStore } from '../state/global-store.ts';
import { unknownStore } from '../state/task-state.ts';
import { Failures } from './failures.ts';
import type { AppCounts } from './metrics.ts';
import type { StreamsSettings } from './options.ts';
import { deserializationFailed } from './record-failures.ts';
import { NoRecovery } from './recovery.ts';
import { placeOf, topicHandle } from './topics.ts';

/** How long a wait for records lasts: they end it, and so does the application's end. */
const WAIT_MS = 1_000;

/** The global tables of an application: read completely before it starts, then kept up to date. */
export class GlobalTables {
  readonly #log: Log;
  readonly #specs: readonly GlobalTableSpec[];
  readonly #stores = new Map<string, GlobalStore<unknown, unknown>>();
  readonly #failures: Failures;
  readonly #stop = new AbortController();
  #consumer: Consumer | undefined;
  #following: Promise<void> | undefined;

  constructor(
    log: Log,
    specs: readonly GlobalTableSpec[],
    app: { readonly settings: StreamsSettings; readonly counts: AppCounts },
  ) {
    this.#log = log;
    this.#specs = specs;
    this.#failures = failuresOf(app.settings, app.counts);
    for (const spec of specs) {
      this.#stores.set(spec.store.name, new GlobalStore(spec.store.name, spec.topic.key));
    }
  }

  /** @throws StreamsError UNKNOWN_STORE */
  store(name: string): GlobalStore<unknown, unknown> {
    const store = this.#stores.get(name);
    if (store === undefined) throw unknownStore(name, this.#stores.keys());
    return store;
  }

  /** Reads the topics up to their current end, or until `stop`. */
  async load(): Promise<void> {
    try {
      await this.#load();
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  /** Keeps the tables as they are from now on. */
  stop(): void {
    this.#stop.abort();
  }

  async #load(): Promise<void> {
    if (this.#specs.length === 0) return;
    const { signal } = this.#stop;
    const consumer = this.#log.consumer({ isolationLevel: 'read_committed', signal });
    this.#consumer = consumer;
    const places: { topic: Topic<unknown, unknown>; partition: number }[] = [];
    const ends = new Map<string, number>();
    for (const handle of this.#topics()) {
      const partitions = await this.#log.admin().ensureTopic(handle);
      const listed = await this.#log.api.listOffsets({
        isolationLevel: 'read_committed',
        partitions: Array.from({ length: partitions }, (_, partition) => {
          return { topic: handle.name, partition, spec: 'latest' as const };
        }),
      });
      for (const { topic, partition, offset, error } of listed.partitions) {
        if (error !== undefined) throw LogError.fromData(error);
        places.push({ topic: handle, partition });
        ends.set(placeOf({ topic, partition }), offset);
      }
    }
    await consumer.assign(places);
    const isBehind = (): boolean =>
      places.some(({ topic: { name: topic }, partition }) => {
        const position = consumer.position({ topic, partition }) ?? 0;
        return position < (ends.get(placeOf({ topic, partition })) ?? 0);
      });
    while (isBehind()) await this.#take(consumer);
  }

  /** Keeps reading; passes the error that ends it to `failed`. */
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
    this.stop();
    await this.#following;
    await this.#consumer?.close();
  }

  /** Each topic once, although several tables may read it. */
  #topics(): Iterable<Topic<unknown, unknown>> {
    return new Map(this.#specs.map(({ topic }) => [topic.name, topicHandle(topic)])).values();
  }

  async #take(consumer: Consumer): Promise<void> {
    for (const batch of await consumer.pollBatches({ maxWaitMs: WAIT_MS })) {
      const specs = this.#specs.filter(({ topic }) => topic.name === batch.topic);
      while (batch.next()) {
        if (batch.cursor.keyStart === NULL_POSITION) continue;
        for (const spec of specs) this.#set(spec, batch);
      }
    }
  }

  /** Applies the batch's current record to a table. */
  #set({ store, topic }: GlobalTableSpec, batch: PartitionRecords): void {
    const { keyStart, keyEnd, valueStart, valueEnd, timestampMs } = batch.cursor;
    const isNull = valueStart === NULL_POSITION;
    try {
      const key = read(batch, 'key', topic.key, keyStart, keyEnd);
      const value = isNull ? null : read(batch, 'value', topic.value, valueStart, valueEnd);
      this.store(store.name).set(key, value, timestampMs);
    } catch (error) {
      this.#failed(store.name, batch, error as Error);
    }
  }

  /** Passes over the batch's current record, or ends with this error. */
  #failed(node: string, { topic, partition, cursor }: PartitionRecords, error: Error): void {
    const { source: bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
    const { offset, timestampMs, headers } = cursor;
    const key = bytes.subarray(keyStart, keyEnd);
    const value = valueStart === NULL_POSITION ? null : bytes.subarray(valueStart, valueEnd);
    this.#failures.handle({
      ...{ stage: 'deserialization', node, cause: error.cause ?? error, error },
      ...{ place: { topic, partition, offset }, record: undefined },
      source: { key, value, timestampMs, headers },
    });
  }
}

/** Decides about the records that a global table cannot read [STREAMS-BAD-15]. */
function failuresOf(
  { onDeserializationError, clock, logger }: StreamsSettings,
  { failedBefore }: AppCounts,
): Failures {
  const onError = withoutLetters(onDeserializationError);
  const context = {
    policies: {
      of: () => ({ onError, deadLetterTopic: '' }),
      keepsInPlace: () => false,
      needsSource: () => false,
      nodesOf: () => [],
    },
    deadLetters: () => {
      throw new AssertionFailure('a global table writes no dead letters');
    },
    ...{ taskId: 'global', recovery: new NoRecovery(), clock, logger },
    ...{ sourceOf: () => undefined, dropped: () => undefined },
  };
  return new Failures(context, failedBefore);
}

/** The same without dead letters and retries. */
function withoutLetters(onError: ErrorAction | ErrorHandler): ErrorAction | ErrorHandler {
  if (typeof onError !== 'function') return finalOf(onError);
  return (failure) => {
    const action = onError(failure);
    return errorAction(action) === undefined ? finalOf(action) : action;
  };
}

function finalOf(action: ErrorAction): ErrorAction {
  const last = typeof action === 'object' ? (action.then ?? 'fail') : action;
  return last === 'deadLetter' ? 'skip' : last;
}

/** One field of the batch's current record. */
function read(
  { topic, partition, cursor }: PartitionRecords,
  field: 'key' | 'value',
  serde: Serde<unknown>,
  start: number,
  end: number,
): unknown {
  try {
    return serde.deserialize(cursor.source, start, end);
  } catch (cause) {
    const { offset } = cursor;
    throw deserializationFailed({ topic, partition, offset, field }, serde, cause);
  }
}
