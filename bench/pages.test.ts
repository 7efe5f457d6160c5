import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderPages } from './pages.ts';
import { barChart, lineChart } from './svg.ts';

test('README.md and the charts show the results that are kept', async () => {
  for (const [name, text] of await renderPages()) {
    const file = new URL(name, import.meta.url);
    const kept = existsSync(file) ? readFileSync(file, 'utf8') : 'there is no such file';
    expect(kept, `npm run bench:charts brings bench/${name} up to date`).toBe(text);
  }
});

test('the longest bar fills its room, and half of it is half as long', () => {
  const bar = (name: string, middle: number) => ({ name, middle, least: middle, most: middle });
  const groups = [{ title: 'a < b', bars: [bar('one', 50), bar('two', 100)] }];
  const chart = barChart('rates', 'per second', groups);
  const widths = [...chart.matchAll(/<rect [^>]* width="([\d.]+)"/g)].map(([, width]) => width);
  expect(widths).toEqual(['180.0', '360.0']);
  expect(chart).toContain('a &lt; b');
});

test('the points of a line stand at equal distances, from 0 at the bottom', () => {
  const points = [
    { at: 10, value: 0 },
    { at: 1_000, value: 8 },
    { at: 100, value: 4 },
  ];
  const chart = lineChart('growth', 'MB', 'keys', [{ name: 'heap', points }]);
  const centers = [...chart.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [x, y]);
  expect(centers).toEqual([
    ['70.0', '270.0'],
    ['610.0', '50.0'],
    ['340.0', '160.0'],
  ]);
});
