import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { firstValueFrom, NEVER } from 'rxjs';
import { expect, onTestFinished, test } from 'vitest';
import { int64, silentLogger, string, systemClock, topic } from '../../core/index.ts';
import { ROOT } from '../../test/kit/root.ts';
import { makeApp, openTestLog, produce, runToEnd, until } from '../../test/kit/app.ts';
import { sums } from '../../test/kit/drive.ts';
import { failingCommit } from '../../test/kit/failing-commit.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import type { Topology } from '../topology/topology.ts';
import { METRICS } from './metric-table.ts';
import { metricsEvery } from './metrics-stream.ts';
import type { StreamsMetrics } from './metrics.ts';
import {
  observeMetrics,
  openTelemetryName,
  type ObserveAll,
  type OpenTelemetryMeter,
} from './open-telemetry.ts';
import { prometheusText } from './prometheus.ts';

const input = topic('numbers', { key: string(), value: int64(), partitions: 2 });

/** Running sums of each key; values below 0 fail. */
function summing(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(input)
    .filter(
      ({ value }) => {
        if (value < 0) throw new RangeError('too small');
        return true;
      },
      { name: 'check', onError: 'skip' },
    )
    .groupByKey()
    .reduce((sum, value) => sum + value, { store: 'sums' })
    .toStream()
    .to(sums, { name: 'out' });
  return builder.build();
}

test('[RT-METRICS-2] a task knows how late its records are, and how old at both ends', () => {
  const nowMs = 1_700_000_000_000;
  const driver = new TopologyTestDriver(summing(), { wallClockMs: nowMs, logger: silentLogger });
  driver.inputTopic(input).pipeAll([
    { key: 'a', value: 1, timestampMs: nowMs - 1_000 },
    { key: 'b', value: 1, timestampMs: nowMs - 4_000 },
    { key: 'a', value: -1, timestampMs: nowMs + 500 },
  ]);
  const [task] = driver.metrics().tasks;
  expect(task).toMatchObject({
    process: { total: 3 },
    lateness: { total: 3, sum: 3_000, avg: 1_000, min: 0, max: 3_000 },
    stores: [{ store: 'sums', entries: 2, memoryEntries: 2, changes: 2 }],
  });
  const nodes = new Map(task?.nodes.map(({ node, endToEnd }) => [node, endToEnd]));
  expect([...nodes.keys()].sort()).toEqual(['out', 'source-numbers']);
  expect(nodes.get('source-numbers')).toMatchObject({
    total: 3,
    avg: 1_500,
    min: -500,
    max: 4_000,
  });
  expect(nodes.get('out')).toMatchObject({ total: 2, avg: 2_500, min: 1_000, max: 4_000 });
});

test('[RT-METRICS-2] a node without successors that is no sink is a terminal one, too', () => {
  const builder = new StreamsBuilder();
  builder.stream(input).foreach(() => undefined, { name: 'last' });
  const driver = new TopologyTestDriver(builder.build(), { wallClockMs: 100 });
  driver.inputTopic(input).pipe({ key: 'a', value: 1, timestampMs: 90 });
  const nodes = driver.metrics().tasks[0]?.nodes;
  expect(nodes?.map(({ node, endToEnd: { max } }) => [node, max]).sort()).toEqual([
    ['last', 10],
    ['source-numbers', 10],
  ]);
});

test('[RT-METRICS-2] the time of punctuations is measured, also of one that throws', () => {
  const builder = new StreamsBuilder();
  builder.stream(input).process(
    (context) => {
      context.schedule(10, 'wall-clock', () => {
        throw new RangeError('no');
      });
      return { process: () => undefined };
    },
    { onError: 'skip' },
  );
  const driver = new TopologyTestDriver(builder.build());
  driver.advanceWallClock(10);
  driver.advanceWallClock(10);
  expect(driver.metrics().tasks[0]?.punctuate.total).toBe(2);
});

function* ones(count: number): Generator<[string, number, number, number]> {
  for (let index = 0; index < count; index++) yield [`k${index % 7}`, 1, index, index % 2];
}

