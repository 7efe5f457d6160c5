import { join, resolve } from 'node:path';
import { partitionKey } from '../protocol/topic-partition.ts';
import { decodeGroupTopicKey, decodeOffsetValue } from '../broker/coordinator-records.ts';
import type { TopicConfig } from '../protocol/topic-config.ts';
import { LogError } from '../errors.ts';
import {
  LOG_SUFFIX,
  offsetName,
  offsetOfName,
  OFFSET_INDEX_SUFFIX,
} from '../log/segment/file-names.ts';
import { OffsetIndex } from '../log/segment/sparse-index.ts';
import { markerTypeAt, type MarkerType } from '../record/control.ts';
import { RecordCursor } from '../record/record-cursor.ts';
import type { Headers } from '../record/record.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { errnoOf, nodeFileSystem } from '../storage/node-fs.ts';
import { walkStretches } from './batch-walk.ts';
import { withJournal } from './journal-check.ts';
import type { ReadableFiles } from './left-overs.ts';
import { readRoot, type DataRoot, type FoundPartition } from './data-root.ts';
import { OFFSETS_TOPIC, partsAt } from './record-check.ts';

/** A snapshot of a partition, from its files. */
export interface PartitionView {
  readonly topic: string;
  readonly partition: number;
  /** The first offset that can be read. */
  readonly firstOffset: number;
  /** The offset after the last record. */
  readonly nextOffset: number;
  readonly segments: number;
  /** Bytes of the segments' batches. */
  readonly bytes: number;
}

/** A snapshot of a topic, from its files. */
export interface TopicView {
  readonly topic: string;
  /** Settings that are not the defaults, in Kafka's names. */
  readonly config: TopicConfig;
  readonly partitions: readonly PartitionView[];
}

/** A record in the log, whatever the outcome of its transaction. */
export interface RecordView {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Headers;
  /** The outcome, for a record that ends a transaction. */
  readonly marker?: MarkerType;
}

/** The progress of a group in a partition. */
export interface GroupView {
  readonly groupId: string;
  readonly topic: string;
  readonly partition: number;
  /** The next offset that the group reads. */
  readonly offset: number;
  /** Offsets from there to the end, markers and gaps too; undefined if the partition is gone. */
  readonly lag: number | undefined;
}

/** A transaction that was aborted: its records are from `first` on, below `end`. */
interface AbortedStretch {
  readonly producerId: number;
  readonly first: number;
  readonly end: number;
}

interface Transactions {
  readonly aborted: readonly AbortedStretch[];
  /** The start of the first open one; Infinity for none. */
  readonly stable: number;
}

/** Reads a data directory without opening the log. Created by `viewLog`. */
export class LogView {
  readonly #files: ReadableFiles;
  readonly #root: DataRoot;

  /** @internal `viewLog` calls it. */
  constructor(files: ReadableFiles, root: DataRoot) {
    this.#files = files;
    this.#root = root;
  }

