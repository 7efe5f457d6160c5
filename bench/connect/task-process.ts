/** Does one task, reports it as a line of JSON, and ends: so its memory is its own. */
import { createReadStream, createWriteStream, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { json, openLog, string, systemClock, topic, type Clock, type Log } from 'millrace';
import {
  csv,
  fileSink,
  fileSource,
  jsonl,
  lines,
  parquet,
  SinkRunner,
  SourceRunner,
  type SinkConnector,
  type SourceConnector,
} from 'millrace/connect';
import type { Order, Report, Row, Shape } from './tasks.ts';

const order = JSON.parse(process.argv[2] ?? '') as Order;
const { task, input, directory } = order;

const texts = topic('texts', { key: string(), value: string(), partitions: 1 });
const values = topic('values', { key: string(), value: json<object>(), partitions: 1 });

/** Between two looks; no other timer has this length. */
const LOOK_INTERVAL_MS = 97;
const LOOKS = 5;

await run();

async function run(): Promise<void> {
  switch (task.kind) {
    case 'source':
    case 'fill':
      return withLog((log) => timed(() => read(log, sourceOf(task.from))));
    case 'sink':
      return withLog((log) => timed(() => write(log, sinkOf(task.to))));
    case 'copy':
      return withLog((log) => timed(() => copy(log, sourceOf(task.from), sinkOf(task.to))));
    case 'naive':
      return timed(naive);
    case 'duckdb':
      return timed(() => duckdb(task.from));
    case 'files':
      if (task.step === 'follow') return withLog(follow);
      return withLog((log) => timed(() => read(log, sourceOf('jsonl'))));
  }
}

async function withLog(work: (log: Log) => Promise<void>): Promise<void> {
  await using log = await openLog(join(directory, 'log'));
  await work(log);
}

async function timed(work: () => Promise<number | undefined>): Promise<void> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  const records = await work();
  tell({ milliseconds: performance.now() - startMs, records }, before);
}

function tell(found: Pick<Report, 'milliseconds' | 'records'>, before?: NodeJS.CpuUsage): void {
  const { user, system } = process.cpuUsage(before);
  const report: Report = { ...found, processorMs: (user + system) / 1000, peakMb: peakMb() };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

/** Where the system does not tell the peak, what Node knows of it. */
function peakMb(): number {
  try {
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
    return (Number(kibibytes) * 1024) / 1e6;
  } catch {
    return (process.resourceUsage().maxRSS * 1024) / 1e6;
  }
}

/** Names rows of JSON lines by a field only if they are to be parsed. */
function sourceOf(from: Shape): SourceConnector {
  const path = input;
  const [key, id] = [() => null, ({ id }: { readonly id: unknown }) => String(id)];
  switch (from) {
    case 'lines':
      return fileSource({ path, format: lines(), topic: texts, key });
    case 'jsonl':
      return fileSource({ path, format: jsonl<object>(), topic: values, key });
    case 'jsonl parsed':
      return fileSource({ path, format: jsonl<Row>(), topic: values, key: id });
    case 'csv':
      return fileSource({ path, format: csv(), topic: values, key });
    case 'parquet':
      return fileSource({ path, format: parquet(), topic: values, key });
  }
}

function sinkOf(to: Shape): SinkConnector {
  const path = join(directory, 'out');
  switch (to) {
    case 'lines':
      return fileSink({ topic: texts, path, format: lines() });
    case 'jsonl':
      return fileSink({ topic: values, path, format: jsonl<object>() });
    case 'jsonl parsed':
      // A function may look at each record, so each is parsed and printed.
      return fileSink({ topic: values, path, format: jsonl(), value: ({ value }) => value });
    case 'csv':
      return fileSink({ topic: values, path, format: csv() });
    case 'parquet':
      return fileSink({ topic: values, path, format: parquet() });
  }
}

async function read(log: Log, source: SourceConnector): Promise<number> {
  return (await new SourceRunner(log, source).run()).records;
}

async function write(log: Log, sink: SinkConnector): Promise<number> {
  return (await new SinkRunner(log, sink).finish()).records;
}

async function copy(log: Log, source: SourceConnector, sink: SinkConnector): Promise<number> {
  const writer = new SinkRunner(log, sink);
  const writing = writer.run();
  await new SourceRunner(log, source).run();
  await writer.finish();
  return (await writing).records;
}

async function naive(): Promise<number> {
  const output = createWriteStream(join(directory, 'naive.jsonl'));
  let records = 0;
  for await (const line of createInterface({ input: createReadStream(input) })) {
    records++;
    const text = `${JSON.stringify(JSON.parse(line))}\n`;
    if (!output.write(text)) await once(output, 'drain');
  }
  output.end();
  await once(output, 'finish');
  return records;
}

interface DuckDb {
  readonly DuckDBInstance: {
    create(): Promise<{ connect(): Promise<{ run(sql: string): Promise<unknown> }> }>;
  };
}

/** An optional yardstick, which no package.json names: it has 60 MB. */
async function duckdb(from: Shape): Promise<undefined> {
  const { DuckDBInstance } = createRequire(import.meta.url)('@duckdb/node-api') as DuckDb;
  const connection = await (await DuckDBInstance.create()).connect();
  const rows = from === 'parquet' ? 'read_parquet' : 'read_ndjson';
  const output = join(directory, 'duckdb.jsonl');
  await connection.run(`COPY (SELECT * FROM ${rows}('${input}')) TO '${output}' (FORMAT json)`);
}

/** How long a look at files that have not changed takes: the median of some. */
async function follow(log: Log): Promise<void> {
  const looks: number[] = [];
  let wokenMs = 0;
  const clock: Clock = {
    ...systemClock,
    setTimer(delayMs, callback) {
      if (delayMs !== LOOK_INTERVAL_MS) return systemClock.setTimer(delayMs, callback);
      if (wokenMs > 0) looks.push(performance.now() - wokenMs);
      if (looks.length >= LOOKS) void runner.stop();
      return systemClock.setTimer(delayMs, () => {
        wokenMs = performance.now();
        callback();
      });
    },
  };
  const source = fileSource({
    ...{ path: input, format: jsonl<object>(), topic: values, key: () => null },
    ...{ follow: true, pollIntervalMs: LOOK_INTERVAL_MS },
  });
  const runner = new SourceRunner(log, source, { clock });
  const { records } = await runner.run();
  looks.sort((a, b) => a - b);
  tell({ milliseconds: looks[Math.floor(looks.length / 2)]!, records });
}
