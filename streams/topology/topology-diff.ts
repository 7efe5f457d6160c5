import { checkArgument, checkOptions, type OptionCheck } from '../../core/internal.ts';
import {
  compareStores,
  fits,
  readsBytesOf,
  worst,
  writesKeysOf,
  type ChangeEffect,
  type Comparison,
  type FieldChange,
  type PlacedStore,
} from './store-changes.ts';
import type {
  NodeDescription,
  StoreDescription,
  TopicDescription,
  TopologyModel,
} from './topology-model.ts';

/** One difference of two topologies. */
export interface TopologyChange extends Comparison {
  readonly subject: 'store' | 'global table' | 'topic' | 'internal topic' | 'node';
  /** Its name in the topology that has it; the new one if it was renamed. */
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed' | 'renamed';
}

/** What a diff has to know besides both topologies. */
export interface DiffOptions {
  /**
   * The old name of each store that has a new one, by that: `{ orderCounts: 'counts' }`. Default:
   * none.
   */
  readonly renamedStores?: Readonly<Record<string, string>>;
}

/**
 * What differs between two topologies, and what that means for what the older one has kept; printed
 * as text. Changes with the effect `orphan` or `misread` keep an application from starting.
 */
export class TopologyDiff {
  /** Stores first, then topics, then nodes; in the order of the topologies. */
  readonly changes: readonly TopologyChange[];

  /** @internal `Topology.diff` makes them. */
  constructor(changes: readonly TopologyChange[]) {
    this.changes = changes;
  }

  /** The worst effect of a change. */
  get effect(): ChangeEffect {
    return worst(this.changes.map(({ effect }) => effect));
  }

  /** A line for each change, the worst first. */
  toString(): string {
    if (this.changes.length === 0) return 'No changes\n';
    const order: readonly ChangeEffect[] = ['misread', 'orphan', 'migrate', 'safe'];
    const lines = order.flatMap((effect) =>
      this.changes.filter((each) => each.effect === effect).map(lineOf),
    );
    return `${lines.join('\n')}\n`;
  }

  /** As JSON of the changes. */
  toJson(): string {
    return JSON.stringify({ effect: this.effect, changes: this.changes }, undefined, 2);
  }
}

/**
 * Compares two topologies.
 *
 * @throws LogError INVALID_OPTION if the older one is no description, as `describe()` and `millrace
 *   describe --format json` make them.
 */
export function diffTopologies(
  after: TopologyModel,
  before: TopologyModel,
  options: DiffOptions = {},
): TopologyDiff {
  checkArgument('diff', 'previous', before, descriptionLike);
  checkOptions('diff', options, { renamedStores: storeNames });
  const { renamedStores = {} } = options;
  return new TopologyDiff([
    ...storeChanges(before, after, renamedStores),
    ...globalChanges(before, after),
    ...topicChanges(before, after),
    ...nodeChanges(before, after),
  ]);
}

/** The stores of a topology, by name. */
export function storesOf({ subTopologies }: TopologyModel): Map<string, PlacedStore> {
  return new Map(
    subTopologies.flatMap(({ id: part, stores }) =>
      stores.map((store) => [store.name, { store, part }] as const),
    ),
  );
}

function storeChanges(
  before: TopologyModel,
  after: TopologyModel,
  renamed: Readonly<Record<string, string>>,
): TopologyChange[] {
  const [old, now] = [storesOf(before), storesOf(after)];
  const subject = 'store';
  const changes: TopologyChange[] = [];
  const takenOver = new Set<string>();
  for (const [name, placed] of now) {
    const was = old.get(name);
    const from = was === undefined ? renamed[name] : undefined;
    const source = from === undefined ? undefined : old.get(from);
    if (was !== undefined) {
      const comparison = compareStores(was, placed);
      if (comparison !== undefined)
        changes.push({ subject, name, change: 'changed', ...comparison });
    } else if (from !== undefined && source !== undefined && !now.has(from)) {
      takenOver.add(from);
      changes.push({ subject, name, change: 'renamed', ...renaming(from, source, placed) });
    } else {
      changes.push({ subject, name, change: 'added', ...safely(beginning(placed)) });
    }
  }
  for (const [name, { store }] of old) {
    if (now.has(name) || takenOver.has(name)) continue;
    const alike = [...now].filter(([other, placed]) => {
      return !old.has(other) && fits(store, renamedTo(placed, name).store);
    });
    const gone = { subject, name, change: 'removed', fields: [] } as const;
    if (!store.hasChangelog) changes.push({ ...gone, ...safely('nothing of it is lost') });
    else
      changes.push({
        ...{ ...gone, effect: 'orphan' },
        reason: orphaned(
          store,
          alike.map(([other]) => other),
        ),
      });
  }
  return changes;
}

