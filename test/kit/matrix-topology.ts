import { int64, string } from '../../core/index.ts';
import {
  hoppingWindow,
  StreamsBuilder,
  tumblingWindow,
  untilWindowCloses,
  type Topology,
} from '../../streams/index.ts';
import { crashInput, crashOutput } from './same-after-crashes.ts';

/**
 * Sums after each record, final counts of short windows behind a repartition topic, and what
 * `suppress` holds back: results that do not depend on commits, of stores of several kinds.
 */
export function matrixTopology(): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(crashInput);
  stream
    .groupByKey()
    .reduce((sum, value) => sum + value, { store: 'sums', emit: 'each' })
    .toStream()
    .map(({ key, value }) => ({ key: `sum of ${key}`, value: String(value) }))
    .to(crashOutput);
  stream
    .groupBy(({ value }) => `v${value % 3}`, { key: string(), value: int64() })
    .windowedBy(tumblingWindow({ sizeMs: 20 }))
    .count({ store: 'win', emit: 'final' })
    .toStream()
    .map(({ key, value }) => ({
      key: `count of ${key.key} at ${key.windowStartMs}`,
      value: String(value),
    }))
    .to(crashOutput);
  stream
    .groupByKey()
    .windowedBy(hoppingWindow({ sizeMs: 60, advanceMs: 30, graceMs: 10 }))
    .reduce((sum, value) => sum + value, { store: 'hops', emit: 'each' })
    .suppress(untilWindowCloses(), { name: 'closed' })
    .toStream()
    .map(({ key, value }) => ({
      key: `hop of ${key.key} at ${key.windowStartMs}`,
      value: String(value),
    }))
    .to(crashOutput);
  return builder.build();
}
