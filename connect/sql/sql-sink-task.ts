import type { ConsumerRecord } from '../../core/index.ts';
import { assert, present } from '../../core/internal.ts';
import type { SinkContext, SinkOffset, SinkTask } from '../connector.ts';
import { unwritable } from '../unwritable.ts';
import { ChangeGroup, RowChanges, type RowChange } from './row-changes.ts';
import { SinkLedger } from './sink-ledger.ts';
import type { SinkConnection, SinkDatabase } from './sql-connection.ts';
import type { AnySqlSinkOptions } from './sql-sink-options.ts';
import { TargetTables, type TargetTable } from './target-tables.ts';

export interface SqlSinkTaskOptions {
  readonly name: string;
  readonly options: AnySqlSinkOptions;
  readonly database: SinkDatabase;
  readonly context: SinkContext;
}

/**
 * Writes rows as they come, in a transaction that `commit` ends, together with the offsets behind
 * them [CONNECT-SQLITE-1] [CONNECT-POSTGRES-1].
 */
export class SqlSinkTask implements SinkTask {
  readonly committedOffsets: readonly SinkOffset[];
  readonly #options: SqlSinkTaskOptions;
  readonly #connection: SinkConnection;
  readonly #ledger: SinkLedger;
  readonly #tables: TargetTables;
  readonly #changes: RowChanges;
  /** Set by a failure: nothing more is written, and the next start continues at the last commit. */
  #hasFailed = false;

  private constructor(
    options: SqlSinkTaskOptions,
    connection: SinkConnection,
    ledger: SinkLedger,
    tables: TargetTables,
  ) {
    this.#options = options;
    this.#connection = connection;
    this.#ledger = ledger;
    this.#tables = tables;
    this.#changes = new RowChanges(options.options);
    this.committedOffsets = ledger.offsets;
  }

  /** @throws ConnectError UNKNOWN_TABLE, OUTPUT_MISMATCH, or what the connection fails with. */
  static async open(task: SqlSinkTaskOptions): Promise<SqlSinkTask> {
    const { name, options, database, context } = task;
    const { topics } = context;
    const { label } = database;
    const connection = await database.connect(context);
    try {
      const tables = new TargetTables(options, connection, label);
      await tables.open(topics.map(({ topic }) => topic));
      const ledger = await SinkLedger.open({ name, topics, connection, label });
      return new SqlSinkTask(task, connection, ledger, tables);
    } catch (cause) {
      await connection.close();
      throw cause;
    }
  }

  async put(records: readonly ConsumerRecord[]): Promise<void> {
    assert(!this.#hasFailed, 'nothing is put after a failure');
    const { reject, onStep } = this.#options.context;
    try {
      onStep('sql-1-rows');
      await this.#ledger.begin();
      let group: ChangeGroup | undefined;
      for (const record of records) {
        const change = this.#changeOf(record);
        if (change === undefined) continue;
        // A transform may have named another topic.
        const target = this.#tables.get(record.topic) ?? (await this.#tables.add(record.topic));
        if (group?.takes(target.table, change) !== true) {
          if (group !== undefined) await this.#apply(group);
          group = await this.#begin(target, change);
        }
        if (group.fault === undefined) group.add(record, change);
        else reject(record, unwritable(record, new TypeError(group.fault)));
      }
      if (group !== undefined) await this.#apply(group);
    } catch (cause) {
      this.#hasFailed = true;
      throw cause;
    }
  }

  /**
   * Commits rows and offsets together. A crash before step 3 rolls all of it back: the next start
   * reads the records again. A crash after it leaves nothing to do.
   */
  async commit(offsets: readonly SinkOffset[]): Promise<void> {
    assert(!this.#hasFailed, 'nothing is committed after a failure');
    const { onStep } = this.#options.context;
    const changed = this.#ledger.changed(offsets);
    if (changed.length === 0 && !this.#ledger.isInTransaction) return;
    try {
      onStep('sql-2-offsets');
      await this.#ledger.begin();
      await this.#ledger.write(changed);

      onStep('sql-3-commit');
      await this.#ledger.commit(changed);
      onStep('sql-4-committed');
    } catch (cause) {
      this.#hasFailed = true;
      throw cause;
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  #changeOf(record: ConsumerRecord): RowChange | undefined {
    try {
      return this.#changes.changeOf(record);
    } catch (cause) {
      this.#options.context.reject(record, unwritable(record, cause));
      return undefined;
    }
  }

  async #begin(target: TargetTable, change: RowChange): Promise<ChangeGroup> {
    const { keyColumns = [] } = this.#options.options;
    const fault = await this.#tables.faultOf(target, change.columns);
    return new ChangeGroup(target.table, change, { keyColumns, fault });
  }

  async #apply({ changes, records }: ChangeGroup): Promise<void> {
    if (records.length === 0) return;
    const { reject } = this.#options.context;
    for (const { index, cause } of await this.#connection.apply(changes)) {
      const record = present(records[index], 'a refused row is of a record');
      reject(record, unwritable(record, cause));
    }
  }
}
