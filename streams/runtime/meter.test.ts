import { expect, test } from 'vitest';
import { Meter } from './meter.ts';

test('[RT-METRICS-1] a meter has totals of all time, and the rest of the last 30 to 60 s', () => {
  const meter = new Meter(1_000);
  expect(meter.read(1_000)).toEqual({
    ...{ total: 0, sum: 0, rate: 0, ratio: 0 },
    ...{ avg: undefined, min: undefined, max: undefined },
  });
  for (const value of [10, 40, 70]) meter.note(value);
  expect(meter.read(11_000)).toEqual({
    ...{ total: 3, sum: 120, rate: 0.3, ratio: 0.012 },
    ...{ avg: 40, min: 10, max: 70 },
  });
  meter.advance(31_000);
  meter.note(20);
  expect(meter.read(41_000)).toMatchObject({ total: 4, sum: 140, rate: 0.1, min: 10, max: 70 });
  meter.advance(61_000);
  expect(meter.read(61_000)).toMatchObject({ total: 4, sum: 140, avg: 20, min: 20, max: 20 });
  expect(meter.read(91_000)).toMatchObject({ total: 4, sum: 140, rate: 0, max: undefined });
});

test('[RT-METRICS-1] after a silence of windows nothing of them counts', () => {
  const meter = new Meter(0);
  meter.note(5);
  meter.advance(100_000);
  meter.note(7);
  expect(meter.read(100_000)).toMatchObject({ total: 2, sum: 12, avg: 7, min: 7, max: 7 });
});

test('[RT-METRICS-1] values known by their sum count each as their mean', () => {
  const meter = new Meter(0);
  meter.noteMany(4, 20);
  meter.noteMany(0, 0);
  meter.note(1);
  expect(meter.read(1_000)).toMatchObject({ total: 5, sum: 21, rate: 5, min: 1, max: 5 });
});
