import { seededRandom } from '../../../core/random.ts';
import { BY_HAND } from './by-hand.ts';
import { PARTS, type Part } from './operators.ts';
import { topicsOf, type Chain, type Spec, type Step, type Windows } from './spec.ts';

/** How many operators follow each other in a chain that covers pairs. */
const CHAIN_LENGTH = 5;

/** With a grace in which nothing is forgotten, which Kafka Streams does a millisecond early. */
const WINDOWS: Windows = { kind: 'join', beforeMs: 10, afterMs: 4, graceMs: 10_000 };
const REKEY: Step = { op: 'selectKey', fn: 'by-value' };
const versions: Chain = { from: 'versioned', topic: 'right', historyMs: 15, steps: [] };

function stream(topic: string, ...steps: readonly Step[]): Chain {
  return { from: 'stream', topic, steps };
}

function joinOf(other: Chain): Step {
  return { op: 'join', name: 'j', windows: WINDOWS, with: other };
}

const TO_TABLE: Step = { op: 'toTable', store: 't' };
const rows: Chain = {
  ...{ from: 'table', topic: 'right', steps: [{ op: 'mapValues', fn: 'with-key' }] },
};

/** Joins of tables that are not stored, and what follows them. */
const JOINED_VIEWS = ['join', 'leftJoin', 'outerJoin'].map((op) => ({
  name: `${op} of tables as a view`,
  chain: stream(
    'left',
    TO_TABLE,
    { op: 'mapValues', fn: 'tag' },
    { op, with: rows },
    {
      ...{ op: 'aggregate', by: 'swap', fn: 'append', subtract: 'remove', store: 'a' },
    },
  ),
}));

const WINDOWED: readonly (readonly [string, Step])[] = [
  ['tumbling windows', { op: 'count', windows: { kind: 'tumbling', sizeMs: 10, graceMs: 4 } }],
  [
    'hopping windows',
    {
      ...{ op: 'reduce', fn: 'append' },
      windows: { kind: 'hopping', sizeMs: 10, advanceMs: 4, graceMs: 0 },
    },
  ],
];

const SESSIONS: Windows = { kind: 'session', gapMs: 5, graceMs: 6 };
const PANES: Windows = { kind: 'hopping', sizeMs: 12, advanceMs: 4, graceMs: 3 };

/** Final results that ours merges from panes. */
const PANED: readonly Spec[] = [{ op: 'count' }, { op: 'aggregate', fn: 'greatest' }].map(
  (step) => ({
    name: `${step.op} hopping final by panes`,
    chain: stream(
      'left',
      { ...step, by: 'key', windows: PANES, emit: 'final', store: 'p' },
      { op: 'toStream' },
      { op: 'toTable', store: 't' },
    ),
  }),
);

const LIMITS: readonly (readonly [string, Partial<Step>])[] = [
  ['by time', { limitMs: 6 }],
  ['at once', { limitMs: 0 }],
  ['by number', { limitMs: 20, maxRecords: 2 }],
];

/** Suppressions, and what follows them. */
const SUPPRESSED: readonly Spec[] = [
  ...WINDOWED.map(([name, step]) => ({
    name: `suppress ${name} until they close`,
    chain: stream(
      'left',
      { op: 'filter', fn: 'even' },
      { ...step, by: 'key', store: 'w' },
      { op: 'suppress', store: 's' },
    ),
  })),
  {
    name: 'suppress sessions until they close',
    chain: stream(
      'left',
      { op: 'filter', fn: 'even' },
      { op: 'aggregate', fn: 'append', windows: SESSIONS, by: 'key', store: 'w' },
      { op: 'suppress', store: 's', windows: SESSIONS },
    ),
  },
  {
    name: 'sessions behind a filter',
    chain: stream(
      'left',
      { op: 'filter', fn: 'even' },
      { op: 'aggregate', fn: 'append', windows: SESSIONS, by: 'key', store: 'w' },
    ),
  },
  ...LIMITS.map(([name, limit]) => ({
    name: `suppress a table ${name}`,
    chain: stream(
      'left',
      { op: 'filterNot', fn: 'third' },
      TO_TABLE,
      { op: 'suppress', store: 's', ...limit },
      { op: 'mapValues', fn: 'tag' },
    ),
  })),
  ...LIMITS.map(([name, limit]) => ({
    name: `aggregate a table that is suppressed ${name}`,
    chain: stream(
      'left',
      TO_TABLE,
      { op: 'suppress', store: 's', ...limit },
      { op: 'aggregate', by: 'swap', fn: 'append', subtract: 'remove', store: 'a' },
    ),
  })),
];

