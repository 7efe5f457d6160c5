import { assert, present } from '../../core/internal.ts';
import type { OperatorNode, TopologyNode } from '../topology/node.ts';
import type {
  DroppedRecord,
  DropReason,
  Forward,
  Operator,
  OperatorContext,
  PendingRecords,
  Processor,
  PunctuationRequest,
} from '../topology/operator.ts';
import type { Cancellable } from '../topology/processor.ts';
import type { SubTopology, Topology } from '../topology/topology.ts';
import { Feed, OperatorTime, type TimedInput } from './operator-time.ts';
import type { Failures } from './failures.ts';
import type { EndToEndMeter } from './meters.ts';
import type { Outputs } from './outputs.ts';
import { PendingCalls } from './pending-calls.ts';
import type { Punctuations } from './punctuations.ts';
import { nodeFailed, processingFailed } from './record-failures.ts';
import { writeTo } from './writing.ts';

/** What the processors of a task use. */
export interface GraphOptions {
  readonly topology: Topology;
  readonly subTopology: SubTopology;
  readonly outputs: Outputs;
  /** By name of a source or repartition node. */
  readonly inputs: (node: string) => readonly TimedInput[];
  readonly context: TaskContext;
  readonly punctuations: Punctuations;
  /** Decides about the records that fail. */
  readonly failures: Failures;
  /** True for a node one of whose functions has failed: it gives them copies. */
  readonly isCareful: (node: string) => boolean;
  /** Measures the age of the records at a node that no other one follows. */
  readonly endToEnd: (node: string) => EndToEndMeter;
  /** Counts a record that a node drops. */
  readonly drop: (node: string, reason: DropReason) => void;
}

/** What the operators of a task share of their context. */
type TaskContext = Omit<
  OperatorContext,
  keyof NodeContext | 'streamTimeMs' | 'streamTimeOf' | 'schedule'
>;

/** What differs from node to node. */
type NodeContext = Pick<
  OperatorContext,
  | ('node' | 'children' | 'sendsOldValues' | 'areValuesKept' | 'drop' | 'guard')
  | ('fail' | 'sourceOf' | 'publish')
>;

/** The processors of one task, wired up: each calls the next directly. */
export class ProcessorGraph {
  /** The entry for records of a source or repartition node, by node name. */
  readonly entries = new Map<string, Forward<unknown, unknown>>();
  /** What becomes of the records that such a node drops, by node name. */
  readonly drops = new Map<string, OperatorContext['drop']>();
  /** The origin of the records that leave through a repartition node, by node name. */
  readonly exits = new Map<string, Feed>();
  /** The operators that depend on time, parents first. */
  readonly times: OperatorTime[] = [];
  /** What waits for calls of functions. */
  readonly pending: PendingCalls;
  readonly #options: GraphOptions;
  /** The operators, parents first. */
  readonly #operators: readonly StartedOperator[];
  /** The nodes of the sub-topology, parents first. */
  readonly #nodes: readonly TopologyNode[];

