import { beforeAll, afterAll, describe, expect, test } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog, silentLogger, type EmbeddedLog } from '../../core/index.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { answerOf, type Answer } from './answers.ts';
import { auctionMsMax, nexmarkEvents, type NexmarkEvent } from './events.ts';
import { queries, type Query } from './queries.ts';
import { outputOf, runQuery, writeEvents } from './running.ts';

/** A minute of event time, so that windows close. */
const SETTINGS = { seed: 7, eventsPerSecond: 150 };
const EVENTS = 10_000;

describe('[NEXMARK-1] the answer of a topology is that of a plain loop:', () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-nexmark-'));
  const events: NexmarkEvent[] = [];
  let log: EmbeddedLog;

  beforeAll(async () => {
    log = await openLog(directory, { logger: silentLogger });
    await writeEvents(log, SETTINGS, EVENTS, (event) => events.push(event));
  });
  afterAll(async () => {
    await log.close();
    rmSync(directory, { recursive: true });
  });

  test.each(queries.map((query) => [query.name, query.title, query] as const))(
    '%s, %s',
    async (name, _, query) => {
      await runQuery(log, query, SETTINGS);
      const records = await readTopic(log, outputOf(query, 1), 'read_committed');
      const actual = records.map(({ key, value }) => [key ?? '', value] as const);
      const expected = comparable(query, answerOf(name, events));
      expect(expected.length).toBeGreaterThan(4); // otherwise nothing is compared
      expect(comparable(query, actual)).toEqual(expected);
    },
    60_000,
  );
});

/** Lines that are equal for equal answers. */
function comparable({ compares }: Query, answer: Answer): string[] {
  const last = new Map<string, unknown>();
  for (const [key, value] of answer) {
    const before = compares === 'sum' ? (last.get(key) ?? 0) : 0;
    last.set(key, compares === 'sum' ? Number(before) + Number(value) : value);
  }
  const results = compares === 'all' ? answer : [...last];
  return results
    .filter(([, value]) => value !== null) // rows that were deleted
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`)
    .sort();
}

describe('[NEXMARK-2] the events', () => {
  const all: NexmarkEvent[] = [];
  for (const event of nexmarkEvents(SETTINGS)) {
    all.push(event);
    if (all.length === 20_000) break;
  }
  const valuesOf = <K extends NexmarkEvent['kind']>(kind: K) =>
    all.filter((event): event is Extract<NexmarkEvent, { kind: K }> => event.kind === kind);
  const shareOf = <T>(list: readonly T[], isIn: (each: T) => boolean): number =>
    list.filter(isIn).length / list.length;

  test('are people, auctions and bids as 1 to 3 to 46', () => {
    const counts = (['person', 'auction', 'bid'] as const).map((kind) => valuesOf(kind).length);
    expect(counts).toEqual([400, 1_200, 18_400]);
  });

  test('are the same for a seed, and others for another one', () => {
    const first = (seed: number): unknown => {
      const events = nexmarkEvents({ ...SETTINGS, seed });
      return Array.from({ length: 200 }, () => events.next().value);
    };
    expect(first(1)).toEqual(first(1));
    expect(first(1)).not.toEqual(first(2));
  });

  test('come in the order of their times, at the rate asked for', () => {
    const times = all.map(({ value }) => value.at);
    expect(times).toEqual([...times].sort((left, right) => left - right));
    expect((times.at(-1)! - times[0]!) / 1000).toBeCloseTo(20_000 / 150, 0);
  });

  test('have numbers that count up from 1,000, for people and for auctions', () => {
    for (const kind of ['person', 'auction'] as const) {
      const ids = valuesOf(kind).map(({ value }) => value.id);
      expect(ids).toEqual(ids.map((_, index) => 1_000 + index));
    }
  });

  test('have hot auctions, bidders and sellers', () => {
    const bids = valuesOf('bid').map(({ value }) => value);
    const auctions = valuesOf('auction').map(({ value }) => value);
    const isHot = (id: number): boolean => id % 100 === 0;
    expect(shareOf(bids, ({ auction }) => isHot(auction))).toBeCloseTo(0.5, 1);
    expect(shareOf(bids, ({ bidder }) => isHot(bidder - 1))).toBeCloseTo(0.75, 1);
    expect(shareOf(auctions, ({ seller }) => isHot(seller))).toBeCloseTo(0.75, 1);
  });

  test('have auctions that end within the longest time, and bids on some that come later', () => {
    const auctions = valuesOf('auction').map(({ value }) => value);
    const longest = Math.max(...auctions.map(({ at, expires }) => expires - at));
    expect(longest).toBeGreaterThan(auctionMsMax(SETTINGS) * 0.9);
    expect(longest).toBeLessThanOrEqual(auctionMsMax(SETTINGS));
    const opened = new Map(auctions.map(({ id, at }) => [id, at]));
    const early = shareOf(
      valuesOf('bid'),
      ({ value }) => value.at < (opened.get(value.auction) ?? 0),
    );
    expect(early).toBeGreaterThan(0.01);
    expect(early).toBeLessThan(0.1);
  });

  test('have about the sizes of Beam: 200, 500 and 100 bytes', () => {
    for (const [kind, bytes] of [
      ['person', 200],
      ['auction', 500],
    ] as const) {
      const sizes = valuesOf(kind).map(({ value }) => JSON.stringify(value).length);
      const average = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
      expect(average).toBeGreaterThan(bytes * 0.9);
      expect(average).toBeLessThan(bytes * 1.2);
    }
  });
});
