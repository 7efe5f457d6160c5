import { json, string, topic, type EmbeddedLog, type Log } from 'millrace';
import { StreamsApp, StreamsBuilder } from 'millrace/streams';
import { sideText } from './answers.ts';
import {
  auctions,
  bids,
  keyOf,
  nexmarkEvents,
  persons,
  type NexmarkEvent,
  type NexmarkSettings,
} from './events.ts';
import { sideInput, SIDE_ROWS, type Output, type Query } from './queries.ts';

/** Writes events, each into the topic of its kind; returns how many records each topic has. */
export async function writeEvents(
  log: Log,
  settings: NexmarkSettings,
  count: number,
  seen: (event: NexmarkEvent) => void = () => undefined,
): Promise<ReadonlyMap<string, number>> {
  await using producer = log.producer({ acks: 1 });
  const [person, auction, bid, side] = [
    await producer.writer(persons),
    await producer.writer(auctions),
    await producer.writer(bids),
    await producer.writer(sideInput),
  ];
  for (let row = 0; row < SIDE_ROWS; row++) side.write(String(row), sideText(row), 0);
  const counts = new Map([persons, auctions, bids].map(({ name }) => [name, 0]));
  const note = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
  let left = count;
  for (const event of nexmarkEvents(settings)) {
    if (left-- === 0) break;
    seen(event);
    const key = keyOf(event);
    if (event.kind === 'person') person.write(key, event.value, event.value.at);
    else if (event.kind === 'auction') auction.write(key, event.value, event.value.at);
    else bid.write(key, event.value, event.value.at);
    note(
      event.kind === 'person' ? persons.name : event.kind === 'auction' ? auctions.name : bids.name,
    );
    if (producer.isFull) await producer.room();
  }
  await producer.flush();
  return counts;
}

/** The results of a query in one run. */
export function outputOf({ name }: Query, run: number): Output {
  return topic(`${name}-${run}`, { key: string(), value: json<unknown>(), partitions: 1 });
}

/** Runs a query over all events, exactly once with a commit every 100 ms, from start to end. */
export async function runQuery(
  log: EmbeddedLog,
  query: Query,
  settings: NexmarkSettings,
  run = 1,
): Promise<void> {
  const builder = new StreamsBuilder();
  query.build(builder, outputOf(query, run), settings);
  const app = new StreamsApp(log, builder.build(), {
    applicationId: `nexmark-${query.name}-${run}`,
    commitIntervalMs: 100,
  });
  await app.start();
  await app.finish();
}
