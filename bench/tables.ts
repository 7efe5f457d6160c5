/**
 * What do tables cost, exactly once with a commit every 100 ms, compared with a loop that reads,
 * parses, keeps the same maps and writes the same bytes? A join of two tables, and final results of
 * windows by suppress, each over 10,000 keys, of which few are most frequent (Zipf).
 */
import { json, openLog, string, topic, type Log } from 'millrace';
import {
  minutes,
  StreamsApp,
  StreamsBuilder,
  tumblingWindow,
  untilWindowCloses,
} from 'millrace/streams';
import { FloorWriter, floorRead } from './floor.ts';
import { benchSettings, compare, timed, type Contender } from './harness.ts';

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

function writeFloor(directory: string): void {
  const writer = new FloorWriter(directory);
  for (let index = 0; index < records; index++) writer.write(JSON.stringify(rowAt(index)));
  writer.close();
}

const joinFloor: Contender = {
  name: 'floor: parse, two maps, join, write',
  run: (directory) => {
    writeFloor(directory);
    return timed(records, () => {
      const sides = [new Map<string, Row>(), new Map<string, Row>()] as const;
      const writer = new FloorWriter(directory, { name: 'out.log', isSynced: true });
      let index = 0;
      floorRead(directory, (source, start, end) => {
        const row = JSON.parse(source.toString('utf8', start, end)) as Row;
        const isLeft = index++ % 2 === 0;
        const [own, other] = isLeft ? sides : [sides[1], sides[0]];
        own.set(row.key, row);
        const match = other.get(row.key);
        if (match === undefined) return;
        writer.write(JSON.stringify(isLeft ? join(row, match) : join(match, row)));
      });
      writer.close();
    });
  },
};

const finalFloor: Contender = {
  name: 'floor: parse, count, write',
  run: (directory) => {
    writeFloor(directory);
    return timed(records, () => {
      const windows = new Map<number, Map<string, number>>();
      floorRead(directory, (source, start, end) => {
        const { key, at } = JSON.parse(source.toString('utf8', start, end)) as Row;
        const window = at - (at % minutes(1));
        let keys = windows.get(window);
        if (keys === undefined) windows.set(window, (keys = new Map<string, number>()));
        keys.set(key, (keys.get(key) ?? 0) + 1);
      });
      const writer = new FloorWriter(directory, { name: 'out.log', isSynced: true });
      for (const keys of windows.values()) for (const [key, n] of keys) writer.write(`${key} ${n}`);
      writer.close();
    });
  },
};

function running(
  name: string,
  build: (builder: StreamsBuilder) => void,
  isJoin: boolean,
): Contender {
  return {
    name,
    run: async (directory) => {
      await using log = await openLog(directory);
      await fill(log, isJoin);
      const builder = new StreamsBuilder();
      build(builder);
      const app = new StreamsApp(log, builder.build(), {
        applicationId: 'bench',
        commitIntervalMs: 100,
      });
      const measured = await timed(records, async () => {
        await app.start();
        await app.finish();
      });
      const [offsets] = await log.admin().offsets(results.name);
      if ((offsets?.latest ?? 0) === 0) throw new Error(`${name} wrote nothing`);
      return measured;
    },
  };
}

/** All rows to one topic, or in turn to both. */
async function fill(log: Log, isJoin: boolean): Promise<void> {
  const producer = log.producer({ acks: 1 });
  const writers = [await producer.writer(lefts), await producer.writer(rights)] as const;
  for (let index = 0; index < records; index++) {
    const row = rowAt(index);
    writers[isJoin && index % 2 === 1 ? 1 : 0].write(row.key, row, row.at);
    if (producer.isFull) await producer.room();
  }
  await producer.flush();
}

const joined = running(
  'join of tables, exactly once',
  (builder) => {
    builder.table(lefts).join(builder.table(rights), join).toStream().to(results);
  },
  true,
);

const suppressed = running(
  'count, emit each, suppress, exactly once',
  (builder) => {
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
  false,
);

const notes = { commitIntervalMs: 100, processingGuarantee: 'exactly_once', keys: KEYS };
await compare('join of two tables', [joinFloor, joined], settings, notes);
await compare('final results by suppress', [finalFloor, suppressed], settings, notes);
