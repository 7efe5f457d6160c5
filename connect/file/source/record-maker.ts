import type { Headers, Topic } from '../../../core/index.ts';
import { bytes, string } from '../../../core/index.ts';
import { isJsonSerde } from '../../../core/internal.ts';
import type {
  BadInput,
  PackedRecords,
  SourceBatch,
  SourceOffset,
  SourceRecord,
} from '../../connector.ts';
import { textConverter } from '../../converters/plain-converters.ts';
import { rowFailed, toMs } from '../../row-functions.ts';
import type { PackedRows, RowBatch, SourceFormat } from '../format.ts';

/** How rows become records. */
export interface RecordMapping<Row, K, V> {
  readonly format: SourceFormat<Row>;
  readonly topic: Topic<K, V>;
  readonly key: (row: Row) => K | null;
  readonly value?: ((row: Row) => V | null) | undefined;
  readonly timestamp?: ((row: Row) => number | Date) | undefined;
  readonly headers?: ((row: Row) => RowHeaders) | undefined;
}

/** Headers by name. Text is written as UTF-8. */
export type RowHeaders = Readonly<Record<string, string | Uint8Array | null>>;

/** The parts of records that functions make, by record. */
interface Parts {
  /** How many records there are. */
  count: number;
  /** The rows that became records; undefined for all. */
  kept: number[] | undefined;
  /** Undefined if all keys are null. */
  keys: unknown[] | undefined;
  readonly values: unknown[];
  readonly timestampsMs: (number | undefined)[];
  readonly headers: (Headers | undefined)[];
}

/** Makes records of rows. */
export class RecordMaker<Row, K, V> {
  readonly #mapping: RecordMapping<Row, K, V>;
  /** True if rows are values as they are, and their bytes what the topic's serde would write. */
  readonly #isPacked: boolean;
  /** True if rows are not even looked at. */
  readonly isCarried: boolean;

  constructor(mapping: RecordMapping<Row, K, V>) {
    const { format, topic, key, value, timestamp, headers } = mapping;
    this.#mapping = mapping;
    this.#isPacked = value === undefined && isCarriedBy(topic, format.carries);
    this.isCarried =
      this.#isPacked && timestamp === undefined && headers === undefined && ignoresRow(key);
  }

