import { expect, test } from 'vitest';
import { changes, changesOf } from '../../test/kit/changes.ts';
import { drive, numbers, shown } from '../../test/kit/drive.ts';
import type { KStream } from '../dsl/kstream.ts';

interface Total {
  sum: number;
}

/** The totals of each key, changed in place. */
function totalsOf(stream: KStream<string, number>): KStream<string, Total> {
  return stream
    .groupByKey()
    .aggregate(
      (): Total => ({ sum: 0 }),
      (total, { value }) => {
        total.sum += value;
        return total;
      },
      { emit: 'each' },
    )
    .toStream();
}

test('[OP-TABLE-10] a table behind toStream keeps the values that it got', () => {
  const { pipe } = drive(numbers, changes, (stream) =>
    changesOf(totalsOf(stream).toTable(), ({ sum }) => sum),
  );
  expect(shown(pipe(['a', 1, 1], ['a', 2, 2], ['a', 3, 3]))).toEqual([
    'a ->1 @1',
    'a 1>3 @2',
    'a 3>6 @3',
  ]);
});

test('[OP-TABLE-10] so does one behind another operator', () => {
  const { pipe } = drive(numbers, changes, (stream) =>
    changesOf(
      totalsOf(stream)
        .filter(({ value }) => value.sum > 0)
        .toTable(),
      ({ sum }) => sum,
    ),
  );
  expect(shown(pipe(['a', 1, 1], ['a', 2, 2]))).toEqual(['a ->1 @1', 'a 1>3 @2']);
});
