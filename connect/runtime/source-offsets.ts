import { json, topic, type Log, type Topic } from '../../core/index.ts';
import type { SourceOffset, SourcePartition } from '../connector.ts';

/**
 * The topic in which sources keep their offsets, in Kafka Connect's format: key
 * `["flights-source",{"file":"2001.csv"}]`, value `{"position":4711}`. One record per partition and
 * commit, in the same transaction as the records.
 */
export const connectOffsets: Topic<
  readonly [connector: string, partition: SourcePartition],
  SourceOffset
> = topic('connect-offsets', {
  key: json<readonly [connector: string, partition: SourcePartition]>(),
  value: json<SourceOffset>(),
  config: { cleanupPolicy: 'compact' },
});

/** The key of a partition's offsets; it does not depend on the order of the partition's names. */
export function offsetKey(
  connector: string,
  partition: SourcePartition,
): readonly [connector: string, partition: SourcePartition] {
  const entries = Object.entries(partition).sort(([a], [b]) => (a < b ? -1 : 1));
  return [connector, Object.fromEntries(entries)];
}

/** A partition as text, for maps and messages. */
export function partitionText(partition: SourcePartition): string {
  return JSON.stringify(offsetKey('', partition)[1]);
}

/** The partition of a text by `partitionText`. */
export function parsePartition(text: string): SourcePartition {
  return JSON.parse(text) as SourcePartition;
}

/** How long one poll waits for other connectors' commits. */
const POLL_MS = 100;

/**
 * The last committed offsets of a connector, by `partitionText`. Call it only once earlier runs can
 * no longer commit. It waits for open transactions of other connectors: this connector's last
 * commit may come after them.
 *
 * @throws LogError any failure to read the topic.
 */
export async function readSourceOffsets(
  log: Log,
  connector: string,
): Promise<Map<string, SourceOffset>> {
  await log.admin().ensureTopic(connectOffsets);
  const ends = await log.admin().offsets(connectOffsets.name);
  const consumer = log.consumer({ isolationLevel: 'read_committed' });
  const assignments = ends.map(({ partition }) => ({ topic: connectOffsets, partition }));
  const reader = await consumer.assign(assignments);
  const found = new Map<string, SourceOffset>();
  const isBehind = (): boolean =>
    ends.some(({ partition, latest }) => {
      const position = reader.position({ topic: connectOffsets.name, partition });
      return (position ?? latest) < latest;
    });
  try {
    while (isBehind()) {
      for (const { key, value } of await reader.poll({ maxWaitMs: POLL_MS })) {
        if (key?.[0] !== connector) continue;
        const text = partitionText(key[1]);
        if (value === null) found.delete(text);
        else found.set(text, value);
      }
    }
  } finally {
    await consumer.close();
  }
  return found;
}
