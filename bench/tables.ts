/**
 * What do tables cost, exactly once with a commit every 100 ms, compared with a loop that reads,
 * parses, keeps the same maps and writes the same bytes? A join of two tables, and final results of
 * windows by suppress, each over 10,000 keys, of which few are most frequent (Zipf).
 */
import { json, string, topic } from 'millrace';
import { minutes, tumblingWindow, untilWindowCloses } from 'millrace/streams';
import { benchSettings, compare } from './harness.ts';
import { application, countMinutes, floor } from './topologies.ts';

const settings = benchSettings(500_000);
const { records } = settings;
const KEYS = 10_000;
const RECORDS_PER_SECOND = 10_000;
const START_MS = Date.UTC(2024, 0, 1);

interface Row {
  readonly key: string;
  readonly at: number;
  readonly amount: number;
  readonly text: string;
}

/** How often one of the first keys occurs, up to each. */
const SHARES = zipfShares(KEYS);

function zipfShares(count: number): Float64Array {
  const shares = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) shares[rank] = sum += 1 / (rank + 1);
  return shares.map((share) => share / sum);
}

/** A key of Zipf's distribution: the same in every run. */
function keyAt(index: number): string {
  const chance = (Math.imul(index + 1, 0x9e3779b1) >>> 0) / 0x1_0000_0000;
  let [low, high] = [0, KEYS - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((SHARES[middle] ?? 1) < chance) low = middle + 1;
    else high = middle;
  }
  return `key-${low}`;
}

function rowAt(index: number): Row {
  const at = START_MS + Math.floor((index * 1000) / RECORDS_PER_SECOND);
  return { key: keyAt(index), at, amount: index % 1000, text: 'some words to fill the line' };
}

const serdes = { key: string(), value: json<Row>(), partitions: 1 };
const lefts = topic('lefts', serdes);
const rights = topic('rights', serdes);
const results = topic('results', { key: string(), value: json<object>(), partitions: 1 });

function join(left: Row, right: Row): object {
  return { key: left.key, at: Math.max(left.at, right.at), amount: left.amount + right.amount };
}

const joinFloor = floor({
  ...{ name: 'floor: parse, two maps, join, write', records, rowAt },
  begin: (write) => {
    const sides = [new Map<string, Row>(), new Map<string, Row>()] as const;
    let index = 0;
    return {
      visit: (row) => {
        const isLeft = index++ % 2 === 0;
        const [own, other] = isLeft ? sides : [sides[1], sides[0]];
        own.set(row.key, row);
        const match = other.get(row.key);
        if (match === undefined) return;
        write(JSON.stringify(isLeft ? join(row, match) : join(match, row)));
      },
    };
  },
});

const finalFloor = floor({
  ...{ name: 'floor: parse, count, write', records, rowAt },
  begin: countMinutes,
});

const joined = application({
  ...{ name: 'join of tables, exactly once', records, rowAt, output: results },
  inputs: [lefts, rights],
  build: (builder) => {
    builder.table(lefts).join(builder.table(rights), join).toStream().to(results);
  },
});

const suppressed = application({
  ...{ name: 'count, emit each, suppress, exactly once', records, rowAt, output: results },
  inputs: [lefts],
  build: (builder) => {
    builder
      .stream(lefts)
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: minutes(1) }))
      .count({ store: 'counts', emit: 'each' })
      .suppress(untilWindowCloses())
      .toStream(({ key }) => key.key, { key: string() })
      .mapValues((count) => ({ count }))
      .to(results);
  },
});

const notes = { commitIntervalMs: 100, processingGuarantee: 'exactly_once', keys: KEYS };
await compare('join of two tables', [joinFloor, joined], settings, notes);
await compare('final results by suppress', [finalFloor, suppressed], settings, notes);
