import { show } from '../../core/internal.ts';
import { isThenable, type AsyncCall, type Calls } from './calls.ts';

/** A key of something outside. */
export type LookupKey = string | number | bigint;

/** How long what was found is kept. */
export interface LookupCache {
  /** How many keys are kept in each task; those used least recently go first. */
  readonly maxEntries: number;
  readonly ttlMs: number;
  /** For how long it is kept that nothing was found; 0 for not at all. */
  readonly missesTtlMs: number;
}

/** Returns the values of keys: those that it does not have do not exist. */
export type FindMany<KL, VT> = (
  keys: readonly KL[],
  call: AsyncCall,
) => ReadonlyMap<KL, VT> | PromiseLike<ReadonlyMap<KL, VT>>;

export interface LookupsOptions<KL, VT> {
  readonly find: FindMany<KL, VT>;
  /** How many keys a call asks for at most. */
  readonly batchMax: number;
  /** How many calls are under way at most. */
  readonly concurrency: number;
  readonly cache: LookupCache | undefined;
  readonly nowMs: () => number;
}

interface Cached<VT> {
  readonly value: VT | undefined;
  readonly untilMs: number;
}

/** A key that is asked for, and all who wait for it. */
interface Request<KL, VT> {
  readonly key: KL;
  readonly found: Promise<VT | undefined>;
  readonly resolve: (value: VT | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Asks for values by their keys: once for all who want a key at the same time, and together for
 * keys that are wanted in the same turn, or while no call may be made [OP-LOOKUP-2].
 */
export class Lookups<KL extends LookupKey, VT> {
  readonly #options: LookupsOptions<KL, VT>;
  readonly #calls: Calls;
  /** Those used least recently first. */
  readonly #cached = new Map<KL, Cached<VT>>();
  /** What is asked for, and what is to be. */
  readonly #requests = new Map<KL, Request<KL, VT>>();
  #queue: Request<KL, VT>[] = [];
  #running = 0;
  #isDue = false;

  constructor(options: LookupsOptions<KL, VT>, calls: Calls) {
    this.#options = options;
    this.#calls = calls;
  }

  /** The value of a key, undefined if there is none: at once if it is kept. */
  get(key: KL): VT | undefined | Promise<VT | undefined> {
    const cached = this.#cached.get(key);
    if (cached !== undefined) {
      this.#cached.delete(key);
      if (cached.untilMs > this.#options.nowMs()) {
        this.#cached.set(key, cached);
        return cached.value;
      }
    }
    const request = this.#requests.get(key) ?? this.#request(key);
    return request.found;
  }

  #request(key: KL): Request<KL, VT> {
    const request = {} as { -readonly [Name in keyof Request<KL, VT>]: Request<KL, VT>[Name] };
    request.key = key;
    request.found = new Promise((resolve, reject) => {
      request.resolve = resolve;
      request.reject = reject;
    });
    this.#requests.set(key, request);
    this.#queue.push(request);
    if (!this.#isDue) queueMicrotask(() => this.#dispatch()); // more keys may come until then
    this.#isDue = true;
    return request;
  }

  #dispatch(): void {
    this.#isDue = false;
    const { batchMax, concurrency } = this.#options;
    while (this.#queue.length > 0 && this.#running < concurrency && !this.#calls.isClosed) {
      const batch = this.#queue.slice(0, batchMax);
      this.#queue = this.#queue.slice(batchMax);
      this.#running++;
      void this.#ask(batch).finally(() => {
        this.#running--;
        this.#dispatch();
      });
    }
  }

  /** Never rejects: those who wait get the error. */
  async #ask(batch: readonly Request<KL, VT>[]): Promise<void> {
    const { find } = this.#options;
    const keys = batch.map(({ key }) => key);
    try {
      const asked = this.#calls.run((call) => find(keys, call));
      const found = isThenable(asked) ? await asked : asked;
      checkFound(found);
      for (const request of batch) {
        const value = found.get(request.key) ?? undefined;
        this.#keep(request.key, value);
        request.resolve(value);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    for (const { key } of batch) this.#requests.delete(key);
  }

  #keep(key: KL, value: VT | undefined): void {
    const { cache, nowMs } = this.#options;
    if (cache === undefined) return;
    const ttlMs = value === undefined ? cache.missesTtlMs : cache.ttlMs;
    if (ttlMs === 0) return;
    this.#cached.set(key, { value, untilMs: nowMs() + ttlMs });
    if (this.#cached.size > cache.maxEntries) {
      this.#cached.delete(this.#cached.keys().next().value!);
    }
  }
}

/** Without types it may be anything. */
function checkFound(found: unknown): void {
  const { get, has } = (found ?? {}) as { readonly get?: unknown; readonly has?: unknown };
  if (typeof get === 'function' && typeof has === 'function') return;
  throw new TypeError(`lookupMany needs a Map of what was found by key, not ${show(found)}`);
}
