import type { Chain, Step, Windows } from './spec.ts';

/** An operator as a part of chains: what it needs, what it gives, and its step. */
export interface Part {
  readonly name: string;
  readonly takes: 'stream' | 'table';
  readonly gives: 'stream' | 'table';
  /** True if it needs keys without windows. */
  readonly needsPlainKeys?: boolean;
  /** What its result's keys are; default: what they were. */
  readonly keys?: 'plain' | 'windowed';
  /** Its step; `id` makes names of stores and topics unique, `isPatient` is as `Place` says. */
  readonly step: (place: Place) => Step;
}

export interface Place {
  /** Unique in the topology. */
  readonly id: string;
  /** Behind results of earlier times: its own windows must not close before them. */
  readonly isPatient: boolean;
  /** Behind a repartition topic, where time moves once all records of a step have been read. */
  readonly isRepartitioned: boolean;
}

const source = (from: Chain['from'], topic: string): Chain => ({ from, topic, steps: [] });

const TUMBLING: Windows = { kind: 'tumbling', sizeMs: 10, graceMs: 4 };
const HOPPING: Windows = { kind: 'hopping', sizeMs: 10, advanceMs: 4, graceMs: 0 };
const SLIDING: Windows = { kind: 'sliding', differenceMs: 6, graceMs: 5 };
const UNLIMITED: Windows = { kind: 'unlimited', startMs: 20 };
const JOIN: Windows = { kind: 'join', beforeMs: 4, afterMs: 8, graceMs: 6 };
const SESSIONS: Windows = { kind: 'session', gapMs: 5, graceMs: 6 };
/** More than all records but the closing ones are apart. */
const PATIENT_MS = 10_000;

function stream(name: string, step: Omit<Step, 'store' | 'name'>, more: Partial<Part> = {}): Part {
  return { name, takes: 'stream', gives: 'stream', step: () => step, ...more };
}

/** A step with a name of its own, for the repartition topic that it may need. */
function namedStream(name: string, step: Step, more: Partial<Part> = {}): Part {
  return stream(name, step, { step: ({ id }) => ({ ...step, name: id }), ...more });
}

/** A processor of the user's own with a store. */
function storing(name: string, step: Step): Part {
  return stream(name, step, { step: ({ id }) => ({ ...step, store: id }) });
}

/** The same, with a punctuation by stream time. */
function punctuated(name: string, step: Step): Part {
  return stream(name, step, {
    step: ({ id, isRepartitioned }) => ({
      ...step,
      store: id,
      ...(isRepartitioned && { isPatient: true }),
    }),
  });
}

/** An aggregation of a table. */
function rows(name: string, step: Step): Part {
  return {
    ...{ name, takes: 'table', gives: 'table', keys: 'plain', needsPlainKeys: true },
    step: ({ id }) => ({ ...step, store: id }),
  };
}

/** A table with another one, of a topic of its own, to which steps may be applied. */
function tables(name: string, step: Step, steps: readonly Step[] = []): Part {
  return {
    ...{ name, takes: 'table', gives: 'table', needsPlainKeys: true },
    step: ({ id }) => {
      return { ...step, store: id, with: { from: 'table', topic: `${id}-right`, steps } };
    },
  };
}

/** From table to table; with a store, or as a view. */
function view(name: string, step: Step, isStored = false): Part {
  return {
    ...{ name, takes: 'table', gives: 'table' },
    step: ({ id }) => (isStored ? { ...step, store: id } : step),
  };
}

function table(name: string, step: Step): Part {
  const keys = step.windows === undefined ? {} : { keys: 'windowed' as const };
  return {
    ...{ name, takes: 'stream', gives: 'table', ...keys },
    step: ({ id, isPatient }) => ({
      ...(isPatient ? patient(step) : step),
      ...(step.op === 'cogroup' && { others: [source('stream', `${id}-right`)] }),
      store: id,
    }),
  };
}

/** A step with another stream or table, of a topic of its own, to which steps may be applied. */
function withOther(
  name: string,
  step: Step,
  from: Chain['from'],
  more: Partial<Part> = {},
  steps: readonly Step[] = [],
): Part {
  return stream(name, step, {
    ...more,
    step: ({ id }) => ({ ...step, name: id, with: { from, topic: `${id}-${from}`, steps } }),
  });
}

/**
 * The step with a grace for all that may come late. Final sliding windows are then compared by
 * their updates: Kafka's are not passed on at the same time behind others.
 */
function patient({ emit, ...step }: Step): Step {
  const { windows } = step;
  if (windows === undefined) return step;
  const isPatient = true;
  if (windows.kind === 'unlimited') return { ...step, isPatient };
  const isFinal = emit !== undefined && windows.kind !== 'sliding';
  const longer = { ...windows, graceMs: PATIENT_MS };
  return { ...step, windows: longer, isPatient, ...(isFinal && { emit }) };
}

const TAG: Step = { op: 'mapValues', fn: 'tag' };

