import type { ConsumerRecord, Log, Topic } from '../../core/index.ts';
import { offsetsOf } from '../../core/internal.ts';

/** How long one poll waits for transactions that are open. */
const POLL_MS = 100;

/**
 * All committed records of a topic with one partition, in order; none if there is no such topic.
 *
 * @throws LogError any failure to read it.
 */
export async function readRecords<K, V>(
  log: Log,
  topic: Topic<K, V>,
): Promise<readonly ConsumerRecord<K, V>[]> {
  const { name } = topic;
  if (!(await log.admin().listTopics()).includes(name)) return [];
  const { earliest, latest } = await offsetsOf(log, name, 0);
  await using consumer = log.consumer({ isolationLevel: 'read_committed' });
  const reader = await consumer.assign([{ topic, partition: 0, offset: earliest }]);
  const records: ConsumerRecord<K, V>[] = [];
  while ((reader.position({ topic: name, partition: 0 }) ?? latest) < latest) {
    records.push(...(await reader.poll({ maxWaitMs: POLL_MS })));
  }
  return records;
}