  /** Creates the processors of a sub-topology for one task. */
  constructor(options: GraphOptions) {
    const { topology, subTopology } = options;
    this.#options = options;
    this.#nodes = topology.nodes.filter(({ name }) => subTopology.nodes.includes(name));
    const started = this.#startAll();
    this.#operators = [...started.values()].reverse();
    this.pending = new PendingCalls(this.#operators.flatMap(({ pending }) => pending ?? []));
    this.#connectTimes(started);
    this.#checkExpiries();
  }

  /** Lets the operators begin, once the task is where its last commit was. */
  init(): void {
    const { punctuations, context } = this.#options;
    for (const operator of this.#operators) {
      punctuations.starting(operator.node, () => operator.init(context.partition));
    }
  }

  /** Ends the operators, all of them; throws the first error. */
  close(): void {
    let failure: unknown;
    for (const operator of this.#operators) {
      try {
        operator.close(this.#options.context.partition);
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure as Error;
  }

  /**
   * Closes windows after the inputs' time rose. Returns true if any operator's time has risen.
   *
   * @param precedesRecord True if it rose by a record, which is processed next.
   */
  advance(precedesRecord: boolean): boolean {
    let hasRisen = false;
    for (const time of this.times) if (time.rise(precedesRecord)) hasRisen = true;
    return hasRisen;
  }

  /**
   * Closes windows because no record has come for long enough, and lets what follows know. Returns
   * true if any operator's time has risen.
   *
   * @param nowMs By the clock of `TimedInput.quietSinceMs`.
   */
  pass(nowMs: number): boolean {
    let hasRisen = false;
    for (const time of this.times) {
      if (time.rise()) hasRisen = true;
      if (time.pass(nowMs)) hasRisen = true;
    }
    return hasRisen;
  }

  /** When `pass` has something to do if nothing comes; Infinity for never. */
  get quietDueMs(): number {
    return this.times.reduce((dueMs, time) => Math.min(dueMs, time.quietDueMs), Infinity);
  }

  /** Forwards what operators hold back until a commit, and what is due by the time it brings. */
  flush(): void {
    for (const time of this.times) {
      time.flush();
      this.#options.punctuations.fireStreamTime();
    }
  }

  /**
   * Ends the input: closes all windows, and calls what is due then. Returns false if it has come to
   * records that wait for calls: repeat it once none wait, for what is behind them.
   */
  end(): boolean {
    for (const time of this.times) {
      time.end();
      this.#options.punctuations.fireStreamTime();
      if (time.isPending) return false;
    }
    return true;
  }

  /** Starts the operators in reverse, so that each finds what it forwards to. */
  #startAll(): Map<string, StartedOperator> {
    const started = new Map<string, StartedOperator>();
    const forwards = new Map<string, (parent: number) => Forward<unknown, unknown>>();
    const { outputs, failures, endToEnd } = this.#options;
    const readers = new Set<string>(); // the nodes that need old values
    const keepers = new Set<string>(); // the nodes that keep values, or pass them on to such
    for (const node of [...this.#nodes].reverse()) {
      const all = this.#edgesOf(node.name, forwards);
      const edges = all.filter(({ takesDropped }) => !takesDropped).map(({ edge }) => edge);
      const takers = all.filter(({ takesDropped }) => takesDropped).map(({ edge }) => edge[1]);
      const forward = toAll(edges.map(([, child]) => child));
      const count = (reason: DropReason): void => this.#options.drop(node.name, reason);
      const drop = dropping(count, takers);
      if (this.#isEntry(node)) {
        this.entries.set(node.name, forward);
        this.drops.set(node.name, drop);
      } else if (node.kind === 'operator') {
        const sendsOldValues = edges.some(([child]) => readers.has(child));
        const areValuesKept = all.some(({ edge: [child] }) => keepers.has(child));
        const keeps = node.stores.length > 0 || node.operator.keepsValues === true;
        if (areValuesKept || keeps) keepers.add(node.name);
        const { oldValues } = node.operator;
        if (oldValues === 'needed' || (oldValues === 'passed' && sendsOldValues)) {
          readers.add(node.name);
        }
        const guard: OperatorContext['guard'] = (process) => guarded(node.name, process, failures);
        const own = { node: node.name, children: new Map(edges), drop, guard };
        const late = laterOf(node.name, failures, outputs);
        const behind = { sendsOldValues, areValuesKept };
        const { context, punctuations } = this.#options;
        const streamTimeOf = (name: string) => started.get(name)?.streamTimeMs() ?? -Infinity;
        const shared = { ...context, ...own, ...late, ...behind, streamTimeOf };
        const { operator: given } = node;
        const isCareful = this.#options.isCareful(node.name);
        const used = isCareful ? (given.careful ?? given) : given;
        const running = { ...node, operator: used };
        const operator = new StartedOperator(running, forward, shared, punctuations);
        started.set(node.name, operator);
        const terminal = edges.length === 0 ? endToEnd(node.name) : undefined;
        forwards.set(node.name, (parent) => operator.forwardFrom(parent, terminal));
      } else {
        const context = { drop: count, failures, endToEnd: endToEnd(node.name) };
        const write = writeTo(node, outputs.node(node.name), context);
        forwards.set(node.name, () => write);
      }
    }
    return started;
  }

  /** The edges behind a node, once each: a stream may be merged with itself. */
  #edgesOf(
    node: string,
    forwards: ReadonlyMap<string, (parent: number) => Forward<unknown, unknown>>,
  ): Edge[] {
    return this.#nodes.flatMap((child) =>
      child.parents.flatMap((parent, index) => {
        if (parent !== node) return [];
        const takesDropped = child.kind === 'operator' && child.takesDropped === true;
        return [{ takesDropped, edge: [child.name, forwards.get(child.name)!(index)] as const }];
      }),
    );
  }

  /** Finds what each operator's time waits for. */
  #connectTimes(started: ReadonlyMap<string, StartedOperator>): void {
    const feeds = new Map<string, Feed>(); // of a node's output
    for (const node of this.#nodes) {
      if (this.#isEntry(node)) {
        feeds.set(node.name, new Feed(this.#options.inputs(node.name), []));
        continue;
      }
      const feed = Feed.merge(node.parents.map((parent) => feeds.get(parent)!));
      if (node.kind === 'repartition') this.exits.set(node.name, feed);
      if (node.kind !== 'operator') continue;
      const operator = present(started.get(node.name), 'each operator was started');
      const time = operator.connect(feed, node.operator);
      if (time !== undefined) this.times.push(time);
      feeds.set(node.name, time === undefined ? feed : new Feed([], [time]));
    }
  }

  /** A commit must keep the time by which a store's entries expire: else they would come back. */
  #checkExpiries(): void {
    const { topology, subTopology } = this.#options;
    for (const name of subTopology.stores) {
      const { expiry } = present(topology.stores.get(name), 'a sub-topology knows its stores');
      const isKept = this.times.some(({ node }) => node !== undefined && node === expiry?.node);
      assert(expiry === undefined || isKept, 'the operator that expires a store acts on time');
    }
  }

  #isEntry(node: TopologyNode): boolean {
    return this.#options.subTopology.sources.some((each) => each === node);
  }
}

/** A running operator. */
class StartedOperator {
  readonly #node: OperatorNode;
  readonly #guard: OperatorContext['guard'];
  readonly #processor: Processor<unknown, unknown>;
  /** The event time reached at it. */
  readonly streamTimeMs: () => number;
  #feed: Feed | undefined;
  #time: OperatorTime | undefined;

