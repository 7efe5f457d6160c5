import type { Chain, Spec, Step, Windows } from './spec.ts';

/*
 * Topologies of operators that do not fit between any others, or need something of their own.
 */

function stream(topic: string, ...steps: readonly Step[]): Chain {
  return { from: 'stream', topic, steps };
}

const TUMBLING: Windows = { kind: 'tumbling', sizeMs: 10, graceMs: 4 };
const SESSIONS: Windows = { kind: 'session', gapMs: 5, graceMs: 6 };
const SLIDING: Windows = { kind: 'sliding', differenceMs: 6, graceMs: 5 };
const NEAR: Windows = { kind: 'join', beforeMs: 4, afterMs: 8, graceMs: 6 };
/** Windows of all kinds. */
const WINDOWS: readonly Windows[] = [
  TUMBLING,
  { kind: 'hopping', sizeMs: 10, advanceMs: 4, graceMs: 3 },
  SLIDING,
  SESSIONS,
  { kind: 'unlimited', startMs: 20 },
];

const TO_TABLE: Step = { op: 'toTable', store: 't' };
const BY_ROW: Step = {
  ...{ op: 'aggregate', by: 'swap', fn: 'append', subtract: 'remove', store: 'rows' },
};

const countOf = (windows: Windows, store: string): Step => {
  return { op: 'count', by: 'key', windows, store };
};

/** Views of windowed tables, with a store and without, and what follows them. */
const VIEWS: readonly Spec[] = WINDOWS.flatMap((windows) =>
  [
    { op: 'filter', fn: 'even' },
    { op: 'mapValues', fn: 'nullable' },
    { op: 'transformValues' },
  ].flatMap((view) => {
    const stored = { ...view, store: 'view' };
    const steps = [countOf(windows, 'w'), stored];
    const name = `${view.op} of ${windows.kind} windows in a store`;
    return [
      { name, chain: stream('left', ...steps) },
      { name: `${name}, by rows`, chain: stream('left', ...steps, BY_ROW) },
    ];
  }),
);

/** Joins of windowed tables. */
const JOINED: readonly Spec[] = WINDOWS.flatMap((windows) =>
  ['join', 'leftJoin', 'outerJoin'].map((op, index) => ({
    name: `${op} of ${windows.kind} windows`,
    chain: stream('left', countOf(windows, 'l'), {
      ...{ op, name: 'j', ...(windows.kind !== 'unlimited' && { windows }) },
      ...(index === 1 && { store: 'j' }),
      with: stream('right', { ...countOf(windows, 'r'), op: 'reduce', fn: 'append' }),
    }),
  })),
);

const COGROUPS: readonly Spec[] = WINDOWS.flatMap((windows) =>
  ['key', 'by-value'].map((by) => ({
    name: `cogroup in ${windows.kind} windows by ${by}`,
    chain: stream('left', {
      ...{ op: 'cogroup', by, windows, store: 'c', fns: ['append', 'remove', 'nullable'] },
      others: [stream('right'), stream('third', { op: 'mapValues', fn: 'tag' })],
    }),
  })),
);

/** Times by all policies. */
const TIMES: readonly Spec[] = (['own', 'fail', 'skip', 'previous'] as const).flatMap((times) => [
  {
    name: `times of a stream, ${times}`,
    chain: { ...stream('left', { op: 'processValues', fn: 'place' }), times },
  },
  {
    name: `times of windows, ${times}`,
    chain: { ...stream('left', countOf(TUMBLING, 'w')), times },
  },
  {
    name: `times of a table, ${times}`,
    chain: { from: 'table' as const, topic: 'left', steps: [BY_ROW], times },
  },
]);

/** Processors with stores of their own, or of tables. */
const PROCESSORS: readonly Spec[] = [
  ...['windows', 'records', 'sessions', 'versions'].map((fn) => ({
    name: `process with a store of ${fn}`,
    chain: stream('left', { op: 'process', fn, store: 'p' }),
  })),
  ...(['table', 'global'] as const).map((from) => ({
    name: `process with a ${from === 'table' ? 'table' : 'global table'}`,
    chain: stream('left', {
      ...{ op: 'process', fn: 'reads', with: { from, topic: 'right', steps: [] } },
    }),
  })),
  {
    name: 'transformValues',
    chain: stream('left', TO_TABLE, { op: 'transformValues', store: 'v' }, BY_ROW),
  },
  {
    name: 'transformValues of rows',
    chain: stream(
      'left',
      TO_TABLE,
      BY_ROW,
      { op: 'transformValues', store: 'v' },
      { op: 'filter', fn: 'even' },
    ),
  },
  {
    name: 'join with a transformed table',
    chain: stream(
      'left',
      TO_TABLE,
      { op: 'transformValues', store: 'v' },
      { op: 'outerJoin', with: { from: 'table', topic: 'right', steps: [] } },
    ),
  },
];