test('[RT-METRICS-3] an application measures its work, its inputs and its stores', async () => {
  const log = await openTestLog();
  await produce(log, input, ones(1_000));
  const app = makeApp(log, summing());
  await app.start();
  await until(() => app.metrics().tasks.every(({ lag }) => lag === 0));
  await app.finish();
  const { groups, tasks } = app.metrics();
  expect(groups).toHaveLength(1);
  const [{ poll, pollBytes, process, commit, checkpoint } = expect.fail()] = groups;
  expect(process.total).toBe(1_000);
  expect(commit.total).toBe(app.metrics().commits);
  expect(checkpoint.total).toBe(app.metrics().checkpoints);
  expect(poll.total).toBeGreaterThan(1);
  for (const { ratio } of [poll, process, commit, checkpoint]) {
    expect(ratio).toBeGreaterThan(0);
    expect(ratio).toBeLessThan(1);
  }
  expect(tasks.map(({ taskId }) => taskId)).toEqual(['0_0', '0_1']);
  for (const [partition, { inputs, stores, uncheckpointedChanges }] of tasks.entries()) {
    const at = { topic: 'numbers', partition };
    expect(inputs).toMatchObject([{ ...at, lag: 0, position: 500, committedOffset: 500 }]);
    expect(stores).toMatchObject([{ store: 'sums', entries: 7, memoryEntries: 7 }]);
    expect(stores[0]?.checkpointBytes).toBe(4_096); // a page of LMDB
    expect(uncheckpointedChanges).toBe(0);
  }
  const consumed = tasks.flatMap(({ inputs }) => inputs.map(({ consumedBytes }) => consumedBytes));
  expect(consumed.reduce((sum, each) => sum + each, 0)).toBe(pollBytes.sum);
  expect(pollBytes.sum).toBeGreaterThan(10_000);
  expect(app.metrics()).toEqual(app.metrics()); // rates stop with the application
});

test('[RT-METRICS-3] meters count on when tasks start over; counts of records do not', async () => {
  const log = await openTestLog();
  await produce(log, input, ones(100));
  let failures = 0;
  const app = await runToEnd(log, summing(), {
    logger: silentLogger,
    onStep: (step) => {
      if (step !== 'commit-4-offsets' || failures > 0) return;
      failures++;
      const details = { applicationId: 'app', step };
      throw new StreamsError('COMMIT_FAILED', 'planted', details);
    },
  });
  expect(failures).toBe(1);
  const { processedRecords, groups, tasks, commits } = app.metrics();
  expect(processedRecords).toBe(100);
  const processed = groups[0]?.process.total;
  expect(processed).toBeGreaterThan(100); // what was aborted, too
  expect(tasks.reduce((sum, { process }) => sum + process.total, 0)).toBe(processed);
  expect(groups[0]?.commit.total).toBe(commits);
});

test('[RT-METRICS-3] metrics$ emits every metricsIntervalMs', async () => {
  const log = await openTestLog();
  const app = makeApp(log, summing(), { metricsIntervalMs: 10 });
  let emitted = 0;
  const subscription = app.metrics$.subscribe(() => emitted++);
  const startMs = systemClock.monotonicMs();
  await until(() => emitted >= 20);
  expect(systemClock.monotonicMs() - startMs).toBeGreaterThan(150);
  subscription.unsubscribe();
  expect(() => makeApp(log, summing(), { metricsIntervalMs: 0 })).toThrow(/metricsIntervalMs/);
});

test('[RT-METRICS-3] nothing is measured for a subscriber that has left', async () => {
  let reads = 0;
  const read = () => {
    reads++;
    return {} as StreamsMetrics;
  };
  await firstValueFrom(metricsEvery({ everyMs: 1, clock: systemClock, read, life$: NEVER }));
  const startMs = systemClock.monotonicMs();
  await until(() => systemClock.monotonicMs() - startMs > 30);
  expect(reads).toBe(1);
});

/** A family of metrics as the exposition format has it. */
interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: { readonly labels: Record<string, string>; readonly value: number }[];
}

/**
 * Parses Prometheus' text format 0.0.4 strictly: a name, labels with escapes, one number as Go
 * reads it; a head before the samples of a family, which are together; no sample twice.
 */
