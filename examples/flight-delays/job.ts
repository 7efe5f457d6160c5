import { int32, json, string, topic } from 'millrace';
import { csv, fileSink, fileSource, jsonl, parquet } from 'millrace/connect';
import { defineJob, type Job } from 'millrace/job';
import { days, hoppingWindow, hours, tumblingWindow, type Windowed } from 'millrace/streams';
import { AIRPORTS_FILE, DELAYED_MINUTES, FLIGHTS_FILE, type Airport, type Flight } from './data.ts';
import type { Delays } from './results.ts';

const airports = topic('airports', { key: string(), value: json<Airport>(), partitions: 1 });
const flights = topic('flights', { key: string(), value: json<Flight>(), partitions: 4 });
const delaysByState = topic('delays-by-state', { key: string(), value: json<Delays>() });
const delaysByAirport = topic('delays-by-airport', { key: string(), value: json<Delays>() });

/** The aggregate of an open window. */
interface Sums {
  count: number;
  sum: number;
  max: number;
  delayed: number;
}

function noFlights(): Sums {
  return { count: 0, sum: 0, max: -Infinity, delayed: 0 };
}

function add(sums: Sums, delay: number): Sums {
  sums.count++;
  sums.sum += delay;
  if (delay > sums.max) sums.max = delay;
  if (delay > DELAYED_MINUTES) sums.delayed++;
  return sums;
}

function toDelays(window: Windowed<string>, sums: Sums): { key: string; value: Delays } {
  const { key: place, windowStartMs, windowEndMs } = window;
  return {
    key: place,
    value: {
      place,
      windowStartMs,
      windowEndMs,
      flights: sums.count,
      meanDelay: sums.sum / sums.count,
      maxDelay: sums.max,
      shareDelayed: sums.delayed / sums.count,
    },
  };
}

/**
 * Joins half a year of flights with their airports and computes the delays for each state and day,
 * and for each airport and three hours, with a window starting every hour. Final results only.
 */
export function flightDelays(output: string): Job {
  return defineJob({
    name: 'flight-delays',
    sources: [
      fileSource({
        path: AIRPORTS_FILE,
        format: csv<Airport>(),
        topic: airports,
        key: (row) => row.iata,
      }),
      fileSource({
        path: FLIGHTS_FILE,
        format: parquet<Flight>({ timestamps: 'ms' }),
        topic: flights,
        key: (row) => row.origin,
        timestamp: (row) => row.date,
      }),
    ],
    topology: (builder) => {
      const airportTable = builder.globalTable(airports);
      const located = builder.stream(flights).join(
        airportTable,
        ({ value }) => value.origin,
        ({ delay }, { state }) => ({ delay, state }),
      );
      located
        .map(({ value }) => ({ key: value.state, value: value.delay }))
        .groupByKey({ key: string(), value: int32() })
        .windowedBy(tumblingWindow({ sizeMs: days(1) }))
        .aggregate(noFlights, (sums, { value }) => add(sums, value), {
          store: 'state-days',
          emit: 'final',
        })
        .toStream()
        .map(({ key, value }) => toDelays(key, value))
        .to(delaysByState);
      located
        .groupByKey()
        .windowedBy(hoppingWindow({ sizeMs: hours(3), advanceMs: hours(1) }))
        .aggregate(noFlights, (sums, { value }) => add(sums, value.delay), {
          store: 'airport-hours',
          emit: 'final',
        })
        .toStream()
        .map(({ key, value }) => toDelays(key, value))
        .to(delaysByAirport);
    },
    sinks: [
      fileSink({ topic: delaysByState, path: `${output}/states`, format: jsonl() }),
      fileSink({ topic: delaysByAirport, path: `${output}/airports`, format: jsonl() }),
    ],
  });
}
