import { setTimeout as pause } from 'node:timers/promises';
import { bytes, json, string, systemClock, topic, type Log } from '../../core/index.ts';
import {
  minutes,
  StreamsBuilder,
  tumblingWindow,
  type StreamsApp,
  type Topology,
} from '../../streams/index.ts';

/** A minute of everything, in segments of a few seconds: retention always has some to remove. */
const config = { retentionMs: minutes(1), segmentBytes: 8 << 20 };
const PARTITIONS = 4;

export interface Click {
  readonly page: string;
  readonly at: number;
}

/** How many clicks a page had in a window. */
export interface PageCount {
  readonly page: string;
  readonly windowStartMs: number;
  readonly count: number;
}

export const clicks = topic('clicks', {
  ...{ key: string(), value: json<Click>(), partitions: PARTITIONS, config },
});
/** The same topic, for what is no click. */
const anything = topic('clicks', { key: string(), value: bytes(), partitions: PARTITIONS, config });
export const counts = topic('counts', {
  ...{ key: string(), value: json<PageCount>(), partitions: PARTITIONS, config },
});
export const APPLICATION = 'soak';
export const deadLetters = topic(`${APPLICATION}-dead-letters`, {
  ...{ key: bytes(), value: bytes(), partitions: 1, config: { ...config, segmentBytes: 1 << 20 } },
});

const WINDOW_MS = 10_000;
const PAGES = 1_000;
const USERS = 10_007;
/** Of so many records one cannot be read, and one cannot be processed. */
const BAD_EVERY = 2_000;
/** The page that no function takes. */
const REFUSED = 'refused';
const SLICE_MS = 50;
const QUERY_MS = 20;

/** Counts the clicks of each page, which come from all partitions, in windows. */
export function countClicks() {
  const builder = new StreamsBuilder();
  const table = builder
    .stream(clicks, { nullKeys: 'fail', nullValues: 'fail', onError: 'deadLetter' })
    .groupBy(pageOf, { key: string(), onError: 'deadLetter' })
    .windowedBy(tumblingWindow({ sizeMs: WINDOW_MS, graceMs: 5_000 }))
    .count({ store: 'clicks-by-page', emit: 'final' });
  table
    .toStream()
    .map(({ key: { key: page, windowStartMs }, value: count }) => {
      return { key: page, value: { page, windowStartMs, count } };
    })
    .to(counts);
  const topology: Topology = builder.build();
  return { table, topology };
}

function pageOf({ value: { page } }: { readonly value: Click }): string {
  if (page === REFUSED) throw new TypeError(`${page} is no page`);
  return page;
}

/** What was sent, and what of it has come out: the exact answer, of any number of records. */
export class Answer {
  sent = 0;
  /** Records that have to become dead letters. */
  bad = 0;
  results = 0;
  letters = 0;
  queries = 0;
  /** The longest that a query took. */
  slowestQueryMs = 0;
  /** What is wrong; the first few of it. */
  readonly faults: string[] = [];
  /** By window and page, the clicks whose result has not come. */
  readonly #open = new Map<string, number>();

  noteClick(page: string, timestampMs: number): void {
    const place = placeOf(page, timestampMs - (timestampMs % WINDOW_MS));
    this.#open.set(place, (this.#open.get(place) ?? 0) + 1);
  }

  noteResult({ page, windowStartMs, count }: PageCount): void {
    const place = placeOf(page, windowStartMs);
    const expected = this.#open.get(place);
    if (expected !== count) {
      this.fault(`${place} has ${count}, and not ${expected ?? 'none, or no second one'}`);
    }
    this.#open.delete(place);
    this.results++;
  }

  /** A query of a window that may not be complete, or have closed since. */
  noteQuery(page: string, windowStartMs: number, found: number): void {
    const expected = this.#open.get(placeOf(page, windowStartMs));
    this.queries++;
    if (expected !== undefined && found > expected) {
      this.fault(`a query finds ${found} of ${page}, where ${expected} were sent`);
    }
  }

  fault(text: string): void {
    if (this.faults.length < 10) this.faults.push(text);
  }

  /** Compares what must be equal once everything has ended. */
  check(): void {
    for (const [place, count] of this.#open) this.fault(`${place} has no result, and not ${count}`);
    if (this.letters !== this.bad) {
      this.fault(`${this.letters} dead letters of ${this.bad} bad records`);
    }
  }
}

function placeOf(page: string, windowStartMs: number): string {
  return `${page} from ${windowStartMs}`;
}

/** Writes this many records a second until the end. */
export async function write(
  log: Log,
  answer: Answer,
  { rate, isOver }: { readonly rate: number; readonly isOver: () => boolean },
): Promise<void> {
  const producer = log.producer({ acks: 1 });
  const writer = await producer.writer(clicks);
  const other = await producer.writer(anything);
  const startMs = systemClock.nowMs();
  const begunMs = performance.now();
  while (!isOver()) {
    const due = Math.floor(((performance.now() - begunMs) / 1000) * rate);
    for (; answer.sent < due; answer.sent++) {
      const index = answer.sent;
      const user = `user-${index % USERS}`;
      const timestampMs = startMs + Math.floor((index * 1000) / rate);
      const kind = index % BAD_EVERY;
      if (kind === 0) other.write(user, Buffer.from('{"page": '), timestampMs);
      else {
        const page = kind === 1 ? REFUSED : `/page-${(index * 7) % PAGES}`;
        writer.write(user, { page, at: index }, timestampMs);
        if (kind !== 1) answer.noteClick(page, timestampMs);
      }
      if (kind < 2) answer.bad++;
      if (producer.isFull) await producer.room();
    }
    await pause(SLICE_MS);
  }
  await producer.close();
}

/** Reads results and dead letters, as another program would, until `hasEnded` and beyond. */
export async function read(log: Log, answer: Answer, hasEnded: () => boolean): Promise<void> {
  const options = { isolationLevel: 'read_committed', maxPollRecords: 5_000 } as const;
  const results = log.consumer({ ...options, groupId: 'results' }).subscribe([counts]);
  const letters = log.consumer({ ...options, groupId: 'letters' }).subscribe([deadLetters]);
  const readAll = async (poll: () => Promise<number>): Promise<void> => {
    for (;;) {
      const wasLast = hasEnded();
      if ((await poll()) === 0 && wasLast) return;
    }
  };
  const wait = { maxWaitMs: 1_000 };
  await Promise.all([
    readAll(async () => {
      const records = await results.poll(wait);
      for (const { value } of records) if (value !== null) answer.noteResult(value);
      return records.length;
    }),
    readAll(async () => {
      const { length } = await letters.poll(wait);
      answer.letters += length;
      return length;
    }),
  ]);
  await Promise.all([results.close(), letters.close()]);
}

/** Asks for a page of the present window, again and again. */
export async function query(
  app: StreamsApp,
  table: ReturnType<typeof countClicks>['table'],
  answer: Answer,
  isOver: () => boolean,
): Promise<void> {
  const store = app.store(table);
  for (let index = 0; !isOver(); index++) {
    const page = `/page-${index % PAGES}`;
    const nowMs = systemClock.nowMs();
    const windowStartMs = nowMs - (nowMs % WINDOW_MS);
    const begunMs = performance.now();
    const found = await store.get(page, windowStartMs);
    answer.slowestQueryMs = Math.max(answer.slowestQueryMs, performance.now() - begunMs);
    answer.noteQuery(page, windowStartMs, found ?? 0);
    await pause(QUERY_MS);
  }
}
