/** The topologies of the benchmark; Kafka's in `Workloads.java`. */
import { int64, json, string, topic } from 'millrace';
import {
  joinWindow,
  minutes,
  tumblingWindow,
  windowedSerde,
  type StreamsBuilder,
} from 'millrace/streams';
import type { Event } from './inputs.ts';
import type { Task } from './tasks.ts';

export interface Mapped {
  readonly key: string;
  readonly at: number;
  readonly amount: number;
}

export interface Pair {
  readonly key: string;
  readonly left: number;
  readonly right?: number;
  readonly at: number;
}

interface Row {
  readonly version: number;
  readonly text: string;
}

/** The topics of a task. Several have the name `results`: a task uses one of them. */
export function topicsOf({ partitions }: Task) {
  const event = { key: string(), value: json<Event>(), partitions };
  return {
    events: topic('events', event),
    lefts: topic('lefts', event),
    rights: topic('rights', event),
    rows: topic('rows', { key: string(), value: json<Row>(), partitions }),
    lines: topic('lines', { key: string(), value: string(), partitions }),
    mapped: topic('results', { key: string(), value: json<Mapped>(), partitions }),
    pairs: topic('results', { key: string(), value: json<Pair>(), partitions }),
    versions: topic('results', { key: string(), value: json<number>(), partitions }),
    counts: topic('results', {
      key: windowedSerde(string(), minutes(1)),
      value: int64(),
      partitions,
    }),
  };
}

type Topics = ReturnType<typeof topicsOf>;
type Build = (
  builder: StreamsBuilder,
  topics: Topics,
  task: Task & { readonly onRecord: () => void },
) => void;

export const TOPOLOGIES: Partial<Record<Task['workload'], Build>> = {
  map: (builder, { events, mapped }) => {
    builder
      .stream(events)
      .mapValues((event) => change(event))
      .to(mapped);
  },
  start: watchedMap,
  latency: watchedMap,
  count: (builder, { events, counts }, { windowMs }) => {
    builder
      .stream(events)
      .groupByKey()
      .windowedBy(tumblingWindow({ sizeMs: windowMs }))
      .count({ store: 'counts', emit: 'commit' })
      .toStream()
      .to(counts);
  },
  'table-join': (builder, { lefts, rights, pairs }) => {
    builder.stream(lefts).leftJoin(builder.table(rights), combine).to(pairs);
  },
  'stream-join': (builder, { lefts, rights, pairs }, { windowMs }) => {
    const window = joinWindow({ differenceMs: windowMs });
    builder.stream(lefts).join(builder.stream(rights), combine, { window, store: 'j' }).to(pairs);
  },
  restart: (builder, { rows, versions }, { onRecord }) => {
    builder
      .stream(rows)
      .peek(() => onRecord())
      .groupByKey()
      .reduce((_, row) => row, { store: 'newest', value: json<Row>() })
      .toStream()
      .mapValues(({ version }) => version)
      .to(versions);
  },
};

function watchedMap(...[builder, { events, mapped }, { onRecord }]: Parameters<Build>): void {
  builder
    .stream(events)
    .peek(() => onRecord())
    .mapValues((event) => change(event))
    .to(mapped);
}

function change({ key, at, amount }: Event): Mapped {
  return { key, at, amount: amount * 2 };
}

function combine(left: Event, right: Event | undefined): Pair {
  const { key, amount, at } = left;
  return right === undefined
    ? { key, left: amount, at }
    : { key, left: amount, right: right.amount, at };
}
