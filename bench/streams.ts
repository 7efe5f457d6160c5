/**
 * What does a topology cost, exactly once with a commit every 100 ms, compared with a loop that
 * reads, parses and writes the same bytes? A stateless map, and a count in windows of a minute over
 * 100,000 keys.
 */
import { int64, json, openLog, string, topic, type Log, type Topic } from 'millrace';
import {
  minutes,
  StreamsApp,
  StreamsBuilder,
  tumblingWindow,
  windowedSerde,
} from 'millrace/streams';
import { FloorWriter, floorRead } from './floor.ts';
import { benchSettings, compare, timed, type Contender, type Measured } from './harness.ts';

const settings = benchSettings(1_000_000);
const { records } = settings;
const KEYS = 100_000;
/** In event time: a window of a minute then has some 600,000 records. */
const RECORDS_PER_SECOND = 10_000;
const START_MS = Date.UTC(2024, 0, 1);

interface Event {
  readonly key: string;
  readonly at: number;
  readonly amount: number;
  readonly text: string;
}

/** About 90 bytes of JSON. The numbers are the same in every run, in no order. */
function eventAt(index: number): Event {
  const key = `key-${(Math.imul(index, 0x9e3779b1) >>> 0) % KEYS}`;
  const at = START_MS + Math.floor((index * 1000) / RECORDS_PER_SECOND);
  return { key, at, amount: index % 1000, text: 'some words to fill the line' };
}

const events = topic('events', { key: string(), value: json<Event>(), partitions: 1 });
const mapped = topic('mapped', { key: string(), value: json<object>(), partitions: 1 });
const counts = topic('counts', {
  key: windowedSerde(string(), minutes(1)),
  value: int64(),
  partitions: 1,
});

function change(event: Event): object {
  return { key: event.key, at: event.at, amount: event.amount * 2 };
}

function writeFloor(directory: string): void {
  const writer = new FloorWriter(directory);
  for (let index = 0; index < records; index++) writer.write(JSON.stringify(eventAt(index)));
  writer.close();
}

const mapFloor: Contender = {
  name: 'floor: parse, change, write',
  run: (directory) => {
    writeFloor(directory);
    return timed(records, () => {
      const writer = new FloorWriter(directory, { name: 'out.log', isSynced: true });
      floorRead(directory, (source, start, end) => {
        const event = JSON.parse(source.toString('utf8', start, end)) as Event;
        writer.write(JSON.stringify(change(event)));
      });
      writer.close();
    });
  },
};

const countFloor: Contender = {
  name: 'floor: parse, count, write',
  run: (directory) => {
    writeFloor(directory);
    return timed(records, () => {
      const windows = new Map<number, Map<string, number>>();
      floorRead(directory, (source, start, end) => {
        const { key, at } = JSON.parse(source.toString('utf8', start, end)) as Event;
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
  out: Topic<unknown, unknown>,
): Contender {
  return {
    name,
    run: async (directory) => {
      await using log = await openLog(directory);
      await fill(log);
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
      const [offsets] = await log.admin().offsets(out.name);
      if ((offsets?.latest ?? 0) === 0) throw new Error(`${name} wrote nothing`);
      return measured satisfies Measured;
    },
  };
}

async function fill(log: Log): Promise<void> {
  const producer = log.producer({ acks: 1 });
  const writer = await producer.writer(events);
  for (let index = 0; index < records; index++) {
    const event = eventAt(index);
    writer.write(event.key, event, event.at);
    if (producer.isFull) await producer.room();
  }
  await producer.flush();
}

const map = running(
  'map, exactly once',
  (builder) => {
    builder
      .stream(events)
      .mapValues((event) => change(event))
      .to(mapped);
  },
  mapped,
);

function windowedCount(emit: 'commit' | 'final'): Contender {
  return running(
    `count, exactly once, emit ${emit}`,
    (builder) => {
      builder
        .stream(events)
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs: minutes(1) }))
        .count({ store: 'counts', emit })
        .toStream()
        .to(counts);
    },
    counts,
  );
}

const notes = { commitIntervalMs: 100, processingGuarantee: 'exactly_once', keys: KEYS };
await compare('stateless map of JSON', [mapFloor, map], settings, notes);
const contenders = [countFloor, windowedCount('commit'), windowedCount('final')];
await compare('count in windows of a minute', contenders, settings, notes);
