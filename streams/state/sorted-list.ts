/** The index of the first item of a sorted list that is not below `bound`; its length for none. */
export function firstNotBelow<T, B>(
  list: readonly T[],
  bound: B,
  isBelow: (item: T, bound: B) => boolean,
): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(list[middle]!, bound)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Inserts a number into an ascending list, most often at its end. */
export function insert(list: number[], value: number): void {
  let index = list.length;
  while (index > 0 && list[index - 1]! > value) index--;
  list.splice(index, 0, value);
}
