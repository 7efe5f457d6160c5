import { serializeToBytes, type Serde } from '../../core/index.ts';
import { decodeTimestamp, type StoreCodec } from './codec.ts';

/** A row in an entry of a store, which may have several. */
export interface StoredRow {
  /** Without its window, unless the store's keys have them. */
  readonly key: unknown;
  /** The window's start; undefined for a row without one. */
  readonly startMs?: number;
  /** The window's end, if the store knows it. */
  readonly endMs?: number;
  readonly value: unknown;
  readonly timestampMs: number;
}

/** The rows in the bytes of an entry. */
export type RowsIn = (key: Buffer, value: Buffer) => readonly StoredRow[];

/** The row in an entry of a store with one value for each key. */
export function rowInEntry(codec: StoreCodec<unknown, unknown>): RowsIn {
  return (key, value) => [
    {
      key: codec.decodeKey(key),
      value: codec.decodeValue(value),
      timestampMs: decodeTimestamp(value),
    },
  ];
}

/** The change of one row; null for no value. */
export interface ChangedRow extends Omit<StoredRow, 'value'> {
  readonly oldValue: unknown;
  readonly newValue: unknown;
}

/** The same with the key of the table that the store keeps. */
export interface RowChange extends ChangedRow {
  /** The key without its window. */
  readonly innerKey: unknown;
}

/** What became of the rows of an entry. @param timestampMs The time of the change. */
export function changedRows(
  before: readonly StoredRow[],
  after: readonly StoredRow[],
  value: Serde<unknown>,
  timestampMs: number,
): ChangedRow[] {
  const changes: ChangedRow[] = [];
  for (const row of after) {
    const old = before.find((each) => isSameRow(each, row));
    const isSame =
      old?.timestampMs === row.timestampMs &&
      serializeToBytes(value, old.value).equals(serializeToBytes(value, row.value));
    if (!isSame) changes.push(changeOf(row, old?.value ?? null, row.value, row.timestampMs));
  }
  for (const row of before) {
    if (after.some((each) => isSameRow(each, row))) continue;
    changes.push(changeOf(row, row.value, null, timestampMs));
  }
  return changes;
}

function changeOf(
  { key, startMs, endMs }: StoredRow,
  oldValue: unknown,
  newValue: unknown,
  timestampMs: number,
): ChangedRow {
  return {
    ...{ key, oldValue, newValue, timestampMs },
    ...(startMs !== undefined && { startMs }),
    ...(endMs !== undefined && { endMs }),
  };
}

function isSameRow(a: StoredRow, b: StoredRow): boolean {
  return a.startMs === b.startMs && a.endMs === b.endMs;
}
