/**
 * What does a join cost, exactly once with a commit every 100 ms, compared with a loop that reads,
 * parses, joins and writes the same bytes? Two streams within a second of each other, about one
 * partner for each record, and a stream with a table of 10,000 rows.
 */
import { json, openLog, string, topic, type Log, type Topic } from 'millrace';
import { joinWindow, seconds, StreamsApp, StreamsBuilder } from 'millrace/streams';
import { FloorWriter, floorRead } from './floor.ts';
import { benchSettings, compare, timed, type Contender } from './harness.ts';

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

/** A hand-written loop over all events, which writes what `visit` makes of each. */
function floor(name: string, visitor: () => (event: Event, write: (made: object) => void) => void) {
  return {
    name,
    run: (directory: string) => {
      const input = new FloorWriter(directory);
      for (let index = 0; index < records; index++) input.write(JSON.stringify(eventAt(index)));
      input.close();
      return timed(records, () => {
        const output = new FloorWriter(directory, { name: 'out.log', isSynced: true });
        const visit = visitor();
        const write = (made: object): void => output.write(JSON.stringify(made));
        floorRead(directory, (source, start, end) => {
          visit(JSON.parse(source.toString('utf8', start, end)) as Event, write);
        });
        output.close();
      });
    },
  } satisfies Contender;
}

const windowFloor = floor('floor: parse, join in a window, write', () => {
  const sides = { left: new Map<string, Event[]>(), right: new Map<string, Event[]>() };
  return (one, write) => {
    const isLeft = one.side === 'left';
    const others = sides[isLeft ? 'right' : 'left'].get(one.key) ?? [];
    while (others[0] !== undefined && others[0].at < one.at - WINDOW_MS) others.shift();
    for (const other of others) write(isLeft ? combine(one, other) : combine(other, one));
    const own = sides[one.side].get(one.key);
    if (own === undefined) sides[one.side].set(one.key, [one]);
    else own.push(one);
  };
});

const tableFloor = floor('floor: parse, look up, write', () => {
  const rows = new Map<string, Event>();
  return (one, write) => {
    if (one.side === 'right') rows.set(one.key, one);
    else write(combine(one, rows.get(one.key)));
  };
});

function running(name: string, build: (builder: StreamsBuilder) => void): Contender {
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
      const [offsets] = await log.admin().offsets(joined.name);
      if ((offsets?.latest ?? 0) === 0) throw new Error(`${name} wrote nothing`);
      return measured;
    },
  };
}

async function fill(log: Log): Promise<void> {
  const producer = log.producer({ acks: 1 });
  const open = (to: Topic<string, Event>) => producer.writer(to);
  const writers = { left: await open(lefts), right: await open(rights) };
  for (let index = 0; index < records; index++) {
    const made = eventAt(index);
    writers[made.side].write(made.key, made, made.at);
    if (producer.isFull) await producer.room();
  }
  await producer.flush();
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
