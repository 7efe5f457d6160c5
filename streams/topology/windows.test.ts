import { describe, expect, test } from 'vitest';
import { bytes, deserializeBytes, serializeToBytes, string } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import {
  firstWindowStart,
  hoppingWindow,
  oldestOpenStart,
  sessionWindow,
  sessionWindowedSerde,
  slidingWindow,
  tumblingWindow,
  unlimitedWindow,
  windowedSerde,
} from './windows.ts';

describe('[OP-18] window options', () => {
  test.each([
    ['no size', {}, 'INVALID_OPTION'],
    ['size 0', { sizeMs: 0 }, 'INVALID_OPTION'],
    ['a negative size', { sizeMs: -5 }, 'INVALID_OPTION'],
    ['half a millisecond', { sizeMs: 0.5 }, 'INVALID_OPTION'],
    ['a negative grace', { sizeMs: 5, graceMs: -1 }, 'INVALID_OPTION'],
    ['an unknown option', { sizeMs: 5, grace: 1 }, 'UNKNOWN_OPTION'],
  ])('tumblingWindow refuses %s', async (_, options, code) => {
    const make = async () => tumblingWindow(options as { sizeMs: number });
    expect(await codeOf(make())).toBe(code);
  });

  test.each([
    ['no advance', { sizeMs: 5 }, 'INVALID_OPTION'],
    ['advance 0', { sizeMs: 5, advanceMs: 0 }, 'INVALID_OPTION'],
    ['an advance above the size', { sizeMs: 5, advanceMs: 6 }, 'INVALID_OPTION'],
    ['an unknown option', { sizeMs: 5, advanceMs: 5, hopMs: 1 }, 'UNKNOWN_OPTION'],
  ])('hoppingWindow refuses %s', async (_, options, code) => {
    const make = async () => hoppingWindow(options as { sizeMs: number; advanceMs: number });
    expect(await codeOf(make())).toBe(code);
  });

  test('are otherwise kept, with a default grace of 0', () => {
    expect(tumblingWindow({ sizeMs: 5 })).toEqual({ sizeMs: 5, advanceMs: 5, graceMs: 0 });
    const options = { sizeMs: 5, advanceMs: 2, graceMs: 9 };
    expect(hoppingWindow(options)).toEqual(options);
  });
});

test('[OP-12] the first window of a record is the earliest that holds it', () => {
  const windows = { sizeMs: 10, advanceMs: 3, graceMs: 0 };
  const starts = [0, 2, 3, 8, 9, 10, 12, 13].map((time) => firstWindowStart(windows, time));
  expect(starts).toEqual([0, 0, 0, 0, 0, 3, 3, 6]);
});

test('[OP-19] the oldest open window, with its grace, ends after stream time', () => {
  const windows = { sizeMs: 10, advanceMs: 5, graceMs: 3 };
  for (let timeMs = 13; timeMs < 60; timeMs++) {
    const startMs = oldestOpenStart(windows, timeMs);
    expect(startMs % 5).toBe(0);
    expect(startMs + 13).toBeGreaterThan(timeMs);
    expect(startMs - 5 + 13).toBeLessThanOrEqual(timeMs);
  }
  expect(oldestOpenStart(windows, -Infinity)).toBe(-Infinity);
});

