/**
 * Nexmark's queries as topologies. The numbers and what they ask are those of the SQL of
 * github.com/nexmark/nexmark; where an answer differs, the query says so. Not here: q6, which no
 * Flink runs either, q9, q10, which writes files, q15, q16.
 */
import { json, string, topic, type Topic } from 'millrace';
import {
  days,
  hoppingWindow,
  joinWindow,
  keyValueStore,
  seconds,
  sessionWindow,
  tumblingWindow,
  wallclockTimestamp,
  type KStream,
  type StreamsBuilder,
} from 'millrace/streams';
import {
  auctionMsMax,
  auctions,
  bids,
  persons,
  type Auction,
  type Bid,
  type NexmarkSettings,
} from './events.ts';

/** A result: whatever its query makes. */
export type Output = Topic<string, unknown>;

export interface Query {
  readonly name: string;
  readonly title: string;
  readonly inputs: readonly Pick<Topic<string, never>, 'name'>[];
  /**
   * What has to be the same as in plain loops: all results, in any order; the last one of each key;
   * or the sum of each key, where results depend on the clock.
   */
  readonly compares: 'all' | 'last' | 'sum';
  readonly build: (builder: StreamsBuilder, output: Output, settings: NexmarkSettings) => void;
}

/** The side input of q13: texts by number. */
export const sideInput = topic('side-input', { key: string(), value: string(), partitions: 1 });
export const SIDE_ROWS = 500;

export const DOLLARS_TO_EUROS = 0.908;
/** So many best bids of an auction. */
export const TOP = 10;
export const SECONDS_10 = seconds(10);
/** The window of q5, and how often it begins. */
export const HOT = { sizeMs: seconds(10), advanceMs: seconds(2) } as const;

const strings = { key: string() } as const;

function bidStream(builder: StreamsBuilder): KStream<string, Bid> {
  return builder.stream(bids, { nullKeys: 'fail' });
}

