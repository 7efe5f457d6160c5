import type { Log } from '../../core/index.ts';
import type { TimeWindows } from '../../streams/index.ts';
import type { Run } from './client.ts';
import {
  byKey,
  byPartition,
  committedBy,
  differences,
  readCommitted,
  Sequenced,
  unfinished,
  upTo,
  type Seen,
  type Sequences,
} from './comparing.ts';
import { FLUSH, smokeInput } from './smoke-input.ts';
import {
  avg,
  data,
  DAY,
  SMALL,
  SMOKE_ID,
  smokeTopic,
  TWO_DAYS,
  TWO_SECONDS,
  windowName,
} from './smoke-topology.ts';

/** How to fold the records of a key. */
type Fold = (known: number | undefined, value: number) => number;

const MIN: Fold = (known, value) => Math.min(known ?? value, value);
const MAX: Fold = (known, value) => Math.max(known ?? value, value);
const SUM: Fold = (known, value) => (known ?? 0) + value;
const COUNT: Fold = (known) => (known ?? 0) + 1;

/** What is wrong with the results of the smoke test. */
export async function checkSmoke(log: Log, run: Run, isOver: boolean): Promise<string[]> {
  const committed = await committedBy(log, SMOKE_ID);
  const all = await readCommitted(log, data);
  const read = upTo(all, committed);
  const findings = isOver ? checkInput(all, read, run) : [];
  const topics = new Map<string, Seen[]>();
  const records = async (name: string): Promise<Seen[]> => {
    const found = await readCommitted(log, smokeTopic(name));
    topics.set(name, found);
    if (isOver) findings.push(...(await unfinished(log, smokeTopic(name), found)));
    return found;
  };

  const echo = byPartition(read.filter(({ key }) => key !== FLUSH));
  findings.push(...differences('echo', echo, byPartition(await records('echo'))));
  const windowed = [
    ...([
      ['min-raw', DAY, MIN],
      ['sws-raw', SMALL, SUM],
      ['wcnt', TWO_SECONDS, COUNT],
    ] as const),
  ];
  for (const [name, windows, fold] of windowed) {
    const expected = changesOf(read, windows, fold);
    findings.push(...differences(name, expected, byKey(await records(name))));
    if (name === 'wcnt') continue;
    // Exactly one result for each window: the last one. Not before the window has closed.
    const final = `${name.replace('-raw', '')}-suppressed`;
    const exactness = isOver ? 'equal' : 'prefix';
    const found = byKey(await records(final));
    findings.push(...differences(final, lastOf(expected), found, exactness));
  }
  for (const [name, windows, fold] of [
    ['min', DAY, MIN],
    ['max', TWO_DAYS, MAX],
    ['sum', TWO_DAYS, SUM],
    ['cnt', TWO_DAYS, COUNT],
  ] as const) {
    const expected = changesOf(read, windows, fold, (key) => key);
    findings.push(...differences(name, expected, byKey(await records(name))));
  }
  if (!isOver) return findings;
  const averages = await readCommitted(log, avg);
  findings.push(
    ...(await unfinished(log, avg, averages)),
    ...checkJoin('dif', await records('dif'), topics.get('max'), topics.get('min'), minus),
    ...checkJoin('avg', averages, topics.get('sum'), topics.get('cnt'), by),
    ...checkGroups(await records('tagg'), topics.get('cnt') ?? []),
    ...checkLast(topics, averages),
  );
  return findings;
}

const minus = (left: number, right: number): number => left - right;
const by = (left: number, right: number): number => left / right;

/** The input is complete, in the order in which it was sent, and was read to its end. */
function checkInput(all: readonly Seen[], read: readonly Seen[], run: Run): string[] {
  const partitions = new Map(all.map(({ key, partition }) => [key, String(partition)]));
  const sent = new Sequenced();
  for (const { key, value, timestampMs } of smokeInput(run)) {
    sent.add(partitions.get(key) ?? 'nowhere', `${key} ${value} @${timestampMs}`);
  }
  const real = all.filter(({ key }) => key !== FLUSH);
  const findings = differences('data', sent.all, byPartition(real));
  if (read.length < all.length) {
    findings.push(`data: ${read.length} of ${all.length} records were processed`);
  }
  return findings;
}

/** The value of each key and window after each record, by key. */
function changesOf(
  records: readonly Seen[],
  { sizeMs, advanceMs, graceMs }: TimeWindows,
  fold: Fold,
  nameOf?: (key: string) => string,
): Sequences {
  const known = new Map<string, { readonly value: number; readonly timestampMs: number }>();
  const times = new Map<number, number>();
  const changes = new Sequenced();
  for (const { partition, key, value, timestampMs } of records) {
    const streamTimeMs = Math.max(times.get(partition) ?? 0, timestampMs);
    times.set(partition, streamTimeMs);
    if (key === FLUSH || key === null) continue;
    const lastMs = timestampMs - (timestampMs % advanceMs);
    for (
      let startMs = lastMs - sizeMs + advanceMs;
      startMs <= timestampMs && startMs >= 0;
      startMs += advanceMs
    ) {
      if (startMs + sizeMs + graceMs <= streamTimeMs) continue; // late
      const windowKey = { key, windowStartMs: startMs, windowEndMs: startMs + sizeMs };
      const name = nameOf?.(key) ?? windowName(windowKey);
      const before = known.get(name);
      const after = {
        value: fold(before?.value, value ?? NaN),
        timestampMs: Math.max(before?.timestampMs ?? 0, timestampMs),
      };
      known.set(name, after);
      changes.add(name, `${after.value} @${after.timestampMs}`);
    }
  }
  return changes.all;
}

