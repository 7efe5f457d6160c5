import { assert } from '../assert.ts';
import type { LogError } from '../errors.ts';
import { NO_SEQUENCE, readBatchHeader, type BatchHeader } from '../record/batch.ts';
import { encodeMarker, type Marker } from '../record/control.ts';
import type { RecordPlace } from '../record/unpack.ts';
import { admitBatch } from './admission.ts';
import { Compaction } from './compaction/compaction.ts';
import { commitSwap, finishSwap } from './compaction/swap.ts';
import { Durability, type Turn } from './durability/durability.ts';
import { writeFailure } from './durability/failure.ts';
import type { DurabilityState } from './durability/states.ts';
import { settleLeaderEpochs, type LeaderEpochs } from './leader-epochs.ts';
import { loadLog, type TornTail } from './load/load.ts';
import { isDeleted, type LogConfig } from './log-config.ts';
import { LogContents } from './log-contents.ts';
import type { Appended, PartitionLogOptions } from './partition-log-options.ts';
import { encodeSnapshot, writeSnapshot } from './producer-snapshot.ts';
import type { ProducerStates } from './producer-states.ts';
import { retainedFrom } from './retention.ts';
import { closed, outOfRange } from './segment/log-reader.ts';
import {
  abortedIn,
  flushAll,
  readSegments,
  segmentIndexOf,
  type LogRead,
} from './segment/segment-list.ts';
import { removeSegment } from './segment/segment-removal.ts';
import type { Segment } from './segment/segment.ts';
import { findNewest, findTimestamp } from './segment/timestamp-search.ts';
import type { SearchRange, TimestampedOffset } from './segment/timestamp-search.ts';
import type { AbortedTransaction, KnownAborted } from './segment/transaction-index.ts';

/**
 * The log of one partition: append, read, sync, delete. An append fixes offset, sequence and
 * transaction state at once, in the order of the calls; `Durability` writes the bytes later. So
 * `nextOffset` runs ahead of `highWatermark`, where readers stop.
 */
export class PartitionLog {
  readonly place: RecordPlace;
  readonly compaction: Compaction;
  readonly #options: PartitionLogOptions;
  readonly #contents: LogContents;
  readonly #durability: Durability;
  /** The end of the last `checkpoint`. */
  #checkpointed: number;

  private constructor(
    options: PartitionLogOptions,
    contents: LogContents,
    isCheckpointed: boolean,
  ) {
    this.place = options.place;
    this.#options = options;
    this.#contents = contents;
    this.#checkpointed = isCheckpointed ? contents.nextOffset : -1;
    this.#durability = new Durability(options, contents);
    const [segments, replace] = [() => contents.segments, this.#replace.bind(this)];
    this.compaction = new Compaction(this, { ...options, segments, replace });
  }

  /**
   * Opens the partition in `directory`, which exists. Returns it and the torn tail that was cut.
   *
   * @throws LogError CORRUPT_BATCH, KAFKA_STORAGE_ERROR, DISK_FULL
   */
  static async open(
    options: PartitionLogOptions,
  ): Promise<{ readonly log: PartitionLog; readonly tornTail: TornTail | undefined }> {
    const loaded = await loadLog({ ...options, nowMs: options.clock.nowMs() });
    const leaderEpochs = await settleLeaderEpochs(options, loaded);
    const contents = new LogContents(options, loaded, leaderEpochs);
    const log = new PartitionLog(options, contents, loaded.isCheckpointed);
    return { log, tornTail: loaded.tornTail };
  }

  get config(): LogConfig {
    return this.#contents.config;
  }

  /** As the log had them when it was opened: no epoch begins while it is open. */
  get leaderEpochs(): LeaderEpochs {
    return this.#contents.leaderEpochs;
  }

  /** The first offset that can be read. */
  get logStartOffset(): number {
    return this.#contents.logStartOffset;
  }

  /** The offset that the next batch gets. */
  get nextOffset(): number {
    return this.#contents.nextOffset;
  }

  /** Everything below can be read: the operating system has it. */
  get highWatermark(): number {
    return this.#durability.writtenOffset;
  }

  /** Below this, every transaction has ended; readers of committed data stop here. */
  get lastStableOffset(): number {
    return this.producers.lastStableOffset(this.highWatermark);
  }

  /** Everything below survives a power cut. */
  get durableOffset(): number {
    return this.#durability.durableOffset;
  }

  /** Recovery trusts everything below without reading it: the end of the last checkpoint. */
  get recoveryPoint(): number {
    return this.#contents.recoveryPoint;
  }

  /** Digests against which recovery checks the `.txnindex` files, up to the recovery point. */
  get knownAborted(): KnownAborted {
    return this.#contents.knownAborted;
  }

  get sizeBytes(): number {
    return this.#contents.segments.reduce((sum, { writtenBytes }) => sum + writtenBytes, 0);
  }

  get producers(): ProducerStates {
    return this.#contents.producers;
  }

  /** The reason why appends fail, or undefined if they do not. */
  get failure(): LogError | undefined {
    return this.#durability.failure;
  }

  /** Whether the log can be written; `full`, for example, until a write succeeds again. */
  get state(): DurabilityState {
    return this.#durability.state;
  }

  get #readable(): SearchRange {
    return { from: this.logStartOffset, upTo: this.highWatermark, place: this.place };
  }

