import { checkArgument, checkOptions, integer } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { ObservedRecords, ObservedStream, ObserveOptions } from '../topology/observed.ts';
import type { LiveQuery } from '../topology/queryable.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { Topology } from '../topology/topology.ts';
import { liveQuery, type Pending, type Watcher } from './live-query.ts';

/** A record that somebody observes, and the node that it came to. */
export interface PublishedRecord {
  readonly node: string;
  readonly record: StreamRecord;
}

/** Somebody who observes a node. */
interface Observing {
  readonly node: string;
  readonly watcher: Watcher<StreamRecord>;
  readonly queue: QueuedRecords;
  readonly maxQueued: number;
}

/** The records of an application that are observed, once they are committed. */
export class PublishedRecords {
  readonly #all = new Set<Observing>();
  /** Set while what was queued is to be handed over at a later turn. */
  #isDue = false;
  /** Set once the application has ended, with its error. */
  #ended: { readonly error: unknown } | undefined;

  /** True if anybody observes the node. */
  isObserved(node: string): boolean {
    for (const observing of this.#all) if (observing.node === node) return true;
    return false;
  }

  /** What comes to a node, from now on. */
  follow(node: string, maxQueued: number): LiveQuery<StreamRecord> {
    return liveQuery<StreamRecord>((makeWatcher) => {
      const queue = new QueuedRecords();
      const watcher = makeWatcher(queue);
      const observing: Observing = { node, watcher, queue, maxQueued };
      if (this.#ended === undefined) this.#all.add(observing);
      else queueMicrotask(() => watcher.end(this.#ended?.error));
      return { watcher, stop: () => this.#all.delete(observing) };
    });
  }

  /** Hands over what a commit has, at a later turn: no commit waits for those who observe. */
  publish(records: readonly PublishedRecord[]): void {
    if (records.length === 0 || this.#all.size === 0) return;
    for (const observing of this.#all) {
      for (const { node, record } of records) {
        if (node === observing.node) observing.queue.add(record);
      }
      if (observing.queue.length > observing.maxQueued && !observing.watcher.isReady()) {
        this.#overrun(observing);
      }
    }
    if (!this.#isDue) setImmediate(() => this.#flush());
    this.#isDue = true;
  }

  /** Call it when the application has ended. */
  end(error: unknown): void {
    this.#ended = { error };
    for (const { watcher } of this.#all) watcher.end(error);
    this.#all.clear();
  }

  #flush(): void {
    this.#isDue = false;
    for (const { watcher } of this.#all) watcher.flush();
  }

  #overrun(observing: Observing): void {
    const { node, watcher, queue, maxQueued } = observing;
    const message =
      `more than maxQueued=${maxQueued} records of ${node} wait for a loop that observes them: ` +
      'let it be faster or queue more, or read a topic, which waits for its readers';
    queue.take();
    this.#all.delete(observing);
    watcher.end(new StreamsError('OBSERVER_OVERRUN', message, { node, maxQueued }));
  }
}

/** The records of one attempt that are observed, until they are committed. */
export class Publisher {
  readonly #all: PublishedRecords;
  #records: PublishedRecord[] = [];

  constructor(all: PublishedRecords) {
    this.#all = all;
  }

  add(node: string, record: StreamRecord): void {
    if (this.#all.isObserved(node)) this.#records.push({ node, record });
  }

  /** Called after a successful commit. */
  commit(): void {
    if (this.#records.length === 0) return;
    const records = this.#records;
    this.#records = [];
    this.#all.publish(records);
  }
}

/** The records of a stream of a topology. @throws LogError INVALID_OPTION, UNKNOWN_OPTION */
export function observedRecords<K, V>(
  { nodes }: Pick<Topology, 'nodes'>,
  all: PublishedRecords,
  stream: ObservedStream<K, V>,
  options: ObserveOptions = {},
): ObservedRecords<K, V> {
  checkArgument('records$', 'stream', stream, (value) => {
    const { node: name } = (value ?? {}) as { readonly node?: unknown };
    const node = nodes.find((each) => each.name === name);
    const isObserved = node?.kind === 'operator' && node.operator.kind === 'observe';
    return isObserved ? undefined : 'what toObservable of this topology has returned';
  });
  checkOptions('records$', options, { maxQueued: integer(1) });
  const { maxQueued = QUEUED_MAX } = options;
  return all.follow(stream.node, maxQueued) as unknown as ObservedRecords<K, V>;
}

/** Each takes some hundred bytes, beside what it holds. */
const QUEUED_MAX = 100_000;

class QueuedRecords implements Pending<StreamRecord> {
  #records: StreamRecord[] = [];

  get isEmpty(): boolean {
    return this.#records.length === 0;
  }

  get length(): number {
    return this.#records.length;
  }

  add(record: StreamRecord): void {
    this.#records.push(record);
  }

  take(): StreamRecord[] {
    const records = this.#records;
    this.#records = [];
    return records;
  }
}
