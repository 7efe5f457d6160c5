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

/** Reads after which what they left in memory is dropped. */
const READS_PER_CACHE = 10_000;

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
  readonly #spec: StoreSpec;
  readonly #codec: StoreCodec<unknown, unknown>;
  readonly #environment: StateEnvironment;
  /** Replaced at each checkpoint. */
  #store: TaskStore;
  /** In the changelog, not yet committed. */
  #staged: StagedChange[] = [];
  #readCount = 0;

  /** Call it when the environment has all that is committed. */
  constructor(spec: StoreSpec, environment: StateEnvironment) {
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
    for (const { key, value, timestampMs } of staged) this.#store.restore(key, value, timestampMs);
    this.#store.expire(timeMs);
  }

  /** Call it when a checkpoint has written all that is committed. */
  checkpointed(): void {
    this.#store = this.#open(); // without what the checkpoint has now
  }

  #open(): TaskStore {
    return kindOf(this.#spec).open(this.#spec, this.#environment, false);
  }
}
