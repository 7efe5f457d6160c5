import { expect, test } from 'vitest';
import { deserializeBytes, serializeToBytes, string } from '../../core/index.ts';
import { Change } from '../topology/change.ts';
import { changeSerde } from './change-serde.ts';

const serde = changeSerde(string());
const long = 'x'.repeat(100);

test.each([
  ['only the old value', new Change<string>(null, 'ab', true), '6162' + '00'],
  ['only the new value', new Change<string>('cd', null, true), '6364' + '01'],
  ['both values', new Change<string>('cde', 'ab', true), '06' + '636465' + '6162' + '02'],
  ['both values, empty', new Change<string>('', '', true), '00' + '02'],
  ['a long one', new Change(long, 'a', true), 'c801' + '78'.repeat(100) + '61' + '02'],
])('[OP-GROUP-3] %s, in the bytes of Kafka Streams', (_, change, bytes) => {
  const written = serializeToBytes(serde, change);
  expect(written.toString('hex')).toBe(bytes);
  expect(deserializeBytes(serde, written)).toEqual(change);
  expect(serde.name).toBe('change(string)');
});

test('[OP-GROUP-3] a change asks for more room until it fits, wherever it starts', () => {
  for (const change of [new Change('new', 'old', true), new Change(null, 'old', true)]) {
    const size = serializeToBytes(serde, change).length;
    let hasFitted = false;
    for (let room = 0; room < size + 8; room++) {
      const target = Buffer.alloc(room + 3);
      const end = serde.serialize(change, target, 3);
      if (room < size) expect(end).toBe(-1);
      if (end === -1) {
        expect(hasFitted).toBe(false);
        continue;
      }
      hasFitted = true;
      expect(end).toBe(3 + size);
      expect(serde.deserialize(target, 3, end)).toEqual(change);
    }
    expect(hasFitted).toBe(true);
  }
});

test('[OP-GROUP-3] what is no change is refused', () => {
  expect(() => serializeToBytes(serde, new Change<string>(null, null, true))).toThrow(/neither/);
  for (const bytes of ['', '03', '0802', 'ffffffffff02', 'ff02', '0102']) {
    expect(() => deserializeBytes(serde, Buffer.from(bytes, 'hex')), bytes).toThrow(/not a change/);
  }
});
