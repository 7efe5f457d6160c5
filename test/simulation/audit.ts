import { expect } from 'vitest';
import type { ConsumerRecord, Log } from '../../core/index.ts';
import { readTopic } from '../kit/read-topic.ts';
import type { Isolation } from './notes.ts';
import type { Found, PassingTopic, WindowModel } from './models.ts';
import { aging, bounded, copies, events, fast, passing, RETENTION_BYTES, table } from './topics.ts';
import { DIRECTORY, type Life, type World } from './world.ts';

type Records = readonly ConsumerRecord<string, string>[];

/** Everything that an opening finds. */
interface Contents {
  readonly events: Readonly<Record<Isolation, Records>>;
  readonly copies: Readonly<Record<Isolation, Records>>;
  /** False while a transaction that a crash left open hides copies. */
  readonly areCopiesSettled: boolean;
  readonly fast: Records;
  /** Undefined while a transaction that a crash left open hides the end of it. */
  readonly table: readonly ConsumerRecord<string, number>[] | undefined;
  readonly aging: Window;
  readonly bounded: Window;
  /** By group, then by partition. */
  readonly groups: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly ends: ReadonlyMap<string, number>;
  readonly passing: ReadonlyMap<string, { readonly partitions: number; readonly records: Records }>;
}

interface Window {
  readonly start: number;
  readonly records: Records;
  /** The size of its segments. */
  readonly sizeBytes: number;
}

/** Reads everything and compares it with what clients know. */
export async function audit(world: World, life: Life): Promise<void> {
  const contents = await world.pump(life.clock, read(world, life.log));
  // No await from here on: a crash comes before or after.
  if (life.isOver()) return;
  const ending = world.worstEnding;
  world.worstEnding = 'close';
  checkHistories(world, contents);
  const { models, nowMs } = world;
  const found = <V>(records: readonly ConsumerRecord<string, V>[]): Found<V> => {
    return { records, ending, nowMs };
  };
  models.fast.audit(found(contents.fast));
  if (contents.table !== undefined) models.table.audit(found(contents.table));
  checkWindow(models.aging, contents.aging, found(contents.aging.records), 'age');
  checkWindow(models.bounded, contents.bounded, found(contents.bounded.records), 'size');
  checkGroups(world, contents);
  checkCopied(contents);
  checkPassing(world, contents);
}

/** For the end, after all copying: each committed record has one copy, others none. */
export async function checkCopies(world: World, life: Life): Promise<void> {
  const reading = (async () => [
    await readTopic(life.log, events, 'read_committed'),
    await readTopic(life.log, copies, 'read_committed'),
  ])();
  const [inputs = [], outputs = []] = await world.pump(life.clock, reading);
  const expected = inputs.map(({ value }) => `copy of ${value}`).sort();
  expect(outputs.map(({ value }) => value).sort()).toEqual(expected);
}

async function read(world: World, log: Log): Promise<Contents> {
  // First: an open transaction that ends while its topic is read hides what comes behind it.
  const areCopiesSettled = await isSettled(log, copies.name);
  const both = async (topic: typeof events) => ({
    read_committed: await readTopic(log, topic, 'read_committed'),
    read_uncommitted: await readTopic(log, topic, 'read_uncommitted'),
  });
  const found = new Map<string, { partitions: number; records: Records }>();
  const names = await log.admin().listTopics();
  for (const name of names.filter((each) => each.startsWith('passing'))) {
    const [described] = await log.admin().describeTopics([name]);
    const records = await readTopic(log, passing(name));
    found.set(name, { partitions: described?.partitions ?? 0, records });
  }
  const ends = new Map<string, number>();
  for (const { partition, latest } of await log.admin().offsets(events.name)) {
    ends.set(`${events.name}-${partition}`, latest);
  }
  return {
    events: await both(events),
    copies: await both(copies),
    areCopiesSettled,
    fast: await readTopic(log, fast),
    table: (await isSettled(log, table.name))
      ? await readTopic(log, table, 'read_committed')
      : undefined,
    aging: await readWindow(world, log, aging),
    bounded: await readWindow(world, log, bounded),
    groups: await readGroups(log),
    ends,
    passing: found,
  };
}

/** Whether no transaction is open in a topic. */
async function isSettled(log: Log, topic: string): Promise<boolean> {
  const ends = await log.admin().offsets(topic);
  const { partitions } = await log.api.listOffsets({
    isolationLevel: 'read_committed',
    partitions: ends.map(({ partition }) => ({ topic, partition, spec: 'latest' })),
  });
  return partitions.every(({ offset, partition }) => offset === ends[partition]?.latest);
}

