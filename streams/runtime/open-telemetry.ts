import { METRICS, type LabelValues, type MetricDefinition } from './metric-table.ts';
import type { StreamsMetrics } from './metrics.ts';

/** What `observeMetrics` uses of a `Meter` of `@opentelemetry/api`. */
export interface OpenTelemetryMeter<Instrument = unknown> {
  /** Makes an instrument for what only grows. */
  createObservableCounter(name: string, options: InstrumentOptions): Instrument;
  /** Makes an instrument for what rises and falls. */
  createObservableGauge(name: string, options: InstrumentOptions): Instrument;
  /** Calls back at each collection. */
  addBatchObservableCallback(callback: ObserveAll<Instrument>, observed: Instrument[]): void;
  /** Calls back no more. */
  removeBatchObservableCallback(callback: ObserveAll<Instrument>, observed: Instrument[]): void;
}

/** Describes an instrument. */
export interface InstrumentOptions {
  readonly description: string;
  /** `s` or `By`. Default: none. */
  readonly unit?: string;
}

/** Reports the values of all instruments when a reader collects them. */
export type ObserveAll<Instrument> = (result: {
  observe(instrument: Instrument, value: number, attributes: Record<string, string>): void;
}) => void;

/**
 * Reports metrics to OpenTelemetry: those of docs/METRICS.md, as observable counters and gauges of
 * your meter. They are read when a reader of yours collects, and cost nothing between. Names have
 * no `_total` and no unit, which exporters add. Returns a function that ends it.
 *
 * @example
 * import { metrics } from '@opentelemetry/api';
 *
 * const end = observeMetrics(metrics.getMeter('orders'), () => app.metrics());
 */
export function observeMetrics<Instrument>(
  meter: OpenTelemetryMeter<Instrument>,
  read: () => StreamsMetrics,
): () => void {
  const instruments = METRICS.map((metric) => [metric, instrumentOf(meter, metric)] as const);
  const observed = instruments.map(([, instrument]) => instrument);
  const observeAll: ObserveAll<Instrument> = (result) => {
    const metrics = read();
    const { applicationId } = metrics;
    for (const [metric, instrument] of instruments) {
      metric.read(metrics, (labels: LabelValues, value) => {
        if (value === undefined) return;
        result.observe(instrument, value, { application_id: applicationId, ...labels });
      });
    }
  };
  meter.addBatchObservableCallback(observeAll, observed);
  return () => meter.removeBatchObservableCallback(observeAll, observed);
}

const UNITS = { seconds: 's', bytes: 'By' } as const;

function instrumentOf<Instrument>(
  meter: OpenTelemetryMeter<Instrument>,
  metric: MetricDefinition,
): Instrument {
  const { type, help, unit } = metric;
  const options = { description: help, ...(unit && { unit: UNITS[unit] }) };
  const name = openTelemetryName(metric);
  return type === 'counter'
    ? meter.createObservableCounter(name, options)
    : meter.createObservableGauge(name, options);
}

/** The name without what an exporter adds, such as that of Prometheus. */
export function openTelemetryName({ name, unit }: MetricDefinition): string {
  const bare = name.replace(/_total$/, '').replace(new RegExp(`_${unit ?? ' '}$`), '');
  return bare.replace(/^millrace_streams_/, 'millrace.streams.');
}
