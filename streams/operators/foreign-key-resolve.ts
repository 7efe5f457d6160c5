import { msgpack, NO_ROOM, type Headers, type Serde } from '../../core/index.ts';
import { keyValueStore } from '../state/key-value-store.ts';
import type { Forward, Operator, OperatorContext, Processor } from '../topology/operator.ts';
import type { KeyValueStore, StoreSpec } from '../topology/store.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { versionedSerde, type Versioned } from './foreign-key-messages.ts';
import { synchronous } from './results.ts';

/** How answers become results. */
export interface ForeignResults<K, V, VO, VR> {
  readonly store: string;
  readonly joiner: (left: V, right: VO | undefined, key: K) => VR | null | undefined;
  /** Also join rows without a right one. */
  readonly isLeft: boolean;
}

/** A message of either kind, and which. */
export type ForeignMessage<V, VO> =
  | { readonly kind: 'left'; readonly row: Versioned<V> }
  | { readonly kind: 'answer'; readonly row: Versioned<VO> };

/** Tells the two kinds of messages apart. */
export function foreignMessages<K, V>(
  kind: 'left' | 'answer',
): Operator<K, Versioned<V>, K, { readonly kind: 'left' | 'answer'; readonly row: Versioned<V> }> {
  return {
    kind: `foreign-${kind}`,
    changesKey: false,
    start: (forward) => ({
      process: (record) => forward(record.withValue({ kind, row: record.value })),
    }),
  };
}

/** A left row that waits for answers; and an answer that waits for its row. */
interface Resolving<V, VO> {
  readonly left: Versioned<V> | undefined;
  readonly early: EarlyAnswer<VO> | undefined;
  /** The newest version that was answered. */
  readonly resolved: number;
  /** The newest version for which an answer surely comes, or has come. */
  readonly owed: number;
}

interface EarlyAnswer<VO> {
  readonly row: Versioned<VO>;
  readonly timestampMs: number;
  readonly headers: Headers;
}

/** Describes the store of left rows. */
export function resolvingStoreSpec<K, V, VO>(options: {
  readonly store: string;
  readonly key: Serde<K>;
  readonly left: Serde<V>;
  readonly right: Serde<VO>;
}): StoreSpec<K, Resolving<V, VO>> {
  const { store, key, left, right } = options;
  return { ...keyValueStore(store), key, value: resolvingSerde(left, right), backing: 'changelog' };
}

/**
 * Joins each answer with the left row that it was asked for [OP-FK-3]
 * (ResponseJoinProcessorSupplier.java): one for an older version is dropped and counted as late,
 * unless it takes away a result that nothing newer takes away. An answer that overtakes its left
 * row waits for it.
 */
export function resolveAnswers<K, V, VO, VR>(
  results: ForeignResults<K, V, VO, VR>,
): Operator<K, ForeignMessage<V, VO>, K, VR | null> {
  return {
    kind: 'resolve-answers',
    changesKey: false,
    start: (forward, context) => new Resolver(results, forward, context),
  };
}

class Resolver<K, V, VO, VR> implements Processor<K, ForeignMessage<V, VO>> {
  readonly #results: ForeignResults<K, V, VO, VR>;
  readonly #store: KeyValueStore<K, Resolving<V, VO>>;
  readonly #forward: Forward<K, VR | null>;
  readonly #context: OperatorContext;

  constructor(
    results: ForeignResults<K, V, VO, VR>,
    forward: Forward<K, VR | null>,
    context: OperatorContext,
  ) {
    this.#results = results;
    this.#store = context.store(keyValueStore<K, Resolving<V, VO>>(results.store));
    this.#forward = forward;
    this.#context = context;
  }

  process(record: StreamRecord<K, ForeignMessage<V, VO>>): void {
    const message = record.value;
    if (message.kind === 'left') this.#takeLeft(record, message.row);
    else this.#takeAnswer(record, message.row);
  }

