import { topic, type Headers, type Topic } from '../../../core/index.ts';
import { silentLogger } from '../../../core/logger.ts';
import {
  joinWindow,
  StreamsBuilder,
  StreamsError,
  untilTimeLimit,
  untilWindowCloses,
  type GlobalKTable,
  type KTable,
  type Topology,
  type Windowed,
} from '../../../streams/index.ts';
import { TopologyTestDriver, type TestRecord } from '../../../streams/testing/index.ts';
import {
  aggregateStream,
  aggregateTable,
  cogroupStreams,
  SERDE,
  SERDES,
  storeOf,
  type Nullable,
  type Stream,
  type Table,
} from './aggregations.ts';
import * as named from './functions.ts';
import { CLOSING_MS } from './input.ts';
import {
  processWithGlobal,
  processWithStore,
  processWithTable,
  transformed,
} from './own-stores.ts';
import { process, processValues } from './processors.ts';
import { newestOf, storeOfSource, storeOfStep, versionsOf, type ComparedStore } from './stores.ts';
import { TIMES_ADD_MS, timesOf } from './times.ts';
import type { Chain, Input, Output, Run, Spec, Step, Value } from './spec.ts';

type GlobalTable = GlobalKTable<Value, Value>;

/** What a step is applied to. */
type Flow =
  | { readonly kind: 'stream'; readonly stream: Stream; readonly isRekeyed: boolean }
  | { readonly kind: 'table'; readonly table: Table }
  | { readonly kind: 'global'; readonly global: GlobalTable };

/** A specified topology in our DSL. */
export class MillraceTopology {
  readonly #builder: StreamsBuilder;
  readonly #topology: Topology;
  /** True if an invalid time may end it. */
  readonly #mayFail: boolean;
  /** By topic: a topic is read once. */
  readonly #sources = new Map<string, Flow>();
  /** What it writes to. */
  readonly #outputs: Topic<Value, Value>[] = [];
  readonly #stores: ComparedStore[] = [];
  /** What functions have seen of the current input. */
  #notes: (readonly [topic: string, key: Nullable, value: Nullable])[] = [];

