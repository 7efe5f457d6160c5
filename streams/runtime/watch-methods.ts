import { serializeToBytes } from '../../core/index.ts';
import { keyText } from '../state/codec.ts';
import type { TaskStore } from '../state/store-kind.ts';
import { copierOf, KEY_VALUE_READS, WINDOWED_TABLE_READS } from '../state/store-reads.ts';
import type { RowChange } from '../state/stored-rows.ts';
import type { LiveQuery, WatchedRow } from '../topology/queryable.ts';
import type { Windowed } from '../topology/windows.ts';
import type { Followed, LiveQueries } from './live-queries.ts';
import type { QueriedStore } from './query-handles.ts';

type Method = (...args: never[]) => LiveQuery<unknown>;
type AnyRow = WatchedRow<unknown, unknown>;

/** The methods of a store that are live queries, if its kind has some. */
export function watchMethods(
  live: LiveQueries,
  found: QueriedStore,
): Readonly<Record<string, Method>> {
  if (found.reads === KEY_VALUE_READS) return keyMethods(live, found);
  return found.reads === WINDOWED_TABLE_READS ? windowMethods(live, found) : {};
}

function keyMethods(live: LiveQueries, found: QueriedStore): Record<string, Method> {
  const { key: serde } = found.serdes;
  return {
    watch: (key: unknown) =>
      live.value({
        ...{ found, key: keyText(serde, key), read: reading(found, 'entry', [key]) },
        includes: () => true,
      }),
    watchRange: (from?: unknown, to?: unknown) => {
      const [first, last] = [from, to].map((key) => {
        return key === undefined ? undefined : serializeToBytes(serde, key);
      });
      const includes = ({ key }: RowChange): boolean => {
        const bytes = serializeToBytes(serde, key);
        if (first !== undefined && Buffer.compare(bytes, first) < 0) return false;
        return last === undefined || Buffer.compare(bytes, last) <= 0;
      };
      const read = reading(found, 'range', [from, to]);
      return live.rows({ found, key: undefined, read, includes });
    },
  };
}

function windowMethods(live: LiveQueries, found: QueriedStore): Record<string, Method> {
  const { key: serde } = found.serdes;
  const startingIn = (fromMs = -Infinity, toMs = Infinity): Followed['includes'] => {
    return ({ key }) => {
      const { windowStartMs } = key as Windowed<unknown>;
      return windowStartMs >= fromMs && windowStartMs <= toMs;
    };
  };
  return {
    watch: (key: unknown, windowStartMs: number) =>
      live.value({
        ...{ found, key: keyText(serde, key), read: reading(found, 'entry', [key, windowStartMs]) },
        includes: startingIn(windowStartMs, windowStartMs),
      }),
    watchFetch: (key: unknown, fromMs?: number, toMs?: number) =>
      live.rows({
        ...{ found, key: keyText(serde, key), read: reading(found, 'fetch', [key, fromMs, toMs]) },
        includes: startingIn(fromMs, toMs),
      }),
    watchFetchAll: (fromMs?: number, toMs?: number) =>
      live.rows({
        ...{ found, key: undefined, read: reading(found, 'fetchAll', [fromMs, toMs]) },
        includes: startingIn(fromMs, toMs),
      }),
  };
}

/** Reads what is there by a method that returns an entry, or a list of them. */
function reading(
  found: QueriedStore,
  method: string,
  args: readonly unknown[],
): (stores: readonly TaskStore[]) => Generator<AnyRow> {
  const copy = copierOf(found.serdes);
  return function* (stores) {
    for (const store of stores) {
      const shape = found.shapeOf(store) as Readonly<
        Record<string, (...args: unknown[]) => unknown>
      >;
      const result = shape[method]!(...args);
      if (result === undefined) continue;
      const rows = method === 'entry' ? [result] : (result as Iterable<unknown>);
      for (const row of rows) yield copy('entry', row) as AnyRow;
    }
  };
}
