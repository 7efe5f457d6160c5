import {
  bytes,
  LogError,
  NULL_POSITION,
  topic as topicHandle,
  type Consumer,
  type Log,
  type PartitionRecords,
  type Topic,
} from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import type {
  SourceBatch,
  SourceContext,
  SourcePartition,
  SourceRecord,
  SourceTask,
  SourceTaskProgress,
} from '../connector.ts';
import type { GroupCheckpoints } from './group-checkpoints.ts';
import type { MirrorSettings } from './mirror-options.ts';
import { heartbeats } from './mirror-records.ts';
import type { MirroredTopic, MirroredTopics } from './mirrored-topics.ts';
import type { SyncedPartition, SyncLedger } from './sync-ledger.ts';

export interface MirrorTaskOptions {
  readonly from: Log;
  readonly settings: MirrorSettings;
  readonly topics: MirroredTopics;
  readonly ledger: SyncLedger;
  readonly checkpoints: GroupCheckpoints;
  readonly context: SourceContext;
  /** Gives up what was opened for the task. */
  readonly close: () => Promise<void>;
}

/** A partition that is copied. */
interface MirroredPartition extends SyncedPartition {
  readonly topicId: string;
  /** Of the copy. */
  readonly handle: Topic<Uint8Array, Uint8Array>;
  readonly source: SourcePartition;
  /** The next offset to read; moves with each batch. */
  position: number;
  /** Where a run that does not follow ends: the end of the partition when it began. */
  readonly endOffset: number;
}

/** How long one poll waits for records before the task looks at other things. */
const POLL_MS = 100;

/**
 * Copies the committed records of a log, each to the partition of the same number
 * [CONNECT-MIRROR-1].
 */
export class MirrorTask implements SourceTask {
  readonly #options: MirrorTaskOptions;
  readonly #consumer: Consumer;
  /** By topic and partition; changes at each look at the source. */
  #partitions: ReadonlyMap<string, MirroredPartition> = new Map();
  /** Fetched, and not handed out yet. */
  #fetched: PartitionRecords[] = [];
  #refreshDueMs = 0;
  #checkpointDueMs = 0;
  #heartbeatDueMs = 0;
  #records = 0;