function beginning({ store: { hasChangelog, ttlMs } }: PlacedStore): string {
  if (ttlMs !== undefined) return 'a row that is there expires only after its next change';
  return hasChangelog ? 'it begins empty' : '';
}

function orphaned({ ttlMs }: StoreDescription, alike: readonly string[]): string {
  if (ttlMs !== undefined && alike.length === 0) return 'no row would expire any more';
  const hint = alike.length === 0 ? '' : `; ${alike.join(' or ')} may be its new name`;
  return `nothing would read what is in it any more${hint}`;
}

function renaming(from: string, old: PlacedStore, now: PlacedStore): Comparison {
  const { effect, fields, reason } = compareStores(old, renamedTo(now, from)) ?? safely('');
  const field = { field: 'name', before: from, after: now.store.name };
  const moved = old.store.hasChangelog ? 'its changelog is copied' : 'it is read back, or empty';
  const isMove = effect === 'safe' || effect === 'migrate';
  return {
    effect: worst(['migrate', effect]),
    fields: [field, ...fields],
    reason: isMove ? moved : reason,
  };
}

/** The same store under another name. */
function renamedTo({ store, part }: PlacedStore, name: string): PlacedStore {
  const topic = store.hasChangelog ? `${name}-changelog` : store.topic;
  return { store: { ...store, name, topic }, part };
}

/** Each start reads them from their topics. */
function globalChanges(before: TopologyModel, after: TopologyModel): TopologyChange[] {
  const placed = ({ globalTables }: TopologyModel): Map<string, PlacedStore> =>
    new Map(globalTables.map((store) => [store.name, { store, part: -1 }]));
  return compared(placed(before), placed(after), 'global table', (old, now) => {
    const comparison = compareStores(old, now);
    if (comparison === undefined) return undefined;
    return { ...comparison, ...safely('each start reads it again'), fields: comparison.fields };
  });
}

function topicChanges(before: TopologyModel, after: TopologyModel): TopologyChange[] {
  const byName = ({ topics }: TopologyModel, isInternal: boolean) =>
    new Map(
      topics.filter((each) => each.isInternal === isInternal).map((each) => [each.name, each]),
    );
  const drained = 'what is in it has to be processed first: the start looks, and refuses if not';
  const internal = compared(
    byName(before, true),
    byName(after, true),
    'internal topic',
    compareInternal,
  );
  return [
    ...internal.map((each) => {
      return each.change === 'removed'
        ? ({ ...each, effect: 'migrate', reason: drained } as const)
        : each;
    }),
    ...compared(byName(before, false), byName(after, false), 'topic', (old, now) => {
      const fields = fieldsOf(old, now);
      const isRead = readsBytesOf(now.key, old.key) && readsBytesOf(now.value, old.value);
      const reason = isRead ? '' : 'what is in it has to be what the new serde reads';
      return fields.length === 0 ? undefined : { ...safely(reason), fields };
    }),
  ];
}

function compareInternal(old: TopicDescription, now: TopicDescription): Comparison | undefined {
  const fields = fieldsOf(old, now);
  if (fields.length === 0) return undefined;
  if (fields.some(({ field }) => field === 'partitions')) {
    const reason = 'keys would be in other partitions than before';
    return { effect: 'misread', fields, reason };
  }
  if (writesKeysOf(now.key, old.key) && readsBytesOf(now.value, old.value)) {
    return { ...safely('it reads what the old serde has written'), fields };
  }
  const reason = 'what is in it has to be processed first: the start looks, and refuses if not';
  return { effect: 'migrate', fields, reason };
}

