import { serializeToBytes, type Serde } from '../../core/index.ts';
import { show } from '../../core/internal.ts';
import { unpinned } from '../state/codec.ts';
import { synchronous } from './results.ts';

/** How values are ranked: by a number, or by a comparison as that of `Array.sort`. */
export type Ranking<V> =
  | {
      /** The number of a value. Of equal ones the value that came first is first. */
      readonly by: (value: V) => number;
      /** Which numbers come first. Default: the greatest. */
      readonly first?: 'greatest' | 'least';
      readonly compare?: never;
    }
  | {
      /** Negative if `left` comes first, positive if `right` does, as for `Array.sort`. */
      readonly compare: (left: V, right: V) => number;
      readonly by?: never;
      readonly first?: never;
    };

/** Negative if the left value comes first. */
export type Comparison<V> = (left: V, right: V) => number;

/** The comparison of a ranking; it throws if the user's function returns no number. */
export function comparisonOf<V>({ by, first, compare }: Ranking<V>): Comparison<V> {
  if (compare !== undefined) return (left, right) => numeric(compare(left, right));
  const sign = first === 'least' ? 1 : -1;
  return (left, right) => {
    const [a, b] = [numeric(by(left)), numeric(by(right))];
    return a < b ? -sign : a > b ? sign : 0;
  };
}

/** Puts a value into a ranked list of at most `n`, behind its equals. */
export function insert<V>(ranked: V[], value: V, compare: Comparison<V>, n = Infinity): void {
  const index = behind(ranked, value, compare);
  if (index >= n) return;
  ranked.splice(index, 0, unpinned(value));
  if (ranked.length > n) ranked.pop();
}

/** Takes a value out of a ranked list: the first of the same rank with the same bytes. */
export function remove<V>(ranked: V[], value: V, compare: Comparison<V>, serde: Serde<V>): void {
  let found = -1;
  const bytes = serializeToBytes(serde, value);
  for (let index = behind(ranked, value, compare) - 1; index >= 0; index--) {
    const each = ranked[index]!;
    if (compare(each, value) !== 0) break;
    if (serializeToBytes(serde, each).equals(bytes)) found = index;
  }
  if (found >= 0) ranked.splice(found, 1);
}

/** The place behind the last value that does not come after this one. */
function behind<V>(ranked: readonly V[], value: V, compare: Comparison<V>): number {
  let [low, high] = [0, ranked.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(ranked[middle]!, value) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function numeric(result: number): number {
  if (typeof result === 'number' && !Number.isNaN(result)) return result;
  synchronous<unknown>(result);
  throw new TypeError(`its function returned ${show(result)}; a ranking needs a number`);
}