  constructor({ chain, isMerging = false }: Spec) {
    this.#builder = new StreamsBuilder({ mergeRepartitionTopics: isMerging });
    this.#mayFail = chain.times !== undefined;
    const end = this.#chain(chain);
    const stream = end.kind === 'table' ? end.table.toStream() : streamOf(end);
    stream.to(this.#output('out'));
    this.#topology = this.#builder.build();
  }

  /** Pipes the records one by one. */
  run(inputs: readonly Input[]): Run {
    const driver = new TopologyTestDriver(this.#topology, { logger: silentLogger, wallClockMs: 0 });
    const outputs: Output[] = [];
    let stores: Omit<Run, 'outputs'> | undefined;
    const results = this.#outputs.map(
      (output) => [output.name, driver.outputTopic(output)] as const,
    );
    for (const [step, [name, key, value, timestampMs, texts]] of inputs.entries()) {
      if (timestampMs >= CLOSING_MS) stores ??= this.#storesOf(driver, inputs);
      const headers = headersOf(texts);
      if (name === '') driver.advanceWallClock(timestampMs);
      else if (!this.#pipe(driver, name, { key, value, timestampMs, headers })) {
        return { outputs, stores: {}, failedAt: step };
      }
      for (const [topic, ...note] of this.#notes) {
        outputs.push([step, topic, ...note, timestampMs, []]);
      }
      this.#notes = [];
      for (const [topic, output] of results) {
        for (const result of output.readAll()) {
          const { key: resultKey, value: resultValue } = result;
          const parts = [resultKey, resultValue, result.timestampMs] as const;
          outputs.push([step, topic, ...parts, textsOf(result.headers)]);
        }
      }
    }
    return { outputs, ...(stores ?? this.#storesOf(driver, inputs)) };
  }

  /** Returns false if the record has ended the application. */
  #pipe(driver: TopologyTestDriver, name: string, record: TestRecord<Value, Value>): boolean {
    try {
      driver.inputTopic(topicOf(name)).pipe(record);
      return true;
    } catch (failure) {
      if (this.#mayFail && StreamsError.is(failure, 'PROCESSING_FAILED')) return false;
      throw failure;
    }
  }

  #storesOf(driver: TopologyTestDriver, inputs: readonly Input[]): Omit<Run, 'outputs'> {
    const nowMs = newestOf(inputs) + (this.#mayFail ? TIMES_ADD_MS : 0);
    return {
      stores: Object.fromEntries(
        this.#stores.map(({ name, entries }) => [name, entries(driver, inputs)]),
      ),
      bounds: Object.fromEntries(
        this.#stores.flatMap(({ name, bound }) => (bound ? [[name, bound(nowMs)]] : [])),
      ),
    };
  }

  #chain(chain: Chain): Flow {
    let source = this.#sources.get(chain.topic);
    if (source === undefined) this.#sources.set(chain.topic, (source = this.#source(chain)));
    return this.#steps(source, chain.steps);
  }

  #source(chain: Chain): Flow {
    const { from, topic: name, historyMs = 0 } = chain;
    const source = topicOf(name);
    this.#stores.push(...storeOfSource(chain));
    switch (from) {
      case 'stream': {
        const stream = this.#builder.stream(source, { nullValues: 'pass', ...timesOf(chain) });
        return { kind: 'stream', stream, isRekeyed: false };
      }
      case 'table': {
        const options = { store: name, emit: 'each', ...timesOf(chain) } as const;
        return tableFlow(this.#builder.table(source, options));
      }
      case 'global':
        return { kind: 'global', global: this.#builder.globalTable(source, { store: name }) };
      case 'versioned': {
        const options = { store: versionsOf(name), versioned: { historyMs } };
        return tableFlow(this.#builder.table(source, options));
      }
    }
  }

  #steps(start: Flow, steps: readonly Step[]): Flow {
    let flow = start;
    for (const step of steps) {
      if (step.op === 'fork') flow = this.#fork(flow, step);
      else if (flow.kind === 'table') flow = this.#tableStep(flow.table, step);
      else flow = this.#streamStep(streamOf(flow), flow, step);
    }
    return flow;
  }

  #streamStep(stream: Stream, flow: Flow, step: Step): Flow {
    const isRekeyed = flow.kind === 'stream' && flow.isRekeyed;
    const same = (next: Stream): Flow => ({ kind: 'stream', stream: next, isRekeyed });
    const rekeyed = (next: Stream): Flow => ({ kind: 'stream', stream: next, isRekeyed: true });
    const { op, fn } = step;
    switch (op) {
      case 'filter':
        return same(stream.filter(({ key, value }) => named.predicate(fn)(key, value)));
      case 'filterNot':
        return same(stream.filterNot(({ key, value }) => named.predicate(fn)(key, value)));
      case 'mapValues':
        return same(stream.mapValues((value, { key }) => named.mapper(fn)(key, value)));
      case 'map':
        return rekeyed(stream.map(({ key, value }) => named.pair(fn)(key, value)));
      case 'flatMap':
        return rekeyed(stream.flatMap(({ key, value }) => named.pairs(fn, key, value)));
      case 'flatMapValues':
        return same(stream.flatMapValues((value, { key }) => named.several(fn, key, value)));
      case 'selectKey':
        return rekeyed(
          stream.selectKey(({ key, value }) => named.selector(fn)(key, value), { key: SERDE }),
        );
      case 'peek':
      case 'foreach':
      case 'print':
        return same(this.#noted(stream, step));
      case 'merge':
        return this.#merge(stream, isRekeyed, step);
      case 'split':
        return this.#split(stream, isRekeyed, step);
      case 'tap':
        stream.to(this.#output(step.topic));
        return same(stream);
      case 'choose': {
        const [yes, no] = (step.topics ?? []).map((each) => this.#output(each));
        const topics = [yes!, no!] as const;
        stream.to(topics, ({ key, value }) => topics[named.predicate(fn)(key, value) ? 0 : 1]);
        return same(stream);
      }
      case 'repartition':
        return { kind: 'stream', stream: repartitioned(stream, step), isRekeyed: false };
      case 'toTable': {
        const { historyMs } = step;
        const options = { store: storeOf(step), ...SERDES, emit: 'each' } as const;
        if (historyMs === undefined) return tableFlow(this.#stored(step, stream.toTable(options)));
        return tableFlow(stream.toTable({ ...options, versioned: { historyMs } }));
      }
      case 'count':
      case 'reduce':
      case 'aggregate':
        return tableFlow(this.#stored(step, aggregateStream(stream, step)));
      case 'cogroup': {
        const others = (step.others ?? []).map((other) => streamOf(this.#chain(other)));
        return tableFlow(this.#stored(step, cogroupStreams(stream, others, step)));
      }
      case 'join':
      case 'leftJoin':
      case 'outerJoin':
        return this.#join(stream, step);
      case 'process':
        return rekeyed(this.#process(stream, step));
      case 'processValues':
        this.#stores.push(...storeOfStep(step));
        return same(processValues(this.#builder, stream, step));
      default:
        throw new TypeError(`no step of a stream: ${op}`);
    }
  }

  /** The stream, whose records a function notes or prints. */
  #noted(stream: Stream, { op, name: label = '' }: Step): Stream {
    type Seen = Parameters<Parameters<Stream['peek']>[0]>[0];
    const note = ({ key, value }: Seen) => void this.#notes.push([`~${op}`, key, value]);
    if (op === 'peek') return stream.peek(note);
    if (op === 'foreach') stream.foreach(note);
    else stream.print({ label, write: (line) => void this.#notes.push([`~${op}`, null, line]) });
    return stream;
  }

  /** The second stream of a step, and whether its keys may have changed. */
  #merge(stream: Stream, isRekeyed: boolean, step: Step): Flow {
    if (step.with === 'self') return { kind: 'stream', stream: stream.merge(stream), isRekeyed };
    const other = this.#chain(withOf(step));
    const isOtherRekeyed = other.kind === 'stream' && other.isRekeyed;
    const merged = stream.merge(streamOf(other));
    return { kind: 'stream', stream: merged, isRekeyed: isRekeyed || isOtherRekeyed };
  }

  #split(stream: Stream, isRekeyed: boolean, { branches = [] }: Step): Flow {
    const chosen = branches.flatMap(({ fn }, index) =>
      fn === undefined ? [] : [[`b${index}`, fn] as const],
    );
    const predicates = chosen.map(([label, fn]) => {
      const accepts = named.predicate(fn);
      type Accepts = Parameters<Stream['filter']>[0];
      return [label, (({ key, value }) => accepts(key, value)) satisfies Accepts] as const;
    });
    const rest = chosen.length < branches.length ? `b${branches.length - 1}` : null;
    const split: Record<string, Stream> = stream.split(Object.fromEntries(predicates), rest);
    const ends = branches.map(({ steps }, index) => {
      return this.#steps({ kind: 'stream', stream: split[`b${index}`]!, isRekeyed }, steps);
    });
    return ends.reduce((left, right) => ({
      kind: 'stream',
      stream: streamOf(left).merge(streamOf(right)),
      isRekeyed: [left, right].some((end) => end.kind === 'stream' && end.isRekeyed),
    }));
  }

  /** Branches behind the same stream or table, each of which ends in a topic. */
  #fork(flow: Flow, { branches = [] }: Step): Flow {
    for (const [index, { steps }] of branches.entries()) {
      const end = this.#steps(flow, steps);
      const stream = end.kind === 'table' ? end.table.toStream() : streamOf(end);
      stream.to(this.#output(`branch-${index}`));
    }
    return flow;
  }

  #process(stream: Stream, step: Step): Stream {
    if (step.fn === 'reads') {
      const other = this.#chain(withOf(step));
      if (other.kind === 'global') return processWithGlobal(stream, other.global);
      if (other.kind === 'table') return processWithTable(stream, other.table);
    }
    const withStore = processWithStore(this.#builder, stream, step);
    if (withStore !== undefined) return withStore;
    this.#stores.push(...storeOfStep(step));
    return process(this.#builder, stream, step);
  }

  #join(stream: Stream, step: Step): Flow {
    const other =
      step.with === 'self'
        ? { kind: 'stream' as const, stream, isRekeyed: false }
        : this.#chain(withOf(step));
    const isLeft = step.op === 'leftJoin';
    const options = { name: `join-${step.name}`, key: SERDE, value: SERDE };
    let joined: Stream;
    if (other.kind === 'global') {
      const select = named.selector(step.fn);
      const keyOf: Parameters<typeof stream.selectKey<Nullable>>[0] = ({ key, value }) =>
        select(key, value);
      joined = isLeft
        ? stream.leftJoin(other.global, keyOf, named.join)
        : stream.join(other.global, keyOf, named.join);
    } else if (other.kind === 'table') {
      const { graceMs } = step;
      const grace = graceMs === undefined ? {} : { graceMs };
      joined = isLeft
        ? stream.leftJoin(other.table, named.join, { ...options, ...grace })
        : stream.join(other.table, named.join, { ...options, ...grace });
    } else {
      const { windows } = step;
      if (windows?.kind !== 'join') throw new TypeError('a join of streams needs its window');
      const { beforeMs, afterMs, graceMs } = windows;
      const window = joinWindow({ beforeMs, afterMs, graceMs });
      const all = {
        ...options,
        otherValue: SERDE,
        store: step.name ?? step.op,
        window,
      };
      const right = other.stream;
      if (isLeft) joined = stream.leftJoin(right, named.join, all);
      else if (step.op === 'join') joined = stream.join(right, named.join, all);
      else joined = stream.outerJoin(right, named.join, all);
    }
    return { kind: 'stream', stream: joined, isRekeyed: false };
  }

  #tableStep(table: Table, step: Step): Flow {
    const { op, fn, store } = step;
    const options = store === undefined ? {} : { store, value: SERDE, emit: 'each' as const };
    const made = (next: Table): Flow =>
      tableFlow(store === undefined ? next : this.#stored(step, next));
    switch (op) {
      case 'toStream':
        return toStream(table, step);
      case 'transformValues':
        return made(transformed(this.#builder, table, step));
      case 'filter':
        return made(table.filter(({ key, value }) => named.predicate(fn)(key, value), options));
      case 'filterNot':
        return made(table.filterNot(({ key, value }) => named.predicate(fn)(key, value), options));
      case 'mapValues':
        return made(
          table.mapValues((value, { key }) => named.mapper(fn)(key, value), options) as Table,
        );
      case 'count':
      case 'reduce':
      case 'aggregate':
        return made(aggregateTable(table, step));
      case 'join':
        return made(table.join(this.#table(step), named.join, options));
      case 'leftJoin':
        return made(table.leftJoin(this.#table(step), named.join, options));
      case 'outerJoin':
        return made(table.outerJoin(this.#table(step), named.join, options));
      case 'foreignJoin':
      case 'foreignLeftJoin':
        return made(this.#foreignJoin(table, step));
      case 'suppress':
        return tableFlow(suppressed(table, step));
      default:
        throw new TypeError(`no step of a table: ${op}`);
    }
  }

  #foreignJoin(table: Table, step: Step): Table {
    const keyOf = named.foreignKey(step.fn);
    type Row = { readonly key: Value; readonly value: Value };
    const foreignKey = ({ key, value }: Row) => keyOf(key, value);
    const how = { foreignKey, joiner: named.join, store: storeOf(step), value: SERDE };
    const other = this.#table(step);
    return step.op === 'foreignJoin' ? table.join(other, how) : table.leftJoin(other, how);
  }

  /** The other table of a join. */
  #table(step: Step): Table {
    const other = this.#chain(withOf(step));
    if (other.kind !== 'table') throw new TypeError(`a table is needed, not a ${other.kind}`);
    return other.table;
  }

  /** Notes the store of a table, to compare it. */
  #stored(step: Step, table: Table): Table {
    // Rows of windows leave a stored view when these have closed, and stay in Kafka Streams.
    const isMade = step.windows !== undefined && step.with === undefined;
    const isView = table.parts.isWindowed && !isMade;
    if (!isView) this.#stores.push(...storeOfStep(step));
    return table;
  }

  #output(name = ''): Topic<Value, Value> {
    const output = topicOf(name);
    this.#outputs.push(output);
    return output;
  }
}

function tableFlow(table: Table): Flow {
  return { kind: 'table', table };
}

function toStream(table: Table, { fn }: Step): Flow {
  if (fn === undefined) return { kind: 'stream', stream: table.toStream(), isRekeyed: false };
  const select = named.selector(fn);
  const stream = table.toStream(({ key, value }) => select(key, value), { key: SERDE });
  return { kind: 'stream', stream, isRekeyed: true };
}

function streamOf(flow: Flow): Stream {
  if (flow.kind !== 'stream') throw new TypeError(`a stream is needed, not a ${flow.kind}`);
  return flow.stream;
}

function repartitioned(stream: Stream, { name = '', partitions }: Step): Stream {
  return stream.repartition({ name, ...SERDES, ...(partitions !== undefined && { partitions }) });
}

function suppressed(table: Table, { store = '', limitMs, maxRecords }: Step): Table {
  const options = { store, value: SERDE };
  if (limitMs !== undefined) {
    const limit = maxRecords === undefined ? {} : { maxRecords };
    return table.suppress(untilTimeLimit({ ms: limitMs, ...limit }), options);
  }
  const windowed = table as unknown as KTable<Windowed<Value>, Nullable>;
  return windowed.suppress(untilWindowCloses(), options) as unknown as Table;
}

function withOf({ op, with: other }: Step): Chain {
  if (other === undefined || other === 'self') throw new TypeError(`${op} needs another chain`);
  return other;
}

const topics = new Map<string, Topic<Value, Value>>();

function topicOf(name: string): Topic<Value, Value> {
  let found = topics.get(name);
  if (found === undefined) topics.set(name, (found = topic(name, SERDES)));
  return found;
}

/** From names and values in turn. */
function headersOf(texts: readonly string[]): Headers {
  const headers: { key: string; value: Buffer }[] = [];
  for (let at = 0; at < texts.length; at += 2) {
    headers.push({ key: texts[at]!, value: Buffer.from(texts[at + 1]!) });
  }
  return headers;
}

function textsOf(headers: Headers): string[] {
  return headers.flatMap(({ key, value }) => [key, Buffer.from(value ?? []).toString()]);
}
