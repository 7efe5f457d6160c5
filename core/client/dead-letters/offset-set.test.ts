import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsetSet } from './offset-set.ts';

test('[STREAMS-BAD-9] a set of offsets is a committed offset and its metadata', () => {
  const set = new OffsetSet(3);
  set.add(7);
  set.add(9);
  expect([set.below, set.encode()]).toEqual([3, '7,9']);
  set.add(8);
  set.add(12, 15);
  expect([set.below, set.encode()]).toEqual([3, '7-9,12-14']);
  set.add(3, 7);
  expect([set.below, set.encode()]).toEqual([10, '12-14']);
  set.add(5, 12);
  expect([set.below, set.encode()]).toEqual([15, '']);
  expect(OffsetSet.decode(4, 'of another program').encode()).toBe('');
});

test('[STREAMS-BAD-9] it has what was added, also when it is read back', () => {
  const stretch = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 5 }));
  fc.assert(
    fc.property(fc.nat(10), fc.array(stretch), (below, stretches) => {
      const set = new OffsetSet(below);
      const model = new Set(Array.from({ length: below }, (_, offset) => offset));
      for (const [first, count] of stretches) {
        set.add(first, first + count);
        for (let offset = first; offset < first + count; offset++) model.add(offset);
      }
      const read = OffsetSet.decode(set.below, set.encode());
      for (let offset = 0; offset < 60; offset++) {
        expect(set.has(offset)).toBe(model.has(offset));
        expect(read.has(offset)).toBe(model.has(offset));
      }
      expect(model.has(set.below)).toBe(false);
    }),
  );
});

test('[STREAMS-BAD-9] what is removed below an offset is all that it loses', () => {
  const stretch = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 5 }));
  fc.assert(
    fc.property(fc.array(stretch), fc.nat(50), (stretches, removed) => {
      const [set, all] = [new OffsetSet(-1), new OffsetSet(-1)];
      for (const [first, count] of stretches) {
        for (const each of [set, all]) each.add(first, first + count);
      }
      set.removeBelow(removed);
      for (let offset = 0; offset < 60; offset++) {
        expect(set.has(offset)).toBe(offset >= removed && all.has(offset));
      }
      const encoded = set.encode();
      expect(set.stretches).toBe(encoded === '' ? 0 : encoded.split(',').length);
    }),
  );
});
