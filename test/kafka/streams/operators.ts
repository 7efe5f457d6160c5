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
  /** Behind final windows: its own windows must not close before theirs. */
  readonly isPatient: boolean;
}

const source = (from: Chain['from'], topic: string): Chain => ({ from, topic, steps: [] });

const TUMBLING: Windows = { kind: 'tumbling', sizeMs: 10, graceMs: 4 };
const HOPPING: Windows = { kind: 'hopping', sizeMs: 10, advanceMs: 4, graceMs: 0 };
/** More than all records but the closing ones are apart. */
const PATIENT_MS = 10_000;

function stream(name: string, step: Omit<Step, 'store' | 'name'>, more: Partial<Part> = {}): Part {
  return { name, takes: 'stream', gives: 'stream', step: () => step, ...more };
}

/** A step with a name of its own, for the repartition topic that it may need. */
function namedStream(name: string, step: Step, more: Partial<Part> = {}): Part {
  return stream(name, step, { step: ({ id }) => ({ ...step, name: id }), ...more });
}

function table(name: string, step: Step): Part {
  const keys = step.windows === undefined ? {} : { keys: 'windowed' as const };
  return {
    ...{ name, takes: 'stream', gives: 'table', ...keys },
    step: ({ id, isPatient }) => ({
      ...step,
      ...(isPatient && step.windows !== undefined && patient(step.windows)),
      store: id,
    }),
  };
}

function patient(windows: Windows): Pick<Step, 'windows' | 'isPatient'> {
  const isPatient = true;
  if (windows.kind === 'unlimited') return { windows, isPatient };
  return { windows: { ...windows, graceMs: PATIENT_MS }, isPatient };
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
  stream('merge', { op: 'merge', with: { ...source('stream', 'right'), steps: [TAG] } }),
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
  namedStream(
    'join a table',
    { op: 'join', with: source('table', 'table') },
    {
      needsPlainKeys: true,
    },
  ),
  namedStream(
    'leftJoin a table',
    { op: 'leftJoin', with: source('table', 'table') },
    {
      needsPlainKeys: true,
    },
  ),
  stream('join a global table', { op: 'join', fn: 'letter', with: source('global', 'global') }),
  stream('leftJoin a global table', {
    ...{ op: 'leftJoin', fn: 'nullable', with: source('global', 'global') },
  }),
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
  table('count hopping final', { op: 'count', by: 'by-value', windows: HOPPING, emit: 'final' }),
];