const QUERIES: Readonly<Record<string, Omit<Query, 'name'>>> = {
  q0: {
    ...{ title: 'all bids, unchanged', inputs: [bids], compares: 'all' },
    build: (builder, output) => bidStream(builder).to(output),
  },
  q1: {
    ...{ title: 'prices in euros', inputs: [bids], compares: 'all' },
    build: (builder, output) => {
      bidStream(builder)
        .mapValues(({ auction, bidder, price, at, extra }) => {
          return { auction, bidder, price: price * DOLLARS_TO_EUROS, at, extra };
        })
        .to(output);
    },
  },
  q2: {
    ...{ title: 'bids on some auctions', inputs: [bids], compares: 'all' },
    build: (builder, output) => {
      bidStream(builder)
        .filter(({ value }) => value.auction % 123 === 0)
        .mapValues(({ auction, price }) => ({ auction, price }))
        .to(output);
    },
  },
  q3: {
    ...{ title: 'who sells what in some states', inputs: [auctions, persons], compares: 'last' },
    build: (builder, output) => {
      const people = builder.table(persons).filter(({ value }) => isNear(value.state));
      builder
        .table(auctions)
        .filter(({ value }) => value.category === 10)
        .join(people, {
          foreignKey: ({ value }) => String(value.seller),
          joiner: ({ id }, { name, city, state }) => ({ name, city, state, id }),
        })
        .toStream()
        .to(output);
    },
  },
  q4: {
    ...{ title: 'average winning price by category', compares: 'last' },
    inputs: [auctions, bids],
    build: (builder, output, settings) => {
      const opened = builder.stream(auctions, { nullKeys: 'fail' });
      const window = joinWindow({ beforeMs: auctionMsMax(settings), afterMs: 0 });
      const value = json<{ category: number; price: number }>();
      bidStream(builder)
        .join(
          opened,
          ({ price, at }, { category, expires }) => ({ category, price, isIn: at <= expires }),
          { window, store: 'bids-of-auctions' },
        )
        .filter((record) => record.value.isIn)
        .mapValues(({ category, price }) => ({ category, price }))
        .groupByKey({ ...strings, value })
        .reduce((best, bid) => (bid.price > best.price ? bid : best), { store: 'winning' })
        .groupBy((row) => ({ key: String(row.value.category), value: row.value.price }), {
          ...{ ...strings, value: json<number>(), name: 'by-category' },
        })
        .aggregate(
          () => ({ sum: 0, count: 0 }),
          ({ sum, count }, row) => ({ sum: sum + row.value, count: count + 1 }),
          ({ sum, count }, row) => ({ sum: sum - row.value, count: count - 1 }),
          { store: 'averages' },
        )
        .toStream()
        .mapValues((average) => average.sum / average.count)
        .to(output);
    },
  },
  q5: {
    ...{ title: 'auctions with most bids in 10 s, every 2 s', inputs: [bids], compares: 'last' },
    build: (builder, output) => {
      const value = json<{ auction: string; count: number }>();
      bidStream(builder)
        .groupByKey()
        .windowedBy(hoppingWindow(HOT))
        .count({ store: 'bid-counts', emit: 'final' })
        .toStream()
        .map((record) => ({
          key: String(record.key.windowStartMs),
          value: { auction: record.key.key, count: record.value },
        }))
        .groupByKey({ ...strings, value })
        .aggregate(
          () => ({ count: 0, auctions: [] as readonly string[] }),
          (hot, { value: { auction, count } }) => {
            if (count < hot.count) return hot;
            const before = count > hot.count ? [] : hot.auctions;
            return { count, auctions: [...before, auction].sort() };
          },
          { store: 'hottest' },
        )
        .toStream()
        .to(output);
    },
  },
  q7: {
    ...{ title: 'highest bids of each 10 s', inputs: [bids], compares: 'all' },
    build: (builder, output) => {
      bidStream(builder)
        .groupBy(() => 'all', strings)
        .windowedBy(tumblingWindow({ sizeMs: SECONDS_10 }))
        .aggregate(
          () => ({ price: 0, bids: [] as readonly { auction: number; bidder: number }[] }),
          (best, { value: { auction, bidder, price } }) => {
            if (price < best.price) return best;
            const before = price > best.price ? [] : best.bids;
            return { price, bids: [...before, { auction, bidder }] };
          },
          { store: 'highest', emit: 'final' },
        )
        .toStream(({ key }) => String(key.windowEndMs), strings)
        .to(output);
    },
  },
  q8: {
    ...{ title: 'new people who sell at once', inputs: [persons, auctions], compares: 'last' },
    build: (builder, output) => {
      const windows = tumblingWindow({ sizeMs: SECONDS_10 });
      const people = builder
        .stream(persons, { nullKeys: 'fail' })
        .mapValues(({ name }) => name)
        .groupByKey({ ...strings, value: string() })
        .windowedBy(windows)
        .reduce((name) => name, { store: 'registered' });
      builder
        .stream(auctions)
        .map(({ value }) => ({ key: String(value.seller), value: value.id }))
        .groupByKey({ ...strings, value: json<number>() })
        .windowedBy(windows)
        .reduce((auction) => auction, { store: 'sellers' })
        .join(people, (_, name) => name)
        .toStream(({ key }) => `${key.key} ${key.windowStartMs}`, strings)
        .to(output);
    },
  },
  q11: {
    ...{ title: 'sessions of bidders with gaps of 10 s', inputs: [bids], compares: 'all' },
    build: (builder, output) => {
      bidStream(builder)
        .groupBy(({ value }) => String(value.bidder), strings)
        .windowedBy(sessionWindow({ gapMs: SECONDS_10 }))
        .count({ store: 'sessions', emit: 'final' })
        .toStream(({ key }) => `${key.key} ${key.windowStartMs} ${key.windowEndMs}`, strings)
        .to(output);
    },
  },
  q12: {
    ...{ title: 'bids of each bidder in 10 s by the clock', inputs: [bids], compares: 'sum' },
    build: (builder, output) => {
      builder
        .stream(bids, { timestamp: wallclockTimestamp() })
        .groupBy(({ value }) => String(value.bidder), strings)
        .windowedBy(tumblingWindow({ sizeMs: SECONDS_10 }))
        .count({ store: 'by-clock', emit: 'final' })
        .toStream(({ key }) => key.key, strings)
        .to(output);
    },
  },
  q13: {
    ...{ title: 'bids with a side input', inputs: [bids], compares: 'all' },
    build: (builder, output) => {
      bidStream(builder)
        .join(
          builder.globalTable(sideInput),
          ({ value }) => String(value.auction % SIDE_ROWS),
          ({ auction, bidder, price, at }, side) => ({ auction, bidder, price, at, side }),
        )
        .to(output);
    },
  },
  q14: {
    ...{ title: 'bids of a price range, calculated', inputs: [bids], compares: 'all' },
    build: (builder, output) => {
      bidStream(builder)
        .mapValues(calculated)
        .filter(({ value }) => value.price > 1_000_000 && value.price < 50_000_000)
        .to(output);
    },
  },
  q17: {
    ...{ title: 'statistics of each auction and day', inputs: [bids], compares: 'last' },
    build: (builder, output) => {
      bidStream(builder)
        .groupByKey()
        .windowedBy(tumblingWindow({ sizeMs: days(1) }))
        .aggregate(
          () => NO_BIDS,
          (known, { value }) => withBid(known, value.price),
          { store: 'statistics' },
        )
        .toStream(({ key }) => `${key.key} ${key.windowStartMs}`, strings)
        .to(output);
    },
  },
  q18: {
    ...{ title: 'last bid of each bidder on each auction', inputs: [bids], compares: 'last' },
    build: (builder, output) => {
      bidStream(builder)
        .groupBy(({ value }) => `${value.bidder} ${value.auction}`, strings)
        .reduce((known, bid) => (bid.at >= known.at ? bid : known), { store: 'last-bids' })
        .toStream()
        .to(output);
    },
  },
  q19: {
    ...{ title: 'ten best bids of each auction', inputs: [bids], compares: 'last' },
    build: (builder, output) => {
      bidStream(builder)
        .mapValues(({ bidder, price }) => ({ bidder, price }))
        .groupByKey({ ...strings, value: json<{ bidder: number; price: number }>() })
        .topN(TOP, { by: ({ price }) => price, store: 'best' })
        .toStream()
        .to(output);
    },
  },
  q20: {
    ...{ title: 'bids with their auction', inputs: [bids, auctions], compares: 'all' },
    build: joinUnbounded,
  },
  q21: {
    ...{ title: 'bids with the number of their channel', inputs: [bids], compares: 'all' },
    build: (builder, output) => {
      bidStream(builder)
        .mapValues((bid) => ({ ...bid, channelId: channelOf(bid) }))
        .filter(({ value }) => value.channelId !== undefined)
        .to(output);
    },
  },
  q22: {
    ...{ title: 'bids with the folders of their url', inputs: [bids], compares: 'all' },
    build: (builder, output) => {
      bidStream(builder)
        .mapValues(({ auction, bidder, price, channel, url }) => {
          const [, , , dir1, dir2, dir3] = url.split('/');
          return { auction, bidder, price, channel, dir1, dir2, dir3 };
        })
        .to(output);
    },
  },
};