function fieldsOf(old: TopicDescription, now: TopicDescription): FieldChange[] {
  const isDeclared = old.partitions !== undefined && now.partitions !== undefined;
  return [
    ...difference('key serde', old.key.name, now.key.name),
    ...difference('value serde', old.value.name, now.value.name),
    ...(isDeclared ? difference('partitions', old.partitions, now.partitions) : []),
  ];
}

function nodeChanges(before: TopologyModel, after: TopologyModel): TopologyChange[] {
  const nodes = ({ subTopologies }: TopologyModel): Map<string, NodeDescription> =>
    new Map(
      subTopologies.flatMap((part) => part.nodes.map((node) => [keyOf(node), node] as const)),
    );
  const changes = compared(nodes(before), nodes(after), 'node', (old, now) => {
    const fields = [
      ...difference('operator', old.operator, now.operator),
      ...difference('topics', old.topics.join(', '), now.topics.join(', ')),
      ...difference('stores', old.stores.join(', '), now.stores.join(', ')),
      ...difference('predecessors', old.predecessors.join(', '), now.predecessors.join(', ')),
    ];
    return fields.length === 0 ? undefined : { ...safely(''), fields };
  });
  return changes.map((each) => ({ ...each, name: each.name.slice(each.name.indexOf(' ') + 1) }));
}

/** A repartition node is in two sub-topologies: a sink and a source. */
function keyOf({ kind, name }: NodeDescription): string {
  return `${kind} ${name}`;
}

function compared<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  subject: TopologyChange['subject'],
  compare: (old: T, now: T) => Comparison | undefined,
): TopologyChange[] {
  const changes: TopologyChange[] = [];
  for (const [name, now] of after) {
    const old = before.get(name);
    const comparison = old === undefined ? safely('') : compare(old, now);
    const change = old === undefined ? 'added' : 'changed';
    if (comparison !== undefined) changes.push({ subject, name, change, ...comparison });
  }
  for (const name of before.keys()) {
    if (!after.has(name)) changes.push({ subject, name, change: 'removed', ...safely('') });
  }
  return changes;
}

function safely(reason: string): Comparison {
  return { effect: 'safe', fields: [], reason };
}

function difference(
  field: string,
  before: string | number | undefined,
  after: string | number | undefined,
): FieldChange[] {
  if (before === after) return [];
  return [
    { field, before: String(before ?? 'none') || 'none', after: String(after ?? 'none') || 'none' },
  ];
}

function lineOf({ subject, name, change, effect, fields, reason }: TopologyChange): string {
  const what = fields.map(({ field, before, after }) => `${field} ${before} -> ${after}`);
  const parts = [what.join(', '), reason].filter((part) => part !== '');
  const more = parts.length === 0 ? '' : `: ${parts.join('; ')}`;
  return `${effect.padEnd(8)}${subject} ${name} ${change}${more}`;
}

/** Accepts the old names of stores by their new ones. */
export const storeNames: OptionCheck = (value) => {
  const isNames =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((each) => typeof each === 'string');
  return isNames ? undefined : "the old names by the new ones, such as { orderCounts: 'counts' }";
};

/** A description of a version that said nothing of serdes cannot be compared. */
export const descriptionLike: OptionCheck = (value) => {
  const { subTopologies, globalTables, topics } = (value ?? {}) as Partial<TopologyModel>;
  const allowed = 'a topology, or its description as describe() or millrace describe makes it';
  if (!Array.isArray(subTopologies) || !Array.isArray(globalTables) || !Array.isArray(topics)) {
    return allowed;
  }
  const model = value as TopologyModel;
  const parts = [...model.globalTables, ...model.topics, ...storesIn(model)];
  const isWhole = parts.every((each) => isSerde(each.key) && isSerde(each.value));
  const hasNodes = model.subTopologies.every(({ nodes }) => Array.isArray(nodes));
  return isWhole && hasNodes ? undefined : allowed;
};

function storesIn({ subTopologies }: TopologyModel): Pick<TopicDescription, 'key' | 'value'>[] {
  return subTopologies.flatMap((part) => [...part.stores]);
}

function isSerde(value: unknown): boolean {
  const { name, reads } = (value ?? {}) as Partial<TopicDescription['key']>;
  return typeof name === 'string' && Array.isArray(reads);
}
