import { METRICS, type LabelValues, type MetricDefinition } from './metric-table.ts';
import type { StreamsMetrics } from './metrics.ts';

/** The media type of `prometheusText`. */
export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

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
  return METRICS.map((metric) => familyText(metric, applications)).join('');
}

/** A metric of all applications: its samples must be together, below their one head. */
function familyText(
  { name, type, help, read }: MetricDefinition,
  applications: readonly StreamsMetrics[],
): string {
  let text = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
  for (const metrics of applications) {
    const { applicationId } = metrics;
    read(metrics, (labels, value) => {
      if (value === undefined) return;
      const all = labelText({ application_id: applicationId, ...labels });
      text += `${name}${all} ${number(value)}\n`;
    });
  }
  return text;
}

function labelText(labels: LabelValues): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escapeLabel(value)}"`);
  return `{${pairs.join(',')}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(value: string): string {
  return escapeHelp(value).replaceAll('"', '\\"');
}

/** As Go's ParseFloat reads it. */
function number(value: number): string {
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value); // also NaN
}