  private constructor(options: MirrorTaskOptions) {
    const { from, settings, context } = options;
    this.#options = options;
    this.#consumer = from.consumer({
      isolationLevel: 'read_committed',
      autoOffsetReset: 'earliest',
      offsetOutOfRange: settings.lostRecords === 'fail' ? 'fail' : 'reset',
      signal: context.signal,
    });
  }

  /** Finds what there is to copy. */
  static async open(options: MirrorTaskOptions): Promise<MirrorTask> {
    const task = new MirrorTask(options);
    try {
      await task.#refresh();
    } catch (cause) {
      await task.#consumer.close();
      throw cause;
    }
    return task;
  }

  async poll(): Promise<SourceBatch | undefined> {
    const { context, settings } = this.#options;
    const { signal, clock } = context;
    for (;;) {
      if (signal.aborted) return undefined;
      const records = this.#fetched.shift();
      if (records !== undefined) {
        const batch = this.#batchOf(records);
        if (batch !== undefined) return batch;
        continue;
      }
      if (!settings.follow && this.#isAtEnd()) {
        await this.#emitCheckpoints();
        return undefined;
      }
      const nowMs = clock.monotonicMs();
      if (settings.follow && nowMs >= this.#refreshDueMs) await this.#refresh();
      if (nowMs >= this.#checkpointDueMs) await this.#emitCheckpoints();
      const heartbeat = this.#heartbeat(nowMs);
      if (heartbeat !== undefined) return heartbeat;
      this.#fetched = await this.#fetch();
    }
  }

  /** Notes which offsets of both sides belong together. */
  async committed(): Promise<void> {
    const { ledger, settings } = this.#options;
    await ledger.note([...this.#partitions.values()]);
    if (!settings.follow && this.#isAtEnd()) await this.#emitCheckpoints();
  }

  progress(): SourceTaskProgress {
    return { unit: 'rows', done: this.#records, total: undefined, current: undefined };
  }

  async close(): Promise<void> {
    const { ledger, checkpoints, close } = this.#options;
    const closing = [this.#consumer.close(), ledger.close(), checkpoints.close()];
    const failed = (await Promise.allSettled(closing)).find(({ status }) => status === 'rejected');
    await close();
    if (failed?.status === 'rejected') throw failed.reason;
  }

  #isAtEnd(): boolean {
    for (const { position, endOffset } of this.#partitions.values()) {
      if (position < endOffset) return false;
    }
    return true;
  }

  async #fetch(): Promise<PartitionRecords[]> {
    const { signal, clock } = this.#options.context;
    if (this.#partitions.size === 0) {
      await sleep(clock, POLL_MS, signal);
      return [];
    }
    try {
      return await this.#consumer.pollBatches({ maxWaitMs: POLL_MS });
    } catch (cause) {
      if (signal.aborted && LogError.is(cause, 'ABORTED')) return [];
      if (!LogError.is(cause, 'UNKNOWN_TOPIC_OR_PARTITION')) throw cause;
      await this.#refresh(); // a topic was deleted
      return [];
    }
  }

  #batchOf(records: PartitionRecords): SourceBatch | undefined {
    const { topic, partition, cursor, endOffset } = records;
    const mirrored = this.#partitions.get(keyOf(topic, partition));
    if (mirrored === undefined || endOffset === mirrored.position) return undefined;
    const { handle, topicId, source } = mirrored;
    const copies: SourceRecord[] = [];
    const offsets: number[] = [];
    while (records.next()) {
      const { keyStart, keyEnd, valueStart, valueEnd, source: from } = cursor;
      copies.push({
        topic: handle,
        key: keyStart === NULL_POSITION ? null : from.subarray(keyStart, keyEnd),
        value: valueStart === NULL_POSITION ? null : from.subarray(valueStart, valueEnd),
        timestampMs: cursor.timestampMs,
        headers: cursor.headers,
        partition,
      });
      offsets.push(cursor.offset);
    }
    mirrored.position = endOffset;
    this.#records += copies.length;
    return {
      records: copies,
      partition: source,
      offset: { offset: endOffset, topicId },
      describe: (index) => `${topic}-${partition} at offset ${offsets[index]}`,
    };
  }

  #heartbeat(nowMs: number): SourceBatch | undefined {
    const { settings, context } = this.#options;
    const { heartbeatIntervalMs, alias, targetAlias = '', follow } = settings;
    if (heartbeatIntervalMs === undefined || !follow || nowMs < this.#heartbeatDueMs) {
      return undefined;
    }
    this.#heartbeatDueMs = nowMs + heartbeatIntervalMs;
    const key = { source: alias, target: targetAlias };
    const timestampMs = context.clock.nowMs();
    return {
      records: [{ topic: heartbeats, key, value: timestampMs, timestampMs }],
      partition: { sourceClusterAlias: alias, targetClusterAlias: targetAlias },
      offset: { offset: 0 },
    };
  }

  async #emitCheckpoints(): Promise<void> {
    const { checkpoints, settings, context } = this.#options;
    this.#checkpointDueMs = context.clock.monotonicMs() + settings.checkpointIntervalMs;
    await checkpoints.emit([...this.#partitions.values()]);
  }

  /** Looks for topics and partitions, and goes on with those that there are. */
  async #refresh(): Promise<void> {
    const { topics, settings, context, ledger } = this.#options;
    const found = await topics.find();
    const partitions = new Map<string, MirroredPartition>();
    for (const topic of found) {
      for (const mirrored of await this.#open(topic)) {
        partitions.set(keyOf(mirrored.topic, mirrored.partition), mirrored);
      }
    }
    this.#refreshDueMs = context.clock.monotonicMs() + settings.refreshIntervalMs;
    const isSame =
      partitions.size === this.#partitions.size &&
      [...partitions].every(([key, each]) => this.#partitions.get(key) === each);
    if (isSame) return;
    this.#partitions = partitions;
    await this.#consumer.assign(
      [...partitions.values()].map(({ topic, partition, position }) => {
        return { topic: bytesTopic(topic), partition, offset: position };
      }),
    );
    await ledger.note([...partitions.values()]);
  }

  /** The partitions of a topic: as they were, or where they are to begin. */
  async #open(found: MirroredTopic): Promise<readonly MirroredPartition[]> {
    const { topic, topicId, target, sourcePartitions: count, partitions } = found;
    const { context, settings, ledger, from } = this.#options;
    const all = Array.from({ length: count }, (_, partition) => {
      return this.#partitions.get(keyOf(topic, partition));
    });
    const isKnown = all.every((each) => each?.topicId === topicId && each.target === target);
    if (isKnown && all.length > 0) return all as MirroredPartition[];
    const ranges = await endsOf(from, topic, count);
    if (ranges === undefined) return []; // it was deleted just now
    // Another handle, for which the run looks the partitions up again.
    const handle = bytesTopic(target, partitions);
    return ranges.map(({ earliest, latest }, partition) => {
      const source = { cluster: settings.alias, topic, partition: String(partition) };
      const known = all[partition];
      const committed = context.offset(source);
      let position = earliest;
      if (known?.topicId === topicId) position = known.position;
      else if (known === undefined && committed?.['topicId'] === topicId) {
        position = Number(committed['offset']);
      } else if (known !== undefined || committed !== undefined) {
        ledger.forget({ topic, partition }); // it was made again
      }
      const endOffset = settings.follow ? Infinity : latest;
      return { topic, partition, target, topicId, handle, source, position, endOffset };
    });
  }
}

/** The ends of the committed records of each partition; undefined if there is no such topic. */
async function endsOf(
  log: Log,
  topic: string,
  count: number,
): Promise<{ readonly earliest: number; readonly latest: number }[] | undefined> {
  const numbers = Array.from({ length: count }, (_, partition) => partition);
  const { partitions } = await log.api.listOffsets({
    isolationLevel: 'read_committed',
    partitions: numbers.flatMap((partition) => [
      { topic, partition, spec: 'earliest' as const },
      { topic, partition, spec: 'latest' as const },
    ]),
  });
  const failed = partitions.find(({ error }) => error !== undefined)?.error;
  if (failed?.code === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined;
  if (failed !== undefined) throw LogError.fromData(failed);
  return numbers.map((partition) => ({
    earliest: partitions[2 * partition]?.offset ?? 0,
    latest: partitions[2 * partition + 1]?.offset ?? 0,
  }));
}

function bytesTopic(name: string, partitions?: number): Topic<Uint8Array, Uint8Array> {
  const count = partitions === undefined ? {} : { partitions };
  return topicHandle(name, { key: bytes(), value: bytes(), ...count });
}

function keyOf(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}
