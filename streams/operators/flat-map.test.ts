import { expect, test } from 'vitest';
import { drive, driveNulls, numbers, shown, sums } from '../../test/kit/drive.ts';

const headers = [{ key: 'trace', value: Buffer.from('7') }];

test('[OP-5] flatMap turns a record into none, one or many, in the order of the iterable', () => {
  const { pipe } = drive(numbers, sums, (stream) =>
    stream.flatMap(function* ({ key, value }) {
      for (let each = 1; each <= value; each++) yield { key: `${key}${each}`, value: each * 10 };
    }),
  );
  const out = pipe(['a', 2, 5, headers], ['b', 0, 6], ['c', 1, 4]);
  expect(shown(out)).toEqual(['a1 10 @5', 'a2 20 @5', 'c1 10 @4']);
  expect(out.map((record) => record.headers)).toEqual([headers, headers, []]);
});

test('[OP-5] flatMapValues does so with the same key', () => {
  const { pipe } = driveNulls(numbers, sums, (stream) =>
    stream.flatMapValues((value, { key }) =>
      key === 'none' || value === null ? [] : [value, -value],
    ),
  );
  const out = pipe(['a', 2, 5], ['none', 1, 6], [null, 3, 7]);
  expect(shown(out)).toEqual(['a 2 @5', 'a -2 @5', 'null 3 @7', 'null -3 @7']);
});
