/**
 * What does a join cost, exactly once with a commit every 100 ms, compared with a loop that reads,
 * parses, joins and writes the same bytes? Two streams within a second of each other, about one
 * partner for each record, and a stream with a table of 10,000 rows.
 */
import { json, string, topic } from 'millrace';
import { joinWindow, seconds, type StreamsBuilder } from 'millrace/streams';
import { benchSettings, compare, type Contender } from './harness.ts';
import { application, floor } from './topologies.ts';

const settings = benchSettings(400_000);
const { records } = settings;
const KEYS = 10_000;
/** In event time, of both streams together. */
const RECORDS_PER_SECOND = 10_000;
const START_MS = Date.UTC(2024, 0, 1);
const WINDOW_MS = seconds(1);

interface Event {
  readonly key: string;
  readonly side: 'left' | 'right';
  readonly at: number;
  readonly amount: number;
  readonly text: string;
}

/** About 100 bytes of JSON, of both sides in turn. The same in every run; keys are in no order. */
function eventAt(index: number): Event {
  const key = `key-${(Math.imul(index, 0x9e3779b1) >>> 12) % KEYS}`;
  const at = START_MS + Math.floor((index * 1000) / RECORDS_PER_SECOND);
  const side = index % 2 === 0 ? 'left' : 'right';
  return { key, side, at, amount: index % 1000, text: 'some words to fill the line' };
}

const event = { key: string(), value: json<Event>(), partitions: 1 };
const lefts = topic('lefts', event);
const rights = topic('rights', event);
const joined = topic('joined', { key: string(), value: json<object>(), partitions: 1 });

function combine(left: Event | undefined, right: Event | undefined): object {
  return { key: (left ?? right)?.key, left: left?.amount, right: right?.amount, at: left?.at };
}

const windowFloor = floor({
  ...{ name: 'floor: parse, join in a window, write', records, rowAt: eventAt },
  begin: (write) => {
    const sides = { left: new Map<string, Event[]>(), right: new Map<string, Event[]>() };
    return {
      visit: (one) => {
        const isLeft = one.side === 'left';
        const others = sides[isLeft ? 'right' : 'left'].get(one.key) ?? [];
        while (others[0] !== undefined && others[0].at < one.at - WINDOW_MS) others.shift();
        for (const other of others) {
          write(JSON.stringify(isLeft ? combine(one, other) : combine(other, one)));
        }
        const own = sides[one.side].get(one.key);
        if (own === undefined) sides[one.side].set(one.key, [one]);
        else own.push(one);
      },
    };
  },
});

const tableFloor = floor({
  ...{ name: 'floor: parse, look up, write', records, rowAt: eventAt },
  begin: (write) => {
    const rows = new Map<string, Event>();
    return {
      visit: (one) => {
        if (one.side === 'right') rows.set(one.key, one);
        else write(JSON.stringify(combine(one, rows.get(one.key))));
      },
    };
  },
});

function running(name: string, build: (builder: StreamsBuilder) => void): Contender {
  const inputs = [lefts, rights];
  return application({ name, records, rowAt: eventAt, inputs, build, output: joined });
}

const window = joinWindow({ differenceMs: WINDOW_MS });
const inner = running('join of streams', (builder) => {
  builder.stream(lefts).join(builder.stream(rights), combine, { window, store: 'j' }).to(joined);
});
const outer = running('outer join of streams', (builder) => {
  builder
    .stream(lefts)
    .outerJoin(builder.stream(rights), combine, { window, store: 'j' })
    .to(joined);
});
const withTable = running('join with a table', (builder) => {
  builder.stream(lefts).leftJoin(builder.table(rights), combine).to(joined);
});
const versioned = { historyMs: seconds(10) };
const withVersions = running('join with a versioned table', (builder) => {
  builder.stream(lefts).leftJoin(builder.table(rights, { versioned }), combine).to(joined);
});

const notes = { commitIntervalMs: 100, processingGuarantee: 'exactly_once', keys: KEYS };
await compare('join of two streams', [windowFloor, inner, outer], settings, notes);
await compare('join with a table', [tableFloor, withTable, withVersions], settings, notes);