/** All operators, with functions that make and remove nulls. */
export const PARTS: readonly Part[] = [
  stream('filter', { op: 'filter', fn: 'early-key' }),
  stream('filterNot', { op: 'filterNot', fn: 'third' }),
  stream('mapValues', { op: 'mapValues', fn: 'with-key' }),
  stream('mapValues to null', { op: 'mapValues', fn: 'nullable' }),
  stream('map', { op: 'map', fn: 'swap' }, { keys: 'plain' }),
  stream('map to null keys', { op: 'map', fn: 'null-keys' }),
  stream('flatMap', { op: 'flatMap', fn: 'null-values' }),
  stream('flatMapValues', { op: 'flatMapValues', fn: 'tag' }),
  stream('selectKey', { op: 'selectKey', fn: 'by-value' }, { keys: 'plain' }),
  stream('selectKey of null', { op: 'selectKey', fn: 'nullable' }, { keys: 'plain' }),
  stream('peek', { op: 'peek' }),
  withOther('merge', { op: 'merge' }, 'stream', {}, [TAG]),
  stream('merge with itself', { op: 'merge', with: 'self' }),
  stream('split', {
    op: 'split',
    branches: [
      { fn: 'third', steps: [TAG] },
      { fn: 'even', steps: [{ op: 'selectKey', fn: 'by-key' }] },
      { steps: [] },
    ],
  }),
  stream('split without default', {
    op: 'split',
    branches: [
      { fn: 'even', steps: [] },
      { fn: 'early-key', steps: [TAG] },
    ],
  }),
  stream('to', { op: 'tap', topic: 'tap' }, { step: ({ id }) => ({ op: 'tap', topic: id }) }),
  stream(
    'to a chosen topic',
    { op: 'choose' },
    {
      step: ({ id }) => ({ op: 'choose', fn: 'even', topics: [`${id}-yes`, `${id}-no`] }),
    },
  ),
  namedStream('repartition', { op: 'repartition' }),
  withOther('join a table', { op: 'join' }, 'table', { needsPlainKeys: true }),
  withOther('leftJoin a table', { op: 'leftJoin' }, 'table', { needsPlainKeys: true }),
  withOther('join a global table', { op: 'join', fn: 'letter' }, 'global'),
  withOther('leftJoin a global table', { op: 'leftJoin', fn: 'nullable' }, 'global'),
  table('toTable', { op: 'toTable' }),
  table('count', { op: 'count', by: 'key' }),
  table('count by', { op: 'count', by: 'nullable' }),
  table('reduce', { op: 'reduce', by: 'by-key', fn: 'append' }),
  table('reduce to null', { op: 'reduce', by: 'key', fn: 'nullable' }),
  table('aggregate', { op: 'aggregate', by: 'key', fn: 'append' }),
  table('aggregate to null', { op: 'aggregate', by: 'by-value', fn: 'nullable' }),
  table('count tumbling', { op: 'count', by: 'key', windows: TUMBLING }),
  table('reduce tumbling final', {
    ...{ op: 'reduce', by: 'key', fn: 'append', windows: TUMBLING, emit: 'final' },
  }),
  table('aggregate hopping', { op: 'aggregate', by: 'key', fn: 'nullable', windows: HOPPING }),
  table('count sessions', { op: 'count', by: 'key', windows: SESSIONS }),
  table('aggregate sessions', { op: 'aggregate', by: 'key', fn: 'append', windows: SESSIONS }),
  table('reduce sessions final', {
    ...{ op: 'reduce', by: 'by-key', fn: 'nullable', windows: SESSIONS, emit: 'final' },
  }),
  table('count sliding', { op: 'count', by: 'key', windows: SLIDING }),
  table('reduce sliding final', {
    ...{ op: 'reduce', by: 'key', fn: 'append', windows: SLIDING, emit: 'final' },
  }),
  table('aggregate unlimited', { op: 'aggregate', by: 'key', fn: 'append', windows: UNLIMITED }),
  table('cogroup', {
    ...{ op: 'cogroup', by: 'key', fns: ['append', 'nullable'] },
  }),
  table('cogroup tumbling', {
    ...{ op: 'cogroup', by: 'key', fns: ['append', 'remove'] },
    windows: TUMBLING,
  }),
  withOther('join a stream', { op: 'join', windows: JOIN }, 'stream', { needsPlainKeys: true }),
  namedStream('join itself', { op: 'join', with: 'self', windows: JOIN }),
  rows('count rows', { op: 'count', by: 'swap' }),
  rows('reduce rows', { op: 'reduce', by: 'null-keys', fn: 'append', subtract: 'remove' }),
  rows('aggregate rows', {
    ...{ op: 'aggregate', by: 'swap', fn: 'append', subtract: 'remove-nullable' },
  }),
  view('filter a table', { op: 'filter', fn: 'even' }),
  view('filterNot a table', { op: 'filterNot', fn: 'third' }, true),
  view('mapValues of a table', { op: 'mapValues', fn: 'with-key' }),
  view('mapValues of a table to null', { op: 'mapValues', fn: 'nullable' }, true),
  tables('join tables', { op: 'join' }, [{ op: 'filter', fn: 'third' }]),
  tables('leftJoin tables', { op: 'leftJoin' }, [{ op: 'mapValues', fn: 'nullable' }]),
  tables('outerJoin tables', { op: 'outerJoin' }),
  namedStream('process', { op: 'process', fn: 'vary' }),
  namedStream('process to named nodes', { op: 'process', fn: 'route' }),
  storing('process with a store', { op: 'process', fn: 'sum' }),
  punctuated('process with punctuations', { op: 'process', fn: 'flush' }),
  stream('processValues', { op: 'processValues', fn: 'vary' }),
  punctuated('processValues with a store', { op: 'processValues', fn: 'number' }),
  table('count hopping final', { op: 'count', by: 'by-value', windows: HOPPING, emit: 'final' }),
];
