import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic } from '../../core/index.ts';
import { ROOT } from '../../test/kit/root.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { SinkConnector, SourceConnector } from '../connector.ts';
import { connectMetricsText, CONNECTOR_METRICS } from './connector-metrics.ts';
import { SinkRunner } from './sink-runner.ts';
import { SourceRunner } from './source-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>(), partitions: 2 });

test('[CONNECT-TASKS-2] runners measure what they do, also for Prometheus', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  let [next, failures] = [0, 1];
  const source: SourceConnector = {
    ...{ name: 'counter', topics: [numbers], isBounded: true },
    open: async ({ offset }) => {
      next = Number(offset({})?.['next'] ?? 0);
      const poll = async () => {
        if (next === 4 && failures-- > 0) throw new RangeError('no network');
        if (next >= 6) return undefined;
        const records = [{ topic: numbers, key: `k${next}`, value: next++ }];
        return { records, partition: {}, offset: { next } };
      };
      return [{ poll, close: async () => undefined }];
    },
  };
  const reading = new SourceRunner(log, source, {
    ...{ retries: { backoffMs: 0 }, transactionBoundary: 'poll', logger: silentLogger },
    transforms: [(record) => (record.value === 5 ? null : record)],
  });
  await reading.run();
  expect(reading.metrics()).toMatchObject({
    ...{ connector: 'counter', kind: 'source', state: 'ENDED', records: 5, committedRecords: 5 },
    ...{ droppedRecords: 1, retries: 1, lag: undefined, parts: 1 },
    ...{ batches: { count: 6 }, commits: { count: 6 }, failed: { skipped: 0, deadLettered: 0 } },
  });
  const sink: SinkConnector = {
    ...{ name: 'evens', topics: [numbers], delivery: 'at-least-once' },
    open: async ({ reject }) => ({
      committedOffsets: undefined,
      put: (records) => {
        for (const record of records) {
          if (Number(record.value) % 2 !== 0) reject(record, new RangeError('odd'));
        }
      },
      commit: async () => undefined,
      close: async () => undefined,
    }),
  };
  const errors = { tolerance: 'all' } as const;
  const writing = new SinkRunner(log, sink, { errors, logger: silentLogger });
  await writing.finish();
  const metrics = writing.metrics();
  expect(metrics).toMatchObject({ records: 3, failed: { skipped: 2 }, lag: 0, parts: 2 });
  expect(metrics.commits.totalMs).toBeGreaterThanOrEqual(metrics.commits.maxMs);
  const text = connectMetricsText(reading.metrics(), metrics);
  expect(text).toContain('millrace_connect_records_total{connector="counter",kind="source"} 5\n');
  expect(text).toContain('millrace_connect_skipped_records_total{connector="evens",kind="sink"} 2');
  expect(text).toContain('state{connector="evens",kind="sink",state="ENDED"} 1\n');
  expect(text).not.toContain('lag{connector="counter"');
});

test('[CONNECT-TASKS-2] docs/METRICS.md has a line for each metric, and no other', () => {
  const page = readFileSync(join(ROOT, 'docs/METRICS.md'), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `millrace_connect_'));
  const cells = rows.map((row) => row.split('|').map((cell) => cell.trim()));
  const expected = CONNECTOR_METRICS.map(({ name, type, labels, kafka = '', help }) => {
    const shown = labels.map((label) => `\`${label}\``).join(', ');
    return ['', `\`${name}\``, type, shown, kafka, help, ''];
  });
  expect(cells).toEqual(expected);
});
