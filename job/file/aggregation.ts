import { json, string } from '../../core/index.ts';
import { show } from '../../core/internal.ts';
import { configSchema, field, type ConfigIssue, type ConfigOf } from '../../connect/index.ts';
import {
  hoppingWindow,
  sessionWindow,
  tumblingWindow,
  type KGroupedStream,
  type KStream,
  type KTable,
  type SessionWindows,
  type TimeWindows,
  type Windowed,
} from '../../streams/index.ts';
import {
  durationField,
  fieldReader,
  isPath,
  keyText,
  lastName,
  numberIn,
  optional,
  type FieldReader,
  type FieldRecord,
  type Fields,
} from './fields.ts';

/** A stream, as the steps of a job file see it. */
export type FieldStream = KStream<string | null, Fields>;

/** One part of an aggregate, such as a sum: `C` is what is kept of it. */
interface Aggregator<C> {
  readonly empty: C;
  readonly add: (cell: C, path: string, value: unknown) => C;
  readonly merge: (left: C, right: C) => C;
  readonly result: (cell: C) => unknown;
}

function extreme(isBetter: (value: number, known: number) => boolean): Aggregator<number | null> {
  const better = (known: number | null, value: number | null | undefined): number | null => {
    if (value === null || value === undefined) return known;
    return known === null || isBetter(value, known) ? value : known;
  };
  return {
    empty: null,
    add: (known, path, value) => better(known, numberIn(path, value)),
    merge: better,
    result: (known) => known,
  };
}

type Mean = readonly [sum: number, count: number];

const mean: Aggregator<Mean> = {
  empty: [0, 0],
  add: ([sum, count], path, value) => {
    const number = numberIn(path, value);
    return number === undefined ? [sum, count] : [sum + number, count + 1];
  },
  merge: (left, right) => [left[0] + right[0], left[1] + right[1]],
  result: ([sum, count]) => (count === 0 ? null : sum / count),
};

const sum: Aggregator<number> = {
  empty: 0,
  add: (known, path, value) => known + (numberIn(path, value) ?? 0),
  merge: (left, right) => left + right,
  result: (known) => known,
};

const count: Aggregator<number> = {
  empty: 0,
  add: (known) => known + 1,
  merge: (left, right) => left + right,
  result: (known) => known,
};

/** Those that look at a field. */
const OF_FIELDS = {
  ...{ sum, avg: mean },
  min: extreme((value, known) => value < known),
  max: extreme((value, known) => value > known),
} as const;

/** One field of the result. */
interface AggregateField {
  readonly name: string;
  readonly path: string;
  readonly read: FieldReader;
  readonly aggregator: Aggregator<unknown>;
}

/** What is kept of an aggregate: what each field has. */
type Cells = unknown[];

/** The fields of the results, of a config such as `{ flights: count, worst: { max: delay } }`. */
export function aggregateFields(
  config: Fields,
): { readonly fields: readonly AggregateField[] } | { readonly issues: readonly ConfigIssue[] } {
  const fields: AggregateField[] = [];
  const issues: ConfigIssue[] = [];
  for (const [name, given] of Object.entries(config)) {
    const found = aggregateField(name, given);
    if (found !== undefined) fields.push(found);
    else issues.push({ field: name, problem: `it must be ${AGGREGATES}, not ${show(given)}` });
  }
  if (fields.length === 0 && issues.length === 0) {
    issues.push({ field: '', problem: 'it has no fields, such as { flights: count }' });
  }
  return issues.length > 0 ? { issues } : { fields };
}

const AGGREGATES = `count, or one of ${Object.keys(OF_FIELDS).join(', ')} with the path of a field`;

function aggregateField(name: string, given: unknown): AggregateField | undefined {
  if (given === 'count') {
    return { name, path: '', read: () => undefined, aggregator: count as Aggregator<unknown> };
  }
  if (typeof given !== 'object' || given === null) return undefined;
  const [[kind, path] = ['', ''], ...others] = Object.entries(given as Fields);
  if (others.length > 0 || !Object.hasOwn(OF_FIELDS, kind) || !isPath(path)) return undefined;
  const aggregator = OF_FIELDS[kind as keyof typeof OF_FIELDS] as Aggregator<unknown>;
  return { name, path, read: fieldReader(path), aggregator };
}

/** The windows of a step. */
export const WINDOW = configSchema(
  {
    size: optional(durationField({ doc: 'How long a window is.' })),
    advance: optional(durationField({ doc: 'How often one begins. Default: as long as it is.' })),
    session: optional(durationField({ doc: 'Instead of a size: the gap that ends a session.' })),
    grace: optional(durationField({ doc: 'How late a record may come.' }, 0)),
  },
  ({ size, advance, session }) => {
    if ((size === undefined) === (session === undefined)) {
      return [{ field: '', problem: 'it needs a size or a session, and only one of them' }];
    }
    if (advance === undefined) return [];
    if (size === undefined) return [{ field: 'advance', problem: 'sessions have none' }];
    return advance > size ? [{ field: 'advance', problem: 'it is longer than the size' }] : [];
  },
);