  /**
   * The topics by name, with the first and next offsets of their partitions.
   *
   * @throws LogError KAFKA_STORAGE_ERROR
   */
  async topics(): Promise<TopicView[]> {
    const topics = new Map<string, PartitionView[]>();
    for (const found of this.#root.partitions) {
      const partitions = topics.get(found.topic) ?? [];
      topics.set(found.topic, partitions);
      partitions.push(await this.#viewPartition(found));
    }
    return [...topics].map(([topic, partitions]) => {
      const config = this.#root.listed.find(({ name }) => name === topic)?.config ?? {};
      return { topic, config, partitions };
    });
  }

  /**
   * The records of a partition from an offset on, up to the last batch that is whole now.
   *
   * @throws LogError UNKNOWN_TOPIC_OR_PARTITION, CORRUPT_BATCH, UNSUPPORTED_COMPRESSION_TYPE,
   *   KAFKA_STORAGE_ERROR
   */
  async *records(
    topic: string,
    partition: number,
    from = 0,
  ): AsyncGenerator<RecordView, void, undefined> {
    const found = this.#find(topic, partition);
    const bases = await this.#basesOf(found);
    const first = Math.max(
      0,
      bases.findLastIndex((base) => base <= from),
    );
    const start = Math.max(from, this.#root.logStarts.get(partitionKey(topic, partition)) ?? 0);
    for (const [index, base] of bases.entries()) {
      if (index < first) continue;
      const isLast = index === bases.length - 1;
      for await (const record of this.#segmentRecords(found, { base, from: start, isLast })) {
        if (record.offset >= start) yield record;
      }
    }
  }

  /**
   * The records that readers of committed data see now: those of aborted transactions are left out,
   * and so is everything from the first open transaction on.
   *
   * @throws LogError as `records`
   */
  async *committed(
    topic: string,
    partition: number,
    from = 0,
  ): AsyncGenerator<RecordView, void, undefined> {
    const found = this.#find(topic, partition);
    const { stable, aborted } = await this.#transactions(found);
    const start = Math.max(from, this.#root.logStarts.get(partitionKey(topic, partition)) ?? 0);
    for await (const cursor of this.#cursors(found)) {
      const { offset, timestampMs, headers, header } = cursor;
      if (offset >= stable) return;
      const { isControl, isTransactional, producerId } = header;
      if (offset < start || isControl) continue;
      const isAborted = aborted.some((range) => {
        return range.producerId === producerId && offset >= range.first && offset < range.end;
      });
      if (isTransactional && isAborted) continue;
      yield { offset, timestampMs, ...partsAt(cursor), headers };
    }
  }

  /** The aborted transactions of a partition, and where the first open one begins. */
  async #transactions(found: FoundPartition): Promise<Transactions> {
    const aborted: AbortedStretch[] = [];
    const open = new Map<number, number>(); // the first offset, by producer
    for await (const cursor of this.#cursors(found)) {
      const { offset } = cursor;
      const { isControl, isTransactional, producerId } = cursor.header;
      const first = open.get(producerId);
      if (!isControl) {
        if (isTransactional && first === undefined) open.set(producerId, offset);
        continue;
      }
      open.delete(producerId);
      if (first === undefined || markerTypeAt(cursor) !== 'ABORT') continue;
      aborted.push({ producerId, first, end: offset });
    }
    return { stable: Math.min(Infinity, ...open.values()), aborted };
  }

  /**
   * The committed offsets of groups, without those in open transactions.
   *
   * @throws LogError as `records`
   */
  async groups(): Promise<GroupView[]> {
    const committed = new Map<string, Omit<GroupView, 'lag'>>();
    for (const { topic, partition, directory } of this.#root.partitions) {
      if (topic !== OFFSETS_TOPIC) continue;
      await this.#replay({ topic, partition, directory }, committed);
    }
    const ends = new Map<string, number>();
    for (const { topic, partition, directory } of this.#root.partitions) {
      const { nextOffset } = await this.#viewPartition({ topic, partition, directory });
      ends.set(partitionKey(topic, partition), nextOffset);
    }
    const groups = [...committed.values()].map((group) => {
      const end = ends.get(partitionKey(group.topic, group.partition));
      return { ...group, lag: end === undefined ? undefined : Math.max(0, end - group.offset) };
    });
    const nameOf = ({ groupId, topic, partition }: GroupView) =>
      `${groupId} ${topic} ${String(partition).padStart(10, '0')}`;
    return groups.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  }

  async #replay(
    found: FoundPartition,
    committed: Map<string, Omit<GroupView, 'lag'>>,
  ): Promise<void> {
    /** Offsets of open transactions, by producer. */
    const pending = new Map<number, (() => void)[]>();
    for await (const cursor of this.#cursors(found)) {
      const { isControl, isTransactional, producerId } = cursor.header;
      if (isControl) {
        const changes = pending.get(producerId) ?? [];
        pending.delete(producerId);
        if (markerTypeAt(cursor) === 'COMMIT') for (const change of changes) change();
        continue;
      }
      const { key, value } = partsAt(cursor);
      const decoded = key === null ? undefined : decodeGroupTopicKey(key);
      if (decoded?.kind !== 'offset') continue;
      const { groupId, topic, partition } = decoded;
      const name = JSON.stringify([groupId, topic, partition]);
      const offset = value === null ? undefined : decodeOffsetValue(value).offset;
      const change = (): void => {
        if (offset === undefined) committed.delete(name);
        else committed.set(name, { groupId, topic, partition, offset });
      };
      if (!isTransactional) change();
      else pending.set(producerId, [...(pending.get(producerId) ?? []), change]);
    }
  }

  async *#cursors(found: FoundPartition): AsyncGenerator<RecordCursor, void, undefined> {
    const bases = await this.#basesOf(found);
    for (const base of bases) {
      yield* this.#segmentCursors(found, { base, from: 0, isLast: base === bases.at(-1) });
    }
  }

