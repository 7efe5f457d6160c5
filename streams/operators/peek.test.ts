import { expect, test } from 'vitest';
import { drive, driveNulls, numbers, shown, sums } from '../../test/kit/drive.ts';

test('[OP-6] peek sees each record before the next operator and forwards it unchanged', () => {
  const seen: string[] = [];
  const { pipe } = driveNulls(numbers, sums, (stream) =>
    stream
      .peek(({ key, value, topic, partition, offset }) => {
        seen.push(`first ${key} ${String(value)} ${topic}-${partition}@${offset}`);
      })
      .peek(({ key }) => void seen.push(`second ${key}`)),
  );
  const headers = [{ key: 'trace', value: Buffer.from('7') }];
  const out = pipe(['a', 1, 5, headers], ['b', null, 3]);
  expect(shown(out)).toEqual(['a 1 @5', 'b null @3']);
  expect(out[0]?.headers).toEqual(headers);
  expect(seen).toEqual([
    'first a 1 numbers-0@0',
    'second a',
    'first b null numbers-0@1',
    'second b',
  ]);
});

test('[OP-7] merge forwards the records of both streams as they come', () => {
  const { pipe } = drive(numbers, sums, (stream) => {
    const { even, odd } = stream.split({ even: ({ value }) => value % 2 === 0 }, 'odd');
    return even.mapValues((value) => value * 100).merge(odd);
  });
  expect(shown(pipe(['a', 1, 5], ['a', 2, 6], ['b', 3, 4]))).toEqual([
    'a 1 @5',
    'a 200 @6',
    'b 3 @4',
  ]);
});

test('[OP-7] a stream merged with itself has each record twice', () => {
  const { pipe } = drive(numbers, sums, (stream) => stream.merge(stream));
  expect(shown(pipe(['a', 1, 5]))).toEqual(['a 1 @5', 'a 1 @5']);
});

test('[OP-7] a stream can be used any number of times', () => {
  const { pipe } = drive(numbers, sums, (stream) => {
    const [double, triple, same] = [2, 3, 1].map((factor) =>
      stream.mapValues((value) => value * factor),
    );
    return double!.merge(triple!).merge(same!);
  });
  expect(shown(pipe(['a', 1, 5])).sort()).toEqual(['a 1 @5', 'a 2 @5', 'a 3 @5']);
});
