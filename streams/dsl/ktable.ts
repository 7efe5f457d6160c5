import { msgpack } from '../../core/index.ts';
import { filterTable, mapTableValues, type Row } from '../operators/table-view.ts';
import type { KeyValue } from '../operators/results.ts';
import { changesToStream } from '../operators/to-stream.ts';
import type { RowTransformerSupplier } from '../topology/processor.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { Windowed } from '../topology/windows.ts';
import { checkFunctions, checkMade } from './arguments.ts';
import type { Deletable, Mapped, Synchronous, TableJoiner } from './functions.ts';
import { addForeignKeyJoin, type ForeignKeyJoin } from './foreign-key-joins.ts';
import { addTableGrouping } from './groupings.ts';
import { KGroupedTable } from './kgrouped-table.ts';
import type { KStream } from './kstream.ts';
import {
  checkNodeOptions,
  type GroupOptions,
  type JoinedTableOptions,
  type KeyOptions,
  type NodeOptions,
  type SuppressOptions,
  type TransformOptions,
  type ViewOptions,
} from './node-options.ts';
import { addOperator, type TableMaker, type TableParts } from './parts.ts';
import { addSuppression, type UntilTimeLimit, type UntilWindowCloses } from './suppression.ts';
import { addTableJoin, type Sides } from './table-joins.ts';
import { addTransformation } from './transformations.ts';
import { addView } from './views.ts';

/**
 * The newest value of each key. `V` is the type of its changes, with null if rows can be deleted.
 *
 * A table of a topic, of a stream, or of an aggregation is kept in a store of the task. One made of
 * other tables is a view: it stores nothing unless its options name a store. So functions are also
 * called when a view is read, and again for the value before a change; they are to return the same
 * each time. They must not change a value in place.
 */
export class KTable<K, V> {
  readonly #parts: TableParts<K, V>;
  /** @internal For the types only. */
  declare readonly types?: { readonly key: K; readonly value: V };

  /** @internal `StreamsBuilder.table`, aggregations and operators make them. */
  constructor(parts: TableParts<K, V>) {
    this.#parts = parts;
  }

  /** @internal For what is built on it. */
  get parts(): TableParts<K, V> {
    return this.#parts;
  }

  /** The name of its store; undefined for a view, which has none. */
  get store(): string | undefined {
    return this.#parts.store;
  }

  /** Keeps the rows for which `predicate` is true. */
  filter(
    predicate: (row: Row<K, NonNullable<V>>) => boolean,
    options: ViewOptions<NonNullable<V>> = {},
  ): KTable<K, V | null> {
    return this.#filter('filter', predicate, options);
  }

  /** Keeps the rows for which `predicate` is false. */
  filterNot(
    predicate: (row: Row<K, NonNullable<V>>) => boolean,
    options: ViewOptions<NonNullable<V>> = {},
  ): KTable<K, V | null> {
    return this.#filter('filterNot', predicate, options);
  }