  /** The batch of records for a batch of rows. */
  batchOf(file: string, batch: RowBatch<Row>, offset: SourceOffset): SourceBatch {
    const bad = (batch.bad ?? []).map((row): BadInput => {
      const { raw, line, positionBytes, error } = row;
      return { stage: 'read', raw, error, ...this.#place(file, line, positionBytes) };
    });
    const packed = this.#isPacked ? batch.packed : undefined;
    const parts = this.#parts(file, batch, packed, bad);
    const describe = (index: number): string =>
      this.#place(file, batch.lineOf(parts.kept?.[index] ?? index), undefined).place;
    const result = { partition: { file }, offset, bad, describe };
    if (packed === undefined) return { ...result, records: this.#records(parts) };
    const records = (): SourceRecord[] => {
      const { rows } = batch;
      const values = parts.kept?.map((index) => rows[index]) ?? [...rows];
      return this.#records({ ...parts, values });
    };
    let made: readonly SourceRecord[] | undefined;
    return {
      ...result,
      packed: this.#packed(packed, parts),
      get records() {
        return (made ??= records());
      },
    };
  }

  /** Calls the functions for each row. Rows for which one throws are bad. */
  #parts(
    file: string,
    batch: RowBatch<Row>,
    packed: PackedRows | undefined,
    bad: BadInput[],
  ): Parts {
    const { key, value, timestamp, headers } = this.#mapping;
    const parts: Parts = {
      ...{ count: 0, kept: undefined, keys: undefined },
      ...{ values: [], timestampsMs: [], headers: [] },
    };
    const rows = this.isCarried ? undefined : batch.rows;
    const count = rows?.length ?? packed?.count ?? 0;
    for (let index = 0; index < count; index++) {
      // The function does not look at it if there is none.
      const row = rows === undefined ? (undefined as Row) : rows[index]!;
      let option = 'key';
      try {
        const recordKey = key(row);
        option = 'value';
        const recordValue = value === undefined ? row : value(row);
        option = 'timestamp';
        const timestampMs = timestamp === undefined ? undefined : toMs(timestamp(row));
        option = 'headers';
        const recordHeaders = headers === undefined ? undefined : toHeaders(headers(row));
        parts.kept?.push(index);
        if (recordKey !== null) parts.keys ??= new Array<unknown>(parts.count).fill(null);
        parts.keys?.push(recordKey);
        parts.count++;
        if (packed === undefined) parts.values.push(recordValue);
        if (timestamp !== undefined) parts.timestampsMs.push(timestampMs);
        if (headers !== undefined) parts.headers.push(recordHeaders);
      } catch (cause) {
        parts.kept ??= Array.from({ length: index }, (_, before) => before);
        bad.push(this.#failed(file, batch, { index, option, cause }));
      }
    }
    return parts;
  }

  #records({ keys, values, timestampsMs, headers }: Parts): SourceRecord[] {
    const { topic } = this.#mapping;
    return values.map((value, index) => {
      const [key, timestampMs] = [keys?.[index] ?? null, timestampsMs[index]];
      return { topic, key, value, timestampMs, headers: headers[index] };
    });
  }

  #packed({ bytes: source, bounds, count }: PackedRows, parts: Parts): PackedRecords {
    const { topic, timestamp, headers } = this.#mapping;
    const { kept, keys } = parts;
    const isWhole = kept === undefined || kept.length === count;
    return {
      topic,
      count: parts.count,
      bytes: source,
      bounds: isWhole ? bounds : boundsOf(bounds, kept),
      keys,
      timestampsMs: timestamp === undefined ? undefined : parts.timestampsMs,
      headers: headers === undefined ? undefined : parts.headers,
    };
  }

  #failed(
    file: string,
    batch: RowBatch<Row>,
    { index, option, cause }: { index: number; option: string; cause: unknown },
  ): BadInput {
    const line = batch.lineOf(index);
    const { raw, positionBytes } = batch.rawOf?.(index) ?? {};
    const place = this.#place(file, line, positionBytes);
    const error = rowFailed({ place: place.place, file, line, option }, cause);
    return { stage: 'convert', raw, error, ...place };
  }

  #place(
    file: string,
    line: number,
    byte: number | undefined,
  ): Pick<BadInput, 'place' | 'position'> {
    const { unit } = this.#mapping.format;
    const position = { file, [unit]: line, ...(byte !== undefined && { byte }) };
    return { place: `${file}, ${unit} ${line}`, position };
  }
}

function boundsOf(bounds: Uint32Array, kept: readonly number[]): Uint32Array {
  const some = new Uint32Array(2 * kept.length);
  for (let index = 0; index < kept.length; index++) {
    some[2 * index] = bounds[2 * kept[index]!]!;
    some[2 * index + 1] = bounds[2 * kept[index]! + 1]!;
  }
  return some;
}

/** True if such rows are, byte for byte, what the topic's serde writes for them. */
function isCarriedBy<K, V>({ value }: Topic<K, V>, carries: 'text' | 'json' | undefined): boolean {
  const serde: unknown = value;
  if (carries === 'json') return isJsonSerde(serde);
  const texts: readonly unknown[] = [string(), bytes(), textConverter];
  return carries === 'text' && texts.includes(serde);
}

/** True for an arrow function without parameters, such as `() => null`: it cannot see the row. */
function ignoresRow(key: (row: never) => unknown): boolean {
  return key.length === 0 && /^\(\s*\)\s*=>/.test(String(key));
}

function toHeaders(headers: RowHeaders): Headers {
  return Object.entries(headers).map(([key, value]) => {
    return { key, value: typeof value === 'string' ? Buffer.from(value) : value };
  });
}