async function readWindow(world: World, log: Log, topic: typeof aging): Promise<Window> {
  const records = await readTopic(log, topic);
  const start = (await log.admin().offsets(topic.name))[0]?.earliest ?? -1;
  const directory = `${DIRECTORY}/${topic.name}-0`;
  let sizeBytes = 0;
  for (const { name } of await world.disk.list(directory)) {
    if (!name.endsWith('.log')) continue;
    sizeBytes += (await world.disk.stat(`${directory}/${name}`))?.sizeBytes ?? 0;
  }
  return { start, records, sizeBytes };
}

const GROUPS = ['readers', 'dirty readers', 'copiers'];

async function readGroups(log: Log): Promise<Map<string, Map<string, number>>> {
  const groups = new Map<string, Map<string, number>>();
  for (const groupId of GROUPS) {
    const { offsets } = await log.api.offsetFetch({ groupId, requireStable: false });
    const byPlace = offsets.map(({ topic, partition, offset }) => {
      return [`${topic}-${partition}`, offset] as const;
    });
    groups.set(groupId, new Map(byPlace));
  }
  return groups;
}

/** Forgets records that were seen but not durable at a power cut; all others must be there. */
function checkHistories(world: World, { events, copies }: Contents): void {
  const { notes } = world;
  const all = [...events.read_uncommitted, ...copies.read_uncommitted];
  const present = new Set(all.map(({ value }) => value));
  notes.committed.forgetPolls(({ value }) => !present.has(value));
  notes.uncommitted.forgetPolls(({ value }) => !present.has(value));
  const poll = (isolation: Isolation, records: Records): void => {
    const operation = notes.begin(world.newValue('audit'), () => false, { isolation });
    for (const { topic, partition, offset, value } of records) {
      operation.polled({ topic, partition, offset, value: String(value) });
    }
    operation.end('ok');
  };
  poll('read_committed', [...events.read_committed, ...copies.read_committed]);
  poll('read_uncommitted', events.read_uncommitted);
}

function checkWindow(
  model: WindowModel,
  { start, sizeBytes }: Window,
  found: Found<string>,
  rule: 'age' | 'size',
): void {
  model.audit(found, start, rule);
  // A power cut may also remove records at the end.
  if (rule === 'age' || found.ending === 'power cut' || model.isAsked(start)) return;
  expect(sizeBytes).toBeGreaterThanOrEqual(RETENTION_BYTES);
}

function checkGroups({ models }: World, { groups, ends, events }: Contents): void {
  for (const [groupId, offsets] of groups) {
    for (const [place, offset] of offsets) {
      const end = ends.get(place) ?? 0;
      expect(offset <= end, JSON.stringify({ groupId, place, offset, end })).toBe(true);
    }
  }
  for (const [groupId, model] of models.groups) {
    const isolation = groupId === 'dirty readers' ? 'read_uncommitted' : 'read_committed';
    const byPlace = new Map<string, ConsumerRecord<string, string>[]>();
    for (const record of events[isolation]) {
      const place = `${record.topic}-${record.partition}`;
      byPlace.set(place, [...(byPlace.get(place) ?? []), record]);
    }
    model.audit(groups.get(groupId) ?? new Map<string, number>(), byPlace);
  }
}

/** Exactly the records below the copiers' offsets have a copy. */
function checkCopied({ events, copies, groups, areCopiesSettled }: Contents): void {
  if (!areCopiesSettled) return;
  const offsets = groups.get('copiers');
  const copied = events.read_committed.filter(({ topic, partition, offset }) => {
    return offset < (offsets?.get(`${topic}-${partition}`) ?? 0);
  });
  const expected = copied.map(({ value }) => `copy of ${value}`).sort();
  expect(copies.read_committed.map(({ value }) => value).sort()).toEqual(expected);
}

function checkPassing({ models }: World, contents: Contents): void {
  for (const [name, model] of models.passing) checkTopic(name, model, contents.passing.get(name));
  for (const name of contents.passing.keys()) expect([...models.passing.keys()]).toContain(name);
}

function checkTopic(
  name: string,
  { state, partitions, asked, sent, acknowledged }: PassingTopic,
  found: { readonly partitions: number; readonly records: Records } | undefined,
): void {
  if (state === 'gone') expect({ name, found }).toEqual({ name, found: undefined });
  if (found === undefined) {
    expect({ name, state }).not.toEqual({ name, state: 'there' });
    return;
  }
  if (state === 'there') {
    const isFine = found.partitions >= partitions && found.partitions <= asked;
    expect(isFine, JSON.stringify({ name, count: found.partitions, partitions, asked })).toBe(true);
    const values = found.records.map(({ value }) => value);
    expect(values).toEqual(expect.arrayContaining([...acknowledged]));
  }
  for (const { value } of found.records)
    expect({ name, has: sent.has(value ?? '') }).toEqual({ name, has: true });
}
