import { string, topic } from '../../core/index.ts';
import { StreamsBuilder, type KStream } from '../../streams/index.ts';
import { TopologyTestDriver } from '../../streams/testing/index.ts';

/** The inputs of a join: texts, with names as keys. */
export const lefts = topic('lefts', { key: string(), value: string() });
export const rights = topic('rights', { key: string(), value: string() });
/** Its output. */
export const joined = topic('joined', { key: string(), value: string() });

export type Texts = KStream<string | null, string | null>;

/** A stream of both inputs with nulls, joined. */
export function joinOf(
  build: (left: Texts, right: Texts) => KStream<string | null, string>,
): TopologyTestDriver {
  const builder = new StreamsBuilder();
  const left = builder.stream(lefts, { nullValues: 'pass' });
  const right = builder.stream(rights, { nullValues: 'pass' });
  build(left, right).to(joined);
  return new TopologyTestDriver(builder.build());
}

/**
 * Runs a join and returns a text table: each line `side key value time`, with L or R as the side,
 * is an input, `end` ends the input, and below each input are its results, `key value @time`. The
 * last lines count dropped records.
 */
export function joinTable(driver: TopologyTestDriver, input: string): string {
  const output = driver.outputTopic(joined);
  const lines: string[] = [];
  for (const line of input.trim().split('\n')) {
    const [side, key = '', value = '', time] = line.trim().split(/\s+/);
    if (side === 'end') driver.endOfInput();
    else {
      const row = { key: orNull(key), value: orNull(value), timestampMs: Number(time) };
      driver.inputTopic(side === 'L' ? lefts : rights).pipe(row);
    }
    const results = output
      .readAll()
      .map((each) => `  ${each.key} ${each.value} @${each.timestampMs}`);
    lines.push(line.trim(), ...results);
  }
  for (const [reason, count] of Object.entries(driver.metrics().droppedRecords)) {
    if (count > 0) lines.push(`${reason}: ${count}`);
  }
  return lines.join('\n');
}

function orNull(text: string): string | null {
  return text === 'null' ? null : text;
}

/** `left+right`, with a dash for what is missing. */
export function plus(left: string | undefined, right: string | undefined): string {
  return `${left ?? '-'}+${right ?? '-'}`;
}