  /**
   * Replaces the value of each row; keys and times stay. A null result deletes the row.
   *
   * @example
   * const names = customers.mapValues(({ firstName, lastName }) => `${firstName} ${lastName}`);
   */
  mapValues<V2>(
    mapper: (value: NonNullable<V>, row: Row<K, NonNullable<V>>) => V2 & Synchronous<V2>,
    options: ViewOptions<NonNullable<Mapped<V, V2>>> = {},
  ): KTable<K, Mapped<V, V2>> {
    checkFunctions('mapValues', { mapper });
    const view = mapTableValues<K, NonNullable<V>, NonNullable<Mapped<V, V2>>>(mapper);
    const unknown = { ...view, valueSerde: undefined };
    return new KTable(addView<K, V, Mapped<V, V2>>('mapValues', this.#parts, unknown, options));
  }

  /**
   * Replaces the value of each row by what a transformer of your own makes of its changes, which
   * may depend on stores, times and global tables. It is called once for each change, also for a
   * deletion, with null, but not for one of the past, as a versioned table has; null as its result
   * deletes the row. The table is always stored, so that old values are those that were passed on.
   *
   * @example
   * const changes = keyValueStore('changes', { key: string(), value: int64() });
   * const versions = builder.addStore(changes);
   * prices.transformValues((context) => {
   *   const store = context.store(versions);
   *   return {
   *     transform: ({ key, value, timestampMs }) => {
   *       store.update(key, timestampMs, (count = 0) => count + 1);
   *       return value && { ...value, version: store.get(key) };
   *     },
   *   };
   * }, { store: 'versioned-prices', stores: [versions] });
   *
   * @throws StreamsError TOPOLOGY_INVALID for a store of another builder
   */
  transformValues<V2>(
    supplier: RowTransformerSupplier<K, V, V2 & Synchronous<V2>>,
    options: TransformOptions<NonNullable<Deletable<V2>>> = {},
  ): KTable<K, Deletable<V2>> {
    return new KTable(addTransformation<K, V, Deletable<V2>>(this.#parts, supplier, options));
  }

  /**
   * Passes fewer changes on: only the final result of each window, or a row some time after its
   * first change. Changes that wait are in a store with a changelog.
   *
   * @example
   * counts.suppress(untilWindowCloses());
   * balances.suppress(untilTimeLimit({ ms: minutes(5) }));
   *
   * @throws StreamsError TOPOLOGY_INVALID if the table has no windows that close
   */
  suppress(
    until: UntilTimeLimit | (K extends Windowed<unknown> ? UntilWindowCloses : never),
    options: SuppressOptions<NonNullable<V>> = {},
  ): KTable<K, V> {
    return new KTable(addSuppression(this.#parts, until, options));
  }

  /**
   * Joins the rows of both tables with equal keys; a row is there while both are. Both need equally
   * many partitions, unless `repartition: 'if-needed'` moves the table with fewer.
   *
   * @example
   * customers.join(balances, ({ name }, balance) => ({ name, balance }));
   *
   * With `foreignKey` the row's key in the other table is what that function returns, and both may
   * have any number of partitions: the tables ask and answer each other through repartition topics.
   *
   * @example
   * orders.join(customers, {
   *   foreignKey: ({ value }) => value.customer,
   *   joiner: (order, { name }) => ({ ...order, name }),
   * });
   *
   * @throws StreamsError TOPOLOGY_INVALID if the tables are of different builders or have different
   *   windows; at the start COPARTITIONING
   */
  join<KO, VO, VR>(
    other: KTable<KO, VO>,
    how: ForeignKeyJoin<K, NonNullable<V>, KO, NonNullable<VO>, VR & Synchronous<VR>>,
  ): KTable<K, Deletable<VR> | null>;
  join<VO, VR>(
    other: KTable<K, VO>,
    joiner: TableJoiner<K, NonNullable<V>, NonNullable<VO>, VR & Synchronous<VR>>,
    options?: JoinedTableOptions<NonNullable<Mapped<V | VO, VR>>>,
  ): KTable<K, Mapped<V | VO, VR>>;
  join(...args: readonly unknown[]): unknown {
    return this.#join('join', args);
  }

  /** As `join`; a row is there while the left one is, and the right one is undefined if missing. */
  leftJoin<KO, VO, VR>(
    other: KTable<KO, VO>,
    how: ForeignKeyJoin<K, NonNullable<V>, KO, NonNullable<VO> | undefined, VR & Synchronous<VR>>,
  ): KTable<K, Deletable<VR> | null>;
  leftJoin<VO, VR>(
    other: KTable<K, VO>,
    joiner: TableJoiner<K, NonNullable<V>, NonNullable<VO> | undefined, VR & Synchronous<VR>>,
    options?: JoinedTableOptions<NonNullable<Mapped<V, VR>>>,
  ): KTable<K, Mapped<V, VR>>;
  leftJoin(...args: readonly unknown[]): unknown {
    return this.#join('leftJoin', args);
  }

  /** As `join`; a row is there while either is, and the other one is undefined if missing. */
  outerJoin<VO, VR>(
    other: KTable<K, VO>,
    joiner: TableJoiner<
      K,
      NonNullable<V> | undefined,
      NonNullable<VO> | undefined,
      VR & Synchronous<VR>
    >,
    options: JoinedTableOptions<NonNullable<Mapped<V | VO, VR>>> = {},
  ): KTable<K, Mapped<V | VO, VR>> {
    return new KTable(addTableJoin('outerJoin', this.#sides('outerJoin', other), joiner, options));
  }

  /**
   * Groups the rows by another key, through a repartition topic: `mapper` returns the group of a
   * row and the value that the row has there. With null for either the row is in no group.
   *
   * @example
   * const perCountry = customers.groupBy(({ key, value }) => ({ key: value.country, value: key }));
   */
  groupBy<K2, V2>(
    mapper: (row: Row<K, NonNullable<V>>) => KeyValue<K2, V2>,
    options: GroupOptions<NonNullable<K2>, NonNullable<V2>> = {},
  ): KGroupedTable<NonNullable<K2>, NonNullable<V2>> {
    return new KGroupedTable(addTableGrouping(this.#parts, mapper, options, makeTable));
  }

  /**
   * The changes of the table as a stream; a null value is a deleted row. With `selector` the
   * records get other keys, as by `selectKey`: a later grouping repartitions.
   */
  toStream<K2>(
    selector: (record: StreamRecord<K, V>) => K2 & Synchronous<K2>,
    options?: KeyOptions<NonNullable<K2>>,
  ): KStream<K2, V>;
  toStream(options?: NodeOptions): KStream<K, V>;
  toStream<K2>(
    selector?: NodeOptions | ((record: StreamRecord<K, V>) => K2 & Synchronous<K2>),
    options?: KeyOptions<NonNullable<K2>>,
  ): KStream<K, V> | KStream<K2, V> {
    if (typeof selector === 'function') {
      return this.#toStream({}).selectKey<K2>(selector, options);
    }
    return this.#toStream(selector ?? {});
  }

  /** The overloads have checked that the arguments fit together. */
  #join(method: 'join' | 'leftJoin', args: readonly unknown[]): KTable<K, unknown> {
    const [given, how, options = {}] = args as readonly [KTable<never, never>, unknown, object?];
    checkMade(method, 'other', given, KTable);
    if (typeof how === 'object' && how !== null) {
      const other = given.parts as unknown as TableParts<unknown, unknown>;
      const foreignKey = how as ForeignKeyJoin<K, NonNullable<V>, unknown, unknown, unknown>;
      return new KTable(addForeignKeyJoin(method, this.#parts, other, foreignKey));
    }
    const right = given.parts as unknown as TableParts<K, unknown>;
    return new KTable(addTableJoin(method, { left: this.#parts, right }, how, options));
  }

  #sides<VO>(method: string, other: KTable<K, VO>): Sides<K, V, VO> {
    checkMade(method, 'other', other, KTable);
    return { left: this.#parts, right: other.#parts };
  }

  #toStream(options: NodeOptions): KStream<K, V> {
    checkNodeOptions('toStream', options, ['name']);
    const { graph, node, keySerde, valueSerde, stream } = this.#parts;
    const operator = changesToStream<K, V>(valueSerde ?? msgpack());
    const name = graph.nameFor(operator.kind, options.name, node);
    addOperator(graph, operator, { name, parents: [node], errors: options });
    return stream({ graph, node: name, keySerde, valueSerde, isRekeyed: false });
  }

  #filter(
    method: 'filter' | 'filterNot',
    predicate: (row: Row<K, NonNullable<V>>) => boolean,
    options: ViewOptions<NonNullable<V>>,
  ): KTable<K, V | null> {
    checkFunctions(method, { predicate });
    const { valueSerde } = this.#parts;
    const view = filterTable(predicate, method === 'filterNot');
    return new KTable(
      addView<K, V, V | null>(method, this.#parts, { ...view, valueSerde }, options),
    );
  }
}

const makeTable: TableMaker = (parts) => new KTable(parts);
