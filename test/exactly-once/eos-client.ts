/**
 * What Kafka's system tests `EosTestClient` and `EosTestDriver` do (org.apache.kafka.streams.tests
 * in Kafka's `streams/`): random input for ever, an echo of it, running aggregates of each key, and
 * the same again behind a topic in between. Each aggregate has one result for each record, so that
 * every record of every output follows from the input.
 */
import { int64, string, topic, type Log } from '../../core/index.ts';
import { StreamsBuilder, type KStream, type Topology } from '../../streams/index.ts';
import type { Client, InputRecord } from './client.ts';
import {
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

const APPLICATION_ID = 'eos-test';
const KEYS = 1_000;
const VALUES = 10_000;
const START_MS = Date.UTC(2026, 0, 1);

const numbers = (name: string) =>
  topic(name, { key: string(), value: int64(), partitions: 3 } as const);
const data = numbers('data');
const echo = numbers('echo');
const repartition = numbers('repartition');

interface Aggregate {
  readonly initial: number;
  readonly add: (known: number, value: number) => number;
}

const AGGREGATES = {
  min: { initial: Number.MAX_SAFE_INTEGER, add: Math.min },
  sum: { initial: 0, add: (sum, value) => sum + value },
  max: { initial: Number.MIN_SAFE_INTEGER, add: Math.max },
  cnt: { initial: 0, add: (count) => count + 1 },
} as const satisfies Record<string, Aggregate>;

type AggregateName = keyof typeof AGGREGATES;

/** Which of them come before, and which behind, the topic in between. */
const DIRECT = ['min', 'sum'] as const;
const BEHIND = ['max', 'cnt'] as const;

export function eosClient({ isRepartitioned }: { readonly isRepartitioned: boolean }): Client {
  const outputs = ['echo', ...DIRECT, ...(isRepartitioned ? ['repartition', ...BEHIND] : [])];
  return {
    applicationId: APPLICATION_ID,
    input: data,
    topics: outputs.map(numbers),
    topology: () => topology(isRepartitioned),
    inputOf: (_, before, random) => randomInput(before.length, () => random.next()),
    isLimited: false,
    lastInput: [],
    pace: 10,
    check: (log, _, isOver) => check(log, { isRepartitioned, isOver }),
  };
}

function topology(isRepartitioned: boolean): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(data, { nullKeys: 'fail' });
  stream.to(echo);
  addAggregates(stream, DIRECT);
  if (isRepartitioned) {
    stream.to(repartition);
    addAggregates(builder.stream(repartition, { nullKeys: 'fail' }), BEHIND);
  }
  return builder.build();
}

function addAggregates(stream: KStream<string, number>, names: readonly AggregateName[]): void {
  const grouped = stream.groupByKey();
  for (const name of names) {
    const { initial, add }: Aggregate = AGGREGATES[name];
    grouped
      .aggregate(
        () => initial,
        (known, { value }) => add(known, value),
        { store: `${name}-store`, emit: 'each', value: int64() },
      )
      .toStream()
      .to(numbers(name));
  }
}

/** Time moves on by a millisecond a record, with some disorder. */
function* randomInput(from: number, random: () => number): Generator<InputRecord> {
  for (let index = from; ; index++) {
    const upTo = (limit: number): number => Math.floor(random() * limit);
    yield {
      key: String(upTo(KEYS)),
      value: upTo(VALUES),
      timestampMs: START_MS + index + upTo(50),
    };
  }
}

async function check(
  log: Log,
  { isRepartitioned, isOver }: { readonly isRepartitioned: boolean; readonly isOver: boolean },
): Promise<string[]> {
  const committed = await committedBy(log, APPLICATION_ID);
  const all = await readCommitted(log, data);
  const read = upTo(all, committed);
  const findings: string[] = [];
  if (isOver && read.length < all.length) {
    findings.push(`data: ${read.length} of ${all.length} records were processed`);
  }
  const expect = async (name: string, expected: Sequences): Promise<Seen[]> => {
    const records = await readCommitted(log, numbers(name));
    findings.push(...differences(name, expected, byPartition(records)));
    if (isOver) findings.push(...(await unfinished(log, numbers(name), records)));
    return records;
  };
  await expect('echo', byPartition(read));
  for (const name of DIRECT) await expect(name, running(read, name));
  if (!isRepartitioned) return findings;
  const between = await expect('repartition', byPartition(read));
  const readAgain = upTo(between, committed);
  if (isOver && readAgain.length < between.length) {
    findings.push(`repartition: ${readAgain.length} of ${between.length} records were processed`);
  }
  for (const name of BEHIND) await expect(name, running(readAgain, name));
  return findings;
}

/** The results of an aggregate: one for each record, in the partition of the record. */
function running(records: readonly Seen[], name: AggregateName): Sequences {
  const { initial, add }: Aggregate = AGGREGATES[name];
  const known = new Map<string | null, { readonly value: number; readonly timestampMs: number }>();
  const results = new Sequenced();
  for (const { partition, key, value, timestampMs } of records) {
    const before = known.get(key) ?? { value: initial, timestampMs };
    const after = {
      value: add(before.value, value ?? NaN),
      timestampMs: Math.max(before.timestampMs, timestampMs),
    };
    known.set(key, after);
    results.add(String(partition), `${key} ${after.value} @${after.timestampMs}`);
  }
  return results.all;
}
