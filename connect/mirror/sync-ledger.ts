import { LogError, type Log, type Producer, type TopicPartition } from '../../core/index.ts';
import { offsetSyncs } from './mirror-records.ts';
import { OffsetHistory } from './offset-history.ts';
import { readRecords } from './read-records.ts';

/** A partition of the source that is mirrored, and how far. */
export interface SyncedPartition extends TopicPartition {
  /** The name of the topic in the mirror. */
  readonly target: string;
  /** The next offset to read there. */
  readonly position: number;
}

/**
 * Which offsets of the mirror follow from which of the source: in a topic, as MirrorMaker's offset
 * syncs. Ours stand at the ends of transactions, where both sides are known: a group that will read
 * `upstreamOffset` there has nothing to read below `offset` here.
 */
export class SyncLedger {
  readonly #to: Log;
  readonly #producer: Producer;
  readonly #topic: ReturnType<typeof offsetSyncs>;
  readonly #histories = new Map<string, OffsetHistory>();

  private constructor(to: Log, topic: ReturnType<typeof offsetSyncs>) {
    this.#to = to;
    this.#topic = topic;
    this.#producer = to.producer();
  }

  /** Reads what earlier runs have noted. */
  static async open(to: Log, alias: string): Promise<SyncLedger> {
    const topic = offsetSyncs(alias);
    await to.admin().ensureTopic(topic);
    const ledger = new SyncLedger(to, topic);
    for (const { key, value } of await readRecords(to, topic)) {
      if (key !== null && value !== null) ledger.#historyOf(key).add(value);
    }
    return ledger;
  }

  /**
   * Notes how far partitions are mirrored. Call it while nothing is written to the mirror, and
   * everything before their positions is there or not committed yet.
   */
  async note(partitions: readonly SyncedPartition[]): Promise<void> {
    if (partitions.length === 0) return;
    const { partitions: ends } = await this.#to.api.listOffsets({
      isolationLevel: 'read_uncommitted',
      partitions: partitions.map(({ target: topic, partition }) => {
        return { topic, partition, spec: 'latest' as const };
      }),
    });
    const sent: Promise<unknown>[] = [];
    for (const [index, { offset, error }] of ends.entries()) {
      if (error !== undefined) throw LogError.fromData(error);
      const { topic, partition, position: upstreamOffset } = partitions[index]!;
      const value = { upstreamOffset, offset };
      if (!this.#historyOf({ topic, partition }).add(value)) continue;
      sent.push(this.#producer.send(this.#topic, { key: { topic, partition }, value }));
    }
    await Promise.all(sent);
  }

  /** Forgets a partition of a topic that was made again: its offsets start over. */
  forget(partition: TopicPartition): void {
    this.#histories.delete(keyOf(partition));
  }

  /** As `OffsetHistory.translate`. */
  translate(partition: TopicPartition, upstreamOffset: number): number | undefined {
    return this.#historyOf(partition).translate(upstreamOffset);
  }

  /** Releases the producer. */
  close(): Promise<void> {
    return this.#producer.close();
  }

  #historyOf(partition: TopicPartition): OffsetHistory {
    const key = keyOf(partition);
    let history = this.#histories.get(key);
    if (history === undefined) this.#histories.set(key, (history = new OffsetHistory()));
    return history;
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
