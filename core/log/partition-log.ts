import { basename } from 'node:path';
import { assert, present } from '../assert.ts';
import { type LogError } from '../errors.ts';
import { NO_SEQUENCE, readBatchHeader, type BatchHeader } from '../record/batch.ts';
import { encodeMarker, type Marker } from '../record/control.ts';
import type { RecordPlace } from '../record/unpack.ts';
import { storageFailure } from '../storage/failure.ts';
import { Exclusive } from '../exclusive.ts';
import { admitBatch } from './write/admission.ts';
import { Compaction } from './compaction/compaction.ts';
import { loadLog, reloadLog, type LoadedLog, type TornTail } from './load/load.ts';
import type { Appended, PartitionLogOptions } from './partition-log-options.ts';
import { isDeleted, type LogConfig } from './log-config.ts';
import { newestEpoch, settleLeaderEpochs, type LeaderEpochs } from './leader-epochs.ts';
import { closed, outOfRange } from './segment/log-reader.ts';
import { LogWriter } from './write/log-writer.ts';
import { ReadPositions } from './segment/read-positions.ts';
import { encodeSnapshot, writeSnapshot } from './producer-snapshot.ts';
import type { ProducerStates } from './producer-states.ts';
import { retainedFrom } from './retention.ts';
import { removeSegment } from './segment/segment-removal.ts';
import {
  abortedIn,
  closeAll,
  flushAll,
  isRunOf,
  readSegments,
  segmentIndexOf,
  withInstead,
  type LogRead,
} from './segment/segment-list.ts';
import { Segment } from './segment/segment.ts';
import { commitSwap, finishSwap } from './compaction/swap.ts';
import { findNewest, findTimestamp } from './segment/timestamp-search.ts';
import type { JournalSource } from './write/sync-journal.ts';
import type { SearchRange, TimestampedOffset } from './segment/timestamp-search.ts';
import type { AbortedTransaction } from './segment/transaction-index.ts';

/**
 * The log of one partition: append, read, sync, delete. Appending decides offset, sequence and
 * transaction state at once, in the order of the calls; the bytes follow through `LogWriter`. So
 * `nextOffset` runs ahead of `highWatermark`, which is where readers stop.
 */
export class PartitionLog implements JournalSource {
  readonly place: RecordPlace;
  readonly compaction: Compaction;
  readonly #options: PartitionLogOptions;
  /** As the log had them when it was opened: no epoch begins while it is open. */
  readonly leaderEpochs: LeaderEpochs;
  #config: LogConfig;
  /** By rising base offset; the last one is appended to. Changes on roll, removal and reload. */
  #segments: Segment[];
  #producers: ProducerStates;
  #writer: LogWriter;
  #logStartOffset: number;
  readonly #positions = new ReadPositions();
  /** What the last `checkpoint` covered. */
  #checkpointed = -1;
  /**
   * Set while a failed write is being cut away; appends fail meanwhile. When it is not set although
   * the writer has failed, the cutting found no room: the next append has it tried again.
   */
  #reloading: Promise<void> | undefined;
  /** Set by the failure that ended this log, or by `close`: nothing is appended any more. */
  #ended: LogError | undefined;
  /** Set when the files are being closed: nothing is read any more either. */
  #isClosed = false;
  /** Checkpoints and removals, which `close` waits for. */
  readonly #chores = new Exclusive();

