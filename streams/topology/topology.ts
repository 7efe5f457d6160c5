import { checkArgument } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import {
  isConditional,
  withoutRepartitions,
  type ConditionalRepartition,
} from './conditional-repartitions.ts';
import { checkDeclared } from './copartitioning.ts';
import { describeTopology, type TopologyDescription } from './description.ts';
import type { GlobalTableSpec, RepartitionNode, SourceNode, TopologyNode } from './node.ts';
import type { StoreHandle, StoreSpec } from './store.ts';
import type { DiffOptions, TopologyDiff } from './topology-diff.ts';
import type { TopologyModel } from './topology-model.ts';

/** A checked topology: plain data. `StreamsApp` and `TopologyTestDriver` run it. */
export interface Topology {
  /** @internal In an order in which parents come before their children. */
  readonly nodes: readonly TopologyNode[];
  /** @internal By name. */
  readonly stores: ReadonlyMap<string, StoreSpec>;
  /** @internal */
  readonly globalTables: readonly GlobalTableSpec[];
  /** In topological order: feeders come first. */
  readonly subTopologies: readonly SubTopology[];
  /** What it consists of, for people and other programs: plain data, and printed as text. */
  describe(): TopologyDescription;
  /**
   * What differs from a topology that ran before, or from its description, and what that means for
   * what it has kept.
   *
   * @example
   * const previous = JSON.parse(await readFile('topology.json', 'utf8')) as TopologyModel;
   * print(String(builder.build().diff(previous)));
   * @throws LogError INVALID_OPTION for what is neither
   */
  diff(previous: Topology | TopologyModel, options?: DiffOptions): TopologyDiff;
}

/** Nodes that one task runs: connected directly or by a store. */
export interface SubTopology {
  /** The first part of the ids of its tasks. */
  readonly id: number;
  /** Names of its nodes; a repartition node is in two: it ends one and starts another. */
  readonly nodes: readonly string[];
  /** @internal Its entries for records. */
  readonly sources: readonly (SourceNode | RepartitionNode)[];
  /** Names of the stores that its nodes use. */
  readonly stores: readonly string[];
}

/** @throws LogError INVALID_OPTION unless a builder made it. */
export function checkTopology(method: string, topology: Topology): void {
  checkArgument(method, 'topology', topology, (value) => {
    const { nodes, subTopologies } = (value ?? {}) as Partial<Topology>;
    const isBuilt = Array.isArray(nodes) && Array.isArray(subTopologies);
    return isBuilt ? undefined : 'a topology, as builder.build() returns it';
  });
}

/** Topics and directories are named after stores. */
const STORE_NAME = /^[\w.-]{1,120}$/;

/** Collects nodes and checks each one; `build` checks the whole. */
export class TopologyGraph {
  readonly #nodes = new Map<string, TopologyNode>();
  readonly #stores = new Map<string, StoreSpec>();
  readonly #globalTables = new Map<string, GlobalTableSpec>();
  /** The stores that processors may be connected to, as the user has added them. */
  readonly #ownStores = new Map<string, StoreHandle>();
  readonly #sharesTopics: boolean;
  /** What names behind a node are derived from, by the names that were given out. */
  readonly #origins = new Map<string, string>();

  /** @param sharesTopics Whether one repartition topic may serve several operators. */
  constructor(sharesTopics = false) {
    this.#sharesTopics = sharesTopics;
  }

