import type { Serde } from '../../core/index.ts';
import { windowStore } from '../state/window-store.ts';
import type { Change } from '../topology/change.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { StoreSpec, WindowStore } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { Windowed } from '../topology/windows.ts';
import { copying } from '../state/copying.ts';
import { joinedChange, joinedMs, reversed, type TableJoin } from './join-tables.ts';

/** One side of a join of tables of windows. */
export interface WindowedSide<V> {
  /** The name of its store. */
  readonly store: string;
  readonly value: Serde<V>;
}

/** How tables of the same windows are joined. */
export interface WindowedTableJoin<K, VL, VR, V> extends TableJoin<Windowed<K>, VL, VR, V> {
  readonly left: WindowedSide<VL>;
  readonly right: WindowedSide<VR>;
  /** How long after its end a window may change in either table. */
  readonly lifeMs: number;
}

/** A change, and the side that it comes from. */
export interface SidedChange<V> {
  readonly isLeft: boolean;
  readonly change: Change<V>;
}

/** Tells the join which table a change is of. */
export function changesOfSide<K, V>(isLeft: boolean): Operator<K, Change<V>, K, SidedChange<V>> {
  return {
    kind: isLeft ? 'join-left' : 'join-right',
    changesKey: false,
    oldValues: 'needed',
    start: (forward) => ({
      process: (record) => forward(record.withValue({ isLeft, change: record.value })),
    }),
  };
}

/** The store of one side: its rows under the ends of their windows, while either has them. */
export function sideStoreSpec<K, V>(options: {
  readonly side: WindowedSide<V>;
  readonly key: Serde<Windowed<K>>;
  readonly lifeMs: number;
  /** The join's. */
  readonly node: string;
}): StoreSpec<Windowed<K>, V> {
  const { side, key, lifeMs, node } = options;
  const { store, value } = side;
  return { ...windowStore(store), key, value, backing: 'changelog', expiry: { lifeMs, node } };
}

/**
 * Joins tables of the same windows [OP-TJOIN-4]. A table drops its windows when they close, which
 * may be before the other one has passed its own on; so the join keeps the rows of both until its
 * time, that of the slower table, has passed their end by `lifeMs`.
 */
export function joinWindowedTables<K, VL, VR, V>(
  join: WindowedTableJoin<K, VL, VR, V>,
): Operator<Windowed<K>, SidedChange<VL | VR>, Windowed<K>, Change<V>> {
  return {
    kind: 'join-windowed-tables',
    changesKey: false,
    start: (forward, context) => new WindowedJoin(join, forward, context),
  };
}

class WindowedJoin<K, VL, VR, V> implements Processor<Windowed<K>, SidedChange<VL | VR>> {
  readonly #left: JoinSide<K, VL, VR, V>;
  readonly #right: JoinSide<K, VR, VL, V>;
  readonly #lifeMs: number;
  readonly #context: OperatorContext;
  /** When the oldest window ends for good; Infinity if there is none. */
  deadlineMs: number;

  constructor(
    join: WindowedTableJoin<K, VL, VR, V>,
    forward: Forward<Windowed<K>, Change<V>>,
    context: OperatorContext,
  ) {
    const left = context.store(windowStore<Windowed<K>, VL>(join.left.store));
    const right = context.store(windowStore<Windowed<K>, VR>(join.right.store));
    const { sendsOldValues } = context;
    const shared = { forward, sendsOldValues };
    const [ofLeft, ofRight] = [copying(join.left.value), copying(join.right.value)];
    this.#left = new JoinSide({ ...shared, join, own: left, other: right, copy: ofLeft });
    const back = reversed(join);
    this.#right = new JoinSide({ ...shared, join: back, own: right, other: left, copy: ofRight });
    this.#lifeMs = join.lifeMs;
    this.#context = context;
    this.deadlineMs = this.#oldestDeadlineMs();
  }

  process(record: StreamRecord<Windowed<K>, SidedChange<VL | VR>>): void {
    const { isLeft, change } = record.value;
    const changed = record.withValue(change);
    const closesMs = record.key.windowEndMs + this.#lifeMs;
    if (closesMs <= this.#context.streamTimeMs()) {
      this.#context.drop('late', record);
      return;
    }
    if (closesMs < this.deadlineMs) this.deadlineMs = closesMs;
    if (isLeft) this.#left.process(changed as StreamRecord<Windowed<K>, Change<VL>>);
    else this.#right.process(changed as StreamRecord<Windowed<K>, Change<VR>>);
  }

  advance(streamTimeMs: number): void {
    for (const { own } of [this.#left, this.#right]) {
      for (const endMs of own.windowStarts()) {
        if (endMs + this.#lifeMs > streamTimeMs) break;
        own.drop(endMs);
      }
    }
    this.deadlineMs = this.#oldestDeadlineMs();
  }

  #oldestDeadlineMs(): number {
    const [[left = Infinity], [right = Infinity]] = [
      this.#left.own.windowStarts(),
      this.#right.own.windowStarts(),
    ];
    return Math.min(left, right) + this.#lifeMs;
  }
}

interface SideOptions<K, V, VO, VR> {
  readonly join: TableJoin<Windowed<K>, V, VO, VR>;
  readonly own: WindowStore<Windowed<K>, V>;
  readonly other: WindowStore<Windowed<K>, VO>;
  readonly copy: (value: V | null) => V | null;
  readonly forward: Forward<Windowed<K>, Change<VR>>;
  readonly sendsOldValues: boolean;
}

/** The rows of one table, and what its changes join. */
class JoinSide<K, V, VO, VR> {
  readonly own: WindowStore<Windowed<K>, V>;
  readonly #options: SideOptions<K, V, VO, VR>;
  /** The value that `#replace` puts: saves a closure per record. */
  #value: V | undefined;
  readonly #replace = (): V | undefined => this.#value;

  constructor(options: SideOptions<K, V, VO, VR>) {
    this.own = options.own;
    this.#options = options;
  }

  process(record: StreamRecord<Windowed<K>, Change<V>>): void {
    const { join, other, copy, forward, sendsOldValues } = this.#options;
    const { key, value, timestampMs } = record;
    this.#value = copy(value.newValue) ?? undefined;
    this.own.update(key, key.windowEndMs, timestampMs, this.#replace);
    const row = other.getPassed(key, key.windowEndMs);
    const joined = joinedChange(join, record, row, sendsOldValues);
    if (joined !== undefined) forward(record.with(key, joined, joinedMs(timestampMs, row)));
  }
}
