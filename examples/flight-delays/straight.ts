/**
 * The same results by plain loops over the Parquet file, to check the job against. On purpose it
 * imports nothing of Millrace.
 */
import { readFileSync } from 'node:fs';
import { parquetMetadata, parquetRead } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { AIRPORTS_FILE, DELAYED_MINUTES, FLIGHTS_FILE } from './data.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Before the first flight; a multiple of a day since 1970. */
const FIRST_MS = Date.UTC(2000, 11, 31);
/** After the last flight, the end of June 2001. */
const DAYS = 190;

/** The windows of all keys: numbers in arrays, because there are some million of them. */
export interface WindowTable {
  /** Key to its row; rows are added as keys appear. */
  readonly keys: Map<string, number>;
  readonly stepMs: number;
  readonly windowsPerKey: number;
  count: Int32Array;
  sum: Int32Array;
  max: Int16Array;
  delayed: Int32Array;
}

export interface Straight {
  readonly rows: number;
  /** State and day. */
  readonly days: WindowTable;
  /** Airport and hour: the window of three hours that starts with it. */
  readonly hours: WindowTable;
}

/** The index of a window in the arrays; undefined for an unknown key or time. */
export function slotOf(table: WindowTable, key: string, startMs: number): number | undefined {
  const row = table.keys.get(key);
  const column = (startMs - FIRST_MS) / table.stepMs;
  const isWindow = Number.isInteger(column) && column >= 0 && column < table.windowsPerKey;
  return row === undefined || !isWindow ? undefined : row * table.windowsPerKey + column;
}

/** Reads the first `rows` flights (default: all) and computes every window. */
export async function computeStraight(rows = Infinity): Promise<Straight> {
  const states = readStates();
  const days = newTable(DAY_MS);
  const hours = newTable(HOUR_MS);
  let count = 0;
  for await (const { origin, date, delay } of rowGroups()) {
    for (let index = 0; index < origin.length && count < rows; index++, count++) {
      const state = states.get(origin[index]!);
      if (state === undefined) continue;
      const [at, minutes] = [date[index]!, delay[index]!];
      add(days, state, at - (at % DAY_MS), minutes);
      const hour = at - (at % HOUR_MS);
      for (let back = 2; back >= 0; back--)
        add(hours, origin[index]!, hour - back * HOUR_MS, minutes);
    }
  }
  return { rows: count, days, hours };
}

function newTable(stepMs: number): WindowTable {
  return {
    keys: new Map(),
    stepMs,
    windowsPerKey: (DAYS * DAY_MS) / stepMs,
    count: new Int32Array(0),
    sum: new Int32Array(0),
    max: new Int16Array(0),
    delayed: new Int32Array(0),
  };
}

function add(table: WindowTable, key: string, startMs: number, minutes: number): void {
  if (!table.keys.has(key)) addKey(table, key);
  const slot = slotOf(table, key, startMs)!;
  if (table.count[slot]! === 0 || minutes > table.max[slot]!) table.max[slot] = minutes;
  table.count[slot]!++;
  table.sum[slot]! += minutes;
  if (minutes > DELAYED_MINUTES) table.delayed[slot]!++;
}

function addKey(table: WindowTable, key: string): void {
  table.keys.set(key, table.keys.size);
  const size = table.keys.size * table.windowsPerKey;
  if (size <= table.count.length) return;
  const { count, sum, max, delayed } = table;
  table.count = new Int32Array(2 * size);
  table.count.set(count);
  table.sum = new Int32Array(2 * size);
  table.sum.set(sum);
  table.max = new Int16Array(2 * size);
  table.max.set(max);
  table.delayed = new Int32Array(2 * size);
  table.delayed.set(delayed);
}

interface Columns {
  readonly origin: readonly string[];
  /** Milliseconds since 1970. */
  readonly date: readonly number[];
  readonly delay: readonly number[];
}

async function* rowGroups(): AsyncGenerator<Columns> {
  const bytes = readFileSync(FLIGHTS_FILE);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const metadata = parquetMetadata(file);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const columns: { origin: string[]; date: number[]; delay: number[] } = {
      origin: [],
      date: [],
      delay: [],
    };
    await parquetRead({
      file,
      metadata,
      compressors,
      rowStart,
      rowEnd,
      columns: ['origin', 'date', 'delay'],
      onChunk: ({ columnName, columnData }) => {
        for (const value of columnData as ArrayLike<unknown> & Iterable<unknown>) {
          if (columnName === 'origin') columns.origin.push(value as string);
          else columns[columnName as 'date' | 'delay'].push(Number(value));
        }
      },
    });
    yield columns;
    rowStart = rowEnd;
  }
}

/** Airport to state. Names may be quoted and then hold commas. */
function readStates(): Map<string, string> {
  const states = new Map<string, string>();
  const lines = readFileSync(AIRPORTS_FILE, 'utf8').split(/\r?\n/).slice(1);
  for (const line of lines) {
    const fields = [...line.matchAll(/("([^"]*)"|[^,]*)(,|$)/g)].map((m) => m[2] ?? m[1]!);
    const [iata, , , state] = fields;
    if (iata !== undefined && iata !== '' && state !== undefined) states.set(iata, state);
  }
  return states;
}
