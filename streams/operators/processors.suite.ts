import { int64, string } from '../../core/index.ts';
import { numbers, shown, sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { ProcessorSupplier } from '../topology/processor.ts';

/** A processor between `numbers` and `sums`. */
export type Supplier = ProcessorSupplier<string | null, number, string, number>;

/** Of both topics. */
export const serdes = { key: string(), value: int64() };

/** A driver for one processor between `numbers` and `sums`. */
export function driverOf(supplier: Supplier, wallClockMs = 1_000): TopologyTestDriver {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers)
    .process(supplier, { name: 'own', ...serdes })
    .to(sums, { name: 'out' });
  return new TopologyTestDriver(builder.build(), { wallClockMs });
}

/** Pipes numbers with the key `a`, `[value, time]`, and returns the results. */
export function pipe(
  driver: TopologyTestDriver,
  ...rows: readonly (readonly [number, number])[]
): string[] {
  const records = rows.map(([value, timestampMs]) => ({ key: 'a', value, timestampMs }));
  driver.inputTopic(numbers).pipeAll(records);
  return shown(driver.outputTopic(sums).readAll());
}