function parseExposition(text: string): Map<string, Family> {
  expect(text.endsWith('\n')).toBe(true);
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: [name: string, text: string] | undefined;
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const head = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (head?.[1] === 'HELP') {
      expect(head[3]).toMatch(/^(?:[^\\]|\\\\|\\n)*$/);
      help = [head[2]!, head[3]!];
      continue;
    }
    if (head !== null) {
      expect(help?.[0]).toBe(head[2]);
      expect(families.has(head[2]!)).toBe(false);
      expect(head[3]).toMatch(/^(counter|gauge)$/);
      current = head[2]!;
      families.set(current, { type: head[3]!, help: help![1], samples: [] });
      continue;
    }
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?\d+)?)$/.exec(line);
    expect(sample, line).not.toBeNull();
    expect(sample![1]).toBe(current);
    const labels: Record<string, string> = {};
    const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\\\|\\"|\\n)*)"(,|$)/;
    for (let rest = sample![2]!; rest !== '';) {
      const label = LABEL.exec(rest);
      expect(label, rest).not.toBeNull();
      expect(labels[label![1]!]).toBeUndefined();
      const escapes: Record<string, string> = { '\\\\': '\\', '\\"': '"', '\\n': '\n' };
      labels[label![1]!] = label![2]!.replace(/\\[\\"n]/g, (escape) => escapes[escape]!);
      rest = rest.slice(label![0].length);
    }
    expect(seen.has(`${current}${sample![2]}`), line).toBe(false);
    seen.add(`${current}${sample![2]}`);
    const value = sample![3]!.replace('Inf', 'Infinity');
    families.get(current)!.samples.push({ labels, value: Number(value) });
  }
  return families;
}

test('[RT-METRICS-4] the text for Prometheus has all metrics, in its grammar', async () => {
  const log = await openTestLog();
  await produce(log, input, [...ones(100), ['x', -5, 3, 1]]);
  const app = await runToEnd(log, summing());
  const other = makeApp(log, summing(), { applicationId: 'other' });
  const families = parseExposition(prometheusText(app.metrics(), other.metrics()));
  expect([...families.keys()]).toEqual(METRICS.map(({ name }) => name));
  for (const { name, type, labels, unit, help } of METRICS) {
    const family = families.get(name)!;
    expect(family).toMatchObject({ type, help });
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    const bare = name.replace(/_total$/, '');
    for (const each of ['seconds', 'bytes'] as const) {
      expect(bare.endsWith(`_${each}`), name).toBe(unit === each);
    }
    for (const sample of family.samples) {
      expect(Object.keys(sample.labels)).toEqual(['application_id', ...labels]);
      if (type === 'counter') expect(sample.value).toBeGreaterThanOrEqual(0);
    }
  }
  const valueOf = (name: string, wanted: Record<string, string>): number | undefined => {
    const found = families.get(`millrace_streams_${name}`)?.samples.filter(({ labels }) => {
      return Object.entries({ application_id: 'app', ...wanted }).every(
        ([label, value]) => labels[label] === value,
      );
    });
    return found?.length === 1 ? found[0]?.value : undefined;
  };
  expect(valueOf('group_process_total', { group: 'app' })).toBe(101);
  expect(valueOf('group_commit_total', { application_id: 'other' })).toBeUndefined();
  expect(valueOf('input_position', { topic: 'numbers', partition: '1' })).toBe(51);
  expect(valueOf('node_failed_records_total', { node: 'check', outcome: 'skipped' })).toBe(1);
  expect(valueOf('task_stream_time_seconds', { task_id: '0_1' })).toBe(0.099);
  expect(valueOf('task_record_lateness_max_seconds', { task_id: '0_1' })).toBe(0.096);
});

test('[RT-METRICS-4] labels are escaped, and values that are no numbers are left out', () => {
  const builder = new StreamsBuilder();
  builder.stream(input).to(sums, { name: 'quo"te\\back\nline' });
  const driver = new TopologyTestDriver(builder.build());
  const text = prometheusText(driver.metrics());
  expect(text).toContain('node="quo\\"te\\\\back\\nline"} 0\n');
  const families = parseExposition(text);
  const nodes = families.get('millrace_streams_node_records_total')?.samples;
  expect(nodes?.map(({ labels }) => labels['node'])).toContain('quo"te\\back\nline');
  expect(families.get('millrace_streams_task_stream_time_seconds')?.samples).toEqual([]);
});

/** A meter that keeps what is created, and collects when asked. */
class FakeMeter implements OpenTelemetryMeter<string> {
  readonly created = new Map<string, string>();
  readonly callbacks = new Map<ObserveAll<string>, readonly string[]>();

