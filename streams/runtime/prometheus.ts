import { EXPOSITION_TYPE, expositionText, type MetricFamily } from '../../core/internal.ts';
import { METRICS, type MetricDefinition } from './metric-table.ts';
import type { StreamsMetrics } from './metrics.ts';

/** The media type of `prometheusText`. */
export const PROMETHEUS_CONTENT_TYPE = EXPOSITION_TYPE;

/**
 * Metrics in the text format of Prometheus, version 0.0.4: those of docs/METRICS.md, of one
 * application or several. Times are in seconds, sizes in bytes.
 *
 * @example
 * http.createServer((request, response) => {
 *   response.setHeader('content-type', PROMETHEUS_CONTENT_TYPE).end(prometheusText(app.metrics()));
 * });
 */
export function prometheusText(...applications: readonly StreamsMetrics[]): string {
  return expositionText(METRICS.map((metric) => familyOf(metric, applications)));
}

/** A metric of all applications: its values must be together, below their one head. */
function familyOf(
  { name, type, help, read }: MetricDefinition,
  applications: readonly StreamsMetrics[],
): MetricFamily {
  const samples: MetricFamily['samples'][number][] = [];
  for (const metrics of applications) {
    const { applicationId } = metrics;
    read(metrics, (labels, value) => {
      if (value !== undefined) samples.push([{ application_id: applicationId, ...labels }, value]);
    });
  }
  return { name, type, help, samples };
}