function lastOf(sequences: Sequences): Sequences {
  return new Map([...sequences].map(([name, all]) => [name, all.slice(-1)]));
}

/**
 * The results of an inner join of two tables have to be those of some interleaving of the changes
 * of both: one for each change, once both have the key.
 */
function checkJoin(
  name: string,
  results: readonly Seen[],
  left: readonly Seen[] = [],
  right: readonly Seen[] = [],
  joiner: (left: number, right: number) => number,
): string[] {
  const valuesOf = (records: readonly Seen[]): Map<string, number[]> => {
    const found = new Map<string, number[]>();
    for (const { key, value } of records) {
      found.set(key ?? '', [...(found.get(key ?? '') ?? []), value ?? NaN]);
    }
    return found;
  };
  const [joined, lefts, rights] = [valuesOf(results), valuesOf(left), valuesOf(right)];
  const findings: string[] = [];
  for (const [key, leftValues] of lefts) {
    const rightValues = rights.get(key) ?? [];
    const found = joined.get(key) ?? [];
    if (!isInterleaving(found, leftValues, rightValues, joiner)) {
      findings.push(`${name}: no order of both sides of ${key} has the results ${found.join(' ')}`);
    }
  }
  return findings.slice(0, 3);
}

function isInterleaving(
  results: readonly number[],
  left: readonly number[],
  right: readonly number[],
  joiner: (left: number, right: number) => number,
): boolean {
  // Each state is how many changes of the left side came; how many of the right follows from the
  // number of results, and from how many came before the other side had the key.
  for (const [first, second, swap] of [
    [left, right, false],
    [right, left, true],
  ] as const) {
    const of = (one: number, other: number): number =>
      swap ? joiner(other, one) : joiner(one, other);
    for (let alone = 1; alone <= first.length; alone++) {
      if (first.length - alone + second.length !== results.length) continue;
      // `alone` changes of one side, then the first of the other, whose result is the first.
      let states = new Set([alone]);
      for (let index = 0; index < results.length && states.size > 0; index++) {
        const next = new Set<number>();
        for (const came of states) {
          const others = index - (came - alone); // before this step
          const steps = index === 0 ? [came] : [came, came + 1];
          for (const now of steps) {
            const otherNow = now === came ? others + 1 : others;
            if (now > first.length || otherNow > second.length || otherNow === 0) continue;
            if (of(first[now - 1]!, second[otherNow - 1]!) === results[index]) next.add(now);
          }
        }
        states = next;
      }
      if (states.size > 0) return true;
    }
  }
  return false;
}

/** How many keys have a count: it rises when a key comes to it, and falls when one leaves it. */
function checkGroups(results: readonly Seen[], counts: readonly Seen[]): string[] {
  const [comes, leaves] = [new Map<string, number>(), new Map<string, number>()];
  const increment = (map: Map<string, number>, key: string): void => {
    map.set(key, (map.get(key) ?? 0) + 1);
  };
  for (const { value } of counts) {
    increment(comes, String(value));
    if (value !== null && value > 1) increment(leaves, String(value - 1));
  }
  const found = new Map<string, number[]>();
  for (const { key, value } of results) {
    found.set(key ?? '', [...(found.get(key ?? '') ?? []), value ?? NaN]);
  }
  const findings: string[] = [];
  for (const [group, came] of comes) {
    const left = leaves.get(group) ?? 0;
    const values = found.get(group) ?? [];
    const isSmooth = values.every((value, index) => {
      return Math.abs(value - (values[index - 1] ?? 0)) === 1;
    });
    if (!isSmooth || values.length !== came + left || values.at(-1) !== came - left) {
      findings.push(`tagg: ${came} keys came to ${group}, ${left} left it: ${values.join(' ')}`);
    }
  }
  return findings.slice(0, 3);
}

/** The last result of each key is what the key says. */
function checkLast(topics: ReadonlyMap<string, readonly Seen[]>, averages: readonly Seen[]) {
  const findings: string[] = [];
  const expectLast = (
    name: string,
    records: readonly Seen[],
    valueOf: (min: number, max: number) => number,
  ): void => {
    for (const [key, value] of new Map(records.map((each) => [each.key ?? '', each.value]))) {
      const [min = NaN, max = NaN] = key.split('-').map(Number);
      if (value === valueOf(min, max)) continue;
      findings.push(`${name}: the last of ${key} is ${value}, not ${valueOf(min, max)}`);
    }
  };
  const count = (min: number, max: number): number => max - min + 1;
  const half = (min: number, max: number): number => (min + max) / 2;
  expectLast('min', topics.get('min') ?? [], (min) => min);
  expectLast('max', topics.get('max') ?? [], (_, max) => max);
  expectLast('dif', topics.get('dif') ?? [], (min, max) => max - min);
  expectLast('cnt', topics.get('cnt') ?? [], count);
  expectLast('sum', topics.get('sum') ?? [], (min, max) => half(min, max) * count(min, max));
  expectLast('avg', averages, half);
  return findings.slice(0, 3);
}