  #takeLeft(record: StreamRecord<K>, left: Versioned<V>): void {
    const { key, timestampMs } = record;
    const { early, resolved = 0, owed = 0 } = this.#store.get(key) ?? {};
    const stillEarly = early !== undefined && early.row.version > left.version ? early : undefined;
    const known = {
      left,
      early: stillEarly,
      resolved,
      owed: left.isAnswered ? left.version : owed,
    };
    if (early?.row.version === left.version) {
      const answered = record.with(key, undefined, early.timestampMs).withHeaders(early.headers);
      this.#join(answered, known, early.row);
    } else {
      this.#keep(key, known, timestampMs);
    }
  }

  #takeAnswer(record: StreamRecord<K>, row: Versioned<VO>): void {
    const { key, timestampMs, headers } = record;
    const known = this.#store.get(key) ?? NOTHING_KNOWN;
    const { left, early, resolved } = known;
    if (left?.version === row.version) {
      this.#join(record, known, row);
    } else if (left === undefined || left.version < row.version) {
      if (early !== undefined && early.row.version > row.version)
        this.#context.drop('late', record);
      else this.#keep(key, { ...known, early: { row, timestampMs, headers } }, timestampMs);
    } else if (row.value === null && row.version >= resolved && !this.#results.isLeft) {
      // That the row was in no pair: there may be no answer for the newer version that says so.
      this.#keep(key, { ...known, resolved: row.version }, timestampMs);
      this.#forward(record.withValue(null));
    } else {
      this.#context.drop('late', record);
    }
  }

  #join(
    record: StreamRecord<K>,
    known: Resolving<V, VO>,
    { version, value: right }: Versioned<VO>,
  ): void {
    const { joiner, isLeft } = this.#results;
    const { key, timestampMs } = record;
    this.#keep(key, { ...known, resolved: version }, timestampMs);
    const left = known.left?.value ?? null;
    if (left === null || (right === null && !isLeft)) {
      this.#forward(record.withValue(null));
    } else {
      const result = synchronous(joiner(left, right ?? undefined, key));
      this.#forward(record.withValue(result ?? null));
    }
  }

  /** Forgets a row that has gone when no answer is owed any more. */
  #keep(key: K, known: Resolving<V, VO>, timestampMs: number): void {
    const { left, early, resolved, owed } = known;
    const isGone = left?.value === null && early === undefined && owed <= resolved;
    if (isGone) this.#store.delete(key, timestampMs);
    else this.#store.put(key, known, timestampMs);
  }
}

const NOTHING_KNOWN = { left: undefined, early: undefined, resolved: 0, owed: 0 } as const;

const HAS_LEFT = 1;
const HAS_EARLY = 2;
const FIXED_BYTES = 1 + 8 + 8 + 4;
const HEADERS = msgpack<Headers>();

/**
 *     flags u8 | resolved f64 | owed f64 | size of left u32 | left
 *     [time f64 | size of headers u32 | headers | answer]
 */
function resolvingSerde<V, VO>(left: Serde<V>, right: Serde<VO>): Serde<Resolving<V, VO>> {
  const [leftRow, rightRow] = [versionedSerde(left), versionedSerde(right)];
  return {
    name: `resolving(${left.name}, ${right.name})`,
    reads: [left, ...(left.reads ?? []).map((name) => ({ name }))].flatMap((one) => {
      const rights = [right.name, ...(right.reads ?? [])];
      return rights.map((other) => `resolving(${one.name}, ${other})`);
    }),
    serialize(resolving, target, position) {
      const leftAt = position + FIXED_BYTES;
      if (leftAt + 12 > target.length) return NO_ROOM;
      const { early } = resolving;
      const hasLeft = resolving.left === undefined ? 0 : HAS_LEFT;
      target[position] = hasLeft | (early === undefined ? 0 : HAS_EARLY);
      const end =
        resolving.left === undefined ? leftAt : leftRow.serialize(resolving.left, target, leftAt);
      if (end === NO_ROOM) return NO_ROOM;
      target.writeDoubleBE(resolving.resolved, position + 1);
      target.writeDoubleBE(resolving.owed, position + 9);
      target.writeUInt32BE(end - leftAt, position + 17);
      if (early === undefined) return end;
      if (end + 12 > target.length) return NO_ROOM;
      target.writeDoubleBE(early.timestampMs, end);
      const rowAt = HEADERS.serialize(early.headers, target, end + 12);
      if (rowAt === NO_ROOM) return NO_ROOM;
      target.writeUInt32BE(rowAt - end - 12, end + 8);
      return rightRow.serialize(early.row, target, rowAt);
    },
    deserialize(source, start, end) {
      const flags = source[start] ?? 0;
      const resolved = source.readDoubleBE(start + 1);
      const owed = source.readDoubleBE(start + 9);
      const leftAt = start + FIXED_BYTES;
      const leftEnd = leftAt + source.readUInt32BE(start + 17);
      const known =
        (flags & HAS_LEFT) === 0 ? undefined : leftRow.deserialize(source, leftAt, leftEnd);
      if ((flags & HAS_EARLY) === 0) return { left: known, early: undefined, resolved, owed };
      const headersAt = leftEnd + 12;
      const rowAt = headersAt + source.readUInt32BE(leftEnd + 8);
      const early = {
        timestampMs: source.readDoubleBE(leftEnd),
        headers: HEADERS.deserialize(source, headersAt, rowAt),
        row: rightRow.deserialize(source, rowAt, end),
      };
      return { left: known, early, resolved, owed };
    },
  };
}
