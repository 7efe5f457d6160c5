import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The location of the data: the npm package `vega-datasets` holds three million US flights of the
 * first half of 2001, sorted by date, and the airports they use. The package does not export its
 * files, so we find them from its main module. `FLIGHTS_FILE` may name a part of the flights.
 */
const folder = join(dirname(fileURLToPath(import.meta.resolve('vega-datasets'))), '../data');

export const FLIGHTS_FILE = process.env['FLIGHTS_FILE'] ?? join(folder, 'flights-3m.parquet');
export const AIRPORTS_FILE = join(folder, 'airports.csv');

/** A row of flights-3m.parquet. */
export interface Flight {
  /** The scheduled departure, to the minute, in milliseconds since 1970. */
  readonly date: number;
  /** Minutes; negative for early. */
  readonly delay: number;
  readonly distance: number;
  readonly origin: string;
  readonly destination: string;
}

/** A row of airports.csv. */
export interface Airport {
  readonly iata: string;
  readonly name: string;
  readonly city: string;
  readonly state: string;
  readonly country: string;
  readonly latitude: string;
  readonly longitude: string;
}

/** A flight counts as delayed if it is later than this. */
export const DELAYED_MINUTES = 15;

/**
 * The number of windows that the job writes: chaos spreads its kills over them. The check counts
 * its own. Of a part of the flights, `FLIGHTS_WINDOWS` says about how many.
 */
export const WINDOWS = Number(process.env['FLIGHTS_WINDOWS'] ?? 621_218);
