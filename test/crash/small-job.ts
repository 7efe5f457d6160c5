import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { int32, json, seededRandom, string, topic } from '../../core/index.ts';
import { csv, fileSink, fileSource, jsonl } from '../../connect/index.ts';
import { defineJob, type Job } from '../../job/index.ts';
import {
  hoppingWindow,
  tumblingWindow,
  type StreamsBuilder,
  type Windowed,
} from '../../streams/index.ts';

/** A sale: some shops of some towns, ordered by time. */
interface Sale {
  readonly at: number;
  readonly shop: string;
  readonly amount: number;
}

interface Total {
  readonly place: string;
  readonly windowStartMs: number;
  readonly count: number;
  readonly sum: number;
}

const SHOPS = 40;
const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2024, 0, 1);

const towns = topic('towns', { key: string(), value: json<{ shop: string; town: string }>() });
const sales = topic('sales', { key: string(), value: json<Sale>(), partitions: 3 });
const byTown = topic('by-town', { key: string(), value: json<Total>() });
const byShop = topic('by-shop', { key: string(), value: json<Total>() });
const deadLetters = topic('small-dead-letters', { key: string(), value: json<Sale>() });

/** Writes an input of the job, of so many sales, into `directory`. */
export function writeInput(directory: string, rows: number): void {
  mkdirSync(directory, { recursive: true });
  const shops = Array.from({ length: SHOPS }, (_, shop) => `shop-${shop},${townOf(shop)}`);
  writeFileSync(join(directory, 'towns.csv'), ['shop,town', ...shops, ''].join('\n'));
  const lines = allSales(rows).map(({ at, shop, amount }) => `${at},${shop},${amount}`);
  writeFileSync(join(directory, 'sales.csv'), ['at,shop,amount', ...lines, ''].join('\n'));
}

/**
 * The job that is killed repeatedly: a join, a repartition, two kinds of windows, final results,
 * and a function that fails for some records, of which it makes dead letters.
 */
export function smallJob(directory: string): Job {
  const columns = { at: 'number', amount: 'number' } as const;
  return defineJob({
    name: 'small',
    sources: [
      fileSource({
        path: join(directory, 'towns.csv'),
        format: csv<{ shop: string; town: string }>(),
        topic: towns,
        key: (row) => row.shop,
      }),
      fileSource({
        path: join(directory, 'sales.csv'),
        format: csv<Sale>({ columns }),
        topic: sales,
        key: (row) => row.shop,
        timestamp: (row) => row.at,
      }),
    ],
    topology,
    sinks: [
      fileSink({ topic: byTown, path: join(directory, 'out-town'), format: jsonl() }),
      fileSink({ topic: byShop, path: join(directory, 'out-shop'), format: jsonl() }),
      fileSink({ topic: deadLetters, path: join(directory, 'out-bad'), format: jsonl() }),
    ],
    // Often, so that kills hit many commits and checkpoints.
    streams: { commitIntervalMs: 20, checkpointIntervalMs: 60 },
  });
}

function topology(builder: StreamsBuilder): void {
  const table = builder.globalTable(towns);
  const stream = builder.stream(sales);
  stream.foreach(inspect, { name: 'inspect', onError: 'deadLetter' });
  const add = (sum: { count: number; sum: number }, amount: number) => {
    return { count: sum.count + 1, sum: sum.sum + amount };
  };
  const toTotal = ({ key, windowStartMs }: Windowed<string>, value: ReturnType<typeof add>) => {
    return { key, value: { place: key, windowStartMs, ...value } };
  };
  stream
    .join(
      table,
      ({ key }) => key,
      ({ amount }, { town }) => ({ amount, town }),
    )
    .map(({ value }) => ({ key: value.town, value: value.amount }))
    .groupByKey({ key: string(), value: int32() })
    .windowedBy(tumblingWindow({ sizeMs: HOUR_MS }))
    .aggregate(
      () => ({ count: 0, sum: 0 }),
      (sum, { value }) => add(sum, value),
      { store: 'towns-hourly', emit: 'final' },
    )
    .toStream()
    .map(({ key, value }) => toTotal(key, value))
    .to(byTown);
  stream
    .groupByKey()
    .windowedBy(hoppingWindow({ sizeMs: 2 * HOUR_MS, advanceMs: HOUR_MS }))
    .aggregate(
      () => ({ count: 0, sum: 0 }),
      (sum, { value }) => add(sum, value.amount),
      { store: 'shops-hourly', emit: 'final' },
    )
    .toStream()
    .map(({ key, value }) => toTotal(key, value))
    .to(byShop);
}

/** Fails for some of the sales. */
function inspect({ value }: { readonly value: Sale }): void {
  if (isBad(value)) throw new RangeError(`${value.amount} is suspicious`);
}

function isBad({ amount }: Sale): boolean {
  return amount % 50 === 0;
}

/** The expected output, computed by plain loops: the lines of the sinks, sorted. */
export function expectedOutput(rows: number): Readonly<Record<'town' | 'shop' | 'bad', string>> {
  const [town, shop] = [new Map<string, Total>(), new Map<string, Total>()];
  const all = allSales(rows);
  for (const { at, shop: name, amount } of all) {
    const hour = at - (at % HOUR_MS);
    addTo(town, townOf(Number(name.slice(5))), hour, amount);
    addTo(shop, name, hour - HOUR_MS, amount);
    addTo(shop, name, hour, amount);
  }
  const bad = all.filter(isBad);
  return {
    ...{ town: digest([...town.values()]), shop: digest([...shop.values()]) },
    bad: digestOf(bad.map((sale) => JSON.stringify(sale))),
  };
}

/** What the job has written so far. */
export function actualOutput(directory: string): ReturnType<typeof expectedOutput> {
  const read = <T>(folder: string): T[] =>
    readdirSync(join(directory, folder))
      .filter((name) => name.endsWith('.jsonl'))
      .flatMap((name) =>
        readFileSync(join(directory, folder, name), 'utf8')
          .trimEnd()
          .split('\n'),
      )
      .map((line) => JSON.parse(line) as T);
  const bad = read<Sale>('out-bad').map((sale) => JSON.stringify(sale));
  return {
    town: digest(read('out-town')),
    shop: digest(read('out-shop')),
    bad: digestOf(bad),
  };
}

function addTo(
  totals: Map<string, Total>,
  place: string,
  windowStartMs: number,
  amount: number,
): void {
  const key = `${place} ${windowStartMs}`;
  const { count = 0, sum = 0 } = totals.get(key) ?? {};
  totals.set(key, { place, windowStartMs, count: count + 1, sum: sum + amount });
}

/** A text that is equal only for equal windows: their number and a hash of all, sorted. */
function digest(totals: readonly Total[]): string {
  return digestOf(
    totals.map(
      ({ place, windowStartMs, count, sum }) => `${place} ${windowStartMs} ${count} ${sum}`,
    ),
  );
}

function digestOf(lines: readonly string[]): string {
  const all = [...lines].sort().join('\n');
  return `${lines.length} lines ${createHash('sha256').update(all).digest('hex')}`;
}

function allSales(rows: number): Sale[] {
  const random = seededRandom(1);
  let at = START_MS;
  return Array.from({ length: rows }, () => {
    at += Math.floor(random.next() * 20_000);
    const shop = `shop-${Math.floor(random.next() * SHOPS)}`;
    return { at, shop, amount: Math.floor(random.next() * 1000) };
  });
}

function townOf(shop: number): string {
  return `town-${shop % 7}`;
}
