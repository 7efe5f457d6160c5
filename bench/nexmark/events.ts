/**
 * The events of Nexmark: people register, open auctions and bid. Numbers, proportions and hot keys
 * are those of Apache Beam's generator (`NexmarkConfiguration`, and the generators of people,
 * auctions and bids beside it); the same seed has the same events everywhere.
 */
import { json, seededRandom, string, topic, type Random } from 'millrace';

export interface Person {
  readonly id: number;
  readonly name: string;
  readonly email: string;
  readonly city: string;
  readonly state: string;
  readonly at: number;
  readonly extra: string;
}

export interface Auction {
  readonly id: number;
  readonly item: string;
  readonly description: string;
  readonly initialBid: number;
  readonly reserve: number;
  readonly at: number;
  /** Bids count until then, that moment included. */
  readonly expires: number;
  /** A person's id. */
  readonly seller: number;
  readonly category: number;
  readonly extra: string;
}

export interface Bid {
  readonly auction: number;
  /** A person's id. */
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
  readonly at: number;
  readonly extra: string;
}

export type NexmarkEvent =
  | { readonly kind: 'person'; readonly value: Person }
  | { readonly kind: 'auction'; readonly value: Auction }
  | { readonly kind: 'bid'; readonly value: Bid };

const one = { partitions: 1 } as const;
export const persons = topic('persons', { key: string(), value: json<Person>(), ...one });
export const auctions = topic('auctions', { key: string(), value: json<Auction>(), ...one });
export const bids = topic('bids', { key: string(), value: json<Bid>(), ...one });

/** The key of an event in its topic: the id of a person or an auction, the auction of a bid. */
export function keyOf({ kind, value }: NexmarkEvent): string {
  return String(kind === 'bid' ? value.auction : value.id);
}

export interface NexmarkSettings {
  readonly seed: number;
  /** In event time. Beam: 10,000. */
  readonly eventsPerSecond: number;
}

/** Of each fifty events one is a person and three are auctions. */
const [PERSONS, AUCTIONS, ALL] = [1, 3, 50];
const FIRST_ID = 1000;
const FIRST_CATEGORY = 10;
const CATEGORIES = 5;
/** So many people are active, and so many auctions open, at a time. */
const [ACTIVE_PERSONS, OPEN_AUCTIONS] = [1000, 100];
/** Bids and auctions may name people and auctions that come so much later. */
const LEAD = 10;
/** Of so many sellers, bids and bidders all but one are hot: one of each hundred ids. */
const [HOT_SELLERS, HOT_AUCTIONS, HOT_BIDDERS] = [4, 2, 4];
const HOT_STEP = 100;
const HOT_CHANNELS = ['Google', 'Facebook', 'Baidu', 'Apple'];
const CHANNELS = 10_000;
/** Average sizes of events as JSON, in bytes. */
const SIZES = { person: 200, auction: 500, bid: 100 };
/** Half a minute before q14's day begins. */
const START_MS = Date.UTC(2024, 0, 1, 7, 59, 30);

const FIRST_NAMES = 'Peter Paul Luke John Saul Vicky Kate Julie Sarah Deiter Walter'.split(' ');
const LAST_NAMES = 'Shultz Abrams Spencer White Bartels Walton Smith Jones Noris'.split(' ');
const STATES = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY'];
const CITIES =
  'Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne'.split(',');

/** All events, in the order of their times. */
export function* nexmarkEvents(settings: NexmarkSettings): Generator<NexmarkEvent, never> {
  const generator = new Generating(settings);
  for (let index = 0; ; index++) yield generator.eventAt(index);
}

/** The longest time that an auction is open. */
export function auctionMsMax({ eventsPerSecond }: NexmarkSettings): number {
  return Math.ceil((2 * EVENTS_AHEAD * 1000) / eventsPerSecond) + 2;
}

/** After so many events the auctions that are open now have about all ended. */
const EVENTS_AHEAD = Math.floor((OPEN_AUCTIONS * ALL) / AUCTIONS);

class Generating {
  readonly #random: Random;
  readonly #eventsPerSecond: number;

  constructor({ seed, eventsPerSecond }: NexmarkSettings) {
    this.#random = seededRandom(seed);
    this.#eventsPerSecond = eventsPerSecond;
  }