  setConfig(config: LogConfig): void {
    this.#contents.setConfig(config);
  }

  /**
   * Assigns offsets to the batch and hands it to the writer. Takes ownership of `batch`: sets its
   * offset and epoch fields in place. Does not append a repeat of one of the producer's last five
   * batches; returns the old offsets instead.
   *
   * @throws LogError MESSAGE_TOO_LARGE, CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP,
   *   UNSUPPORTED_COMPRESSION_TYPE, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH,
   *   INVALID_TXN_STATE; DISK_FULL, KAFKA_STORAGE_ERROR while it cannot write: the batch is not in
   *   the log.
   */
  append(batch: Buffer): Appended {
    this.#durability.checkWritable();
    const nowMs = this.#options.clock.nowMs();
    const admitted = admitBatch(batch, { place: this.place, config: this.config, nowMs });
    return this.#appendData(admitted.batch, admitted.header, nowMs);
  }

  /** Appends a coordinator's batch to its own topic: no client's rules or sequences apply. */
  appendInternal(batch: Buffer): Appended {
    this.#durability.checkWritable();
    return this.#appendData(batch, readBatchHeader(batch, 0), this.#options.clock.nowMs());
  }

  /**
   * True if the producer has reached this epoch here: the marker that raised it is in the log.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR, CLOSED while the log cannot be written.
   */
  hasProducerAt(producerId: number, epoch: number): boolean {
    this.#durability.checkWritable();
    return (this.producers.get(producerId)?.epoch ?? -1) >= epoch;
  }

  /**
   * Ends the open transaction of the marker's producer here, if there is one.
   *
   * @throws LogError INVALID_PRODUCER_EPOCH for a marker older than the producer's epoch.
   */
  appendMarker(marker: Marker): Appended {
    this.#durability.checkWritable();
    const batch = encodeMarker(marker);
    const { coordinatorEpoch, type, timestampMs } = marker;
    const current = this.producers.get(marker.producerId);
    assert(
      current === undefined || current.epoch <= marker.producerEpoch,
      'the coordinator never ends a transaction with an older epoch than its data has',
    );
    const placed = this.#contents.place(batch, readBatchHeader(batch, 0));
    const aborted = this.producers.end(placed, type, coordinatorEpoch, timestampMs);
    if (aborted !== undefined) this.#contents.active.indexes.aborted.push(aborted);
    return this.#write(batch, placed);
  }

  /**
   * Resolves when everything below `offset` (default: all that was appended) survives a power cut.
   * Many callers share one sync.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL
   */
  sync(offset = this.nextOffset): Promise<void> {
    return this.#durability.sync(offset);
  }

  /** The same without the journal: in the partition's own files. @throws as `sync`. */
  flush(offset: number): Promise<void> {
    return this.#durability.flush(offset);
  }

