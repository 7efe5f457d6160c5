/**
 * What does a topology cost, exactly once with a commit every 100 ms, compared with a loop that
 * reads, parses and writes the same bytes? A stateless map; a count in windows of a minute over
 * 100,000 keys, both also at least once; final counts of 200 keys in windows of an hour, tumbling
 * or one each minute; and final counts of sessions of 20 records.
 */
import { int64, json, string, topic, type Topic } from 'millrace';
import {
  hoppingWindow,
  hours,
  minutes,
  sessionWindow,
  sessionWindowedSerde,
  tumblingWindow,
  windowedSerde,
  type StreamsBuilder,
  type TimeWindows,
} from 'millrace/streams';
import { benchSettings, compare, type Contender } from './harness.ts';
import { application, countMinutes, floor } from './topologies.ts';

const settings = benchSettings(1_000_000);
const { records } = settings;
const KEYS = 100_000;
/** In event time: a window of a minute then has some 600,000 records. */
const RECORDS_PER_SECOND = 10_000;
const START_MS = Date.UTC(2024, 0, 1);

type Guarantee = 'exactly_once' | 'at_least_once';
const EXACTLY = 'exactly_once';

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

const mapFloor = floor({
  ...{ name: 'floor: parse, change, write', records, rowAt: eventAt },
  begin: (write) => ({ visit: (event) => write(JSON.stringify(change(event))) }),
});

const countFloor = floor({
  ...{ name: 'floor: parse, count, write', records, rowAt: eventAt },
  begin: countMinutes,
});

function running(
  name: string,
  build: (builder: StreamsBuilder) => void,
  output: Pick<Topic<unknown, unknown>, 'name'>,
  { rowAt = eventAt, guarantee = EXACTLY }: { rowAt?: typeof eventAt; guarantee?: Guarantee } = {},
): Contender {
  return application({ name, records, rowAt, inputs: [events], build, output, guarantee });
}

function map(guarantee: Guarantee): Contender {
  return running(
    `map, ${guarantee.replaceAll('_', ' ')}`,
    (builder) => {
      builder
        .stream(events)
        .mapValues((event) => change(event))
        .to(mapped);
    },
    mapped,
    { guarantee },
  );
}

function windowedCount(emit: 'commit' | 'final', guarantee: Guarantee = EXACTLY): Contender {
  return running(
    `count, ${guarantee.replaceAll('_', ' ')}, emit ${emit}`,
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
    { guarantee },
  );
}

/** Ten hours of few keys, such as airports: some eight records a minute and key. */
const FEW_KEYS = 200;
const SLOW_RECORDS_PER_SECOND = 1_000_000 / (hours(10) / 1000);
const hourCounts = topic('counts', {
  key: windowedSerde(string(), hours(1)),
  value: int64(),
  partitions: 1,
});

function slowEventAt(index: number): Event {
  const key = `key-${(Math.imul(index, 0x9e3779b1) >>> 0) % FEW_KEYS}`;
  const at = START_MS + Math.floor((index * 1000) / SLOW_RECORDS_PER_SECOND);
  return { ...eventAt(index), key, at };
}

/** A loop that keeps a count for each minute, and adds up sixty of them for each window. */
const hoppingFloor = floor({
  ...{ name: 'floor: parse, count, add up, write', records, rowAt: slowEventAt },
  begin: (write) => {
    const panes = new Map<number, Map<string, number>>();
    const close = (endMs: number): void => {
      const sums = new Map<string, number>();
      for (let start = endMs - hours(1); start < endMs; start += minutes(1)) {
        for (const [key, n] of panes.get(start) ?? []) sums.set(key, (sums.get(key) ?? 0) + n);
      }
      for (const [key, n] of sums) write(`${key} ${endMs} ${n}`);
      panes.delete(endMs - hours(1));
    };
    let now = START_MS;
    return {
      visit: ({ key, at }) => {
        const pane = at - (at % minutes(1));
        for (; now < pane; now += minutes(1)) close(now + minutes(1));
        let keys = panes.get(pane);
        if (keys === undefined) panes.set(pane, (keys = new Map<string, number>()));
        keys.set(key, (keys.get(key) ?? 0) + 1);
      },
      end: () => {
        for (const last = now + hours(1); now < last; now += minutes(1)) close(now + minutes(1));
      },
    };
  },
});

function hourlyCount(name: string, windows: TimeWindows): Contender {
  return running(
    name,
    (builder) => {
      builder
        .stream(events)
        .groupByKey()
        .windowedBy(windows)
        .count({ store: 'counts', emit: 'final' })
        .toStream()
        .to(hourCounts);
    },
    hourCounts,
    { rowAt: slowEventAt },
  );
}

/** A thousand users at a time, each for two seconds. */
const USERS = 1_000;
const SESSION_RECORDS = 20;
const GAP_MS = 500;
const sessions = topic('sessions', {
  key: sessionWindowedSerde(string()),
  value: int64(),
  partitions: 1,
});

function visitAt(index: number): Event {
  const round = Math.floor(index / (USERS * SESSION_RECORDS));
  const key = `user-${round}-${(Math.imul(index, 0x9e3779b1) >>> 0) % USERS}`;
  return { ...eventAt(index), key };
}

/** A loop that keeps the open sessions in the order of their last records. */
const sessionFloor = floor({
  ...{ name: 'floor: parse, count sessions, write', records, rowAt: visitAt },
  begin: (write) => {
    const open = new Map<string, { start: number; end: number; n: number }>();
    const closeUntil = (now: number): void => {
      for (const [key, { start, end, n }] of open) {
        if (end + GAP_MS >= now) return;
        open.delete(key);
        write(`${key} ${start} ${end} ${n}`);
      }
    };
    return {
      visit: ({ key, at }) => {
        closeUntil(at);
        const { start, n } = open.get(key) ?? { start: at, n: 0 };
        open.delete(key); // to the end
        open.set(key, { start, end: at, n: n + 1 });
      },
      end: () => closeUntil(Infinity),
    };
  },
});

const sessionCount = running(
  'count of sessions, final',
  (builder) => {
    builder
      .stream(events)
      .groupByKey()
      .windowedBy(sessionWindow({ gapMs: GAP_MS }))
      .count({ store: 'sessions', emit: 'final' })
      .toStream()
      .to(sessions);
  },
  sessions,
  { rowAt: visitAt },
);

const notes = { commitIntervalMs: 100, processingGuarantee: 'exactly_once', keys: KEYS };
const maps = [mapFloor, map(EXACTLY), map('at_least_once')];
await compare('stateless map of JSON', maps, settings, notes);
const contenders = [
  ...[countFloor, windowedCount('commit'), windowedCount('commit', 'at_least_once')],
  windowedCount('final'),
];
await compare('count in windows of a minute', contenders, settings, notes);

const hour = hours(1);
const hopping = [
  hoppingFloor,
  hourlyCount('tumbling, 1 h, final', tumblingWindow({ sizeMs: hour })),
  hourlyCount('hopping, 1 h by 1 min, final', hoppingWindow({ sizeMs: hour, advanceMs: 60_000 })),
];
const fewKeys = { ...notes, keys: FEW_KEYS, hours: 10 };
await compare('final count in windows of an hour', hopping, settings, fewKeys);
const userNotes = { ...notes, keys: USERS, gapMs: GAP_MS };
await compare('final count of sessions', [sessionFloor, sessionCount], settings, userNotes);
