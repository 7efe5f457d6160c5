import type { StoreSpec } from '../topology/store.ts';
import type { LiveEntry, StoreCodec } from './codec.ts';
import type { StateEnvironment } from './environment.ts';
import { OpenReads } from './open-reads.ts';
import type { TaskStore } from './store-kind.ts';
import { kindOf } from './store-kinds.ts';

/** A change of this transaction, as its changelog has it. */
interface StagedChange {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
  readonly timestampMs: number;
}

/** What a commit did to an entry: its bytes, as the changelog has them; undefined for none. */
export interface CommittedChange {
  readonly key: Buffer;
  readonly before: Buffer | undefined;
  readonly after: Buffer | undefined;
  readonly timestampMs: number;
}

/** Whoever watches a store. */
export interface StoreWatcher {
  /** Called right after a commit. */
  readonly changed: (changes: readonly CommittedChange[]) => void;
  /**
   * Called when the task ends, with what a failed commit had written: it may turn out to be
   * committed.
   */
  readonly left: (changes: readonly CommittedChange[]) => void;
  /** Called instead if the store cannot follow a commit, as with a serde that cannot read. */
  readonly failed: (error: unknown) => void;
}

/** Reads of a store after which what they left in memory is dropped. */
export const READS_PER_CACHE = 10_000;

/**
 * A store as of the last commit, for queries. It is what a restart would restore: a second store of
 * the same kind on the last checkpoint, to which each commit applies what it has written to the
 * changelog. So nothing in it is shared with the task's own store, whose values user functions may
 * change in place.
 */
export class CommittedStore {
  /** The lists that queries are reading. */
  readonly reads = new OpenReads();
  /** Commits since it was read last. */
  idleCommits = 0;
  /** As the task's store is described. */
  readonly #given: StoreSpec;
  /** As this one is. */
  readonly #spec: StoreSpec;
  readonly #codec: StoreCodec<unknown, unknown>;
  readonly #environment: StateEnvironment;
  /** Replaced at each checkpoint. */
  #store: TaskStore;
  /** In the changelog, not yet committed. */
  #staged: StagedChange[] = [];
  #readCount = 0;
  #watcher: StoreWatcher | undefined;
  /** While it is watched: the bytes of what the checkpoint lacks, by key. */
  readonly #unstored = new Map<string, Buffer | undefined>();

  /** Call it when the environment has all that is committed, or before the rest is restored. */
  constructor(spec: StoreSpec, environment: StateEnvironment) {
    this.#given = spec;
    // Whatever backs the task's store, this one gets changes as a changelog has them.
    this.#spec = { ...spec, backing: 'changelog' };
    this.#environment = environment;
    this.#codec = kindOf(spec).codec(spec);
    this.#store = this.#open();
  }

  /** To read at once: a commit changes it, a checkpoint replaces it. */
  read(): TaskStore {
    this.idleCommits = 0;
    if (++this.#readCount % READS_PER_CACHE === 0) this.#store.shrinkTo(0);
    return this.#store;
  }

  get isWatched(): boolean {
    return this.#watcher !== undefined;
  }

  /** Call it when it has nothing that the checkpoint lacks; undefined ends it at any time. */
  watch(watcher: StoreWatcher | undefined): void {
    this.#watcher = watcher;
    this.#unstored.clear();
  }

  /** Applies a record of the topic that the store is restored from. */
  restore(key: Buffer, value: Buffer | undefined, timestampMs: number): void {
    const after = value && this.#entryBytes(value, timestampMs);
    const own = Buffer.from(key); // a view would keep the fetched buffer
    if (this.isWatched) this.#unstored.set(own.toString('latin1'), after);
    this.#store.restore(own, after, timestampMs);
  }

  expire(timeMs: number): void {
    this.#store.expire(timeMs);
  }

  /** Tells the watcher which changes of a failed commit are committed after all. */
  decide(inDoubt: readonly CommittedChange[]): void {
    const changes: CommittedChange[] = [];
    for (const { key, before, timestampMs } of inDoubt) {
      const after = this.#bytesOf(key);
      const isSame = before === undefined ? after === undefined : after?.equals(before) === true;
      if (!isSame) changes.push({ key, before, after, timestampMs });
    }
    if (changes.length > 0) this.#watcher?.changed(changes);
  }

  /** Call it when it is given up, after an error of its own. */
  fail(error: unknown): void {
    this.reads.settle();
    this.#watcher?.failed(error);
  }

  /** Call it when the task ends. */
  close(): void {
    this.reads.settle();
    this.#watcher?.left(this.#changesOf(this.#staged));
  }

  /** Notes a change that the next commit makes. */
  stage(entry: LiveEntry<unknown, unknown>): void {
    const { value, timestampMs } = entry;
    const key = this.#codec.encodeKey(entry);
    this.#staged.push({
      ...{ key, value: value === undefined ? undefined : this.#codec.encodeValue(entry) },
      timestampMs,
    });
  }

  /** Applies what is staged. @param timeMs The event time at which entries expire. */
  commit(timeMs: number): void {
    this.idleCommits++;
    this.reads.settle();
    const staged = this.#staged;
    this.#staged = [];
    const watcher = this.#watcher;
    const changes = watcher === undefined ? [] : this.#changesOf(staged);
    for (const { key, value, timestampMs } of staged) this.#store.restore(key, value, timestampMs);
    this.#store.expire(timeMs);
    for (const { key, after } of changes) this.#unstored.set(key.toString('latin1'), after);
    if (changes.length > 0) watcher?.changed(changes);
  }

  /** Call it when a checkpoint has written all that is committed. */
  checkpointed(): void {
    this.#store = this.#open(); // without what the checkpoint has now
    this.#unstored.clear();
  }

  #changesOf(staged: readonly StagedChange[]): CommittedChange[] {
    return staged.map(({ key, value: after, timestampMs }) => {
      return { key, before: this.#bytesOf(key), after, timestampMs };
    });
  }

  /** The committed bytes of an entry, while it is watched. */
  #bytesOf(key: Buffer): Buffer | undefined {
    const text = key.toString('latin1');
    if (this.#unstored.has(text)) return this.#unstored.get(text);
    return this.#environment.get(this.#spec.name, key);
  }

  /** A value as a changelog has it; a topic that is copied has it bare. */
  #entryBytes(value: Buffer, timestampMs: number): Buffer {
    const { backing, value: serde } = this.#given;
    if (typeof backing === 'string') return Buffer.from(value);
    const bare = serde.deserialize(value, 0, value.length);
    return this.#codec.encodeValue({
      ...{ key: undefined, windowStartMs: undefined, value: bare, timestampMs },
    });
  }

  #open(): TaskStore {
    return kindOf(this.#spec).open(this.#spec, this.#environment, false);
  }
}