/** Joins by foreign key, and what follows them. */
const FOREIGN_JOINS: readonly Spec[] = ['foreignJoin', 'foreignLeftJoin'].flatMap((op) =>
  ['by-value', 'by-row', 'nullable'].map((fn) => ({
    name: `${op} ${fn}`,
    chain: stream(
      'left',
      { op: 'filterNot', fn: 'third' },
      TO_TABLE,
      { op, fn, store: 'j', with: { from: 'table', topic: 'right', steps: [] } },
      { op: 'mapValues', fn: 'tag' },
    ),
  })),
);

/** Windows of joins: before, after and grace. */
const JOIN_WINDOWS: readonly (readonly [number, number, number])[] = [
  [5, 5, 10],
  [0, 7, 0],
  [20, 0, 4],
  [2, 9, 0],
  [0, 0, 3],
  [0, 0, 0],
];

function joinWithin(
  op: string,
  other: Chain | 'self',
  window: readonly number[] = [4, 8, 6],
): Step {
  const [beforeMs = 0, afterMs = 0, graceMs = 0] = window;
  const windows = { kind: 'join', beforeMs, afterMs, graceMs } as const;
  return { op, name: 'j', windows, with: other };
}

/** Joins of streams that pass on what finds no partner, and what comes before and after. */
const UNMATCHED: readonly Spec[] = ['leftJoin', 'outerJoin'].flatMap((op) => {
  const join = joinWithin(op, stream('right'));
  const patient = { kind: 'tumbling', sizeMs: 10, graceMs: 10_000 } as const;
  const windowed: Step = {
    ...{ op: 'aggregate', by: 'key', fn: 'append', store: 'a' },
    ...{ windows: patient, isPatient: true },
  };
  return [
    ...JOIN_WINDOWS.map((window) => ({
      name: `${op} of streams, before ${window[0]}, after ${window[1]}, grace ${window[2]}`,
      chain: stream('left', joinWithin(op, stream('right'), window)),
    })),
    {
      name: `${op} of streams with other keys`,
      chain: stream('left', REKEY, joinWithin(op, stream('right', REKEY))),
    },
    {
      name: `${op} of a stream with itself`,
      chain: stream('left', joinWithin(op, 'self')),
    },
    {
      name: `${op} of filtered streams`,
      chain: stream(
        'left',
        { op: 'filter', fn: 'early-key' },
        joinWithin(op, stream('right', { op: 'flatMapValues', fn: 'tag' })),
        { op: 'mapValues', fn: 'with-key' },
      ),
    },
    { name: `aggregate behind ${op} of streams`, chain: stream('left', join, windowed) },
    {
      name: `final results behind ${op} of streams`,
      chain: stream('left', join, { ...windowed, emit: 'final' }),
    },
    {
      name: `toTable behind ${op} of streams`,
      chain: stream('left', join, { op: 'toTable', store: 't' }),
    },
  ];
});

/** Joins in which one side is always newer than the other. */
const NEGATIVE: readonly Spec[] = [
  [-2, 9, 5],
  [12, -3, 4],
].map((window) => ({
  name: `join of streams, before ${window[0]}, after ${window[1]}, grace ${window[2]}`,
  chain: stream('left', joinWithin('join', stream('right'), window)),
}));

/** Chains that no rule makes. */
const OTHERS: readonly Spec[] = [
  { name: 'join of streams', chain: stream('left', joinOf(stream('right'))) },
  {
    name: 'join of streams with other keys',
    chain: stream('left', REKEY, joinOf(stream('right', REKEY))),
  },
  { name: 'join of a stream with itself', chain: stream('left', joinOf(stream('left'))) },
  {
    name: 'join with a versioned table',
    chain: stream('left', { op: 'join', name: 'j', with: versions }),
  },
  {
    name: 'leftJoin with a versioned table',
    chain: stream('left', { op: 'leftJoin', name: 'j', with: versions }),
  },
  ...[0, 5].flatMap((graceMs) =>
    ['join', 'leftJoin'].map((op) => ({
      name: `${op} with a versioned table and a grace of ${graceMs}`,
      chain: stream('left', { op, name: 'j', with: versions, graceMs }),
    })),
  ),
  {
    name: 'join with a versioned table and grace behind a filter',
    chain: stream(
      'left',
      { op: 'filter', fn: 'even' },
      { op: 'leftJoin', name: 'j', with: versions, graceMs: 4 },
      { op: 'toTable', store: 't' },
    ),
  },
  ...JOINED_VIEWS,
  ...PANED,
  ...SUPPRESSED,
  ...FOREIGN_JOINS,
  ...UNMATCHED,
  ...NEGATIVE,
  {
    name: 'processValues with the places of records',
    chain: stream('left', { op: 'processValues', fn: 'place' }),
  },
  {
    name: 'join with a table by another key',
    chain: stream('left', REKEY, {
      ...{ op: 'leftJoin', name: 'j', with: { from: 'table', topic: 'right', steps: [] } },
    }),
  },
];

