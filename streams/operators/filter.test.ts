import { expect, test } from 'vitest';
import { drive, driveNulls, numbers, shown, sums } from '../../test/kit/drive.ts';

test('[OP-1] filter keeps the records that its predicate accepts, unchanged and in order', () => {
  const { pipe } = drive(numbers, sums, (stream) => stream.filter(({ value }) => value % 2 === 0));
  const headers = [{ key: 'trace', value: Buffer.from('7') }];
  const out = pipe(['a', 1, 5], ['b', 2, 6, headers], ['a', 4, 3], ['c', 5, 9], ['c', 6, 9]);
  expect(shown(out)).toEqual(['b 2 @6', 'a 4 @3', 'c 6 @9']);
  expect(out[0]?.headers).toEqual(headers);
});

test('[OP-1] filter passes null keys and values to its predicate', () => {
  const seen: unknown[] = [];
  const { pipe } = driveNulls(numbers, sums, (stream) =>
    stream.filter(({ key, value }) => seen.push([key, value]) > 1),
  );
  expect(shown(pipe([null, 1, 0], ['a', null, 1]))).toEqual(['a null @1']);
  expect(seen).toEqual([
    [null, 1],
    ['a', null],
  ]);
});

test('[OP-21] filterNot keeps what filter leaves out, unchanged and in order', () => {
  const { pipe } = drive(numbers, sums, (stream) =>
    stream.filterNot(({ value }) => value % 2 === 0),
  );
  const headers = [{ key: 'trace', value: Buffer.from('7') }];
  const out = pipe(['a', 1, 5, headers], ['b', 2, 6], ['a', 3, 3], ['c', 4, 9], ['c', 5, 9]);
  expect(shown(out)).toEqual(['a 1 @5', 'a 3 @3', 'c 5 @9']);
  expect(out[0]?.headers).toEqual(headers);
});