  /**
   * A name for a node: the user's, or one of its kind and its origin, which is the last node with a
   * name of the user's that its records come through, or else their topic. `from` is its first
   * parent, or the topic of a source or sink. So what is added elsewhere renames nothing; where
   * there are several of a kind with one origin, those after the first are numbered.
   *
   * @throws StreamsError NAME_TAKEN
   */
  nameFor(kind: string, given: string): string;
  nameFor(kind: string, given: string | undefined, from: string): string;
  nameFor(kind: string, given: string | undefined, from = kind): string {
    if (given !== undefined && this.#nodes.has(given)) throw nameTaken(given, 'node');
    const origin = this.#origins.get(given ?? from) ?? cleaned(given ?? from);
    const derived = `${kind}-${origin}`;
    let name = given ?? derived;
    for (let number = 2; given === undefined && this.#isGivenOut(name); number++) {
      name = `${derived}--${number}`; // no origin has two of them: topic orders-2 is another
    }
    this.#origins.set(name, origin);
    return name;
  }

  /** The same for a node that is named after its store, as what follows then is, too. */
  nameAfterStore(kind: string, store: string): string {
    const name = this.nameFor(kind, `${kind}-${store}`);
    this.#origins.set(name, cleaned(store));
    return name;
  }

  #isGivenOut(name: string): boolean {
    return this.#origins.has(name) || this.#nodes.has(name);
  }

