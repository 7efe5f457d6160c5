import type { Delays } from './results.ts';

/**
 * The sums over all windows of an airport. Each flight is in three of them, which leaves means
 * unchanged.
 */
interface Totals {
  flights: number;
  delay: number;
  delayed: number;
  max: number;
}

/** Collects the windows of the airports and finds the worst airports. */
export class WorstAirports {
  readonly #totals = new Map<string, Totals>();

  add({ place, flights, meanDelay, maxDelay, shareDelayed }: Delays): void {
    let totals = this.#totals.get(place);
    if (totals === undefined) {
      this.#totals.set(place, (totals = { flights: 0, delay: 0, delayed: 0, max: -Infinity }));
    }
    totals.flights += flights;
    totals.delay += meanDelay * flights;
    totals.delayed += shareDelayed * flights;
    totals.max = Math.max(totals.max, maxDelay);
  }

  /**
   * The ten with the highest mean delay among those with at least `flightsMin` flights, as a table.
   */
  table(flightsMin = 1000): string {
    const rows = [...this.#totals]
      .map(([place, { flights, delay, delayed, max }]) => ({
        place,
        flights: Math.round(flights / 3),
        mean: delay / flights,
        share: delayed / flights,
        max,
      }))
      .filter(({ flights }) => flights >= flightsMin)
      .sort((a, b) => b.mean - a.mean)
      .slice(0, 10)
      .map(({ place, flights, mean, share, max }) => [
        place,
        flights.toLocaleString('en-US'),
        `${mean.toFixed(1)} min`,
        `${(share * 100).toFixed(1)} %`,
        `${max} min`,
      ]);
    return align([['airport', 'flights', 'mean delay', 'over 15 min', 'longest'], ...rows]);
  }
}

/** Aligns the first column left, the others right. */
function align(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column]!;
          return column === 0 ? cell.padEnd(width) : cell.padStart(width);
        })
        .join('   '),
    )
    .join('\n');
}