  /**
   * Reads whole batches, starting with the one that holds `offset`, below `endOffset` (the high
   * watermark or the last stable offset). Empty if there is nothing yet.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE, CORRUPT_BATCH, KAFKA_STORAGE_ERROR
   */
  async read(offset: number, limits: { endOffset: number; maxBytes: number }): Promise<LogRead> {
    const { readFailure } = this.#durability;
    if (readFailure !== undefined) throw readFailure;
    const { highWatermark, logStartOffset } = this;
    if (offset < logStartOffset || offset > highWatermark) throw outOfRange(this, offset);
    const endOffset = Math.min(limits.endOffset, highWatermark);
    return readSegments(this.#contents.segments, this.#contents.positions, {
      ...limits,
      offset,
      endOffset,
    });
  }

  /** The aborted transactions with data in [from, upTo), for readers of committed data. */
  abortedTransactions(from: number, upTo: number): AbortedTransaction[] {
    return abortedIn(this.#contents.segments, from, upTo);
  }

  /** The first record stamped `timestampMs` or later, or undefined if there is none. */
  findTimestamp(timestampMs: number): Promise<TimestampedOffset | undefined> {
    return findTimestamp(this.#contents.segments, timestampMs, this.#readable);
  }

  /** The newest timestamp in the log and its offset, or undefined for an empty log. */
  findMaxTimestamp(): Promise<TimestampedOffset | undefined> {
    return findNewest(this.#contents.segments, this.#readable);
  }

  /**
   * Makes everything below `offset` unreadable and removes the segments wholly below it. The caller
   * stores the new start offset (`log-start-offset-checkpoint`).
   *
   * @throws LogError OFFSET_OUT_OF_RANGE above the high watermark: nothing changed.
   */
  deleteRecords(offset: number): Promise<number> {
    return this.#durability.alone(async (turn) => {
      this.#durability.checkWritable();
      if (offset > this.highWatermark) throw outOfRange(this, offset);
      if (offset > this.logStartOffset) await this.#startAt(offset, turn);
      return this.logStartOffset;
    });
  }

  /**
   * Removes old segments by size and time, as the topic's settings say. The newest one stays unless
   * all of it has expired: then a new one is begun first (Kafka: `UnifiedLog.deleteOldSegments`).
   */
  applyRetention(): Promise<void> {
    return this.#durability.alone(async (turn) => {
      if (!isDeleted(this.config) || this.failure !== undefined) return;
      const { highWatermark, config } = this;
      const contents = this.#contents;
      const limits = { highWatermark, nowMs: this.#options.clock.nowMs(), config };
      const keepFrom = retainedFrom(contents.segments, limits);
      if (keepFrom === undefined || keepFrom <= this.logStartOffset) return;
      if (keepFrom >= this.nextOffset && contents.active.admittedBytes > 0) contents.roll();
      await this.#startAt(keepFrom, turn);
    });
  }

  /**
   * Makes the whole log durable, with its indexes and producers, so that the next opening starts
   * from here. Returns the offset to store as recovery point.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL, CLOSED
   */
  checkpoint(): Promise<number> {
    return this.#durability.alone(async (turn) => {
      if (this.failure !== undefined) throw this.failure;
      return this.#checkpoint(turn);
    });
  }

  async #checkpoint(turn: Turn): Promise<number> {
    const offset = this.nextOffset;
    const segments = [...this.#contents.segments];
    const isFlushed = !segments.some(({ hasUnflushedIndexes }) => hasUnflushedIndexes);
    if (offset === this.#checkpointed && isFlushed) return offset;
    const { clock, fileSystem, directory } = this.#options;
    this.producers.expire(clock.nowMs());
    const snapshot = encodeSnapshot(this.producers.all());
    await turn.flush(offset);
    await flushAll(segments);
    await writeSnapshot(fileSystem, directory, { offset, snapshot });
    await turn.syncNames();
    this.#checkpointed = offset;
    this.#contents.raiseRecoveryPoint(offset);
    return offset;
  }

  /** Ends the log after `checkpoint`: the next opening has nothing to recover. */
  async close(): Promise<number> {
    if (this.state === 'closing' || this.state === 'closed') throw closed(this.place);
    this.#durability.startClosing(false);
    await this.compaction.idle();
    return this.#durability.close((turn) => {
      for (const segment of this.#contents.segments) segment.closeTimeIndex();
      return this.#checkpoint(turn);
    });
  }

  /** Closes the files and makes nothing durable: the partition is about to be deleted. */
  async abandon(): Promise<void> {
    this.#durability.startClosing(true);
    await this.compaction.idle();
    await this.#durability.abandon();
  }

  #appendData(batch: Buffer, header: BatchHeader, nowMs: number): Appended {
    if (header.producerId >= 0 && header.baseSequence !== NO_SEQUENCE) {
      const duplicate = this.producers.check(header);
      if (duplicate !== undefined) {
        const written = this.#durability.written(duplicate.lastOffset + 1);
        written.catch(() => undefined); // as with a round, no caller must await it
        return { ...duplicate, written };
      }
    }
    const placed = this.#contents.place(batch, header);
    if (placed.producerId >= 0) this.producers.append(placed, nowMs, this.durableOffset);
    return this.#write(batch, placed);
  }

  #write(batch: Buffer, placed: BatchHeader): Appended {
    const { baseOffset, lastOffset } = placed;
    const written = this.#durability.write(this.#contents.active, batch, placed);
    return { baseOffset, lastOffset, written };
  }

  /** Moves the start of the log to `offset`; removes the files of segments below after a delay. */
  async #startAt(offset: number, turn: Turn): Promise<void> {
    const contents = this.#contents;
    // Without a file that marks its end, the log would start at 0 again.
    if (segmentIndexOf(contents.segments, offset) > 0) await turn.begin(contents.active);
    contents.startAt(offset);
    this.#options.advanced();
    while (segmentIndexOf(contents.segments, offset) > 0) {
      const oldest = contents.segments[0]!;
      turn.forget(oldest);
      await removeSegment(oldest, this.#removal(turn));
      contents.dropOldest();
    }
  }

  /** As `CompactedFiles.replace`: after a failure halfway, the log reloads and continues. */
  #replace(old: readonly Segment[], cleaned: Segment): Promise<boolean> {
    return this.#durability.alone(async (turn) => {
      const contents = this.#contents;
      if (this.failure !== undefined || !contents.has(old)) return false;
      // The journal may have frames of the old segments. It does not redo them if another segment
      // follows, so create that one before these change (`reloadLog` keeps it).
      await turn.begin(contents.active);
      await commitSwap(this.#removal(turn), old, cleaned);
      try {
        await finishSwap(this.#removal(turn), old, cleaned);
      } catch (cause) {
        turn.reload(writeFailure(cleaned.directory, 'rename', cause));
        throw cause;
      }
      contents.replace(old, cleaned);
      for (const segment of old) turn.forget(segment);
      return true;
    });
  }

  #removal({ syncNames }: Turn) {
    const { fileSystem, directory, clock } = this.#options;
    return { fileSystem, directory, clock, syncNames, delayMs: this.config.fileDeleteDelayMs };
  }
}
