/** The answers to Nexmark's queries by plain loops over all events. */
import type { Auction, Bid, NexmarkEvent, Person } from './events.ts';
import { DOLLARS_TO_EUROS, HOT, isNear, SECONDS_10, SIDE_ROWS, TOP } from './queries.ts';

/** The key and the value of each result. */
export type Answer = readonly (readonly [key: string, value: unknown])[];

interface Events {
  readonly persons: readonly Person[];
  readonly auctions: readonly Auction[];
  readonly bids: readonly Bid[];
}

/** The answer to a query; in any order, and only the last result where the query compares that. */
export function answerOf(name: string, events: readonly NexmarkEvent[]): Answer {
  const answer = ANSWERS[name];
  if (answer === undefined) throw new TypeError(`no answer is known to ${name}`);
  const all = { persons: [] as Person[], auctions: [] as Auction[], bids: [] as Bid[] };
  for (const event of events) {
    if (event.kind === 'person') all.persons.push(event.value);
    else if (event.kind === 'auction') all.auctions.push(event.value);
    else all.bids.push(event.value);
  }
  return answer(all);
}

/** The text that q13 finds for a number. */
export function sideText(row: number): string {
  return `text ${row}`;
}

const ANSWERS: Readonly<Record<string, (events: Events) => Answer>> = {
  q0: ({ bids }) => bids.map((bid) => [String(bid.auction), bid]),
  q1: ({ bids }) =>
    bids.map(({ auction, bidder, price, at, extra }) => [
      String(auction),
      { auction, bidder, price: price * DOLLARS_TO_EUROS, at, extra },
    ]),
  q2: ({ bids }) =>
    bids.flatMap(({ auction, price }) =>
      auction % 123 === 0 ? [[String(auction), { auction, price }] as const] : [],
    ),
  q3: ({ persons, auctions }) => {
    const people = new Map(persons.map((person) => [person.id, person]));
    const results: [string, unknown][] = [];
    for (const { id, seller, category } of auctions) {
      const person = people.get(seller);
      if (category !== 10 || person === undefined || !isNear(person.state)) continue;
      const { name, city, state } = person;
      results.push([String(id), { name, city, state, id }]);
    }
    return results;
  },
  q4: ({ auctions, bids }) => {
    const categories = new Map<number, number[]>();
    const byAuction = grouped(bids, ({ auction }) => auction);
    for (const { id, at, expires, category } of auctions) {
      const prices = (byAuction.get(id) ?? []).flatMap((bid) =>
        bid.at >= at && bid.at <= expires ? [bid.price] : [],
      );
      if (prices.length === 0) continue;
      categories.set(category, [...(categories.get(category) ?? []), Math.max(...prices)]);
    }
    return [...categories].map(([category, best]) => [String(category), sum(best) / best.length]);
  },
  q5: ({ bids }) => {
    const windows = new Map<number, Map<string, number>>();
    for (const { auction, at } of bids) {
      const last = at - (at % HOT.advanceMs);
      for (let start = last; start > at - HOT.sizeMs; start -= HOT.advanceMs) {
        const counts = windows.get(start) ?? new Map<string, number>();
        windows.set(start, counts);
        counts.set(String(auction), (counts.get(String(auction)) ?? 0) + 1);
      }
    }
    return [...windows].map(([start, counts]) => {
      const count = Math.max(...counts.values());
      const hot = [...counts].flatMap(([auction, each]) => (each === count ? [auction] : []));
      return [String(start), { count, auctions: hot.sort() }];
    });
  },
  q7: ({ bids }) =>
    [...grouped(bids, windowOf)].map(([start, all]) => {
      const price = Math.max(...all.map((bid) => bid.price));
      const best = all.filter((bid) => bid.price === price);
      return [
        String(start + SECONDS_10),
        { price, bids: best.map(({ auction, bidder }) => ({ auction, bidder })) },
      ];
    }),
  q8: ({ persons, auctions }) => {
    const sellers = new Set(auctions.map((each) => `${each.seller} ${windowOf(each)}`));
    return persons.flatMap((person) => {
      const key = `${person.id} ${windowOf(person)}`;
      return sellers.has(key) ? [[key, person.name] as const] : [];
    });
  },
  q11: ({ bids }) => {
    const results: [string, unknown][] = [];
    for (const [bidder, all] of grouped(bids, (bid) => bid.bidder)) {
      let [start, end, count] = [all[0]?.at ?? 0, all[0]?.at ?? 0, 0];
      for (const { at } of all) {
        if (at - end > SECONDS_10) {
          results.push([`${bidder} ${start} ${end}`, count]);
          [start, count] = [at, 0];
        }
        [end, count] = [at, count + 1];
      }
      results.push([`${bidder} ${start} ${end}`, count]);
    }
    return results;
  },
  q12: ({ bids }) =>
    [...grouped(bids, ({ bidder }) => bidder)].map(([bidder, all]) => [String(bidder), all.length]),
  q13: ({ bids }) =>
    bids.map(({ auction, bidder, price, at }) => [
      String(auction),
      { auction, bidder, price, at, side: sideText(auction % SIDE_ROWS) },
    ]),
  q14: ({ bids }) =>
    bids.flatMap(({ auction, bidder, price: dollars, at, extra }) => {
      const price = dollars * DOLLARS_TO_EUROS;
      if (price <= 1_000_000 || price >= 50_000_000) return [];
      const hour = Math.floor((at % 86_400_000) / 3_600_000);
      const timeType = TIME_TYPES[hour < 7 || hour > 19 ? 0 : hour > 7 && hour < 19 ? 1 : 2];
      const cCount = extra.replaceAll(/[^c]/g, '').length;
      return [[String(auction), { auction, bidder, price, at, extra, timeType, cCount }] as const];
    }),
  q17: ({ bids }) => {
    const day = 86_400_000;
    const byDay = grouped(bids, ({ auction, at }) => `${auction} ${at - (at % day)}`);
    return [...byDay].map(([key, all]) => {
      const prices = all.map(({ price }) => price);
      const count = (isIn: (price: number) => boolean): number => prices.filter(isIn).length;
      const ranks = [
        count((price) => price < 10_000),
        count((price) => price >= 10_000 && price < 1_000_000),
        count((price) => price >= 1_000_000),
      ];
      const [min, max] = [Math.min(...prices), Math.max(...prices)];
      return [key, { total: all.length, ranks, min, max, sum: sum(prices) }];
    });
  },
  q18: ({ bids }) => [
    ...new Map(bids.map((bid) => [`${bid.bidder} ${bid.auction}`, bid] as const)),
  ],
  q19: ({ bids }) =>
    [...grouped(bids, ({ auction }) => auction)].map(([auction, all]) => {
      const best = [...all].sort((left, right) => right.price - left.price).slice(0, TOP);
      return [String(auction), best.map(({ bidder, price }) => ({ bidder, price }))];
    }),
  q20: ({ auctions, bids }) => {
    const byId = new Map(auctions.map((auction) => [auction.id, auction]));
    return bids.flatMap((bid) => {
      const auction = byId.get(bid.auction);
      if (auction?.category !== 10) return [];
      return [[String(bid.auction), { ...auction, bid }] as const];
    });
  },
  q21: ({ bids }) =>
    bids.flatMap((bid) => {
      const index = ['Apple', 'Google', 'Facebook', 'Baidu'].indexOf(bid.channel);
      const channelId = index < 0 ? new URL(bid.url).searchParams.get('channel_id') : `${index}`;
      return channelId === null ? [] : [[String(bid.auction), { ...bid, channelId }] as const];
    }),
  q22: ({ bids }) =>
    bids.map(({ auction, bidder, price, channel, url }) => {
      const [dir1, dir2, dir3] = url.replace('https://www.nexmark.com/', '').split('/');
      return [String(auction), { auction, bidder, price, channel, dir1, dir2, dir3 }];
    }),
};

const TIME_TYPES = ['nightTime', 'dayTime', 'otherTime'];

function windowOf({ at }: { readonly at: number }): number {
  return at - (at % SECONDS_10);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Lists by what `keyOf` says, each in the order of time. */
function grouped<T, K>(all: readonly T[], keyOf: (each: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const each of all) {
    const group = groups.get(keyOf(each));
    if (group === undefined) groups.set(keyOf(each), [each]);
    else group.push(each);
  }
  return groups;
}
