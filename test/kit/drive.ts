import { int64, string, topic, type Headers, type Topic } from '../../core/index.ts';
import type { Emit, KStream, TimeWindows, Topology, Windowed } from '../../streams/index.ts';
import { StreamsBuilder, windowedSerde } from '../../streams/index.ts';
import { TopologyTestDriver, type OutputRecord } from '../../streams/testing/index.ts';

/** A record to pipe in: key, value, time, headers. */
export type Row<K, V> = readonly [key: K | null, value: V | null, timeMs?: number, Headers?];

interface Driven<K, V, K2, V2> {
  readonly driver: TopologyTestDriver;
  readonly pipe: (...rows: Row<K, V>[]) => OutputRecord<K2, V2>[];
}

/** Pipes rows through one or more operators; returns the results. All rows have a key. */
export function drive<K, V, K2, V2>(
  input: Topic<K, V>,
  output: Topic<K2, V2>,
  build: (stream: KStream<K, V>, builder: StreamsBuilder) => KStream<K2 | null, V2 | null>,
): Driven<K, V, K2, V2> {
  const builder = new StreamsBuilder();
  build(builder.stream<K, V, 'fail'>(input, { nullKeys: 'fail' }), builder).to(output);
  return driven(builder.build(), input, output);
}

/** The same for rows whose keys and values may be null. */
export function driveNulls<K, V, K2, V2>(
  input: Topic<K, V>,
  output: Topic<K2, V2>,
  build: (stream: KStream<K | null, V | null>) => KStream<K2 | null, V2 | null>,
): Driven<K, V, K2, V2> {
  const builder = new StreamsBuilder();
  build(builder.stream(input, { nullValues: 'pass' })).to(output);
  return driven(builder.build(), input, output);
}

function driven<K, V, K2, V2>(
  topology: Topology,
  input: Topic<K, V>,
  output: Topic<K2, V2>,
): Driven<K, V, K2, V2> {
  const driver = new TopologyTestDriver(topology);
  const from = driver.inputTopic(input);
  const to = driver.outputTopic(output);
  const pipe = (...rows: Row<K, V>[]): OutputRecord<K2, V2>[] => {
    for (const [key, value, timestampMs, headers] of rows) {
      from.pipe({
        key,
        value,
        ...(timestampMs !== undefined && { timestampMs }),
        ...(headers !== undefined && { headers }),
      });
    }
    return to.readAll();
  };
  return { driver, pipe };
}

/** `key value @time` of each record, for short expectations. */
export function shown(
  records: readonly OutputRecord<string | number, string | number>[],
): string[] {
  return records.map(({ key, value, timestampMs }) => `${key} ${value} @${timestampMs}`);
}

/** The input: numbers, with names as keys. */
export const numbers = topic('numbers', { key: string(), value: int64() });
/** The output: numbers. */
export const sums = topic('sums', { key: string(), value: int64() });

/** Assigns the rows of a table to windows. */
export interface WindowTableOptions {
  readonly windows: TimeWindows;
  readonly emit: Emit;
}

/**
 * Runs a windowed sum per key and returns a text table: each line `key value time` is an input,
 * `end` ends the input, and below each input are its results, `key window value @time`. The last
 * line counts late records.
 */
export function windowTable({ windows, emit }: WindowTableOptions, input: string): string {
  const builder = new StreamsBuilder();
  const windowed = topic('windowed', {
    key: windowedSerde(string(), windows.sizeMs),
    value: int64(),
  });
  builder
    .stream(numbers, { nullValues: 'pass' })
    .groupByKey()
    .windowedBy(windows)
    .reduce((sum, value) => sum + value, { store: 'sums', emit })
    .toStream()
    .to(windowed);
  const driver = new TopologyTestDriver(builder.build());
  const output = driver.outputTopic(windowed);
  const lines: string[] = [];
  for (const line of input.trim().split('\n')) {
    const [key = '', value, time] = line.trim().split(/\s+/);
    if (key === 'end') driver.endOfInput();
    else {
      const row = { key: key === 'null' ? null : key, timestampMs: Number(time) };
      driver.inputTopic(numbers).pipe({ ...row, value: value === 'null' ? null : Number(value) });
    }
    lines.push(line.trim(), ...output.readAll().map(windowLine));
  }
  lines.push(`late: ${driver.metrics().droppedRecords.late}`);
  return lines.join('\n');
}

function windowLine({ key, value, timestampMs }: OutputRecord<Windowed<string>, number>): string {
  const window = key && `[${key.windowStartMs}, ${key.windowEndMs})`;
  return `  ${key?.key} ${window} ${value} @${timestampMs}`;
}
