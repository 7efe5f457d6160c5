import {
  failOnInvalidTimestamp,
  logAndSkipOnInvalidTimestamp,
  usePartitionTimeOnInvalidTimestamp,
  type StreamRecord,
  type TimestampExtractor,
} from '../../../streams/index.ts';
import type { Nullable } from './aggregations.ts';
import * as named from './functions.ts';
import { CLOSING_MS } from './input.ts';
import type { Chain } from './spec.ts';

/*
 * Times taken from values, some of them invalid; Times.java has the same.
 */

/** How much later than its own time the time of a record can be. */
export const TIMES_ADD_MS = 6;

type Read = StreamRecord<Nullable, Nullable>;
type Extractor = TimestampExtractor<Nullable, Nullable>;

/** How a source of the chain reads times, as options. */
export function timesOf({ times }: Chain): { readonly timestamp?: Extractor } {
  switch (times) {
    case 'own':
      return { timestamp: (record) => Math.max(0, timeOf(record)) };
    case 'fail': {
      const isBad = ({ value }: Read): boolean => named.text(value) === '11';
      const timestamp = (record: Read) => (isBad(record) ? -1 : Math.max(0, timeOf(record)));
      return { timestamp: failOnInvalidTimestamp(timestamp) };
    }
    case 'skip':
      return { timestamp: logAndSkipOnInvalidTimestamp(timeOf) };
    case 'previous':
      return { timestamp: usePartitionTimeOnInvalidTimestamp(timeOf) };
    default:
      return {};
  }
}

/** Those of closing records are left alone. */
function timeOf({ value, timestampMs }: Read): number {
  if (timestampMs >= CLOSING_MS) return timestampMs;
  const hash = named.hash(value);
  return hash % 4 === 0 ? -1 : timestampMs + (hash % (TIMES_ADD_MS + 1));
}
