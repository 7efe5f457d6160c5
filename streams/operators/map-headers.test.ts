import { expect, test } from 'vitest';
import type { Headers } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { drive, numbers, shown, sums } from '../../test/kit/drive.ts';

const trace = { key: 'trace', value: Buffer.from('7') };
const origin = { key: 'origin', value: Buffer.from('test') };

test('[OP-30] mapHeaders replaces the headers; key, value, time and order stay', () => {
  const { pipe } = drive(numbers, sums, (stream) =>
    stream.mapHeaders((headers, { key }) => (key === 'none' ? [] : [...headers, origin])),
  );
  const out = pipe(['a', 1, 7, [trace]], ['b', 2, 3], ['none', 3, 4, [trace]]);
  expect(shown(out)).toEqual(['a 1 @7', 'b 2 @3', 'none 3 @4']);
  expect(out.map(({ headers }) => headers)).toEqual([[trace, origin], [origin], []]);
});

test('[OP-30] the operators behind it see the headers and keep them', () => {
  const seen: Headers[] = [];
  const { pipe } = drive(numbers, sums, (stream) =>
    stream
      .mapHeaders(() => [origin])
      .map(({ key, value, headers }) => (seen.push(headers), { key: `${key}!`, value }))
      .mapValues((value) => value * 2)
      .flatMapValues((value) => [value, value])
      .selectKey(({ headers }) => headers[0]?.key ?? 'none'),
  );
  const out = pipe(['a', 1, 7, [trace]]);
  expect(seen).toEqual([[origin]]);
  expect(shown(out)).toEqual(['origin 2 @7', 'origin 2 @7']);
  expect(out.map(({ headers }) => headers)).toEqual([[origin], [origin]]);
});

test.each<[string, unknown, string]>([
  ['nothing', undefined, 'no log can hold (they are undefined)'],
  ['one header', trace, '(they are {"key":"trace"'],
  ['a text as the value', [{ key: 'a', value: 'b' }], '(one is {"key":"a","value":"b"})'],
  ['no key', [{ value: null }], '(one is {"value":null})'],
  ['a promise', Promise.resolve([]), 'its function returned a promise'],
])('[OP-30] a function that returns %s ends the application', async (_, made, reason) => {
  const { pipe } = drive(numbers, sums, (stream) => stream.mapHeaders(() => made as Headers));
  const answer = await codeOf((async () => pipe(['a', 1, 0]))());
  expect(answer).toContain('map-headers-numbers failed on numbers-0 at offset 0');
  expect(answer).toContain(reason);
});