describe('[OP-20] windowedSerde', () => {
  const serde = windowedSerde(string(), 10);

  test('writes the key, then the start in eight bytes, as Kafka does', () => {
    const key = { key: 'ab', windowStartMs: 0x1_0203_0405, windowEndMs: 0x1_0203_040f };
    const written = serializeToBytes(serde, key);
    expect(written.toString('hex')).toBe('6162' + '0000000102030405');
    expect(deserializeBytes(serde, written)).toEqual(key);
    expect(serde.name).toBe('windowed(string)');
  });

  test('asks for more room if the key or the start does not fit', () => {
    const key = { key: 'abc', windowStartMs: 5, windowEndMs: 15 };
    expect(serde.serialize(key, Buffer.alloc(11), 0)).toBe(11);
    for (let size = 0; size < 11; size++) {
      expect(serde.serialize(key, Buffer.alloc(size), 0)).toBe(-1);
    }
  });

  test('accepts empty keys and refuses bytes too short for a key', () => {
    const empty = windowedSerde(bytes(), 10);
    const written = serializeToBytes(empty, {
      key: Buffer.alloc(0),
      windowStartMs: 0,
      windowEndMs: 10,
    });
    expect(written).toHaveLength(8);
    expect(deserializeBytes(empty, written).key).toHaveLength(0);
    expect(() => deserializeBytes(empty, Buffer.alloc(7))).toThrow();
  });
});

describe('[OP-SESSION-7] sessionWindow', () => {
  test.each([
    ['no gap', {}, 'INVALID_OPTION'],
    ['a negative gap', { gapMs: -1 }, 'INVALID_OPTION'],
    ['half a millisecond', { gapMs: 0.5 }, 'INVALID_OPTION'],
    ['a negative grace', { gapMs: 5, graceMs: -1 }, 'INVALID_OPTION'],
    ['an unknown option', { gapMs: 5, sizeMs: 1 }, 'UNKNOWN_OPTION'],
  ])('refuses %s', async (_, options, code) => {
    const make = async () => sessionWindow(options as { gapMs: number });
    expect(await codeOf(make())).toBe(code);
  });

  test('has a default grace of 0', () => {
    expect(sessionWindow({ gapMs: 0 })).toEqual({ gapMs: 0, graceMs: 0 });
    expect(sessionWindow({ gapMs: 5, graceMs: 9 })).toEqual({ gapMs: 5, graceMs: 9 });
  });
});

describe('[OP-SLIDING-6] slidingWindow and unlimitedWindow', () => {
  test.each([
    ['no difference', () => slidingWindow({} as { differenceMs: number }), 'INVALID_OPTION'],
    ['a difference of 0', () => slidingWindow({ differenceMs: 0 }), 'INVALID_OPTION'],
    ['a grace below 0', () => slidingWindow({ differenceMs: 5, graceMs: -1 }), 'INVALID_OPTION'],
    ['another option', () => slidingWindow({ differenceMs: 5, x: 1 } as never), 'UNKNOWN_OPTION'],
    ['a start before 1970', () => unlimitedWindow({ startMs: -1 }), 'INVALID_OPTION'],
    ['another option', () => unlimitedWindow({ start: 1 } as never), 'UNKNOWN_OPTION'],
  ])('refuse %s', async (_, make, code) => {
    expect(await codeOf((async () => make())())).toBe(code);
  });

  test('have default values', () => {
    expect(slidingWindow({ differenceMs: 1 })).toEqual({ differenceMs: 1, graceMs: 0 });
    expect(unlimitedWindow()).toEqual({ startMs: 0 });
    expect(unlimitedWindow({ startMs: 9 })).toEqual({ startMs: 9 });
  });
});

describe('[OP-SESSION-7] sessionWindowedSerde', () => {
  const serde = sessionWindowedSerde(string());
  const key = { key: 'ab', windowStartMs: 0x1_0203_0405, windowEndMs: 0x1_0203_0607 };

  test('writes the key, then end and start in eight bytes each, as Kafka does', () => {
    const written = serializeToBytes(serde, key);
    expect(written.toString('hex')).toBe('6162' + '0000000102030607' + '0000000102030405');
    expect(deserializeBytes(serde, written)).toEqual(key);
    expect(serde.name).toBe('session-windowed(string)');
  });

  test('asks for more room if anything does not fit', () => {
    expect(serde.serialize(key, Buffer.alloc(18), 0)).toBe(18);
    for (let size = 0; size < 18; size++) {
      expect(serde.serialize(key, Buffer.alloc(size), 0)).toBe(-1);
    }
  });
});
