import type { SerdeDescription, StoreDescription } from './topology-model.ts';

/**
 * What a change means for what was kept: nothing; something that the application does by itself at
 * its start; state that nothing would read any more; or state that would be read wrongly.
 */
export type ChangeEffect = 'safe' | 'migrate' | 'orphan' | 'misread';

/** What was changed, before and after, as text. */
export interface FieldChange {
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

/** What a change is, and what it means. */
export interface Comparison {
  readonly effect: ChangeEffect;
  readonly fields: readonly FieldChange[];
  /** What happens, or would; for people. */
  readonly reason: string;
}

/** A store, and the sub-topology whose tasks have it. */
export interface PlacedStore {
  readonly store: StoreDescription;
  readonly part: number;
}

/** From harmless to worst. */
const EFFECTS: readonly ChangeEffect[] = ['safe', 'migrate', 'orphan', 'misread'];

/** One field that differs, and what that means. */
interface Difference extends FieldChange {
  readonly effect: ChangeEffect;
  readonly reason: string;
}

const NONE = 'none';
const SAME_BYTES = { effect: 'safe', reason: 'it reads what the old serde has written' } as const;

/** Compares what two topologies say of one store; undefined if that is the same. */
export function compareStores(before: PlacedStore, after: PlacedStore): Comparison | undefined {
  const differences = [
    ...ofContent(before.store, after.store),
    ...ofSettings(before.store, after.store),
    ...different('sub-topology', before.part, after.part, {
      effect: 'migrate',
      reason: 'other tasks have it, and read it back from its topic',
    }),
  ];
  if (differences.length === 0) return undefined;
  const effect = worst(differences.map((each) => each.effect));
  const reasons = differences.filter((each) => each.effect === effect).map(({ reason }) => reason);
  return {
    effect,
    fields: differences.map(({ field, before: old, after: now }) => {
      return { field, before: old, after: now };
    }),
    reason: [...new Set(reasons)].join('; '),
  };
}

/** True if nothing of the content of a store stands in the way of handing it over. */
export function fits(before: StoreDescription, after: StoreDescription): boolean {
  return ofContent(before, after).every(({ effect }) => effect === 'safe');
}

/** Whether a serde reads the bytes of another one. A schema does not change them. */
export function readsBytesOf(after: SerdeDescription, before: SerdeDescription): boolean {
  const wanted = withoutSchemas(before.name);
  return [after.name, ...after.reads].some((name) => withoutSchemas(name) === wanted);
}

/**
 * Whether a serde of keys writes the bytes of another one, by which they are found and put into
 * partitions. What it `reads` does not tell.
 */
export function writesKeysOf(after: SerdeDescription, before: SerdeDescription): boolean {
  return withoutSchemas(after.name) === withoutSchemas(before.name);
}

export function worst(effects: readonly ChangeEffect[]): ChangeEffect {
  return EFFECTS[Math.max(0, ...effects.map((each) => EFFECTS.indexOf(each)))]!;
}

/** What the bytes of its entries mean. */
function ofContent(before: StoreDescription, after: StoreDescription): Difference[] {
  const backing = differentBacking(before, after);
  if (backing.length > 0) return backing;
  const { topic, hasChangelog: isOwn } = after;
  // What is read back from the user's topic, or from none, is no loss.
  const again = topic === undefined ? 'it begins empty' : `it is read back from ${topic}`;
  const meaning = isOwn
    ? ({ effect: 'misread', reason: 'what is in it would be read wrongly' } as const)
    : ({ effect: 'migrate', reason: again } as const);
  return [
    ...different('kind', before.kind, after.kind, meaning),
    ...different('key serde', before.key.name, after.key.name, {
      ...(isOwn ? { ...meaning, reason: 'keys would be looked for by other bytes' } : meaning),
      ...(writesKeysOf(after.key, before.key) && SAME_BYTES),
    }),
    ...different('value serde', before.value.name, after.value.name, {
      ...meaning,
      ...(readsBytesOf(after.value, before.value) && SAME_BYTES),
    }),
    ...different('windows', before.windows, after.windows, meaning),
    ...['stretchMs', 'holdsPanes'].flatMap((name) => {
      return different(name, before.layout[name], after.layout[name], meaning);
    }),
  ];
}

function differentBacking(before: StoreDescription, after: StoreDescription): Difference[] {
  const [from, to] = [backingOf(before), backingOf(after)];
  if (from === NONE) {
    return different('topic', from, to, { effect: 'migrate', reason: 'it begins empty' });
  }
  if (!before.hasChangelog && !after.hasChangelog && to !== NONE) {
    return different('topic', from, to, {
      effect: 'migrate',
      reason: `it is read back from ${to}`,
    });
  }
  return different('topic', from, to, {
    effect: 'orphan',
    reason: `what it has from ${from} would be left behind`,
  });
}

/** How long and where it is kept. */
function ofSettings(before: StoreDescription, after: StoreDescription): Difference[] {
  const isShorter = (field: 'retentionMs' | 'historyMs'): boolean =>
    (after[field] ?? Infinity) < (before[field] ?? Infinity);
  const life = (field: 'retentionMs' | 'historyMs') => {
    const reason = isShorter(field)
      ? 'what is older than it now keeps goes'
      : 'it keeps more from now on; what has gone does not come back';
    return different(field, before[field], after[field], { effect: 'safe', reason });
  };
  return [
    ...life('retentionMs'),
    ...life('historyMs'),
    ...different('ttlMs', before.ttlMs, after.ttlMs, {
      effect: 'safe',
      reason: 'rows that are there stay as long as it now says, too',
    }),
    ...different('persistent', before.isPersistent, after.isPersistent, {
      effect: 'migrate',
      reason: 'its copy on the disk is made again, or removed',
    }),
    ...different('node of its time', before.timeNode, after.timeNode, {
      effect: 'migrate',
      reason: 'the time that it has reached is handed over',
    }),
  ];
}

function different(
  field: string,
  before: string | number | boolean | undefined,
  after: string | number | boolean | undefined,
  meaning: Pick<Difference, 'effect' | 'reason'>,
): Difference[] {
  if (before === after) return [];
  return [{ field, before: String(before ?? NONE), after: String(after ?? NONE), ...meaning }];
}

/** `its changelog`, the user's topic, or none. */
function backingOf({ hasChangelog, topic }: StoreDescription): string {
  return hasChangelog ? 'its changelog' : (topic ?? NONE);
}

/** `change(validated(json))` is `change(json)`. */
function withoutSchemas(name: string): string {
  const start = name.indexOf('validated(');
  if (start === -1) return name;
  const inside = start + 'validated('.length;
  let depth = 1;
  let end = inside;
  while (end < name.length && depth > 0) {
    if (name[end] === '(') depth++;
    if (name[end] === ')') depth--;
    end++;
  }
  const rest = name.slice(0, start) + name.slice(inside, depth === 0 ? end - 1 : end);
  return withoutSchemas(rest + name.slice(end));
}
