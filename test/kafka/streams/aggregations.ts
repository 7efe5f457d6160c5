import { json } from '../../../core/index.ts';
import {
  hoppingWindow,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  unlimitedWindow,
  type Emit,
  type FixedWindows,
  type KGroupedStream,
  type KStream,
  type KTable,
} from '../../../streams/index.ts';
import * as named from './functions.ts';
import type { Step, Value, Windows } from './spec.ts';

export type Nullable = Value | null;
export type Stream = KStream<Nullable, Nullable>;
export type Table = KTable<Value, Nullable>;
type Merger = (left: Value, right: Value) => Value;
type Grouped = KGroupedStream<Value, Value>;

export const SERDE = json<Value>();
export const SERDES = { key: SERDE, value: SERDE };
const COUNTS = { value: json<number>() };

/** The step's aggregation of a stream in our DSL. */
export function aggregateStream(stream: Stream, step: Step): Table {
  const { by, windows } = step;
  const select = by === 'key' ? undefined : named.selector(by);
  const grouped =
    select === undefined
      ? stream.groupByKey(SERDES)
      : stream.groupBy(({ key, value }) => select(key, value), SERDES);
  if (windows === undefined) return aggregate(grouped, step);
  if (windows.kind === 'session') return aggregateSessions(grouped, windows, step);
  return aggregateWindows(grouped, windows, step);
}

function aggregate(grouped: Grouped, step: Step): Table {
  const { op, fn } = step;
  const options = { store: storeOf(step), value: SERDE, emit: 'each' } as const;
  if (op === 'count') return grouped.count({ ...options, ...COUNTS }) as Table;
  if (op === 'reduce') return grouped.reduce(named.reducer(fn), options) as Table;
  return grouped.aggregate(nothing, adder(fn), options);
}

function aggregateWindows(grouped: Grouped, windows: Windows, step: Step): Table {
  const { op, fn } = step;
  const windowed = grouped.windowedBy(windowsOf(windows));
  const options = { store: storeOf(step), value: SERDE, emit: emitOf(step) };
  if (op === 'count') return windowed.count({ ...options, ...COUNTS }) as unknown as Table;
  if (op === 'reduce') return windowed.reduce(named.reducer(fn), options) as unknown as Table;
  const merger = fn === 'greatest' ? { merger: named.reducer(fn) as Merger } : {};
  const all = { ...options, ...merger };
  return windowed.aggregate<Nullable>(nothing, adder(fn), all) as unknown as Table;
}

function aggregateSessions(
  grouped: Grouped,
  { gapMs, graceMs }: Windows & { readonly kind: 'session' },
  step: Step,
): Table {
  const { op, fn } = step;
  const windowed = grouped.windowedBy(sessionWindow({ gapMs, graceMs }));
  const options = { store: storeOf(step), value: SERDE, emit: emitOf(step) };
  if (op === 'count') return windowed.count({ ...options, ...COUNTS }) as unknown as Table;
  if (op === 'reduce') return windowed.reduce(named.reducer(fn), options) as unknown as Table;
  const made = windowed.aggregate<Nullable>(nothing, adder(fn), named.merge, options);
  return made as unknown as Table;
}

/** The step's aggregation of a table. */
export function aggregateTable(table: Table, step: Step): Table {
  const { op, fn, by, subtract } = step;
  const map = named.pair(by);
  const grouped = table.groupBy(({ key, value }) => map(key, value), SERDES);
  const options = { store: storeOf(step), value: SERDE, emit: 'each' } as const;
  if (op === 'count') return grouped.count({ ...options, ...COUNTS }) as Table;
  if (op === 'reduce') {
    return grouped.reduce(named.reducer(fn), named.reducer(subtract), options) as Table;
  }
  return grouped.aggregate<Nullable>(nothing, adder(fn), adder(subtract), options);
}

/** The step's aggregation of several streams. */
export function cogroupStreams(stream: Stream, others: readonly Stream[], step: Step): Table {
  const { by, windows, fns = [] } = step;
  const select = by === 'key' ? undefined : named.selector(by);
  const [first, ...more] = [stream, ...others].map((each) =>
    select === undefined
      ? each.groupByKey(SERDES)
      : each.groupBy(({ key, value }) => select(key, value), SERDES),
  );
  let all = first!.cogroup<Nullable>(adder(fns[0]));
  for (const [index, grouped] of more.entries()) {
    all = all.cogroup(grouped, adder(fns[index + 1]));
  }
  const options = { store: storeOf(step), value: SERDE, emit: 'each' } as const;
  if (windows === undefined) return all.aggregate(nothing, options);
  if (windows.kind !== 'session') {
    return all.windowedBy(windowsOf(windows)).aggregate(nothing, options) as unknown as Table;
  }
  const { gapMs, graceMs } = windows;
  const sessions = all.windowedBy(sessionWindow({ gapMs, graceMs }));
  return sessions.aggregate(nothing, named.merge, options) as unknown as Table;
}

function windowsOf(windows: Windows): FixedWindows {
  switch (windows.kind) {
    case 'tumbling':
      return tumblingWindow({ sizeMs: windows.sizeMs, graceMs: windows.graceMs });
    case 'hopping': {
      const { sizeMs, advanceMs, graceMs } = windows;
      return hoppingWindow({ sizeMs, advanceMs, graceMs });
    }
    case 'sliding':
      return slidingWindow({ differenceMs: windows.differenceMs, graceMs: windows.graceMs });
    case 'unlimited':
      return unlimitedWindow({ startMs: windows.startMs });
    default:
      throw new TypeError(`no aggregation by windows of the kind ${windows.kind}`);
  }
}

function emitOf({ emit }: Step): Emit {
  return emit ?? 'each';
}

function nothing(): Nullable {
  return '';
}

function adder(name: string | undefined) {
  const add = named.adder(name);
  return (aggregate: Nullable, { key, value }: { readonly key: Value; readonly value: Value }) =>
    add(key, value, aggregate);
}

export function storeOf({ op, store }: Step): string {
  if (store === undefined) throw new TypeError(`${op} needs a store`);
  return store;
}
