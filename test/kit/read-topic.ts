import type { IsolationLevel } from '../../core/protocol/broker-api.ts';
import type { ConsumerRecord } from '../../core/client/consumer/consumer-record.ts';
import type { Log } from '../../core/client/log.ts';
import type { Topic } from '../../core/client/topic.ts';

/** Reads all records that the isolation level shows, partition by partition. */
export async function readTopic<K, V>(
  log: Log,
  topic: Topic<K, V>,
  isolationLevel: IsolationLevel = 'read_uncommitted',
): Promise<ConsumerRecord<K, V>[]> {
  const [described] = (await log.api.metadata({ topics: [topic.name] })).topics;
  const records: ConsumerRecord<K, V>[] = [];
  for (let partition = 0; partition < (described?.partitions ?? 0); partition++) {
    const place = { topic: topic.name, partition };
    const { partitions } = await log.api.listOffsets({
      isolationLevel,
      partitions: [{ ...place, spec: 'latest' }],
    });
    const end = partitions[0]?.offset ?? 0;
    await using consumer = log.consumer({ isolationLevel });
    const assigned = await consumer.assign([{ topic, partition }]);
    while ((assigned.position(place) ?? end) < end) {
      records.push(...(await assigned.poll({ maxWaitMs: 5 })));
    }
  }
  return records;
}

/** The values that `readTopic` returns. */
export async function readValues<V>(
  log: Log,
  topic: Topic<unknown, V>,
  isolationLevel?: IsolationLevel,
): Promise<(V | null)[]> {
  return (await readTopic(log, topic, isolationLevel)).map(({ value }) => value);
}
