import type { Serde } from '../../core/index.ts';
import { listSerde } from '../operators/list-serde.ts';
import type { Ranking } from '../operators/ranking.ts';
import type { Change } from '../topology/change.ts';
import { addAggregate, groupedInput, type Aggregating, takeRanking } from './aggregations.ts';
import type { RowAdder, RowReducer, Synchronous } from './functions.ts';
import type { KTable } from './ktable.ts';
import { checkNodeOptions, type StoreOptions } from './node-options.ts';
import type { GroupedParts, TableMaker } from './parts.ts';
import { aggregatingRows, countingRows, rankingRows, reducingRows } from './table-aggregations.ts';

/** The parts of a grouped table, whose changes go through a repartition topic. */
export interface GroupedTableParts<K, V> extends GroupedParts<K, Change<V>> {
  /** Writes one value; a change has two. */
  readonly rowValue: Serde<V>;
  readonly table: TableMaker;
}

/**
 * The rows of a table, grouped by another key. An aggregate follows its rows: if one changes, its
 * old value is taken away and its new one added.
 */
export class KGroupedTable<K, V> {
  readonly #parts: GroupedTableParts<K, V>;

  /** @internal `KTable.groupBy` makes them. */
  constructor(parts: GroupedTableParts<K, V>) {
    this.#parts = parts;
  }

  /** Counts the rows of each group; one that has lost its last row counts 0. */
  count(options: StoreOptions<number> = {}): KTable<K, number> {
    return this.#table(countingRows(), options);
  }

  /**
   * Combines the values of each group, starting with its first row: `adder` adds a value to the
   * aggregate, `subtractor` takes one away. A null result deletes the group's row; the next value
   * starts over.
   *
   * @example
   * orders
   *   .groupBy(({ value }) => ({ key: value.customer, value: value.total }))
   *   .reduce((sum, total) => sum + total, (sum, total) => sum - total);
   */
  reduce(
    adder: RowReducer<K, V>,
    subtractor: RowReducer<K, V>,
    options?: StoreOptions<NonNullable<V>>,
  ): KTable<K, V>;
  reduce(
    adder: RowReducer<K, V, V | null | undefined>,
    subtractor: RowReducer<K, V, V | null | undefined>,
    options?: StoreOptions<NonNullable<V>>,
  ): KTable<K, V | null>;
  reduce(
    adder: RowReducer<K, V, V | null | undefined>,
    subtractor: RowReducer<K, V, V | null | undefined>,
    options: StoreOptions<NonNullable<V>> = {},
  ): KTable<K, V | null> {
    return this.#table(reducingRows(adder, subtractor, this.#parts.rowValue), options);
  }

  /**
   * Combines the rows of each group into one value, at first the result of `initializer`: `adder`
   * adds a row to it, `subtractor` takes one away. Both may change it in place and return it, but
   * must not keep it elsewhere. A null result deletes it; the next row starts over.
   */
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: RowAdder<K, V, A>,
    subtractor: RowAdder<K, V, A>,
    options?: StoreOptions<NonNullable<A>>,
  ): KTable<K, A>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: RowAdder<K, V, A, A | null | undefined>,
    subtractor: RowAdder<K, V, A, A | null | undefined>,
    options?: StoreOptions<NonNullable<A>>,
  ): KTable<K, A | null>;
  aggregate<A>(
    initializer: () => A & Synchronous<A>,
    adder: RowAdder<K, V, A, A | null | undefined>,
    subtractor: RowAdder<K, V, A, A | null | undefined>,
    options: StoreOptions<NonNullable<A>> = {},
  ): KTable<K, A | null> {
    return this.#table(aggregatingRows(initializer, adder, subtractor), options);
  }

  /**
   * Keeps the first `n` values of each group, in a list: those with the greatest numbers, or the
   * least ones, or by a comparison. It follows the rows: when one of the first leaves, the next one
   * takes its place; a group without rows has no list. Of equal ones the value that came first is
   * first. The store has all values of a group, in one entry that each change writes: for groups of
   * some thousand rows, not of millions.
   *
   * @example
   * products
   *   .groupBy(({ value }) => ({ key: value.category, value }))
   *   .topN(10, { by: ({ sold }) => sold, store: 'bestsellers' });
   *
   * @throws LogError INVALID_OPTION, StreamsError TOPOLOGY_INVALID without `by` and `compare`
   */
  topN(n: number, options: Ranking<V> & StoreOptions<V[]>): KTable<K, V[] | null> {
    const { rank, others } = takeRanking(options, ['name', 'store', 'value', 'emit']);
    const { rowValue } = this.#parts;
    const all: KTable<K, V[] | null> = this.#table(rankingRows(n, rank, rowValue), others);
    return all.mapValues((ranked) => ranked.slice(0, n), { value: listSerde(rowValue) });
  }

  #table<A>(
    what: Aggregating<K, Change<V>, A>,
    options: StoreOptions<NonNullable<A>>,
  ): KTable<K, A> {
    checkNodeOptions(what.kind, options, ['name', 'store', 'value', 'emit']);
    return this.#parts.table(addAggregate(groupedInput(this.#parts), what, options));
  }
}