  private constructor(options: PartitionLogOptions, loaded: LoadedLog, epochs: LeaderEpochs) {
    this.place = options.place;
    this.#options = options;
    this.leaderEpochs = epochs;
    this.#config = options.config;
    this.#segments = loaded.segments;
    this.#producers = loaded.producers;
    this.#logStartOffset = loaded.logStartOffset;
    this.#writer = this.#newWriter(options.recoveryPoint, options.recoveryPoint);
    const [segments, replace] = [() => this.#segments, this.#replace.bind(this)];
    this.compaction = new Compaction(this, { ...options, segments, replace });
  }

  /**
   * Opens the partition in `directory`, which exists. Returns it with what was cut from its end.
   *
   * @throws LogError CORRUPT_BATCH, KAFKA_STORAGE_ERROR, DISK_FULL
   */
  static async open(
    options: PartitionLogOptions,
  ): Promise<{ readonly log: PartitionLog; readonly tornTail: TornTail | undefined }> {
    const loaded = await loadLog({ ...options, nowMs: options.clock.nowMs() });
    const epochs = await settleLeaderEpochs(options, loaded);
    return { log: new PartitionLog(options, loaded, epochs), tornTail: loaded.tornTail };
  }

  get config(): LogConfig {
    return this.#config;
  }

  /** The first offset that can be read. */
  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  /** The offset that the next batch gets. */
  get nextOffset(): number {
    return this.#active.nextOffset;
  }

  /** What is below can be read: the operating system has it. */
  get highWatermark(): number {
    return this.#writer.writtenOffset;
  }

  /** Below this, every transaction has ended: where readers of committed data stop. */
  get lastStableOffset(): number {
    return this.#producers.lastStableOffset(this.highWatermark);
  }

  /** What is below survives a power cut. */
  get durableOffset(): number {
    return this.#writer.durableOffset;
  }

  /** What an opening may believe without a look: the end of the last checkpoint. */
  get recoveryPoint(): number {
    return Math.max(this.#options.recoveryPoint, this.#checkpointed);
  }

  get sizeBytes(): number {
    return this.#segments.reduce((sum, { writtenBytes }) => sum + writtenBytes, 0);
  }

  get producers(): ProducerStates {
    return this.#producers;
  }

  /** Why nothing can be appended, if so. */
  get failure(): LogError | undefined {
    return this.#ended ?? this.#writer.failure;
  }

  get #readable(): SearchRange {
    return { from: this.#logStartOffset, upTo: this.highWatermark, place: this.place };
  }

  get #active(): Segment {
    return present(this.#segments.at(-1), 'a log has at least one segment');
  }

  setConfig(config: LogConfig): void {
    this.#config = config;
  }

  /**
   * Gives the batch its offsets and hands it to the writer. Takes `batch` over: its offset and
   * epoch fields are set in place. A batch that repeats one of the producer's last five is not
   * appended again; its old offsets are returned.
   *
   * @throws LogError MESSAGE_TOO_LARGE, CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP,
   *   UNSUPPORTED_COMPRESSION_TYPE, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH,
   *   INVALID_TXN_STATE; DISK_FULL, KAFKA_STORAGE_ERROR while it cannot write: not in the log.
   */
  append(batch: Buffer): Appended {
    this.#checkWritable();
    const nowMs = this.#options.clock.nowMs();
    const admitted = admitBatch(batch, { place: this.place, config: this.#config, nowMs });
    return this.#appendData(admitted.batch, admitted.header, nowMs);
  }

  /** Appends a coordinator's batch to its own topic: no client's rules or sequences apply. */
  appendInternal(batch: Buffer): Appended {
    this.#checkWritable();
    return this.#appendData(batch, readBatchHeader(batch, 0), this.#options.clock.nowMs());
  }

  /**
   * True when the producer had this epoch here, or a later one: the marker that raised it is there.
   *
   * @throws LogError DISK_FULL, KAFKA_STORAGE_ERROR, CLOSED while nobody can say, because the log
   *   cannot be written.
   */
  hasProducerAt(producerId: number, epoch: number): boolean {
    this.#checkWritable();
    return (this.#producers.get(producerId)?.epoch ?? -1) >= epoch;
  }

  /**
   * Ends the transaction that the marker's producer has open here, if it has one.
   *
   * @throws LogError INVALID_PRODUCER_EPOCH for a marker older than the producer's epoch.
   */
  appendMarker(marker: Marker): Appended {
    this.#checkWritable();
    const batch = encodeMarker(marker);
    const { coordinatorEpoch, type, timestampMs } = marker;
    const current = this.#producers.get(marker.producerId);
    assert(
      current === undefined || current.epoch <= marker.producerEpoch,
      'the coordinator never ends a transaction with an older epoch than its data has',
    );
    const placed = this.#place(batch, readBatchHeader(batch, 0));
    const aborted = this.#producers.end(placed, type, coordinatorEpoch, timestampMs);
    if (aborted !== undefined) this.#active.indexes.aborted.push(aborted);
    return this.#write(batch, placed);
  }

  /**
   * Resolves when everything below `offset` (default: all that was appended) survives a power cut.
   * Many callers share one sync.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL
   */
  sync(offset = this.nextOffset): Promise<void> {
    return this.#settle(offset, (writer) => writer.sync(offset));
  }

  /**
   * The same without the help of the journal: in the partition's own files.
   *
   * @throws LogError as `sync`.
   */
  flush(offset: number): Promise<void> {
    return this.#settle(offset, (writer) => writer.flush(offset));
  }

  async #settle(offset: number, how: (writer: LogWriter) => Promise<void>): Promise<void> {
    const writer = this.#writer;
    try {
      await how(writer);
    } catch (error) {
      if (offset > writer.writtenOffset) throw error;
      // A write failed behind what is to be synced: that goes on once the log is loaded anew.
      await this.#reloading;
      if (this.#writer === writer) throw error;
      await this.#settle(offset, how);
    }
  }

  /**
   * Reads whole batches from the one that holds `offset` on, below `endOffset` (the high watermark
   * or the last stable offset). Empty when there is nothing yet.
   *
   * @throws LogError OFFSET_OUT_OF_RANGE, CORRUPT_BATCH, KAFKA_STORAGE_ERROR
   */
  async read(offset: number, limits: { endOffset: number; maxBytes: number }): Promise<LogRead> {
    if (this.#isClosed) throw closed(this.place);
    const { highWatermark, logStartOffset } = this;
    if (offset < logStartOffset || offset > highWatermark) throw outOfRange(this, offset);
    const endOffset = Math.min(limits.endOffset, highWatermark);
    return readSegments(this.#segments, this.#positions, { ...limits, offset, endOffset });
  }

  /** The aborted transactions that a reader of committed data meets in [from, upTo). */
  abortedTransactions(from: number, upTo: number): AbortedTransaction[] {
    return abortedIn(this.#segments, from, upTo);
  }

  /** The first record stamped `timestampMs` or later, or undefined when there is none. */
  findTimestamp(timestampMs: number): Promise<TimestampedOffset | undefined> {
    return findTimestamp(this.#segments, timestampMs, this.#readable);
  }

  /** The newest timestamp in the log and where it stands, or undefined for an empty log. */
  findMaxTimestamp(): Promise<TimestampedOffset | undefined> {
    return findNewest(this.#segments, this.#readable);
  }

  /**
   * Makes everything below `offset` unreadable and removes the segments that lie wholly below it.
   * The caller keeps the new start offset (`log-start-offset-checkpoint`).
   *
   * @throws LogError OFFSET_OUT_OF_RANGE above the high watermark: nothing changed.
   */
  deleteRecords(offset: number): Promise<number> {
    return this.#chores.run(async () => {
      this.#checkWritable();
      if (offset > this.highWatermark) throw outOfRange(this, offset);
      if (offset > this.#logStartOffset) await this.#startAt(offset);
      return this.#logStartOffset;
    });
  }

  /**
   * Removes old segments by size and time, as the topic's settings say. The newest one stays unless
   * all of it has expired: then a new one is begun first (Kafka: `UnifiedLog.deleteOldSegments`).
   */
  applyRetention(): Promise<void> {
    return this.#chores.run(async () => {
      if (!isDeleted(this.#config) || this.failure !== undefined) return;
      const { highWatermark } = this;
      const limits = { highWatermark, nowMs: this.#options.clock.nowMs(), config: this.#config };
      const keepFrom = retainedFrom(this.#segments, limits);
      if (keepFrom === undefined || keepFrom <= this.#logStartOffset) return;
      if (keepFrom >= this.nextOffset && this.#active.admittedBytes > 0) this.#roll();
      await this.#startAt(keepFrom);
    });
  }

  /**
   * Makes the log durable up to here, with its indexes and producers, so that the next opening
   * starts from here. Returns the offset to keep as recovery point.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL
   */
  checkpoint(): Promise<number> {
    return this.#chores.run(async () => {
      if (this.#ended !== undefined) throw this.#ended;
      return this.#checkpoint();
    });
  }

  async #checkpoint(isLast = false): Promise<number> {
    const offset = this.nextOffset;
    if (offset === this.#checkpointed && !isLast) return offset;
    const { clock, fileSystem, directory } = this.#options;
    this.#producers.expire(clock.nowMs());
    const snapshot = encodeSnapshot(this.#producers.all());
    const segments = [...this.#segments];
    await this.#writer.flush(offset); // without waiting for a reload, which waits for this
    await this.#writer.naming(async () => {
      await flushAll(segments);
      await writeSnapshot(fileSystem, directory, { offset, snapshot });
    });
    this.#checkpointed = offset;
    return offset;
  }

  /** Ends the log after `checkpoint`: the next opening has nothing to recover. */
  async close(): Promise<number> {
    const failure = this.#ended;
    this.#ended = closed(this.place); // from here on nothing is added
    await this.#quiet();
    try {
      const known = failure ?? this.#writer.failure;
      if (known !== undefined) throw known;
      for (const segment of this.#segments) segment.closeTimeIndex();
      return await this.#checkpoint(true);
    } finally {
      this.#isClosed = true;
      await closeAll(this.#segments);
    }
  }

  /** Gives up the files without making anything durable: the partition is to be deleted. */
  async abandon(): Promise<void> {
    this.#ended = closed(this.place);
    this.#isClosed = true;
    await this.#quiet();
    this.#writer.end(this.#ended);
    await closeAll(this.#segments);
  }

  /** Resolves when nothing touches the files any more but reads that have begun. */
  async #quiet(): Promise<void> {
    await this.compaction.idle();
    await this.#chores.idle();
    do {
      await this.#reloading;
      await this.#writer.idle();
    } while (this.#reloading !== undefined);
  }

  #appendData(batch: Buffer, header: BatchHeader, nowMs: number): Appended {
    if (header.producerId >= 0 && header.baseSequence !== NO_SEQUENCE) {
      const duplicate = this.#producers.check(header);
      if (duplicate !== undefined) {
        const written = this.#writer.written(duplicate.lastOffset + 1);
        written.catch(() => undefined); // as with a round, nobody has to care
        return { ...duplicate, written };
      }
    }
    const placed = this.#place(batch, header);
    if (placed.producerId >= 0) this.#producers.append(placed, nowMs, this.durableOffset);
    return this.#write(batch, placed);
  }

  #newWriter(durableOffset: number, flushedOffset: number): LogWriter {
    const { fileSystem, directory, journal } = this.#options;
    return new LogWriter({
      fileSystem,
      segments: this.#segments,
      durableOffset,
      flushedOffset,
      events: {
        written: (nextOffset) => {
          this.#producers.settle(nextOffset);
          this.#options.advanced();
        },
        failed: (error, operation) => this.#writerFailed(error, operation),
      },
      journal: journal && { ...journal, directory: basename(directory), source: this },
    });
  }

  #checkWritable(): void {
    const { failure } = this;
    if (failure === undefined) return;
    if (this.#ended === undefined) this.#startReload();
    throw failure;
  }

  /** Fixes the place of the batch; from here on it counts. */
  #place(batch: Buffer, header: BatchHeader): BatchHeader {
    if (!this.#active.hasRoomFor(header, this.#config)) this.#roll();
    const led = { ...header, leaderEpoch: newestEpoch(this) };
    return this.#active.place(batch, led, this.#config.indexIntervalBytes);
  }

  #write(batch: Buffer, placed: BatchHeader): Appended {
    const { baseOffset, lastOffset } = placed;
    return { baseOffset, lastOffset, written: this.#writer.write(this.#active, batch, placed) };
  }

  #roll(): void {
    const { fileSystem, directory } = this.#options;
    this.#active.closeTimeIndex();
    this.#segments.push(new Segment(fileSystem, directory, this.nextOffset));
  }

  /** Lets the log begin at `offset`; the files of what is wholly below go after a delay. */
  async #startAt(offset: number): Promise<void> {
    // Without a file that says where the log ends, it would begin at 0 again.
    if (segmentIndexOf(this.#segments, offset) > 0) await this.#writer.begin(this.#active);
    this.#logStartOffset = offset;
    this.#options.advanced();
    const options = { ...this.#options, delayMs: this.#config.fileDeleteDelayMs };
    while (segmentIndexOf(this.#segments, offset) > 0) {
      const oldest = this.#segments[0]!;
      this.#forget(oldest);
      await this.#writer.naming(() => removeSegment(oldest, options));
      this.#segments = this.#segments.slice(1); // not in place: reads go through the old list
    }
  }

  /** As `CompactedFiles.replace`: a failure halfway has the log loaded anew, which goes on. */
  #replace(old: readonly Segment[], cleaned: Segment): Promise<boolean> {
    return this.#chores.run(async () => {
      if (this.failure !== undefined || !isRunOf(this.#segments, old)) return false;
      const removal = { ...this.#options, delayMs: this.#config.fileDeleteDelayMs };
      await this.#writer.naming(() => commitSwap(removal, old, cleaned));
      await this.#writer
        .naming(() => finishSwap(removal, old, cleaned))
        .catch((cause: unknown) => {
          this.#writer.noteFailedWrite(storageFailure(cleaned.directory, 'rename', cause));
          throw cause;
        });
      this.#segments = withInstead(this.#segments, old, cleaned);
      for (const segment of old) this.#forget(segment);
      return true;
    });
  }

  #forget(removed: Segment): void {
    this.#writer.forget(removed);
    this.#positions.forget(removed);
  }

  /**
   * After a failed write the file may end in a part of it: that part is cut off and the log is
   * loaded anew, since offsets and sequences had run ahead. After a failed sync nothing is ever
   * acknowledged again here (docs/decisions/0001-no-second-fsync.md).
   */
  #writerFailed(error: LogError, operation: 'write' | 'sync'): void {
    if (operation === 'sync') this.#ended ??= error;
    else this.#startReload();
  }

  /** A full disk may stand in the way even here; any other failure ends the log. */
  #startReload(): void {
    this.#reloading ??= this.#writer
      .naming(() => this.#reload())
      .catch((cause: unknown) => {
        const error = storageFailure(this.#options.directory, 'truncate', cause);
        if (!error.retriable) this.#ended ??= error;
      })
      .finally(() => {
        this.#reloading = undefined;
      });
  }

  async #reload(): Promise<void> {
    await this.#chores.idle();
    await this.#writer.idle();
    if (this.#writer.syncFailure !== undefined) throw this.#writer.syncFailure;
    const { highWatermark, durableOffset, logStartOffset, config } = this;
    const before = this.#segments;
    const known = { recoveryPoint: durableOffset, logStartOffset, config };
    const nowMs = this.#options.clock.nowMs();
    const loaded = await reloadLog(before, highWatermark, { ...this.#options, ...known, nowMs });
    this.#segments = loaded.segments;
    this.#producers = loaded.producers;
    this.#positions.clear();
    this.#writer = this.#newWriter(durableOffset, this.#writer.flushedOffset);
    await closeAll(before); // a read may have opened one again
  }
}