/** Each operator by itself, topologies by hand, and some chains, which depend on the seed. */
export function someTopologies(seed: number, chains: number): readonly Spec[] {
  const random = seededRandom(seed);
  const open = chainsOfPairs(PARTS);
  const drawn = Array.from({ length: chains }, () => {
    return open.splice(Math.floor(random.next() * open.length), 1)[0]!;
  });
  return [...ALONE, ...drawn.map(specOf)];
}

/** Each operator by itself and behind each other one, and topologies by hand. */
export function allTopologies(): readonly Spec[] {
  return [...ALONE, ...chainsOfPairs(PARTS).map(specOf)];
}

/**
 * Chains in which each ordered pair of operators occurs, and few pairs twice: pieces of a round
 * trip that takes each pair once.
 */
function chainsOfPairs(parts: readonly Part[]): Part[][] {
  const trip = roundTrip(parts);
  const chains: Part[][] = [];
  for (let at = 0; at < trip.length - 1; at += CHAIN_LENGTH - 1) {
    chains.push(trip.slice(at, at + CHAIN_LENGTH));
  }
  return chains;
}

/** Goes from each part to each part once (Hierholzer's algorithm). */
function roundTrip(parts: readonly Part[]): Part[] {
  // Each begins with its neighbour, so that pieces of the trip have many operators.
  const open = new Map(
    parts.map((part, at) => [
      part,
      [...parts.slice(0, at + 1).reverse(), ...parts.slice(at + 1).reverse()],
    ]),
  );
  const trip: Part[] = [];
  const path = [parts[0]!];
  for (let last = path.at(-1); last !== undefined; last = path.at(-1)) {
    const next = open.get(last)?.pop();
    if (next === undefined) trip.push(path.pop()!);
    else path.push(next);
  }
  return trip.reverse();
}

/** The step without punctuations by stream time. */
function withoutPunctuations(step: Step): Step {
  return step.fn === 'flush' || step.fn === 'number' ? { ...step, isPatient: true } : step;
}

/** The chain, with what connects operators that do not fit. */
function specOf(chain: readonly Part[]): Spec {
  const steps: Step[] = [];
  let flow: 'stream' | 'table' = 'stream';
  let isWindowed = false;
  let isPatient = false;
  let isRepartitioned = false;
  for (const [index, part] of chain.entries()) {
    const id = `n${index}`;
    const mustUnwindow = isWindowed && part.needsPlainKeys === true;
    if (flow === 'table' && (part.takes === 'stream' || mustUnwindow)) {
      steps.push({ op: 'toStream' });
      flow = 'stream';
    }
    if (mustUnwindow) {
      steps.push({ op: 'selectKey', fn: 'plain' });
      isWindowed = false;
    }
    if (flow === 'stream' && part.takes === 'table') {
      steps.push({ op: 'toTable', store: `${id}-table` });
    }
    const step = part.step({ id, isPatient, isRepartitioned });
    steps.push(step);
    flow = part.gives;
    if (part.keys !== undefined) isWindowed = part.keys === 'windowed';
    // What takes a session away that has been merged is as old as that session was.
    const areSessions = step.windows?.kind === 'session';
    const isVaried = step.fn === 'vary'; // a processor that forwards older records, too
    isPatient ||= step.emit === 'final' || areSessions || isVaried;
    isRepartitioned ||= step.store !== undefined || step.name !== undefined;
  }
  const name = chain.map((part) => part.name).join(' > ');
  const whole: Chain = { from: 'stream', topic: 'left', steps };
  // Kafka punctuates by the time of all topics that a task reads.
  const areAlone = topicsOf(whole).length === 1;
  return { name, chain: areAlone ? whole : { ...whole, steps: steps.map(withoutPunctuations) } };
}

/** Each operator by itself, and topologies by hand. */
const ALONE: readonly Spec[] = [...PARTS.map((part) => specOf([part])), ...OTHERS, ...BY_HAND];
