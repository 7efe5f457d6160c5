import { int64, string, topic } from '../../core/index.ts';
import { expect, test } from 'vitest';
import { drive, driveNulls, numbers, shown } from '../../test/kit/drive.ts';

const texts = topic('texts', { key: string(), value: string() });
const headers = [{ key: 'trace', value: Buffer.from('7') }];

test('[OP-2] map replaces key and value; time, headers and order stay', () => {
  const { pipe } = drive(numbers, texts, (stream) =>
    stream.map(({ key, value }) => ({ key: `${key}${key}`, value: `<${value}>` })),
  );
  const out = pipe(['a', 1, 7, headers], ['b', 2, 3]);
  expect(shown(out)).toEqual(['aa <1> @7', 'bb <2> @3']);
  expect(out[0]?.headers).toEqual(headers);
});

test('[OP-2] [OP-3] an undefined from a mapper is null', () => {
  const nothing = undefined as unknown as string;
  const mapped = drive(numbers, texts, (stream) =>
    stream.map(() => ({ key: nothing, value: nothing })),
  );
  expect(shown(mapped.pipe(['a', 1, 0]))).toEqual(['null null @0']);
  const values = drive(numbers, texts, (stream) => stream.mapValues(() => nothing));
  expect(shown(values.pipe(['a', 1, 0]))).toEqual(['a null @0']);
});

test('[OP-3] mapValues replaces the value, which may be null; key, time and headers stay', () => {
  const { pipe } = driveNulls(numbers, texts, (stream) =>
    stream.mapValues((value, { key, timestampMs }) => `${key} ${String(value)} ${timestampMs}`),
  );
  const out = pipe(['a', 1, 7, headers], [null, null, 3]);
  expect(shown(out)).toEqual(['a a 1 7 @7', 'null null null 3 @3']);
  expect(out[0]?.headers).toEqual(headers);
});

test('[OP-4] selectKey replaces the key; value, time and headers stay', () => {
  const keyed = topic('keyed', { key: int64(), value: int64() });
  const { pipe } = driveNulls(numbers, keyed, (stream) =>
    stream.selectKey(({ value }) => (value ?? 0) % 10),
  );
  const out = pipe(['a', 13, 7, headers], [null, 25, 3]);
  expect(shown(out)).toEqual(['3 13 @7', '5 25 @3']);
  expect(out[0]?.headers).toEqual(headers);
});
