import { int64, msgpack, type Serde } from '../../core/index.ts';
import { listSerde } from '../operators/list-serde.ts';
import { insert, remove, type Ranking } from '../operators/ranking.ts';
import { synchronous } from '../operators/results.ts';
import type { Row } from '../operators/table-view.ts';
import type { Change } from '../topology/change.ts';
import { checkedRanking, type Aggregating } from './aggregations.ts';
import { checkFunctions } from './arguments.ts';
import type { RowAdder, RowReducer } from './functions.ts';

/** Null and undefined are no aggregate. */
type Maybe<A> = A | null | undefined;

export function countingRows<K, V>(): Aggregating<K, Change<V>, number> {
  const add = following<K, V, number>({
    add: (count) => (count ?? 0) + 1,
    subtract: (count) => count - 1,
  });
  return { kind: 'count', add, value: int64() };
}

export function reducingRows<K, V>(
  adder: RowReducer<K, V, Maybe<V>>,
  subtractor: RowReducer<K, V, Maybe<V>>,
  value: Serde<V>,
): Aggregating<K, Change<V>, V> {
  checkFunctions('reduce', { adder, subtractor });
  const add = following<K, V, V>({
    add: (known, row) => (known === undefined ? row.value : adder(known, row.value, row)),
    subtract: (known, row) => subtractor(known, row.value, row),
  });
  return { kind: 'reduce', add, value: value as Serde<NonNullable<V>> }; // rows have no nulls
}

export function aggregatingRows<K, V, A>(
  initializer: () => A,
  adder: RowAdder<K, V, A, Maybe<A>>,
  subtractor: RowAdder<K, V, A, Maybe<A>>,
): Aggregating<K, Change<V>, A> {
  checkFunctions('aggregate', { initializer, adder, subtractor });
  const add = following<K, V, A>({
    add: (known, row) => adder(known === undefined ? synchronous(initializer()) : known, row),
    subtract: (known, row) => subtractor(known, row),
  });
  return { kind: 'aggregate', add, value: msgpack() };
}

/** All values of a group in order: of what they are the first, one may be taken away. */
export function rankingRows<K, V>(
  n: number,
  by: Ranking<V>,
  value: Serde<V>,
): Aggregating<K, Change<V>, V[]> {
  const compare = checkedRanking(n, by);
  const add = following<K, V, V[]>({
    add: (ranked = [], row) => {
      insert(ranked, row.value, compare);
      return ranked;
    },
    subtract: (ranked, row) => {
      remove(ranked, row.value, compare, value);
      return ranked.length === 0 ? null : ranked;
    },
  });
  return { kind: 'top-n', add, value: listSerde(value) };
}

interface Following<K, V, A> {
  readonly add: (aggregate: A | undefined, row: Row<K, V>) => Maybe<A>;
  readonly subtract: (aggregate: A, row: Row<K, V>) => Maybe<A>;
}

/**
 * Makes an aggregate follow the rows of its group: takes the old value of a changed row away, if
 * there is an aggregate, and adds the new one [OP-GROUP-1], as KTableAggregate.java and
 * KTableReduce.java.
 */
function following<K, V, A>({
  add,
  subtract,
}: Following<K, V, A>): Aggregating<K, Change<V>, A>['add'] {
  return (known, { key, value: { oldValue = null, newValue } }) => {
    let aggregate: Maybe<A> = known;
    if (oldValue !== null && known !== undefined) {
      aggregate = synchronous(subtract(known, { key, value: oldValue }));
    }
    if (newValue === null) return aggregate;
    return synchronous(add(aggregate ?? undefined, { key, value: newValue }));
  };
}
