import { serializeToBytes, type Serde } from '../../core/index.ts';
import type { StoreSpec } from '../topology/store.ts';
import type { LiveEntry } from './codec.ts';
import { copying } from './copying.ts';
import { windowOrder } from './windowed-rows.ts';

/** What a read method returns: a bare value, something with a value, or a list of the latter. */
export type ReadResult = 'value' | 'entry' | 'list';

/** A method of a store that only reads. */
export interface ReadMethod {
  readonly result: ReadResult;
  /** True if its first argument is the only key that it looks for. */
  readonly isOfKey: boolean;
}

/** The methods of a kind of store that only read, for queries from outside its task. */
export interface StoreReads {
  readonly methods: Readonly<Record<string, ReadMethod>>;
  /** Returns bytes that sort what lists of all keys contain. */
  readonly order: (serdes: ReadSerdes, spec: StoreSpec) => (entry: never) => Buffer;
}

/** What a query needs to write keys and copy values. */
export interface ReadSerdes {
  /** Of the keys that are given. */
  readonly key: Serde<unknown>;
  /** Of the keys of the results, which may be those of windows. */
  readonly rowKey: Serde<unknown>;
  readonly value: Serde<unknown>;
}

const VALUE = { result: 'value', isOfKey: true } as const;
const ENTRY = { result: 'entry', isOfKey: true } as const;
const OF_KEY = { result: 'list', isOfKey: true } as const;
const OF_ALL = { result: 'list', isOfKey: false } as const;

/** In the order of the bytes of their keys. */
function byKey({ key: serde }: ReadSerdes): (entry: { readonly key: unknown }) => Buffer {
  return ({ key }) => serializeToBytes(serde, key);
}

export const KEY_VALUE_READS: StoreReads = {
  methods: {
    ...{ get: VALUE, entry: ENTRY },
    ...{ range: OF_ALL, reverseRange: OF_ALL, prefixScan: OF_ALL, all: OF_ALL, reverseAll: OF_ALL },
  },
  order: byKey,
};

export const WINDOW_READS: StoreReads = {
  methods: {
    ...{ get: VALUE, entry: ENTRY, fetch: OF_KEY, backwardFetch: OF_KEY },
    ...{ fetchAll: OF_ALL, backwardFetchAll: OF_ALL, all: OF_ALL, backwardAll: OF_ALL },
  },
  order: ({ key: serde }) => {
    const order = windowOrder(serde);
    return ({ key, windowStartMs = 0, timestampMs }: LiveEntry<unknown, unknown>) =>
      order({
        ...{ key: { key, windowStartMs, windowEndMs: windowStartMs }, value: key, timestampMs },
      });
  },
};

export const WINDOWED_TABLE_READS: StoreReads = {
  methods: {
    ...{ get: VALUE, entry: ENTRY, fetch: OF_KEY, backwardFetch: OF_KEY },
    ...{ fetchAll: OF_ALL, backwardFetchAll: OF_ALL },
  },
  order: ({ key }) => windowOrder(key),
};

export const SESSION_READS: StoreReads = {
  methods: {
    ...{ get: ENTRY, fetch: OF_KEY, backwardFetch: OF_KEY },
    ...{ fetchAll: OF_ALL, backwardFetchAll: OF_ALL, prefixScan: OF_ALL },
  },
  order: byKey,
};

export const VERSIONED_READS: StoreReads = {
  methods: {
    ...{ get: VALUE, getVersion: ENTRY, history: OF_KEY, backwardHistory: OF_KEY },
    ...{ range: OF_ALL, reverseRange: OF_ALL, prefixScan: OF_ALL },
  },
  order: byKey,
};

/** As those of windows; the order is that of the store's segments. */
export const RECORD_METHODS: StoreReads['methods'] = {
  ...{ fetch: OF_KEY, backwardFetch: OF_KEY },
  ...{ fetchAll: OF_ALL, backwardFetchAll: OF_ALL, all: OF_ALL, backwardAll: OF_ALL },
};

/** True of a method whose lists are against the order. */
export function isReverse(method: string): boolean {
  return method.startsWith('reverse') || method.startsWith('backward');
}

/** The fields of what a query returns; a store's own objects have more. */
const FIELDS = ['key', 'windowStartMs', 'startMs', 'endMs', 'timestampMs', 'validToMs'] as const;

/** Copies what a store has found, so that it belongs to the caller. */
export function copierOf({
  rowKey,
  value,
}: ReadSerdes): (result: ReadResult, found: unknown) => unknown {
  const copyKey = copying(rowKey);
  const copyValue = copying(value);
  return (result, found) => {
    if (result === 'value') return copyValue(found);
    const given = found as Readonly<Record<string, unknown>>;
    const copy: Record<string, unknown> = {};
    for (const field of FIELDS) {
      if (given[field] === undefined) continue;
      copy[field] = field === 'key' ? copyKey(given[field]) : given[field];
    }
    copy['value'] = copyValue(given['value']);
    return copy;
  };
}