export const queries: readonly Query[] = Object.entries(QUERIES).map(([name, query]) => {
  return { name, ...query };
});

/** The states of q3. */
export function isNear(state: string): boolean {
  return state === 'OR' || state === 'ID' || state === 'CA';
}

/** The result of q14, for bids of any price. */
function calculated({ auction, bidder, price, at, extra }: Bid): {
  readonly price: number;
} {
  const hour = new Date(at).getUTCHours();
  const isDay = hour >= 8 && hour <= 18;
  const isNight = hour <= 6 || hour >= 20;
  return {
    ...{ auction, bidder, price: price * DOLLARS_TO_EUROS, at, extra },
    ...{ timeType: isDay ? 'dayTime' : isNight ? 'nightTime' : 'otherTime' },
    ...{ cCount: extra.split('c').length - 1 },
  };
}

/** The statistics of q17. */
export interface Statistics {
  readonly total: number;
  /** Bids below 10,000, below a million, and from there on. */
  readonly ranks: readonly [number, number, number];
  readonly min: number;
  readonly max: number;
  readonly sum: number;
}

const NO_BIDS: Statistics = {
  ...{ total: 0, ranks: [0, 0, 0], min: Number.MAX_SAFE_INTEGER, max: 0, sum: 0 },
};

function withBid({ total, ranks, min, max, sum }: Statistics, price: number): Statistics {
  const [low, middle, high] = ranks;
  const isLow = price < 10_000;
  const isHigh = price >= 1_000_000;
  return {
    total: total + 1,
    ranks: [low + Number(isLow), middle + Number(!isLow && !isHigh), high + Number(isHigh)],
    ...{ min: Math.min(min, price), max: Math.max(max, price), sum: sum + price },
  };
}

/**
 * A join in SQL's sense: a bid may come before its auction, however long. A stream-table join would
 * leave out such a bid, and a join of streams has a window.
 */
function joinUnbounded(builder: StreamsBuilder, output: Output): void {
  interface Either {
    readonly auction?: Auction;
    readonly bid?: Bid;
  }
  const known = builder.addStore(keyValueStore('known', { ...strings, value: json<Auction>() }));
  const waiting = builder.addStore(
    keyValueStore('waiting', { ...strings, value: json<readonly Bid[]>() }),
  );
  const opened = builder.stream(auctions, { nullKeys: 'fail' });
  bidStream(builder)
    .mapValues((bid): Either => ({ bid }))
    .merge(opened.mapValues((auction): Either => ({ auction })))
    .process<string, object>(
      (context) => {
        const [auctionOf, bidsOf] = [context.store(known), context.store(waiting)];
        const join = (key: string, bid: Bid, auction: Auction): void => {
          if (auction.category === 10) context.forward({ key, value: { ...auction, bid } });
        };
        return {
          process: ({ key, value: { auction, bid }, timestampMs }) => {
            if (auction !== undefined) {
              auctionOf.put(key, auction, timestampMs);
              for (const each of bidsOf.get(key) ?? []) join(key, each, auction);
              bidsOf.delete(key, timestampMs);
            }
            if (bid === undefined) return;
            const opener = auctionOf.get(key);
            if (opener !== undefined) join(key, bid, opener);
            else bidsOf.put(key, [...(bidsOf.get(key) ?? []), bid], timestampMs);
          },
        };
      },
      { name: 'join-unbounded', stores: [known, waiting] },
    )
    .to(output);
}

const CHANNEL_IDS: Readonly<Record<string, string>> = {
  ...{ apple: '0', google: '1', facebook: '2', baidu: '3' },
};

/** The channel's number of q21, if it has one. */
function channelOf({ channel, url }: Bid): string | undefined {
  return CHANNEL_IDS[channel.toLowerCase()] ?? /(?:&|^)channel_id=([^&]*)/.exec(url)?.[1];
}