  async *#segmentRecords(
    found: FoundPartition,
    options: { readonly base: number; readonly from: number; readonly isLast: boolean },
  ): AsyncGenerator<RecordView, void, undefined> {
    for await (const cursor of this.#segmentCursors(found, options)) {
      const { offset, timestampMs, headers, header } = cursor;
      const marker = header.isControl ? markerTypeAt(cursor) : undefined;
      const record = { offset, timestampMs, ...partsAt(cursor), headers };
      yield marker === undefined ? record : { ...record, marker };
    }
  }

  /** A cursor on each record of a segment, from the batch that holds `from` on. */
  async *#segmentCursors(
    found: FoundPartition,
    {
      base,
      from,
      isLast,
    }: { readonly base: number; readonly from: number; readonly isLast: boolean },
  ): AsyncGenerator<RecordCursor, void, undefined> {
    const path = join(found.directory, offsetName(base) + LOG_SUFFIX);
    const position = await this.#positionOf(found, base, from);
    const file = await this.#files.open(path, 'read').catch((cause: unknown) => {
      throw storageFailure(path, 'open', cause);
    });
    try {
      const cursor = new RecordCursor(found);
      const sizeBytes = await file.sizeBytes();
      const anything = () => ({ from: 0, upTo: Infinity });
      for await (const stretch of walkStretches(file, sizeBytes, anything, position)) {
        if (stretch.kind === 'damage') {
          if (isLast && stretch.end === sizeBytes) return; // a write in progress, or a torn tail
          throw damaged(path, stretch.start, stretch.reason);
        }
        if (stretch.header.lastOffset < from) continue;
        cursor.open(stretch.source, stretch.at);
        while (cursor.next()) yield cursor;
      }
    } finally {
      await file.close();
    }
  }

  async #viewPartition(found: FoundPartition): Promise<PartitionView> {
    const { topic, partition, directory } = found;
    const bases = await this.#basesOf(found);
    let bytes = 0;
    for (const base of bases) {
      const stat = await this.#files.stat(join(directory, offsetName(base) + LOG_SUFFIX));
      bytes += stat?.sizeBytes ?? 0;
    }
    const start = this.#root.logStarts.get(partitionKey(topic, partition)) ?? 0;
    const nextOffset = await this.#endOf(found, bases.at(-1) ?? start);
    const firstOffset = Math.max(start, bases[0] ?? 0);
    return { topic, partition, firstOffset, nextOffset, segments: bases.length, bytes };
  }

  /** The offset after the last whole batch of the last segment. */
  async #endOf(found: FoundPartition, base: number): Promise<number> {
    const path = join(found.directory, offsetName(base) + LOG_SUFFIX);
    if ((await this.#files.stat(path)) === undefined) return base;
    const position = await this.#positionOf(found, base, Infinity);
    const file = await this.#files.open(path, 'read');
    try {
      let end = base;
      const anything = () => ({ from: 0, upTo: Infinity });
      const stretches = walkStretches(file, await file.sizeBytes(), anything, position);
      for await (const stretch of stretches) {
        if (stretch.kind === 'batch') end = stretch.header.lastOffset + 1;
      }
      return end;
    } finally {
      await file.close();
    }
  }

  /** The position to search from: the one in the index if a batch starts there. */
  async #positionOf(found: FoundPartition, base: number, offset: number): Promise<number> {
    const stem = join(found.directory, offsetName(base));
    const bytes = await this.#files.readFile(stem + OFFSET_INDEX_SUFFIX).catch(absent);
    const size = (await this.#files.stat(stem + LOG_SUFFIX))?.sizeBytes ?? 0;
    const index = new OffsetIndex(base);
    index.load(bytes ?? Buffer.alloc(0), size, Infinity);
    const { position, lastOffset } = index.lookup(offset);
    if (position === 0) return 0;
    const file = await this.#files.open(stem + LOG_SUFFIX, 'read');
    try {
      const anything = () => ({ from: 0, upTo: Infinity });
      for await (const stretch of walkStretches(file, size, anything, position)) {
        const isTrue = stretch.kind === 'batch' && stretch.header.lastOffset === lastOffset;
        return isTrue ? position : 0;
      }
      return 0;
    } finally {
      await file.close();
    }
  }

  async #basesOf({ directory }: FoundPartition): Promise<number[]> {
    const names = (await this.#files.list(directory)).map(({ name }) => name);
    const bases = names.map((name) => offsetOfName(name, LOG_SUFFIX));
    return bases.filter((base) => base !== undefined).sort((a, b) => a - b);
  }

  #find(topic: string, partition: number): FoundPartition {
    const found = this.#root.partitions.find(
      (each) => each.topic === topic && each.partition === partition,
    );
    if (found !== undefined) return found;
    const names = [...new Set(this.#root.partitions.map((each) => each.topic))];
    const hint = names.includes(topic)
      ? `it has no partition ${partition}`
      : `there are ${names.join(', ') || 'none'}`;
    const message = `there is no ${topic}-${partition} in ${this.#root.directory}: ${hint}`;
    throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic, partition });
  }
}

/**
 * Reads a data directory: topics, records, committed offsets. Takes no lock and changes nothing, so
 * it works while a process has the log open; it shows all whole batches in the files, even those of
 * open or aborted transactions.
 *
 * @throws LogError DIRECTORY_UNUSABLE if there is no log, CORRUPT_FILE if its list of topics or
 *   checkpoints are damaged.
 */
export async function viewLog(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<LogView> {
  const root = await readRoot(fileSystem, resolve(directory));
  return new LogView(withJournal(fileSystem, root.journal.redos), root);
}

function absent(cause: unknown): undefined {
  if (errnoOf(cause) !== 'ENOENT') throw cause;
}

function damaged(file: string, positionBytes: number, reason: string): LogError {
  const message = `${file} is damaged at byte ${positionBytes}: ${reason}; see millrace verify`;
  return new LogError('CORRUPT_BATCH', message, { file, positionBytes, reason });
}