  createObservableCounter(name: string, { unit = '' }: { readonly unit?: string }): string {
    expect(this.created.has(name)).toBe(false);
    this.created.set(name, `counter ${unit}`);
    return name;
  }

  createObservableGauge(name: string, { unit = '' }: { readonly unit?: string }): string {
    expect(this.created.has(name)).toBe(false);
    this.created.set(name, `gauge ${unit}`);
    return name;
  }

  addBatchObservableCallback(callback: ObserveAll<string>, observed: string[]): void {
    this.callbacks.set(callback, observed);
  }

  removeBatchObservableCallback(callback: ObserveAll<string>, observed: string[]): void {
    expect(this.callbacks.get(callback)).toEqual(observed);
    this.callbacks.delete(callback);
  }

  collect(): string[] {
    const seen: string[] = [];
    for (const [callback, observed] of this.callbacks) {
      callback({
        observe: (instrument, value, attributes) => {
          expect(observed).toContain(instrument);
          seen.push(`${instrument} ${JSON.stringify(attributes)} ${value}`);
        },
      });
    }
    return seen;
  }
}

test('[RT-METRICS-5] OpenTelemetry gets the same metrics when it collects, until the end', () => {
  const driver = new TopologyTestDriver(summing(), { wallClockMs: 100 });
  const meter = new FakeMeter();
  const end = observeMetrics(meter, () => driver.metrics());
  expect([...meter.created.keys()]).toEqual(METRICS.map(openTelemetryName));
  expect(meter.created.get('millrace.streams.group_commit')).toBe('counter ');
  expect(meter.created.get('millrace.streams.group_commit_latency')).toBe('counter s');
  expect(meter.created.get('millrace.streams.group_commit_latency_max')).toBe('gauge s');
  expect(meter.created.get('millrace.streams.store_checkpoint')).toBe('gauge By');
  driver.inputTopic(input).pipe({ key: 'a', value: 1, timestampMs: 90 });
  const at = '{"application_id":"test","task_id":"0_0","node":"out"}';
  expect(meter.collect()).toContain(`millrace.streams.node_records ${at} 1`);
  driver.inputTopic(input).pipe({ key: 'a', value: 1, timestampMs: 90 });
  expect(meter.collect()).toContain(`millrace.streams.node_records ${at} 2`);
  end();
  expect(meter.collect()).toEqual([]);
});

test('[RT-METRICS-6] docs/METRICS.md has a line for each metric, and no other', () => {
  const page = readFileSync(join(ROOT, 'docs/METRICS.md'), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `millrace_streams_'));
  const cells = rows.map((row) => row.split('|').map((cell) => cell.trim()));
  const expected = METRICS.map(({ name, type, labels, kafka = '', help }) => {
    return [
      '',
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      kafka,
      help,
      '',
    ];
  });
  expect(cells).toEqual(expected);
});

test('[RT-METRICS-3] counters do not go down with an attempt that is given up', async () => {
  const log = await openTestLog();
  const { failing, onStep } = failingCommit();
  const app = makeApp(log, summing(), { onStep, logger: silentLogger, commitIntervalMs: 50 });
  const told: (readonly [processed: number, skipped: number, ofTasks: number])[] = [];
  const tell = (): void => {
    const { processedRecords, failedRecords, tasks } = app.metrics();
    const ofTasks = tasks.map((task) => task.processedRecords);
    told.push([
      processedRecords,
      failedRecords.skipped,
      ofTasks.length === 2 ? ofTasks[0]! + ofTasks[1]! : -1,
    ]);
  };
  await app.start();
  failing.add('commit-5-end');
  const timer = setInterval(tell, 1);
  onTestFinished(() => clearInterval(timer));
  const values = Array.from({ length: 100 }, (_, index) => (index % 10 === 0 ? -1 : index));
  await produce(
    log,
    input,
    values.map((value, index) => [`k${index % 7}`, value, index] as const),
  );
  await until(() => failing.size === 0);
  tell();
  await until(() => app.state === 'RUNNING');
  await app.finish();
  tell();
  for (const index of [0, 1]) {
    const counts = told.map((each) => each[index]!);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
  }
  const counts = told.map(([, , ofTasks]) => ofTasks).filter((count) => count >= 0);
  expect(counts).toEqual([...counts].sort((a, b) => a - b));
  expect(told.at(-1)).toEqual([100, 10, 100]);
});
