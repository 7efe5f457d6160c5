import type { SinkOffset, SinkTopic } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { databaseFailed } from './failure.ts';
import type { SinkConnection } from './sql-connection.ts';

/** Who writes: a row per sink, whose epoch each run makes larger. */
const SINKS = 'millrace_sinks';
/** How far the output goes: a row per sink and partition. */
const OFFSETS = 'millrace_offsets';

const SINK_COLUMNS = ['"sink" TEXT NOT NULL PRIMARY KEY', '"epoch" BIGINT NOT NULL'];
const OFFSET_COLUMNS = [
  '"sink" TEXT NOT NULL',
  '"topic" TEXT NOT NULL',
  '"topic_partition" INTEGER NOT NULL',
  '"topic_id" TEXT NOT NULL',
  '"next_offset" BIGINT NOT NULL',
  'PRIMARY KEY ("sink", "topic", "topic_partition")',
];

export interface SinkLedgerOptions {
  readonly name: string;
  readonly topics: readonly SinkTopic[];
  readonly connection: SinkConnection;
  /** The database, for messages. */
  readonly label: string;
}

/**
 * The offsets of a sink in the database that it writes to, and its fence: whoever opens the ledger
 * of a name takes it from the one before, who cannot commit from then on.
 */
export class SinkLedger {
  readonly #options: SinkLedgerOptions;
  readonly #epoch: number;
  /** What the database has, by topic and partition; moves with each commit. */
  readonly #committed: Map<string, SinkOffset>;
  /** True from `begin` to the end of the commit. */
  #isInTransaction = false;

  private constructor(
    options: SinkLedgerOptions,
    epoch: number,
    committed: Map<string, SinkOffset>,
  ) {
    this.#options = options;
    this.#epoch = epoch;
    this.#committed = committed;
  }

  /**
   * Takes the name, once its last transaction has ended.
   *
   * @throws ConnectError OUTPUT_MISMATCH if the offsets are of topics of another log.
   */
  static async open(options: SinkLedgerOptions): Promise<SinkLedger> {
    const { name, connection } = options;
    await connection.begin();
    await connection.createTable([SINKS], SINK_COLUMNS);
    await connection.createTable([OFFSETS], OFFSET_COLUMNS);
    const [row] = await connection.query(
      `INSERT INTO "${SINKS}" ("sink", "epoch") VALUES (?, 1) ` +
        `ON CONFLICT ("sink") DO UPDATE SET "epoch" = "${SINKS}"."epoch" + 1 RETURNING "epoch"`,
      [name],
    );
    const rows = await connection.query(
      'SELECT "topic", "topic_partition", "topic_id", "next_offset" ' +
        `FROM "${OFFSETS}" WHERE "sink" = ?`,
      [name],
    );
    const committed = new Map<string, SinkOffset>();
    for (const [topic, partition, topicId, offset] of rows) {
      checkTopic(options, String(topic), String(topicId));
      const place = { topic: String(topic), partition: Number(partition) };
      committed.set(placeKey(place), { ...place, offset: Number(offset) });
    }
    await connection.commit();
    return new SinkLedger(options, Number(row?.[0]), committed);
  }

  /** The next offset of each partition that has one. */
  get offsets(): readonly SinkOffset[] {
    return [...this.#committed.values()];
  }

  /** True while rows wait for a commit. */
  get isInTransaction(): boolean {
    return this.#isInTransaction;
  }

  /** The offsets that differ from what the database has. */
  changed(offsets: readonly SinkOffset[]): readonly SinkOffset[] {
    return offsets.filter((each) => this.#committed.get(placeKey(each))?.offset !== each.offset);
  }

  /** Begins a transaction, unless one is open. @throws ConnectError SINK_FENCED */
  async begin(): Promise<void> {
    if (this.#isInTransaction) return;
    const { name, connection, label } = this.#options;
    await connection.begin();
    const [row] = await connection.query(
      `SELECT "epoch" FROM "${SINKS}" WHERE "sink" = ?${connection.rowLock}`,
      [name],
    );
    if (Number(row?.[0]) !== this.#epoch) throw fenced(name, label);
    this.#isInTransaction = true;
  }

  /** Adds offsets to the open transaction. */
  async write(offsets: readonly SinkOffset[]): Promise<void> {
    const { name, connection, label, topics } = this.#options;
    const ids = new Map(topics.map(({ topic, topicId }) => [topic, topicId]));
    const [refused] = await connection.apply({
      table: [OFFSETS],
      kind: 'upsert',
      columns: ['sink', 'topic', 'topic_partition', 'topic_id', 'next_offset'],
      keyColumns: ['sink', 'topic', 'topic_partition'],
      rows: offsets.map(({ topic, partition, offset }) => {
        return [name, topic, partition, ids.get(topic) ?? '', offset];
      }),
    });
    if (refused !== undefined) throw databaseFailed(label, 'write', refused.cause);
  }

  /** Commits the transaction, which these offsets are a part of. */
  async commit(offsets: readonly SinkOffset[]): Promise<void> {
    await this.#options.connection.commit();
    this.#isInTransaction = false;
    for (const each of offsets) this.#committed.set(placeKey(each), each);
  }
}

function placeKey({ topic, partition }: Pick<SinkOffset, 'topic' | 'partition'>): string {
  return `${topic}-${partition}`;
}

function checkTopic({ name, topics, label }: SinkLedgerOptions, topic: string, id: string): void {
  const known = topics.find((each) => each.topic === topic);
  if (known === undefined || known.topicId === id) return; // it may have written others before
  const message =
    `the sink ${name} has written a topic ${topic} of another log to ${label}: its id is ${id}, ` +
    `here it is ${known.topicId}; give the sink another name, or delete its rows of ${OFFSETS}`;
  const details = { directory: label, field: 'topicId', expected: known.topicId, actual: id };
  throw new ConnectError('OUTPUT_MISMATCH', message, details);
}

function fenced(connector: string, database: string): ConnectError {
  const message =
    `another run of the sink ${connector} writes to ${database} since this one began; ` +
    'give each sink a name of its own, or end one of them';
  return new ConnectError('SINK_FENCED', message, { connector, database });
}