/** The windows of a checked config. */
export function windowsOf(config: ConfigOf<typeof WINDOW>): TimeWindows | SessionWindows {
  const { size: sizeMs, advance: advanceMs, session: gapMs, grace: graceMs = 0 } = config;
  if (gapMs !== undefined) return sessionWindow({ gapMs, graceMs });
  if (sizeMs === undefined) throw new TypeError('windows without a size are refused before');
  if (advanceMs === undefined) return tumblingWindow({ sizeMs, graceMs });
  return hoppingWindow({ sizeMs, advanceMs, graceMs });
}

/** When the results of a grouping are passed on. */
export const EMIT = field.choice(['final', 'commit', 'each'], {
  doc: 'When results are passed on. Default: final with a window, otherwise commit.',
  optional: true,
});

/** How records are grouped, and how their results look. */
export interface Grouping {
  /** The path of what they are grouped by; undefined for one group of all. */
  readonly by: string | undefined;
  readonly windows: TimeWindows | SessionWindows | undefined;
  readonly emit: 'final' | 'commit' | 'each' | undefined;
  readonly store: string;
}

/** The key of what is in one group. */
const ALL = 'all';

/** The records in their groups. */
function grouped(stream: FieldStream, by: string | undefined): KGroupedStream<string, Fields> {
  const serdes = { key: string(), value: json<Fields>() };
  if (by === '@key') return stream.groupByKey(serdes);
  if (by === undefined) return stream.groupBy(() => ALL, serdes);
  const read = fieldReader(by);
  return stream.groupBy((record) => keyText(by, read(record)), serdes);
}

/** Aggregates groups of records into the fields. */
export function aggregate(
  stream: FieldStream,
  grouping: Grouping,
  fields: readonly AggregateField[],
): FieldStream {
  const { by, windows, store, emit } = grouping;
  const empty = (): Cells => fields.map(({ aggregator }) => aggregator.empty);
  const add = (cells: Cells, record: FieldRecord): Cells => {
    for (const [index, { aggregator, path, read }] of fields.entries()) {
      cells[index] = aggregator.add(cells[index], path, read(record));
    }
    return cells;
  };
  const merger = (left: Cells, right: Cells): Cells =>
    fields.map(({ aggregator }, index) => aggregator.merge(left[index], right[index]));
  const results = (cells: Cells): Fields =>
    Object.fromEntries(
      fields.map(({ name, aggregator }, index) => [name, aggregator.result(cells[index])]),
    );
  const groups = grouped(stream, by);
  if (windows === undefined) {
    const options = { store, emit: rowEmit(emit) };
    return plain(groups.aggregate<Cells>(empty, add, options), by, results);
  }
  const options = { store, emit: emit ?? 'final' };
  if ('gapMs' in windows) {
    const sessions = groups.windowedBy(windows);
    return windowed(sessions.aggregate<Cells>(empty, add, merger, options), by, results);
  }
  const isHopping = windows.advanceMs < windows.sizeMs;
  const merging = { ...options, ...(isHopping && { merger }) };
  return windowed(groups.windowedBy(windows).aggregate<Cells>(empty, add, merging), by, results);
}

/** How the rows of a group are ranked. */
export interface RankingConfig {
  readonly count: number;
  /** The path of their numbers. */
  readonly rankedBy: string;
  readonly first: 'greatest' | 'least';
}

/** Keeps the first rows of each group: a result has them as `rows`. */
export function top(stream: FieldStream, grouping: Grouping, ranking: RankingConfig): FieldStream {
  const { by, windows, store, emit } = grouping;
  const { count: n, rankedBy, first } = ranking;
  const read = fieldReader(rankedBy);
  const last = first === 'greatest' ? -Infinity : Infinity; // of rows without a number
  const rank = {
    by: (value: Fields) => {
      return numberIn(rankedBy, read({ key: null, value, timestampMs: 0 })) ?? last;
    },
    first,
  };
  const results = (rows: Fields[]): Fields => ({ rows });
  const groups = grouped(stream, by);
  if (windows === undefined) {
    return plain(groups.topN(n, { ...rank, store, emit: rowEmit(emit) }), by, results);
  }
  const options = { ...rank, store, emit: emit ?? 'final' };
  if ('gapMs' in windows) {
    return windowed(groups.windowedBy(windows).topN(n, options), by, results);
  }
  return windowed(groups.windowedBy(windows).topN(n, options), by, results);
}

/** A table without windows is never final. */
function rowEmit(emit: Grouping['emit']): 'commit' | 'each' {
  return emit === 'each' ? 'each' : 'commit';
}

/** The results of a table as records with the fields, after the one that they are grouped by. */
function plain<A>(
  table: KTable<string, A>,
  by: string | undefined,
  results: (value: A) => Fields,
): FieldStream {
  return table
    .toStream()
    .mapValues((value, { key }): Fields => ({ ...named(by, key), ...results(value) }));
}

/** The same with the bounds of the window. */
function windowed<A>(
  table: KTable<Windowed<string>, A | null>,
  by: string | undefined,
  results: (value: A) => Fields,
): FieldStream {
  return table.toStream().flatMap(({ key: window, value }) => {
    if (value === null) return []; // a session that became part of another one
    const { key, windowStartMs, windowEndMs } = window;
    const fields: Fields = { ...named(by, key), windowStartMs, windowEndMs, ...results(value) };
    return [{ key, value: fields }];
  });
}

function named(by: string | undefined, key: string): Fields {
  return by === undefined ? {} : { [lastName(by)]: key };
}