  eventAt(index: number): NexmarkEvent {
    const place = index % ALL;
    if (place < PERSONS) return { kind: 'person', value: this.#person(index) };
    if (place < PERSONS + AUCTIONS) return { kind: 'auction', value: this.#auction(index) };
    return { kind: 'bid', value: this.#bid(index) };
  }

  #timeOf(index: number): number {
    return START_MS + Math.floor((index * 1000) / this.#eventsPerSecond);
  }

  #person(index: number): Person {
    const [first, last] = [this.#of(FIRST_NAMES), this.#of(LAST_NAMES)];
    const person = {
      id: FIRST_ID + lastPerson(index),
      name: `${first} ${last}`,
      email: `${this.#text(7)}@${this.#text(5)}.com`,
      city: this.#of(CITIES),
      state: this.#of(STATES),
      at: this.#timeOf(index),
    };
    return { ...person, extra: this.#fill(person, SIZES.person) };
  }

  #auction(index: number): Auction {
    const last = lastPerson(index);
    const isHot = this.#upTo(HOT_SELLERS) > 0;
    const seller = isHot ? last - (last % HOT_STEP) : this.#anyPerson(index);
    const initialBid = this.#price();
    const at = this.#timeOf(index);
    const horizonMs = this.#timeOf(index + EVENTS_AHEAD) - at;
    const auction = {
      id: FIRST_ID + lastAuction(index),
      item: this.#text(20),
      description: this.#text(100),
      initialBid,
      reserve: initialBid + this.#price(),
      at,
      expires: at + 1 + this.#upTo(Math.max(2 * horizonMs, 1)),
      seller: FIRST_ID + seller,
      category: FIRST_CATEGORY + this.#upTo(CATEGORIES),
    };
    return { ...auction, extra: this.#fill(auction, SIZES.auction) };
  }

  #bid(index: number): Bid {
    const [person, auction] = [lastPerson(index), lastAuction(index)];
    const isHotAuction = this.#upTo(HOT_AUCTIONS) > 0;
    const isHotBidder = this.#upTo(HOT_BIDDERS) > 0;
    const number = this.#upTo(CHANNELS);
    const isHotChannel = this.#upTo(2) > 0;
    const channel = isHotChannel ? this.#of(HOT_CHANNELS) : `channel-${number}`;
    const hasId = !isHotChannel && this.#upTo(10) > 0;
    const path = `${this.#text(5)}/${this.#text(5)}/${this.#text(5)}/item.htm?query=1`;
    const bid = {
      auction: FIRST_ID + (isHotAuction ? auction - (auction % HOT_STEP) : this.#anyAuction(index)),
      bidder: FIRST_ID + (isHotBidder ? person - (person % HOT_STEP) + 1 : this.#anyPerson(index)),
      price: this.#price(),
      channel,
      url: `https://www.nexmark.com/${path}${hasId ? `&channel_id=${number}` : ''}`,
      at: this.#timeOf(index),
    };
    return { ...bid, extra: this.#fill(bid, SIZES.bid) };
  }

  /** One of the people that are active, or of some that come next. */
  #anyPerson(index: number): number {
    const count = lastPerson(index) + 1;
    const active = Math.min(count, ACTIVE_PERSONS);
    return count - active + this.#upTo(active + LEAD);
  }

  /** One of the auctions that are open, or of some that come next. */
  #anyAuction(index: number): number {
    const last = lastAuction(index);
    const first = Math.max(last - OPEN_AUCTIONS, 0);
    return first + this.#upTo(last - first + 1 + LEAD);
  }

  /** Many are low, few are high. */
  #price(): number {
    return Math.round(10 ** (this.#random.next() * 6) * 100);
  }

  #text(length: number): string {
    let text = '';
    for (let index = 0; index < length; index++) text += LETTERS.charAt(this.#upTo(26));
    return text;
  }

  /** What an event lacks of its average size. */
  #fill(event: object, sizeBytes: number): string {
    const missing = sizeBytes - JSON.stringify(event).length;
    const delta = Math.round(missing * 0.2);
    return missing <= 0 ? '' : this.#text(missing - delta + this.#upTo(2 * delta + 1));
  }

  #of(list: readonly string[]): string {
    return list[this.#upTo(list.length)] ?? '';
  }

  #upTo(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** The number of the newest person at an event, itself included. */
function lastPerson(index: number): number {
  return Math.floor(index / ALL) * PERSONS + Math.min(index % ALL, PERSONS - 1);
}

/** The number of the newest auction; at the first event, which is a person, none: 0. */
function lastAuction(index: number): number {
  const place = index % ALL;
  const before = Math.floor(index / ALL) * AUCTIONS;
  if (place < PERSONS) return Math.max(before - 1, 0);
  return before + Math.min(place - PERSONS, AUCTIONS - 1);
}
