import { NO_ROOM, type Serde } from '../../core/index.ts';
import type {
  GroupedKey,
  GroupedStore,
  StoreEntry,
  StoreHandle,
  StoreSpec,
} from '../topology/store.ts';
import { StoreCodec, type LiveEntry } from './codec.ts';
import type { KeyRange, StateEnvironment, StoreChanges, StoredChange } from './environment.ts';
import { KeySpace } from './key-space.ts';
import type { StoreKind, TaskStore } from './store-kind.ts';

const SIZE_BYTES = 4;

/** Keys within groups, which are found together. */
export const groupedKind: StoreKind = {
  title: 'grouped store',
  writes: { keyBytes: 0, methods: { put: { key: 0, value: 1 } } },
  changelogConfig: { cleanupPolicy: 'compact' },
  codec: (spec) => new StoreCodec(spec),
  open: (spec, environment, isNew) => new TaskGroupedStore(spec, environment, isNew),
};

export function groupedStore<V>(name: string): StoreHandle<GroupedStore<V>> {
  return { name, kind: 'grouped' };
}

/** The description of such a store; its keys are bytes. */
export function groupedStoreSpec<V>(name: string, value: Serde<V>): StoreSpec<GroupedKey, V> {
  return { ...groupedStore(name), key: GROUPED_KEY, value, backing: 'changelog' };
}

/** The size of the group as u32, the group, the key: the keys of a group are adjacent. */
const GROUPED_KEY: Serde<GroupedKey> = {
  name: 'grouped',
  serialize({ group, key }, target, position) {
    const keyAt = position + SIZE_BYTES + group.length;
    if (keyAt + key.length > target.length) return NO_ROOM;
    target.writeUInt32BE(group.length, position);
    group.copy(target, position + SIZE_BYTES);
    key.copy(target, keyAt);
    return keyAt + key.length;
  },
  deserialize(source, start, end) {
    const groupAt = start + SIZE_BYTES;
    const keyAt = groupAt + source.readUInt32BE(start);
    const own = Buffer.from(source.subarray(groupAt, end)); // a view would keep the fetched buffer
    return { group: own.subarray(0, keyAt - groupAt), key: own.subarray(keyAt - groupAt) };
  },
};

/** A grouped store of a task: a key space for each group in use. */
class TaskGroupedStore<V> implements GroupedStore<V>, TaskStore {
  readonly spec: StoreSpec;
  readonly codec: StoreCodec<unknown, unknown>;
  readonly #codec: StoreCodec<GroupedKey, V>;
  readonly #environment: StateEnvironment;
  /** True while no checkpoint has anything of it. */
  #isNew: boolean;
  /** By the bytes of the group as text. Emptied as memory needs it. */
  readonly #groups = new Map<string, KeySpace<GroupedKey, V>>();

  constructor(spec: StoreSpec, environment: StateEnvironment, isNew: boolean) {
    this.#codec = new StoreCodec(spec as StoreSpec<GroupedKey, V>);
    this.spec = spec;
    this.codec = this.#codec as StoreCodec<unknown, unknown>;
    this.#environment = environment;
    this.#isNew = isNew;
  }

  get name(): string {
    return this.spec.name;
  }

  get memoryCount(): number {
    let count = 0;
    for (const group of this.#groups.values()) count += group.count;
    return count;
  }

  /** Its entries live until they are deleted. */
  get span(): undefined {
    return undefined;
  }

  put(key: GroupedKey, value: V, timestampMs: number): void {
    this.#space(key.group).put(key, value, timestampMs);
  }

  delete(key: GroupedKey, timestampMs: number): void {
    this.#space(key.group).put(key, undefined, timestampMs);
  }

  group(group: Buffer): StoreEntry<GroupedKey, V>[] {
    const entries = [...this.#space(group).all()];
    return entries.sort((a, b) => Buffer.compare(a.key.key, b.key.key));
  }

  takeChanged(visit: (entry: LiveEntry<unknown, unknown>) => void): number {
    let count = 0;
    for (const group of this.#groups.values()) count += group.takeChanged(visit);
    return count;
  }

  takePending(): StoreChanges {
    const changes: StoredChange[] = [];
    this.#isNew = false;
    for (const group of this.#groups.values()) {
      for (const change of group.takePending()) changes.push(change);
    }
    return changes.sort((a, b) => Buffer.compare(a.key, b.key));
  }

  restore(key: Buffer, value: Buffer | undefined, timestampMs: number): void {
    const { group } = this.#codec.decodeKey(key);
    this.#space(group).restore(key, value && this.#codec.decodeValue(value), timestampMs);
  }

  expire(): void {
    // nothing expires
  }

  shrinkTo(count: number): void {
    let excess = this.memoryCount - count;
    for (const [name, group] of this.#groups) {
      const before = group.count;
      if (excess > 0) group.shrinkTo(Math.max(0, before - excess));
      excess -= before - group.count;
      if (group.count === 0) this.#groups.delete(name); // after a checkpoint nothing is pending
    }
  }

  #space(group: Buffer): KeySpace<GroupedKey, V> {
    const text = group.toString('latin1');
    const known = this.#groups.get(text);
    if (known !== undefined) return known;
    const space = new KeySpace<GroupedKey, V>({
      name: this.name,
      codec: this.#codec,
      environment: this.#environment,
      bounds: boundsOf(group),
      isNew: this.#isNew,
    });
    this.#groups.set(text, space);
    return space;
  }
}

/** The bytes before and after all keys of a group. */
function boundsOf(group: Buffer): KeyRange {
  const start = Buffer.alloc(SIZE_BYTES + group.length);
  start.writeUInt32BE(group.length, 0);
  group.copy(start, SIZE_BYTES);
  // The next bytes of this length; a size of 2^32 - 1 does not occur, so that there are some.
  const end = Buffer.from(start);
  let index = end.length - 1;
  while (end[index] === 0xff) end[index--] = 0;
  end[index]!++;
  return { start, end };
}
