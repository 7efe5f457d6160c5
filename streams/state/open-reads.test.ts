import { describe, expect, test } from 'vitest';
import { OpenReads } from './open-reads.ts';

/** Rows that note how often they were asked for, and whether they were let go. */
function rowsOf(...values: readonly (number | Error)[]) {
  const rest = [...values];
  const seen = { asked: 0, returned: 0 };
  const rows: Iterator<number> = {
    next: () => {
      seen.asked++;
      const value = rest.shift();
      if (value instanceof Error) throw value;
      return value === undefined ? { done: true, value } : { done: false, value };
    },
    return: () => {
      seen.returned++;
      return { done: true, value: undefined };
    },
  };
  return { rows, seen };
}

const dropped = (): never => {
  throw new RangeError('dropped');
};

describe('[QUERY-2] lists that are being read', () => {
  test('what is left is read before a change', () => {
    const reads = new OpenReads();
    const { rows, seen } = rowsOf(1, 2, 3);
    const list = reads.read(rows, dropped);
    expect(list.next().value).toBe(1);
    reads.settle();
    expect(seen.asked).toBe(4);
    expect([list.next().value, list.next().value, list.next().done]).toEqual([2, 3, true]);
    reads.settle();
    reads.drop();
    expect(seen).toEqual({ asked: 4, returned: 0 });
  });

  test('a list that fails is let go', () => {
    const reads = new OpenReads();
    const { rows, seen } = rowsOf(1, new TypeError('cannot read'), 3);
    const list = reads.read(rows, dropped);
    expect(list.next().value).toBe(1);
    expect(() => list.next()).toThrow('cannot read');
    reads.settle();
    reads.drop();
    expect(seen).toEqual({ asked: 2, returned: 0 });
    expect(list.next().done).toBe(true);
  });

  test('a list that is dropped says so to whoever reads on', () => {
    const reads = new OpenReads();
    const [half, whole, left] = [rowsOf(1, 2), rowsOf(1), rowsOf(1)];
    const lists = [half, whole, left].map(({ rows }) => reads.read(rows, dropped));
    expect(lists[0]!.next().value).toBe(1);
    expect([lists[1]!.next().value, lists[1]!.next().done]).toEqual([1, true]);
    lists[2]!.return();
    reads.drop();
    expect([half, whole, left].map(({ seen }) => seen)).toEqual([
      { asked: 1, returned: 1 },
      { asked: 2, returned: 0 },
      { asked: 0, returned: 1 },
    ]);
    expect(() => lists[0]!.next()).toThrow('dropped');
    expect([lists[1]!.next().done, lists[2]!.next().done]).toEqual([true, true]);
    lists[0]!.return();
    expect(lists[0]!.next().done).toBe(true);
  });
});
