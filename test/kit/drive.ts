import { int64, string, topic, type Headers, type Serde, type Topic } from '../../core/index.ts';
import type {
  Emit,
  KGroupedStream,
  KStream,
  KTable,
  SessionWindows,
  SlidingWindows,
  TimeWindows,
  Topology,
  Windowed,
} from '../../streams/index.ts';
import { sessionWindowedSerde, StreamsBuilder, windowedSerde } from '../../streams/index.ts';
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
  readonly windows: TimeWindows | SlidingWindows | SessionWindows;
  readonly emit: Emit;
}

/**
 * Runs a windowed sum per key and returns a text table: each line `key value time` is an input,
 * `wait ms` moves the clock, and `end` ends the input; below each are its results, as `key window
 * value @time`. The last line counts late records.
 */
export function windowTable({ windows, emit }: WindowTableOptions, input: string): string {
  const builder = new StreamsBuilder();
  const [key, bound] = serdeOf(windows);
  const windowed = topic('windowed', { key, value: int64() });
  const grouped = builder.stream(numbers, { nullValues: 'pass' }).groupByKey();
  summed(grouped, windows, emit).toStream().to(windowed);
  const driver = new TopologyTestDriver(builder.build());
  const output = driver.outputTopic(windowed);
  const lines: string[] = [];
  for (const line of input.trim().split('\n')) {
    const [name = '', value, time] = line.trim().split(/\s+/);
    if (name === 'end') driver.endOfInput();
    else if (name === 'wait') driver.advanceWallClock(Number(value));
    else {
      const row = { key: name === 'null' ? null : name, timestampMs: Number(time) };
      driver.inputTopic(numbers).pipe({ ...row, value: value === 'null' ? null : Number(value) });
    }
    lines.push(line.trim(), ...output.readAll().map((record) => windowLine(record, bound)));
  }
  lines.push(`late: ${driver.metrics().droppedRecords.late}`);
  return lines.join('\n');
}

/** The serde of the windows' keys, and how their ends are shown. */
function serdeOf(
  windows: TimeWindows | SlidingWindows | SessionWindows,
): [serde: Serde<Windowed<string>>, bound: string] {
  if ('gapMs' in windows) return [sessionWindowedSerde(string()), ']'];
  if ('sizeMs' in windows) return [windowedSerde(string(), windows.sizeMs), ')'];
  return [windowedSerde(string(), windows.differenceMs), ']'];
}

function summed(
  grouped: KGroupedStream<string, number>,
  windows: TimeWindows | SlidingWindows | SessionWindows,
  emit: Emit,
): KTable<Windowed<string>, number | null> {
  const options = { store: 'sums', emit };
  const sum = (total: number, value: number): number => total + value;
  if ('gapMs' in windows) return grouped.windowedBy(windows).reduce(sum, options);
  return grouped.windowedBy(windows).reduce(sum, options);
}

function windowLine(
  { key, value, timestampMs }: OutputRecord<Windowed<string>, number>,
  bound: string,
): string {
  const window = key && `[${key.windowStartMs}, ${key.windowEndMs}${bound}`;
  return `  ${key?.key} ${window} ${value} @${timestampMs}`;
}
