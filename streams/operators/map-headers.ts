import type { Headers } from '../../core/index.ts';
import { headersFault } from '../../core/internal.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';

/** Replaces the headers; key, value and time stay, so no repartition topic follows [OP-30]. */
export function mapHeaders<K, V>(
  mapper: (headers: Headers, record: StreamRecord<K, V>) => Headers,
): Operator<K, V, K, V> {
  return {
    kind: 'map-headers',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        forward(record.withHeaders(checked(synchronous(mapper(record.headers, record)))));
      },
    }),
  };
}

function checked(headers: Headers): Headers {
  const fault = headersFault(headers);
  if (fault === undefined) return headers;
  throw new TypeError(
    `its function returned headers that no log can hold (${fault}); it has to return a list of ` +
      '{ key, value }, where the key is a string and the value bytes or null',
  );
}
