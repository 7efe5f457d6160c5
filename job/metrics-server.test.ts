import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { json, silentLogger, string, topic, type LogFields } from '../core/index.ts';
import { csv, fileSink, fileSource, jsonl } from '../connect/index.ts';
import { until } from '../test/kit/app.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';
import { defineJob, type Job } from './define-job.ts';
import { serveMetrics } from './metrics-server.ts';
import { runJob } from './run-job.ts';

interface Row {
  readonly key: string;
  readonly size: string;
}

/** Copies the rows of a file that grows; those without a size are skipped. */
function copying(directory: string): Job {
  const rows = topic('rows', { key: string(), value: json<Row>() });
  const sizes = topic('sizes', { key: string(), value: json<{ readonly size: number }>() });
  writeFileSync(join(directory, 'in.csv'), 'key,size\na,1\nb,2\nc,\n');
  return defineJob({
    name: 'copy',
    sources: [
      fileSource({
        path: join(directory, 'in.csv'),
        format: csv<Row>(),
        topic: rows,
        key: (row) => row.key,
        follow: true,
      }),
    ],
    topology: (builder) => {
      builder
        .stream(rows)
        .mapValues(
          ({ size }) => {
            if (size === '') throw new RangeError('no size');
            return { size: Number(size) };
          },
          { name: 'sized', onError: 'skip' },
        )
        .to(sizes);
    },
    sinks: [fileSink({ topic: sizes, path: join(directory, 'out'), format: jsonl<object>() })],
  });
}

test('[JOB-12] [JOB-13] a running job is scraped, and logs to its logger', async () => {
  const directory = temporaryDirectory();
  const stop = new AbortController();
  const lines: [string, LogFields | undefined][] = [];
  let url = '';
  const done = runJob(copying(directory), {
    directory: join(directory, 'data'),
    signal: stop.signal,
    logger: { ...silentLogger, warn: (message, fields) => void lines.push([message, fields]) },
    metrics: { port: 0, onListening: (listening) => (url = listening) },
  });
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  await until(() => url !== '');
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
  let text = '';
  await until(async () => {
    const response = await fetch(url);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    text = await response.text();
    return text.includes('millrace_job_records_total{job="copy",kind="sink",stage="sizes-sink"} 2');
  });
  expect(text).toContain(
    'millrace_job_records_total{job="copy",kind="source",stage="rows-source"} 3',
  );
  expect(text).toMatch(/^millrace_streams_state\{application_id="copy",state="RUNNING"\} 1$/m);
  const skipped = 'millrace_streams_node_failed_records_total{application_id="copy",node="sized"';
  expect(text).toContain(`${skipped},outcome="skipped"} 1`);
  expect(lines).toEqual([
    [
      expect.stringContaining('a record was skipped: sized failed on rows-0'),
      expect.objectContaining({ applicationId: 'copy', taskId: '0_0', node: 'sized', offset: 2 }),
    ],
  ]);
  stop.abort();
  const summary = await done;
  expect(summary.streams[0]?.failedRecords.skipped).toBe(1);
  await expect(fetch(url)).rejects.toThrow();
});

test('[JOB-12] other paths and methods are refused; a failure to read is told', async () => {
  let url = '';
  let problem = '';
  const options = { port: 0, onListening: (listening: string) => void (url = listening) };
  const server = await serveMetrics(options, () => {
    if (problem !== '') throw new TypeError(problem);
    return 'a 1\n';
  });
  onTestFinished(() => server.close());
  expect(await (await fetch(`${url}?x=1`)).text()).toBe('a 1\n');
  const head = await fetch(url, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
  const other = await fetch(new URL('/', url));
  expect([other.status, await other.text()]).toEqual([404, 'the metrics are at /metrics\n']);
  const posted = await fetch(url, { method: 'POST', body: 'x' });
  expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  problem = 'not now';
  const failed = await fetch(url);
  expect([failed.status, await failed.text()]).toEqual([500, 'not now\n']);
});

test('[JOB-12] a port that is taken ends the job before it runs; bad options, too', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const directory = temporaryDirectory();
  const job = copying(directory);
  const data = join(directory, 'data');
  await expect(runJob(job, { directory: data, metrics: { port } })).rejects.toMatchObject({
    code: 'METRICS_UNAVAILABLE',
    details: { host: '127.0.0.1', port },
  });
  const bad = { directory: data, metrics: { port: 70_000 } };
  await expect(runJob(job, bad)).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  // @ts-expect-error the name is wrong
  const unknown = runJob(job, { directory: data, metrics: { port: 0, adress: '::1' } });
  await expect(unknown).rejects.toMatchObject({ code: 'UNKNOWN_OPTION' });
});
