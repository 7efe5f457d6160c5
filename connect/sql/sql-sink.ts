import type { Topic } from '../../core/index.ts';
import type { SinkConnector } from '../connector.ts';
import type { SinkDatabase } from './sql-connection.ts';
import type { AnySqlSinkOptions } from './sql-sink-options.ts';
import { SqlSinkTask } from './sql-sink-task.ts';

/** The connector of checked options. */
export function sqlSink(
  options: AnySqlSinkOptions,
  database: SinkDatabase,
  suffix: string,
): SinkConnector<Topic<unknown, unknown>> {
  const topics = [options.topic].flat();
  const name = options.name ?? `${topics[0]!.name}-${suffix}`;
  return {
    name,
    topics,
    delivery: 'transactional',
    open: (context) => SqlSinkTask.open({ name, options, database, context }),
  };
}