  constructor(
    node: OperatorNode,
    forward: Forward<unknown, unknown>,
    shared: TaskContext & NodeContext & Pick<OperatorContext, 'streamTimeOf'>,
    punctuations: Punctuations,
  ) {
    const streamTimeMs = (): number => this.#time?.timeMs ?? this.#feed?.timeMs() ?? -Infinity;
    this.#node = node;
    this.streamTimeMs = streamTimeMs;
    this.#guard = shared.guard;
    const schedule = (request: PunctuationRequest): Cancellable =>
      punctuations.schedule(node.name, request, streamTimeMs);
    this.#processor = node.operator.start(forward, { ...shared, streamTimeMs, schedule });
  }

  /**
   * What takes the records of its parent with this index.
   *
   * @param endToEnd Measures their age at a node that no other one follows.
   */
  forwardFrom(parent: number, endToEnd: EndToEndMeter | undefined): Forward<unknown, unknown> {
    const processor = this.#processor;
    const isOther = parent === 1 && processor.processOther !== undefined;
    const process: Forward<unknown, unknown> = isOther
      ? (record) => processor.processOther?.(record)
      : (record) => processor.process(record);
    if (endToEnd === undefined) return this.#guard(process);
    return this.#guard((record) => {
      endToEnd.note(record.timestampMs);
      process(record);
    });
  }

  /** The name of its node. */
  get node(): string {
    return this.#node.name;
  }

  get pending(): PendingRecords | undefined {
    return this.#processor.pending;
  }

  init(partition: number): void {
    try {
      this.#processor.init?.();
    } catch (cause) {
      throw nodeFailed(this.node, partition, 'at its start', cause);
    }
  }

  close(partition: number): void {
    try {
      this.#processor.close?.();
    } catch (cause) {
      throw nodeFailed(this.node, partition, 'at its end', cause);
    }
  }

  /** Sets the origin of its records; returns its own time, if it has one. */
  connect(feed: Feed, { closeAfterIdleMs }: Operator): OperatorTime | undefined {
    this.#feed = feed;
    if (OperatorTime.isNeededBy(this.#processor)) {
      const node = this.#processor.advance === undefined ? undefined : this.#node.name;
      this.#time = new OperatorTime(this.#processor, feed, { node, closeAfterIdleMs });
    }
    return this.#time;
  }
}

/** The way to a node that follows. */
interface Edge {
  readonly edge: readonly [name: string, forward: Forward<unknown, unknown>];
  /** It gets what is dropped, and not the results. */
  readonly takesDropped: boolean;
}

/** Counts dropped records, and passes them to these. */
function dropping(
  count: (reason: DropReason) => void,
  takers: readonly Forward<unknown, unknown>[],
): OperatorContext['drop'] {
  if (takers.length === 0) return count;
  const take = toAll(takers);
  return (reason, record) => {
    count(reason);
    const { key, value } = record;
    const dropped: DroppedRecord<unknown> = { reason, value: value ?? null };
    take(record.withKeyValue(key ?? null, dropped));
  };
}

function toAll(children: readonly Forward<unknown, unknown>[]): Forward<unknown, unknown> {
  const [first, second, ...others] = children;
  if (first === undefined) return () => undefined;
  if (second === undefined) return first;
  return (record) => {
    first(record);
    second(record);
    for (const child of others) child(record);
  };
}

/** What becomes of records of a node later: they fail, or are observed. */
function laterOf(
  node: string,
  failures: Failures,
  outputs: Outputs,
): Pick<OperatorContext, 'fail' | 'sourceOf' | 'publish'> {
  return {
    publish: (record) => outputs.publish(node, record),
    fail: (record, cause, source) => {
      const error = processingFailed(node, record, cause);
      const stage = 'processing';
      failures.handle({ stage, node, cause, place: record, record, error, source });
    },
    sourceOf: (record) => failures.keepSource(node, record),
  };
}

/** Drops the record for which a user's function throws, or adds node and record to the error. */
function guarded<K, V>(node: string, process: Forward<K, V>, failures: Failures): Forward<K, V> {
  return (record) => {
    try {
      process(record);
    } catch (cause) {
      const error = processingFailed(node, record, cause);
      failures.handle({ stage: 'processing', node, cause, place: record, record, error });
    }
  };
}
