import { sleep } from '../../core/internal.ts';
import type {
  JsonValue,
  SourceBatch,
  SourceContext,
  SourceOffset,
  SourcePartition,
  SourceTask,
  SourceTaskProgress,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { recordsOf, type RowFunctions } from '../row-functions.ts';
import type { Place, SourceConnection, SourceRelation } from './sql-connection.ts';
import type { SqlStart } from './sql-source-options.ts';
import { showTable } from './sql-text.ts';

/** `SqlSourceOptions` with every default filled in. */
export interface SqlSourceTaskOptions {
  readonly name: string;
  /** The database, for messages. */
  readonly label: string;
  readonly relation: SourceRelation;
  readonly follow: boolean;
  readonly pollIntervalMs: number;
  readonly pageRows: number;
  readonly startAfter: SqlStart | undefined;
  readonly functions: RowFunctions<unknown, unknown, unknown>;
}

/**
 * Reads a table, or what a query finds: page after page behind the last row, or without a column
 * that grows all of it at once, so that no commit can come between [CONNECT-SQLITE-8].
 */
export class SqlSourceTask implements SourceTask {
  readonly #options: SqlSourceTaskOptions;
  readonly #connection: SourceConnection;
  readonly #context: SourceContext;
  readonly #partition: SourcePartition;
  /** Moves with each page; undefined before the first row, and without a column that grows. */
  #place: Place | undefined;
  /** How often everything was read, where no column grows. */
  #passes = 0;
  /** How long to wait before the next look; 0 if there may be more at once. */
  #pauseMs = 0;
  /** True if the input has ended, unless it is followed. */
  #isDry = false;
  #rows = 0;

  /** @throws ConnectError INVALID_SOURCE_OFFSET */
  constructor(options: SqlSourceTaskOptions, connection: SourceConnection, context: SourceContext) {
    const { relation, startAfter, pollIntervalMs } = options;
    const { from, incrementing } = relation;
    this.#options = options;
    this.#connection = connection;
    this.#context = context;
    this.#partition = 'table' in from ? { table: showTable(from.table) } : { query: 'query' };
    const offset = context.offset(this.#partition);
    if (incrementing !== undefined) {
      this.#place = offset === undefined ? startOf(startAfter) : this.#placeOf(offset);
    } else if (offset !== undefined) {
      const { passes, readMs } = offset;
      if (typeof passes !== 'number' || typeof readMs !== 'number') throw this.#badOffset(offset);
      this.#passes = passes;
      this.#isDry = true;
      this.#pauseMs = Math.max(0, readMs + pollIntervalMs - context.clock.nowMs());
    }
  }

  async poll(): Promise<SourceBatch | undefined> {
    const { follow, relation, pageRows, pollIntervalMs } = this.#options;
    const { clock, signal } = this.#context;
    const isWhole = relation.incrementing === undefined;
    for (;;) {
      if (this.#isDry && !follow) return undefined;
      if (this.#pauseMs > 0) await sleep(clock, this.#pauseMs, signal);
      if (signal.aborted) return undefined;
      const before = this.#place;
      const { rows, last } = await this.#connection.page(before, isWhole ? Infinity : pageRows);
      this.#isDry = isWhole || rows.length < pageRows;
      this.#pauseMs = this.#isDry ? pollIntervalMs : 0;
      if (rows.length === 0 && !isWhole) continue;
      this.#place = last;
      this.#passes++;
      this.#rows += rows.length;
      const place = this.#describe(before);
      const records = recordsOf(rows, this.#options.functions, { place, position: {} });
      return { ...records, partition: this.#partition, offset: this.#offset() };
    }
  }

  progress(): SourceTaskProgress {
    return { unit: 'rows', done: this.#rows, total: undefined, current: this.#what() };
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  #offset(): SourceOffset {
    const { relation } = this.#options;
    if (this.#place === undefined) {
      return { passes: this.#passes, readMs: this.#context.clock.nowMs() };
    }
    const { incrementing, timestamp } = this.#place;
    return {
      incrementing: toJson(incrementing),
      ...(relation.timestamp !== undefined && { timestamp: toJson(timestamp) }),
    };
  }

  #placeOf(offset: SourceOffset): Place {
    const { incrementing, timestamp } = offset;
    const isTimed = this.#options.relation.timestamp !== undefined;
    if (incrementing === undefined || isTimed !== (timestamp !== undefined)) {
      throw this.#badOffset(offset);
    }
    return { incrementing: fromJson(incrementing), timestamp: fromJson(timestamp) };
  }

  /** A table or `the query`, for messages. */
  #what(): string {
    const { from } = this.#options.relation;
    return 'table' in from ? showTable(from.table) : 'the query';
  }

  /** The page behind a place. */
  #describe(before: Place | undefined): string {
    const { label, relation } = this.#options;
    const what = `${this.#what()} of ${label}`;
    if (before === undefined) return what;
    return `${what} behind ${relation.incrementing} ${String(before.incrementing)}`;
  }

  #badOffset(given: SourceOffset): ConnectError {
    const { name: connector } = this.#options;
    const offset = JSON.stringify(given);
    const partition = JSON.stringify(this.#partition);
    const message =
      `the source ${connector} cannot continue at ${offset}, which another mode has left: ` +
      'give it the columns that it had, or another name to read everything from the start';
    return new ConnectError('INVALID_SOURCE_OFFSET', message, { connector, partition, offset });
  }
}

function startOf(start: SqlStart | undefined): Place | undefined {
  return start && { incrementing: start.incrementing, timestamp: start.timestamp };
}

/** A value of a column as an offset has it: JSON has no integers beyond 2^53. */
function toJson(value: unknown): JsonValue {
  if (typeof value === 'bigint') return { integer: value.toString() };
  if (typeof value === 'number' || typeof value === 'string') return value;
  return String(value);
}

function fromJson(value: JsonValue | undefined): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { integer } = value as { readonly integer?: unknown };
  return typeof integer === 'string' && /^-?\d+$/.test(integer) ? BigInt(integer) : value;
}