const rekeyed: readonly Step[] = [
  { op: 'mapValues', fn: 'with-key' },
  { op: 'selectKey', fn: 'by-value' },
];
const COUNT: Step = { op: 'count', by: 'key', store: 'count' };
const REDUCE: Step = { op: 'reduce', by: 'key', fn: 'append', store: 'reduce' };

/** What several branches read. */
const FORKS: readonly Spec[] = [
  {
    name: 'two groupings of a stream with other keys',
    chain: stream('left', ...rekeyed, {
      op: 'fork',
      branches: [{ steps: [COUNT] }, { steps: [REDUCE] }],
    }),
  },
  {
    name: 'two groupings with one repartition topic',
    isMerging: true,
    chain: stream('left', ...rekeyed, {
      op: 'fork',
      branches: [{ steps: [COUNT] }, { steps: [REDUCE] }],
    }),
  },
  {
    name: 'windows and a table with one repartition topic',
    isMerging: true,
    chain: stream('left', ...rekeyed, {
      op: 'fork',
      branches: [{ steps: [countOf(TUMBLING, 'w')] }, { steps: [TO_TABLE] }, { steps: [COUNT] }],
    }),
  },
  {
    name: 'two joins with one repartition topic',
    isMerging: true,
    chain: stream('left', ...rekeyed, {
      op: 'fork',
      branches: ['join', 'leftJoin'].map((op) => ({
        steps: [{ op, name: op, with: { from: 'table', topic: 'right', steps: [] } }],
      })),
    }),
  },
  {
    name: 'a table that is counted, filtered and joined',
    chain: stream('left', TO_TABLE, {
      op: 'fork',
      branches: [
        { steps: [{ op: 'count', by: 'swap', store: 'count' }] },
        { steps: [{ op: 'filter', fn: 'even' }] },
        { steps: [{ op: 'join', with: { from: 'table', topic: 'right', steps: [] } }] },
      ],
    }),
  },
];

/** Final results, which are in the order of the bytes of their keys. */
const ORDERS: readonly Spec[] = WINDOWS.filter(({ kind }) => kind !== 'unlimited').map(
  (windows) => ({
    name: `final results of ${windows.kind} windows in the order of their keys`,
    chain: stream('left', {
      ...{ op: 'reduce', by: 'wild', fn: 'append', windows, emit: 'final', store: 'w' },
    }),
  }),
);

const OTHERS: readonly Spec[] = [
  { name: 'foreach', chain: stream('left', { op: 'foreach' }) },
  { name: 'print', chain: stream('left', { op: 'print', name: 'label' }) },
  {
    name: 'repartition with partitions',
    chain: stream('left', ...rekeyed, { op: 'repartition', name: 'r', partitions: 3 }, COUNT),
  },
  {
    name: 'toTable with versions',
    chain: stream('left', { op: 'toTable', store: 't', historyMs: 15 }, BY_ROW),
  },
  {
    name: 'leftJoin with versions of a stream',
    chain: stream('left', {
      ...{ op: 'leftJoin', name: 'j' },
      with: stream('right', { op: 'toTable', store: 't', historyMs: 15 }),
    }),
  },
  {
    name: 'toStream with other keys',
    chain: stream('left', TO_TABLE, { op: 'toStream', fn: 'by-value' }, COUNT),
  },
  ...['join', 'outerJoin'].map((op) => ({
    name: `${op} of several records with themselves`,
    chain: stream(
      'left',
      { op: 'flatMap', fn: 'null-values' },
      { op, name: 'j', with: 'self' as const, windows: NEAR },
    ),
  })),
  {
    name: 'join of records of several times with themselves',
    chain: stream(
      'left',
      { op: 'map', fn: 'swap' },
      { op: 'process', fn: 'vary' },
      { op: 'join', name: 'j', with: 'self', windows: NEAR },
    ),
  },
  {
    name: 'join of streams with null values',
    chain: stream(
      'left',
      { op: 'mapValues', fn: 'nullable' },
      {
        ...{ op: 'join', name: 'j', windows: { ...NEAR, graceMs: 0 } },
        with: stream('right', { op: 'mapValues', fn: 'nullable' }),
      },
    ),
  },
  {
    name: 'windows behind sessions',
    chain: stream(
      'left',
      { op: 'aggregate', by: 'key', fn: 'append', windows: SESSIONS, store: 's' },
      { op: 'toStream' },
      countOf(TUMBLING, 'w'),
    ),
  },
  {
    name: 'groupings behind groupings',
    chain: stream(
      'left',
      { op: 'selectKey', fn: 'by-value' },
      { op: 'count', by: 'letter', store: 'one' },
      { op: 'toStream', fn: 'by-key' },
      { op: 'aggregate', by: 'by-value', fn: 'append', store: 'two' },
    ),
  },
];

export const BY_HAND: readonly Spec[] = [
  ...VIEWS,
  ...JOINED,
  ...COGROUPS,
  ...TIMES,
  ...PROCESSORS,
  ...FORKS,
  ...ORDERS,
  ...OTHERS,
];
