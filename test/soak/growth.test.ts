import { expect, test } from 'vitest';
import { growthOf, type Sample } from './growth.ts';

const grown = (samples: readonly Sample[]): string[] =>
  growthOf(samples)
    .filter(({ isTooMuch }) => isTooMuch)
    .map(({ what }) => what);

const MB = 1e6;
/** A run that grows by this much per minute; retention removes segments every five minutes. */
function run(
  minutes: number,
  { heap = 0, resident = 0, descriptors = 0, disk = 0 }: Partial<Record<string, number>>,
): Sample[] {
  return Array.from({ length: minutes }, (_, index) => ({
    minute: index + 1,
    heapBytes: (30 + heap * index + (index % 2) * 0.4) * MB,
    residentBytes: (300 + resident * index + (index % 5) * 20) * MB,
    descriptors: 60 + Math.round(descriptors * index) + (index % 5) * 8,
    diskBytes: (200 + disk * index + (index % 5) * 80 + (index % 3)) * MB,
    lag: 0,
  }));
}

test('oscillation is flat, over minutes and an hour', () => {
  expect(grown(run(8, {}))).toEqual([]);
  expect(grown(run(60, {}))).toEqual([]);
});

test('growth is named, even if slow but long', () => {
  expect(grown(run(6, { heap: 5 }))).toEqual(['heap, MB']);
  expect(grown(run(60, { heap: 0.3 }))).toEqual(['heap, MB']);
  expect(grown(run(60, { resident: 2 }))).toEqual(['all memory, MB']);
  expect(grown(run(20, { descriptors: 4 }))).toEqual(['descriptors']);
  expect(grown(run(60, { disk: 3 }))).toEqual(['disk, MB']);
});

test('growth that stops after the start is flat', () => {
  const samples = run(20, {}).map((sample, index) => ({
    ...sample,
    heapBytes: sample.heapBytes + Math.min(index, 8) * 4 * MB,
  }));
  expect(grown(samples)).toEqual([]);
});
