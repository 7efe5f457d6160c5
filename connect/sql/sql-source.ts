import type { Topic } from '../../core/index.ts';
import type { SourceConnector } from '../connector.ts';
import type { SourceDatabase, SourceRelation } from './sql-connection.ts';
import type { AnySqlSourceOptions } from './sql-source-options.ts';
import { SqlSourceTask } from './sql-source-task.ts';

// Kafka Connect's JDBC source: poll.interval.ms.
const POLL_INTERVAL_MS = 5_000;
const PAGE_ROWS = 2_000;

/** The connector of checked options. */
export function sqlSource(
  options: AnySqlSourceOptions,
  database: SourceDatabase,
  suffix: string,
): SourceConnector<Topic<unknown, unknown>> {
  const { topic, follow = false, incrementingColumn, timestampColumn } = options;
  const { pollIntervalMs = POLL_INTERVAL_MS, pageRows = PAGE_ROWS } = options;
  const name = options.name ?? `${topic.name}-${suffix}`;
  const relation: SourceRelation = {
    from:
      options.table === undefined
        ? { query: options.query ?? '' }
        : { table: options.table.split('.') },
    incrementing: incrementingColumn,
    timestamp: timestampColumn,
    timestampDelayMs: options.timestampDelayMs ?? 0,
  };
  return {
    name,
    topics: [topic],
    isBounded: !follow,
    async open(context) {
      const connection = await database.connect(relation, context);
      const { key, value, timestamp, startAfter } = options;
      const settings = {
        ...{ name, relation, label: database.label, follow, pollIntervalMs, pageRows, startAfter },
        functions: { topic, key, value, timestamp },
      };
      try {
        return [new SqlSourceTask(settings, connection, context)];
      } catch (cause) {
        await connection.close();
        throw cause;
      }
    },
  };
}
