/** The next entry of a list, and the bytes that it is sorted by. */
interface Head<E> {
  readonly entry: E;
  readonly bytes: Buffer;
  readonly list: Iterator<E>;
}

/**
 * Merges lists that are each in the order of the bytes that `bytesOf` returns, or each against it;
 * of entries with equal bytes those of the first list come first. Reads one entry of each ahead.
 */
export function* mergeLists<E>(
  lists: Iterable<Iterator<E>>,
  bytesOf: (entry: E) => Buffer,
  isReverse: boolean,
): Generator<E> {
  const sign = isReverse ? -1 : 1;
  const heads: Head<E>[] = [];
  for (const list of lists) {
    const head = nextOf(list, bytesOf);
    if (head !== undefined) heads.push(head);
  }
  while (heads.length > 0) {
    let first = 0;
    for (let index = 1; index < heads.length; index++) {
      if (sign * Buffer.compare(heads[index]!.bytes, heads[first]!.bytes) < 0) first = index;
    }
    const { entry, list } = heads[first]!;
    yield entry;
    const next = nextOf(list, bytesOf);
    if (next === undefined) heads.splice(first, 1);
    else heads[first] = next;
  }
}

function nextOf<E>(list: Iterator<E>, bytesOf: (entry: E) => Buffer): Head<E> | undefined {
  const next = list.next();
  if (next.done === true) return undefined;
  return { entry: next.value, bytes: bytesOf(next.value), list };
}