  /**
   * Adds a node, the last one to get the records of its parents; or right behind the node with the
   * name `behind`, the first one to get its records, and those that this one gets.
   *
   * @throws StreamsError NAME_TAKEN, TOPOLOGY_INVALID for a name that no topic can have.
   */
  add(node: TopologyNode, behind?: string): void {
    if (this.#nodes.has(node.name)) throw nameTaken(node.name, 'node');
    if (node.kind === 'repartition') this.#checkTopic(node);
    if (behind !== undefined) this.#advance(behind);
    this.#insert(node, behind);
  }

  /** Puts a node of a sub-topology before everything else that gets records of its parents. */
  #advance(name: string): void {
    const node = this.#nodes.get(name);
    if (node?.kind !== 'operator') return;
    for (const parent of node.parents) this.#advance(parent);
    const last = [...this.#nodes.keys()].findLast((each) => node.parents.includes(each));
    this.#nodes.delete(name);
    this.#insert(node, last);
  }

  #insert(node: TopologyNode, behind: string | undefined): void {
    const later = behind === undefined ? [] : [...this.#nodes.values()];
    while (later.length > 0 && later.shift()?.name !== behind); // now those behind it
    for (const { name } of later) this.#nodes.delete(name);
    for (const each of [node, ...later]) this.#nodes.set(each.name, each);
  }

  /** A repartition node that has everything that this one would have but its name. */
  sharedRepartition(wanted: Omit<RepartitionNode, 'name' | 'id'>): string | undefined {
    const { readers, key, value, partitions } = wanted;
    const parents = wanted.parents.join();
    if (!this.#sharesTopics || readers === undefined) return undefined;
    for (const node of this.#nodes.values()) {
      if (node.kind !== 'repartition' || node.readers !== readers) continue;
      const isSame = node.key === key && node.value === value && node.partitions === partitions;
      if (isSame && node.parents.join() === parents) return node.name;
    }
    return undefined;
  }

  /**
   * True if records that `from` puts out get to where `to` runs: it is in the same sub-topology, or
   * behind repartition topics.
   *
   * @param areMoved Whether the repartitions that may be left out are there.
   */
  feeds(from: string, to: string, areMoved: boolean): boolean {
    const all = [...this.#nodes.values()];
    const members = membersOf(areMoved ? all : withoutRepartitions(all, isConditional));
    const startingIn = (name: string): Unnumbered | undefined =>
      members.find(({ nodes, sources }) => {
        const isRepartition = this.#nodes.get(name)?.kind === 'repartition';
        return isRepartition ? sources.some((each) => each.name === name) : nodes.includes(name);
      });
    const reached = new Set([startingIn(from)]);
    for (const member of reached) {
      for (const name of member?.nodes ?? []) {
        if (this.#nodes.get(name)?.kind === 'repartition') reached.add(startingIn(name));
      }
    }
    return reached.has(startingIn(to));
  }

  /** @throws StreamsError NAME_TAKEN, TOPOLOGY_INVALID for a name that no topic can have. */
  checkStoreName(name: string): void {
    checkTopicPart(name, 'a store');
    if (this.#stores.has(name) || this.#globalTables.has(name)) throw nameTaken(name, 'store');
  }

  /** @throws StreamsError NAME_TAKEN, TOPOLOGY_INVALID for a name that no topic can have. */
  addStore(store: StoreSpec): void {
    this.checkStoreName(store.name);
    this.#stores.set(store.name, store);
  }

  /** Adds a store that processors may be connected to. @throws StreamsError as `addStore`. */
  addOwnStore(store: StoreSpec): void {
    this.addStore(store);
    this.#ownStores.set(store.name, store);
  }

  /**
   * Connects a processor to a store of the user's own and returns its name, and that of the store
   * of its times, if it has one. Entries expire by the time of the first node that is connected to
   * their store.
   *
   * @throws StreamsError TOPOLOGY_INVALID if it is not of this builder
   */
  connectStore(method: string, handle: StoreHandle, node: string): string[] {
    const { name } = handle;
    const spec = this.#stores.get(name);
    if (spec === undefined || this.#ownStores.get(name) !== handle) {
      const reason = `${method}: store ${name} is not of this builder; add it with addStore()`;
      throw new StreamsError('TOPOLOGY_INVALID', reason, { reason });
    }
    const names = spec.ttl === undefined ? [name] : [name, spec.ttl.times];
    for (const each of names) {
      const known = this.#stores.get(each)!;
      const { expiry } = known;
      if (expiry?.node === '') this.#stores.set(each, { ...known, expiry: { ...expiry, node } });
    }
    return names;
  }

  /** True if the topology was made of this. */
  hasBuilt({ nodes }: Topology): boolean {
    return nodes.some((node) => this.#nodes.get(node.name) === node);
  }

  /** True if no node has this name. */
  isFree(name: string): boolean {
    return !this.#nodes.has(name);
  }

  /** @throws StreamsError NAME_TAKEN, TOPOLOGY_INVALID as `addStore`. */
  addGlobalTable(table: GlobalTableSpec): void {
    this.checkStoreName(table.store.name);
    this.#globalTables.set(table.store.name, table);
  }

  /**
   * True if the node, or one before it in its sub-topology, uses one of these stores, or would
   * without the repartitions that may be left out.
   */
  usesStores(node: string, stores: readonly string[]): boolean {
    const found = this.#nodes.get(node);
    if (found === undefined || (found.kind !== 'operator' && !isConditional(found))) return false;
    const own = found.kind === 'operator' ? found.stores : [];
    const conditions = [...this.#nodes.values()].filter(isConditional);
    const others = conditions.flatMap(({ onlyIf }) => onlyIf.otherwise?.get(node)?.stores ?? []);
    if ([...own, ...others].some((store) => stores.includes(store))) return true;
    return found.parents.some((parent) => this.usesStores(parent, stores));
  }

  /**
   * The finished topology: a snapshot without later additions.
   *
   * @throws StreamsError TOPOLOGY_INVALID, COPARTITIONING
   */
  build(): Topology {
    const nodes = [...this.#nodes.values()];
    if (nodes.length === 0) throw invalid('it reads no topic; begin with builder.stream(...)');
    checkTopics(nodes);
    const globalTables = [...this.#globalTables.values()];
    const parts = { nodes, stores: new Map(this.#stores), globalTables };
    const topology = possibleTopology(parts, () => true) ?? makeTopology(parts);
    for (const part of topology.subTopologies) checkDeclared(part, topology.nodes);
    return topology;
  }

  #checkTopic({ id }: RepartitionNode): void {
    checkTopicPart(id, 'a repartition topic');
    for (const other of this.#nodes.values()) {
      if (other.kind === 'repartition' && other.id === id) throw nameTaken(id, 'repartition topic');
    }
  }
}

/** What a topology is made of. */
type TopologyParts = Pick<Topology, 'nodes' | 'stores' | 'globalTables'>;

/**
 * The topology without the conditional repartitions by which a sub-topology would feed itself, the
 * last ones first; undefined if others make it do so.
 */
export function possibleTopology(
  parts: TopologyParts,
  mayLeaveOut: (node: ConditionalRepartition) => boolean,
): Topology | undefined {
  let { nodes } = parts;
  for (;;) {
    const looping = loopingRepartitions(nodes);
    if (looping.length === 0) return makeTopology({ ...parts, nodes });
    const leftOut = looping.filter(isConditional).findLast(mayLeaveOut);
    if (leftOut === undefined) return undefined;
    nodes = withoutRepartitions(nodes, ({ name }) => name === leftOut.name);
  }
}

/** The repartition nodes whose readers feed their writers. */
function loopingRepartitions(nodes: readonly TopologyNode[]): RepartitionNode[] {
  const members = membersOf(nodes);
  const all = nodes.filter((node): node is RepartitionNode => node.kind === 'repartition');
  const reads = ({ sources }: Unnumbered, name: string): boolean =>
    sources.some((source) => source.name === name);
  // A member that writes a topic and reads it has the node twice.
  const writes = (member: Unnumbered, name: string): boolean =>
    member.nodes.filter((each) => each === name).length > (reads(member, name) ? 1 : 0);
  return all.filter(({ name }) => {
    const reached = new Set(members.filter((member) => reads(member, name)));
    for (const from of reached) {
      for (const next of all.filter((each) => writes(from, each.name))) {
        for (const member of members) if (reads(member, next.name)) reached.add(member);
      }
    }
    return [...reached].some((member) => writes(member, name));
  });
}

/** Divides checked nodes into sub-topologies. @throws StreamsError TOPOLOGY_INVALID */
export function makeTopology(parts: TopologyParts): Topology {
  const { nodes, stores, globalTables } = parts;
  const made = { nodes, stores, globalTables, subTopologies: findSubTopologies(nodes) };
  const describe = (): TopologyDescription => describeTopology(made);
  const diff: Topology['diff'] = (previous, options) => {
    const isTopology = typeof (previous as Partial<Topology> | undefined)?.describe === 'function';
    const before = isTopology ? (previous as Topology).describe() : (previous as TopologyModel);
    return describe().diff(before, options);
  };
  return { ...made, describe, diff };
}

/** @throws StreamsError TOPOLOGY_INVALID unless topics can be named after it. */
function checkTopicPart(name: string, what: string): void {
  if (STORE_NAME.test(name)) return;
  throw invalid(
    `${what} cannot be called ${JSON.stringify(name)}: topics are named after it, ` +
      'so it has 1 to 120 characters of a-z A-Z 0-9 . _ -',
  );
}

/**
 * Only one source may read a topic: two would each need offsets of their own.
 *
 * @throws StreamsError TOPOLOGY_INVALID
 */
export function checkTopics(nodes: readonly TopologyNode[]): void {
  const sources = nodes.filter((node): node is SourceNode => node.kind === 'source');
  const readBy = new Map<string, string>();
  for (const node of sources) {
    for (const { name } of node.topics) {
      const other = readBy.get(name);
      if (other !== undefined) throw readTwice(name, other, node.name);
      readBy.set(name, node.name);
    }
  }
  for (const { name: source, pattern } of sources) {
    for (const [name, other] of readBy) {
      if (other === source || pattern?.pattern.test(name) !== true) continue;
      throw readTwice(name, other, `${source}, for it matches ${String(pattern.pattern)}`);
    }
  }
}

function readTwice(topic: string, first: string, second: string): StreamsError {
  return invalid(
    `topic ${topic} is read by ${first} and by ${second}; read it once and use the stream, or ` +
      'the table, twice',
  );
}

/**
 * Groups nodes that are connected directly or share a store. Repartition nodes end and start
 * groups.
 */
function findSubTopologies(nodes: readonly TopologyNode[]): SubTopology[] {
  return inOrder(membersOf(nodes)).map((member, id) => ({
    ...member,
    id,
    stores: [...new Set(member.stores)],
  }));
}

function membersOf(nodes: readonly TopologyNode[]): Unnumbered[] {
  const groups = new Groups();
  for (const node of nodes) {
    const own = readingSide(node.name);
    groups.add(own);
    for (const parent of node.parents) {
      groups.join(node.kind === 'repartition' ? writingSide(node.name) : own, readingSide(parent));
    }
    if (node.kind === 'operator')
      for (const store of node.stores) groups.join(own, `store ${store}`);
  }
  const byGroup = new Map<string, TopologyNode[]>();
  for (const node of nodes) {
    const sides = node.kind === 'repartition' ? [writingSide(node.name)] : [];
    for (const side of [...sides, readingSide(node.name)]) {
      const group = groups.find(side);
      byGroup.set(group, [...(byGroup.get(group) ?? []), node]);
    }
  }
  return [...byGroup.entries()].map(([group, inside]) => {
    const begins = (node: TopologyNode): node is SourceNode | RepartitionNode =>
      node.kind === 'source' ||
      (node.kind === 'repartition' && groups.find(readingSide(node.name)) === group);
    return {
      nodes: inside.map(({ name }) => name),
      sources: inside.filter(begins),
      stores: inside.flatMap((node) => (node.kind === 'operator' ? node.stores : [])),
    };
  });
}

type Unnumbered = Omit<SubTopology, 'id'>;

/**
 * Sorts sub-topologies so that feeders come first.
 *
 * @throws StreamsError TOPOLOGY_INVALID if a sub-topology would feed itself: its time would wait
 *   for itself, and its windows would never close.
 */
function inOrder(members: readonly Unnumbered[]): Unnumbered[] {
  const ordered: Unnumbered[] = [];
  const visit = (member: Unnumbered, path: readonly Unnumbered[]): void => {
    if (ordered.includes(member)) return;
    for (const source of member.sources) {
      if (source.kind !== 'repartition') continue;
      const feeding =
        members.find((other) => other !== member && other.nodes.includes(source.name)) ?? member;
      if (feeding === member || path.includes(feeding)) throw feedsItself(source.name);
      visit(feeding, [...path, member]);
    }
    ordered.push(member);
  };
  for (const member of members) visit(member, []);
  return ordered;
}

function feedsItself(repartition: string): StreamsError {
  return invalid(
    `what ${repartition} repartitions is joined or merged with what comes of it, so that it ` +
      'would have to wait for itself; write to a topic with to() and read that with stream() or ' +
      'table()',
  );
}

function readingSide(name: string): string {
  return `node ${name}`;
}

function writingSide(name: string): string {
  return `into ${name}`;
}

/** Union-find over names. */
class Groups {
  readonly #parents = new Map<string, string>();

  add(name: string): void {
    if (!this.#parents.has(name)) this.#parents.set(name, name);
  }

  find(name: string): string {
    this.add(name);
    let root = name;
    for (let parent = this.#parents.get(root); parent !== root; parent = this.#parents.get(root)) {
      root = parent ?? root;
    }
    this.#parents.set(name, root);
    return root;
  }

  join(a: string, b: string): void {
    this.#parents.set(this.find(a), this.find(b));
  }
}

/** Derived names are those of stores and topics, too: short, and without what these cannot have. */
const ORIGIN_LENGTH_MAX = 80;

function cleaned(origin: string): string {
  const text = origin.replaceAll(/[^\w.]+/g, '-').replaceAll(/^-|-$/g, '');
  return text.slice(0, ORIGIN_LENGTH_MAX) || 'unnamed';
}

function nameTaken(name: string, kind: string): StreamsError {
  const message = `there is a ${kind} called ${name} already; give one of them another name`;
  return new StreamsError('NAME_TAKEN', message, { name, kind });
}

function invalid(reason: string): StreamsError {
  return new StreamsError('TOPOLOGY_INVALID', `the topology cannot run: ${reason}`, { reason });
}
